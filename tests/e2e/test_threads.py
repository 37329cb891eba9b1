"""Mails of which one answers the other, by whatever door they came, in whatever mailbox they are."""
import smtplib

import pytest
from server import PASSWORD


@pytest.fixture(scope="module")
def s(server):
    return server


@pytest.fixture
def who(s, request):
    name = f"u{abs(hash(request.node.name)) % 10**10}@threads.test"
    s.user(name)
    return name


def deliver(s, to, *fields):
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("far@away.test", [to], "\r\n".join(["From: far@away.test", *fields, "", "x", ""]))


def of_thread(s, thread, query="", **login):
    a = s.get(f"/v1/entries?thread_id={thread}{query}", **login)
    assert a.status == 200, a
    return a.json


def test_a_conversation_is_one_thread(s, who):
    deliver(s, who, "Subject: question", "Message-ID: <q@away.test>")
    [question] = s.entries(who)
    answer = s.make("/v1/messages", {"from": who, "to": "far@sandbox.test", "subject": "Re: question", "text": "x", "in_reply_to": question["id"], "save_to_sent": True})
    deliver(s, who, "Subject: thanks", "Message-ID: <t@away.test>", f"References: <q@away.test> {answer['header_message_id']}", f"In-Reply-To: {answer['header_message_id']}")
    deliver(s, who, "Subject: other", "Message-ID: <o@away.test>")
    other, thanks, _ = s.entries(who)
    trash = s.mailbox(who, "trash")
    moved = s.call("PATCH", f"/v1/entries/{thanks['id']}", {"mailbox_id": trash["id"]}).json
    assert moved["thread_id"] == question["thread_id"] and moved["saved_at"] >= thanks["saved_at"]
    whole = of_thread(s, question["thread_id"])
    assert [e["subject"] for e in whole["data"]] == ["thanks", "Re: question", "question"] and not whole["has_more"]
    assert [e["mailbox_id"] for e in whole["data"]] == [trash["id"], s.mailbox(who, "sent")["id"], question["mailbox_id"]]
    assert whole["data"][2] == s.entries(who)[1]
    assert [e["id"] for e in of_thread(s, other["thread_id"])["data"]] == [other["id"]]
    assert s.call("DELETE", f"/v1/entries/{question['id']}").status == 204
    assert [e["subject"] for e in of_thread(s, question["thread_id"])["data"]] == ["thanks", "Re: question"]


def test_a_thread_comes_in_pages(s, who):
    for i in range(7):
        deliver(s, who, f"Subject: {i}", f"Message-ID: <{i}@away.test>", *(["References: <0@away.test>"] if i else []))
    thread, seen, query = s.entries(who)[0]["thread_id"], [], ""
    while True:
        page = of_thread(s, thread, "&limit=3" + query)
        seen += [e["subject"] for e in page["data"]]
        if not page["has_more"]:
            break
        query = "&after=" + page["next"]
    assert seen == list("6543210")


def test_a_thread_is_its_users_own(s, who):
    other = "other." + who
    s.user(other)
    for user in (who, other):
        deliver(s, user, "Message-ID: <same@away.test>")
    thread, theirs = s.entries(who)[0]["thread_id"], s.entries(other)[0]["thread_id"]
    assert thread != theirs
    assert len(of_thread(s, thread, basic=(who, PASSWORD))["data"]) == 1
    assert of_thread(s, theirs, basic=(who, PASSWORD))["data"] == []
    tenant = s.make("/v1/accounts", {"name": "threads"})
    assert of_thread(s, thread, key=tenant["key"]["secret"])["data"] == []
    blind = s.make("/v1/keys", {"name": "blind", "scopes": ["send"]})["secret"]
    for id in (thread, "thr_" + "0" * 25 + "1"):
        assert s.get(f"/v1/entries?thread_id={id}", key=blind).status == 403
    assert [e["data"] for e in s.get("/v1/events?type=mail.read&limit=1").json["data"]]


@pytest.mark.parametrize("query", ["", "?", "?thread_id=", "?thread_id=x", "?thread_id=ent_01k9qw6t5he8brjf0d3vnx2mza", "?thread_id=thr_" + "0" * 26, "?limit=3"])
def test_which_thread_must_be_said(s, query):
    a = s.get("/v1/entries" + query)
    assert a.status == 422 and a.json["errors"][0]["pointer"] == "/thread_id", a


def test_mail_that_is_put_there_is_of_its_thread(s, who):
    box = s.mailbox(who, "archive")
    threads = set()
    for raw in (b"Message-ID: <a@x.test>\r\n\r\nx\r\n", b"In-Reply-To: <a@x.test>\r\n\r\nx\r\n"):
        a = s.call("POST", f"/v1/mailboxes/{box['id']}/entries", raw=raw, headers={"Content-Type": "message/rfc822"})
        assert a.status == 201 and a.json["saved_at"], a
        threads.add(a.json["thread_id"])
    assert len(threads) == 1 and None not in threads
