"""Who may do what: scopes, keys, users, tenants. The tables are made from /openapi.json, so a new route is in them by itself."""
import re
import smtplib
import time

import pytest
from api_client import NOBODY, SCOPES, Client, example, operations
from server import PASSWORD, Server, until

WORLD = {}  # what was made once for the module's server


@pytest.fixture(scope="module")
def server(store):
    with Server("--set", "auth.failures_free=1000") as s:  # hundreds of wrong passwords are tried
        WORLD.clear()
        WORLD["a"], WORLD["b"] = tenant(s, "a"), tenant(s, "b")
        yield s


def tenant(server, n):
    """An account with one of everything; ids by the collection's name."""
    account = server.make("/v1/accounts", {"name": n})
    c = Client(server, key=account["key"]["secret"])
    address, domain = f"ana@{n}.test", c.make("/v1/domains", {"name": f"{n}.test"})
    user = c.make("/v1/users", {"address": address, "password": PASSWORD})
    sent = c.make("/v1/messages", {"from": address, "to": address, "subject": "Hi", "text": "x",
                                   "attachments": [{"filename": "a.txt", "content": "YQ=="}]})
    boxes = {b["role"]: b["id"] for b in c.all(f"/v1/users/{address}/mailboxes")}
    [entry] = c.all(f"/v1/mailboxes/{boxes['inbox']}/entries")
    return {"account": account, "client": c, "address": address, "ids": {
        "accounts": account["id"], "domains": domain["id"], "users": user["id"], "addresses": c.all("/v1/addresses")[0]["id"],
        "keys": account["key"]["id"], "messages": sent["id"], "deliveries": sent["recipients"][0]["id"],
        "routes": c.make("/v1/routes", {"type": "mx"})["id"], "batches": c.make("/v1/batches", {"messages": [{"from": address, "to": address, "text": "x"}]})["id"], "templates": c.make("/v1/templates", {"html": "x"})["id"],
        "streams": c.make("/v1/streams", {"slug": "news"})["id"], "layouts": c.make("/v1/layouts", {"html": "{{{content}}}"})["id"], "events": c.all("/v1/events")[0]["id"], "mailboxes": boxes["inbox"], "entries": entry["id"]}}


def fill(path, ids):
    """A path with real ids: those of `ids`."""
    kind = path.split("/")[2]
    return path.replace("{id}", ids.get(kind, "x")).replace("{name}", "log.level").replace("{index}", "0").replace("{n}", "1")


def body_of(server, operation):
    """Arguments of a call with the operation's own example."""
    media, body = example(server, operation)
    if media == "message/rfc822":
        return {"raw": body.encode(), "headers": {"Content-Type": media}}
    return {"body": body} if media else {}


def call(client, method, path, how):
    return client.call(method, path, **how)


# ---- tenants ----

def test_every_route_with_another_tenants_ids_is_404(server):
    a, b = WORLD["a"], WORLD["b"]
    seen = 0
    for method, path, operation in operations(server):
        if "{id}" not in path or "operator" in operation["x-scopes"]:
            continue
        query = "?" + "&".join(f"{p['name']}={p['example']}" for p in operation.get("parameters", []) if p.get("required") and p["in"] == "query")
        for client in (a["client"], Client(server, basic=(a["address"], PASSWORD))):
            answer = call(client, method, fill(path, b["ids"]) + query, body_of(server, operation))
            want = {404} if client is a["client"] or operation.get("security") == [{"bearer": []}, {"basic": []}] else {403}
            assert answer.status in want, (method, path, answer)
            nobody = {k: re.sub("_.*", "_" + NOBODY, v) for k, v in b["ids"].items()}
            missing = call(client, method, fill(path, nobody) + query, body_of(server, operation))
            strip = {"request_id"}
            assert {k: v for k, v in missing.json.items() if k not in strip} == {k: v for k, v in answer.json.items() if k not in strip}, path
        seen += 1
    assert seen >= 30
    for name, value in {"domains": "b.test", "users": "ana@b.test"}.items():
        assert a["client"].get(f"/v1/{name}/{value}").status == 404
    assert a["client"].get("/v1/users/ana@b.test/mailboxes").status == 404


def test_another_tenants_ids_in_bodies_and_filters(server):
    a, b = WORLD["a"], WORLD["b"]
    c, other = a["client"], b["ids"]
    own = c.make(f"/v1/users/{a['address']}/mailboxes", {"name": "Own"})["id"]
    for method, path, body, status in [
        ("POST", "/v1/addresses", {"address": "new@b.test", "target": {"type": "user", "user_id": a["ids"]["users"]}}, {404, 422}),
        ("POST", "/v1/addresses", {"address": "new@a.test", "target": {"type": "user", "user_id": other["users"]}}, {404, 422}),
        ("POST", "/v1/addresses", {"address": "new@a.test", "target": {"type": "user", "user_id": b["address"]}}, {404, 422}),
        ("PATCH", f"/v1/addresses/{a['ids']['addresses']}", {"target": {"type": "user", "user_id": other["users"]}}, {404, 409, 422}),
        ("POST", "/v1/users", {"address": "eve@b.test", "password": PASSWORD}, {404, 422}),
        ("POST", "/v1/keys", {"name": "x", "scopes": ["send"], "domain_ids": [other["domains"]]}, {422}),
        ("POST", "/v1/keys", {"name": "x", "scopes": ["send"], "domain_ids": ["b.test"]}, {422}),
        ("POST", f"/v1/users/{a['address']}/mailboxes", {"name": "x", "parent_id": other["mailboxes"]}, {404, 422}),
        ("PATCH", f"/v1/mailboxes/{own}", {"parent_id": other["mailboxes"]}, {404, 422}),
        ("PATCH", f"/v1/entries/{a['ids']['entries']}", {"mailbox_id": other["mailboxes"]}, {404, 422}),
        ("PATCH", f"/v1/users/{a['address']}", {"send_as": ["@b.test"]}, {422}),
        ("PATCH", "/v1/domains/a.test", {"catch_all": b["address"]}, {422}),
        ("POST", "/v1/messages", {"from": b["address"], "to": "x@y.test", "text": "x"}, {403}),
        ("POST", "/v1/messages", {"from": a["address"], "envelope_from": b["address"], "to": "x@y.test", "text": "x"}, {403}),
        ("POST", "/v1/messages", {"from": a["address"], "to": "x@y.test", "text": "x", "in_reply_to": other["messages"]}, {404, 422}),
        ("POST", "/v1/messages", {"from": a["address"], "to": "x@y.test", "text": "x", "in_reply_to": other["entries"]}, {404, 422}),
    ]:
        answer = c.call(method, path, body)
        assert answer.status in status, (method, path, body, answer)
    for path in (f"/v1/deliveries?message_id={other['messages']}", f"/v1/messages?key_id={other['keys']}", "/v1/users?domain=b.test",
                 f"/v1/users?domain={other['domains']}", "/v1/addresses?user=ana@b.test", f"/v1/addresses?user={other['users']}",
                 "/v1/messages?email=ana@b.test", "/v1/deliveries?domain=b.test"):
        answer = c.get(path)
        assert answer.status in (404, 422) or answer.json["data"] == [], (path, answer)


def test_only_an_operator_acts_elsewhere(server):
    a, b = WORLD["a"], WORLD["b"]
    here = {"Postrider-Account": b["account"]["id"]}
    for path in ("/v1/domains", "/v1/messages", "/v1/me"):
        assert a["client"].get(path, headers=here).status in (403, 404), path
        assert a["client"].get(path, headers={"Postrider-Account": a["account"]["id"]}).status == 200
    operator = Client(server)
    assert [d["name"] for d in operator.get("/v1/domains", headers=here).json["data"]] == ["b.test"]
    made = operator.post("/v1/domains", {"name": "more.b.test"}, headers=here)
    assert made.json["account_id"] == b["account"]["id"] and b["client"].delete("/v1/domains/more.b.test").status == 204
    assert operator.get("/v1/domains", headers={"Postrider-Account": "acc_" + NOBODY}).status == 404
    for bad in ("x", "", b["ids"]["users"], b["account"]["id"] + "x"):
        assert operator.get("/v1/domains", headers={"Postrider-Account": bad}).status in (400, 404, 422), bad
    weak = server.make("/v1/keys", {"name": "weak", "scopes": ["domains"]})["secret"]
    assert Client(server, key=weak).get("/v1/domains", headers=here).status in (403, 404)
    # Not the operator's scopes, but the account's, count there: no settings through another account.
    assert operator.get("/v1/settings", headers=here).status in (200, 403)
    assert operator.post("/v1/keys", {"name": "x", "scopes": ["operator"]}, headers=here).status == 422
    assert Client(server, basic=(a["address"], PASSWORD)).get("/v1/me", headers=here).status in (403, 404)


def test_a_disabled_account_is_shut_at_once(server):
    made = tenant(server, "shut")
    basic = Client(server, basic=(made["address"], PASSWORD))
    assert made["client"].get("/v1/me").status == basic.get("/v1/me").status == 200
    assert Client(server).patch(f"/v1/accounts/{made['account']['id']}", {"disabled": True}).json["disabled"] is True
    assert made["client"].get("/v1/me").status == 401 and basic.get("/v1/me").status == 401
    Client(server).patch(f"/v1/accounts/{made['account']['id']}", {"disabled": False})
    assert made["client"].get("/v1/me").status == 200 and basic.get("/v1/me").status == 200
    own = Client(server).get("/v1/me").json["account_id"]
    assert Client(server).patch(f"/v1/accounts/{own}", {"disabled": True}).status in (403, 409, 422)
    assert Client(server).delete(f"/v1/accounts/{own}").status in (403, 409, 422)
    assert Client(server).get("/v1/me").status == 200


# ---- scopes ----

def test_each_scope_opens_its_routes_and_no_other(server):
    """A key with each single scope at each route; nothing real is named, so what is open says 404 or 422."""
    nobody = {k: f"{v.split('_')[0]}_{NOBODY}" for k, v in WORLD["a"]["ids"].items()}
    table = 0
    for scope in SCOPES:
        c = Client(server, key=server.make("/v1/keys", {"name": scope, "scopes": [scope]})["secret"])
        for method, path, operation in operations(server):
            wanted = operation["x-scopes"]
            where = fill(path, nobody).replace("log.level", "no.such")
            answer = call(c, method, where, {} if method in ("GET", "DELETE") else {"body": {"surplus": 1}})
            if "message/rfc822" in str(operation.get("requestBody")) and path.endswith("entries"):
                answer = c.post(where, raw=b"x: y\r\n\r\n", headers={"Content-Type": "message/rfc822"})
            if wanted and scope not in wanted:
                assert (answer.status, answer.json["code"]) == (403, "insufficient_scope"), (scope, method, path, answer)
            else:
                assert answer.status in (200, 404, 422), (scope, method, path, answer)
            table += 1
    assert table > 400


def test_routes_need_a_credential(server):
    for method, path, operation in operations(server):
        where = fill(path, WORLD["a"]["ids"])
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer pr_live_" + "a" * 40},
                        {"Authorization": "Basic"}, {"Authorization": "Basic !!!"}, {"Authorization": "Digest x"},
                        {"Authorization": "Bearer " + "x" * 5000}, {"Authorization": "Bearer pr_live_\xe9"}):
            how = body_of(server, operation)
            how["headers"] = how.get("headers", {}) | headers
            answer = Client(server, key=False).call(method, where, **how)
            assert answer.status == 401 and answer.json["code"] == "unauthenticated" and "WWW-Authenticate" in answer.headers, (path, headers, answer)


# ---- keys ----

def test_a_key_grants_only_what_it_has(server):
    c = WORLD["a"]["client"]
    maker = Client(server, key=c.make("/v1/keys", {"name": "maker", "scopes": ["keys", "send"]})["secret"])
    for scope in set(SCOPES) - {"keys", "send"}:
        answer = maker.post("/v1/keys", {"name": "x", "scopes": ["send", scope]})
        assert answer.status == 422 and answer.json["errors"][0]["pointer"] == "/scopes", (scope, answer)
    made = maker.make("/v1/keys", {"name": "x", "scopes": ["send"]})
    assert maker.patch(f"/v1/keys/{made['id']}", {"scopes": ["send", "users"]}).status == 422
    greater = c.make("/v1/keys", {"name": "greater", "scopes": ["send", "users", "keys"]})
    for method, body in (("PATCH", {"scopes": ["send"]}), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        assert maker.call(method, f"/v1/keys/{greater['id']}", body).status == 403
    mine = maker.get("/v1/me").json["id"]
    assert maker.patch(f"/v1/keys/{mine}", {"scopes": ["keys", "send", "domains"]}).status == 422
    for scope in ("settings", "metrics", "operator"):  # not even the account's own first key has these
        assert c.post("/v1/keys", {"name": "x", "scopes": [scope]}).status == 422


def test_a_key_bound_to_domains_stays_there(server):
    owner = WORLD["a"]["client"]
    for name in ("one", "two"):
        owner.make("/v1/domains", {"name": f"{name}.bound.test"})
        owner.make("/v1/users", {"address": f"ana@{name}.bound.test", "password": PASSWORD})
        owner.make("/v1/messages", {"from": f"ana@{name}.bound.test", "to": f"ana@{name}.bound.test", "text": "x"})
    scopes = [s for s in SCOPES if s not in ("settings", "metrics", "operator")]
    made = owner.make("/v1/keys", {"name": "bound", "scopes": scopes, "domain_ids": ["one.bound.test"]})
    c = Client(server, key=made["secret"])

    def send(**more):
        return c.post("/v1/messages", {"from": "ana@one.bound.test", "to": "x@y.test", "text": "x"} | more)

    assert send().status == 202
    assert send(envelope_from="other@one.bound.test").status == 202
    for more in ({"from": "ana@two.bound.test"}, {"envelope_from": "ana@two.bound.test"}, {"from": "ana@a.test"}, {"from": "x@sub.one.bound.test"}):
        answer = send(**more)
        assert (answer.status, answer.json["code"]) == (403, "sender_not_allowed"), more
    assert {d["name"] for d in c.all("/v1/domains")} == {"one.bound.test"}
    assert {u["address"] for u in c.all("/v1/users")} == {"ana@one.bound.test"}
    assert {x["address"] for x in c.all("/v1/addresses")} == {"ana@one.bound.test"}
    assert c.post("/v1/domains", {"name": "three.bound.test"}).status == 403
    assert c.get("/v1/domains/two.bound.test").status == c.patch("/v1/domains/two.bound.test", {}).status == 404
    assert c.delete("/v1/domains/two.bound.test").status == 404
    other = owner.get("/v1/users/ana@two.bound.test").json["id"]
    for path in ("/v1/users/ana@two.bound.test", f"/v1/users/{other}"):
        assert c.get(path).status == c.patch(path, {"password": "now it is mine"}).status == c.delete(path + "?erase=true").status == 404
        assert c.get(path + "/mailboxes").status == 404, path
    assert c.post("/v1/users", {"address": "bo@two.bound.test"}).status in (403, 404, 422)
    assert c.post("/v1/addresses", {"address": "bo@two.bound.test", "target": {"type": "user", "user_id": "ana@one.bound.test"}}).status in (403, 404, 422)
    assert c.post("/v1/addresses", {"address": "bo@one.bound.test", "target": {"type": "user", "user_id": "ana@two.bound.test"}}).status in (403, 404, 422)
    box = next(b for b in owner.all("/v1/users/ana@two.bound.test/mailboxes") if b["role"] == "inbox")["id"]
    [entry] = owner.all(f"/v1/mailboxes/{box}/entries")
    for path in (f"/v1/mailboxes/{box}", f"/v1/mailboxes/{box}/entries", f"/v1/entries/{entry['id']}", f"/v1/entries/{entry['id']}/raw"):
        assert c.get(path).status == 404, path
    assert c.patch(f"/v1/entries/{entry['id']}", {"seen": True}).status == c.delete(f"/v1/entries/{entry['id']}").status == 404
    for body in ({"domain_ids": ["two.bound.test"]}, {"domain_ids": None}, {"domain_ids": []}, {}):
        assert c.post("/v1/keys", {"name": "x", "scopes": ["send"]} | body).status == 422, body
    less = c.make("/v1/keys", {"name": "x", "scopes": ["send"], "domain_ids": ["one.bound.test"]})
    assert c.patch(f"/v1/keys/{less['id']}", {"domain_ids": None}).status == 422
    assert c.patch(f"/v1/keys/{made['id']}", {"domain_ids": None}).status == 422
    unbound = owner.make("/v1/keys", {"name": "unbound", "scopes": ["send"]})["id"]
    assert c.delete(f"/v1/keys/{unbound}").status == c.patch(f"/v1/keys/{unbound}", {"name": "x"}).status == 403
    assert owner.get(f"/v1/keys/{unbound}").status == 200


def test_a_bound_key_sees_the_mail_of_its_domains(server):
    owner = tenant(server, "seen")["client"]
    for name in ("one", "two"):
        owner.make("/v1/domains", {"name": f"{name}.seen.test"})
        owner.make("/v1/users", {"address": f"ana@{name}.seen.test", "password": PASSWORD})
    scopes = [s for s in SCOPES if s not in ("settings", "metrics", "operator")]

    def bound(*domains):
        return Client(server, key=owner.make("/v1/keys", {"name": "b", "scopes": scopes, "domain_ids": list(domains)})["secret"])

    one, two, both = bound("one.seen.test"), bound("two.seen.test"), bound("one.seen.test", "two.seen.test")
    start = both.get("/v1/events?follow=true&limit=100").json["next"]

    def send(domain, **more):
        return owner.make("/v1/messages", {"from": f"ana@{domain}.seen.test", "to": "deferred@sandbox.test", "subject": "sealed", "text": "x",
                                           "tags": [{"name": "t", "value": domain}]} | more)

    sent = {"one": send("one"), "two": send("two")}
    user = Client(server, basic=("ana@two.seen.test", PASSWORD))
    by_user = user.make("/v1/messages", {"from": "ana@two.seen.test", "to": "x@outside.test", "text": "x"})
    with smtplib.SMTP(*server.address("smtp"), timeout=30) as c:  # mail that comes in belongs to the recipient's domain
        c.sendmail("x@outside.test", ["ana@one.seen.test", "ana@two.seen.test"], "From: x@outside.test\r\n\r\nx\r\n")
    paths = ("/v1/messages", "/v1/messages?tag=t", "/v1/messages?email=deferred@sandbox.test", "/v1/deliveries", "/v1/events",
             "/v1/deliveries?email=deferred@sandbox.test", "/v1/events?type=email.deferred")

    def ids(client, path):
        return {x.get("message_id") or x["id"] for x in client.all(path)}

    for path in paths:
        alone, other = ids(one, path), ids(two, path)
        assert sent["one"]["id"] in alone and sent["two"]["id"] in other, path
        assert sent["two"]["id"] not in alone and by_user["id"] not in alone and sent["one"]["id"] not in other, path
        assert {sent["one"]["id"], sent["two"]["id"]} <= ids(both, path) <= ids(owner, path), path
    assert by_user["id"] in ids(two, "/v1/messages")

    def followed(client):
        return {(e["message_id"], e["email"]) for e in client.get(f"/v1/events?follow=true&limit=100&after={start}").json["data"]}

    assert {m for m, _ in followed(one)} >= {sent["one"]["id"]} and sent["two"]["id"] not in {m for m, _ in followed(one)}
    for client, mine, theirs in ((one, "one", "two"), (two, "two", "one")):
        received = {e["email"] for e in client.all("/v1/events?type=email.received")}
        assert received == {f"ana@{mine}.seen.test"}
        assert all(f"@{theirs}.seen.test" not in (email or "") for _, email in followed(client))
        assert not [d for d in client.all("/v1/deliveries") if d["email"] == f"ana@{theirs}.seen.test"]
        message, delivery = sent[theirs]["id"], sent[theirs]["recipients"][0]["id"]
        event = next(e["id"] for e in owner.all("/v1/events") if e["message_id"] == message)
        for path in (f"/v1/messages/{message}", f"/v1/messages/{message}/raw", f"/v1/messages/{message}/events", f"/v1/deliveries/{delivery}",
                     f"/v1/deliveries/{delivery}/events", f"/v1/events/{event}"):
            assert client.get(path).status == 404 and owner.get(path).status == both.get(path).status == 200, path
        assert client.delete(f"/v1/messages/{message}").status == client.post(f"/v1/messages/{message}/cancel").status == 404
        answer = client.post("/v1/messages", {"from": f"ana@{mine}.seen.test", "to": "x@y.test", "text": "x", "in_reply_to": message})
        assert answer.status == 422
    assert one.post(f"/v1/messages/{sent['one']['id']}/cancel").status == 200


def test_a_bound_key_gets_no_further_through_users(server):
    owner = tenant(server, "way")["client"]
    for name in ("one", "two"):
        owner.make("/v1/domains", {"name": f"{name}.way.test"})
        owner.make("/v1/users", {"address": f"ana@{name}.way.test", "password": PASSWORD})
    scopes = [s for s in SCOPES if s not in ("settings", "metrics", "operator")]
    c = Client(server, key=owner.make("/v1/keys", {"name": "b", "scopes": scopes, "domain_ids": ["one.way.test"]})["secret"])
    for senders in (["@two.way.test"], ["ana@two.way.test"], ["ana@one.way.test", "@two.way.test"]):
        assert c.patch("/v1/users/ana@one.way.test", {"send_as": senders}).status == 422, senders
        assert c.post("/v1/users", {"address": "bo@one.way.test", "send_as": senders}).status == 422, senders
    assert c.patch("/v1/users/ana@one.way.test", {"send_as": ["@one.way.test"]}).status == 200
    assert c.patch("/v1/domains/one.way.test", {"catch_all": "ana@two.way.test"}).status == 422
    assert c.patch("/v1/domains/one.way.test", {"catch_all": "ana@one.way.test"}).status == 200
    # an address of its domain whose mail, and Sent, is somebody else's
    owner.make("/v1/addresses", {"address": "alias@one.way.test", "target": {"type": "user", "user_id": "ana@two.way.test"}})
    answer = c.post("/v1/messages", {"from": "alias@one.way.test", "to": "x@y.test", "text": "x", "save_to_sent": True})
    assert answer.status == 422
    # who may log in as a user gets all that the user is
    for given in ({"send_as": ["@two.way.test"]}, None):
        if given:
            assert owner.patch("/v1/users/ana@one.way.test", given).status == 200
        else:
            owner.patch("/v1/users/ana@one.way.test", {"send_as": []})
            owner.make("/v1/addresses", {"address": "more@two.way.test", "target": {"type": "user", "user_id": "ana@one.way.test"}})
        assert c.patch("/v1/users/ana@one.way.test", {"password": "now it is mine"}).status == 403, given
        assert c.delete("/v1/users/ana@one.way.test?erase=true").status == 403, given
        assert c.patch("/v1/users/ana@one.way.test", {"name": "Ana"}).status == 200
    owner.delete("/v1/addresses/more@two.way.test")
    assert c.patch("/v1/users/ana@one.way.test", {"password": "now it is ours"}).status == 200


def test_a_bound_key_of_the_operator_makes_no_account(server):
    server.make("/v1/domains", {"name": "op.way.test"})
    c = Client(server, key=server.make("/v1/keys", {"name": "b", "scopes": SCOPES, "domain_ids": ["op.way.test"]})["secret"])
    assert c.post("/v1/accounts", {"name": "x"}).status == c.get("/v1/accounts").status == 403
    account = WORLD["a"]["account"]["id"]
    assert c.get("/v1/users", headers={"Postrider-Account": account}).json["data"] == []
    assert c.get("/v1/messages", headers={"Postrider-Account": account}).json["data"] == []


def test_a_deleted_domain_unbinds_no_key(server):
    owner = WORLD["a"]["client"]
    gone = owner.make("/v1/domains", {"name": "gone.bound.test"})
    c = Client(server, key=owner.make("/v1/keys", {"name": "k", "scopes": ["send", "domains"], "domain_ids": [gone["id"]]})["secret"])
    owner.delete("/v1/domains/gone.bound.test")
    assert c.all("/v1/domains") == []
    assert c.post("/v1/messages", {"from": "ana@a.test", "to": "x@y.test", "text": "x"}).status == 403


def test_allowed_ips(server):
    c = WORLD["a"]["client"]
    key = c.make("/v1/keys", {"name": "k", "scopes": ["send"], "allowed_ips": ["192.0.2.0/24"]})
    inside = Client(server, key=key["secret"])
    assert inside.get("/v1/me").status == 401
    for networks, status in ((["127.0.0.1"], 200), (["127.0.0.0/8"], 200), (["2001:db8::/32", "127.0.0.1/32"], 200), (["::/0"], 401),
                             (["128.0.0.0/8"], 401), (["::ffff:127.0.0.1"], 200), (["0.0.0.0/0"], 200), ([], 200)):
        answer = c.patch(f"/v1/keys/{key['id']}", {"allowed_ips": networks})
        assert answer.json["allowed_ips"] == networks and inside.get("/v1/me").status == status, networks


def test_an_expired_or_deleted_key_opens_nothing(server):
    c = WORLD["a"]["client"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1)) + ".900Z"
    key = c.make("/v1/keys", {"name": "k", "scopes": ["send"], "expires_at": soon})
    inside = Client(server, key=key["secret"])
    assert inside.get("/v1/me").status == 200
    end = time.monotonic() + 5
    while inside.get("/v1/me").status == 200:
        assert time.monotonic() < end
    assert inside.get("/v1/me").status == 401
    key = c.make("/v1/keys", {"name": "k", "scopes": ["send"]})
    inside = Client(server, key=key["secret"])
    assert inside.get("/v1/me").status == 200 and c.delete(f"/v1/keys/{key['id']}").status == 204 and inside.get("/v1/me").status == 401


def test_a_secret_is_shown_once(server):
    c = WORLD["a"]["client"]
    key = c.make("/v1/keys", {"name": "k", "scopes": ["send"]})
    assert key["secret"].startswith("pr_live_") and key["secret"].startswith(key["hint"]) and len(key["hint"]) <= 12
    for answer in (c.get(f"/v1/keys/{key['id']}"), c.get("/v1/keys?limit=100"), c.patch(f"/v1/keys/{key['id']}", {"name": "l"}), c.get("/v1/events?limit=100")):
        assert key["secret"] not in answer.body.decode() and '"secret"' not in answer.body.decode()
    assert key["secret"] not in server.log_text()
    assert Client(server, key=key["secret"]).get("/v1/me").status == 200
    until(lambda: c.get(f"/v1/keys/{key['id']}").json["last_used_at"], 5)


# ---- test keys ----

def test_a_test_key_reaches_nothing_and_sees_only_test_mail(server):
    made = tenant(server, "tk")
    owner, address = made["client"], made["address"]
    scopes = [s for s in SCOPES if s not in ("settings", "metrics", "operator")]
    key = owner.make("/v1/keys", {"name": "t", "mode": "test", "scopes": scopes})
    assert key["mode"] == "test" and key["secret"].startswith("pr_test_")
    c = Client(server, key=key["secret"])
    before = owner.all(f"/v1/mailboxes/{made['ids']['mailboxes']}/entries")
    sent = c.make("/v1/messages", {"from": address, "to": [address, "nobody@tk.test", "x@outside.test", "bounced@sandbox.test"], "text": "x",
                                   "save_to_sent": True})
    assert sent["mode"] == "test"
    assert {r["email"]: r["status"] for r in sent["recipients"]} == {
        address: "delivered", "nobody@tk.test": "bounced", "x@outside.test": "delivered", "bounced@sandbox.test": "bounced"}
    assert owner.all(f"/v1/mailboxes/{made['ids']['mailboxes']}/entries") == before
    assert all(b["total"] == 0 for b in owner.all(f"/v1/users/{address}/mailboxes") if b["role"] == "sent")
    assert {m["id"] for m in c.all("/v1/messages")} == {sent["id"]}
    assert {d["message_id"] for d in c.all("/v1/deliveries")} == {sent["id"]}
    assert {e["message_id"] for e in c.all("/v1/events")} == {sent["id"]} == {e["message_id"] for e in c.all("/v1/events?follow=true")}
    ids = made["ids"]
    for path in (f"/v1/messages/{ids['messages']}", f"/v1/messages/{ids['messages']}/events", f"/v1/messages/{ids['messages']}/raw",
                 f"/v1/deliveries/{ids['deliveries']}", f"/v1/deliveries/{ids['deliveries']}/events", f"/v1/events/{ids['events']}"):
        assert owner.get(path).status == 200 and c.get(path).status == 404, path
    assert c.delete(f"/v1/messages/{ids['messages']}").status == c.post(f"/v1/messages/{ids['messages']}/cancel").status == 404
    for path in (f"/v1/mailboxes/{ids['mailboxes']}", f"/v1/mailboxes/{ids['mailboxes']}/entries", f"/v1/entries/{ids['entries']}",
                 f"/v1/entries/{ids['entries']}/raw", f"/v1/users/{address}/mailboxes"):
        assert c.get(path).status in (403, 404), path
    assert c.post(f"/v1/mailboxes/{ids['mailboxes']}/entries", raw=b"a: b\r\n\r\n", headers={"Content-Type": "message/rfc822"}).status in (403, 404)
    live = owner.make("/v1/keys", {"name": "l", "scopes": ["send"]})["id"]
    assert c.delete(f"/v1/keys/{live}").status == c.patch(f"/v1/keys/{live}", {"name": "x"}).status == 403
    assert c.get("/v1/me").json["mode"] == "test"


def test_a_test_key_writes_nothing_but_test_mail(server):
    made = tenant(server, "tw")
    owner = made["client"]
    scopes = [s for s in SCOPES if s not in ("settings", "metrics", "operator")]
    c = Client(server, key=owner.make("/v1/keys", {"name": "t", "mode": "test", "scopes": scopes})["secret"])
    operator = Client(server, key=server.make("/v1/keys", {"name": "t", "mode": "test", "scopes": SCOPES})["secret"])
    mail = {"message_send", "message_update", "preview_create", "batch_create", "batch_cancel", "message_cancel", "message_delete", "delivery_retry", "delivery_hold", "delivery_release", "delivery_bounce",
            "action_create"}  # act on test mail alone
    tried = 0
    for method, path, operation in operations(server):
        if method == "GET" or operation.get("x-reads") or operation["operationId"] in mail:
            continue
        for client in (c, operator):
            answer = call(client, method, fill(path, made["ids"]), body_of(server, operation))
            assert (answer.status, (answer.json or {}).get("code")) == (403, "insufficient_scope"), (method, path)
        tried += 1
    assert tried > 20
    for method, path, body in (("PATCH", f"/v1/users/{made['address']}", {"password": "taken over by a test"}),
                               ("POST", "/v1/keys", {"name": "t", "mode": "test", "scopes": ["send"]}),
                               ("PATCH", f"/v1/users/{made['address']}", {}), ("DELETE", f"/v1/users/{made['address']}?erase=true", None)):
        assert c.call(method, path, body).status == 403, (method, path)
    assert Client(server, basic=(made["address"], PASSWORD)).get("/v1/me").status == 200
    sent = c.make("/v1/messages", {"from": made["address"], "to": "deferred@sandbox.test", "text": "x"})
    assert c.post(f"/v1/messages/{sent['id']}/cancel").json["status"] == "cancelled"
    assert c.delete(f"/v1/messages/{sent['id']}").status == 204  # its own is its to erase


# ---- users ----

def test_basic_reaches_that_users_own_mail_only(server):
    a = WORLD["a"]
    a["client"].make("/v1/users", {"address": "colleague@a.test", "password": PASSWORD})
    other = next(b for b in a["client"].all("/v1/users/colleague@a.test/mailboxes") if b["role"] == "inbox")["id"]
    a["client"].make("/v1/messages", {"from": "ana@a.test", "to": "colleague@a.test", "text": "x"})
    [theirs] = a["client"].all(f"/v1/mailboxes/{other}/entries")
    c = Client(server, basic=(a["address"], PASSWORD))
    for path in ("/v1/domains", "/v1/users", f"/v1/users/{a['ids']['users']}", "/v1/keys", "/v1/messages", "/v1/events", "/v1/settings", "/v1/accounts",
                 "/v1/deliveries", "/v1/addresses", "/metrics", f"/v1/messages/{a['ids']['messages']}"):
        assert c.get(path).status == 403, path
    assert c.post("/v1/keys", {"name": "x", "scopes": ["send"]}).status == 403
    for path in (f"/v1/mailboxes/{other}", f"/v1/mailboxes/{other}/entries", "/v1/users/colleague@a.test/mailboxes", f"/v1/entries/{theirs['id']}",
                 f"/v1/entries/{theirs['id']}/raw"):
        assert c.get(path).status == 404, path
    assert c.patch(f"/v1/entries/{theirs['id']}", {"seen": True}).status == c.delete(f"/v1/entries/{theirs['id']}").status == 404
    assert c.patch(f"/v1/entries/{a['ids']['entries']}", {"mailbox_id": other}).status in (404, 422)
    me = c.get("/v1/me").json
    assert me["kind"] == "user" and me["id"] == a["ids"]["users"] and {b["role"] for b in me["mailboxes"]} >= {"inbox", "sent", "drafts", "junk", "trash", "archive"}
    assert {b["id"] for b in me["mailboxes"]} == {b["id"] for b in c.all(f"/v1/users/{a['address']}/mailboxes")}
    assert c.get(f"/v1/entries/{a['ids']['entries']}").status == c.get(f"/v1/entries/{a['ids']['entries']}/attachments/0").status == 200
    assert c.patch(f"/v1/entries/{a['ids']['entries']}", {"flagged": True}).json["flagged"] is True


def test_a_user_sends_only_as_themself(server):
    a = WORLD["a"]
    owner = a["client"]
    owner.make("/v1/users", {"address": "sender@a.test", "password": PASSWORD})
    owner.make("/v1/addresses", {"address": "alias@a.test", "target": {"type": "user", "user_id": "sender@a.test"}})
    c = Client(server, basic=("sender@a.test", PASSWORD))

    def status(**more):
        answer = c.post("/v1/messages", {"from": "sender@a.test", "to": "x@y.test", "text": "x"} | more)
        assert answer.status == 202 or answer.json["code"] == "sender_not_allowed", answer
        return answer.status

    assert status() == status(**{"from": "alias@a.test"}) == status(**{"from": "sender+tag@a.test"}) == status(**{"from": "SENDER@A.test"}) == 202
    for more in ({"from": "ana@a.test"}, {"envelope_from": "ana@a.test"}, {"from": "x@outside.test"}, {"from": "ana@b.test"}, {"from": "sender@sub.a.test"}):
        assert status(**more) == 403, more
    owner.patch("/v1/users/sender@a.test", {"send_as": ["ana@a.test"]})
    assert status(**{"from": "ana@a.test"}) == 202 and status(**{"from": "colleague@a.test"}) == 403
    owner.patch("/v1/users/sender@a.test", {"send_as": ["@a.test"]})
    assert status(**{"from": "anyone@a.test"}) == 202 and status(**{"from": "x@outside.test"}) == 403
    raw = b"From: ana@b.test\r\nTo: x@y.test\r\n\r\nx\r\n"
    assert c.post("/v1/messages", raw=raw, headers={"Content-Type": "message/rfc822"}).status == 403
    assert c.post("/v1/messages?from=sender@a.test&to=x@y.test", raw=raw, headers={"Content-Type": "message/rfc822"}).status == 403


def test_me_for_each_credential(server):
    a = WORLD["a"]
    me = a["client"].get("/v1/me").json
    assert (me["kind"], me["id"], me["account_id"], me["mailboxes"]) == ("key", a["ids"]["keys"], a["account"]["id"], [])
    assert set(me["scopes"]) == set(a["account"]["key"]["scopes"])
    assert set(Client(server).get("/v1/me").json["scopes"]) == set(SCOPES)
    elsewhere = Client(server, account=a["account"]["id"]).get("/v1/me").json
    assert elsewhere["kind"] == "key" and "operator" in elsewhere["scopes"]


def test_a_key_that_reads_a_users_mail_leaves_an_audit_event(server):
    a = WORLD["a"]
    for path in (f"/v1/entries/{a['ids']['entries']}", f"/v1/entries/{a['ids']['entries']}/raw", f"/v1/entries/{a['ids']['entries']}/attachments/0",
                 f"/v1/mailboxes/{a['ids']['mailboxes']}/entries"):
        answer = a["client"].get(path)
        newest = a["client"].get("/v1/events?type=mail.read&limit=1").json["data"][0]
        assert newest["data"] == {"user_id": a["ids"]["users"], "by": a["ids"]["keys"], "request_id": answer.headers["Request-Id"]}, path
    count = len(a["client"].all("/v1/events?type=mail.read"))
    Client(server, basic=(a["address"], PASSWORD)).get(f"/v1/entries/{a['ids']['entries']}")
    assert len(a["client"].all("/v1/events?type=mail.read")) == count
