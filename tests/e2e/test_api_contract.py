"""The contract of /v1 from the outside: objects, lists, errors, merges, deletes. One server, one account a test."""
import itertools
import re

import pytest
from api_client import NOBODY, PREFIXES, Client, operations
from server import PASSWORD

OBJECTS = {
    "account": "id name disabled created_at",
    "message": "id auth header_message_id direction source mode status from reply_to to cc bcc envelope_from subject tags metadata size content "
               "content_until key_id user_id request_id template stream_id batch_id tracking scheduled_at created_at",
    "batch": "id mode status total accepted rejected counts key_id request_id created_at completed_at",
    "delivery": "id message_id email kind attempts next_attempt_at expires_at entry_id created_at status last waiting",
    "event": "id type at message_id delivery_id email tags metadata data",
    "domain": "id name inbound catch_all status verified_at verified_by sends_until checked_at created_at dkim records",
    "user": "id address name encryption quota used disabled save_sent send_as metadata last_login_at created_at",
    "address": "id address primary target created_at",
    "key": "id name mode scopes domain_ids allowed_ips expires_at last_used_at hint created_at",
    "mailbox": "id user_id name parent_id role subscribed total unseen bytes uid_next uid_validity modseq created_at",
    "entry": "id auth mailbox_id message_id thread_id uid modseq header_message_id from to subject snippet sent_at received_at saved_at size seen flagged answered draft "
             "deleted keywords attachment_count",
    "setting": "id name value default type min max live source text",
}
ONE_ENTRY = "cc reply_to headers text text_truncated html html_truncated html_safe html_blocked stripped_text attachments"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
PREFIX = {"account": "acc", "message": "msg", "delivery": "dlv", "event": "evt", "domain": "dom", "user": "usr", "address": "adr",
          "key": "key", "mailbox": "mbx", "entry": "ent"}
numbers = itertools.count(1)


class Tenant(Client):
    """An account of its own with a domain and a user."""

    def __init__(self, server):
        self.n = next(numbers)
        self.account = server.make("/v1/accounts", {"name": f"Tenant {self.n}"})
        super().__init__(server, key=self.account["key"]["secret"])
        self.domain = self.make("/v1/domains", {"name": f"t{self.n}.test"})
        self.address = f"ana@t{self.n}.test"
        self.user = self.make("/v1/users", {"address": self.address, "password": PASSWORD})

    def send(self, **more):
        return self.make("/v1/messages", {"from": self.address, "to": self.address, "subject": "Hi", "text": "x"} | more)

    def box(self, role="inbox"):
        return next(b for b in self.all(f"/v1/users/{self.address}/mailboxes") if b["role"] == role)


@pytest.fixture
def tenant(server):
    return Tenant(server)


def check(shown, kind=None, more="", mine=None):
    """An object has exactly its fields, ids and times in their form, and its account."""
    kind = kind or shown["object"]
    fields = set(OBJECTS[kind].split()) | set(more.split()) | {"object"}
    if kind != "setting":
        fields.add("account_id")
        assert re.fullmatch(PREFIX[kind] + "_[0-7][0-9a-hjkmnp-tv-z]{25}", shown["id"]), shown
    else:
        fields |= {"choices", "pending"}
    assert shown["object"] == kind
    assert set(shown) == fields, set(shown) ^ fields
    if mine:
        assert shown["account_id"] == mine
    for name, value in shown.items():
        if name in ("at", "content_until") or name.endswith("_at"):
            assert value is None or TIME.match(value), (name, value)
        if name.endswith("_id") and value is not None and name not in ("header_message_id",):
            assert re.fullmatch("[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}", value), (name, value)


def fault(answer, status, code, *pointers):
    assert answer.status == status, answer
    e = answer.json
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(e) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert (e["status"], e["code"], e["type"]) == (status, code, "/errors/" + code), e
    assert e["request_id"] == answer.headers["Request-Id"] and e["request_id"].startswith("req_")
    assert all(set(x) == {"pointer", "code", "message"} for x in e["errors"])
    if pointers:
        assert sorted(x["pointer"] for x in e["errors"]) == sorted(pointers), e["errors"]
    return e


# ---- objects ----

def test_every_object_has_exactly_its_fields(server, tenant):
    mine = tenant.account["id"]
    account = dict(tenant.account)
    key = account.pop("key")
    check(account)
    check(key, more="secret", mine=mine)
    assert set(key["scopes"]) == {"send", "messages:read", "deliveries:write", "mail:read", "mail:write", "domains", "users", "keys", "suppressions", "templates", "streams"}
    check(tenant.domain, mine=mine)
    check(tenant.user, mine=mine)
    sent = tenant.send()
    assert set(sent) == set("object id account_id header_message_id mode status created_at recipients".split())
    assert [set(r) for r in sent["recipients"]] == [{"id", "email", "status"}] and sent["recipients"][0]["id"].startswith("dlv_")
    for path, kind in {f"/v1/messages/{sent['id']}": "message", f"/v1/deliveries/{sent['recipients'][0]['id']}": "delivery",
                       f"/v1/domains/{tenant.domain['id']}": "domain", f"/v1/users/{tenant.user['id']}": "user",
                       f"/v1/keys/{key['id']}": "key", f"/v1/mailboxes/{tenant.box()['id']}": "mailbox"}.items():
        check(tenant.get(path).json, kind, mine=mine)
    for path, kind in {"messages": "message", "deliveries": "delivery", "events": "event", "domains": "domain", "users": "user",
                       "addresses": "address", "keys": "key", f"users/{tenant.address}/mailboxes": "mailbox",
                       f"mailboxes/{tenant.box()['id']}/entries": "entry"}.items():
        listed = tenant.all("/v1/" + path)
        assert listed, path
        for one in listed:
            check(one, kind, mine=mine)
    [entry] = tenant.all(f"/v1/mailboxes/{tenant.box()['id']}/entries")
    check(tenant.get(f"/v1/entries/{entry['id']}").json, "entry", ONE_ENTRY, mine)
    for one in Client(server).all("/v1/settings"):
        check(one, "setting")


def test_a_name_or_address_stands_for_its_id(tenant):
    assert tenant.get(f"/v1/domains/{tenant.domain['name']}").json == tenant.get(f"/v1/domains/{tenant.domain['id']}").json
    assert tenant.get(f"/v1/domains/{tenant.domain['name'].upper()}").json["id"] == tenant.domain["id"]
    assert tenant.get(f"/v1/users/{tenant.address}").json == tenant.get(f"/v1/users/{tenant.user['id']}").json
    assert tenant.get(f"/v1/users/{tenant.address.upper()}").json["id"] == tenant.user["id"]
    assert tenant.get(f"/v1/users/{tenant.address.replace('@', '%40')}").json["id"] == tenant.user["id"]
    alias = tenant.make("/v1/addresses", {"address": "second@" + tenant.domain["name"], "target": {"type": "user", "user_id": tenant.address}})
    assert alias["target"] == {"type": "user", "user_id": tenant.user["id"]} and alias["primary"] is False


def test_create_says_where(server, tenant):
    for path, body in {"/v1/domains": {"name": f"where{tenant.n}.test"}, "/v1/keys": {"name": "k", "scopes": ["send"]},
                       "/v1/users": {"address": f"bo@t{tenant.n}.test"},
                       "/v1/addresses": {"address": f"cy@t{tenant.n}.test", "target": {"type": "user", "user_id": tenant.user["id"]}},
                       f"/v1/users/{tenant.address}/mailboxes": {"name": "Work"}}.items():
        a = tenant.post(path, body)
        assert a.status == 201 and a.headers["Location"].endswith("/" + a.json["id"]), a
        got = tenant.get(a.headers["Location"])
        assert got.status == 200
        assert {k: v for k, v in a.json.items() if k != "secret"} == got.json
    a = tenant.post(f"/v1/mailboxes/{tenant.box()['id']}/entries", raw=b"Subject: x\r\n\r\ny\r\n", headers={"Content-Type": "message/rfc822"})
    assert a.status == 201 and tenant.get(a.headers["Location"]).json["subject"] == "x"
    a = server.post("/v1/accounts", {"name": "Where"})
    assert a.status == 201 and server.get(a.headers["Location"]).json["name"] == "Where"


# ---- lists ----

def walk(client, path, limit):
    """Forward to the end and back to the start: the same objects both ways."""
    q = "&" if "?" in path else "?"
    forward, page = [], client.get(f"{path}{q}limit={limit}").json
    assert set(page) == {"object", "data", "has_more", "next", "previous", "searched_to"} and page["object"] == "list"
    assert page["previous"] is None and page["searched_to"] is None
    while True:
        forward.append(page["data"])
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        page = client.get(f"{path}{q}limit={limit}&after={page['next']}").json
        assert page["previous"] is not None
    back = [page["data"]]
    while page["previous"]:
        page = client.get(f"{path}{q}limit={limit}&before={page['previous']}").json
        back.insert(0, page["data"])
    ids = [x["id"] for p in forward for x in p]
    assert [x["id"] for p in back for x in p] == ids and len(set(ids)) == len(ids)
    assert all(len(p) == limit for p in forward[:-1])
    return ids


def test_lists_walk_both_ways(server, tenant):
    sent = [tenant.send()["id"] for _ in range(7)]
    for i in range(6):
        tenant.make("/v1/domains", {"name": f"d{i}.t{tenant.n}.test"})
        tenant.make("/v1/keys", {"name": f"k{i}", "scopes": ["send"]})
        tenant.make("/v1/users", {"address": f"u{i}@t{tenant.n}.test"})
        tenant.make(f"/v1/users/{tenant.address}/mailboxes", {"name": f"Box {i}"})
    inbox = tenant.box()["id"]
    for limit in (1, 3, 7):
        assert walk(tenant, "/v1/messages", limit) == sent[::-1]
        assert len(walk(tenant, "/v1/deliveries", limit)) == 7
        assert len(walk(tenant, f"/v1/mailboxes/{inbox}/entries", limit)) == 7
        assert len(walk(tenant, "/v1/events", limit)) == len(tenant.all("/v1/events"))
        for path, n in {"/v1/domains": 7, "/v1/keys": 7, "/v1/users": 7, "/v1/addresses": 7, f"/v1/users/{tenant.address}/mailboxes": 12}.items():
            assert len(walk(tenant, path, limit)) == n, path
        assert len(walk(tenant, f"/v1/messages/{sent[0]}/events", limit)) == 2
    operator = Client(server)
    assert len(walk(operator, "/v1/settings", 50)) > 80
    assert tenant.account["id"] in walk(operator, "/v1/accounts", 4)
    uids = [e["uid"] for e in tenant.all(f"/v1/mailboxes/{inbox}/entries")]
    assert uids == sorted(uids, reverse=True)


def test_a_page_stays_when_something_new_comes(tenant):
    for _ in range(4):
        tenant.send()
    first = tenant.get("/v1/messages?limit=2").json
    second = tenant.get(f"/v1/messages?limit=2&after={first['next']}").json
    new = tenant.send()["id"]
    again = tenant.get(f"/v1/messages?limit=2&after={first['next']}").json
    assert again["data"] == second["data"]
    back = tenant.get(f"/v1/messages?limit=2&before={second['previous']}").json
    assert back["data"] == first["data"] and back["previous"] and back["has_more"]
    assert [m["id"] for m in tenant.get(f"/v1/messages?before={back['previous']}").json["data"]] == [new]


@pytest.mark.parametrize("query, pointers", [
    ("limit=0", ["/limit"]), ("limit=101", ["/limit"]), ("limit=-1", ["/limit"]), ("limit=x", ["/limit"]), ("limit=", ["/limit"]),
    ("limit=99999999999999999999", ["/limit"]), ("limit=1.5", ["/limit"]), ("limit=1&limit=2", ["/limit"]), ("nothing=1", ["/nothing"]),
    ("limit=0&nothing=1&also=2", ["/limit", "/nothing", "/also"]),
])
def test_bad_queries(tenant, query, pointers):
    for path in ("/v1/messages", "/v1/domains", "/v1/events", f"/v1/users/{tenant.address}/mailboxes"):
        fault(tenant.get(f"{path}?{query}"), 422, "validation_error", *pointers)


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "%ff", "..", "null", "A" * 512, "A" * 4096, "msg_" + NOBODY])
def test_bad_cursors(tenant, cursor):
    tenant.send()
    for path in ("/v1/messages", "/v1/domains", "/v1/settings", f"/v1/mailboxes/{tenant.box()['id']}/entries", "/v1/events?follow=true"):
        for way in ("after", "before"):
            a = (Client(tenant.server) if "settings" in path else tenant).get(f"{path}{'&' if '?' in path else '?'}{way}={cursor}")
            assert a.status in (400, 422), (path, a)


def test_a_cursor_of_another_list_or_filter_shows_nothing_foreign(tenant):
    for _ in range(3):
        tenant.send()
    cursor = tenant.get("/v1/messages?limit=1").json["next"]
    other = Tenant(tenant.server)
    other.send()
    for path in ("/v1/domains", "/v1/events", "/v1/messages"):
        a = other.get(f"{path}?after={cursor}")
        assert a.status in (200, 422), a
        assert a.status == 422 or all(x["account_id"] == other.account["id"] for x in a.json["data"])


def ids(client, path):
    return {x["id"] for x in client.all(path)}


def test_filters_of_messages(tenant):
    t = f"t{tenant.n}.test"
    here = tenant.send(tags=[{"name": "kind", "value": "order"}])["id"]
    out = tenant.send(to="x@outside.test", tags=[{"name": "kind", "value": "letter"}])["id"]
    lost = tenant.send(to="nobody@" + t)["id"]
    both = tenant.send(to=[tenant.address, "nobody@" + t])["id"]
    everything = {here, out, lost, both}
    key = tenant.account["key"]["id"]
    for query, want in {"status=delivered": {here}, "status=captured": {out}, "status=failed": {lost}, "status=partial": {both},
                        "status=queued": set(), "status=held": set(), "status=cancelled": set(),
                        f"email={tenant.address}": {here, both}, "email=x@OUTSIDE.test": {out}, "email=" + tenant.address.upper(): {here, both}, f"email=nobody@{t}": {lost, both},
                        "email=none@none.test": set(), "direction=outbound": everything, "source=api": everything,
                        "source=submission": set(), "tag=kind": {here, out}, "tag=kind=order": {here}, "tag=kind%3Dletter": {out},
                        "tag=none": set(), f"key_id={key}": everything, f"key_id=key_{NOBODY}": set(),
                        "since=2001-01-01T00:00:00Z": everything, "until=2001-01-01T00:00:00Z": set(),
                        "since=2199-01-01T00:00:00%2B02:00": set(), f"status=delivered&tag=kind&email={tenant.address}": {here},
                        "status=captured&tag=kind=order": set()}.items():
        assert ids(tenant, "/v1/messages?" + query) == want, query
        assert set(walk(tenant, "/v1/messages?" + query, 1)) == want, query
    when = tenant.get(f"/v1/messages/{lost}").json["created_at"]
    assert lost in ids(tenant, "/v1/messages?since=" + when) and here not in ids(tenant, "/v1/messages?since=" + when)
    assert ids(tenant, "/v1/messages?until=" + when) >= {here, out}
    fault(tenant.get("/v1/messages?direction=inbound"), 403, "insufficient_scope")


@pytest.mark.parametrize("query", ["status=nothing", "direction=up", "source=x", "email=x", "key_id=x", "key_id=msg_" + NOBODY, "since=yesterday",
                                   "until=2026-13-01T00:00:00Z", "since=2026-01-01", "status=", "email=", "tag=", "status[$ne]=x", "status[]=queued"])
def test_bad_filters(tenant, query):
    assert fault(tenant.get("/v1/messages?" + query), 422, "validation_error")["errors"]


def test_filters_of_the_rest(server, tenant):
    t = f"t{tenant.n}.test"
    sent = tenant.send(to=[tenant.address, "x@outside.test", "nobody@" + t])
    by = {r["email"]: r["id"] for r in sent["recipients"]}
    other = tenant.send()
    for query, want in {"status=captured": {by["x@outside.test"]}, "status=bounced": {by["nobody@" + t]}, "status=deferred": set(),
                        "domain=outside.test": {by["x@outside.test"]}, "domain=OUTSIDE.test": {by["x@outside.test"]},
                        f"email={tenant.address}&message_id={sent['id']}": {by[tenant.address]}, f"message_id={sent['id']}": set(by.values()),
                        f"message_id={other['id']}": {other["recipients"][0]["id"]}, f"message_id=msg_{NOBODY}": set()}.items():
        assert set(walk(tenant, "/v1/deliveries?" + query, 1)) == want, query
    assert {e["type"] for e in tenant.all("/v1/events?type=email.bounced")} == {"email.bounced"}
    assert tenant.all("/v1/events?type=nothing") == []
    for one in sent["recipients"]:
        timeline = tenant.all(f"/v1/deliveries/{one['id']}/events")
        assert [e["delivery_id"] for e in timeline] == [one["id"]] and timeline[0]["email"] == one["email"]
    assert len(tenant.all(f"/v1/messages/{sent['id']}/events")) == 4
    second = tenant.make("/v1/domains", {"name": "second." + t})
    bo = tenant.make("/v1/users", {"address": "bo@second." + t})
    assert ids(tenant, f"/v1/users?domain={second['id']}") == ids(tenant, f"/v1/users?domain=second.{t}") == {bo["id"]}
    assert [a["address"] for a in tenant.all(f"/v1/addresses?user={bo['id']}")] == ["bo@second." + t]
    assert [a["address"] for a in tenant.all(f"/v1/addresses?user={tenant.address}")] == [tenant.address]


def test_events_are_followed_in_order_of_commit(tenant):
    cursor, seen, sent = "", [], []
    for _ in range(4):
        sent.append(tenant.send()["id"])
        while True:
            page = tenant.get("/v1/events?follow=true&limit=3" + (f"&after={cursor}" if cursor else "")).json
            seen += [e for e in page["data"]]
            cursor = page["next"] or cursor
            if not page["data"]:
                break
    assert [e["message_id"] for e in seen if e["type"] == "email.accepted"] == sent
    assert len({e["id"] for e in seen}) == len(seen) == 8


# ---- faults ----

def test_all_faults_of_a_request_at_once(tenant):
    body = {"from": "nobody", "to": ["a@b.test", "bad", {"email": "also bad"}, {"email": "c@d.test", "nmae": "x"}], "subject": "a\r\nb", "text": 7,
            "unknown": 1, "tags": [{"name": ""}], "metadata": {"a": 1}, "headers": {"X-A": "b\nc", "Bcc": "x@y.test"}, "expires_after": 1}
    e = fault(tenant.post("/v1/messages?nothing=1", body, headers={"Idempotency-Key": "x" * 256}), 422, "validation_error")
    pointers = {x["pointer"] for x in e["errors"]}
    assert {"/from", "/to/1", "/to/2/email", "/to/3/nmae", "/subject", "/text", "/unknown", "/tags/0/name", "/tags/0/value", "/metadata/a",
            "/headers/X-A", "/expires_after", "/nothing", "/Idempotency-Key"} <= pointers, pointers


@pytest.mark.parametrize("body, pointers", [
    ({}, ["/name", "/scopes"]), ({"name": "x"}, ["/scopes"]), ({"name": "", "scopes": []}, None), ({"name": "x", "scopes": ["nothing"]}, ["/scopes/0"]),
    ({"name": "x", "scopes": "send"}, ["/scopes"]), ({"name": None, "scopes": ["send"]}, ["/name"]), ({"name": ["x"], "scopes": ["send"]}, ["/name"]),
    ({"name": "x", "scopes": ["send"], "secret": "mine"}, ["/secret"]), ({"name": "x", "scopes": ["send"], "id": "key_1", "hint": "x"}, ["/id", "/hint"]),
    ({"name": "x", "scopes": ["send"], "mode": "prod"}, ["/mode"]), ({"name": "x", "scopes": ["send"], "allowed_ips": ["1.2.3"]}, ["/allowed_ips/0"]),
    ({"name": "x", "scopes": ["send"], "allowed_ips": ["10.0.0.0/33"]}, ["/allowed_ips/0"]),
    ({"name": "x", "scopes": ["send"], "expires_at": "2001-01-01T00:00:00Z"}, ["/expires_at"]),
    ({"name": "x", "scopes": ["send"], "expires_at": 5}, ["/expires_at"]),
    ({"name": "x", "scopes": ["send"], "domain_ids": ["nothing.test"]}, ["/domain_ids/0"]),
    ({"name": "x", "scopes": ["operator", "send", "settings"]}, None), ([], None), ("x", None), (5, None), (None, None),
])
def test_faults_of_a_key(tenant, body, pointers):
    a = tenant.post("/v1/keys", raw=b"null") if body is None else tenant.post("/v1/keys", body)
    fault(a, 422, "validation_error", *(pointers or []))


def test_unknown_fields_are_errors_everywhere(server, tenant):
    """The operations and their examples come from the document itself."""
    from api_client import example
    operator, seen = Client(server), 0
    for method, path, operation in operations(server):
        media, body = example(server, operation)
        if media != "application/json":
            continue
        client = operator if "operator" in operation["x-scopes"] or "settings" in operation["x-scopes"] else tenant
        where = path.replace("{name}", "log.level")
        for name, real in {"accounts": tenant.account["id"], "domains": tenant.domain["id"], "users": tenant.user["id"],
                           "mailboxes": tenant.box()["id"], "keys": tenant.account["key"]["id"]}.items():
            where = where.replace(f"/{name}/{{id}}", f"/{name}/{real}")
        if "{id}" in where:
            continue
        a = client.call(method, where, body | {"surplus": 1})
        assert "/surplus" in [x["pointer"] for x in fault(a, 422, "validation_error")["errors"]], path
        a = client.call(method, where + "?surplus=1", body)
        assert "/surplus" in [x["pointer"] for x in fault(a, 422, "validation_error")["errors"]], path
        seen += 1
    assert seen >= 12


@pytest.mark.parametrize("raw", [b"", b"{", b"{}x", b"{'a':1}", b'{"name":"a","name":"b"}', b"\xff", b'{"name":"\xff"}', b'{"name":"\\ud800"}',
                                 b'{"name":NaN}', b'{"name":Infinity}', b'{"name":01}', b'{"name":1.}', b'{"name":+1}', b'\xef\xbb\xbf{"name":"x.test"}',
                                 b"[" * 100_000, b'{"a":' * 100_000, b"[" * 65 + b"]" * 65, b'{"name":"a\tb"}', b'{"name":"a\x00"}', b"{,}", b"[1,]", b"/*x*/{}"])
def test_bad_json(tenant, raw):
    assert fault(tenant.post("/v1/domains", raw=raw), 400, "invalid_json")["detail"]


def test_405_says_what_may(server, tenant):
    document = server.get("/openapi.json", key=False).json
    for path, methods in document["paths"].items():
        where = re.sub(r"\{[a-z]+\}", "x", path)
        may = {m.upper() for m in methods if m in ("get", "post", "put", "patch", "delete")}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - may:
            a = tenant.call(method, where)
            assert a.status == 405, (method, where, a)
            allowed = {m.strip() for m in a.headers["Allow"].split(",")}
            assert allowed - {"HEAD"} == may and ("HEAD" in allowed) == ("GET" in may), (where, allowed)
            assert a.json["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v2/messages", "/v1/nothing", "/v1/messages/", "/v1//messages", "/V1/messages", "/v1/messages/x/y/z",
                                  "/v1/queues", "/v1/nodes", "/v1/me/x", "/v1/deliveries/x/defer", "/v1/messages/../me", "/v1/messages/%2e%2e/me"])
def test_no_such_path(tenant, path):
    assert tenant.get(path).status in (404, 400), path


def test_ids_that_name_nothing(server, tenant):
    operator = Client(server)
    for name, prefix in PREFIXES.items():
        client = operator if name == "accounts" else tenant
        for one in (f"{prefix}_{NOBODY}", "x", f"{prefix}_", f"{prefix}_8" + NOBODY[1:], f"{prefix}_{NOBODY}x", f"{prefix}_{NOBODY.upper()}",
                    f"zzz_{NOBODY}", "%20", "a" * 300, "%C3%A9", "$ne", "{}", "*", "null", "-1", "%27%20or%201=1", "msg_" + NOBODY + "%00"):
            a = client.get(f"/v1/{name}/{one}")
            assert a.status in ((400, 404, 422) if "%00" in one or one == "a" * 300 else (404,)), (name, one, a)


def test_every_error_code_has_a_page(server):
    listed = {x["id"] for x in server.get("/errors", key=False).json["data"]}
    contract = """invalid_json unauthenticated insufficient_scope sender_not_allowed domain_not_verified mail_sealed not_found method_not_allowed
        request_timeout conflict in_use not_cancellable idempotency_in_progress content_gone state_too_old too_large unsupported_media_type validation_error
        idempotency_mismatch rate_limited headers_too_large internal unavailable queue_full storage_full""".split()
    assert set(contract) <= listed
    for code in listed:
        page = server.get(f"/errors/{code}", key=False)
        assert page.status == 200 and page.headers["Content-Type"].startswith("text/html") and code in page.body.decode(), code
    assert server.get("/errors/nothing", key=False).status == 404


# ---- merge and delete ----

def test_patch_merges(tenant):
    where = f"/v1/users/{tenant.address}"
    change = {"name": "Ana", "quota": 10_000_000, "metadata": {"a": "1", "b": "2"}, "send_as": ["@" + tenant.domain["name"]], "save_sent": False}
    a = tenant.patch(where, change)
    assert a.status == 200 and {k: a.json[k] for k in change} == change
    assert tenant.patch(where, {}).json == a.json == tenant.get(where).json
    b = tenant.patch(where, {"name": None, "metadata": {"a": None, "c": "3"}, "send_as": []}).json
    assert b["name"] is None and b["metadata"] == {"b": "2", "c": "3"} and b["send_as"] == [] and b["quota"] == 10_000_000
    assert tenant.patch(where, {"metadata": None}).json["metadata"] == {}
    fault(tenant.patch(where, {"address": "x@y.test", "id": "x", "used": 0}), 422, "validation_error", "/address", "/id", "/used")
    fault(tenant.patch(where, {"send_as": ["@elsewhere.test"]}), 422, "validation_error", "/send_as/0")
    fault(tenant.patch(where, {"quota": None, "disabled": "yes"}), 422, "validation_error", "/quota", "/disabled")
    domain = f"/v1/domains/{tenant.domain['name']}"
    assert tenant.patch(domain, {"catch_all": tenant.address, "inbound": "off"}).json["catch_all"] == tenant.address
    both = tenant.patch(domain, {"catch_all": None}).json
    assert both["catch_all"] is None and both["inbound"] == "off"
    fault(tenant.patch(domain, {"name": "x.test"}), 422, "validation_error", "/name")
    key = tenant.make("/v1/keys", {"name": "k", "scopes": ["send", "users"], "domain_ids": [tenant.domain["name"]], "allowed_ips": ["127.0.0.0/8"],
                                   "expires_at": "2199-01-01T00:00:00+01:00"})
    assert key["domain_ids"] == [tenant.domain["id"]] and key["expires_at"] == "2198-12-31T23:00:00.000Z"
    cut = tenant.patch(f"/v1/keys/{key['id']}", {"scopes": ["send"], "expires_at": None, "allowed_ips": None}).json
    assert (cut["scopes"], cut["expires_at"], cut["allowed_ips"], cut["domain_ids"]) == (["send"], None, [], key["domain_ids"])
    fault(tenant.patch(f"/v1/keys/{key['id']}", {"mode": "test", "secret": "x"}), 422, "validation_error", "/mode", "/secret")


def test_delete_refuses_what_is_in_use(tenant):
    tenant.send()
    fault(tenant.delete(f"/v1/domains/{tenant.domain['id']}"), 409, "in_use")
    [primary] = [a for a in tenant.all("/v1/addresses") if a["primary"]]
    fault(tenant.delete(f"/v1/addresses/{primary['id']}"), 409, "in_use")
    fault(tenant.delete(f"/v1/mailboxes/{tenant.box()['id']}"), 409, "in_use")
    fault(tenant.delete(f"/v1/users/{tenant.address}"), 409, "in_use")
    fault(tenant.delete(f"/v1/users/{tenant.address}?erase=false"), 409, "in_use")
    box = tenant.make(f"/v1/users/{tenant.address}/mailboxes", {"name": "Work"})
    [entry] = tenant.all(f"/v1/mailboxes/{tenant.box()['id']}/entries")
    assert tenant.patch(f"/v1/entries/{entry['id']}", {"mailbox_id": box["id"]}).json["id"] == entry["id"]
    fault(tenant.delete(f"/v1/mailboxes/{box['id']}"), 409, "in_use")
    a = tenant.delete(f"/v1/entries/{entry['id']}")
    assert a.status == 204 and a.body == b""
    assert tenant.get(f"/v1/entries/{entry['id']}").status == 404
    assert tenant.delete(f"/v1/mailboxes/{box['id']}").status == 204
    assert tenant.delete(f"/v1/mailboxes/{box['id']}").status == 404
    alias = tenant.make("/v1/addresses", {"address": "alias@" + tenant.domain["name"], "target": {"type": "user", "user_id": tenant.user["id"]}})
    assert tenant.delete(f"/v1/addresses/{alias['id']}").status == 204
    tenant.send()
    assert tenant.delete(f"/v1/users/{tenant.address}?erase=true").status == 204
    assert tenant.get(f"/v1/users/{tenant.address}").status == 404 and tenant.all("/v1/addresses") == []
    assert tenant.delete(f"/v1/domains/{tenant.domain['id']}").status == 204


def test_an_erased_users_mail_is_gone(server, tenant):
    tenant.send(subject="secret")
    inbox = tenant.box()["id"]
    [entry] = tenant.all(f"/v1/mailboxes/{inbox}/entries")
    assert tenant.delete(f"/v1/users/{tenant.user['id']}?erase=true").status == 204
    for path in (f"/v1/mailboxes/{inbox}", f"/v1/mailboxes/{inbox}/entries", f"/v1/entries/{entry['id']}", f"/v1/entries/{entry['id']}/raw"):
        assert tenant.get(path).status == 404, path
    again = tenant.make("/v1/users", {"address": tenant.address, "password": PASSWORD})
    assert again["id"] != tenant.user["id"] and again["used"] == 0
    assert tenant.all(f"/v1/mailboxes/{tenant.box()['id']}/entries") == []


def test_names_exist_once(server, tenant):
    fault(tenant.post("/v1/domains", {"name": tenant.domain["name"].upper()}), 409, "conflict")
    fault(Tenant(server).post("/v1/domains", {"name": tenant.domain["name"]}), 409, "conflict")
    fault(tenant.post("/v1/users", {"address": tenant.address.upper()}), 409, "conflict")
    fault(tenant.post("/v1/addresses", {"address": tenant.address, "target": {"type": "user", "user_id": tenant.user["id"]}}), 409, "conflict")
    box = {"name": "Once"}
    tenant.make(f"/v1/users/{tenant.address}/mailboxes", box)
    fault(tenant.post(f"/v1/users/{tenant.address}/mailboxes", box), 409, "conflict")
    fault(tenant.post(f"/v1/users/{tenant.address}/mailboxes", {"name": "inbox"}), 409, "conflict")


def test_keys_of_a_domain(server, tenant):
    where = f"/v1/domains/{tenant.domain['name']}/dkim"
    seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
    assert [(k["algorithm"], k["bits"], k["status"]) for k in tenant.domain["dkim"]] == [("rsa", 2048, "active"), ("ed25519", 256, "active")]
    a = tenant.post(where, {"selector": "Moved.2024", "private_key": seed})
    assert a.status == 201 and a.json["object"] == "domain", a.json
    assert [(k["selector"], k["algorithm"]) for k in a.json["dkim"]][1] == ("moved.2024", "ed25519")
    assert tenant.get(f"/v1/domains/{tenant.domain['name']}").json == a.json
    assert "private_key" not in str(a.json) and seed not in str(a.json)
    fault(tenant.post(where, {"selector": "a..b", "private_key": seed}), 422, "validation_error", "/selector")
    fault(tenant.post(where, {"selector": "a", "private_key": "?"}), 422, "validation_error", "/private_key")
    fault(Tenant(server).post(where, {"selector": "a", "private_key": seed}), 404, "not_found")


def test_verify(server, tenant):
    where = f"/v1/domains/{tenant.domain['name']}/verify"
    assert tenant.domain["status"] == "unverified" and {r["status"] for r in tenant.domain["records"]} == {"pending"}
    assert tenant.post(where, {"force": True}).status == 403
    a = Client(server, account=tenant.account["id"]).post(where, {"force": True})
    assert a.status == 200 and a.json["status"] == "verified" and TIME.match(a.json["verified_at"])


def test_settings(server):
    s = Client(server)
    one = s.get("/v1/settings/smtp.errors_max").json
    assert (one["value"], one["default"], one["type"], one["min"], one["max"], one["live"], one["source"]) == (20, 20, "int", 1, 1000000, True, "default")
    assert s.patch("/v1/settings/smtp.errors_max", {"value": 21}).json["source"] == "store"
    assert s.get("/v1/settings/smtp.errors_max").json["value"] == 21
    changes = s.get("/v1/settings/smtp.errors_max/history").json["data"]
    assert changes[0]["new_value"] == "21" and changes[0]["old_value"] is None and TIME.match(changes[0]["at"]) and changes[0]["who"]
    assert s.patch("/v1/settings/smtp.errors_max", {"value": None}).json["value"] == 20
    assert [c["new_value"] for c in s.get("/v1/settings/smtp.errors_max/history").json["data"]] == [None, "21"]
    for name, value in {"smtp.errors_max": 0, "smtp.recipients_max": 10**9, "smtp.data_timeout": 0, "message.size_max": 1, "log.level": "loud",
                        "api.metrics_open": "maybe", "server.hostname": "", "body.compression_level": -6, "smtp.command_timeout": "5 moons",
                        "server.grace": True, "smtp.greeting": "a\r\nb", "delivery.mode": "dead"}.items():
        fault(s.patch(f"/v1/settings/{name}", {"value": value}), 422, "validation_error", "/value")
    e = fault(s.patch("/v1/settings/delivery.mode", {"value": "live"}), 422, "validation_error")
    assert "full name of this server" in e["detail"]
    assert s.patch("/v1/settings/delivery.mode", {"value": "sandbox"}).status == 200
    fault(s.patch("/v1/settings/no.such", {"value": 1}), 404, "not_found")
    fault(s.get("/v1/settings/no.such"), 404, "not_found")
    fault(s.get("/v1/settings/no.such/history"), 404, "not_found")
    fault(s.patch("/v1/settings/log.level", {"value": {"$gt": ""}}), 422, "validation_error")
    fault(s.patch("/v1/settings/log.level", {}), 422, "validation_error", "/value")


def test_settings_take_effect_at_once(server, tenant):
    s = Client(server)
    assert s.patch("/v1/settings/message.recipients_max", {"value": 2}).status == 200
    try:
        three = {"from": tenant.address, "to": ["a@x.test", "b@x.test"], "cc": "c@x.test", "text": "x"}
        fault(tenant.post("/v1/messages", three), 422, "validation_error")
    finally:
        s.patch("/v1/settings/message.recipients_max", {"value": None})
    assert tenant.post("/v1/messages", three).status == 202
    assert s.patch("/v1/settings/users.password_min", {"value": 12}).status == 200
    try:
        fault(tenant.post("/v1/users", {"address": "cy@" + tenant.domain["name"], "password": "elevenchars"}), 422, "validation_error", "/password")
    finally:
        s.patch("/v1/settings/users.password_min", {"value": None})


def test_a_setting_that_waits_for_a_restart_says_so(server):
    s = Client(server)
    one = s.patch("/v1/settings/net.loops", {"value": 2}).json
    assert (one["live"], one["value"], one["pending"]) == (False, 0, 2)
    assert s.get("/v1/settings/net.loops").json == one
    assert s.patch("/v1/settings/net.loops", {"value": None}).json["pending"] is None


def test_health_and_openapi(server):
    for path in ("/livez", "/readyz"):
        a = server.get(path, key=False)
        assert a.status == 200 and a.json == {"object": "health", "status": "ok"}
    assert server.get("/metrics", key=False).status == 401
    assert b"\npostrider_" in server.get("/metrics").body
    assert server.get("/", key=False).status == 200
    document = server.get("/openapi.json", key=False).json
    assert document["openapi"].startswith("3.1")
    for method, path, operation in operations(server):
        assert operation["operationId"] and operation["summary"] and "x-scopes" in operation, (method, path)
