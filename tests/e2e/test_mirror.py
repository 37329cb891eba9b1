"""A client that keeps a copy of mailboxes by their changes, while others change them through every door: at the end the copy is what is there."""
import poplib
import random
import smtplib
import threading

import pytest
from server import PASSWORD
from shown import every


@pytest.fixture(scope="module")
def s(server):
    return server


@pytest.fixture
def who(s, request):
    name = f"u{abs(hash(request.node.name)) % 10**10}@mirror.test"
    s.user(name)
    return name


class Copy:
    """Of one mailbox, by the rules of the contract and nothing else."""

    def __init__(self, s, box, since=None):
        self.s, self.path = s, f"/v1/mailboxes/{box['id']}"
        self.since = s.get(self.path).json["modseq"] if since is None else since
        self.entries = {e["id"]: e for e in every(s, self.path + "/entries")} if since is None else {}

    def page(self, limit):
        a = self.s.get(f"{self.path}/changes?since={self.since}&limit={limit}")
        assert a.status == 200, a
        assert a.json["modseq"] >= self.since and not {e["id"] for e in a.json["created"] + a.json["updated"]} & set(a.json["vanished"])
        self.entries |= {e["id"]: e for e in a.json["created"] + a.json["updated"]}
        for gone in a.json["vanished"]:
            self.entries.pop(gone, None)
        assert a.json["modseq"] > self.since or not a.json["has_more"], a
        self.since = a.json["modseq"]
        return a.json["has_more"]

    def catch_up(self, limit=100):
        while self.page(limit):
            pass

    def is_right(self):
        there = {e["id"]: e for e in every(self.s, self.path + "/entries")}
        assert self.entries == there, (len(self.entries), len(there), [(self.entries.get(k), there.get(k)) for k in self.entries.keys() | there.keys() if self.entries.get(k) != there.get(k)][:2])


def append(s, box, n=0):
    a = s.call("POST", f"/v1/mailboxes/{box['id']}/entries", raw=b"Subject: %d\r\n\r\nx\r\n" % n, headers={"Content-Type": "message/rfc822"})
    assert a.status == 201, a
    return a.json["id"]


def deliver(s, who, n):
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        for i in range(n):
            c.sendmail("far@away.test", [who], f"Subject: {i}\r\n\r\nx\r\n")


def pop(s, who, chance):
    """One of the three at a time has the maildrop."""
    c = poplib.POP3(*s.address("pop3"), timeout=60)
    c.user(who)
    try:
        c.pass_(PASSWORD)
    except poplib.error_proto as e:
        assert b"[IN-USE]" in e.args[0], e
        return c.close()
    for i in range(c.stat()[0]):
        if chance.random() < 0.3:
            c.dele(i + 1)
    c.quit()


class Changer(threading.Thread):
    def __init__(self, s, who, boxes, seed, steps):
        super().__init__()
        self.s, self.who, self.boxes, self.chance, self.steps, self.wrong = s, who, boxes, random.Random(seed), steps, []

    def one(self):
        """Any entry; it may go meanwhile."""
        found = self.s.get(f"/v1/mailboxes/{self.chance.choice(self.boxes)['id']}/entries?limit=100").json["data"]
        return f"/v1/entries/{self.chance.choice(found)['id']}" if found else None

    def step(self):
        what, entry = self.chance.random(), self.one()
        if what < 0.15 or not entry:
            append(self.s, self.chance.choice(self.boxes))
        elif what < 0.25:
            deliver(self.s, self.who, self.chance.randrange(1, 3))
        elif what < 0.30:
            pop(self.s, self.who, self.chance)
        else:
            change = {"mailbox_id": self.chance.choice(self.boxes)["id"]} if what < 0.55 else {"keywords": [f"k{self.chance.randrange(9)}"]} if what < 0.7 else {"seen": self.chance.random() < 0.5}
            a = self.s.call("DELETE", entry) if what > 0.9 else self.s.call("PATCH", entry, change)
            if a.status not in (200, 204, 404):
                self.wrong.append((change, a))

    def run(self):
        try:
            for _ in range(self.steps):
                self.step()
        except Exception as e:  # shown by the test
            self.wrong.append(e)


def test_a_copy_follows_every_door(s, who):
    boxes = [s.mailbox(who), s.mailbox(who, "archive"), s.make(f"/v1/users/{who}/mailboxes", {"name": "mine"})]
    for n in range(30):
        append(s, boxes[n % 3], n)
    seed = random.randrange(1 << 30)
    chance, copies = random.Random(seed), [Copy(s, box) for box in boxes] + [Copy(s, boxes[0], since=1)]
    changers = [Changer(s, who, boxes, seed + i, 40) for i in range(3)]
    for c in changers:
        c.start()
    while any(c.is_alive() for c in changers):
        chance.choice(copies).page(chance.choice([1, 2, 7, 100]))
    assert not [c.wrong for c in changers if c.wrong], (seed, [c.wrong[:2] for c in changers])
    for copy in copies:
        copy.catch_up(chance.choice([1, 3, 100]))
        copy.is_right()
        before = copy.since
        assert not copy.page(20) and copy.since == before


def test_pages_hold_what_they_should(s, who):
    inbox, archive = s.mailbox(who), s.mailbox(who, "archive")
    begin = inbox["modseq"]
    ids = [append(s, inbox, n) for n in range(5)]
    a = s.get(f"/v1/mailboxes/{inbox['id']}/changes?since={begin}&limit=2").json
    assert ([e["id"] for e in a["created"]], a["updated"], a["vanished"], a["has_more"]) == (ids[:2], [], [], True)
    assert a["created"] == [e for e in s.entries(who)[::-1] if e["id"] in ids[:2]]
    at = s.mailbox(who)["modseq"]
    s.call("PATCH", f"/v1/entries/{ids[0]}", {"flagged": True})
    s.call("PATCH", f"/v1/entries/{ids[1]}", {"mailbox_id": archive["id"]})
    s.call("DELETE", f"/v1/entries/{ids[2]}")
    s.call("PATCH", f"/v1/entries/{ids[3]}", {"mailbox_id": archive["id"]})
    s.call("PATCH", f"/v1/entries/{ids[3]}", {"mailbox_id": inbox["id"]})
    a = s.get(f"/v1/mailboxes/{inbox['id']}/changes?since={at}").json
    assert ([e["id"] for e in a["created"]], [e["id"] for e in a["updated"]], set(a["vanished"]), a["has_more"]) == ([ids[3]], [ids[0]], {ids[1], ids[2]}, False)
    assert a["modseq"] == s.mailbox(who)["modseq"]
    a = s.get(f"/v1/mailboxes/{archive['id']}/changes?since={at}").json
    assert ([e["id"] for e in a["created"]], a["updated"], a["vanished"]) == ([ids[1]], [], [ids[3]])


def test_a_session_that_deletes_many_is_one_change(s, who):
    deliver(s, who, 6)
    copy = Copy(s, s.mailbox(who))
    c = poplib.POP3(*s.address("pop3"), timeout=60)
    c.user(who)
    c.pass_(PASSWORD)
    for i in range(5):
        c.dele(i + 1)
    c.quit()
    a = s.get(f"{copy.path}/changes?since={copy.since}&limit=1").json
    assert len(a["vanished"]) == 5 and not a["has_more"]
    copy.catch_up(1)
    copy.is_right()


def test_who_asks_for_changes(s, who):
    box = s.mailbox(who)
    path = f"/v1/mailboxes/{box['id']}/changes"
    for query, pointer in (("", "/since"), ("?limit=3", "/since"), ("?since=-1", "/since"), ("?since=x", "/since"), ("?since=1&limit=0", "/limit"), ("?since=1&limit=101", "/limit")):
        a = s.get(path + query)
        assert a.status == 422 and a.json["errors"][0]["pointer"] == pointer, (query, a)
    future = s.get(f"{path}?since={box['modseq'] + 1}")
    assert future.status == 410 and future.json["code"] == "state_too_old", future
    assert s.get(f"{path}?since={box['modseq']}", basic=(who, PASSWORD)).json["modseq"] == box["modseq"]
    other = "other." + who
    s.user(other)
    assert s.get(f"{path}?since=1", basic=(other, PASSWORD)).status == 404
    tenant = s.make("/v1/accounts", {"name": "mirror"})
    assert s.get(f"{path}?since=1", key=tenant["key"]["secret"]).status == 404
    assert s.get(f"/v1/mailboxes/mbx_{'0' * 26}/changes?since=1").status == 404
