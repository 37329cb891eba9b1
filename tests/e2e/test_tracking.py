"""What anybody may ask who has a link of ours in a mail."""
import pytest
from api_client import Client, raw
from server import Server


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
