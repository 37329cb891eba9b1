"""Mail under faults: clients that write down what they were answered, whoever does harm meanwhile, and the count at the end.

Each mail carries a number, and content that follows from it. A number is acknowledged once its client has heard 250 or 202. Every answer of a
door is counted, so that a test can say which there may be."""
import collections
import email
import hashlib
import http.client
import json
import random
import signal
import socket
import threading
import time
import uuid

from server import PASSWORD, until
from wire import Pop3, Smtp

PATIENCE = 90  # a client that hears nothing for so long has found a fault


def text_of(number, size):
    """Lines that nobody can have made up, and that do not compress."""
    noise = random.Random(number)
    return "".join(f"{noise.getrandbits(280):070x}\n" for _ in range(size // 71 + 1))


def mail_of(user, number, size):
    """What is sent by SMTP, as it goes over the wire."""
    return f"From: <x@peer.test>\r\nTo: <{user}>\r\nSubject: {number}\r\n\r\n".encode() + text_of(number, size).replace("\n", "\r\n").encode()


class Load:
    """Clients of the servers, over their restarts. Of the API's, some repeat a request under its Idempotency-Key until they know
    what became of it; nobody else asks twice."""

    SIZES = ([200] * 6 + [5_000] * 3 + [400_000]) * 4 + [1_200_000]

    def __init__(self, servers, users, doors=("smtp", "api", "keyed") * 3 + ("newcomer",), sizes=SIZES):
        self.servers, self.users, self.sizes = servers, users, sizes
        self.answers = collections.Counter()  # (door, what): how often
        self.numbers = {}  # of each try: (user, door, size)
        self.acknowledged = set()
        self.ids = collections.defaultdict(set)  # of messages, as the API said
        self.newcomers = []  # users made meanwhile; they have no password
        self.slowest = 0.0
        self.stop, self.abandoned = threading.Event(), threading.Event()
        self.changed = threading.Condition()
        self.broken = []
        self.threads = [threading.Thread(target=self.guard, args=(getattr(self, door), i), daemon=True) for i, door in enumerate(doors)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.abandoned.set() if kind else None
        self.end()

    def end(self):
        """No new mail; those who repeat go on until they know."""
        self.stop.set()
        for t in self.threads:
            t.join(3 * PATIENCE)
        assert not any(t.is_alive() for t in self.threads)
        assert not self.broken, self.broken

    def guard(self, client, i):
        try:
            client(i)
        except Exception as e:  # shown by end(): a client's own failure is the test's
            self.broken.append(repr(e))
            raise

    # ---- what is noted ----

    def next(self, door, user=None):
        number = f"n-{uuid.uuid4().hex}"
        with self.changed:
            self.numbers[number] = (user or random.choice(self.users), door, random.choice(self.sizes))
        return number, *self.numbers[number]

    def heard(self, door, what):
        with self.changed:
            self.answers[door, what] += 1
        return what

    def note(self, number):
        with self.changed:
            self.acknowledged.add(number)
            self.changed.notify_all()

    def more(self, n, seconds):
        """Waits until so many more are acknowledged; False when they were not in time."""
        with self.changed:
            goal = len(self.acknowledged) + n
            return self.changed.wait_for(lambda: len(self.acknowledged) >= goal, seconds)

    def wait_more(self, n, seconds=60):
        assert self.more(n, seconds), f"no service for {seconds} s; {dict(self.answers)}; {self.servers[0].log_text()[-3000:]}"

    def timed(self, began):
        self.slowest = max(self.slowest, time.monotonic() - began)

    def pause(self):
        time.sleep(0.1)  # the server is away: do not burn the processor until it is back

    # ---- SMTP ----

    def smtp(self, i):
        while not self.stop.is_set():
            self.smtp_session(i, lambda c: not self.stop.is_set() and self.smtp_mail(c))

    def smtp_session(self, i, go_on):
        try:
            with Smtp(self.servers[i % len(self.servers)].address("smtp"), timeout=PATIENCE) as c:
                self.heard("smtp", c.greeting[:3] or "closed")
                if c.greeting.startswith("220") and c.ehlo()[0]:
                    while go_on(c):
                        pass
        except TimeoutError:
            self.heard("smtp", "silence")
        except OSError:
            self.heard("smtp", "refused")
            self.pause()

    def smtp_say(self, what):
        began = time.monotonic()
        answer = what()
        self.timed(began)
        return self.heard("smtp", answer[:3] or "closed")

    def smtp_mail(self, c, user=None):
        """False when the connection has ended."""
        number, user, _, size = self.next("smtp", user)
        for line in ("MAIL FROM:<x@peer.test>", f"RCPT TO:<{user}>", "DATA"):
            code = self.smtp_say(lambda: c.say(line))
            if code[:1] not in "23":
                self.pause()
                return code != "closed" and code != "421" and self.smtp_say(lambda: c.say("RSET")) == "250"
        c.send(mail_of(user, number, size) + b".\r\n")
        code = self.smtp_say(c.reply)
        if code == "250":
            self.note(number)
        return code not in ("closed", "421")

    # ---- API ----

    def api(self, i):
        while not self.stop.is_set():
            number, user, _, size = self.next("api")
            self.post(i, number, user, size)

    def keyed(self, i):
        while not self.stop.is_set():
            number, user, _, size = self.next("keyed")
            while not self.abandoned.is_set() and self.post(i, number, user, size, number) != 202:
                self.pause()

    def newcomer(self, i):
        """A user who was just made gets mail at once; a bounce would be for good."""
        while not self.stop.is_set():
            name = f"new-{uuid.uuid4().hex}"
            address = f"{name}@{self.users[0].split('@')[1]}"
            while not self.abandoned.is_set() and self.ask(i, "newcomer", "/v1/users", {"address": address}, name)[0] != 201:
                self.pause()
            self.newcomers.append(address)
            self.smtp_session(i, lambda c: self.smtp_mail(c, address) and False)

    def post(self, i, number, user, size, key=None):
        status, answer = self.ask(i, "keyed" if key else "api", "/v1/messages",
                                  {"from": self.users[0], "to": user, "subject": number, "text": text_of(number, size)}, key)
        if status == 202:
            self.note(number)
            self.ids[number].add(answer["id"])
        return status

    def ask(self, i, door, path, body, key):
        """Status and object of the answer to a POST."""
        server, began = self.servers[i % len(self.servers)], time.monotonic()
        headers = {"Authorization": f"Bearer {self.servers[0].key}", "Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        try:
            c = http.client.HTTPConnection("127.0.0.1", server.port("api"), timeout=PATIENCE)
            c.request("POST", path, json.dumps(body), headers)
            r = c.getresponse()
            answer = json.loads(r.read())
            c.close()
        except TimeoutError:
            return self.heard(door, "silence"), None
        except ConnectionRefusedError:
            self.pause()
            return self.heard(door, "refused"), None
        except (OSError, http.client.HTTPException, ValueError):
            return self.heard(door, "closed"), None
        self.timed(began)
        self.heard(door, str(r.status) if r.status < 400 else f"{r.status} {answer['code']}")
        if r.headers.get("Idempotency-Replayed"):
            self.heard(door, "replayed")
        if r.status == 503:
            assert int(r.headers["Retry-After"]) >= 0
            self.pause()
        return r.status, answer


class Follower:
    """Reads the events as they come, in order of commit, from whichever server answers."""

    def __init__(self, servers):
        self.servers, self.seen, self.cursor, self.stop = servers, [], "", threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def step(self, server):
        page = server.get("/v1/events?follow=true&limit=100" + (f"&after={self.cursor}" if self.cursor else ""), key=self.servers[0].key)
        if page.status != 200:
            assert page.status == 503, page
            return None
        self.seen += [(e["id"], e["type"], e["message_id"]) for e in page.json["data"]]
        self.cursor = page.json["next"] or self.cursor
        return page.json["data"]

    def run(self):
        i = 0
        while not self.stop.is_set():
            i += 1
            try:
                if not self.step(self.servers[i % len(self.servers)]):
                    self.stop.wait(0.1)
            except (OSError, ValueError, http.client.HTTPException):  # the server was killed
                self.stop.wait(0.1)

    def end(self):
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        until(lambda: self.step(self.servers[0]) == [], 120)
        return self.seen


# ---- harm ----

class Fate:
    """Does harm to a set of three and to the servers over it, one thing after the other, and each time waits until mail is taken again;
    meanwhile the primary steps down every STEP_EVERY seconds, whatever else is the matter. A member is away until others have taken mail
    without it, AWAY_MOST seconds at most: of two that are left, the one steps down as the other is just found."""

    STEP_EVERY = 5.0
    AWAY_MOST = 8.0

    def __init__(self, members, servers, load, kill=None):
        self.members, self.servers, self.load, self.kill = members, servers, load, kill or servers
        self.did, self.stop = collections.Counter(), threading.Event()
        self.longest = collections.Counter()  # seconds without service after each harm
        self.steps = threading.Thread(target=self.step_down, daemon=True)

    def step_down(self):
        """By turns with a moment for another to catch up, and at once."""
        while not self.stop.wait(self.STEP_EVERY):
            catch_up = self.did["steps"] % 2
            try:
                at = self.members.primary()
                if at is not None:
                    self.members.command(at, {"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": catch_up, "force": True}, 5)
                    self.did["steps"] += 1
            except OSError:
                pass  # it was killed meanwhile, or frozen

    def victim(self):
        at = self.members.primary()
        return random.randrange(3) if at is None or random.random() < 0.3 else at

    def member_killed(self):
        at = self.victim()
        self.members.kill(at)
        self.load.more(20, self.AWAY_MOST)
        self.members.restart(at)

    def member_frozen(self):
        at = self.victim()
        self.members.signal(at, signal.SIGSTOP)
        self.load.more(20, self.AWAY_MOST)
        self.members.signal(at, signal.SIGCONT)

    def no_majority(self):
        two = random.sample(range(3), 2)
        for at in two:
            self.members.signal(at, signal.SIGSTOP)
        time.sleep(random.uniform(1, 4))
        for at in two:
            self.members.signal(at, signal.SIGCONT)

    def server_killed(self):
        server = random.choice(self.kill)
        assert server.process.poll() is None, server.log_text()[-6000:]
        server.kill()
        start_again(server)

    def run(self, goal, least):
        """Until so many mails are acknowledged and each harm was done so often."""
        pace = goal // (2 * least)
        harms = {"killed": self.member_killed, "frozen": self.member_frozen, "no majority": self.no_majority, "own kills": self.server_killed}
        self.steps.start()
        bag = []
        try:
            while len(self.load.acknowledged) < goal or any(self.did[name] < least for name in harms):
                bag = bag or random.sample(sorted(harms), len(harms))
                name = bag.pop()
                self.load.wait_more(random.randint(1, pace))
                began = time.monotonic()
                harms[name]()
                self.load.wait_more(20)
                self.did[name] += 1
                self.longest[name] = max(self.longest[name], round(time.monotonic() - began, 1))
                for server in self.servers:
                    assert server.process.poll() is None, server.log_text()[-6000:]
        finally:
            self.stop.set()
            self.steps.join(30)


def start_again(server, seconds=90):
    """As whoever watches over a service does: until it comes up. It may find no primary at first."""
    end = time.monotonic() + seconds
    while True:
        try:
            return server.start()
        except AssertionError:
            assert server.process.poll() == 1 and time.monotonic() < end, server.log_text()[-6000:]


# ---- the count ----

Result = collections.namedtuple("Result", "lost doubled there")


def entries_of(server, user):
    """Every entry of the inbox in the order of the list, which is newest first."""
    box, after, out = server.mailbox(user)["id"], "", []
    while True:
        page = server.get(f"/v1/mailboxes/{box}/entries?limit=100{after}")
        assert page.status == 200, page
        out += page.json["data"]
        if not page.json["has_more"]:
            return out
        after = f"&after={page.json['next']}"


def check_content(load, number, raw):
    """Byte for byte what was sent, behind the trace lines that are ours."""
    user, door, size = load.numbers[number]
    if door == "smtp":
        assert raw.endswith(mail_of(user, number, size)), (number, raw[:2000])
    else:
        mail = email.message_from_bytes(raw)
        assert mail["Subject"] == number
        assert mail.get_payload(decode=True).replace(b"\r\n", b"\n") == text_of(number, size).encode(), (number, raw[:2000])


def check_mailbox(load, server, user):
    """Counters, uids, and what POP3 shows of it; returns the numbers of its mails."""
    entries, box = entries_of(server, user), server.mailbox(user)
    uids = [e["uid"] for e in entries]
    assert len({e["id"] for e in entries}) == len(entries) == box["total"] == box["unseen"]
    assert uids == sorted(set(uids), reverse=True) and (not uids or uids[0] < box["uid_next"])
    assert box["bytes"] == sum(e["size"] for e in entries) == server.get(f"/v1/users/{user}").json["used"]
    if user in load.users:
        check_pop3(load, server, user, entries)
    for e in entries[::10]:
        check_content(load, e["subject"], server.raw(e))
    return [e["subject"] for e in entries]


def check_pop3(load, server, user, entries):
    """The same mails, oldest first, whole."""
    with Pop3(server.address("pop3s"), tls=True, user=user, password=PASSWORD, timeout=PATIENCE) as c:
        assert c.say("STAT").split()[1:3] == [str(len(entries)).encode(), str(sum(e["size"] for e in entries)).encode()]
        for i, e in enumerate(reversed(entries), 1):
            raw = c.fetch(f"RETR {i}")
            assert len(raw) == e["size"]
            check_content(load, e["subject"], raw)


def twice(things):
    return [x for x, n in collections.Counter(things).items() if n > 1]


def check_events(server, followed):
    """One event of its kind for each message that was taken, in the list as in the feed; returns the messages of the accepted."""
    listed, after = [], ""
    while True:
        page = server.get(f"/v1/events?limit=100{after}").json
        listed += [(e["id"], e["type"], e["message_id"]) for e in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert not twice(listed), f"listed twice: {twice(listed)}"
    assert not twice(followed), f"the feed showed it twice: {twice(followed)}"
    assert not set(listed) ^ set(followed), f"feed and list differ: {[(e, e in followed) for e in set(listed) ^ set(followed)]}"
    kinds = collections.Counter((kind, message) for _, kind, message in listed)
    assert set(kinds.values()) <= {1}, [k for k, n in kinds.items() if n > 1]
    return collections.Counter(kind for kind, _ in kinds), {message for kind, message in kinds if kind == "email.accepted"}


def count(load, server, followed):
    """Everything that is in the store against what was heard."""
    events, accepted = check_events(server, followed)  # first: reading a mail that is someone's makes an event too
    found = [number for user in load.users + load.newcomers for number in check_mailbox(load, server, user)]
    there = collections.Counter(found)
    assert set(there) <= set(load.numbers), "mail that nobody sent"
    by_smtp = sum(load.numbers[n][1] == "smtp" for n in found)
    assert events == {"email.accepted": len(found), "email.received": by_smtp, "email.delivered": len(found) - by_smtp}
    for number, ids in load.ids.items():
        assert len(ids) == 1 and (ids <= accepted or number not in there), number
    return Result(load.acknowledged - set(there), [n for n, times in there.items() if times > 1], len(found))


def report(load, fate, members, result, began):
    """The line that a run is quoted by."""
    heard = collections.defaultdict(dict)
    for (door, what), n in sorted(load.answers.items()):
        heard[door][what] = n
    print(f"\n{len(load.numbers)} tried, {len(load.acknowledged)} acknowledged, {result.there} filed, {len(result.lost)} lost, "
          f"{len(result.doubled)} doubled in {time.monotonic() - began:.0f} s; elections {members.term() - 1}, {dict(fate.did)}; "
          f"longest until 20 more were taken {dict(fate.longest)}, slowest answer {load.slowest:.1f} s\nheard: {dict(heard)}")
