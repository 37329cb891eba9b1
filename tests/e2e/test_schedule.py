"""Mail that begins later, and what would become of mail that is not sent at all."""
import datetime
import email.utils
import json
import time

import pytest
from api_client import Client
from sending import RFC822, fault, inbox
from server import Server, until
from test_cli import fine, run


def ahead(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@plan.test", name="Ana")
    server.user("bo@plan.test")
    return Client(server)


def plan(c, when, **more):
    return c.make("/v1/messages", {"from": "ana@plan.test", "to": "bo@plan.test", "subject": "later", "text": "x", "scheduled_at": when} | more)


def test_it_begins_at_its_second(server, c):
    began = time.time()
    sent = plan(c, ahead(2), to=["bo@plan.test", "x@outside.test"], save_to_sent=True)
    assert sent["status"] == "scheduled" and [r["status"] for r in sent["recipients"]] == ["queued", "queued"]
    m = c.get(f"/v1/messages/{sent['id']}").json
    assert m["status"] == "scheduled" and m["scheduled_at"] and b"\r\nDate:" not in c.get(f"/v1/messages/{sent['id']}/raw").body
    assert [x["id"] for x in c.all("/v1/messages?status=scheduled")] == [sent["id"]]
    delivery = c.get(f"/v1/deliveries/{sent['recipients'][0]['id']}").json
    assert delivery["status"] == "queued" and delivery["next_attempt_at"] == m["scheduled_at"] and delivery["waiting"]["reason"] == "scheduled"
    m = until(lambda: (x := c.get(f"/v1/messages/{sent['id']}").json)["status"] == "delivered" and x)
    [entry] = inbox(c, "bo@plan.test")
    at = datetime.datetime.fromisoformat(m["scheduled_at"]).timestamp()
    events = c.all(f"/v1/messages/{sent['id']}/events")
    begun = datetime.datetime.fromisoformat(next(e["at"] for e in events if e["type"] == "email.delivered")).timestamp()
    assert began < at <= begun
    assert {"email.accepted", "email.scheduled", "email.captured", "email.delivered"} == {e["type"] for e in events}
    assert next(e["data"]["scheduled_at"] for e in events if e["type"] == "email.scheduled") == m["scheduled_at"]
    raw = server.raw(entry)
    [date] = [line for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n") if line.startswith(b"Date:")]
    assert abs(email.utils.parsedate_to_datetime(date[6:].decode()).timestamp() - begun) <= 2
    assert len(inbox(c, "ana@plan.test", "sent")) == 1


def test_what_is_no_time_to_begin(c):
    for when in (ahead(-5), ahead(31 * 86400), "tomorrow", "2030-01-01T10:00:00", 5):
        fault(c.post("/v1/messages", {"from": "ana@plan.test", "to": "bo@plan.test", "text": "x", "scheduled_at": when}), "/scheduled_at")


def test_moved_and_cancelled(server, c):
    sent = plan(c, ahead(3600))
    moved = c.patch(f"/v1/messages/{sent['id']}", {"scheduled_at": ahead(7200)})
    assert moved.status == 200 and moved.json["status"] == "scheduled" and moved.json["scheduled_at"] > ahead(7000)[:19]
    fault(c.patch(f"/v1/messages/{sent['id']}", {"scheduled_at": ahead(-1)}), "/scheduled_at")
    assert c.post(f"/v1/messages/{sent['id']}/cancel").json["status"] == "cancelled"
    assert c.patch(f"/v1/messages/{sent['id']}", {"scheduled_at": None}).status == 409
    other = plan(c, ahead(3600), subject="now")
    assert c.patch(f"/v1/messages/{other['id']}", {"scheduled_at": None}).status == 200
    until(lambda: c.get(f"/v1/messages/{other['id']}").json["status"] == "delivered")
    late = c.patch(f"/v1/messages/{other['id']}", {"scheduled_at": ahead(60)})
    assert late.status == 409, late


def test_a_whole_mail_and_the_command_line(server, c):
    raw = b"From: ana@plan.test\r\nTo: bo@plan.test\r\nSubject: whole\r\nDate: Sat, 21 Nov 2026 09:52:00 +0000\r\n\r\nx\r\n"
    sent = c.post("/v1/messages?scheduled_at=" + ahead(3600).replace("+", "%2B"), raw=raw, headers=RFC822)
    assert sent.status == 202 and sent.json["status"] == "scheduled"
    fine(server, "message", "move", sent.json["id"], "--at", "null")
    until(lambda: c.get(f"/v1/messages/{sent.json['id']}").json["status"] == "delivered")
    assert c.get(f"/v1/messages/{sent.json['id']}/raw").body.count(b"\r\nDate:") == 1
    by_flag = fine(server, "send", "--from", "ana@plan.test", "--to", "bo@plan.test", "--subject", "s", "--text", "x", "--at", ahead(3600))
    assert by_flag["status"] == "scheduled"
    assert fine(server, "message", "cancel", by_flag["id"])["status"] == "cancelled"


def test_a_start_lets_begin_what_is_due(tmp_path):
    """Killed in between: nothing is lost, and nothing begins twice."""
    s = Server(data=tmp_path / "data").start()
    try:
        s.user("ana@plan.test")
        sent = [plan(Client(s), ahead(1.5), to="ana@plan.test", subject=str(i))["id"] for i in range(20)]
        s.kill()
        s.start()
        c = Client(s)
        until(lambda: c.get(f"/v1/messages/{sent[-1]}").json["status"] == "delivered" or None)
        s.kill()
        s.start()
        c = Client(s)
        until(lambda: all(c.get(f"/v1/messages/{m}").json["status"] == "delivered" for m in sent))
        assert sorted(e["subject"] for e in inbox(c, "ana@plan.test")) == sorted(str(i) for i in range(20))
    finally:
        s.stop()


# ---- previews ----


def test_a_preview_tells_what_would_become_of_each(server, c):
    c.make("/v1/suppressions", {"email": "gone@outside.test"})
    before = len(c.all("/v1/messages"))
    body = {"from": "Ana <ana@plan.test>", "to": ["bo@plan.test", "nobody@plan.test", "gone@outside.test", "x@outside.test"], "subject": "Grüße",
            "html": "<p><a href='http://a.test'>a</a><a href='/b'>b</a></p>", "attachments": [{"filename": "run.EXE", "content": "eA=="}]}
    p = c.make("/v1/previews", body)
    assert p["object"] == "preview" and p["valid"] and p["errors"] == [] and p["message"]["subject"] == "Grüße"
    assert {h["name"]: h["value"] for h in p["message"]["headers"]}["Subject"] == "Grüße" and "a <http://a.test>" in p["message"]["text"]
    assert [(r["email"], r["kind"], r["verdict"]["status"]) for r in p["recipients"]] == [
        ("bo@plan.test", "local", "delivered"), ("nobody@plan.test", "local", "bounced"),
        ("gone@outside.test", "remote", "suppressed"), ("x@outside.test", "remote", "captured")]
    assert p["recipients"][2]["suppressed"] == {"reason": "manual"} and p["recipients"][3]["route"]["type"] == "mx"
    assert {w["code"] for w in p["warnings"]} >= {"no_text", "link_insecure", "link_broken", "attachment_risky", "domain_unverified"}
    assert len(c.all("/v1/messages")) == before and not any(e["subject"] == "Grüße" for e in inbox(c, "bo@plan.test"))


def test_a_preview_can_be_looked_at(server, c):
    body = {"from": "ana@plan.test", "to": "bo@plan.test", "html": "<p>Ä<script>alert(1)</script></p>"}
    p = c.make("/v1/previews", body)
    page = server.get(p["view_url"], key=False)
    assert page.status == 200 and page.body.decode() == body["html"] and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "allow-scripts" not in policy and page.headers["X-Content-Type-Options"] == "nosniff"
    assert c.make("/v1/previews", body)["view_url"] != p["view_url"]
    assert c.make("/v1/previews", body | {"html": None, "text": "x"})["view_url"] is None
    for other in ("/views/viw_01k9qw6t5he8brjf0d3vnx2mza", "/views/x"):
        assert server.get(other, key=False).status == 404
    for name, value in (("preview.views_max", 2), ("preview.view_size", 1024)):
        assert c.patch(f"/v1/settings/{name}", {"value": value}).status == 200
    try:
        last = [c.make("/v1/previews", body)["view_url"] for _ in range(3)]
        assert [server.get(v, key=False).status for v in last] == [404, 200, 200]
        assert c.make("/v1/previews", body | {"html": "x" * 1025})["view_url"] is None
    finally:
        for name in ("preview.views_max", "preview.view_size"):
            c.patch(f"/v1/settings/{name}", {"value": None})


def test_a_preview_tells_what_would_be_refused(c):
    p = c.make("/v1/previews", {"from": "x@notours.test", "to": "bo@plan.test", "text": "x"})
    assert not p["valid"] and [(e["pointer"], e["code"]) for e in p["errors"]] == [("/from", "sender_not_allowed")] and p["message"] is None
    p = c.make("/v1/previews", {"from": "ana@plan.test", "to": "bo@plan.test", "scheduled_at": ahead(-5)})
    assert {e["pointer"] for e in p["errors"]} == {"/text", "/scheduled_at"}
    fault(c.post("/v1/previews", {"from": "ana@plan.test", "nonsense": 1}), "/nonsense")


def test_a_dry_run_sends_nothing(server, c):
    before = len(c.all("/v1/messages"))
    said = fine(server, "send", "--from", "ana@plan.test", "--to", "bo@plan.test", "--text", "x", "--dry-run")
    assert said["valid"] and said["recipients"][0]["verdict"]["status"] == "delivered"
    r = run(server, "send", "--from", "ana@nowhere.test", "--to", "bo@plan.test", "--text", "x", "--dry-run")
    assert r.returncode == 1 and not json.loads(r.stdout)["valid"]
    assert len(c.all("/v1/messages")) == before
