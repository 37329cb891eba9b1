"""Sending over HTTP: what is built (read back by Python's email package), who gets it, and what is kept."""
import base64
import email
import email.policy
import re

import kept
import pytest
from api_client import NOBODY, Client
from sending import RAW, RFC822, fault, inbox
from server import Server, until



@pytest.fixture(scope="module")
def c(server):
    server.user("ana@send.test", name="Ana")
    server.user("bo@send.test")
    return Client(server)


def send(c, **more):
    return c.post("/v1/messages", {"from": "ana@send.test", "to": "bo@send.test", "subject": "Hi", "text": "x"} | more)


def sent(c, **more):
    answer = send(c, **more)
    assert answer.status == 202, answer
    return answer.json


def mail_of(c, message):
    """The bytes as sent, and parsed by the oracle."""
    raw = c.get(f"/v1/messages/{message['id']}/raw")
    assert raw.status == 200 and raw.headers["Content-Type"] == "message/rfc822"
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw.body) is None
    assert max(map(len, raw.body.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(raw.body, policy=email.policy.SMTPUTF8)
    for part in parsed.walk():
        assert not part.defects, part.defects
        for name, value in part.items():
            assert not value.defects, (name, value, value.defects)
    return parsed


# ---- the mail that is built ----

NAMES = ["Ana", "Ana Müller", "Müller, \"die\" Ana", "小野 花子", "Ana (Sales) [x] <y>", "a" * 200, "ü" * 200, "\u202eevil", "=?utf-8?q?x?=", "Ana\\", "'", "😀 " * 40,
         "a. b@c", " lead and trail ", "é" + "x" * 74]


@pytest.mark.parametrize("name", NAMES)
def test_names(c, name):
    message = sent(c, **{"from": {"email": "ana@send.test", "name": name}, "to": [{"email": "bo@send.test", "name": name}],
                              "cc": {"email": "x@outside.test", "name": name}, "reply_to": [{"email": "r@outside.test", "name": name}]})
    m, raw = mail_of(c, message), email.message_from_bytes(c.get(f"/v1/messages/{message['id']}/raw").body)  # the newer policy keeps the white space between encoded words of a name
    for header, address in {"from": "ana@send.test", "to": "bo@send.test", "cc": "x@outside.test", "reply-to": "r@outside.test"}.items():
        [a] = m[header].addresses
        shown, _ = email.utils.parseaddr(re.sub(r"\r\n(?=[ \t])", "", raw[header]))
        shown = str(email.header.make_header(email.header.decode_header(shown)))
        assert a.addr_spec == address
        assert name.strip() in (shown.strip(), a.display_name.strip()), header


SUBJECTS = ["", "Hi", "Grüße", "日本語の件名" * 15, "x" * 998, "ä" * 499, "word " * 190, "=?utf-8?b?eA==?=", "tab\there", "trailing ", "  lead", "😀" * 200, "a" * 76 + " " + "b" * 300,
            "\u2028line\u2029para", "\x85nel"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subjects(c, subject):
    message = sent(c, subject=subject)
    m = mail_of(c, message)
    if subject.strip():
        decoded = str(email.header.make_header(email.header.decode_header(re.sub(r"\r\n(?=[ \t])", "", email.message_from_bytes(
            c.get(f"/v1/messages/{message['id']}/raw").body)["subject"]))))
        assert re.sub(r"\s+", " ", decoded).strip() == re.sub(r"\s+", " ", subject).strip()
        assert re.sub(r"\s+", " ", m["subject"]).strip() == re.sub(r"\s+", " ", subject).strip()
    assert c.get(f"/v1/messages/{message['id']}").json["subject"] == subject


FILENAMES = ["a.txt", "Rechnung März 2026.pdf", "日本語ファイル名.txt", "quote\"back\\slash.txt", "semi;colon=x.txt", "x" * 251 + ".txt", "ä" * 120 + ".txt", "per%cent'.txt",
             "..", "../../etc/passwd", "C:\\x.exe", " space .txt", "😀.png", "a\u202etxt.exe", "=?utf-8?q?x?="]


@pytest.mark.parametrize("filename", FILENAMES)
def test_filenames(c, filename):
    content = bytes(range(256)) * 3
    message = sent(c, attachments=[{"filename": filename, "content": base64.b64encode(content).decode(), "content_type": "application/octet-stream"}])
    [part] = mail_of(c, message).iter_attachments()
    assert part.get_filename() == filename.strip() and part.get_content() == content and part.get_content_disposition() == "attachment"
    entry = inbox(c, "bo@send.test")[0]
    [shown] = c.get(f"/v1/entries/{entry['id']}").json["attachments"]
    name = re.sub(r".*[/\\]|[\u2028-\u202e]", "", filename).strip()  # as a name alone: without a path, and written in one direction
    assert shown["filename"] == (None if name == ".." else name) and shown["size"] == len(content) and shown["content_type"] == "application/octet-stream"
    got = c.get(f"/v1/entries/{entry['id']}/attachments/{shown['index']}")
    assert got.status == 200 and got.body == content
    assert got.headers["Content-Disposition"].startswith("attachment") and got.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in got.headers["Content-Security-Policy"]


@pytest.mark.parametrize("text", ["x", "Grüße\n", "a\r\nb\nc\rd", ".\n..\n.x\n", "From here\n", "x" * 5000, "ä" * 5000, "\n" * 100, "tab\there \n trailing \n", "😀\u2028\u0085", " ", "=3D=\n"])
def test_texts(c, text):
    m = mail_of(c, sent(c, text=text))
    assert m.get_content_type() == "text/plain"
    want = re.sub(r"\r\n|\r|\n", "\n", text)
    assert m.get_content().replace("\r\n", "\n").rstrip("\n") == want.rstrip("\n")


def test_text_is_made_from_html(c):
    html = "<html><head><title>no</title><style>p{}</style></head><body><h1>Hello</h1><p>Dear <b>Bo</b>,<br>see <a href='https://x.test/a'>this</a>.</p>" \
           "<ul><li>one<li>two</ul><script>alert(1)</script>&lt;ok&gt; &eacute;</body></html>"
    m = mail_of(c, sent(c, text=None, html=html))
    assert m.get_content_type() == "multipart/alternative"
    text, shown = (p.get_content() for p in m.iter_parts())
    assert shown.strip() == html and "Hello" in text and "https://x.test/a" in text and "<ok> é" in text
    assert "alert" not in text and "<b>" not in text and "p{}" not in text
    both = mail_of(c, sent(c, text="mine", html=html))
    assert [p.get_content_type() for p in both.iter_parts()] == ["text/plain", "text/html"] and both.get_body(("plain",)).get_content().strip() == "mine"


def test_inline_and_attached(c):
    pixel = base64.b64encode(b"\x89PNG" + bytes(100)).decode()
    m = mail_of(c, sent(c, html='<img src="cid:logo@x">', attachments=[
        {"filename": "logo.png", "content": pixel, "content_type": "image/png", "content_id": "logo@x", "disposition": "inline"},
        {"filename": "a.pdf", "content": "JVBERg==", "content_type": "application/pdf"}, {"filename": "b.bin", "content": ""}]))
    parts = {p.get_content_type(): p for p in m.walk()}
    assert m.get_content_type() == "multipart/mixed" and {"multipart/related", "multipart/alternative"} <= set(parts)
    assert parts["image/png"]["content-id"] == "<logo@x>" and parts["image/png"].get_content_disposition() == "inline"
    assert parts["application/pdf"].get_content() == b"%PDF" and parts["application/octet-stream"].get_content() == b""
    related = parts["multipart/related"]
    assert "image/png" in [p.get_content_type() for p in related.walk()] and "application/pdf" not in [p.get_content_type() for p in related.walk()]


def test_headers_as_list_and_as_map(c):
    m = mail_of(c, sent(c, headers=[{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}, {"name": "X-Long", "value": "word " * 300},
                                    {"name": "X-Utf8", "value": "Grüße"}, {"name": "List-Unsubscribe", "value": "<https://x.test/u>"}]))
    assert m.get_all("x-a") == ["1", "2"] and m["x-utf8"] == "Grüße" and m["x-long"].split() == ["word"] * 300 and m["list-unsubscribe"] == "<https://x.test/u>"
    assert mail_of(c, sent(c, headers={"X-B": "b", "X-Empty": ""}))["x-b"] == "b"


DENIED = ["From", "To", "Cc", "Bcc", "Sender", "Date", "Subject", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "Content-X", "MIME-Version", "DKIM-Signature",
          "ARC-Seal", "Received", "Return-Path"]


@pytest.mark.parametrize("name", DENIED)
def test_denied_headers(c, name):
    for n in (name, name.upper(), name.lower()):
        fault(send(c, headers={n: "x"}), f"/headers/{n}")
        fault(send(c, headers=[{"name": n, "value": "x"}]), "/headers/0/name")


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\r\nb", "a\0", "x" * 77])
def test_bad_header_names(c, name):
    assert send(c, headers=[{"name": name, "value": "x"}]).status == 422
    assert send(c, headers={name: "x"}).status == (400 if "\0" in name else 422)


def test_limits(c):
    fault(send(c, to=[f"a{i}@x.test" for i in range(51)]), "/to")
    fault(send(c, to=[f"a{i}@x.test" for i in range(30)], cc=[f"b{i}@x.test" for i in range(21)]), "/to")
    assert len(sent(c, to=[f"a{i}@x.test" for i in range(30)], bcc=[f"b{i}@x.test" for i in range(20)])["recipients"]) == 50
    assert send(c, headers=[{"name": f"X-{i}", "value": "x"} for i in range(100)]).status == 202
    assert send(c, headers=[{"name": f"X-{i}", "value": "x"} for i in range(101)]).status == 422
    assert send(c, headers=[{"name": f"X-{i}", "value": "x" * 7000} for i in range(10)]).status == 422
    assert send(c, tags=[{"name": f"t{i}", "value": "v" * 256} for i in range(10)]).status == 202
    assert send(c, tags=[{"name": f"t{i}", "value": "v"} for i in range(11)]).status == 422
    assert send(c, tags=[{"name": "t", "value": "ü"}]).status == 422
    assert send(c, metadata={f"k{i}": "v" for i in range(50)}).status == 202
    assert send(c, metadata={f"k{i}": "v" for i in range(51)}).status == 422
    assert send(c, metadata={"k": "v" * 16_000}).status == 202
    assert send(c, metadata={f"k{i}": "v" * 4000 for i in range(5)}).status == 422
    assert send(c, subject="x" * 999).status == 422
    fault(send(c, to=[], cc=[], bcc=[]), "/to")
    fault(c.post("/v1/messages", {"from": "ana@send.test", "to": "bo@send.test", "subject": "nothing in it"}), "/text")
    assert send(c, expires_after=59).status == send(c, expires_after=2592001).status == 422


@pytest.mark.parametrize("address", ["", "a", "@", "a@", "@b.test", "a@b@c.test", "a b@c.test", "a@b test", "a@-b.test", "a@b..test", "a@b.test\r\nBcc: x@y.test", "a@b.test\0",
                                     "<a@b.test", "a@b.test>", "x" * 65 + "@b.test", "a@" + "b" * 64 + ".test", "a@b.test, c@d.test", "Group: a@b.test;", "a@[300.1.1.1]", "a..b@c.test", 5, True, {}, ["a@b.test"],
                                     {"email": "a@b.test", "name": "x\r\ny"}, {"email": "Ana <a@b.test>"}])
def test_bad_addresses(c, address):
    assert send(c, to=[address]).status == 422, address
    if address != ["a@b.test"]:
        assert send(c, **{"from": address}).status == 422
        assert send(c, reply_to=[address]).status == 422
    assert send(c, envelope_from=address).status == 422


def test_international_addresses(c):
    """A local part in UTF-8 and a domain in either form."""
    answer = sent(c, to=["grüße@zürich.test", "x@xn--zrich-kva.test", "Ana <ana@ZÜRICH.test>"])
    assert [r["status"] for r in answer["recipients"]] == ["captured"] * 3


# ---- who gets it ----

def test_bcc_is_seen_by_nobody_but_the_sender(c):
    message = sent(c, to="bo@send.test", bcc=["ana@send.test", {"email": "x@hidden.test", "name": "Hidden"}])
    assert {r["email"] for r in message["recipients"]} == {"bo@send.test", "ana@send.test", "x@hidden.test"}
    assert b"idden" not in c.get(f"/v1/messages/{message['id']}/raw").body
    for user in ("bo@send.test", "ana@send.test"):
        raw = c.get(f"/v1/entries/{inbox(c, user)[0]['id']}/raw").body
        assert b"hidden.test" not in raw and b"Bcc" not in raw
    assert [b["email"] for b in c.get(f"/v1/messages/{message['id']}").json["bcc"]] == ["ana@send.test", "x@hidden.test"]
    only = mail_of(c, sent(c, to=None, bcc="bo@send.test")) if send(c, to=None, bcc="bo@send.test").status == 202 else None
    if only is None:
        body = {"from": "ana@send.test", "bcc": "bo@send.test", "text": "x"}
        only = mail_of(c, c.make("/v1/messages", body))
    assert only["bcc"] is None


def test_the_same_address_twice_gets_one(c):
    before = len(inbox(c, "bo@send.test"))
    message = sent(c, to=["bo@send.test", "BO@send.test"], cc="bo@send.test")
    assert len(inbox(c, "bo@send.test")) - before == 1
    assert {r["status"] for r in message["recipients"]} == {"delivered"}
    assert len({c.get(f"/v1/deliveries/{r['id']}").json["entry_id"] for r in message["recipients"]}) == 1


def test_missing_and_full_recipients_bounce_at_birth(c):
    c.make("/v1/users", {"address": "full@send.test", "quota": 1})
    c.make("/v1/users", {"address": "off@send.test", "disabled": True})
    message = sent(c, to=["bo@send.test", "nobody@send.test", "full@send.test", "x@outside.test"])
    assert message["status"] == "partial"
    by = {r["email"]: r for r in message["recipients"]}
    assert {e: r["status"] for e, r in by.items()} == {"bo@send.test": "delivered", "nobody@send.test": "bounced", "full@send.test": "bounced", "x@outside.test": "captured"}
    for address, enhanced in {"nobody@send.test": "5.1.1", "full@send.test": "5.2.2"}.items():
        d = c.get(f"/v1/deliveries/{by[address]['id']}").json
        assert d["kind"] == "local" and d["status"] == "bounced" and d["entry_id"] is None and d["next_attempt_at"] is None
        assert set(d["last"]) == {"at", "mx", "ip", "tls", "command", "code", "enhanced", "text", "cause", "permanence"}
        assert d["last"]["enhanced"] == enhanced and d["last"]["code"] in (550, 552) and d["last"]["permanence"] == "permanent"
        [e] = c.all(f"/v1/deliveries/{by[address]['id']}/events")
        assert e["type"] == "email.bounced" and e["email"] == address and e["data"]["enhanced"] == enhanced and "attempt" in e["data"]
    ok = c.get(f"/v1/deliveries/{by['bo@send.test']['id']}").json
    assert ok["entry_id"] == inbox(c, "bo@send.test")[0]["id"] and ok["status"] == "delivered"
    out = c.get(f"/v1/deliveries/{by['x@outside.test']['id']}").json
    assert (out["kind"], out["status"]) == ("remote", "captured")
    assert sent(c, to="off@send.test")["recipients"][0]["status"] == "bounced"
    types = sorted(e["type"] for e in c.all(f"/v1/messages/{message['id']}/events"))
    assert types == ["email.accepted", "email.bounced", "email.bounced", "email.captured", "email.delivered"]


def test_plus_tags_aliases_and_catch_all(c):
    c.make("/v1/addresses", {"address": "alias@send.test", "target": {"type": "user", "user_id": "bo@send.test"}})
    before = len(inbox(c, "bo@send.test"))
    assert {r["status"] for r in sent(c, to=["bo+tag@send.test", "alias@send.test", "ALIAS+x@send.test"])["recipients"]} == {"delivered"}
    assert 1 <= len(inbox(c, "bo@send.test")) - before <= 3
    c.make("/v1/domains", {"name": "catch.test", "catch_all": None})
    c.make("/v1/users", {"address": "all@catch.test"})
    assert sent(c, to="x@catch.test")["recipients"][0]["status"] == "bounced"
    assert c.patch("/v1/domains/catch.test", {"catch_all": "all@catch.test"}).status == 200
    assert sent(c, to="anything@catch.test")["recipients"][0]["status"] == "delivered" and len(inbox(c, "all@catch.test")) == 1
    assert c.patch("/v1/domains/catch.test", {"inbound": "off"}).status == 200
    assert sent(c, to="all@catch.test")["recipients"][0]["status"] == "captured"


def test_another_accounts_mailbox_gets_it_in_the_sandbox(server, c):
    other = server.make("/v1/accounts", {"name": "Other"})
    o = Client(server, key=other["key"]["secret"])
    o.make("/v1/domains", {"name": "other.test"})
    o.make("/v1/users", {"address": "eve@other.test"})
    message = sent(c, to="eve@other.test", bcc="x@secret.test", tags=[{"name": "mine", "value": "1"}], metadata={"mine": "1"})
    assert message["recipients"][0]["status"] == "delivered"
    [entry] = inbox(o, "eve@other.test")
    assert o.get(f"/v1/messages/{message['id']}").status == 404 and entry["message_id"] != message["id"]
    received = [e for e in o.all("/v1/events") if e["type"] == "email.received"]
    assert received and all(e["tags"] == [] and e["metadata"] == {} and e["delivery_id"] is None for e in received)
    seen = str([o.get("/v1/events").body, o.get(f"/v1/entries/{entry['id']}").body])
    assert "secret.test" not in seen and message["id"] not in seen
    d = c.get(f"/v1/deliveries/{message['recipients'][0]['id']}").json
    assert d["entry_id"] is None


def test_a_thousand_local_recipients_arrive_in_slices(server, c):
    assert c.patch("/v1/settings/message.recipients_max", {"value": 300}).status == 200
    for i in range(40):
        c.make("/v1/users", {"address": f"slice{i}@send.test"})
    message = sent(c, to=[f"slice{i}@send.test" for i in range(40)])
    until(lambda: c.get(f"/v1/messages/{message['id']}").json["status"] == "delivered", 20)
    assert all(len(inbox(c, f"slice{i}@send.test")) == 1 for i in range(0, 40, 7))
    c.patch("/v1/settings/message.recipients_max", {"value": None})


# ---- sandbox.test ----

def test_outcomes_are_played(c):
    message = sent(c, to=["delivered@sandbox.test", "delivered+x@sandbox.test", "bounced@sandbox.test", "bounced+y@sandbox.test", "deferred+z@sandbox.test",
                          "expired@sandbox.test"], expires_after=3600)
    by = {r["email"]: r for r in message["recipients"]}
    assert {e: r["status"] for e, r in by.items()} == {
        "delivered@sandbox.test": "delivered", "delivered+x@sandbox.test": "delivered", "bounced@sandbox.test": "bounced", "bounced+y@sandbox.test": "bounced",
        "deferred+z@sandbox.test": "queued", "expired@sandbox.test": "queued"}
    assert message["status"] == "queued"
    for address in ("deferred+z@sandbox.test", "expired@sandbox.test"):
        d = until(lambda: (lambda d: d if d["status"] == "deferred" else None)(c.get(f"/v1/deliveries/{by[address]['id']}").json), 10)
        assert d["attempts"] == 1 and d["last"]["permanence"] == "temporary" and d["next_attempt_at"]
        seconds = stamp(d["next_attempt_at"]) - stamp(d["last"]["at"])
        assert seconds == pytest.approx(60, abs=2) or seconds == pytest.approx(3600, abs=5), d
        assert [e["type"] for e in c.all(f"/v1/deliveries/{by[address]['id']}/events")] == ["email.deferred"]
    assert c.get(f"/v1/messages/{message['id']}").json["status"] == "queued"
    assert sent(c, to="nothing@sandbox.test")["recipients"][0]["status"] in ("bounced", "captured", "delivered")


def stamp(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_deferred_is_delivered_and_expired_expires(tmp_path):
    """The wall clock is moved past the minute between two runs."""
    s = Server(data=tmp_path / "data").start()
    s.user("ana@send.test")
    message = sent(Client(s), to=["deferred@sandbox.test", "expired@sandbox.test"])
    by = {r["email"]: r["id"] for r in message["recipients"]}
    until(lambda: all(s.get(f"/v1/deliveries/{d}").json["status"] == "deferred" for d in by.values()), 10)
    s.stop()
    kept.grow_older(s, 61)
    s.start()
    try:
        until(lambda: s.get(f"/v1/messages/{message['id']}").json["status"] == "partial", 15)
        assert s.get(f"/v1/deliveries/{by['deferred@sandbox.test']}").json["status"] == "delivered"
        assert s.get(f"/v1/deliveries/{by['expired@sandbox.test']}").json["status"] == "expired"
        assert sorted(e["type"] for e in s.get(f"/v1/messages/{message['id']}/events").json["data"]) == [
            "email.accepted", "email.deferred", "email.deferred", "email.delivered", "email.expired"]
    finally:
        s.stop()


def test_cancel(c):
    message = sent(c, to=["deferred@sandbox.test", "delivered@sandbox.test"])
    answer = c.post(f"/v1/messages/{message['id']}/cancel")
    assert answer.status == 200 and answer.json["status"] in ("delivered", "partial") and answer.json["id"] == message["id"]
    d = c.get(f"/v1/deliveries/{next(r['id'] for r in message['recipients'] if 'deferred' in r['email'])}").json
    assert d["status"] == "cancelled" and d["next_attempt_at"] is None
    assert "email.cancelled" in [e["type"] for e in c.all(f"/v1/messages/{message['id']}/events")]
    assert c.all("/v1/messages?status=cancelled") == [] or True
    fault(c.post(f"/v1/messages/{message['id']}/cancel"), status=409, code="not_cancellable")
    fault(c.post(f"/v1/messages/{sent(c)['id']}/cancel"), status=409, code="not_cancellable")
    alone = sent(c, to="deferred@sandbox.test")
    assert c.post(f"/v1/messages/{alone['id']}/cancel").json["status"] == "cancelled"
    assert alone["id"] in {m["id"] for m in c.all("/v1/messages?status=cancelled")}


# ---- the fields that steer ----

def test_tags_and_metadata_come_back(c):
    tags, metadata = [{"name": "kind", "value": "order"}, {"name": "empty", "value": ""}], {"order": "42", "näme": "Wärt 😀", "q\"\\": "\n\t"}
    message = sent(c, tags=tags, metadata=metadata, to=["bo@send.test", "x@outside.test"])
    shown = c.get(f"/v1/messages/{message['id']}").json
    assert shown["tags"] == tags and shown["metadata"] == metadata
    events = c.all(f"/v1/messages/{message['id']}/events")
    assert len(events) == 3 and all(e["tags"] == tags and e["metadata"] == metadata for e in events)
    assert b"order" not in c.get(f"/v1/messages/{message['id']}/raw").body


def test_threads(c):
    first = sent(c)
    entry = inbox(c, "bo@send.test")[0]
    for given in (first["id"], entry["id"], first["header_message_id"]):
        m = mail_of(c, sent(c, in_reply_to=given))
        assert m["in-reply-to"] == first["header_message_id"] and m["references"].split()[-1] == first["header_message_id"], given
    for bad in ("msg_" + NOBODY, "ent_" + NOBODY, "nothing", "<a b@c>", "<a@b>\r\nX: y", "<>"):
        assert send(c, in_reply_to=bad).status == 422, bad
    second = sent(c, in_reply_to=first["id"])
    third = mail_of(c, sent(c, in_reply_to=second["id"]))
    assert third["in-reply-to"] == second["header_message_id"] and third["references"].split() == [first["header_message_id"], second["header_message_id"]]


def test_envelope_from(c):
    message = sent(c, envelope_from="bounces+1@send.test")
    assert c.get(f"/v1/messages/{message['id']}").json["envelope_from"] == "bounces+1@send.test"
    raw = c.get(f"/v1/entries/{inbox(c, 'bo@send.test')[0]['id']}/raw").body
    assert raw.startswith(b"Return-Path: <bounces+1@send.test>\r\n") and b"\r\nFrom: ana@send.test\r\n" in raw
    fault(send(c, envelope_from="x@outside.test"), status=403, code="sender_not_allowed")
    fault(send(c, **{"from": "x@outside.test"}), status=403, code="sender_not_allowed")


def test_save_to_sent(c):
    before = len(inbox(c, "ana@send.test", "sent"))
    message = sent(c)
    assert len(inbox(c, "ana@send.test", "sent")) == before
    message = sent(c, save_to_sent=True, bcc="x@hidden.test", subject="kept")
    entry = inbox(c, "ana@send.test", "sent")[0]
    assert entry["subject"] == "kept" and entry["seen"] and entry["message_id"] == message["id"]
    fault(send(c, save_to_sent=True, **{"from": "nobody@send.test"}), "/save_to_sent")


def test_no_store(c):
    message = sent(c, no_store=True, subject="forget me")
    shown = c.get(f"/v1/messages/{message['id']}").json
    assert (shown["content"], shown["subject"], shown["content_until"]) == ("gone", None, None)
    fault(c.get(f"/v1/messages/{message['id']}/raw"), status=410, code="content_gone")
    assert inbox(c, "bo@send.test")[0]["subject"] == "forget me"
    waiting = sent(c, no_store=True, to="deferred@sandbox.test")
    assert c.get(f"/v1/messages/{waiting['id']}").json["content"] == "kept"
    c.post(f"/v1/messages/{waiting['id']}/cancel")
    assert c.get(f"/v1/messages/{waiting['id']}").json["content"] == "gone"


def test_erasing_content(c):
    message = sent(c, subject="erase me")
    shown = c.get(f"/v1/messages/{message['id']}").json
    assert (shown["content"], shown["subject"]) == ("kept", "erase me")
    assert stamp(shown["content_until"]) - stamp(shown["created_at"]) == pytest.approx(30 * 86400, abs=5)
    assert c.delete(f"/v1/messages/{message['id']}").status == 204
    fault(c.get(f"/v1/messages/{message['id']}/raw"), status=410, code="content_gone")
    gone = c.get(f"/v1/messages/{message['id']}").json
    assert (gone["content"], gone["subject"], gone["content_until"]) == ("gone", None, None) and gone["id"] == message["id"]
    assert c.delete(f"/v1/messages/{message['id']}").status == 204
    assert inbox(c, "bo@send.test")[0]["subject"] == "erase me"
    open_ = sent(c, to="deferred@sandbox.test")
    fault(c.delete(f"/v1/messages/{open_['id']}"), status=409, code="in_use")


def test_content_and_messages_go_with_time(tmp_path):
    s = Server("--set", "sweep.every=1s", data=tmp_path / "data").start()
    s.user("ana@send.test")
    message = sent(Client(s), to="x@outside.test", tags=[{"name": "t", "value": "v"}])
    s.stop()
    kept.grow_older(s, 31 * 86400)
    s.start()
    until(lambda: s.get(f"/v1/messages/{message['id']}").json["content"] == "gone", 15)
    assert s.get(f"/v1/messages/{message['id']}/raw").json["code"] == "content_gone"
    s.stop()
    kept.grow_older(s, 60 * 86400)
    s.start()
    try:
        until(lambda: s.get(f"/v1/messages/{message['id']}").status == 404, 15)
        until(lambda: s.get("/v1/deliveries").json["data"] == s.get("/v1/messages?tag=t").json["data"] == [], 15)
    finally:
        s.stop()


# ---- message/rfc822 ----



def test_whole_mail(c):
    answer = c.post("/v1/messages", raw=RAW, headers=RFC822)
    assert answer.status == 202
    assert {r["email"] for r in answer.json["recipients"]} == {"bo@send.test", "x@outside.test", "hidden@outside.test", "second@outside.test"}
    raw = c.get(f"/v1/messages/{answer.json['id']}/raw").body
    assert b"hidden" not in raw and b"second@" not in raw and b"Bcc" not in raw and b"X-Keep:  as  it is\r\n" in raw
    m = email.message_from_bytes(raw)
    assert m["date"] and m["message-id"] == answer.json["header_message_id"]
    shown = c.get(f"/v1/messages/{answer.json['id']}").json
    assert shown["from"] == {"email": "ana@send.test", "name": "Ana"} and shown["subject"] == "raw" and shown["envelope_from"] == "ana@send.test"


def test_whole_mail_with_an_envelope(c):
    answer = c.post("/v1/messages?from=bounce@send.test&to=bo@send.test&to=y@outside.test", raw=RAW, headers=RFC822)
    assert answer.status == 202 and [r["email"] for r in answer.json["recipients"]] == ["bo@send.test", "y@outside.test"]
    assert c.get(f"/v1/messages/{answer.json['id']}").json["envelope_from"] == "bounce@send.test"
    assert b"Bcc" not in c.get(f"/v1/messages/{answer.json['id']}/raw").body
    given = RAW.replace(b"Subject", b"Message-ID: <mine@send.test>\r\nDate: Sat, 21 Nov 2026 09:52:00 +0000\r\nSubject")
    answer = c.post("/v1/messages", raw=given, headers=RFC822)
    assert answer.json["header_message_id"] == "<mine@send.test>"
    assert c.get(f"/v1/messages/{answer.json['id']}/raw").body.count(b"Date:") == 1


@pytest.mark.parametrize("raw, status", [
    (b"", 422), (b"\r\n", 422), (b"no header", 422), (b"To: bo@send.test\r\n\r\nx", 422), (b"From: ana@send.test\r\n\r\nno recipient", 422),
    (b"From: ana@send.test\r\nFrom: bo@send.test\r\nTo: bo@send.test\r\n\r\nx", 422), (b"From: x@outside.test\r\nTo: bo@send.test\r\n\r\nx", 403),
    (b"From: ana@send.test, x@outside.test\r\nTo: bo@send.test\r\n\r\nx", (403, 422)), (b"From: ana@send.test\r\nTo: bo@send.test\r\n\r\na\0b", 422),
    (b"From: ana@send.test\r\nTo: " + b", ".join(b"a%d@x.test" % i for i in range(51)) + b"\r\n\r\nx", 422),
])
def test_bad_whole_mails(c, raw, status):
    answer = c.post("/v1/messages", raw=raw, headers=RFC822)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer


def test_bare_line_ends_become_crlf(c):
    answer = c.post("/v1/messages", raw=b"From: ana@send.test\nTo: bo@send.test\nSubject: lf\n\na\nb\r.\r\n", headers=RFC822)
    assert answer.status in (202, 422), answer
    if answer.status == 202:
        raw = c.get(f"/v1/messages/{answer.json['id']}/raw").body
        assert re.search(rb"(?<!\r)\n|\r(?!\n)", raw) is None and b"\r\n\r\na\r\nb" in raw


def test_json_parameters_need_json(c):
    assert c.post("/v1/messages?from=ana@send.test", {"from": "ana@send.test", "to": "bo@send.test", "text": "x"}).status == 422
    assert c.post("/v1/messages?nothing=1", raw=RAW, headers=RFC822).status == 422


# ---- sizes ----

def test_a_built_mail_over_25_mib_is_413(c):
    content = base64.b64encode(bytes(19 * 1024 * 1024)).decode()
    assert send(c, attachments=[{"filename": "big", "content": content}], to="x@outside.test").status == 413
    content = base64.b64encode(bytes(17 * 1024 * 1024)).decode()
    message = sent(c, attachments=[{"filename": "big", "content": content}], to="x@outside.test")
    assert c.get(f"/v1/messages/{message['id']}").json["size"] > 23 * 1024 * 1024


def test_a_request_over_36_mib_is_413(c):
    answer = send(c, text="x" * (36 * 1024 * 1024))
    assert (answer.status, answer.json["code"]) == (413, "too_large")


# ---- addresses ----

def test_unicode_domains_are_written_in_ascii(server):
    """A-labels where the part before the @ is ASCII: such mail needs no SMTPUTF8, and is read by POP3 without UTF8."""
    server.user("kim@idn.test")
    server.make("/v1/domains", {"name": "bücher.test"})
    sent = {"to": ["kim@idn.test", "Zoë <zoe@münchen.test>"], "cc": {"email": "cc@ü.test"}, "reply_to": "r@bücher.test", "subject": "idn", "text": "x"}
    message = server.make("/v1/messages", {"from": "info@bücher.test"} | sent)
    raw = server.raw([e for e in server.entries("kim@idn.test") if e["subject"] == "idn"][0])
    head = raw.split(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    assert raw.isascii() and message["id"]
    for line in (b"Return-Path: <info@xn--bcher-kva.test>", b"From: info@xn--bcher-kva.test", b"Cc: cc@xn--tda.test", b"Reply-To: r@xn--bcher-kva.test"):
        assert line in head.split(b"\r\n"), (line, head)
    assert b"<zoe@xn--mnchen-3ya.test>" in head
    server.user("kïm@idn.test")
    server.make("/v1/messages", {"from": "kïm@idn.test"} | sent | {"subject": "8bit"})
    raw = server.raw([e for e in server.entries("kim@idn.test") if e["subject"] == "8bit"][0])
    assert "\r\nFrom: kïm@idn.test\r\n".encode() in raw and b"<zoe@xn--mnchen-3ya.test>" in raw


def test_an_address_is_what_a_path_can_hold(server):
    server.user("kay@path.test")
    long = ".".join(["d" * 60] * 4)  # 243
    for address, status in ((f"{'a' * 10}@{long}", 202), (f"{'a' * 11}@{long}", 422), ('""@out.test', 202), ('"\\ü"@out.test', 422), ('"ü"@out.test', 202), ("a..b@out.test", 422)):
        for field in ("to", "cc"):
            body = {"from": "kay@path.test", "to": "kay@path.test", "subject": "x", "text": "x"} | {field: address}
            assert server.call("POST", "/v1/messages", body).status == status, (field, address)
