"""No JSON of a client becomes an operator, a field or a path of the store: what is taken comes back byte for byte, as a value, and matches
nothing but itself."""
import json
import smtplib
import urllib.parse

import pytest
from api_client import Client
from server import PASSWORD, SUITES

NOSQL = SUITES / "injection-payloads/nosql.txt"
DEEP = '{"a":' * 20 + "1" + "}" * 20


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@inject.test")
    return Client(server)


def send(c, **more):
    return c.post("/v1/messages", {"from": "ana@inject.test", "to": ["ana@inject.test"], "subject": "x", "text": "x", **more})


def keys():
    return ["$where", "$ne", "$set", "$unset", "$inc", "a.b", ".", "a.", ".a", "_id", "_w", "_seq", "_claim", "__proto__", "constructor", "$db", "$ref", "$numberLong",
            "$oid", "$date", "ä", "\U0001f600", " ", "0"]


def test_keys_of_metadata_stay_keys(c):
    """Where they are taken they come back; where not, they are named."""
    taken = 0
    for key in keys():
        metadata = {key: "1 == 1", "plain": "x"}
        a = send(c, metadata=metadata)
        assert a.status in (202, 422), (key, a)
        if a.status == 202:
            taken += 1
            assert c.get(f"/v1/messages/{a.json['id']}").json["metadata"] == metadata, key
        a = c.patch("/v1/users/ana@inject.test", {"metadata": metadata})
        assert a.status in (200, 422), (key, a)
        if a.status == 200:
            assert metadata.items() <= c.get("/v1/users/ana@inject.test").json["metadata"].items(), key
    assert taken >= 5


@pytest.mark.parametrize("value", [{"$ne": 1}, {"$gt": ""}, {"$where": "1"}, {"$in": []}, {"$numberLong": "1"}, [{"$ne": None}], {"$regex": ".*"}])
def test_an_object_where_a_text_belongs_is_refused(c, value):
    for field in ("from", "subject", "text", "to"):
        assert send(c, **{field: value}).status == 422, field
    for field in ("address", "password", "name"):
        body = {"address": "new@inject.test", "password": PASSWORD, field: value}
        assert c.post("/v1/users", body).status == 422, field
    assert send(c, metadata={"k": value}).status == 422
    assert send(c, tags=[{"name": "t", "value": value}]).status == 422


@pytest.mark.parametrize("raw", ['{"metadata":{"k":"a","k":"b"}}', '{"metadata":' + DEEP + "}", '{"metadata":{"a\\u0000b":"x"}}',
                                 '{"subject":"a","subject":{"$ne":1}}', '{"metadata":{"k":"\\ud800"}}'])
def test_json_that_two_readers_read_differently_is_refused(c, raw):
    body = json.dumps({"from": "ana@inject.test", "to": ["ana@inject.test"], "text": "x"})
    a = c.post("/v1/messages", raw=(body[:-1] + "," + raw[1:]).encode(), headers={"Content-Type": "application/json"})
    assert a.status in (400, 422), (raw, a)


def test_a_nul_in_a_value_comes_back(c):
    a = send(c, metadata={"k": "a\0b"})
    assert a.status == 202 and c.get(f"/v1/messages/{a.json['id']}").json["metadata"] == {"k": "a\0b"}


def payloads():
    lines = NOSQL.read_text().splitlines() if NOSQL.exists() else []
    return [x for x in lines if x] + ["{$ne: 1}", '{"$gt":""}', "[$ne]=1", "' || '1'=='1", "$where", ".*", "^", "*", "%", "_"]


def test_filters_match_only_themselves(c):
    """A list, a look-up and a search by a payload find nothing, nor fail."""
    assert send(c, tags=[{"name": "t", "value": "v"}]).status == 202
    for p in payloads():
        q = urllib.parse.quote(p, safe="")
        for path in (f"/v1/messages?tag={q}", f"/v1/messages?tag=t%3D{q}", f"/v1/messages?status={q}", f"/v1/deliveries?email={q}", f"/v1/deliveries?status={q}",
                     f"/v1/users?domain={q}", f"/v1/addresses?user={q}", f"/v1/messages?after={q}"):
            a = c.get(path)
            assert a.status in (200, 400, 404, 422), (path, a)
            assert a.status != 200 or a.json["data"] == [], (path, a)
        for path in (f"/v1/users/{q}", f"/v1/messages/{q}", f"/v1/domains/{q}", f"/v1/addresses/{q}", f"/v1/mailboxes/{q}", f"/v1/keys/{q}"):
            a = c.get(path)
            assert a.status in (400, 404, 405, 422), (path, a)
    for query in ("tag[$ne]=1", "email[$gt]=", "status[$in][]=queued"):
        a = c.get(f"/v1/deliveries?{query}")
        assert a.status in (400, 422), (query, a)


def test_logins_and_keys(c, server):
    for p in payloads():
        a = c.get("/v1/messages", headers={"Authorization": f"Bearer {p}"})
        assert a.status == 401, (p, a)


def test_by_smtp(c, server):
    """Header lines, senders and recipients: a recipient matches an address or none."""
    with smtplib.SMTP(*server.address("smtp"), timeout=20) as s:
        s.ehlo("client.test")
        for p in payloads():
            word = "".join(ch for ch in p if " " < ch < "\x7f" and ch not in '<>()[]\\,;:"@')[:60]
            if not word:
                continue
            s.mail("bo@out.test")
            code, _ = s.rcpt(f"{word}@inject.test")
            assert 500 <= code < 600 or code in (450, 451), (word, code)
            code, _ = s.rcpt("ana@inject.test")
            assert code == 250
            code, _ = s.data(f"Subject: {word}\r\nX-Tag: {p}\r\n\r\n{p}\r\n".encode())
            assert code == 250 or 500 <= code < 600, (p, code)
            s.rset()
