"""One mailbox with 10,000 mails of 10 KiB and one of 25 MiB: the same over every door and on every engine."""
import hashlib
import pathlib
import threading

import pytest
from server import PASSWORD, RELEASE, Server
from wire import Pop3, Smtp

MANY, SENDERS = 10_000, 16
LARGEST = 25 * 1024 * 1024
USER = "ana@large.test"
pytestmark = pytest.mark.skipif(not pathlib.Path(RELEASE).exists(), reason="no release build")


def mail(number, size=10_240):
    head = b"From: x@out.test\r\nSubject: s%d\r\n\r\n" % number
    line = hashlib.sha256(b"%d" % number).hexdigest().encode() + b"\r\n"
    room = size - len(head)
    return head + (line * (room // len(line) + 1))[:room - 2] + b"\r\n"


def fill(server, numbers):
    with Smtp(server.address("smtp"), hello="x") as c:
        for number in numbers:
            assert c.to("x@out.test", USER).data(mail(number)).startswith("250")


@pytest.fixture(scope="module")
def full(store):
    with Server("--set", "smtp.commands_max=1000000", binary=RELEASE) as s:
        s.user(USER, quota=1 << 40)
        threads = [threading.Thread(target=fill, args=(s, range(i, MANY, SENDERS))) for i in range(SENDERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        with Smtp(s.address("smtp"), hello="x", timeout=120) as c:
            assert c.to("x@out.test", USER).data(mail(MANY, LARGEST - 1000)).startswith("250")
        yield s


def test_every_page_has_its_entries(full):
    box, after, found = full.mailbox(USER), "", []
    while True:
        page = full.get(f"/v1/mailboxes/{box['id']}/entries?limit=100{after}").json
        found += page["data"]
        if not page["has_more"]:
            break
        assert len(page["data"]) == 100
        after = f"&after={page['next']}"
    assert box["total"] == len(found) == MANY + 1 and box["unseen"] == MANY + 1
    assert sorted(e["subject"] for e in found) == sorted(f"s{n}" for n in range(MANY + 1))
    assert [e["uid"] for e in found] == sorted((e["uid"] for e in found), reverse=True)
    assert len({e["uid"] for e in found}) == MANY + 1
    assert sum(e["size"] for e in found) == full.get(f"/v1/users/{USER}").json["used"]


def test_each_mail_is_read_as_it_was_sent(full):
    with Pop3(full.address("pop3"), user=USER, password=PASSWORD, timeout=120) as c:
        seen = set()
        for first in range(1, MANY + 2, 100):
            numbers = range(first, min(first + 100, MANY + 2))
            c.send(b"".join(b"RETR %d\r\n" % n for n in numbers))
            for _ in numbers:
                assert c.line().startswith(b"+OK")
                content = c.many()
                number = int(content.split(b"\r\nSubject: s", 1)[1].split(b"\r\n", 1)[0])
                sent = mail(number, LARGEST - 1000 if number == MANY else 10_240)
                assert content.endswith(sent), number  # before it stand our trace lines
                seen.add(number)
        assert len(seen) == MANY + 1
        assert c.say("QUIT").startswith(b"+OK")


def test_all_are_deleted_at_once(full):
    with Pop3(full.address("pop3"), user=USER, password=PASSWORD, timeout=120) as c:
        c.send(b"".join(b"DELE %d\r\n" % n for n in range(1, MANY + 2)))
        for _ in range(MANY + 1):
            assert c.line().startswith(b"+OK")
        assert c.say("QUIT").startswith(b"+OK")
    box = full.mailbox(USER)
    assert box["total"] == box["unseen"] == full.get(f"/v1/users/{USER}").json["used"] == 0
    assert full.entries(USER) == []
