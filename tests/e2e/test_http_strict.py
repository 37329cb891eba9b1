"""One request, one answer: what two readers could understand differently is refused once and ends the connection; what a client sends or leaves unread costs little."""
import gzip
import http.client
import json
import os
import re
import socket
import statistics
import time

import pytest
from api_client import Client, answers, door, raw
from server import Server, seconds_until, until

MAIL = b"From: ana@strict.test\r\nTo: ana@strict.test\r\nSubject: s\r\n\r\nx\r\n"
INNER = b"GET /livez HTTP/1.1\r\nHost: inner\r\n\r\n"


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        s.user("ana@strict.test")
        yield s


def refused(heard, *statuses):
    """Exactly one answer, a problem of ours with its id, and the connection ends."""
    assert heard.count(b"HTTP/1.1 ") == 1, heard
    (a,) = answers(heard)
    assert a.status in statuses and a.json["status"] == a.status and a.json["code"], a
    assert re.search(rb"\r\nRequest-Id: req_\w{26}\r\n", heard) and b"\r\nConnection: close\r\n" in heard and b"application/problem+json" in heard, heard
    return a


@pytest.mark.parametrize("lines, statuses", [
    ([f"Content-Length : {len(INNER)}"], (400,)), ([f"Content-Length\t: {len(INNER)}"], (400,)), ([f"Content-Length:\r\n {len(INNER)}"], (400,)),
    ([f"Content-Length: {len(INNER)}\r\n 0"], (400,)), (["Transfer-Encoding : chunked"], (400,)), (["Transfer-Encoding:\r\n\tchunked"], (400,)), (["Transfer-Encoding: chunked\0x"], (400,)),
    (["Transfer-Encoding: chu\rnked"], (400,)), (["A: b\rContent-Length: 35"], (400,)), (["A: b\nContent-Length: 35"], (400,)), (["A\0: b"], (400,)), (["(A): b"], (400,)), (["A: b\0c"], (400,)),
    (["Host: y"], (400,)), (["Transfer-Encoding: gzip, chunked"], (501,)), (["Content-Length: 35", "Content-length: 0"], (400,)), (["Transfer-Encoding: x", "Content-Length: 35"], (400,)),
])
def test_no_second_request_in_the_first(server, lines, statuses):
    head = "POST /v1/domains HTTP/1.1\r\nHost: x\r\n" + "".join(x + "\r\n" for x in lines) + "\r\n"
    refused(raw(server, head.encode("latin-1") + INNER), *statuses)


@pytest.mark.parametrize("chunks", [b"0\0" b"35\r\n\r\n", b"3\nabc\n0\n\n", b"3\r\nabc\n0\r\n\r\n", b"3;a\nabc\r\n0\r\n\r\n", b"3;" + b"x" * 33_000 + b"\r\nabc\r\n0\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\n\n"])
def test_no_second_request_in_chunks(server, chunks):
    head = f"POST /v1/domains HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    refused(raw(server, head.encode() + chunks + INNER), 400)


@pytest.mark.parametrize("head, status", [
    (b"GET /v1/me\0/../x HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"GET /v1/me\rx HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"GET /livez HTTP/1.1\r\n\r\n", 400), (b"GET /livez HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x/y\r\n\r\n", 400), (b"GET /livez HTTP/1.1\nHost: x\n\n", 400), (b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n", 505), (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431), (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1000 + b"\r\n", 431), (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
])
def test_malformed_heads(server, head, status):
    refused(raw(server, head + INNER), status)


def test_content_codings(server):
    c, body = Client(server), {"from": "ana@strict.test", "to": "ana@strict.test", "text": "packed " * 1000}
    packed = gzip.compress(json.dumps(body).encode())

    def post(data, coding, media="application/json"):
        return c.post("/v1/messages", raw=data, headers={"Content-Encoding": coding, "Content-Type": media})
    assert post(packed, "gzip").status == post(packed, "X-GZIP").status == post(json.dumps(body).encode(), "identity").status == 202
    assert post(gzip.compress(MAIL), "gzip", "message/rfc822").status == 202
    for coding in ("br", "deflate", "zstd", "gzip, gzip", "compress"):
        a = post(packed, coding)
        assert (a.status, a.json["code"], a.headers["Accept-Encoding"]) == (415, "unsupported_media_type", "gzip"), a
    assert post(json.dumps(body).encode(), "gzip").status == post(packed[:-9], "gzip").status == 400
    assert post(gzip.compress(b'{"text":"' + b"x" * 30_000_000 + b'"}'), "gzip").status == 413


def test_a_raw_mail_names_the_recipient_that_cannot_be_read(server):
    c = Client(server)
    for header, pointer, bad in ((b"To: ana@strict.test, not an address, <bo@strict.test>", "/to", "not an address"), (b"To: ana@strict.test\r\nCc: x@@y", "/cc", "x@@y")):
        a = c.post("/v1/messages", raw=b"From: ana@strict.test\r\n" + header + b"\r\n\r\nx\r\n", headers={"Content-Type": "message/rfc822"})
        assert a.status == 422 and a.json["errors"][0]["pointer"] == pointer and bad in a.json["errors"][0]["message"], a
    a = c.post("/v1/messages?to=x@@y", raw=MAIL, headers={"Content-Type": "message/rfc822"})
    assert a.status == 422 and a.json["errors"][0]["pointer"] == "/to/0", a


def test_values_are_counted_before_there_is_a_tree(server):
    c = Client(server)
    for filling in (b"{},", b"[],", b"0,", b'"",'):
        began = time.monotonic()
        a = c.post("/v1/messages", raw=b'{"to":[' + filling * 1_000_000 + b"0]}")
        assert a.status == 422 and "values" in a.json["detail"] and time.monotonic() - began < 2, a


def fds(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_clients_that_hang_up_are_seen(server):
    """Within 2 s; on a busy machine mostly."""
    before, took = fds(server), []
    for what in (b"x", b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", b"") * 2:
        for _ in range(50):
            with socket.create_connection(door(server)) as s:
                s.sendall(what)
        took.append(seconds_until(lambda: fds(server) <= before + 2))
    assert statistics.median(took) <= 2, took


def test_a_large_answer_that_is_read_late_is_whole(server):
    """It is dropped while nobody reads, and made again."""
    c, line = Client(server), b"\x01" * 900 + b"\r\n"
    mail = b"From: ana@strict.test\r\nTo: ana@strict.test\r\nContent-Type: text/plain\r\n\r\n" + line * 900
    box = server.mailbox("ana@strict.test")["id"]
    entry = c.post(f"/v1/mailboxes/{box}/entries", raw=mail, headers={"Content-Type": "message/rfc822"}).json["id"]
    whole = c.get(f"/v1/entries/{entry}").body
    assert len(whole) > 3_000_000
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(door(server))
        s.settimeout(30)
        s.sendall(f"GET /v1/entries/{entry} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(s)
        answer.begin()
        last = time.monotonic()  # the server loses its patience
        until(lambda: time.monotonic() > last + 0.5, 5)
        assert answer.read() == whole


def test_past_the_limit_of_connections_the_newest_is_told():
    with Server("--set", "api.connections_max=10") as s:
        held = [socket.create_connection(door(s), timeout=10) for _ in range(10)]
        one = INNER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        until(lambda: raw(s, one).startswith(b"HTTP/1.1 503"), 5)
        a = refused(raw(s, one), 503)
        assert a.json["code"] == "unavailable"
        for x in held:
            x.close()
        until(lambda: s.get("/livez", key=False).status == 200, 5)


def test_the_server_ends_while_answers_are_unread_and_no_connection_is_left():
    """At api.connections_max, each with answers pipelined that nobody reads."""
    with Server("--set", "api.connections_max=10", "--set", "server.grace=1s") as s:
        held = [socket.create_connection(door(s), timeout=10) for _ in range(12)]
        for x in held[:10]:
            x.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        assert sum(x.recv(12) == b"HTTP/1.1 200" for x in held[:10]) >= 8  # who asked whether it runs may still be there
        s.stop()
        for x in held:
            x.close()
