"""The store goes away while everything runs, and comes back: frozen, killed, or without a majority. The process stays,
every door says so at once in its own way, and service resumes by itself. Then commits whose answers are lost on the
way, between a real server and ours."""
import contextlib
import pathlib
import signal
import socket
import struct
import threading
import time

import mongod
import pytest
from server import PASSWORD, Server, until
from test_store_open import refused
from wire import Pop3, Smtp, plain

pytestmark = pytest.mark.own_store("mongo")
KNOWN = 8.0  # seconds within which it is known that the store is away
AT_ONCE = 1.0
ANA = "ana@away.test"
AWAY_WAIT = 4


def text(subject):
    return f"From: x@out.test\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


def send(s, subject):
    with Smtp(s.address("smtp"), hello="client.test") as c:
        return c.to("x@out.test", ANA).data(text(subject))


def subjects(s):
    return sorted(entry["subject"] for entry in s.entries(ANA))


@contextlib.contextmanager
def at_once():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < AT_ONCE, "not at once"


def readiness(s):
    with at_once():
        return s.get("/readyz", key=False)


class Sessions:
    """Opened while all was well: one of each kind that something can be asked of."""

    def __init__(self, s):
        self.hello = Smtp(s.address("smtp"), hello="client.test")
        self.mail = Smtp(s.address("smtp"), hello="client.test")
        assert self.mail.say("MAIL FROM:<x@out.test>").startswith("250")
        self.data = Smtp(s.address("smtp"), hello="client.test").to("x@out.test", ANA)
        assert self.data.say("DATA").startswith("354")
        self.login = Smtp(s.address("submission"), hello="client.test")
        self.drop = Pop3(s.address("pop3"))
        assert self.drop.login(ANA, PASSWORD).startswith(b"+OK")
        assert self.drop.say("DELE 1").startswith(b"+OK")

    def close(self):
        for c in (self.hello, self.mail, self.data, self.login, self.drop):
            c.close()


def all_doors_say_so(s, open_before):
    """Within a second each, but for the mail that waits AWAY_WAIT for a primary."""
    with at_once():
        assert s.get("/livez", key=False).status == 200
    answer = readiness(s)
    assert (answer.status, answer.json["code"]) == (503, "unavailable"), answer
    for call in (lambda: s.get("/v1/users"), lambda: s.post("/v1/messages", {"from": ANA, "to": ANA, "text": "x"}),
                 lambda: s.get("/v1/users", basic=(ANA, PASSWORD))):
        with at_once():
            answer = call()
        assert (answer.status, answer.json["code"]) == (503, "unavailable"), answer
        assert int(answer.headers["Retry-After"]) > 0 and answer.headers["Content-Type"] == "application/problem+json"
    with at_once(), Smtp(s.address("smtp")) as c:
        assert c.greeting.startswith("421 4.3.0"), c.greeting
        assert c.reply() == ""
    with at_once():
        assert open_before.hello.say("MAIL FROM:<x@out.test>").startswith("451 4.3.0")
    with at_once():
        assert open_before.mail.say(f"RCPT TO:<{ANA}>").startswith("451 4.3.0")
    with at_once():
        assert open_before.login.say("AUTH PLAIN " + plain(ANA, PASSWORD)).startswith("454 4.7.0")
    with at_once(), Pop3(s.address("pop3")) as c:
        assert c.login(ANA, PASSWORD).startswith(b"-ERR [SYS/TEMP]")
    with at_once():
        assert open_before.drop.say("RETR 2").startswith(b"-ERR [SYS/TEMP]")
    began = time.monotonic()
    open_before.data.send(text("in between") + b".\r\n")
    assert open_before.data.reply().startswith("451 4.3.0")
    assert open_before.drop.say("QUIT").startswith(b"-ERR [SYS/TEMP]")
    assert time.monotonic() - began < 2 * (AWAY_WAIT + 10)
    assert s.process.poll() is None


def goes_and_comes(replicas, go, come):
    with Server("--set", f"store.away_wait={AWAY_WAIT}s", store=replicas.uri()) as s:
        s.user(ANA)
        assert send(s, "first").startswith("250")
        assert send(s, "second").startswith("250")
        open_before = Sessions(s)
        go()
        try:
            began = time.monotonic()
            until(lambda: readiness(s).status == 503, KNOWN)
            print(f"known after {time.monotonic() - began:.1f} s")
            all_doors_say_so(s, open_before)
        finally:
            come()
        began = time.monotonic()
        until(lambda: readiness(s).status == 200, 40)
        print(f"back after {time.monotonic() - began:.1f} s")
        open_before.close()
        assert send(s, "last").startswith("250")
        there = subjects(s)
        assert [x for x in there if x not in ("in between", "first")] == ["last", "second"], there
        assert there.count("in between") <= 1 and there.count("first") <= 1
        assert len(there) == len(set(there))


@pytest.fixture(scope="module")
def single():
    replicas = mongod.ReplicaSet(1)
    yield replicas
    replicas.stop()


def test_frozen(single):
    goes_and_comes(single, lambda: single.signal(0, signal.SIGSTOP), lambda: single.signal(0, signal.SIGCONT))


def test_killed(single):
    goes_and_comes(single, lambda: single.kill(0), lambda: single.restart(0))


def test_without_a_majority():
    replicas = mongod.ReplicaSet(3)
    try:
        replicas.settled()
        others = [i for i in range(3) if i != replicas.primary()]
        goes_and_comes(replicas, lambda: [replicas.signal(i, signal.SIGSTOP) for i in others],
                       lambda: [replicas.signal(i, signal.SIGCONT) for i in others])
    finally:
        for i in range(3):
            replicas.signal(i, signal.SIGCONT)
        replicas.stop()


def test_starting_while_it_is_away(single):
    """Nothing waits for it: whoever starts the server sees why, and starts it again (systemd: Restart=)."""
    single.signal(0, signal.SIGSTOP)
    try:
        refused(single.uri(), "cannot be reached", seconds=12)
    finally:
        single.signal(0, signal.SIGCONT)


def test_a_short_absence_is_waited_out(single):
    """As in an election: nobody hears of it."""
    with Server(store=single.uri()) as s:
        s.user(ANA)
        with Smtp(s.address("smtp"), hello="client.test") as c:
            c.to("x@out.test", ANA)
            assert c.say("DATA").startswith("354")
            single.signal(0, signal.SIGSTOP)
            c.send(text("patient") + b".\r\n")
            time.sleep(1.5)
            assert readiness(s).status == 200
            single.signal(0, signal.SIGCONT)
            assert c.reply().startswith("250")
        assert subjects(s) == ["patient"]


# ---- commits whose answers are lost ----

class Between:
    """Stands between us and the server, and sees commits go by. `lose(n, how)` loses the next n: "before" they come to
    the server, "after" it has answered; "killed": the server is killed when it has answered."""

    def __init__(self, replicas):
        self.replicas, self.left, self.how, self.lost = replicas, 0, None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def uri(self):
        name = self.replicas.uri().rsplit("/", 1)[1].split("?")[0]
        return f"mongodb://127.0.0.1:{self.listener.getsockname()[1]}/{name}?directConnection=true"

    def lose(self, n, how):
        with self.lock:
            self.left, self.how, self.lost = n, how, 0

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                c, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(c,), daemon=True).start()

    def message(self, s):
        head = mongod.script.read(s, 4)
        return head + mongod.script.read(s, struct.unpack("<i", head)[0] - 4)

    def is_to_be_lost(self, m):
        if b"\x10commitTransaction\0" not in m:
            return None
        with self.lock:
            if not self.left:
                return None
            self.left -= 1
            self.lost += 1
            return self.how

    def carry(self, c):
        with contextlib.suppress(OSError), c, socket.create_connection(("127.0.0.1", self.replicas.ports[0]), 5) as to:
            to.settimeout(None)
            losing = []
            threading.Thread(target=self.bring, args=(to, c, losing), daemon=True).start()
            while True:
                m = self.message(c)
                how = self.is_to_be_lost(m)
                if how == "before":
                    break
                if how:
                    losing.append(how)
                to.sendall(m)

    def bring(self, to, c, losing):
        with contextlib.suppress(OSError):
            while True:
                m = self.message(to)
                if losing:
                    if losing[0] == "killed":
                        self.replicas.kill(0)
                        self.replicas.restart(0)
                    break
                c.sendall(m)
        for one in (c, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("how, n", [("before", 1), ("before", 4), ("after", 1), ("after", 4), ("killed", 1)])
def test_a_commit_whose_answer_is_lost(single, how, n):
    """Resolved by us: the caller hears 250 and 202, and each mail is there once."""
    between = Between(single)
    with Server("--set", "store.read_timeout=20s", store=between.uri()) as s:  # a busy machine starts a server in that time
        s.user(ANA)
        between.lose(n, how)
        assert send(s, "by smtp").startswith("250")
        assert between.lost == n, "no commit was lost: the test shows nothing"
        between.lose(n, how)
        answer = s.post("/v1/messages", {"from": ANA, "to": ANA, "subject": "by api", "text": "x"})
        assert answer.status == 202, answer
        assert between.lost == n
        assert subjects(s) == ["by api", "by smtp"]
        assert s.process.poll() is None


def test_a_commit_that_stays_unknown(single):
    """Until the deadline; then 503, and the mail is there or not, once."""
    between = Between(single)
    with Server("--set", "api.call_deadline=2s", store=between.uri()) as s:
        s.user(ANA)
        between.lose(10**6, "after")
        began = time.monotonic()
        answer = s.post("/v1/messages", {"from": ANA, "to": ANA, "subject": "unknown", "text": "x"})
        took = time.monotonic() - began
        between.lose(0, None)
        assert (answer.status, answer.json["code"]) == (503, "unavailable"), answer
        assert took < 40, took
        assert subjects(s).count("unknown") <= 1
        assert send(s, "next").startswith("250")
        assert pathlib.Path(f"/proc/{s.process.pid}").exists()
