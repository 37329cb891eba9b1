"""What the tests of the API share: kept connections, raw sockets, and the operations as the server itself tells them."""
import base64
import concurrent.futures
import http.client
import json
import re
import socket
import urllib.parse

from server import Answer

SCOPES = ["send", "messages:read", "deliveries:write", "mail:read", "mail:write", "domains", "users", "keys", "settings",
          "metrics", "operator", "suppressions", "templates", "streams"]
PREFIXES = {"accounts": "acc", "domains": "dom", "users": "usr", "addresses": "adr", "keys": "key", "messages": "msg",
            "deliveries": "dlv", "events": "evt", "mailboxes": "mbx", "entries": "ent", "suppressions": "sup", "routes": "rte", "batches": "bat",
            "templates": "tpl", "layouts": "lay", "streams": "str"}
NOBODY = "01k9qw6t5he8brjf0d3vnx2mza"  # an id that nothing has


def door(server):
    """Host and port of the API."""
    where = urllib.parse.urlsplit(server.doors["api"])
    return where.hostname, where.port


class Client:
    """One kept connection with one credential; as quick as the server is."""

    def __init__(self, server, key=None, basic=None, account=None):
        self.server, self.headers = server, {}
        if basic:
            self.headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        elif key is not False:
            self.headers["Authorization"] = f"Bearer {key or server.key}"
        if account:
            self.headers["Postrider-Account"] = account
        self.http = http.client.HTTPConnection(*door(server), timeout=60)

    def call(self, method, path, body=None, headers=None, raw=None):
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        h = self.headers | ({"Content-Type": "application/json"} if data is not None else {}) | (headers or {})
        for again in (True, False):
            try:
                self.http.request(method, path, data, h)
                r = self.http.getresponse()
                return Answer(r.status, r.headers, r.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                self.http.close()
                if not again:
                    raise

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.call("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    def make(self, path, body, **more):
        a = self.post(path, body, **more)
        assert 200 <= a.status < 300, a
        return a.json

    def all(self, path, limit=100):
        """Every object of a list, page after page."""
        found, after = [], ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
            assert page.status == 200, page
            found += page.json["data"]
            if not page.json["has_more"]:
                return found
            after = "&after=" + page.json["next"]


def at_once(server, each, items, n=8):
    """The results of each(client, part) for n parts of the items at the same time: what they write commits together."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda i: each(Client(server), items[i::n]), range(n)))


def operations(server):
    """(method, path, operation) of everything under /v1, from /openapi.json."""
    document = server.get("/openapi.json", key=False).json
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1") and method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, operation


def example(server, operation):
    """The operation's own example of a body, and its media type; (None, None) where it has none."""
    content = operation.get("requestBody", {}).get("content", {})
    for media, how in content.items():
        if "example" in how:
            return media, how["example"]
        for one in how.get("examples", {}).values():
            return media, one["value"]
    return None, None


def raw(server, *pieces, timeout=20, quiet=None):
    """Sends bytes as they are on a fresh connection and reads to its end. `quiet`: after so many seconds without an
    answer no more is sent, so that a server that waits for the rest ends it. A cut connection gives what came before."""
    with socket.create_connection(door(server), timeout=timeout) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = b""
        try:
            for piece in pieces:
                s.sendall(piece)
        except OSError:
            pass
        s.settimeout(quiet or timeout)
        while True:
            try:
                chunk = s.recv(65536)
                heard += chunk
                if not chunk:
                    return heard
            except TimeoutError as e:
                if not quiet:
                    raise AssertionError(f"no end within {timeout} s after {heard[:500]!r}") from e
                quiet = None
                s.settimeout(timeout)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                return heard


def answers(heard):
    """The status codes and bodies of all answers in what a connection said. (Some of the HTTP library's own pages
    say their header twice.)"""
    found = []
    heard = re.sub(rb"^(HTTP/1.1 4\d\d [^\0]*?\r\n\r\n)(?=\1<html>)", b"", heard)
    while heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1."), heard[:200]
        lines = head.split(b"\r\n")
        headers = {n.strip().lower(): v.strip() for n, _, v in (x.partition(b":") for x in lines[1:])}
        status, length = int(lines[0].split()[1]), int(headers.get(b"content-length", 0))
        found.append(Answer(status, {k.decode(): v.decode() for k, v in headers.items()}, rest[:length]))
        heard = b"" if status == 100 and not rest else rest[length:]
    return [a for a in found if a.status != 100]
