"""What anybody may ask who has a link of ours in a mail."""
import email
import email.policy
import http.server
import json
import re
import subprocess
import threading

import pytest
from api_client import Client, raw
from server import BINARY, Server, until


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        yield s


def plain(server, path, method="GET", **headers):
    """A request without a credential, and not followed anywhere."""
    c = Client(server, key=False)
    return c.call(method, path, headers=headers)


def test_what_is_no_link_of_ours_is_a_page_that_says_so(server):
    for path in ("/t/o/x.gif", "/t/c/AQE", "/t/o/AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.gif"):
        for method in ("GET", "HEAD"):
            a = plain(server, path, method)
            assert a.status == 404 and a.headers["Content-Type"].startswith("text/html"), a
            assert a.headers["Content-Security-Policy"].startswith("default-src 'none'") and a.headers["Referrer-Policy"] == "no-referrer"
            assert "noindex" in a.headers["X-Robots-Tag"] and a.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in a.headers
    assert b"<title>" in plain(server, "/t/c/AQE").body and b"AQE" not in plain(server, "/t/c/AQE").body
    assert plain(server, "/t/c/AQE", "POST").status == 405 and plain(server, "/t/c/").status == 404


def test_who_goes_on_trying_is_told_to_wait(server):
    c = Client(server)
    assert c.patch("/v1/settings/limits.public_faults_per_minute", {"value": 5}).status == 200
    try:
        assert [plain(server, "/t/c/AQE").status for _ in range(6)][-1] == 429
    finally:  # no limit for what follows
        assert c.patch("/v1/settings/limits.public_faults_per_minute", {"value": 0}).status == 200


def test_the_host_of_links_has_nothing_else(server):
    c = Client(server)
    for name, value in (("server.public_url", "https://mail.example.org"), ("tracking.host", "links.example.org")):
        assert c.patch(f"/v1/settings/{name}", {"value": value}).status == 200
    try:
        def status(path, host):
            return int(raw(server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\nConnection: close\r\n\r\n".encode()).split()[1])
        assert [status(p, "Links.Example.org:443") for p in ("/v1/me", "/livez", "/openapi.json", "/t/c/AQE")] == [404] * 4
        assert [status(p, "mail.example.org") for p in ("/v1/me", "/livez", "/t/c/AQE")] == [200, 200, 404]
        answer = raw(server, b"GET /t/c/AQE HTTP/1.1\r\nHost: links.example.org\r\nConnection: close\r\n\r\n")
        assert b"text/html" in answer and b"This link is not one of ours" in answer
    finally:
        for name in ("server.public_url", "tracking.host"):
            assert c.patch(f"/v1/settings/{name}", {"value": None}).status == 200


def test_a_public_url_is_the_beginning_of_a_url(server):
    c = Client(server)
    for value in ("mail.example.org", "https://mail.example.org/mail", "https://a@mail.example.org", "javascript:x"):
        assert c.patch("/v1/settings/server.public_url", {"value": value}).status == 422, value


def test_a_preview_is_found_from_elsewhere(server):
    c = Client(server)
    c.make("/v1/domains", {"name": "look.test"})
    body = {"from": "a@look.test", "to": "b@look.test", "html": "<p>Hi</p>"}
    assert c.make("/v1/previews", body)["view_url"].startswith("/views/viw_")
    assert c.patch("/v1/settings/server.public_url", {"value": "https://mail.example.org/"}).status == 200
    try:
        assert c.make("/v1/previews", body)["view_url"].startswith("https://mail.example.org/views/viw_")
    finally:
        c.patch("/v1/settings/server.public_url", {"value": None})


# ---- mails that are tracked ----

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LINK = re.compile(r"(https?://[^/\"<>\s]+)(/t/[oc]/[A-Za-z0-9_-]+(?:\.gif)?)")


@pytest.fixture(scope="module")
def ana(server):
    server.user("ana@track.test")
    return "ana@track.test"


def sent(c, **more):
    body = {"from": "app@track.test", "to": "ana@track.test", "subject": "News", "text": "x"} | more
    return c.make("/v1/messages", body)


def content(server, message):
    """Its text and HTML as the reader has them."""
    raw = server.get(f"/v1/messages/{message['id']}/raw").body
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    return tuple(part.get_content() if part else None for part in (mail.get_body(("plain",)), mail.get_body(("html",))))


def paths(text, kind):
    return [p for _, p in LINK.findall(text) if p.startswith(f"/t/{kind}/")]


def events(c, message, kind):
    return [e for e in c.all(f"/v1/messages/{message['id']}/events") if e["type"] == "email." + kind]


def reader(server, path, *flags, agent=FIREFOX):
    """A program of a reader, that keeps cookies and follows nothing: status, where it is led, header."""
    r = subprocess.run(["curl", "-s", "-i", "-A", agent, "-c", "/dev/null", *flags, server.doors["api"] + path], capture_output=True, check=True, timeout=60)
    head = r.stdout.split(b"\r\n\r\n")[0].decode()
    where = re.search(r"^location: (.*)$", head, re.I | re.M)
    return int(head.split()[1]), where and where[1].strip(), head


def test_an_open_and_a_click_are_told_of(server, ana):
    c = Client(server)
    link = "https://example.org/a?x=1&y=2#part"
    m = sent(c, html=f'<p><a href="{link.replace("&", "&amp;")}">Here</a> <a href="mailto:x@y.test">mail</a></p>', text=None,
             tracking={"opens": True, "clicks": "html"}, metadata={"order": "7"}, tags=[{"name": "kind", "value": "news"}])
    assert c.get(f"/v1/messages/{m['id']}").json["tracking"] == {"opens": True, "clicks": "html"}
    text, html = content(server, m)
    assert f"Here <{link}>" in text and link not in html and "mailto:x@y.test" in html
    [point], [click] = paths(html, "o"), paths(html, "c")
    status, _, head = reader(server, point)
    assert status == 200 and "content-type: image/gif" in head.lower() and "set-cookie" not in head.lower() and "no-store" in head.lower()
    assert server.get(point, key=False).body[:6] == b"GIF89a"
    status, where, head = reader(server, click)
    assert (status, where) == (302, link) and "set-cookie" not in head.lower()
    opened = until(lambda: [e for e in events(c, m, "opened") if not e["data"]["machine"]])[0]
    clicked = until(lambda: events(c, m, "clicked"))[0]
    for e in (opened, clicked):
        assert e["email"] == ana and e["delivery_id"] and e["metadata"] == {"order": "7"} and e["tags"] == [{"name": "kind", "value": "news"}]
        assert e["data"]["user_agent"] == FIREFOX and e["data"]["ip"] == "127.0.0.0/24"
    assert clicked["data"]["url"] == link and clicked["data"]["machine"] is False


def test_a_reader_arrives_where_the_link_led(server, ana):
    """By a client that follows, to a site that looks at what it is told."""
    seen = []

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Referer"), self.headers.get("Cookie")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"Hi")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        m = sent(Client(server), text=f"See http://127.0.0.1:{site.server_port}/news?a=%20b, please.", tracking={"clicks": "both"})
        [click] = paths(content(server, m)[0], "c")
        r = subprocess.run(["curl", "-s", "-L", "-A", FIREFOX, "-c", "jar", "-b", "jar", "-e", ";auto", server.doors["api"] + click],
                           capture_output=True, timeout=60, cwd=server.data)
        site.shutdown()
    assert r.stdout == b"Hi" and seen[0][0] == "/news?a=%20b" and seen[0][2] is None


def test_machines_and_looks(server, ana):
    c = Client(server)
    m = sent(c, html="<p><a href='http://a.test'>a</a></p>", tracking={"opens": True, "clicks": "html"})
    html = content(server, m)[1]
    [point], [click] = paths(html, "o"), paths(html, "c")
    assert reader(server, point, "-I")[0] == 200 and reader(server, click, "-I")[:2] == (302, "http://a.test")
    assert reader(server, point, agent="Mozilla/5.0")[0] == 200
    assert reader(server, click, "-H", "Sec-Purpose: prefetch;prerender")[0] == 302
    until(lambda: events(c, m, "opened") and events(c, m, "clicked"))
    assert [e["data"]["machine"] for kind in ("opened", "clicked") for e in events(c, m, kind)] == [True, True]


def test_several_recipients_and_batches(server, ana):
    c = Client(server)
    m = sent(c, to=["ana@track.test", "delivered@sandbox.test"], html="<p>x</p>", tracking={"opens": True})
    reader(server, paths(content(server, m)[1], "o")[0])
    [e] = until(lambda: events(c, m, "opened"))
    assert e["email"] is None and e["delivery_id"] is None
    b = c.make("/v1/batches", {"defaults": {"from": "app@track.test", "subject": "x", "html": "<a href='http://a.test'>x</a>", "tracking": {"opens": True, "clicks": "html"}},
                               "messages": [{"to": "ana@track.test"}, {"to": "ana@track.test", "tracking": None}, {"to": "ana@track.test", "tracking": {"clicks": "none"}}]})
    made = sorted(c.all(f"/v1/batches/{b['id']}/messages"), key=lambda x: x["id"])
    tokens = [p for x in made for p in paths(content(server, x)[1], "o")]
    assert len(tokens) == len(set(tokens))
    assert sorted(len(LINK.findall(content(server, x)[1])) for x in made) in ([0, 0, 2], [0, 2, 2])


def test_a_stream_asks_for_its_mails_and_a_send_for_itself(server, ana):
    c = Client(server)
    c.make("/v1/streams", {"name": "Watched", "slug": "watched", "kind": "transactional", "tracking": {"opens": True, "clicks": "html"}})
    for said, want in ((None, (True, "html")), ({"opens": False}, (False, "html")), ({"clicks": "none"}, (True, "none")), ({"opens": False, "clicks": "none"}, (False, "none"))):
        m = sent(c, html="<a href='http://a.test'>a</a>", stream="watched", tracking=said)
        html = content(server, m)[1]
        assert (bool(paths(html, "o")), "html" if paths(html, "c") else "none") == want, html
        assert c.get(f"/v1/messages/{m['id']}").json["tracking"] == {"opens": want[0], "clicks": want[1]}


def test_what_is_not_asked_for_is_not_done(server, ana):
    c = Client(server)
    html = "<p><a href='http://a.test'>a</a></p>"
    m = sent(c, html=html)
    assert content(server, m)[1].strip() == html and c.get(f"/v1/messages/{m['id']}").json["tracking"] == {"opens": False, "clicks": "none"}
    raw = b"From: app@track.test\r\nTo: ana@track.test\r\nContent-Type: text/html\r\n\r\n" + html.encode() + b"\r\n"
    m = c.post("/v1/messages", raw=raw, headers={"Content-Type": "message/rfc822"}).json
    assert html.encode() in server.get(f"/v1/messages/{m['id']}/raw").body
    for wrong in ({"opens": "yes"}, {"clicks": "all"}, {"x": 1}, "html", []):
        assert c.post("/v1/messages", {"from": "app@track.test", "to": ana, "text": "x", "tracking": wrong}).status == 422, wrong


def test_a_disabled_account_leads_nowhere(server):
    made = server.make("/v1/accounts", {"name": "Tenant"})
    key, account = made["key"]["secret"], made["id"]
    c = Client(server, key=key)
    c.make("/v1/domains", {"name": "gone.test"})
    m = c.make("/v1/messages", {"from": "a@gone.test", "to": "delivered@sandbox.test", "html": "<a href='http://a.test'>a</a>", "tracking": {"opens": True, "clicks": "html"}})
    links = [p for _, p in LINK.findall(c.get(f"/v1/messages/{m['id']}/raw").body.decode())]
    assert sorted(plain(server, p).status for p in links) == [200, 302]
    assert Client(server).patch(f"/v1/accounts/{account}", {"disabled": True}).status == 200
    until(lambda: all(plain(server, p).status == 410 for p in links))
    assert Client(server).patch(f"/v1/accounts/{account}", {"disabled": False}).status == 200
    until(lambda: all(plain(server, p).status in (200, 302) for p in links))


def test_the_cli_asks_for_it(server, ana):
    c = Client(server)
    r = subprocess.run([BINARY, "send", "--from", "app@track.test", "--to", ana, "--subject", "x", "--html", "<a href='http://a.test'>a</a>", "--track-opens", "--track-clicks",
                        "both", "--json"], capture_output=True, text=True, timeout=60, env={"POSTRIDER_URL": server.doors["api"], "POSTRIDER_KEY": server.key, "PATH": "/usr/bin"})
    assert r.returncode == 0, r.stderr
    assert c.get(f"/v1/messages/{json.loads(r.stdout)['id']}").json["tracking"] == {"opens": True, "clicks": "both"}


def test_what_waits_is_written_before_a_server_stops(store):
    with Server("--set", "tracking.gather=60", store=store) as s:
        s.user("ana@track.test")
        c = Client(s)
        m = sent(c, html="<p>x</p>", tracking={"opens": True})
        assert reader(s, paths(content(s, m)[1], "o")[0])[0] == 200 and not events(c, m, "opened")
        s.restart()
        assert len(events(Client(s), m, "opened")) == 1
