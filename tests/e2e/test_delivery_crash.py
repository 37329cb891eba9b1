"""kill -9 while mail leaves: the peer counts. Nothing is lost, and what came twice is marked as ambiguous.

Where exactly the server dies is the peer's to choose: it kills at a step of the dialogue, before or after its answer."""
import collections
import contextlib
import http.client
import os
import signal
import threading

import pytest
from peer import Cut, Peer
from test_delivery import by_relay, ended, kinds, send

SOAK = bool(os.environ.get("POSTRIDER_SOAK"))
CYCLES = 1000 if SOAK else 60
POINTS = [("EHLO", None), ("MAIL", None), ("RCPT", None), ("DATA", None), ("DATA", "354 go"), ("dot", None), ("dot", "250 2.0.0 taken")]


class Killer:
    """Ends the server at a step, once: before the answer, or right after it."""

    def __init__(self, answer=None, server=None):
        self.answer, self.server, self.done = answer, server, threading.Event()

    def __call__(self, session, argument):
        if self.done.is_set():
            return "354 go" if session.recipients and isinstance(argument, str) and not argument else "250 2.0.0 ok"
        if self.answer:
            session.say(self.answer)
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
    """Several connections at once, one of which dies at each point in turn: what was accepted arrives, no more often than marked."""
    with Peer() as peer, by_relay(peer, data=tmp_path / "data") as s:
        accepted = {}
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
            peer.set(**{step: None})
            s.start()
        for m in accepted:
            ended(s, {"id": m}, seconds=120)
        twice = check_counts(s, accepted, peer.seen)
        print(f"\n{CYCLES} cycles, {len(accepted)} mails, {twice} came twice and are marked")
