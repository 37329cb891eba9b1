"""Unsubscribing: what broadcasts carry, what mail programs do with it (RFC 8058), and the page for people."""
import email
import html.parser
import re
import subprocess
import urllib.parse
import urllib.request

import dkim
import pytest
from api_client import Client
from peer import Peer
from sending import fault
from server import Server, until
from test_delivery import by_relay, deliveries, ended, send
from test_delivery_dkim import Keys
from test_schedule import ahead

PUBLIC = "https://links.example.test"


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        s.make("/v1/domains", {"name": "example.test"})
        s.make("/v1/streams", {"slug": "news", "name": "Weekly <News>", "kind": "broadcast"})
        s.user("ana@here.test")
        yield s


def raw(s, message):
    return email.message_from_bytes(s.call("GET", f"/v1/messages/{message['id']}/raw").body)


def news(s, to="reader@far.test", **more):
    return send(s, to, stream="news", **more)


def link(s, message):
    """The path of the hosted link."""
    [url] = re.findall("<(https?://[^>]*/u/[^>]*)>", re.sub(r"\s", "", raw(s, message)["List-Unsubscribe"]))
    return urllib.parse.urlsplit(url).path


def click(s, path, body="List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"):
    """As large providers do it: no cookie, no key, no word but that one."""
    return s.call("POST", path, raw=body.encode(), headers={"Content-Type": content_type}, key=False)


def status(s, message):
    return {d["email"]: d["status"] for d in deliveries(s, message).values()}


# ---- what a mail carries ----

def test_a_broadcast_says_how(server):
    m = raw(server, news(server))
    assert re.fullmatch(r"<http://127\.0\.0\.1:\d+/u/[A-Za-z0-9_-]+>", m["List-Unsubscribe"]) and m["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "reader" not in m["List-Unsubscribe"]
    assert server.get(f"/v1/messages?limit=1").json["data"][0]["stream_id"] == server.get("/v1/streams/news").json["id"]
    assert raw(server, send(server, "x@far.test"))["List-Unsubscribe"] is None


@pytest.mark.parametrize("asked, field, post", [
    ({}, "<LINK>", True),
    ({"one_click": True}, "<LINK>", True),
    ({"topic": "offers"}, "<LINK>", True),
    ({"url": "https://example.test/u?a=1"}, "<https://example.test/u?a=1>", False),
    ({"url": "https://example.test/u", "one_click": True}, "<https://example.test/u>", True),
    ({"url": "https://example.test/u", "mailto": "off@example.test"}, "<https://example.test/u>, <mailto:off@example.test>", False),
    ({"mailto": "off+now@example.test"}, "<mailto:off+now@example.test>", False),
    ({"mailto": "off@example.test", "one_click": True}, "<LINK>, <mailto:off@example.test>", True),
    ({"one_click": False}, None, False),
    (None, None, False),
])
def test_what_a_send_asks_for(server, asked, field, post):
    m = raw(server, send(server, "x@far.test", unsubscribe=asked))
    said = m["List-Unsubscribe"] and re.sub(r"http://127[^>]*", "LINK", re.sub(r"\r?\n\s*", " ", m["List-Unsubscribe"]))
    assert (said, m["List-Unsubscribe-Post"] is not None) == (field, post)


def test_what_is_refused(server):
    def post(**more):
        return server.call("POST", "/v1/messages", {"from": "app@example.test", "to": "x@far.test", "text": "x"} | more)

    fault(post(stream="news", to=["a@far.test", "b@far.test"]), "/to")
    assert post(stream="news", to=["a@far.test", "b@far.test"]).json["errors"][0]["code"] == "single_recipient"
    assert post(stream="news", to=["a@far.test", "A@FAR.test"]).status == 202
    assert post(stream="news", to=["a@far.test", "b@far.test"], unsubscribe={"url": "https://example.test/u"}).status == 202
    fault(post(stream="news", unsubscribe={"one_click": False}), "/unsubscribe/one_click")
    fault(post(stream="news", priority="high"), "/priority")
    fault(post(unsubscribe={"url": "http://example.test/u", "one_click": True}), "/unsubscribe/url")
    fault(post(unsubscribe={"url": "https://example.test/u>,<x"}), "/unsubscribe/url")
    fault(post(stream="news", headers={"List-Unsubscribe": "<https://example.test/u>"}), "/headers")
    assert post(headers={"List-Unsubscribe": "<https://example.test/u>"}).status == 202
    raw_mail = server.call("POST", "/v1/messages?stream=news", raw=b"From: app@example.test\r\nTo: x@far.test\r\n\r\nx\r\n", headers={"Content-Type": "message/rfc822"})
    fault(raw_mail, "/stream")


def test_a_template_has_the_link_in_every_dialect(server):
    for dialect, name in (("handlebars", "{{unsubscribe_url}}"), ("mustache", "{{unsubscribe_url}}"), ("mustachio", "{{{pm:unsubscribe}}}"),
                          ("sendgrid", "{{unsubscribe_url}}"), ("resend", "{{{UNSUBSCRIBE_URL}}}")):
        template = server.make("/v1/templates", {"dialect": dialect, "subject": "x", "html": f'<a href="{name}">off</a>', "text": f"Off: {name}"})
        server.make(f"/v1/templates/{template['id']}/publish", None)
        m = server.make("/v1/messages", {"from": "app@example.test", "to": "x@far.test", "stream": "news",
                                         "template": {"id": template["id"], "variables": {"unsubscribe_url": "https://evil.test/"}}})
        for part in raw(server, m).walk():
            if not part.is_multipart():
                assert link(server, m) in part.get_payload(decode=True).decode() and b"evil" not in part.get_payload(decode=True), dialect


def test_without_an_address_of_ours_there_is_no_link():
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/streams", {"slug": "news", "kind": "broadcast"})
        s.make("/v1/domains", {"name": "example.test"})
        body = {"from": "app@example.test", "to": "x@far.test", "text": "x", "stream": "news"}
        answer = s.call("POST", "/v1/messages", body)
        assert answer.status == 422 and answer.json["code"] == "no_public_url"
        s.call("PATCH", "/v1/settings/server.public_url", {"value": PUBLIC})
        assert s.call("POST", "/v1/messages", body, headers={"Host": "evil.test"}).status == 202
        [mail] = until(lambda: peer.mails)
        assert f"<{PUBLIC}/u/".encode() in mail.body and b"evil" not in mail.body


def test_the_signature_covers_both_fields():
    with Peer() as peer, by_relay(peer) as s:
        s.call("PATCH", "/v1/settings/server.public_url", {"value": PUBLIC})
        s.make("/v1/streams", {"slug": "news", "kind": "broadcast"})
        s.make("/v1/domains", {"name": "example.test"})
        keys = Keys(s)
        ended(s, news(s))
        [mail] = peer.mails
        assert dkim.DKIM(mail.body).verify(idx=0, dnsfunc=keys.dns) and dkim.DKIM(mail.body).verify(idx=1, dnsfunc=keys.dns)
        for name, value in dkim.DKIM(mail.body).headers:
            if name.lower() == b"dkim-signature":
                signed = re.search(rb"\bh=([^;]*)", re.sub(rb"\s", b"", value))[1].lower().split(b":")
                assert b"list-unsubscribe" in signed and b"list-unsubscribe-post" in signed


# ---- what a click does ----

def test_one_click_as_providers_make_it(server):
    m = news(server, "gone@far.test")
    answer = click(server, link(server, m))
    assert answer.status == 200 and "Set-Cookie" not in answer.headers
    stream = server.get("/v1/streams/news").json["id"]
    [row] = server.get("/v1/suppressions?email=gone@far.test").json["data"]
    assert (row["reason"], row["stream_id"], row["topic"], row["delivery_id"]) == ("unsubscribe", stream, None, m["recipients"][0]["id"])
    [event] = server.get("/v1/events?type=email.unsubscribed&limit=1").json["data"]
    assert (event["message_id"], event["email"], event["data"]["stream_id"]) == (m["id"], "gone@far.test", stream)
    assert status(server, news(server, "gone@far.test")) == {"gone@far.test": "suppressed"}
    assert status(server, send(server, "gone@far.test")) == {"gone@far.test": "captured"}  # it was of that stream
    assert click(server, link(server, m)).status == 200  # again: nothing more
    assert len([e for e in server.get("/v1/events?type=email.unsubscribed").json["data"] if e["email"] == "gone@far.test"]) == 1
    assert status(server, news(server, "gone@far.test", bypass=["unsubscribe"])) == {"gone@far.test": "captured"}


def test_from_a_topic(server):
    m = send(server, "t@far.test", unsubscribe={"topic": "offers"})
    assert click(server, link(server, m)).status == 200
    [row] = server.get("/v1/suppressions?email=t@far.test").json["data"]
    assert (row["stream_id"], row["topic"]) == (None, "offers")
    for more, want in (({"unsubscribe": {"topic": "offers"}}, "suppressed"), ({"unsubscribe": {"topic": "bills"}}, "captured"), ({}, "captured"),
                       ({"stream": "news", "unsubscribe": {"topic": "offers"}}, "suppressed")):
        assert status(server, send(server, "t@far.test", **more)) == {"t@far.test": want}, more


def test_whoever_reads_here_can_leave_too(server):
    m = news(server, "ana@here.test")
    assert status(server, m) == {"ana@here.test": "delivered"}
    assert click(server, link(server, m)).status == 200
    assert status(server, news(server, "ana@here.test")) == {"ana@here.test": "suppressed"}
    assert status(server, send(server, "ana@here.test")) == {"ana@here.test": "delivered"}


def test_who_leaves_before_it_begins_does_not_get_it(server):
    later = news(server, "soon@far.test", scheduled_at=ahead(3600))
    assert click(server, link(server, news(server, "soon@far.test"))).status == 200
    assert server.call("PATCH", f"/v1/messages/{later['id']}", {"scheduled_at": None}).status == 200
    until(lambda: status(server, later) == {"soon@far.test": "suppressed"})


def test_who_leaves_while_it_waits_does_not_get_it():
    with Peer(RCPT=["450 4.2.1 later", None]) as peer, by_relay(peer, retry="10m") as s:
        s.call("PATCH", "/v1/settings/server.public_url", {"value": PUBLIC})
        s.make("/v1/streams", {"slug": "news", "kind": "broadcast"})
        m = news(s, "waits@far.test")
        d = ended(s, m, "deferred")["waits@far.test"]
        assert click(s, link(s, m)).status == 200
        assert s.call("POST", f"/v1/deliveries/{d['id']}/retry").status == 200
        ended(s, m, "suppressed")
        assert not peer.mails


def test_suppressions_of_a_stream_by_hand(server):
    stream = server.get("/v1/streams/news").json["id"]
    made = server.make("/v1/suppressions", {"email": "hand@far.test", "reason": "unsubscribe", "stream_id": stream})
    assert made["stream_id"] == stream and status(server, news(server, "hand@far.test")) == {"hand@far.test": "suppressed"}
    assert made["id"] in [r["id"] for r in server.get("/v1/suppressions?stream=news").json["data"]]
    fault(server.call("POST", "/v1/suppressions", {"email": "x@far.test", "reason": "unsubscribe", "stream_id": "str_01k9qw6t5he8brjf0d3vnx2mza"}), "/stream_id")
    other = server.make("/v1/accounts", {"name": "other"})
    theirs = Client(server, key=other["key"]["secret"])
    fault(theirs.post("/v1/suppressions", {"email": "x@far.test", "reason": "unsubscribe", "stream_id": stream}), "/stream_id")
    fault(theirs.post("/v1/messages", {"from": "a@b.test", "to": "x@far.test", "text": "x", "stream": stream}), "/stream")


def test_with_curl_and_urllib(server):
    one, two, three = (link(server, news(server, f"{n}@far.test")) for n in ("curl", "form", "urllib"))
    base = server.doors["api"]
    r = subprocess.run(["curl", "-sf", "-d", "List-Unsubscribe=One-Click", base + one], capture_output=True, timeout=60)
    assert r.returncode == 0, r
    r = subprocess.run(["curl", "-sf", "-F", "List-Unsubscribe=One-Click", base + two], capture_output=True, timeout=60)
    assert r.returncode == 0, r
    with urllib.request.urlopen(urllib.request.Request(base + three, b"List-Unsubscribe=One-Click"), timeout=60) as answer:
        assert answer.status == 200
    assert {n: len(server.get(f"/v1/suppressions?email={n}@far.test").json["data"]) for n in ("curl", "form", "urllib")} == {"curl": 1, "form": 1, "urllib": 1}


def test_looking_does_nothing(server):
    path = link(server, news(server, "look@far.test"))
    for method in ("GET", "HEAD"):
        assert server.call(method, path, key=False).status == 200
    for body in ("", "List-Unsubscribe=No", "x=y"):
        assert click(server, path, body).status == 422, body
    assert server.get("/v1/suppressions?email=look@far.test").json["data"] == []


def test_a_link_cannot_be_made_or_walked(server):
    path = link(server, news(server, "wall@far.test"))
    token = path.rpartition("/")[2]
    for bad in (token[:-1], token + "A", token[:40] + ("A" if token[40] != "A" else "B") + token[41:], "x", "A" * 200):
        for answer in (server.call("GET", f"/u/{bad}", key=False), click(server, f"/u/{bad}")):
            assert answer.status in (404, 429), bad


def test_what_is_played_and_tested_suppresses_nobody(server):
    m = send(server, "unsubscribed+x@sandbox.test")
    assert "email.unsubscribed" in [e["type"] for e in server.get(f"/v1/messages/{m['id']}/events").json["data"]]
    key = server.make("/v1/keys", {"name": "t", "mode": "test", "scopes": ["send", "messages:read"]})["secret"]
    made = Client(server, key=key).post("/v1/messages", {"from": "app@example.test", "to": "tested@far.test", "text": "x", "stream": "news"}).json
    assert click(server, link(server, made)).status == 200
    assert server.get("/v1/suppressions?email=tested@far.test").json["data"] == []
    [event] = [e for e in server.get(f"/v1/messages/{made['id']}/events").json["data"] if e["type"] == "email.unsubscribed"]
    assert event["email"] == "tested@far.test"


def test_a_link_outlives_its_mail(server):
    m = news(server, "old@far.test")
    path = link(server, m)
    assert server.call("DELETE", f"/v1/messages/{m['id']}").status == 204
    assert click(server, path).status == 200 and len(server.get("/v1/suppressions?email=old@far.test").json["data"]) == 1


def test_a_disabled_account_answers_nothing(server):
    made = server.make("/v1/accounts", {"name": "shut"})
    c = Client(server, key=made["key"]["secret"])
    c.make("/v1/domains", {"name": "shut.test"})
    c.make("/v1/streams", {"slug": "news", "kind": "broadcast"})
    m = c.make("/v1/messages", {"from": "a@shut.test", "to": "x@far.test", "text": "x", "stream": "news"})
    url = email.message_from_bytes(c.get(f"/v1/messages/{m['id']}/raw").body)["List-Unsubscribe"]
    path = urllib.parse.urlsplit(re.sub(r"[<>\s]", "", url)).path
    server.call("PATCH", f"/v1/accounts/{made['id']}", {"disabled": True})
    until(lambda: server.call("GET", path, key=False).status == 410 and click(server, path).status == 410)


# ---- the page ----

class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [a for t, a in self.tags if t == tag]


def test_the_page_is_one_button(server):
    path = link(server, news(server, "page@far.test"))
    answer = server.call("GET", path, key=False)
    page = Page(answer.body.decode())
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and "Set-Cookie" not in answer.headers
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "script" not in policy and "frame-ancestors 'none'" in policy
    assert not page.all("script") and not page.all("img") and not page.all("link") and not page.all("a")
    assert page.all("html") == [{"lang": "en"}] and len(page.all("button")) == len(page.all("form")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert page.all("form")[0]["method"] == "post" and "action" not in page.all("form")[0]
    [field] = page.all("input")
    assert (field["type"], field["name"], field["value"]) == ("hidden", "List-Unsubscribe", "One-Click")
    assert "“Weekly <News>”" in "".join(page.text) and "page@far.test" not in answer.body.decode()
    done = click(server, path)
    assert not Page(done.body.decode()).all("form") and "unsubscribed" in done.body.decode()
    assert server.call("GET", path, key=False).body == done.body


@pytest.mark.parametrize("accepted, language", [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr;q=0.4, es;q=0.7", "es"), ("xx, ja", "ja"), ("xx", "en"),
                                                ("de;q=0, it;q=0.1", "it"), (";;,=", "en"), ("pt-BR", "pt")])
def test_in_the_readers_language(server, accepted, language):
    path = link(server, news(server, "words@far.test"))
    page = Page(server.call("GET", path, key=False, headers={"Accept-Language": accepted}).body.decode())
    assert page.all("html") == [{"lang": language}] and "Weekly <News>" in "".join(page.text)
