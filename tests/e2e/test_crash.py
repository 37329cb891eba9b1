"""kill -9 at random points under load: every acknowledged mail is there, once.

Each mail carries a number. A sender notes the number once it has heard 250 or 202. After each kill the server starts again on the same
folder; at the end every noted number must be in the mailbox exactly once, and what was not acknowledged 0 or 1 times. The controls
(acknowledge before the commit; synchronous=OFF under the forgetting file system) must lose mail, or the harness sees nothing.
Fault builds read POSTRIDER_TEST_*; a release build has none of it."""
import http.client
import json
import os
import random
import smtplib
import socket
import threading
import time
import uuid

import pymongo
import pytest
from faults import mail_of
from server import PASSWORD, Server, until

SOAK = bool(os.environ.get("POSTRIDER_SOAK"))
CYCLES = 1000 if SOAK else 50
SENDERS = 4


class Load:
    """Senders by SMTP and by API that go on over restarts, and what was answered."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.answered, self.tried, self.stop = set(), set(), threading.Event()
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=f, args=(i,), daemon=True) for i in range(SENDERS) for f in (self.smtp, self.api)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60)

    def note(self, number):
        with self.changed:
            self.answered.add(number)
            self.changed.notify_all()

    def wait_answers(self, more, seconds=60):
        with self.changed:
            goal = len(self.answered) + more
            return self.changed.wait_for(lambda: len(self.answered) >= goal, seconds)

    def next(self):
        number = f"n-{uuid.uuid4().hex}"
        self.tried.add(number)
        return number

    def pause(self):
        self.stop.wait(0.01)  # the server is away: do not burn the processor until it is back

    def smtp(self, i):
        while not self.stop.is_set():
            try:
                with smtplib.SMTP(*self.server.address("smtp"), timeout=10) as c:
                    while not self.stop.is_set():
                        number = self.next()
                        size = random.choice([10, 5000, 400_000])
                        c.sendmail("x@y.test", [self.user], f"Subject: {number}\r\n\r\n".encode() + b"0123456789abcde\r\n" * (size // 17))
                        self.note(number)
            except (OSError, smtplib.SMTPException, KeyError, AttributeError):
                self.pause()

    def api(self, i):
        while not self.stop.is_set():
            try:
                c = http.client.HTTPConnection(*self.server.address("api")[0].replace("http://", "").split(":")[:1], self.server.port("api"), timeout=10)
                while not self.stop.is_set():
                    number = self.next()
                    c.request("POST", "/v1/messages", json.dumps({"from": self.user, "to": self.user, "subject": number, "text": "x"}),
                              {"Authorization": f"Bearer {self.server.key}", "Content-Type": "application/json"})
                    r = c.getresponse()
                    r.read()
                    if r.status == 202:
                        self.note(number)
            except (OSError, http.client.HTTPException, KeyError, AttributeError):
                self.pause()


def subjects(server, user):
    """Every subject in the inbox, page by page."""
    box, after, out = server.mailbox(user)["id"], "", []
    while True:
        page = server.get(f"/v1/mailboxes/{box}/entries?limit=100{after}").json
        out += [e["subject"] for e in page["data"]]
        if not page["has_more"]:
            return out
        after = f"&after={page['next']}"


def crash_run(folder, cycles, env=None):
    """Cycles of load and kill; returns (lost, doubled, answered)."""
    s = Server(data=folder / "data").start()
    user = "ana@crash.test"
    s.user(user, quota=1 << 40)
    s.stop()
    s.env = env or {}
    s.start()
    with Load(s, user) as load:
        for _ in range(cycles):
            assert load.wait_answers(random.randint(1, 40)), s.log_text()[-3000:]
            time.sleep(random.random() * 0.02)  # lands the kill anywhere between two answers
            s.kill()
            s.start()
    s.kill()
    s.start()
    found = subjects(s, user)
    box = s.mailbox(user)
    s.stop()
    assert set(found) <= load.tried
    assert box["total"] == len(found)
    return load.answered - set(found), len(found) - len(set(found)), len(load.answered)


def test_nothing_answered_is_lost_or_doubled(tmp_path):
    lost, doubled, answered = crash_run(tmp_path, CYCLES)
    print(f"{CYCLES} kills, {answered} answered")
    assert not lost and not doubled


@pytest.mark.only_sqlite("what a lost commit looks like is the harness's; the control of MongoDB is test_mongo_crash.py's")
def test_control_that_answers_before_the_commit_loses_mail(tmp_path):
    lost, _, _ = crash_run(tmp_path, 10, {"POSTRIDER_TEST_EARLY_ANSWER": "1"})
    assert lost


@pytest.mark.only_sqlite("the forgetting file system is SQLite's; what a MongoDB without its majority loses is in test_mongo_crash.py")
def test_nothing_is_lost_when_the_disk_forgets_what_was_not_synced(tmp_path):
    lost, doubled, answered = crash_run(tmp_path, CYCLES // 5, {"POSTRIDER_TEST_VFS": "forget"})
    assert answered and not lost and not doubled


@pytest.mark.parametrize("door", ["smtp", "api"])
def test_a_large_mail_is_whole_once_it_was_answered(tmp_path, door):
    """Its pieces went to the store before, and nobody waited until they were on the disk: the last batch answers for all of them."""
    s = Server(data=tmp_path / "data").start()
    ana, other = "ana@large.test", "other@large.test"
    for user in (ana, other):
        s.user(user, quota=1 << 40)
    s.stop()
    s.env = {"POSTRIDER_TEST_VFS": "forget"}
    for i in range(2):
        s.start()
        mail = mail_of(ana, f"large {i}", 3_000_000 + 100_000 * i)
        if i % 2:  # others' commits among its pieces
            with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
                c.sendmail("x@y.test", [other], b"Subject: small\r\n\r\nx\r\n")
        if door == "smtp":
            with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
                c.sendmail("x@y.test", [ana], mail)
                s.kill()
        else:
            a = s.post(f"/v1/messages?from={ana}&to={ana}", raw=mail.replace(b"<x@peer.test>", f"<{ana}>".encode()), headers={"Content-Type": "message/rfc822"})
            s.kill()
            assert a.status == 202, a
        s.start()
        [entry] = [e for e in s.entries(ana) if e["subject"] == f"large {i}"]
        assert s.raw(entry).endswith(mail.split(b"\r\n\r\n", 1)[1])
        s.stop()


@pytest.mark.only_sqlite("the forgetting file system is SQLite's; what a MongoDB without its majority loses is in test_mongo_crash.py")
def test_control_without_sync_loses_mail(tmp_path):
    lost, _, _ = crash_run(tmp_path, 5, {"POSTRIDER_TEST_VFS": "forget", "POSTRIDER_TEST_SYNCHRONOUS": "off"})
    assert lost


def test_a_mail_for_1000_is_filed_once_each_over_kills(tmp_path):
    s = Server(data=tmp_path / "data").start()
    s.make("/v1/domains", {"name": "many.test"})
    users = [f"u{i}@many.test" for i in range(1000)]
    for u in users:
        s.make("/v1/users", {"address": u})
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("x@y.test", users, b"Subject: to all\r\n\r\nx\r\n")
    for _ in range(5):
        s.kill()
        s.start()
    key = {"key": s.key}

    def open_deliveries():
        return [d for st in ("queued", "sending", "deferred") for d in s.get(f"/v1/deliveries?status={st}&limit=1", **key).json["data"]]

    until(lambda: not open_deliveries(), 120)
    for u in users[::37] + users[-3:]:
        assert [e["subject"] for e in s.entries(u)] == ["to all"], u
    total = sum(s.mailbox(u)["total"] for u in users)
    assert total == 1000
    s.stop()


def every_yes_is_true(s, codes, heal, most=1000):
    """Mail until it was refused four times, or so often in all; what was answered with 250 is there after the fault, once."""
    answered, refused, number = set(), set(), 0
    while len(refused) < 4 and number < most:
        number += 1
        try:
            with smtplib.SMTP(*s.address("smtp"), timeout=30) as c:
                c.sendmail("x@y.test", ["ana@fault.test"], f"Subject: s{number}\r\n\r\nx\r\n".encode())
            answered.add(f"s{number}")
        except smtplib.SMTPRecipientsRefused as e:
            refused.add(next(iter(e.recipients.values()))[0])
        except smtplib.SMTPResponseException as e:
            refused.add((number, e.smtp_code))
            assert e.smtp_code in codes, e
            assert s.get("/livez").status == 200
            until(lambda: s.get("/readyz", key=False).status == 200)
    s.kill()
    heal()
    s.start()
    found = subjects(s, "ana@fault.test")
    s.stop()
    assert answered and answered <= set(found) and len(found) == len(set(found))


@pytest.mark.only_sqlite("the disk is mongod's there: the next test")
@pytest.mark.parametrize("fault, codes", [("full:150", (452,)), ("io:150", (451, 452))])
def test_failing_disk_never_answers_yes(tmp_path, fault, codes):
    """Every 150th write fails: that mail is refused for now, the server tries by itself whether the disk works again, and each 250 is true."""
    s = Server(data=tmp_path / "data").start()
    s.user("ana@fault.test")
    s.stop()
    s.env = {"POSTRIDER_TEST_VFS": fault}
    s.start()
    every_yes_is_true(s, codes, s.env.clear)


@pytest.mark.only_mongo("the disk of a mongod, played by its fail points")
@pytest.mark.parametrize("fault, codes, most", [({"errorCode": 14031}, (452,), 1000), ({"errorCode": 8}, (451,), 1000),
                                                ({"closeConnection": True}, (451,), 30)], ids=["full", "unknown", "hang-up"])
def test_failing_mongod_never_answers_yes(tmp_path, fault, codes, most):
    """Of the writes of a mail's transaction some fail. After a hang-up the group is tried again: no mail needs to be refused."""
    s = Server(data=tmp_path / "data").start()
    s.user("ana@fault.test")
    point = {"configureFailPoint": "failCommand", "mode": {"activationProbability": 0.03}}
    with pymongo.MongoClient(s.store) as client:
        client.admin.command(point | {"data": {"failCommands": ["insert"], "appName": "postrider"} | fault})
        every_yes_is_true(s, codes, lambda: client.admin.command(point | {"mode": "off"}), most)
