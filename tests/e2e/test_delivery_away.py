"""The store goes away while mail leaves: no dot is sent meanwhile, and what a peer has said is not lost, whatever becomes of the process."""
import signal
import threading

import mongod
import pytest
from peer import Peer, Wait
from server import Server, until
from test_delivery import LIVE, deliveries, ended, kinds, send

pytestmark = pytest.mark.own_store("mongo")


@pytest.fixture(scope="module")
def member():
    """A database server that may be frozen: nobody else has it."""
    members = mongod.ReplicaSet(1)
    members.settled()
    yield members
    members.stop()


@pytest.fixture(autouse=True)
def thawed(member):
    yield
    member.signal(0, signal.SIGCONT)


def over(member, peer, data, **more):
    env = LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY": peer.host, "POSTRIDER_DELIVERY_RELAY_PORT": str(peer.port),
                  "POSTRIDER_DELIVERY_PATH_MAX": "1"}
    return Server(env=env | {f"POSTRIDER_DELIVERY_{k.upper()}": v for k, v in more.items()}, data=data, store=member.uri())


class Freeze:
    """The store stands still from the first mail on, which is taken as all others."""

    def __init__(self, member):
        self.member, self.done = member, threading.Event()

    def __call__(self, session, mail):
        if not self.done.is_set():
            self.member.signal(0, signal.SIGSTOP)
            self.done.set()
        return "250 2.0.0 taken"


def begin(s, n):
    """So many mails, claimed together for one connection."""
    ms = [send(s, f"x{i}@far.test") for i in range(n)]
    s.stop()
    s.env["POSTRIDER_DELIVERY_RUN"] = "true"
    s.start()
    return ms


def test_no_dot_while_the_store_is_away(member, tmp_path):
    go = threading.Event()
    with Peer(DATA=[Wait(go, "354 go"), None]) as peer, over(member, peer, tmp_path / "data") as s:
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        member.signal(0, signal.SIGSTOP)
        until(lambda: s.get("/readyz", key=False).status == 503)
        go.set()
        until(lambda: 1 not in [session.number for session in list(peer.open)])
        assert not peer.seen
        member.signal(0, signal.SIGCONT)
        until(lambda: s.get("/readyz", key=False).status == 200)
        assert ended(s, m, seconds=60)["x@far.test"]["attempts"] == 1 and len(peer.seen) == 1


def test_what_was_said_meanwhile_outlives_the_process(member, tmp_path):
    """Two mails of one connection: of the first the peer has said 250 while the store was away, so there is no dot of the second. The first one's
    verdict is noted in the data folder; after a kill it is written down from there, once, and only the second is sent."""
    freeze = Freeze(member)
    with Peer(dot=freeze) as peer, over(member, peer, tmp_path / "data", run="false") as s:
        ms = begin(s, 2)
        assert freeze.done.wait(30)
        until(lambda: (s.data / "outcomes.log").exists(), 20)  # after some seconds, however long a try to write takes
        assert len(peer.seen) == 1
        s.kill()
        member.signal(0, signal.SIGCONT)
        s.start()
        for m in ms:
            ended(s, m, seconds=60)
        assert "outcomes.log read" in s.log_text() and not (s.data / "outcomes.log").exists()
        assert sorted(r for mail in peer.seen for r in mail.recipients) == ["x0@far.test", "x1@far.test"]
        assert all(kinds(s, m).count("email.delivered") == 1 for m in ms)
        [first] = [m for m in ms if peer.seen[0].recipients == list(deliveries(s, m))]
        assert "email.ambiguous" not in kinds(s, first) and deliveries(s, first)[peer.seen[0].recipients[0]]["last"]["text"] == "taken"

