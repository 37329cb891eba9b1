"""The API's own promises: who may do what, tenants, idempotency, bodies of every size, headers that stay clean."""
import base64
import http.client
import json
import socket

import pytest
from api_client import at_once
from server import PASSWORD, SUITES, Server, until


@pytest.fixture(scope="module")
def api(server):
    server.user("ana@api.test")
    return server


@pytest.fixture(scope="module")
def other(api):
    """The key of another account, with a domain, a user, mail and an object of every kind."""
    made = api.make("/v1/accounts", {"name": "Other"})
    key = made["key"]["secret"]
    domain = api.make("/v1/domains", {"name": "other.test"}, key=key)
    user = api.make("/v1/users", {"address": "eve@other.test", "password": PASSWORD}, key=key)
    sent = api.make("/v1/messages", {"from": "eve@other.test", "to": "eve@other.test", "subject": "x", "text": "y"}, key=key)
    box = api.mailbox("eve@other.test", key=key)
    entry = api.get(f"/v1/mailboxes/{box['id']}/entries", key=key).json["data"][0]
    address = api.get("/v1/addresses", key=key).json["data"][0]
    return key, {"domains": domain["id"], "users": user["id"], "messages": sent["id"], "mailboxes": box["id"],
                 "entries": entry["id"], "addresses": address["id"], "keys": made["key"]["id"],
                 "deliveries": sent["recipients"][0]["id"]}


def raw_send(s, body, query="", **headers):
    return s.call("POST", "/v1/messages" + query, raw=body, headers={"Content-Type": "message/rfc822"} | headers)


MAIL = b"From: ana@api.test\r\nTo: ana@api.test\r\nBcc: hidden@api.test\r\nSubject: raw\r\n\r\nHi\r\n"


def test_another_tenants_objects_are_not_found(api, other):
    _, ids = other
    mine = api.make("/v1/accounts", {"name": "Third"})["key"]["secret"]
    for kind, i in ids.items():
        assert api.get(f"/v1/{kind}/{i}", key=mine).status == 404, kind
        for method, body in (("PATCH", {}), ("DELETE", None)):
            answer = api.call(method, f"/v1/{kind}/{i}", body, key=mine)
            assert answer.status in (404, 405), (kind, method, answer)
    for path in (f"/v1/users/{ids['users']}/mailboxes", "/v1/users/eve@other.test", "/v1/domains/other.test",
                 f"/v1/mailboxes/{ids['mailboxes']}/entries", f"/v1/entries/{ids['entries']}/raw",
                 f"/v1/messages/{ids['messages']}/raw", f"/v1/messages/{ids['messages']}/events",
                 f"/v1/deliveries/{ids['deliveries']}/events"):
        assert api.get(path, key=mine).status == 404, path
    assert api.get("/v1/messages", key=mine).json["data"] == []


def test_an_operator_acts_in_another_account(api, other):
    key, ids = other
    account = api.get("/v1/me", key=key).json["account_id"]
    assert api.get(f"/v1/users/{ids['users']}").status == 404
    assert api.get(f"/v1/users/{ids['users']}", headers={"Postrider-Account": account}).status == 200
    mine = api.get("/v1/me").json["account_id"]
    assert api.get("/v1/users", key=key, headers={"Postrider-Account": mine}).status in (403, 404)
    for path in ("/v1/settings", "/v1/accounts", "/metrics"):
        assert api.get(path, key=key).status == 403, path


def test_a_key_does_what_its_scopes_say(api):
    key = api.make("/v1/keys", {"name": "sender", "scopes": ["send"]})["secret"]
    assert api.post("/v1/messages", {"from": "ana@api.test", "to": "ana@api.test", "text": "x"}, key=key).status == 202
    for path in ("/v1/messages", "/v1/domains", "/v1/users", "/v1/keys", "/v1/settings", "/v1/users/ana@api.test/mailboxes"):
        answer = api.get(path, key=key)
        assert (answer.status, answer.json["code"]) == (403, "insufficient_scope"), path


def test_a_password_reaches_own_mail_only(api, other):
    me = ("ana@api.test", PASSWORD)
    assert api.get("/v1/me", basic=me).json["kind"] == "user"
    boxes = api.get("/v1/users/ana@api.test/mailboxes", basic=me).json["data"]
    assert {b["role"] for b in boxes} == {"inbox", "sent", "drafts", "junk", "trash", "archive"}
    assert api.get("/v1/users/eve@other.test/mailboxes", basic=me).status == 404
    assert api.get("/v1/domains", basic=me).status == 403
    assert api.post("/v1/messages", {"from": "ana@api.test", "to": "ana@api.test", "text": "x"}, basic=me).status == 202
    assert api.post("/v1/messages", {"from": "bo@api.test", "to": "ana@api.test", "text": "x"}, basic=me).json["code"] == "sender_not_allowed"
    wrong = api.get("/v1/me", basic=("ana@api.test", "wrong password"))
    unknown = api.get("/v1/me", basic=("nobody@api.test", "wrong password"))
    assert wrong.status == unknown.status == 401 and wrong.json["detail"] == unknown.json["detail"]


def test_idempotency(api):
    h = {"Idempotency-Key": "one"}
    body = {"from": "ana@api.test", "to": "ana@api.test", "subject": "once", "text": "x"}
    first, again = api.post("/v1/messages", body, headers=h), api.post("/v1/messages", body, headers=h)
    assert first.status == again.status == 202 and first.body == again.body
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    assert api.post("/v1/messages", body | {"text": "y"}, headers=h).json["code"] == "idempotency_mismatch"
    assert [e["subject"] for e in api.entries("ana@api.test")].count("once") == 1
    refused = {"Idempotency-Key": "two"}
    assert api.post("/v1/domains", {"name": "-"}, headers=refused).status == 422
    assert api.post("/v1/domains", {"name": "two.test"}, headers=refused).status == 201


def test_a_replayed_key_comes_without_its_secret(api):
    h = {"Idempotency-Key": "key"}
    first, again = (api.post("/v1/keys", {"name": "k", "scopes": ["send"]}, headers=h) for _ in range(2))
    assert "secret" in first.json and "secret" not in again.json and first.json["id"] == again.json["id"]


def test_a_replayed_entry_needs_no_scope_to_read(api):
    key = api.make("/v1/keys", {"name": "writer", "scopes": ["mail:write"]})["secret"]
    box = api.mailbox("ana@api.test", "archive")["id"]
    h = {"Idempotency-Key": "entry", "Content-Type": "message/rfc822"}
    first, again = (api.call("POST", f"/v1/mailboxes/{box}/entries", raw=MAIL, headers=h, key=key) for _ in range(2))
    assert first.status == again.status == 201 and first.json["id"] == again.json["id"]
    assert first.headers["Location"] == again.headers["Location"]


def test_raw_mail_loses_its_bcc(api):
    sent = raw_send(api, MAIL, "?from=ana@api.test&to=ana@api.test")
    assert sent.status == 202 and len(sent.json["recipients"]) == 1
    raw = api.get(f"/v1/messages/{sent.json['id']}/raw").body
    assert b"hidden" not in raw and b"Subject: raw" in raw


@pytest.mark.parametrize("lines", [1, 5_000, 250_000], ids=["1", "390K", "19M"])
def test_raw_mail_of_any_size_comes_back_as_it_was(api, lines):
    body = MAIL.replace(b"Bcc: hidden@api.test\r\n", b"") + b"".join(b"%075d\r\n" % i for i in range(lines))
    sent = raw_send(api, body)
    assert sent.status == 202, sent
    assert api.get(f"/v1/messages/{sent.json['id']}/raw").body.endswith(body.split(b"\r\n\r\n", 1)[1])


def test_large_attachments(api):
    content = bytes(range(256)) * 40_000
    api.make("/v1/messages", {"from": "ana@api.test", "to": "ana@api.test", "subject": "large", "text": "x", "attachments": [
        {"filename": "a\u202eb.bin", "content": base64.b64encode(content).decode()}]})
    entry = next(e for e in api.entries("ana@api.test") if e["subject"] == "large")
    answer = api.get(f"/v1/entries/{entry['id']}/attachments/0")
    assert answer.body == content and answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''ab.bin")
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in answer.headers["Content-Security-Policy"]


def test_too_large_is_refused_before_it_is_sent(api):
    for kind, size in (("application/json", 36 * 2**20 + 1), ("message/rfc822", 25 * 2**20 + 1)):
        c = http.client.HTTPConnection(*api.doors["api"].removeprefix("http://").split(":"), timeout=30)
        c.putrequest("POST", "/v1/messages")
        for name, value in {"Authorization": f"Bearer {api.key}", "Content-Type": kind, "Content-Length": str(size)}.items():
            c.putheader(name, value)
        c.endheaders()
        answer = c.getresponse()
        assert answer.status == 413 and json.load(answer)["code"] == "too_large"
        c.close()


def test_a_chunked_mail_that_grows_too_large_is_refused(api):
    def pieces():
        yield MAIL
        for _ in range(26 * 16):
            yield (b"x" * 76 + b"\r\n") * 840

    c = http.client.HTTPConnection(*api.doors["api"].removeprefix("http://").split(":"), timeout=60)
    c.request("POST", "/v1/messages", body=pieces(), encode_chunked=True, headers={
        "Authorization": f"Bearer {api.key}", "Content-Type": "message/rfc822", "Transfer-Encoding": "chunked"})
    assert c.getresponse().status == 413


def test_memory_for_bodies_is_bounded():
    with Server("--set", "api.body_memory=1M") as s:
        s.user("ana@api.test")
        body = {"from": "ana@api.test", "to": "ana@api.test", "text": "x" * 2_000_000}
        answer = s.post("/v1/messages", body)
        assert answer.status == 503 and answer.headers["Retry-After"]
        assert s.post("/v1/messages", body | {"text": "x" * 500_000}).status == 202


def test_a_client_that_goes_away_leaves_nothing_behind(api):
    before = len(api.entries("ana@api.test"))
    for _ in range(20):
        c = socket.create_connection(("127.0.0.1", api.port("api")))
        c.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: message/rfc822\r\n"
                  f"Content-Length: 1000000\r\n\r\n".encode() + MAIL)
        c.close()
    assert api.get("/livez").status == 200
    assert len(api.entries("ana@api.test")) == before
    until(lambda: api.log_text().count("The client went away") >= 20, 5)


def test_every_fault_at_once(api):
    answer = api.post("/v1/messages?x=1", {"from": "no", "to": ["ana@api.test", "nobody"], "subject": "a\r\nBcc: x@y.test", "zzz": 1})
    assert answer.status == 422
    assert {e["pointer"] for e in answer.json["errors"]} == {"/from", "/to/1", "/subject", "/zzz", "/x"}


def payloads():
    names = [p for folder in ("injection-payloads", "naughty-strings") for p in sorted((SUITES / folder).glob("*")) if p.suffix in (".json", ".txt")]
    for p in names:
        text = p.read_text(errors="replace")
        try:
            rows = json.loads(text)
        except ValueError:
            rows = text.splitlines()
        rows = rows if isinstance(rows, list) else [v for v in rows.values() if isinstance(v, list)]
        for row in rows:
            if isinstance(row, str) and row and len(row) < 500 and not row.startswith("#"):
                yield row


def taken_of(api, texts):
    """How many were taken; each has the header lines that it should have, and no other."""
    taken = 0
    for text in texts:
        answer = api.post("/v1/messages", {
            "from": {"email": "ana@api.test", "name": text[:400]}, "to": "ana@api.test", "subject": text[:400], "text": text,
            "headers": {"X-Note": text[:400]}})
        assert answer.status in (202, 422), (text, answer)
        if answer.status == 422:
            continue
        taken += 1
        head = api.get(f"/v1/messages/{answer.json['id']}/raw").body.split(b"\r\n\r\n", 1)[0]
        names = [line.split(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
        assert set(names) <= {b"received", b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type",
                              b"content-transfer-encoding", b"x-note"}, (text, names)
        assert b"\n" not in head.replace(b"\r\n", b"") and b"\r" not in head.replace(b"\r\n", b"") and b"\0" not in head
        assert len(answer.json["recipients"]) == 1
    return taken


def test_no_payload_makes_a_header(api):
    texts = list(payloads())
    if not texts:
        pytest.skip("the public suites are not here (POSTRIDER_SUITES)")
    texts += [f"a{nl}Bcc: victim@api.test" for nl in ("\r\n", "\n", "\r", "\x00", "\u2028", "\x85", "%0d%0a", "\\r\\n")]
    assert sum(at_once(api, taken_of, texts)) > len(texts) // 2


def test_the_unix_socket_needs_no_key(api):
    c = socket.socket(socket.AF_UNIX)
    c.connect(str(api.data / "postrider.sock"))
    c.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b"".join(iter(lambda: c.recv(65536), b""))
    assert b" 200 " in answer and b'"kind":"socket"' in answer


def test_pages_go_both_ways(api):
    for i in range(7):
        api.make("/v1/domains", {"name": f"page{i}.test"})
    seen, after = [], ""
    while True:
        page = api.get(f"/v1/domains?limit=3{after}").json
        seen += [d["name"] for d in page["data"]]
        if not page["has_more"]:
            break
        after = "&after=" + page["next"]
    assert len(seen) == len(set(seen)) and seen[:7] == [f"page{i}.test" for i in reversed(range(7))]
    back = api.get(f"/v1/domains?limit=3&before={page['previous']}").json
    assert [d["name"] for d in back["data"]] == seen[-len(page["data"]) - 3:-len(page["data"])]


def test_behind_a_proxy_the_client_is_who_the_proxy_says():
    with Server("--set", "api.behind_proxy=true", "--set", "api.trusted_proxies=127.0.0.1,10.0.0.0/8") as s:
        key = s.make("/v1/keys", {"name": "k", "scopes": ["send"], "allowed_ips": ["192.0.2.0/24"]})["secret"]
        assert s.get("/v1/me", key=key).status == 401
        for forwarded, status in (("192.0.2.7", 200), ("198.51.100.1", 401), ("192.0.2.7, 10.1.2.3", 200), ("192.0.2.7, 198.51.100.1", 401)):
            assert s.get("/v1/me", key=key, headers={"X-Forwarded-For": forwarded}).status == status, forwarded
    with Server() as s:
        key = s.make("/v1/keys", {"name": "k", "scopes": ["send"], "allowed_ips": ["192.0.2.0/24"]})["secret"]
        assert s.get("/v1/me", key=key, headers={"X-Forwarded-For": "192.0.2.7"}).status == 401
