"""Requests to send as programs form them: what is absent, named twice, broken into lines or has parameters; and fields that programs read."""
import base64
import email
import email.policy

import pytest
from api_client import Client
from wire import Smtp


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@forms.test")
    server.user("bo@forms.test")
    return Client(server)


def send(c, **more):
    return c.post("/v1/messages", {"from": "ana@forms.test", "to": "bo@forms.test", "subject": "Hi", "text": "x"} | more)


def sent(c, **more):
    answer = send(c, **more)
    assert answer.status == 202, answer
    return answer.json


def raw(c, message):
    return c.get(f"/v1/messages/{message['id']}/raw").body


def parsed(c, message):
    return email.message_from_bytes(raw(c, message), policy=email.policy.SMTPUTF8)


def pointers(answer):
    assert (answer.status, answer.json["code"]) == (422, "validation_error"), answer
    return [x["pointer"] for x in answer.json["errors"]]


def test_null_is_absent(c):
    names = ("cc", "bcc", "reply_to", "html", "headers", "attachments", "tags", "metadata", "in_reply_to", "expires_after", "dsn", "save_to_sent", "no_store")
    m = parsed(c, sent(c, **dict.fromkeys(names)))
    assert not {"cc", "reply-to", "in-reply-to"} & {name.lower() for name in m.keys()} and m.get_content_type() == "text/plain"
    m = parsed(c, sent(c, text="x", headers={"X-A": None, "X-B": "b"}, attachments=[{"filename": "a", "content": "", "content_type": None, "content_id": None, "disposition": None}]))
    assert "X-A" not in m and m["X-B"] == "b"
    assert pointers(send(c, **{"from": None})) == ["/from"] and pointers(send(c, to=None)) == ["/to"]


def test_null_is_absent_in_lists_and_maps(c):
    file = {"filename": "a", "content": "eA=="}
    message = sent(c, to=[None, "bo@forms.test", None], cc=[None], reply_to=[None, "x@far.test"], attachments=[None, file], metadata={"a": None, "b": "c"},
                   tags=[None, {"name": "a", "value": None}, {"name": "b", "value": "c"}], headers=[None, {"name": "X-A", "value": None}, {"name": "X-B", "value": "b"}])
    m, kept = parsed(c, message), c.get(f"/v1/messages/{message['id']}").json
    assert (m["To"], m["Cc"], m["Reply-To"], m["X-A"], m["X-B"]) == ("bo@forms.test", None, "x@far.test", None, "b")
    assert [part.get_filename() for part in m.iter_attachments()] == ["a"]
    assert (kept["metadata"], kept["tags"]) == ({"b": "c"}, [{"name": "b", "value": "c"}])
    assert pointers(send(c, to=[None], bcc=[])) == ["/to"]
    assert c.post("/v1/users", {"address": "cy@forms.test", "metadata": {"a": None, "b": "c"}}).json["metadata"] == {"b": "c"}


def test_a_fault_names_the_place_that_was_sent(c):
    a = send(c, to=[None, "x"], attachments=[None, {"filename": "a", "content": "!"}, {"filename": "b", "content": "", "content_id": "<>"}],
             tags=[{"name": "a", "value": None}, {"name": "=", "value": ""}], headers=[None, {"name": "X-A", "value": None}, {"name": "Bcc", "value": ""}])
    assert {"/to/1", "/attachments/1/content", "/attachments/2/content_id"} == set(pointers(a))
    a = send(c, attachments=[None, {"filename": "b" * 128 + "\u00e4" * 100, "content": ""}],
             tags=[{"name": "a", "value": None}, {"name": "=", "value": ""}], headers=[None, {"name": "X-A", "value": None}, {"name": "Bcc", "value": ""}])
    assert {"/attachments/1/filename", "/tags/1/name", "/headers/2/name"} == set(pointers(a))


@pytest.mark.parametrize("people, want", [
    ({"to": ["bo@forms.test", "Bo <BO@FORMS.test>"], "cc": ["bo@forms.test"]}, ["bo@forms.test"]),
    ({"to": ["z@far.test", "z@FAR.test", "Z@far.test"], "bcc": "z@far.test"}, ["z@far.test", "Z@far.test"]),  # only their server knows about its names
    ({"to": ["y@bücher.test"], "bcc": ["y@xn--bcher-kva.test", "bo@forms.test", "ana@forms.test"]}, ["y@xn--bcher-kva.test", "bo@forms.test", "ana@forms.test"]),
])
def test_an_address_is_one_recipient(c, people, want):
    message = sent(c, **people)
    assert [r["email"] for r in message["recipients"]] == want
    assert sorted(d["email"] for d in c.all(f"/v1/deliveries?message_id={message['id']}")) == sorted(want)
    mail = f"From: ana@forms.test\r\nTo: {', '.join(['z@far.test', 'z@FAR.test'])}\r\nCc: z@far.test\r\n\r\nx\r\n"
    a = c.post("/v1/messages", raw=mail.encode(), headers={"Content-Type": "message/rfc822"})
    assert [r["email"] for r in a.json["recipients"]] == ["z@far.test"], a


def test_what_no_path_holds_is_refused(c):
    long = "a" * 64 + "@" + "é." * 29 + "test"
    for field in ("reply_to", "envelope_from", "to"):
        assert pointers(send(c, **{field: long})) in ([f"/{field}"], [f"/{field}"] * 2), field
    assert pointers(c.post("/v1/users", {"address": long})) == ["/address"]
    a = c.post("/v1/messages?to=bo@forms.test", raw=f"From: {'a' * 250}@forms.test\r\n\r\nx\r\n".encode(), headers={"Content-Type": "message/rfc822"})
    assert pointers(a) == ["/from"]


def test_what_is_only_captured_is_not_delivered(c):
    for to, status in ((["y@far.test", "z@far.test"], "captured"), (["y@far.test"], "captured"), (["y@far.test", "bo@forms.test"], "delivered")):
        message = sent(c, to=to)
        assert message["status"] == c.get(f"/v1/messages/{message['id']}").json["status"] == status


# ---- attachments ----

@pytest.mark.parametrize("type", ['text/calendar; method=REQUEST; charset="UTF-8"', "text/calendar;method=REQUEST;charset=utf-8", 'application/x-y; a="b;c \\"d\\""; e=f; name=g.ics', "text/plain"])
def test_types_with_parameters(c, type):
    content = base64.b64encode(b"BEGIN:VCALENDAR\r\n" * 30)
    message = sent(c, attachments=[{"filename": "invite.ics", "content": content.decode(), "content_type": type}])
    [part] = parsed(c, message).iter_attachments()
    assert " ".join(part["Content-Type"].split()).startswith(type.split(";")[0]) and part.get_payload(decode=True) == base64.b64decode(content)
    assert type.encode() in raw(c, message).replace(b"\r\n", b"") and part.get_filename() == "invite.ics"
    assert part.get_param("name") == ("g.ics" if "name=" in type else "invite.ics")


@pytest.mark.parametrize("type", ["text", "text/", "text/plain;", "text/plain; x", "text/plain; x=", 'text/plain; x="', "text/plain; x=a b", 'text/plain; x="ü"', "multipart/mixed; boundary=x", "text/plain x=y"])
def test_types_that_are_none(c, type):
    assert pointers(send(c, attachments=[{"filename": "a", "content": "", "content_type": type}])) == ["/attachments/0/content_type"]


def test_content_ids_in_brackets(c):
    given = [{"filename": f"{i}.png", "content": "eA==", "content_id": id} for i, id in enumerate(("<a@b>", "c"))]
    message = sent(c, html="<img src=cid:a@b>", attachments=given)
    assert [p["Content-ID"] for p in parsed(c, message).walk() if "Content-ID" in p] == ["<a@b>", "<c>"]
    for id in ("<a", "a>", "<>", "<a b>", "<a><b>"):
        assert pointers(send(c, html="x", attachments=[given[0] | {"content_id": id}])) == ["/attachments/0/content_id"], id


def test_base64_in_lines(c):
    content = bytes(range(256))
    message = sent(c, attachments=[{"filename": "a", "content": base64.encodebytes(content).decode().replace("\n", "\r\n")}])
    [part] = parsed(c, message).iter_attachments()
    assert part.get_content() == content
    for wrong in ("eA=", "eA", "eA==eA==", "e\u00a0A==", "e-_="):
        assert pointers(send(c, attachments=[{"filename": "a", "content": wrong}])) == ["/attachments/0/content"], wrong


# ---- fields that programs read ----

URL = "https://news.forms.test/u?t="


@pytest.mark.parametrize("name, value", [("List-Unsubscribe", f"<{URL}{'0' * 900}>"), ("List-Unsubscribe", f"<{URL}{'0' * 960}>"), ("List-Unsubscribe", f"<mailto:u@forms.test>, <{URL}{'=?x?=' * 40}>"),
                                         ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"), ("Auto-Submitted", "auto-generated;  type=\"x\""), ("list-id", f"{'word ' * 300}<l.forms.test>"), ("References", "<a@b> " * 200 + "<c@d>")])
def test_fields_in_clear(c, name, value):
    body = raw(c, sent(c, headers={name: value}))
    lines = body.split(b"\r\n\r\n")[0].split(b"\r\n")
    field = next(i for i, line in enumerate(lines) if line.lower().startswith(name.lower().encode() + b":"))
    folded = [line for line in lines[field + 1:]]
    folded = folded[:next((i for i, line in enumerate(folded) if not line.startswith(b" ")), len(folded))]
    assert b"".join([lines[field], *folded])[len(name) + 1:].strip() == value.encode() and max(map(len, lines)) <= 998 and all(line.strip() for line in lines)


@pytest.mark.parametrize("name, value", [("List-Unsubscribe", f"<{URL}{'0' * 1000}>"), ("List-Unsubscribe", f"<{URL}ü>"), ("LIST-ID", "Größe <l.forms.test>"), ("Auto-Submitted", "é"), ("Newsgroups", "ä"), ("Errors-To", "Jörg")])
def test_fields_that_cannot_be_in_clear(c, name, value):
    a = send(c, headers={name: value})
    assert pointers(a) == [f"/headers/{name}"] and name in a.json["errors"][0]["message"]
    assert pointers(send(c, headers=[{"name": "X-A", "value": "ü"}, {"name": name, "value": value}])) == ["/headers/1/value"]


@pytest.mark.parametrize("field, want", [(b"", None), (b"Message-ID: 77@far.test\r\n", "<77@far.test>"), (b"Message-ID: <1@far.test> (x) <2@far.test>\r\n", "<1@far.test>"), (b"Message-ID: \xff\xfe\r\n", None)])
def test_answers_to_any_mail(server, c, field, want):
    with Smtp(server.address("smtp"), hello="client.test") as s:
        assert s.to("x@far.test", "bo@forms.test").data(b"From: x@far.test\r\n" + field + b"Subject: alarm\r\n\r\nzone 3\r\n").startswith("250")
    inbox = next(b["id"] for b in c.all("/v1/users/bo@forms.test/mailboxes") if b["role"] == "inbox")
    parent = c.get(f"/v1/mailboxes/{inbox}/entries?limit=1").json["data"][0]
    m = parsed(c, sent(c, in_reply_to=parent["id"]))
    assert (m["In-Reply-To"], m["References"]) == (want, want)
    assert pointers(send(c, in_reply_to="ent_01k9qw6t5he8brjf0d3vnx2mza")) == ["/in_reply_to"]
