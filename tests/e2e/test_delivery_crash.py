"""kill -9 while mail leaves: the peer counts. Nothing is lost, and what came twice is marked as ambiguous.

Where exactly the server dies is the peer's to choose: it kills at a step of the dialogue, before or after its answer."""
import collections
import contextlib
import http.client
import os
import signal
import socket
import threading
import types

import pytest
from peer import HOST, Cut, Peer
from server import until
from test_delivery import by_relay, deliveries, ended, kinds, send

SOAK = bool(os.environ.get("POSTRIDER_SOAK"))
CYCLES = 1000 if SOAK else 60
POINTS = [("EHLO", None), ("MAIL", None), ("RCPT", None), ("DATA", None), ("DATA", "354 go"), ("dot", None), ("dot", "250 2.0.0 taken")]


class Killer:
    """Ends the server at a step, once: before the answer, or right after it."""

    def __init__(self, answer=None, server=None):
        self.answer, self.server, self.done = answer, server, threading.Event()
        self.open = 0  # connections, as it died

    def __call__(self, session, argument):
        if self.done.is_set():
            return "354 go" if session.recipients and isinstance(argument, str) and not argument else "250 2.0.0 ok"
        if self.answer:
            session.say(self.answer)
        with session.peer.lock:
            self.open = len(session.peer.open)
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.done.set()
        raise Cut()


@pytest.mark.parametrize("step, answer", POINTS)
def test_killed_at(tmp_path, step, answer):
    killer = Killer(answer)
    with Peer(offers=(), **{step: killer}) as peer, by_relay(peer, data=tmp_path / "data") as s:
        killer.server = s
        m = send(s, "x@far.test", "y@far.test")
        assert killer.done.wait(30)
        s.process.wait(30)
        if step == "EHLO":
            peer.set(EHLO=None)
        s.start()
        ended(s, m)
        s.stop()
        assert sorted(set(peer.seen[-1].recipients)) == ["x@far.test", "y@far.test"]
        assert len(peer.seen) == (2 if step == "dot" else 1)


def test_killed_between_claim_and_connection(tmp_path):
    """Nobody answers the connect: what was claimed goes to who listens there after the restart, once."""
    with socket.socket() as deaf, socket.socket() as crowd:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        crowd.connect(deaf.getsockname())  # its queue is full
        with by_relay(types.SimpleNamespace(host=HOST, port=deaf.getsockname()[1]), data=tmp_path / "data") as s:
            m = send(s, "x@far.test")
            until(lambda: deliveries(s, m)["x@far.test"]["status"] == "sending")
            s.kill()
            deaf.close()
            with Peer(port=int(s.env["POSTRIDER_DELIVERY_RELAY_PORT"])) as peer:
                s.start()
                assert ended(s, m)["x@far.test"]["attempts"] == 1 and len(peer.seen) == 1


@pytest.mark.parametrize("rule", [True, False])
def test_an_outcome_is_durable_before_the_next_dot(tmp_path, rule):
    """So a kill costs one at most of each connection. The control: a build of tests can leave that out, and then it costs more."""
    def dot(session, mail):
        if len(peer.seen) == 4:
            os.kill(s.process.pid, signal.SIGKILL)
            raise Cut()
        return "250 2.0.0 taken"

    with Peer(dot=dot) as peer, by_relay(peer, path_max=1, ahead=6, run="false", data=tmp_path / "data") as s:
        ms = [send(s, f"x{i}@far.test") for i in range(6)]
        s.stop()
        s.env |= {"POSTRIDER_DELIVERY_RUN": "true"} | ({} if rule else {"POSTRIDER_TEST_DOT": "early"})
        s.start(wait=False).process.wait(60)
        s.env.pop("POSTRIDER_TEST_DOT", None)
        s.start()
        for m in ms:
            ended(s, m)
        to = collections.Counter(mail.recipients[0] for mail in peer.seen)
        assert len(to) == 6 and (sum(to.values()) - 6 <= 1) == rule


def test_what_came_twice_is_marked(tmp_path):
    killer = Killer()
    with Peer(offers=(), dot=killer) as peer, by_relay(peer, data=tmp_path / "data") as s:
        killer.server = s
        m = send(s, "x@far.test")
        assert killer.done.wait(30)
        s.process.wait(30)
        s.start()
        ended(s, m)
        assert "email.ambiguous" in kinds(s, m) and len(peer.seen) == 2


def check_counts(s, accepted, seen):
    """Each recipient got its mail, and no more often than the events say; how many came twice."""
    came = collections.Counter(r for mail in seen for r in mail.recipients)
    for m, to in accepted.items():
        marks = [e["email"] for e in s.get(f"/v1/messages/{m}/events?limit=100").json["data"] if e["type"] == "email.ambiguous"]
        for email in to:
            assert came[email] >= 1, email
            assert came[email] - 1 <= marks.count(email), (email, came[email], marks)
    return sum(n - 1 for n in came.values())


def test_killed_under_load(tmp_path):
    """Several connections at once, one of which dies at each point in turn: what was accepted arrives, no more often than marked, and no
    more mails come twice than connections were open."""
    with Peer() as peer, by_relay(peer, data=tmp_path / "data") as s:
        accepted, connections = {}, 0
        for cycle in range(CYCLES):
            step, answer = POINTS[cycle % len(POINTS)]
            killer = Killer(answer, s)
            peer.set(**{step: killer})
            for i in range(6):
                to = [f"n{cycle}-{i}-{j}@far{i % 5}.test" for j in range(i % 3 + 1)]
                with contextlib.suppress(OSError, http.client.HTTPException):  # it is dead already
                    accepted[send(s, *to)["id"]] = to
            assert killer.done.wait(60), step
            s.process.wait(30)
            connections += killer.open
            peer.set(**{step: None})
            s.start()
        for m in accepted:
            ended(s, {"id": m}, seconds=120)
        twice = check_counts(s, accepted, peer.seen)
        mails = collections.Counter((m.body.partition(b"\r\n\r\n")[0], tuple(sorted(m.recipients))) for m in peer.seen)
        assert sum(n - 1 for n in mails.values()) <= connections
        print(f"\n{CYCLES} cycles, {len(accepted)} mails, {twice} came twice and are marked; {connections} connections were open")
