"""Three members, and everything that can befall them and us while mail comes in: nothing that was acknowledged is lost, nothing is there
twice. tests/store/test_mongo_faults.c does the same below the service. The control commits with w:1 (fault builds,
POSTRIDER_TEST_WRITE_CONCERN), and must lose mail, or the harness sees nothing."""
import os
import shutil
import signal
import time

import mongod
import pytest
from faults import Fate, Follower, Load, count, entries_of, report
from server import Server, until

SOAK = bool(os.environ.get("POSTRIDER_SOAK"))
# Processes, mails to be acknowledged, how often each harm is done at least.
RUNS = [(1, 100_000, 40), (2, 20_000, 20)] if SOAK else [(1, 2_000, 3), (2, 700, 2)]
USERS = 3
pytestmark = pytest.mark.own_store("mongo")

# What a door may say; 503 with its reasons, and a 409 while the first request of a key has not ended for the server that takes it.
ALLOWED = {
    "smtp": {"220", "250", "354", "451", "421", "closed", "refused"},
    "api": {"202", "503 unavailable", "503 queue_full", "closed", "refused"},
    "keyed": {"202", "503 unavailable", "503 queue_full", "409 idempotency_in_progress", "closed", "refused", "replayed"},
    "newcomer": {"201", "503 unavailable", "503 queue_full", "409 idempotency_in_progress", "closed", "refused", "replayed"},
}


@pytest.fixture
def members():
    """A set of the test's own: terms are counted."""
    set_of_three = mongod.ReplicaSet(3)
    set_of_three.settled()
    yield set_of_three
    set_of_three.stop()


@pytest.fixture
def begin(tmp_path, members):
    """Starts servers over one database with their users; all have the first one's server.key."""
    servers, users = [], [f"u{i}@crash.test" for i in range(USERS)]

    def start(n=1, env=None):
        servers.append(Server(data=tmp_path / "one", store=members.uri()).start())
        for user in users:
            servers[0].user(user, quota=1 << 40)
        for i in range(1, n):
            data = tmp_path / f"more{i}"
            data.mkdir(mode=0o700)
            shutil.copy(servers[0].data / "server.key", data)
            servers.append(Server(data=data, store=servers[0].store).start())
        if env:
            servers[0].stop()
            servers[0].env = env
            servers[0].start()
        return servers, users

    yield start
    for server in servers:
        server.kill()


def check_answers(load):
    wrong = {(door, what): n for (door, what), n in load.answers.items() if what not in ALLOWED[door]}
    assert not wrong


@pytest.mark.timeout(24 * 3600 if SOAK else 600)
@pytest.mark.parametrize("n, goal, least", RUNS, ids=["one process", "two processes"])
def test_nothing_acknowledged_is_lost_or_doubled(members, begin, n, goal, least):
    began = time.monotonic()
    servers, users = begin(n)
    follower = Follower(servers)
    follower.thread.start()
    with Load(servers, users) as load:
        fate = Fate(members, servers, load, servers[-1:])
        fate.run(goal, least)
        members.settled()
    followed = follower.end()
    servers[0].restart()
    result = count(load, servers[0], followed)
    report(load, fate, members, result, began)
    for s in servers:
        s.stop()
    assert not result.lost and not result.doubled
    check_answers(load)


def partition(members, load):
    """The primary alone takes mail as long as it will, and then does not know of the others' election. What was acknowledged meanwhile.
    The others are killed, not frozen: a frozen member would read what its sockets hold when it goes on, and have most of it after all."""
    primary = members.primary()
    others = [i for i in range(3) if i != primary]
    for i in others:
        members.kill(i)
    before = set(load.acknowledged)
    until(lambda: b"\x08secondary\0\x01" in members.hello(primary))  # nobody answers it: it steps down by itself
    members.signal(primary, signal.SIGSTOP)
    for i in others:
        members.restart(i)
    until(lambda: members.primary() in others)
    alone = load.acknowledged - before
    members.signal(primary, signal.SIGCONT)
    load.wait_more(20)
    load.end()
    members.settled()
    return alone


@pytest.mark.parametrize("concern", ["majority", "1"])
def test_a_partitioned_primary_loses_only_in_the_control(members, begin, concern):
    [server], users = begin(env={"POSTRIDER_TEST_WRITE_CONCERN": concern})
    with Load([server], users, ["smtp"] * 8) as load:
        load.wait_more(100)
        alone = partition(members, load)
    there = {e["subject"] for user in users for e in entries_of(server, user)}
    lost = load.acknowledged - there
    server.stop()
    print(f"\nw:{concern}: {len(alone)} acknowledged by a primary alone, {len(lost)} of {len(load.acknowledged)} lost")
    assert bool(lost) == (concern == "1")
    check_answers(load)
