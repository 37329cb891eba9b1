"""Several nodes over one MongoDB database: one of them sends, and another when that one is gone or does not move."""
import contextlib
import re
import signal
import threading
import time

import mongod
import pytest
from peer import Names, Peer, Wait
from server import Server, until
from test_delivery import LIVE, by_relay, deliveries, ended, kinds, send
from test_delivery_crash import check_counts
from test_two_processes import beside, kill

pytestmark = pytest.mark.own_store("mongo")


@contextlib.contextmanager
def nodes(peer, **more):
    """Two; the first one sends."""
    env = LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY": peer.host, "POSTRIDER_DELIVERY_RELAY_PORT": str(peer.port),
                  "POSTRIDER_DELIVERY_LEASE": "10s"} | {f"POSTRIDER_DELIVERY_{k.upper()}": str(v) for k, v in more.items()}
    with Server(env=env, store="mongo") as a:
        until(lambda: "this node sends" in a.log_text())
        b = beside(a)
        b.env = env
        with b:
            try:
                yield a, b
            finally:
                if a.process:
                    a.process.send_signal(signal.SIGCONT)  # a test may have frozen it


def test_one_node_sends_for_all_and_another_takes_over():
    with Peer() as peer, nodes(peer) as (a, b):
        ended(b, send(b, "x@far.test"))
        assert len(peer.mails) == 1 and "this node sends" not in b.log_text()
        kill(a)
        ended(b, send(b, "y@far.test"), seconds=90)
        assert len(peer.mails) == 2 and "this node sends" in b.log_text()


def test_hosts_that_are_dead_stay_so_for_the_node_that_takes_over():
    """It does not try them, though they are back: that time has not come."""
    with Peer() as gone:
        pass
    with nodes(gone, retry="1h", path_max=1, dead_for="10m") as (a, b):
        ms = [send(b, f"x{i}@far{i}.test") for i in range(8)]
        until(lambda: "state=dead" in a.log_text(), 60)
        site = until(lambda: next((d["email"].partition("@")[2] for m in ms for d in deliveries(b, m).values() if d["status"] == "queued"), None))

        def path():
            return (b.get(f"/v1/queue/{site}").json["path"] or {}).get("state")

        until(lambda: path() == "dead")
        kill(a)
        with Peer(port=gone.port) as back:
            until(lambda: "state=dead result=\"taken over\"" in b.log_text(), 90)
            assert path() == "dead" and not back.sessions and "this node sends" in b.log_text()
            due = until(lambda: re.search(r"^postrider_delivery_oldest_due_seconds ([1-9]\d*)$", b.get("/metrics").body.decode(), re.M))
            assert 1 <= int(due[1]) < 600 and not back.sessions
            assert [(d["status"], d["attempts"]) for m in ms for d in deliveries(b, m).values()].count(("deferred", 1)) == 5


def test_no_mail_goes_to_another_node():
    """By its address, that of its NAT too, or its name; the domains of others still get theirs."""
    zones = {("far.test", "MX"): ["10 mx.far.test."], ("mx.far.test", "A"): ["127.0.0.2"], ("named.test", "MX"): ["10 a.example.org."],
             ("a.example.org", "A"): ["127.0.0.4"], ("other.test", "A"): ["127.0.0.4"]}
    with Names(zones) as names, Peer() as peer, Peer(host="127.0.0.4", port=peer.port) as other:
        env = LIVE | {"POSTRIDER_DNS_SERVERS": names.server, "POSTRIDER_DNS_TRUST_ANCHOR": "", "POSTRIDER_DELIVERY_PORT": str(peer.port),
                      "POSTRIDER_DELIVERY_ALLOW": "127.0.0.0/8"}
        with Server(env=env | {"POSTRIDER_SERVER_HOSTNAME": "a.example.org", "POSTRIDER_DELIVERY_OWN_ADDRESSES": "127.0.0.2"}, store="mongo") as a:
            until(lambda: "this node sends" in a.log_text())
            b = beside(a)
            b.env = env
            with b:
                a.stop()
                until(lambda: "this node sends" in b.log_text())
                for domain in ("far.test", "named.test"):
                    last = ended(b, send(b, f"x@{domain}"), "bounced")[f"x@{domain}"]["last"]
                    assert (last["enhanced"], last["cause"]) == ("5.4.6", "loop")
                ended(b, send(b, "x@other.test"))
        assert not peer.sessions and [m.recipients for m in other.mails] == [["x@other.test"]]


def test_the_node_that_sends_hears_of_what_another_took():
    """At once, of flows that are new to it: its scan comes once a minute. A route that is made on one node holds on the other."""
    with Peer() as peer, Peer(host="127.0.0.3") as other, nodes(peer) as (a, b):
        ended(b, send(b, "x@first.test"), seconds=90)
        for i in range(5):
            ended(b, send(b, f"x@far{i}.test"), seconds=20)
        b.make("/v1/routes", {"type": "relay", "domain": "far0.test", "hosts": [other.host], "port": other.port, "private": True})
        ended(b, send(b, "y@far1.test"))
        until(lambda: ended(b, send(b, "z@far0.test")) and other.mails)


def test_who_slept_past_the_lease_writes_nothing():
    """The frozen node's mail is sent by the other one, marked; when it wakes and hears its 250, that changes nothing."""
    go = threading.Event()
    with Peer(dot=[Wait(go, "250 2.0.0 late"), None]) as peer, nodes(peer) as (a, b):
        m = send(a, "x@far.test")
        assert peer.reached.wait(30)
        a.process.send_signal(signal.SIGSTOP)
        d = ended(b, m, seconds=90)["x@far.test"]
        assert d["last"]["text"] == "taken" and "email.ambiguous" in kinds(b, m) and len(peer.seen) == 2
        go.set()
        a.process.send_signal(signal.SIGCONT)
        until(lambda: "somebody else's by now" in a.log_text(), 60)
        assert ended(b, m)["x@far.test"]["last"]["text"] == "taken" and kinds(b, m).count("email.delivered") == 1


def test_who_slept_past_the_lease_sends_no_dot():
    """Frozen before its text: the other one's mail is the only one, though the peer would have taken both."""
    go = threading.Event()
    with Peer(DATA=[Wait(go, "354 go"), None]) as peer, nodes(peer) as (a, b):
        m = send(a, "x@far.test")
        assert peer.reached.wait(30)
        a.process.send_signal(signal.SIGSTOP)
        ended(b, m, seconds=90)
        assert len(peer.seen) == 1
        go.set()
        a.process.send_signal(signal.SIGCONT)
        until(lambda: 1 not in [session.number for session in list(peer.open)], 60)
        assert len(peer.seen) == 1 and kinds(b, m).count("email.delivered") == 1


def test_elections_while_mail_leaves(tmp_path):
    """The primary steps down again and again: what was accepted arrives, no more often than marked, whatever a verdict had to wait for."""
    members = mongod.ReplicaSet(3)
    members.settled()
    accepted, over = {}, threading.Event()

    def step_down():
        while not over.wait(2):
            with contextlib.suppress(OSError):
                at = members.primary()
                if at is not None:
                    members.command(at, {"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 2, "force": True}, 5)

    try:
        with Peer() as peer:
            s = by_relay(peer, data=tmp_path / "data")
            s.store = members.uri()
            with s:
                term, since = members.term(), time.monotonic()
                harm = threading.Thread(target=step_down)
                harm.start()
                while members.term() < term + 3 or len(accepted) < 60:
                    assert time.monotonic() - since < 200
                    to = [f"n{len(accepted)}-{j}@far{len(accepted) % 5}.test" for j in range(len(accepted) % 3 + 1)]
                    body = {"from": "app@example.test", "to": to, "subject": "Sturgeon", "text": "The quick brown walrus.\n"}
                    if not accepted:
                        until(lambda: s.post("/v1/domains", {"name": "example.test"}).status in (201, 409))
                        until(lambda: s.post("/v1/domains/example.test/verify", {"force": True}).status == 200)
                    answer = s.post("/v1/messages", body)
                    assert answer.status in (202, 503), answer
                    if answer.status == 202:
                        accepted[answer.json["id"]] = to
                over.set()
                harm.join()
                members.settled()
                for m in accepted:
                    ended(s, {"id": m}, seconds=120)
                twice = check_counts(s, accepted, peer.seen)
                print(f"\n{members.term() - term} elections, {len(accepted)} mails, {twice} came twice and are marked")
    finally:
        over.set()
        members.stop()
