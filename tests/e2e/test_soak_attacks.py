"""Mixed load with the attacks running: mail by SMTP and by API, mailboxes read by POP3, and beside them strangers who do what they should not.
Nothing ends, all that was acknowledged is there, and when it is over memory and descriptors are where they were.

Rounds of load, each followed by a look at an idle server: the first makes warm, the last may hold no more than it. Two short rounds in the
suite; with POSTRIDER_SOAK=20 (script/test --soak) one a minute for 20 minutes. A hostile client is a function that does its harm once."""
import json
import os
import pathlib
import random
import socket
import threading
import time

import pytest
from api_client import door
from faults import Load
from server import PASSWORD, RELEASE, Server, until
from shown import every
from test_limits import memory
from wire import Pop3, Smtp, Wire

MINUTES = int(os.environ.get("POSTRIDER_SOAK") or 0)
ROUNDS, SECONDS, PAUSE = (MINUTES, 60, 0.2) if MINUTES else (2, 6, 0.05)
GROWS = 24 * 1024  # KiB beyond the first round: what the allocator keeps in pieces
USERS = [f"u{i}@soak.test" for i in range(4)]
READER, VICTIM = "reader@soak.test", "victim@soak.test"


# ---- hostile clients ----

def stranger():
    """An address of ours that is not the load's."""
    return f"127.{random.randint(1, 200)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def http(s, head, body=b"", source=None):
    """A connection on which this was said and nothing was read."""
    c = Wire(door(s), source=source or stranger(), timeout=10)
    c.send(head.replace("\n", "\r\n").encode() + body)
    return c


def envelope(s):
    return Smtp(s.address("smtp"), hello="bad.test", source=stranger(), timeout=30).to("x@bad.test", VICTIM)


def half_a_mail(s):
    """Headers without end, and gone amid them."""
    with envelope(s) as c:
        if c.say("DATA").startswith("354"):
            c.send((b"X-H: " + b"h" * 900 + b"\r\n") * random.randint(1, 600))
        c.reset()


def hung_up(s):
    """A request that promises more than it sends."""
    http(s, "POST /v1/messages HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 65536\n\n", b"{" * random.randint(0, 60_000)).reset()


def one_octet(s):
    with Wire(door(s), source=stranger()) as c:
        c.send(b"x")


def unread_answers(s):
    """A large answer, many times over, that nobody reads."""
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.settimeout(5)
    try:
        c.connect(door(s))
        c.sendall(f"GET /v1/entries/{s.large} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {s.key}\r\n\r\n".encode() * 8)
        c.recv(1)
    finally:
        c.close()


def huge_json(s):
    body = b'{"to":[' + b"{}," * 300_000 + b"0]}"
    head = f"POST /v1/messages HTTP/1.1\nHost: x\nAuthorization: Bearer {s.key}\nContent-Type: application/json\nContent-Length: {len(body)}\n\n"
    with http(s, head, body) as c:
        assert c.line()[9:12] in (b"413", b"422", b"503", b""), "such a tree is no mail"


def guesses(s):
    """Wrong passwords for users there are and are not."""
    with Pop3(s.address("pop3"), source=stranger(), timeout=30) as c:
        for user in (VICTIM, f"n{random.random()}@soak.test"):
            assert not c.login(user, "not the password").startswith(b"+OK")


def bare_lf(s):
    """One refusal, or the end; the second command must not be heard."""
    with Smtp(s.address("smtp"), hello="bad.test", source=stranger()) as c:
        c.send(b"NOOP a\nMAIL FROM:<smuggled@bad.test>\r\n")
        assert c.reply()[:1] in ("5", "")


def smuggled_request(s):
    """Two lengths in one head: one answer, and not of the request that is hidden in the body."""
    hidden = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for field in ("Content-Length : {}", "Transfer-Encoding : chunked", "Content-Length: 5\nContent-Length: {}"):
        head = "POST /v1/messages HTTP/1.1\nHost: x\n" + field.format(len(hidden)) + "\nConnection: close\n\n"
        with http(s, head, hidden) as c:
            assert c.until_end().count(b"HTTP/1.1 200") == 0


def charset_mail(s):
    """Parameters that grow when they are decoded, and words whose charset changes from one to the next."""
    words = b"".join(b"=?%s?q?a?=" % (b"gb18030", b"big5", b"iso-2022-jp", b"euc-kr", b"xx%d" % i)[i % 5] for i in range(400))
    part = (b"--B\r\nContent-Type: text/plain; charset=\"" + b"\xff" * 20_000 + b"\"\r\n"
            b"Content-Disposition: attachment; filename=\"" + words + b"\"\r\n\r\nx\r\n")
    with envelope(s) as c:
        c.data(b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" + part * 20 + b"--B--\r\n")


HOSTILE = [half_a_mail, hung_up, one_octet, unread_answers, huge_json, guesses, bare_lf, smuggled_request, charset_mail]


class Hostile:
    """Threads that take the hostile clients by turns; one that hears nothing, is refused or cut off has got what it deserves."""

    def __init__(self, s, threads=3):
        self.s, self.stop, self.wrong, self.did = s, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]

    def run(self, i):
        while not self.stop.wait(PAUSE):
            i += 1
            try:
                HOSTILE[i % len(HOSTILE)](self.s)
            except OSError:
                pass
            except AssertionError as e:
                self.wrong.append((HOSTILE[i % len(HOSTILE)].__name__, str(e)[:500]))
            self.did += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60)


# ---- the load ----

class Mixed(Load):
    """Mail, and somebody who reads it; at a pace that leaves a mailbox that can be counted."""

    def next(self, door, user=None):
        self.stop.wait(PAUSE)
        return super().next(door, user)

    def pop3(self, i):
        while not self.stop.wait(PAUSE):
            with Pop3(self.servers[0].address("pop3"), timeout=60) as c:
                if not c.login(READER, PASSWORD).startswith(b"+OK"):
                    self.heard("pop3", "refused")
                    continue
                for n in range(1, 6):
                    assert b"Subject: " in c.fetch(f"RETR {n}")
                self.heard("pop3", "read")
                c.say("QUIT")


def round_of_load(s):
    load = Mixed([s], USERS, doors=("smtp", "smtp", "api", "keyed", "pop3"), sizes=[200] * 6 + [5_000] * 3 + [100_000])
    with Hostile(s) as hostile, load:
        threading.Event().wait(SECONDS)
        load.wait_more(5)
    assert not hostile.wrong, hostile.wrong[:3]
    assert s.process.poll() is None, s.log_text()[-6000:]
    assert load.answers["pop3", "read"] and hostile.did >= len(HOSTILE), (load.answers, hostile.did)
    return load.acknowledged


def settled(s, descriptors):
    """Descriptors are back; what is held then, in KiB."""
    until(lambda: s.descriptors() <= descriptors + 20, 60)
    held = [memory(s)]

    def rests():
        time.sleep(0.2)
        held.append(memory(s))
        return held[-1] >= held[-2] - 64

    until(rests, 60)
    return held[-1]


def large_entry(s):
    """The id of a mail whose JSON is large."""
    text = b"\x01" * 900 + b"\r\n"
    mail = b"From: a@b.test\r\nContent-Type: text/plain\r\n\r\n" + text * 1000
    r = s.call("POST", f"/v1/mailboxes/{s.mailbox(VICTIM)['id']}/entries", raw=mail, headers={"Content-Type": "message/rfc822"})
    assert r.status == 201, r
    return r.json["id"]


@pytest.mark.timeout(300 + MINUTES * 180)
def test_load_and_attacks_leave_nothing_behind(store):
    if not pathlib.Path(RELEASE).exists():
        pytest.skip("no release build")
    with Server(binary=RELEASE) as s:
        for user in (*USERS, READER, VICTIM):
            s.user(user, quota=1 << 40)
        for i in range(5):
            s.make("/v1/messages", {"from": READER, "to": READER, "subject": f"{i}", "text": "x"})
        s.large, start = large_entry(s), s.descriptors()
        acknowledged, held = set(), []
        for _ in range(ROUNDS):
            acknowledged |= round_of_load(s)
            held.append(settled(s, start))
        print(json.dumps({"store": store, "rounds": ROUNDS, "acknowledged": len(acknowledged), "descriptors": [start, s.descriptors()], "KiB": held}))
        assert held[-1] <= held[len(held) // 3] + GROWS, held  # in a long run the store's caches fill first
        found = [e["subject"] for user in USERS for e in every(s, f"/v1/mailboxes/{s.mailbox(user)['id']}/entries")]
        assert acknowledged <= set(found) and len(found) == len(set(found)), (len(acknowledged), len(found))
