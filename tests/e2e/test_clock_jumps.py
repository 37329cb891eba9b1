"""What is scheduled while the server's clock is set, forwards and back: libfaketime stands between it and the system's."""
import datetime
import os
import pathlib

import pytest
from api_client import Client
from sending import inbox
from server import RELEASE, Server, until

LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Clock:
    """The server's wall clock is so many seconds ahead of ours; the monotonic one goes on."""

    def __init__(self, folder):
        assert LIBRARY, "no libfaketime: script/bootstrap test installs it"
        self.file, self.ahead = folder / "clock", 0
        self.set(0)
        self.env = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def set(self, ahead):
        self.ahead = ahead
        new = self.file.with_suffix(".new")
        new.write_text(f"{ahead:+d}s\n")
        os.replace(new, self.file)

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.ahead)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


@pytest.fixture
def jumping(clock, tmp_path):
    with Server(data=tmp_path / "data", binary=RELEASE, env=clock.env) as s:
        s.user("ana@jump.test")
        yield s


def plan(c, at, subject):
    return c.make("/v1/messages", {"from": "ana@jump.test", "to": "ana@jump.test", "subject": subject, "text": "x", "scheduled_at": at.isoformat()})["id"]


def status(c, message):
    return c.get(f"/v1/messages/{message}").json["status"]


def begun(c, message):
    until(lambda: status(c, message) == "delivered")


def hours(n):
    return datetime.timedelta(hours=n)


@pytest.mark.only_sqlite("of MongoDB the server's clock decides: see below")
def test_the_clock_is_set(jumping, clock):
    c, start = Client(jumping), clock.now()
    one, two, six = (plan(c, start + hours(n), f"in {n} h") for n in (1, 2, 6))
    clock.set(3600 + 5)  # past the first
    begun(c, one)
    clock.set(-3600)  # and back: what was begun is, what is to come is later
    soon = plan(c, clock.now() + datetime.timedelta(seconds=2), "soon")
    begun(c, soon)
    assert [status(c, m) for m in (two, six)] == ["scheduled", "scheduled"]
    moved = c.patch(f"/v1/messages/{six}", {"scheduled_at": (start - datetime.timedelta(minutes=30)).isoformat()})
    assert moved.status == 200, moved  # half an hour ahead by the clock that is set
    clock.set(-1800 + 5)
    begun(c, six)
    assert status(c, two) == "scheduled"
    clock.set(7200 + 5)
    begun(c, two)
    jumping.kill()
    clock.set(0)
    jumping.start()
    c = Client(jumping)
    last = plan(c, clock.now() + datetime.timedelta(seconds=1), "last")
    begun(c, last)
    assert sorted(e["subject"] for e in inbox(c, "ana@jump.test")) == ["in 1 h", "in 2 h", "in 6 h", "last", "soon"]


@pytest.mark.only_mongo("there the database's clock decides")
def test_a_node_whose_clock_is_set_begins_nothing_early_or_late(jumping, clock):
    c, now = Client(jumping), datetime.datetime.now(datetime.timezone.utc)
    for ahead in (2 * 3600, -2 * 3600):
        hour = plan(c, now + hours(1), "in an hour")
        clock.set(ahead)
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        soon = plan(c, at, "soon")
        begun(c, soon)
        assert datetime.datetime.now(datetime.timezone.utc) >= at - datetime.timedelta(seconds=0.5) and status(c, hour) == "scheduled"
        clock.set(0)
