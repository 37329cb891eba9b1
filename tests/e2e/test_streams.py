"""Streams: kinds of mail that an account sends, each with its own pace, expiry and pause."""
import smtplib
import time

import pytest
from api_client import Client
from peer import Peer
from server import PASSWORD, Server, until
from test_cli import fine
from test_delivery import by_relay, deliveries, ended, send


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        s.make("/v1/domains", {"name": "example.test"})
        yield s


@pytest.fixture
def account(server):
    """A client of a new account, and its account."""
    made = server.make("/v1/accounts", {"name": "tenant"})
    return Client(server, key=made["key"]["secret"]), made


def fault(answer, pointer, code):
    assert answer.status == 422 and (pointer, code) in [(f["pointer"], f["code"]) for f in answer.json["errors"]], answer


# ---- the object ----

def test_an_account_begins_with_one(account):
    c, made = account
    [first] = c.get("/v1/streams").json["data"]
    assert first == {"object": "stream", "id": first["id"], "account_id": made["id"], "name": "transactional", "slug": "transactional",
                     "kind": "transactional", "default": True, "tracking": {"opens": False, "clicks": "none"}, "unsubscribe": "none",
                     "pool_id": None, "recipients_per_second": None, "expires_after": None, "paused": False, "created_at": first["created_at"]}
    assert abs(time.mktime(time.strptime(first["created_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.strptime(made["created_at"][:19], "%Y-%m-%dT%H:%M:%S"))) <= 2
    assert c.get("/v1/streams/transactional").json == c.get(f"/v1/streams/{first['id']}").json == first
    answer = c.call("DELETE", "/v1/streams/transactional")
    assert answer.status == 409 and answer.json["code"] == "in_use"


def test_a_stream_is_made_changed_and_removed(account):
    c, _ = account
    made = c.post("/v1/streams", {"slug": "news", "kind": "broadcast", "recipients_per_second": 5, "tracking": {"clicks": "both"}})
    assert made.status == 201 and made.headers["Location"] == f"/v1/streams/{made.json['id']}"
    assert (made.json["name"], made.json["unsubscribe"], made.json["default"]) == ("news", "one_click", False)
    changed = c.patch("/v1/streams/news", {"slug": "letters", "name": "Letters", "tracking": {"opens": True}, "recipients_per_second": None, "expires_after": 600}).json
    assert changed == made.json | {"slug": "letters", "name": "Letters", "tracking": {"opens": True, "clicks": "both"}, "recipients_per_second": None, "expires_after": 600}
    assert c.patch("/v1/streams/letters", {"tracking": None}).json["tracking"] == {"opens": False, "clicks": "none"}
    assert c.get("/v1/streams/news").status == 404
    assert [s["slug"] for s in c.get("/v1/streams").json["data"]] == ["letters", "transactional"]
    assert c.call("DELETE", "/v1/streams/letters").status == 204 and c.get(f"/v1/streams/{made.json['id']}").status == 404


def test_what_no_stream_may_be(account):
    c, made = account
    for slug in ("render", "check", "remove", "-x", "Ä", "a b", "x" * 65, made["id"].replace("acc_", "str_"), ""):
        fault(c.post("/v1/streams", {"slug": slug}), "/slug", {"": "too_short", "x" * 65: "too_long"}.get(slug, "invalid_slug"))
    fault(c.post("/v1/streams", {"slug": "a", "kind": "broadcast", "unsubscribe": "none"}), "/unsubscribe", "not_allowed")
    fault(c.post("/v1/streams", {"slug": "a", "pool_id": "pol_01k9qw6t5he8brjf0d3vnx2mza"}), "/pool_id", "not_found")
    assert c.post("/v1/streams", {"slug": "a"}).status == 201
    for answer in (c.post("/v1/streams", {"slug": "a"}), c.patch("/v1/streams/a", {"slug": "transactional"})):
        assert answer.status == 409 and answer.json["code"] == "conflict", answer
    assert c.patch("/v1/streams/a", {"kind": "broadcast"}).status == 422
    assert c.patch("/v1/streams/transactional", {"slug": "main"}).json["default"] is True
    assert c.post("/v1/streams", {"slug": "transactional"}).status == 201


def test_there_is_a_most(server, account):
    c, _ = account
    server.call("PATCH", "/v1/settings/stream.streams_max", {"value": "3"})
    try:
        assert [c.post("/v1/streams", {"slug": f"s{i}"}).status for i in range(2)] == [201, 201]
        fault(c.post("/v1/streams", {"slug": "more"}), "", "limit_reached")
        assert c.call("DELETE", "/v1/streams/s0").status == 204 and c.post("/v1/streams", {"slug": "more"}).status == 201
    finally:
        server.call("PATCH", "/v1/settings/stream.streams_max", {"value": None})


def test_a_key_of_some_domains_changes_none(server, account):
    c, _ = account
    domain = c.post("/v1/domains", {"name": f"{time.time_ns()}.test"}).json["id"]
    bound = Client(server, key=c.post("/v1/keys", {"name": "bound", "scopes": ["streams"], "domain_ids": [domain]}).json["secret"])
    assert bound.get("/v1/streams").status == 200
    for answer in (bound.post("/v1/streams", {"slug": "x"}), bound.post("/v1/streams/transactional/pause"), bound.patch("/v1/streams/transactional", {"name": "x"})):
        assert answer.status == 403, answer


# ---- sends ----

def test_a_send_names_its_stream(server):
    stream = server.make("/v1/streams", {"slug": "alerts"})
    default = server.get("/v1/streams/transactional").json["id"]
    for more, want in (({}, default), ({"stream": None}, default), ({"stream": "alerts"}, stream["id"]), ({"stream": stream["id"]}, stream["id"])):
        assert server.get(f"/v1/messages/{send(server, 'x@far.test', **more)['id']}").json["stream_id"] == want
    for name in ("none", "str_01k9qw6t5he8brjf0d3vnx2mza"):
        answer = server.call("POST", "/v1/messages", {"from": "app@example.test", "to": "x@far.test", "text": "x", "stream": name})
        fault(answer, "/stream", "not_found")
    raw = b"From: app@example.test\r\nTo: x@far.test\r\n\r\nx\r\n"
    made = server.call("POST", "/v1/messages?stream=alerts", raw=raw, headers={"Content-Type": "message/rfc822"})
    assert server.get(f"/v1/messages/{made.json['id']}").json["stream_id"] == stream["id"]
    batch = server.make("/v1/batches", {"defaults": {"from": "app@example.test", "text": "x", "stream": "alerts"}, "messages": [{"to": "x@far.test"}, {"to": "y@far.test", "stream": "transactional"}]})
    assert [server.get(f"/v1/messages/{m['message']['id']}").json["stream_id"] for m in batch["data"]] == [stream["id"], default]


def test_what_users_send_is_of_none(server):
    server.user("ana@example.test")
    made = Client(server, basic=("ana@example.test", PASSWORD)).post("/v1/messages", {"from": "ana@example.test", "to": "x@far.test", "text": "x"}).json
    assert server.get(f"/v1/messages/{made['id']}").json["stream_id"] is None


def test_what_an_application_submits_is_of_the_default_one(server):
    with smtplib.SMTP(*server.address("submission"), timeout=60) as c:
        c.starttls()
        c.login("apikey", server.key)
        c.sendmail("app@example.test", ["x@submitted.test"], b"From: app@example.test\r\nTo: x@submitted.test\r\n\r\nx\r\n")
    [d] = server.get("/v1/deliveries?email=x@submitted.test").json["data"]
    assert server.get(f"/v1/messages/{d['message_id']}").json["stream_id"] == server.get("/v1/streams").json["data"][-1]["id"]


def test_feedback_is_told_apart_by_stream(server):
    server.make("/v1/streams", {"slug": "receipts"})
    for stream in ("transactional", "receipts"):
        mail = server.call("GET", f"/v1/messages/{send(server, 'x@far.test', stream=stream)['id']}/raw").body
        assert f"Feedback-ID: {stream}:".encode() in mail


def test_how_long_it_is_tried_is_the_streams(server):
    server.make("/v1/streams", {"slug": "codes", "expires_after": 900})

    def lasts(**more):
        [d] = deliveries(server, send(server, "x@far.test", stream="codes", **more)).values()
        return round((stamp(d["expires_at"]) - stamp(d["created_at"])))

    assert (lasts(), lasts(expires_after=120)) == (900, 120)


def stamp(at):
    return time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S"))


# ---- what leaves ----

def test_a_paused_stream_waits_and_others_go_on():
    with Peer() as peer, by_relay(peer) as s:
        stream = s.make("/v1/streams", {"slug": "alerts"})
        assert s.call("POST", "/v1/streams/alerts/pause", {"reason": "a mistake"}).json["paused"] is True
        waits = send(s, "a@far.test", stream="alerts")
        ended(s, send(s, "b@far.test"))
        [d] = deliveries(s, waits).values()
        assert d["status"] == "queued" and d["attempts"] == 0
        assert d["waiting"] == {"reason": "suspended", "until": None, "text": "the stream alerts is paused", "suspension_id": None}
        assert s.call("DELETE", "/v1/streams/alerts").json["code"] == "in_use"
        assert s.call("POST", "/v1/streams/alerts/pause").status == 200 and [m.recipients for m in peer.mails] == [["b@far.test"]]
        assert s.call("POST", "/v1/streams/alerts/resume").json["paused"] is False
        ended(s, waits)
        told = [e for e in s.get("/v1/events?limit=100").json["data"] if e["type"].startswith("stream.")]
        assert [e["type"] for e in told] == ["stream.resumed", "stream.paused"]
        assert told[1]["data"]["stream_id"] == stream["id"] and told[1]["data"]["reason"] == "a mistake" and told[1]["data"]["author"]


def test_the_default_stream_is_paused_like_any_other():
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/streams", {"slug": "alerts"})
        s.call("POST", "/v1/streams/transactional/pause")
        waits = send(s, "a@far.test")
        ended(s, send(s, "b@far.test", stream="alerts"))
        assert [d["status"] for d in deliveries(s, waits).values()] == ["queued"]
        s.call("POST", "/v1/streams/transactional/resume")
        ended(s, waits)


def test_a_stream_keeps_its_pace():
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/streams", {"slug": "slow", "recipients_per_second": 2})
        began = time.monotonic()
        sent = [send(s, f"x{i}@far.test", stream="slow") for i in range(10)]
        ended(s, send(s, "quick@far.test"))
        quick = time.monotonic() - began
        for m in sent:
            ended(s, m)
        assert time.monotonic() - began > 3.5  # two at once, eight at two a second
        assert quick < time.monotonic() - began
        s.call("PATCH", "/v1/streams/slow", {"recipients_per_second": None})


def test_streams_in_the_shell(server):
    made = fine(server, "stream", "add", "digest", "--kind", "broadcast", "--per-second", "20")
    assert (made["slug"], made["kind"], made["recipients_per_second"]) == ("digest", "broadcast", 20)
    assert fine(server, "stream", "set", "digest", "--opens", "--clicks", "html")["tracking"] == {"opens": True, "clicks": "html"}
    assert fine(server, "stream", "pause", "digest", "--reason", "wrong list")["paused"] is True
    assert fine(server, "stream", "resume", "digest")["paused"] is False
    assert "digest" in [x["slug"] for x in fine(server, "stream", "list")["data"]]
    fine(server, "stream", "delete", "digest", "--yes")
    until(lambda: "digest" not in [x["slug"] for x in fine(server, "stream", "list")["data"]])
