"""kill -9 while mail leaves: the peer counts. Nothing is lost, and what came twice is marked as ambiguous.

Where exactly the server dies is the peer's to choose: it kills at a step of the dialogue, before or after its answer."""
import collections
import os
import random
import signal
import threading
import time

import pytest
from peer import Cut, Peer
from test_delivery import by_relay, ended, kinds, send

SOAK = bool(os.environ.get("POSTRIDER_SOAK"))
CYCLES = 1000 if SOAK else 12


class Killer:
    """Ends the server at a step, once: before the answer, or right after it."""

    def __init__(self, answer=None):
        self.answer, self.server, self.done = answer, None, threading.Event()

    def __call__(self, session, argument):
        if self.done.is_set():
            return "354 go" if session.recipients and isinstance(argument, str) and not argument else "250 2.0.0 ok"
        if self.answer:
            session.say(self.answer)
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.done.set()
        raise Cut()


@pytest.mark.parametrize("step, answer", [("EHLO", None), ("MAIL", None), ("RCPT", None), ("DATA", None), ("DATA", "354 go"), ("dot", None), ("dot", "250 2.0.0 taken")])
def test_killed_at(tmp_path, step, answer):
    killer = Killer(answer)
    with Peer(offers=(), **{step: killer}) as peer:
        s = by_relay(peer, data=tmp_path / "data")
        killer.server = s
        s.start()
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
    with Peer(offers=(), dot=killer) as peer:
        s = by_relay(peer, data=tmp_path / "data")
        killer.server = s
        s.start()
        m = send(s, "x@far.test")
        assert killer.done.wait(30)
        s.process.wait(30)
        s.start()
        ended(s, m)
        assert "email.ambiguous" in kinds(s, m) and len(peer.seen) == 2
        s.stop()


def test_killed_under_load(tmp_path):
    """Many connections at once, and an end at any moment: what was accepted arrives, and no more often than marked."""
    noise = random.Random(7)
    with Peer() as peer:
        s = by_relay(peer, data=tmp_path / "data")
        s.start()
        accepted = {}
        for cycle in range(CYCLES):
            for i in range(12):
                to = [f"n{cycle}-{i}-{j}@far{i % 5}.test" for j in range(i % 3 + 1)]
                accepted[send(s, *to)["id"]] = to
            time.sleep(noise.random() * 0.15)  # the moment is the test's own luck, nothing waits for it
            s.kill()
            s.start()
        for m in accepted:
            ended(s, {"id": m})
        came = collections.Counter(r for mail in peer.seen for r in mail.recipients)
        for m, to in accepted.items():
            for email in to:
                assert came[email] >= 1, email
                if came[email] > 1:
                    marks = [e for e in s.get(f"/v1/messages/{m}/events?limit=100").json["data"] if e["type"] == "email.ambiguous" and e["email"] == email]
                    assert came[email] - 1 <= len(marks), (email, came[email])
        s.stop()


