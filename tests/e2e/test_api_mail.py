"""Mailboxes and entries over HTTP, and hostile text through every field: it comes back as it was, or it is refused."""
import base64
import email
import email.policy
import json
import re
import unicodedata

import pytest
from api_client import NOBODY, Client, at_once
from server import PASSWORD, SUITES, Server, until

RFC822 = {"Content-Type": "message/rfc822"}
MAIL = (b"From: =?utf-8?q?Bj=C3=B6rn?= <b@out.test>\r\nTo: Ana <ana@mail.test>, =?iso-8859-1?q?J=F6?= <jo@x.test>\r\nCc: c@x.test\r\nReply-To: r@x.test\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nDate: Sat, 21 Nov 2026 09:52:00 +0100\r\nMessage-ID: <m1@out.test>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe aus\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe</p>\r\n--a--\r\n"
        b"--b\r\nContent-Type: image/png; name=p.png\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.png\r\nContent-ID: <p@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n")


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@mail.test")
    return Client(server)


@pytest.fixture
def user(c, request):
    """A fresh user; its mailboxes by role."""
    name = f"u{abs(hash(request.node.name)) % 10**10}@mail.test"
    made = c.make("/v1/users", {"address": name, "password": PASSWORD})
    made["boxes"] = {b["role"]: b["id"] for b in c.all(f"/v1/users/{name}/mailboxes")}
    return made


def append(c, box, raw=MAIL, query=""):
    a = c.post(f"/v1/mailboxes/{box}/entries{query}", raw=raw, headers=RFC822)
    assert a.status == 201, a
    return a.json


def box(c, id):
    return c.get(f"/v1/mailboxes/{id}").json


# ---- entries ----

def test_an_entry_shows_the_mail(c, user):
    made = append(c, user["boxes"]["inbox"], query="?seen=true&flagged=true")
    assert (made["seen"], made["flagged"], made["answered"], made["draft"], made["message_id"]) == (True, True, False, False, None)
    e = c.get(f"/v1/entries/{made['id']}").json
    assert e["from"] == {"email": "b@out.test", "name": "Björn"}
    assert e["to"] == [{"email": "ana@mail.test", "name": "Ana"}, {"email": "jo@x.test", "name": "Jö"}]
    assert (e["cc"], e["reply_to"]) == ([{"email": "c@x.test", "name": None}], [{"email": "r@x.test", "name": None}])
    assert (e["subject"], e["header_message_id"], e["sent_at"]) == ("Grüße", "<m1@out.test>", "2026-11-21T08:52:00.000Z")
    assert e["text"].strip() == "Grüße aus" and e["html"].strip() == "<p>Grüße</p>" and e["snippet"] == "Grüße aus"
    assert e["attachments"] == [{"index": 0, "filename": "ü.png", "content_type": "image/png", "content_id": "p@x", "disposition": "attachment", "size": 3}]
    assert [h["name"] for h in e["headers"]] == ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
    assert e["headers"][4]["value"] == "Grüße" and e["attachment_count"] == 1 and e["size"] == len(MAIL)
    assert c.get(f"/v1/entries/{made['id']}/raw").body == MAIL
    a = c.get(f"/v1/entries/{made['id']}/attachments/0")
    assert a.body == b"\0\1\2" and a.headers["Content-Type"] == "image/png" and a.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC.png"
    for index, status in (("1", 404), ("99999", 404), ("-1", 404), ("x", 404), ("0x0", 404), ("1000000", 404), ("%00", 400)):
        assert c.get(f"/v1/entries/{made['id']}/attachments/{index}").status in (status, 422), index


def test_flags_moves_and_counts(c, user):
    inbox, trash = user["boxes"]["inbox"], user["boxes"]["trash"]
    made = [append(c, inbox) for _ in range(3)]
    at = box(c, inbox)
    assert (at["total"], at["unseen"], at["bytes"], at["uid_next"]) == (3, 3, 3 * len(MAIL), 4)
    one = made[1]["id"]
    e = c.patch(f"/v1/entries/{one}", {"seen": True, "keywords": ["$work", "later"]}).json
    assert e["seen"] and e["keywords"] == ["$work", "later"] and e["uid"] == 2
    after = box(c, inbox)
    assert after["unseen"] == 2 and after["modseq"] > at["modseq"]
    assert c.patch(f"/v1/entries/{one}", {}).json["keywords"] == ["$work", "later"]
    assert c.patch(f"/v1/entries/{one}", {"keywords": None}).json["keywords"] == []
    moved = c.patch(f"/v1/entries/{one}", {"mailbox_id": trash, "flagged": True}).json
    assert (moved["id"], moved["mailbox_id"], moved["uid"], moved["flagged"], moved["seen"]) == (one, trash, 1, True, True)
    assert [box(c, inbox)[k] for k in ("total", "unseen", "bytes")] == [2, 2, 2 * len(MAIL)]
    assert [box(c, trash)[k] for k in ("total", "unseen", "bytes", "uid_next")] == [1, 0, len(MAIL), 2]
    assert c.get(f"/v1/entries/{one}/raw").body == MAIL
    assert c.get(f"/v1/users/{user['address']}").json["used"] == 3 * len(MAIL)
    assert c.delete(f"/v1/entries/{one}").status == 204 and c.delete(f"/v1/entries/{one}").status == 404
    assert box(c, trash)["total"] == 0 and c.get(f"/v1/users/{user['address']}").json["used"] == 2 * len(MAIL)
    assert append(c, trash)["uid"] == 2  # never used again


@pytest.mark.parametrize("body, pointers", [({"uid": 5}, ["/uid"]), ({"seen": None}, ["/seen"]), ({"seen": "yes", "flagged": 1}, ["/seen", "/flagged"]), ({"mailbox_id": "x"}, ["/mailbox_id"]), ({"mailbox_id": "mbx_" + NOBODY}, ["/mailbox_id"]),
                                            ({"keywords": ["a b", "ü", "x" * 65]}, ["/keywords/0", "/keywords/1", "/keywords/2"]), ({"keywords": ["k"] * 33}, ["/keywords"]), ({"keywords": "x"}, ["/keywords"]), ({"keywords": [""]}, ["/keywords/0"])])
def test_bad_entry_changes(c, user, body, pointers):
    made = append(c, user["boxes"]["inbox"])
    a = c.patch(f"/v1/entries/{made['id']}", body)
    assert a.status == 422 and [x["pointer"] for x in a.json["errors"]] == pointers, a
    assert c.get(f"/v1/entries/{made['id']}").json["uid"] == made["uid"]


def test_moves_stay_with_the_user(c, user):
    other = c.make("/v1/users", {"address": "other-" + user["address"]})
    theirs = next(b["id"] for b in c.all(f"/v1/users/{other['id']}/mailboxes") if b["role"] == "inbox")
    made = append(c, user["boxes"]["inbox"])
    assert c.patch(f"/v1/entries/{made['id']}", {"mailbox_id": theirs}).status in (404, 422)
    assert box(c, theirs)["total"] == 0


def test_quota(c, user):
    where = f"/v1/users/{user['address']}"
    c.patch(where, {"quota": len(MAIL) * 2 + 10})
    for _ in range(2):
        append(c, user["boxes"]["inbox"])
    append(c, user["boxes"]["inbox"], b"a: b\r\n\r\n")  # what is kept passes the quota by one mail at most
    a = c.post(f"/v1/mailboxes/{user['boxes']['inbox']}/entries", raw=MAIL, headers=RFC822)
    assert a.status in (409, 507) or c.get(where).json["used"] <= len(MAIL) * 2 + 10 + 26 * 2**20
    c.patch(where, {"quota": 1})
    a = c.post(f"/v1/mailboxes/{user['boxes']['inbox']}/entries", raw=MAIL, headers=RFC822)
    assert (a.status, a.json["code"]) == (409, "conflict"), a
    [*_, last] = c.all(f"/v1/mailboxes/{user['boxes']['inbox']}/entries")
    assert c.delete(f"/v1/entries/{last['id']}").status == 204


# ---- mailboxes ----

def test_a_tree_of_mailboxes(c, user):
    where = f"/v1/users/{user['address']}/mailboxes"
    top = c.make(where, {"name": "Projects"})
    sub = c.make(where, {"name": "2026", "parent_id": top["id"]})
    assert (top["role"], top["parent_id"], sub["parent_id"], sub["user_id"]) == (None, None, top["id"], user["id"])
    assert c.make(where, {"name": "2026"})["parent_id"] is None  # the same name elsewhere
    assert c.post(where, {"name": "2026", "parent_id": top["id"]}).status == 409
    assert c.patch(f"/v1/mailboxes/{top['id']}", {"parent_id": sub["id"]}).status == 422  # no circle
    assert c.patch(f"/v1/mailboxes/{top['id']}", {"parent_id": top["id"]}).status == 422
    assert c.delete(f"/v1/mailboxes/{top['id']}").json["code"] == "in_use"
    assert c.patch(f"/v1/mailboxes/{sub['id']}", {"parent_id": None}).status == 409  # the name is taken there
    renamed = c.patch(f"/v1/mailboxes/{sub['id']}", {"parent_id": None, "name": "2027"}).json
    assert (renamed["name"], renamed["parent_id"]) == ("2027", None)
    assert c.delete(f"/v1/mailboxes/{top['id']}").status == 204
    assert c.patch(f"/v1/mailboxes/{user['boxes']['inbox']}", {"name": "Other"}).status in (409, 422)
    for name in ("", "x" * 101, "a\nb", "\0", 5, None):
        assert c.post(where, {"name": name}).status in (400, 422), name
    for parent in (user["boxes"]["inbox"],):
        assert c.post(where, {"name": "below", "parent_id": parent}).status in (201, 422)


REFUSED_NAMES = ["Q3/Q4", "/", "a/", "#news", " a", "a ", "\u00a0a", "a\u3000", "a\u2028b", "a\u0085b", "a\x7fb", "a\tb"]


def test_names_of_mailboxes_are_steps_of_a_path(c, user):
    where = f"/v1/users/{user['address']}/mailboxes"
    box = c.make(where, {"name": "C# a\u00a0b"})
    for name in REFUSED_NAMES:
        for a in (c.post(where, {"name": name}), c.patch(f"/v1/mailboxes/{box['id']}", {"name": name})):
            assert a.status == 422 and [e["pointer"] for e in a.json["errors"]] == ["/name"], (name, a)
    assert c.get(f"/v1/mailboxes/{box['id']}").json["name"] == "C# a\u00a0b"


def test_a_name_is_one_in_all_its_forms(c, user):
    where = f"/v1/users/{user['address']}/mailboxes"
    box = c.make(where, {"name": "Cafe\u0301"})
    assert box["name"] == c.get(f"/v1/mailboxes/{box['id']}").json["name"] == "Caf\u00e9"
    assert [c.post(where, {"name": name}).status for name in ("Caf\u00e9", "Cafe\u0301", "cAF\u00e9")] == [409] * 3
    other = c.make(where, {"name": "Tea"})
    assert c.patch(f"/v1/mailboxes/{other['id']}", {"name": "CAFe\u0301"}).status == 409
    assert c.patch(f"/v1/mailboxes/{other['id']}", {"parent_id": box["id"], "name": "Cafe\u0301"}).json["name"] == "Caf\u00e9"


def test_a_mailbox_deeper_than_deep(c, user):
    """However deep the tree may be, it ends in an answer."""
    where, parent = f"/v1/users/{user['address']}/mailboxes", None
    for i in range(60):
        a = c.post(where, {"name": f"level {i}", "parent_id": parent})
        if a.status == 422:
            break
        assert a.status == 201, a
        parent = a.json["id"]
    assert len(c.all(where)) >= 7


# ---- hostile text ----

def naughty():
    file = SUITES / "naughty-strings/blns.json"
    return json.loads(file.read_text()) if file.exists() else []


def payloads():
    folder = SUITES / "injection-payloads"
    return [line for f in ("nosql.txt", "crlf.txt") if (folder / f).exists() for line in (folder / f).read_text().splitlines()]


def taken_of(c, user, strings):
    """How many mails were taken, of one for each string and field."""
    taken = 0
    for s in strings:
        fields = {"subject": s, "text": s or "x", "html": s or "x", "metadata": {"k": s}, "tags": [{"name": "t", "value": s}], "headers": [{"name": "X-N", "value": s}],
                  "attachments": [{"filename": s, "content": "eA=="}], "name": s, "content_id": s}
        for field, value in fields.items():
            body = {"from": "ana@mail.test", "to": [{"email": user["address"]}], "subject": "x", "text": "x"}
            if field == "name":
                body["to"][0]["name"] = value
            elif field == "content_id":
                body["attachments"] = [{"filename": "x", "content": "eA==", "content_id": value}]
            else:
                body[field] = value
            a = c.post("/v1/messages", body)
            assert a.status in (202, 400, 422), (field, s, a)
            if a.status != 202:
                continue
            taken += 1
            if field == "subject":
                assert c.get(f"/v1/messages/{a.json['id']}").json["subject"] == s, (field, s)
            if field in ("metadata", "tags"):
                assert c.get(f"/v1/messages/{a.json['id']}").json[field] == value, (field, s)
            raw = c.get(f"/v1/messages/{a.json['id']}/raw").body
            top = raw.partition(b"\r\n\r\n")[0]
            names = {line.partition(b":")[0].lower() for line in top.split(b"\r\n") if line[:1] not in b" \t"}
            assert names <= {b"received", b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type", b"content-transfer-encoding", b"x-n"}, (field, s, names)
            assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw), (field, s)
            if field in ("text", "html"):
                m = email.message_from_bytes(raw, policy=email.policy.default)
                part = m.get_body(("html",) if field == "html" else ("plain",))
                assert part.get_content().replace("\r\n", "\n").rstrip("\n") == re.sub(r"\r\n|\r", "\n", value).rstrip("\n"), (field, s)
    return taken


@pytest.mark.skipif(not naughty(), reason="naughty-strings is not there")
def test_naughty_strings_in_a_mail(c, user):
    """Through subject, names, text, html, tags, metadata, headers, file names and content ids of real mail."""
    assert sum(at_once(c.server, lambda client, strings: taken_of(client, user, strings), naughty() + payloads())) > 2500


@pytest.mark.skipif(not naughty(), reason="naughty-strings is not there")
def test_naughty_strings_in_names(c, user):
    where = f"/v1/users/{user['address']}"
    for s in naughty() + payloads():
        a = c.patch(where, {"name": s, "metadata": {"k": s}})
        assert a.status in (200, 400, 422), (s, a)
        if a.status == 200:
            assert (a.json["name"] or "") == s and c.get(where).json["metadata"]["k"] == s, s
        a = c.post(f"{where}/mailboxes", {"name": s})
        assert a.status in (201, 409, 400, 422), (s, a)
        if a.status == 201:
            assert box(c, a.json["id"])["name"] == unicodedata.normalize("NFC", s), s
        a = c.post("/v1/keys", {"name": s, "scopes": ["send"]})
        assert a.status in (201, 400, 422), (s, a)
        if a.status == 201:
            assert c.get(f"/v1/keys/{a.json['id']}").json["name"] == s and c.delete(f"/v1/keys/{a.json['id']}").status == 204


def test_header_injection_names_the_field(c):
    bad = ["a\r\nBcc: x@evil.test", "a\nX: y", "a\rX: y", "a\0b", "a\r\n\r\nbody", "\r\n .", "a\u0000"]
    for s in bad:
        for body, pointer in (({"subject": s}, "/subject"), ({"from": {"email": "ana@mail.test", "name": s}}, "/from/name"), ({"to": [{"email": "x@y.test", "name": s}]}, "/to/0/name"),
                              ({"headers": {"X-A": s}}, "/headers/X-A"), ({"headers": [{"name": "X-A", "value": s}]}, "/headers/0/value"), ({"headers": [{"name": s, "value": "x"}]}, "/headers/0/name"),
                              ({"attachments": [{"filename": s, "content": ""}]}, "/attachments/0/filename"), ({"attachments": [{"filename": "x", "content": "", "content_id": s}]}, "/attachments/0/content_id"),
                              ({"attachments": [{"filename": "x", "content": "", "content_type": "text/plain" + s}]}, "/attachments/0/content_type"), ({"in_reply_to": f"<{s}@x>"}, "/in_reply_to"),
                              ({"tags": [{"name": s, "value": "x"}]}, "/tags/0/name"), ({"tags": [{"name": "x", "value": s}]}, "/tags/0/value"),
                              ({"envelope_from": s + "@mail.test"}, "/envelope_from"), ({"reply_to": f"{s} <x@y.test>"}, "/reply_to"), ({"to": s + "@y.test"}, "/to")):
            a = c.post("/v1/messages", {"from": "ana@mail.test", "to": "x@y.test", "subject": "x", "text": "x"} | body)
            assert a.status == 422, (s, body, a)
            assert any(x["pointer"].startswith(pointer.rsplit("/name", 1)[0]) for x in a.json["errors"]), (pointer, a)
    for s in ("nel\u0085x: y", "ls\u2028X: y", "ps\u2029X: y", "vt\u000bx", "ff\u000cx"):
        a = c.post("/v1/messages", {"from": "ana@mail.test", "to": "x@y.test", "subject": s, "text": "x"})
        assert a.status in (202, 422)
        if a.status == 202:
            top = c.get(f"/v1/messages/{a.json['id']}/raw").body.partition(b"\r\n\r\n")[0]
            assert b"\r\nX:" not in top and b"\r\nx:" not in top and all(31 < b < 127 or b in b"\r\n\t" for b in top), top


OPERATORS = [{"$ne": None}, {"$gt": ""}, {"$regex": ".*"}, {"$where": "1"}, ["x"], [], {}, True, 1, {"$or": [{}]}]


def test_operators_are_no_text(c, user):
    """Objects in every text field of every POST are refused by type, before any query is made of them."""
    import itertools
    bodies = {
        "/v1/messages": {"from": "ana@mail.test", "to": "x@y.test", "subject": "x", "text": "x", "html": "x", "in_reply_to": "<a@b>", "envelope_from": "ana@mail.test"},
        "/v1/users": {"address": "nosql@mail.test", "name": "x", "password": PASSWORD}, "/v1/domains": {"name": "nosql.test", "inbound": "mailboxes", "catch_all": "ana@mail.test"},
        "/v1/addresses": {"address": "nosql@mail.test", "target": "x"}, "/v1/keys": {"name": "x", "mode": "live", "expires_at": "2199-01-01T00:00:00Z"},
        f"/v1/users/{user['address']}/mailboxes": {"name": "x", "parent_id": "x"}}
    for (path, body), value in itertools.product(bodies.items(), OPERATORS):
        for field in body:
            if path == "/v1/messages" and field in ("to",) and value == ["x"]:
                continue
            extra = {"scopes": ["send"]} if path == "/v1/keys" else {}
            a = c.post(path, body | extra | {field: value})
            assert a.status in (400, 422), (path, field, value, a)
    for value in OPERATORS:
        assert c.patch("/v1/settings/server.hostname", {"value": value}).status in (422,) or value in (True, 1)
    c.patch("/v1/settings/server.hostname", {"value": None})


@pytest.mark.skipif(not payloads(), reason="injection-payloads is not there")
def test_payloads_in_filters_and_logins(server, c):
    import urllib.parse
    everything = len(c.all("/v1/messages"))
    for s in payloads():
        q = urllib.parse.quote(s, safe="")
        for path in (f"/v1/messages?tag={q}", f"/v1/messages?email={q}", f"/v1/messages?status={q}", f"/v1/deliveries?domain={q}", f"/v1/deliveries?message_id={q}", f"/v1/users?domain={q}", f"/v1/addresses?user={q}",
                     f"/v1/events?type={q}", f"/v1/messages?after={q}", f"/v1/users/{q}", f"/v1/domains/{q}", f"/v1/entries/{q}", f"/v1/settings/{q}", f"/v1/keys/{q}", f"/v1/messages?{q}=1"):
            a = c.get(path)
            assert a.status in (200, 400, 404, 422), (path, a)
            assert a.status != 200 or (a.json["object"] == "list" and a.json["data"] == []), (path, a)
        for basic in ((s, PASSWORD), ("ana@mail.test", s), (s, s)):
            assert Client(server, basic=(basic[0].replace(":", ""), basic[1])).get("/v1/me").status in (401, 429)
        assert Client(server, key=s.encode("latin-1", "replace").decode("latin-1").replace("\r", "").replace("\n", "")).get("/v1/me").status == 401
    assert len(c.all("/v1/messages")) == everything
