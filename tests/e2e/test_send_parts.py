"""What a send brings beside text and HTML: files as parts of a form, AMP, invitations; and packed bodies."""
import email
import email.policy
import gzip
import json
import os

import pytest
from api_client import Client
from sending import fault, inbox
from test_cli import fine, run

CALENDAR = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y//EN\nBEGIN:VEVENT\nUID:1@parts.test\nDTSTAMP:20261128T090000Z\nDTSTART:20261201T120000Z\nSUMMARY:Käse\nEND:VEVENT\nEND:VCALENDAR\n"
MAIL = {"from": "ana@parts.test", "to": "bo@parts.test", "subject": "parts"}
FILE = os.urandom(70_000)


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@parts.test")
    server.user("bo@parts.test")
    return Client(server)


def part(name, content, *lines, filename=None):
    content = json.dumps(content).encode() if isinstance(content, dict) else content
    head = [f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else ""), *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def form(*parts, boundary="----x7"):
    return b"".join(f"--{boundary}\r\n".encode() + p + b"\r\n" for p in parts) + f"--{boundary}--\r\n".encode()


def post(c, *parts, path="/v1/messages", boundary="----x7", body=None, **headers):
    media = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return c.post(path, raw=form(*parts, boundary=boundary) if body is None else body, headers=media | {k.replace("_", "-"): v for k, v in headers.items()})


def last(c):
    entry = max(inbox(c, "bo@parts.test"), key=lambda e: e["uid"])
    return email.message_from_bytes(c.get(f"/v1/entries/{entry['id']}/raw").body, policy=email.policy.default)


def test_files_as_parts_of_a_form(c):
    html = part("message", MAIL | {"html": "<img src='cid:logo@x'>", "attachments": [{"filename": "listed.txt", "content": "eA=="}]}, "Content-Type: application/json")
    a = post(c, part("attachment", FILE, "Content-Type: application/pdf", filename="a%22ü.pdf"), html, part("attachment", b"\x89PNG", "Content-Type: image/png", "Content-ID: <logo@x>", filename="l.png"),
             part("attachment", b"", filename="empty"))
    assert a.status == 202, a
    m = last(c)
    files = {p.get_filename(): p for p in m.walk() if p.get_filename()}
    assert list(files) == ["l.png", "listed.txt", 'a"ü.pdf', "empty"] and files['a"ü.pdf'].get_content() == FILE and files["empty"].get_content() == b""
    assert files['a"ü.pdf'].get_content_type() == "application/pdf" and files["l.png"]["Content-ID"] == "<logo@x>" and files["l.png"].get_content_disposition() == "inline"
    p = post(c, part("message", MAIL), part("attachment", b"x", filename="run.exe"), path="/v1/previews").json
    assert p["valid"] and [w["code"] for w in p["warnings"]].count("attachment_risky") == 1
    assert post(c, body=gzip.compress(form(part("message", MAIL | {"text": "t"}), part("attachment", FILE, filename="f"))), Content_Encoding="gzip").status == 202


def test_what_is_wrong_with_a_part_is_told_at_it(c):
    message, file = part("message", MAIL | {"text": "t"}), part("attachment", b"x", filename="f")
    fault(post(c, file), "/message")
    fault(post(c, message, message), "/message")
    fault(post(c, message, part("file", b"x", filename="f")), "/file")
    fault(post(c, message, part("attachment", b"x")), "/attachment/0/filename")
    fault(post(c, message, file, part("attachment", b"eA==", "Content-Transfer-Encoding: base64", filename="f")), "/attachment/1")
    fault(post(c, message, file, part("attachment", b"x", "Content-Type: multipart/mixed", filename="f")), "/attachment/1/content_type")
    fault(post(c, message, part("attachment", b"x", "Content-ID: <a b>", filename="f")), "/attachment/0/content_id")
    fault(post(c, part("message", b"{}", "Content-Type: image/png")), "/message")
    fault(post(c, part("message", MAIL | {"nonsense": 1}), part("other", b"")), "/nonsense", "/other")
    a = post(c, part("message", b"{"))
    assert (a.status, a.json["code"]) == (400, "invalid_json") and "message" in a.json["detail"], a
    fault(post(c, message, *[file] * 101), "/attachment")
    assert c.patch("/v1/settings/message.size_max", {"value": 1 << 20}).status == 200
    try:
        big = post(c, message, part("attachment", bytes(600_000), filename="f"), part("attachment", bytes(600_000), filename="g"))
        assert (big.status, big.json["code"]) == (413, "too_large") and "/attachment/1" in big.json["detail"], big
    finally:
        c.patch("/v1/settings/message.size_max", {"value": None})


@pytest.mark.parametrize("body", [b"", b"x", form(part("message", b"{}"))[:-8], b"\r\n" + form(part("message", b"{}")), form(part("message", b"{}")) + b"GET / HTTP/1.1", b"------x7\r\n\r\n{}\r\n------x7--",
                                  form(b"X: y\r\n\r\n{}"), form(b"Content-Disposition: attachment; name=message\r\n\r\n{}"), form(b"Content-Disposition: form-data; name=message\r\nX: " + b"y" * 9000 + b"\r\n\r\n{}")])
def test_what_is_no_form(c, body):
    a = post(c, body=body)
    assert (a.status, a.json["code"]) == (400, "invalid_request"), a


def test_a_form_without_a_boundary(c):
    for media in ("multipart/form-data", 'multipart/form-data; boundary=""', "multipart/form-data; boundary=" + "x" * 71):
        assert c.post("/v1/messages", raw=form(part("message", MAIL | {"text": "t"})), headers={"Content-Type": media}).status == 400


def test_a_form_under_a_key_is_the_same_whatever_its_boundary(c):
    parts = [part("message", MAIL | {"text": "t"}), part("attachment", b"one", filename="f")]
    first = post(c, *parts, Idempotency_Key="form-1")
    again = post(c, *parts, boundary="another", Idempotency_Key="form-1")
    assert first.status == again.status == 202 and first.json["id"] == again.json["id"] and again.headers["Idempotency-Replayed"] == "true"
    for other in (part("attachment", b"two", filename="f"), part("attachment", b"one", filename="g"), part("attachment", b"one", "Content-Type: text/csv", filename="f")):
        assert post(c, parts[0], other, Idempotency_Key="form-1").json["code"] == "idempotency_mismatch"
    assert post(c, parts[0], part("attachment", b"on", filename="f"), part("attachment", b"e", filename="f"), Idempotency_Key="form-1").status == 422


def test_parts_count_with_all_bodies(server, c):
    """Bodies that are being held are bounded together, forms no less."""
    assert c.patch("/v1/settings/api.body_memory", {"value": 1 << 20}).status == 200
    try:
        assert post(c, part("message", MAIL | {"text": "t"}), part("attachment", bytes(2 << 20), filename="f")).status == 503
    finally:
        c.patch("/v1/settings/api.body_memory", {"value": None})
    assert post(c, part("message", MAIL | {"text": "t"}), part("attachment", bytes(2 << 20), filename="f")).status == 202


def test_an_invitation_and_amp(server, c, tmp_path):
    assert c.post("/v1/messages", MAIL | {"html": "<p>h</p>", "amp_html": "<html ⚡4email>a</html>", "calendar": {"method": "REQUEST", "content": CALENDAR}}).status == 202
    m = last(c)
    alternatives, invite = m.iter_parts()
    assert [p.get_content_type() for p in alternatives.iter_parts()] == ["text/plain", "text/x-amp-html", "text/html", "text/calendar"]
    amp, calendar = list(alternatives.iter_parts())[1], list(alternatives.iter_parts())[3]
    assert amp.get_content().strip() == "<html ⚡4email>a</html>" and calendar.get_param("method") == "REQUEST" and "METHOD:REQUEST" in calendar.get_content() and "SUMMARY:Käse" in calendar.get_content()
    assert invite.get_filename() == "invite.ics" and invite.get_content_disposition() == "attachment"
    assert invite.get_content().decode() == CALENDAR.replace("BEGIN:VCALENDAR\n", "BEGIN:VCALENDAR\nMETHOD:REQUEST\n").replace("\n", "\r\n")
    assert c.make("/v1/previews", MAIL | {"text": "t", "amp_html": "<html amp4email>"})["message"]["amp_html"] == "<html amp4email>"
    (tmp_path / "i.ics").write_text(CALENDAR)
    (tmp_path / "f.bin").write_bytes(FILE)
    fine(server, "send", "--from", "ana@parts.test", "--to", "bo@parts.test", "--text", "Coming?", "--calendar-file", str(tmp_path / "i.ics"), "--calendar-method", "CANCEL", "--attach", str(tmp_path / "f.bin"))
    files = {p.get_filename(): p for p in last(c).walk() if p.get_filename()}
    assert files["f.bin"].get_content() == FILE and b"METHOD:CANCEL" in files["invite.ics"].get_content()
    assert run(server, "send", "--from", "ana@parts.test", "--to", "bo@parts.test", "--attach", str(tmp_path / "none")).returncode == 2


def test_what_is_no_invitation(c):
    for calendar, pointer in (({"method": "REQUEST", "content": "x"}, "/calendar/content"), ({"method": "INVITE", "content": CALENDAR}, "/calendar/method"), ({"method": "REQUEST"}, "/calendar/content"),
                              ({"method": "CANCEL", "content": CALENDAR.replace("VERSION", "METHOD:REQUEST\nVERSION")}, "/calendar/content"), ({"method": "REQUEST", "content": CALENDAR + "\0"}, "/calendar/content")):
        a = c.post("/v1/messages", MAIL | {"text": "t", "calendar": calendar})
        assert a.status in (400, 422) and (a.status == 400 or {e["pointer"] for e in a.json["errors"]} == {pointer}), a
    fault(c.post("/v1/messages", MAIL | {"amp_html": "<html>", "attachments": [{"filename": "a", "content": "eA=="}]}), "/text")


def test_amp_of_a_template_and_calendars_of_a_batch(c):
    c.make("/v1/templates", {"alias": "amp", "subject": "s", "html": "<p>{{x}}</p>", "amp_html": "<html amp4email>{{x}}</html>"})
    c.make("/v1/templates/amp/publish", {})
    mail = MAIL | {"subject": None, "template": {"alias": "amp", "variables": {"x": "<&>"}}}
    assert c.post("/v1/messages", mail).status == 202
    assert [p.get_content().strip() for p in last(c).walk() if p.get_content_type() == "text/x-amp-html"] == ["<html amp4email>&lt;&amp;&gt;</html>"]
    fault(c.post("/v1/messages", mail | {"amp_html": "x"}), "/amp_html")
    made = c.make("/v1/batches", {"defaults": MAIL | {"calendar": {"method": "REQUEST", "content": CALENDAR}}, "messages": [{"text": "a"}, {"html": "<p>b</p>"}]})
    assert made["accepted"] == 2 and "text/calendar" in [p.get_content_type() for p in last(c).walk()]


def test_packed_bodies(c):
    """Limits count what is unpacked, wherever a body is taken; another coding is refused."""
    for path, body in (("/v1/previews", MAIL | {"text": "packed " * 1000}), ("/v1/batches", {"messages": [MAIL | {"text": "packed " * 1000}]})):
        packed = gzip.compress(json.dumps(body).encode())
        json_ = {"Content-Type": "application/json"}
        assert c.post(path, raw=packed, headers=json_ | {"Content-Encoding": "gzip"}).status in (200, 202)
        assert c.post(path, raw=packed, headers=json_ | {"Content-Encoding": "br"}).status == 415
        assert c.post(path, raw=gzip.compress(b'{"x":"' + b"x" * 5_000_000 + b'"}'), headers=json_ | {"Content-Encoding": "gzip"}).status == 413
    assert c.patch("/v1/settings/message.size_max", {"value": 1 << 20}).status == 200
    try:
        message, file = part("message", MAIL | {"text": "t"}), part("attachment", os.urandom(1 << 16) * 17, filename="f")
        a = post(c, body=gzip.compress(form(message, file)), Content_Encoding="gzip")
        assert (a.status, a.json["code"]) == (413, "too_large") and "/attachment/0" in a.json["detail"], a
    finally:
        c.patch("/v1/settings/message.size_max", {"value": None})
