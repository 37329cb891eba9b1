"""What a client that keeps a copy of a mailbox goes by: numbers that only rise, whoever changes what through which door."""
import poplib
import smtplib
import threading

import pytest
from server import PASSWORD

MAIL = b"From: <far@away.test>\r\nSubject: one\r\nMessage-ID: <1@away.test>\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def s(server):
    return server


@pytest.fixture
def who(s, request):
    name = f"u{abs(hash(request.node.name)) % 10**10}@changes.test"
    s.user(name)
    return name


def boxes(s, who):
    return {b["id"]: b for b in s.get(f"/v1/users/{who}/mailboxes?limit=100").json["data"]}


def append(s, box, raw=MAIL):
    a = s.call("POST", f"/v1/mailboxes/{box['id']}/entries", raw=raw, headers={"Content-Type": "message/rfc822"})
    assert a.status == 201, a
    return a.json


def patch(s, path, change):
    a = s.call("PATCH", path, change)
    assert a.status == 200, a
    return a.json


def deliver(s, who, raw=MAIL):
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("far@away.test", [who], raw)


def pop_first(s, who):
    c = poplib.POP3(*s.address("pop3"), timeout=60)
    c.user(who)
    c.pass_(PASSWORD)
    c.dele(1)
    c.quit()


def test_every_change_of_a_user_has_a_number_of_its_own(s, who):
    inbox, trash = s.mailbox(who), s.mailbox(who, "trash")
    entry = append(s, inbox)
    mine = s.make(f"/v1/users/{who}/mailboxes", {"name": "mine"})
    steps = [
        (inbox, lambda: append(s, inbox)),
        (inbox, lambda: deliver(s, who)),
        (inbox, lambda: patch(s, f"/v1/entries/{entry['id']}", {"seen": True})),
        (trash, lambda: patch(s, f"/v1/entries/{entry['id']}", {"mailbox_id": trash["id"]})),
        (inbox, lambda: patch(s, f"/v1/entries/{entry['id']}", {"mailbox_id": inbox["id"]})),
        (inbox, lambda: s.call("DELETE", f"/v1/entries/{entry['id']}")),
        (inbox, lambda: pop_first(s, who)),
        (mine, lambda: patch(s, f"/v1/mailboxes/{mine['id']}", {"name": "yours"})),
    ]
    for changed, step in steps:
        before = max(b["modseq"] for b in boxes(s, who).values())
        step()
        after = boxes(s, who)
        assert after[changed["id"]]["modseq"] > before, (changed, before, after)
    made = s.make(f"/v1/users/{who}/mailboxes", {"name": "more"})
    assert made["modseq"] == boxes(s, who)[made["id"]]["modseq"] > max(b["modseq"] for b in after.values())


def test_a_mailbox_made_again_has_another_uidvalidity(s, who):
    seen = [b["uid_validity"] for b in boxes(s, who).values()]
    for _ in range(8):
        box = s.make(f"/v1/users/{who}/mailboxes", {"name": "again"})
        assert s.get(f"/v1/mailboxes/{box['id']}").json == box
        seen.append(box["uid_validity"])
        assert s.call("DELETE", f"/v1/mailboxes/{box['id']}").status in (200, 204)
    assert len(set(seen)) == len(seen) and all(0 < v < 1 << 32 for v in seen), seen


def test_a_mailbox_that_is_asked_for_twice_is_made_once(s, who):
    headers = {"Idempotency-Key": "twice"}
    first, again = (s.call("POST", f"/v1/users/{who}/mailboxes", {"name": "once"}, headers=headers) for _ in range(2))
    assert (first.status, again.status) == (201, 201) and first.json == again.json


def test_keywords_have_no_case_and_are_no_flags(s, who):
    entry = append(s, s.mailbox(who))
    path = f"/v1/entries/{entry['id']}"
    assert patch(s, path, {"keywords": ["Work", "$Label1", "wORK", "work", "later"]})["keywords"] == ["Work", "$Label1", "later"]
    for name in ("$seen", "$Flagged", "$ANSWERED", "$draft", "$recent", "$Deleted"):
        a = s.call("PATCH", path, {"keywords": ["fine", name]})
        assert a.status == 422 and [e["pointer"] for e in a.json["errors"]] == ["/keywords/1"], a
    assert s.get(path).json["keywords"] == ["Work", "$Label1", "later"]


def keeps_changing(s, path, member, values, lost):
    for value in values:
        answer = s.call("PATCH", path, {member: value})
        now = s.get(path).json
        if answer.status != 200 or answer.json[member] != value or now[member] != value:
            lost.append((member, value, answer, now))


def test_racing_changes_of_one_mail_all_stand(s, who):
    """Each changes a member that nobody else does, and looks whether it stands."""
    box = s.mailbox(who)
    path, lost = f"/v1/entries/{append(s, box)['id']}", []
    truth = [True, False] * 15
    threads = [threading.Thread(target=keeps_changing, args=(s, path, *x, lost))
               for x in (("seen", truth), ("keywords", [[f"k{i}"] for i in range(30)]), ("flagged", truth), ("answered", truth))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not lost, lost[:3]
    now = s.get(path).json
    assert (now["seen"], now["flagged"], now["answered"], now["keywords"]) == (False, False, False, ["k29"])
    assert s.mailbox(who)["unseen"] == 1


def test_what_changes_nothing_is_no_change(s, who):
    entry = append(s, s.mailbox(who))
    path = f"/v1/entries/{entry['id']}"
    patch(s, path, {"seen": True, "keywords": ["a", "b"]})
    before = s.mailbox(who)["modseq"]
    patch(s, path, {"seen": True, "flagged": False, "keywords": ["a", "b", "B"], "mailbox_id": entry["mailbox_id"]})
    assert s.mailbox(who)["modseq"] == before
    patch(s, path, {"keywords": None})
    assert s.mailbox(who)["modseq"] > before and s.get(path).json["keywords"] == []


def test_a_mail_marked_as_deleted_is_still_there(s, who):
    entry = append(s, s.mailbox(who))
    assert entry["deleted"] is False
    assert patch(s, f"/v1/entries/{entry['id']}", {"deleted": True})["deleted"] is True
    assert [e["deleted"] for e in s.entries(who)] == [True] and s.mailbox(who)["total"] == 1
    assert patch(s, f"/v1/entries/{entry['id']}", {"deleted": False, "seen": True})["deleted"] is False


def test_mailboxes_are_subscribed_until_somebody_says_otherwise(s, who):
    assert all(b["subscribed"] is True for b in boxes(s, who).values())
    junk, mine = s.mailbox(who, "junk"), s.make(f"/v1/users/{who}/mailboxes", {"name": "mine"})
    for box in (junk, mine):
        assert patch(s, f"/v1/mailboxes/{box['id']}", {"subscribed": False})["subscribed"] is False
    assert [b["subscribed"] for b in boxes(s, who).values() if b["id"] in (junk["id"], mine["id"])] == [False, False]
    assert patch(s, f"/v1/mailboxes/{mine['id']}", {"name": "yours"})["subscribed"] is False
    assert patch(s, f"/v1/mailboxes/{mine['id']}", {"subscribed": True})["name"] == "yours"
    assert s.call("PATCH", f"/v1/mailboxes/{junk['id']}", {"subscribed": True, "name": "Spam"}).status == 409
    assert s.mailbox(who, "junk")["subscribed"] is False
