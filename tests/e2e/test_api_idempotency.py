"""A POST under an Idempotency-Key is done once, whatever comes between the client and its answer."""
import concurrent.futures
import threading

import kept
import pytest
from api_client import Client, example, operations
from sending import RAW, RFC822, fault, inbox
from server import Server


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@send.test", name="Ana")
    server.user("bo@send.test")
    return Client(server)


def keyed(k):
    return {"Idempotency-Key": k}


def test_a_hundred_at_once_are_one_mail(server, c):
    body = {"from": "ana@send.test", "to": "once@send.test", "subject": "once", "text": "x"}
    c.make("/v1/users", {"address": "once@send.test"})
    gate = threading.Barrier(20)

    def one(i):
        client = Client(server)
        if i < 20:
            gate.wait(20)
        return client.post("/v1/messages", body, headers=keyed("hundred"))

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(100)))
    assert {a.status for a in answers} <= {202, 409}
    assert all(a.json["code"] == "idempotency_in_progress" for a in answers if a.status == 409)
    good = [a for a in answers if a.status == 202]
    assert len({a.body for a in good}) == 1 and sum("Idempotency-Replayed" not in a.headers for a in good) == 1
    assert len(inbox(c, "once@send.test")) == 1
    again = c.post("/v1/messages", body, headers=keyed("hundred"))
    assert again.status == 202 and again.headers["Idempotency-Replayed"] == "true" and again.body == good[0].body
    assert len(inbox(c, "once@send.test")) == 1


def test_another_body_under_the_same_key(c):
    first = c.post("/v1/messages", {"from": "ana@send.test", "to": "bo@send.test", "text": "1"}, headers=keyed("other"))
    fault(c.post("/v1/messages", {"from": "ana@send.test", "to": "bo@send.test", "text": "2"}, headers=keyed("other")), code="idempotency_mismatch")
    same = c.post("/v1/messages", {"from": "ana@send.test", "to": "bo@send.test", "text": "1"}, headers=keyed("other"))
    assert same.body == first.body
    assert c.post("/v1/messages", raw=RAW, headers=RFC822 | keyed("raw")).status == 202
    assert c.post("/v1/messages", raw=RAW, headers=RFC822 | keyed("raw")).headers["Idempotency-Replayed"] == "true"
    fault(c.post("/v1/messages", raw=RAW + b"more", headers=RFC822 | keyed("raw")), code="idempotency_mismatch")


def test_only_success_is_kept(c):
    body = {"from": "ana@send.test", "to": "bo@send.test", "text": "x", "save_to_sent": True}
    body["from"] = "later@send.test"
    assert c.post("/v1/messages", body, headers=keyed("failed")).status == 422
    c.make("/v1/users", {"address": "later@send.test"})
    now = c.post("/v1/messages", body, headers=keyed("failed"))
    assert now.status == 202 and "Idempotency-Replayed" not in now.headers


def test_keys_belong_to_a_credential_and_a_route(server, c):
    body = {"name": "idem", "scopes": ["send", "keys"]}
    first = c.post("/v1/keys", body, headers=keyed("shared"))
    other = Client(server, key=first.json["secret"])
    mine = other.post("/v1/messages", {"from": "ana@send.test", "to": "x@y.test", "text": "x"}, headers=keyed("shared"))
    assert mine.status == 202 and "Idempotency-Replayed" not in mine.headers
    again = c.post("/v1/messages", {"from": "ana@send.test", "to": "x@y.test", "text": "x"}, headers=keyed("shared"))
    assert again.status == 202 and "Idempotency-Replayed" not in again.headers and again.json["id"] != mine.json["id"]


@pytest.mark.parametrize("k", ["", "x" * 256, "a\tb", "é", "\x7f"])
def test_bad_keys(c, k):
    answer = c.post("/v1/messages", {"from": "ana@send.test", "to": "x@y.test", "text": "x"}, headers={"Idempotency-Key": k.encode("latin-1")})
    assert answer.status in (400, 422), answer


def test_every_post_replays(server, c):
    """Each POST of the document, with its example moved to names of this test, twice under one key."""
    done = []
    account = server.make("/v1/accounts", {"name": "Idem"})
    o = Client(server, account=account["id"])
    o.make("/v1/domains", {"name": "postrider.test"})
    o.make("/v1/users", {"address": "you@postrider.test"})
    inbox_id = next(b["id"] for b in o.all("/v1/users/you@postrider.test/mailboxes") if b["role"] == "inbox")
    waiting, *others = [o.make("/v1/messages", {"from": "you@postrider.test", "to": "deferred@sandbox.test", "text": "x"})["id"] for _ in range(5)]
    deliveries = [o.get(f"/v1/deliveries?message_id={m}").json["data"][0]["id"] for m in others]  # one for each verb
    assert o.post(f"/v1/deliveries/{deliveries[2]}/hold").json["status"] == "held"  # is to be released
    many = o.make("/v1/batches", {"messages": [{"from": "you@postrider.test", "to": "deferred@sandbox.test", "text": "x"}]})["id"]
    o.make("/v1/templates", {"alias": "idem", "html": "{{name}}"})
    o.make("/v1/templates/idem/publish", None)
    places = {"templates": "idem", "streams": "transactional", "batches": many, "domains": "postrider.test", "users": "you@postrider.test", "mailboxes": inbox_id, "messages": waiting}
    instead = {"/v1/domains": {"name": "new.postrider.test"}, "/v1/users": {"address": "new@postrider.test"},
               "/v1/suspensions": {"scope": "tag", "match": "news", "effect": "stop"}}
    for method, path, operation in operations(server):
        if method != "POST":
            continue
        places["deliveries"] = deliveries[0] if deliveries else None
        where = path.replace("{id}", places.get(path.split("/")[2], "")).replace("{n}", "1")
        if "/deliveries/" in path:
            deliveries.pop(0)
        media, body = example(server, operation)
        how = {"raw": body.encode()} if media == "message/rfc822" else {"body": instead.get(path, body)}
        headers = keyed("every") | ({"Content-Type": media} if media else {})
        first = o.post(where, headers=headers, **how)
        assert 200 <= first.status < 300 and "Idempotency-Replayed" not in first.headers, (path, first)
        again = o.post(where, headers=headers, **how)
        assert again.status == first.status and again.headers["Idempotency-Replayed"] == "true", (path, again)
        assert again.headers["Location"] == first.headers["Location"]
        one, two = first.json, again.json
        for x in (one, one.get("key") if isinstance(one.get("key"), dict) else {}):
            assert bool(x.pop("secret", None)) == (x.get("object") == "key")
        assert "secret" not in again.body.decode()
        if "/deliveries/" in path:  # shown as it is by now: the queue goes on
            one, two = one["id"], two["id"]
        assert one == two, path
        done.append(path)
        if media:
            fault(o.post(where, headers=headers, **({"raw": b"a: b\r\n\r\n"} if "raw" in how else {"body": {"x": 1}})),
                  code="idempotency_mismatch") if "raw" in how else None
    assert len(done) >= 9, done


def test_a_kept_answer_survives_a_restart(tmp_path):
    s = Server(data=tmp_path / "data").start()
    try:
        s.user("ana@send.test")
        body = {"from": "ana@send.test", "to": "ana@send.test", "text": "x"}
        first = Client(s).post("/v1/messages", body, headers=keyed("kept"))
        s.kill()
        s.start()
        again = Client(s).post("/v1/messages", body, headers=keyed("kept"))
        assert again.body == first.body and again.headers["Idempotency-Replayed"] == "true" and len(s.entries("ana@send.test")) == 1
        s.stop()
        kept.grow_older(s, 86500)
        s.start()
        later = Client(s).post("/v1/messages", body, headers=keyed("kept"))
        assert later.status == 202 and "Idempotency-Replayed" not in later.headers and len(s.entries("ana@send.test")) == 2
    finally:
        s.stop()
