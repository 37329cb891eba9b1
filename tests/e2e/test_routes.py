"""Routes as rows: who may make which, and which way mail leaves by them."""
import base64
import os
import threading
import types

import pytest
from peer import Peer, Starttls, Wait
from server import Server, until
from test_cli import fine
from test_delivery import LIVE, deliveries, ended, send

RELAY = {"type": "relay", "hosts": ["relay.example.net"]}


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        s.tenant = s.make("/v1/accounts", {"name": "tenant"})["key"]["secret"]
        yield s


def fault(answer, *pointers):
    assert answer.status == 422 and sorted(x["pointer"] for x in answer.json["errors"]) == sorted(pointers), answer


def test_a_route_and_its_versions(server):
    made = server.post("/v1/routes", {"type": "relay", "domain": "*.BÜCHER.test", "hosts": ["Smtp.Example.net", "192.0.2.7", "2001:db8::7"],
                                      "port": 587, "tls": "verify", "username": "jo", "password": "swordfish"})
    route = made.json
    assert made.status == 201 and made.headers["ETag"] == '"1"' and made.headers["Location"] == f"/v1/routes/{route['id']}"
    assert route["domain"] == "*.xn--bcher-kva.test" and route["hosts"] == ["smtp.example.net", "192.0.2.7", "2001:db8::7"]
    assert (route["position"], route["lookup"], route["private"], route["class"]) == (100, "address", False, None)
    assert "password" not in route and b"swordfish" not in server.get("/v1/routes").body
    path = f"/v1/routes/{route['id']}"
    changed = server.call("PATCH", path, {"position": 5, "class": "bulk"}, headers={"If-Match": '"1"'})
    assert changed.status == 200 and changed.headers["ETag"] == '"2"' and changed.json["position"] == 5
    late = server.call("PATCH", path, {"position": 6}, headers={"If-Match": '"1"'})
    assert (late.status, late.json["code"]) == (412, "precondition_failed") and server.get(path).json["position"] == 5
    assert server.call("PATCH", path, {"position": 6}, headers={"If-Match": '"1", "2"'}).status == 200
    assert server.call("PATCH", path, {"position": 7}, headers={"If-Match": 'W/"3"'}).status == 412
    assert server.call("DELETE", path, headers={"If-Match": '"2"'}).status == 412
    assert server.call("DELETE", path, headers={"If-Match": "*"}).status == 204 and server.get(path).status == 404


def test_what_makes_no_sense_together(server):
    fault(server.post("/v1/routes", {"type": "relay"}), "/hosts")
    fault(server.post("/v1/routes", {"type": "mx", "hosts": ["a.test"], "port": 587}), "/hosts", "/port")
    fault(server.post("/v1/routes", RELAY | {"username": "jo"}), "/password")
    fault(server.post("/v1/routes", RELAY | {"password": "swordfish"}), "/username")
    fault(server.post("/v1/routes", RELAY | {"port": 465, "tls": "none"}), "/tls")
    fault(server.post("/v1/routes", {"type": "mx", "domain": "a*.test"}), "/domain")
    fault(server.post("/v1/routes", {"type": "mx", "domain": "*.[192.0.2.1]"}), "/domain")
    fault(server.post("/v1/routes", {"type": "relay", "hosts": ["a b", "x"]}), "/hosts/0")
    fault(server.post("/v1/routes", {"type": "away"}), "/type")
    r = server.make("/v1/routes", RELAY)
    fault(server.call("PATCH", f"/v1/routes/{r['id']}", {"type": "mx"}), "/hosts")
    assert server.call("PATCH", f"/v1/routes/{r['id']}", {"type": "mx", "hosts": None}).json["type"] == "mx"


def test_a_password_goes_nowhere_else(server):
    r = server.make("/v1/routes", RELAY | {"username": "jo", "password": "swordfish"})
    path = f"/v1/routes/{r['id']}"
    for change in ({"hosts": ["other.test"]}, {"port": 2525}, {"lookup": "mx"}, {"username": "ana"}):
        fault(server.call("PATCH", path, change), "/password")
    assert server.call("PATCH", path, {"tls": "verify"}).status == 200
    assert server.call("PATCH", path, {"hosts": ["other.test"], "password": "again"}).status == 200
    assert server.call("PATCH", path, {"hosts": ["a.test"], "username": None, "password": None}).json["username"] is None


def test_what_a_tenant_may(server):
    """Its own routes, on ports of mail; and what an operator has opened in one of them is not led elsewhere."""
    t = server.tenant
    r = server.make("/v1/routes", RELAY | {"port": 2525}, key=t)
    for what in ({"private": True}, {"insecure_auth": True}, {"source": "api"}):
        assert server.post("/v1/routes", RELAY | what, key=t).status == 403
        assert server.call("PATCH", f"/v1/routes/{r['id']}", what, key=t).status == 403
    fault(server.post("/v1/routes", RELAY | {"port": 22}, key=t), "/port")
    fault(server.call("PATCH", f"/v1/routes/{r['id']}", {"port": 8080}, key=t), "/port")
    assert server.get(f"/v1/routes/{r['id']}").status == 404  # the operator's own account is another one
    account = {"Postrider-Account": r["account_id"]}
    opened = server.make("/v1/routes", RELAY | {"private": True, "port": 8080}, headers=account)
    assert server.get(f"/v1/routes/{opened['id']}", key=t).status == 200
    assert server.call("PATCH", f"/v1/routes/{opened['id']}", {"hosts": ["10.0.0.1"]}, key=t).status == 403
    assert server.call("DELETE", f"/v1/routes/{opened['id']}", key=t).status == 403
    assert server.call("PATCH", f"/v1/routes/{opened['id']}", {"private": False}, headers=account).status == 200
    fault(server.call("PATCH", f"/v1/routes/{opened['id']}", {"hosts": ["10.0.0.1"]}, key=t), "/port")


def test_there_is_a_most():
    with Server(env={"POSTRIDER_DELIVERY_ROUTES_MAX": "2"}) as s:
        made = [s.make("/v1/routes", {"type": "mx"}) for _ in range(2)]
        answer = s.post("/v1/routes", {"type": "mx"})
        assert answer.status == 422 and answer.json["errors"][0]["code"] == "limit_reached"
        assert s.call("DELETE", f"/v1/routes/{made[0]['id']}").status == 204
        s.make("/v1/routes", {"type": "mx"})


# ---- at work ----


@pytest.fixture(scope="module")
def world(store):
    """Without a route nothing leaves: the parameters say hold."""
    with Peer() as a, Peer(host="127.0.0.3") as b, Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "hold", "POSTRIDER_DELIVERY_RETRY": "10s"}) as s:
        yield types.SimpleNamespace(a=a, b=b, s=s)


def to(peer, **more):
    return {"type": "relay", "hosts": [peer.host], "port": peer.port, "private": True} | more


def got(peer, address):
    return [m for m in peer.mails if address in m.recipients]


def test_the_first_that_matches(world):
    s = world.s
    s.make("/v1/routes", to(world.a, domain="*.one.test", position=20))
    s.make("/v1/routes", to(world.b, domain="x.one.test", position=10))
    ended(s, send(s, "r@x.one.test"))
    ended(s, send(s, "r@y.one.test"))
    assert got(world.b, "r@x.one.test") and got(world.a, "r@y.one.test") and not got(world.a, "r@x.one.test")
    ended(s, send(s, "r@one.test"), "held")


def test_the_account_comes_before_the_operator(world):
    s = world.s
    s.make("/v1/routes", to(world.a, domain="two.test", position=1))
    tenant = s.make("/v1/accounts", {"name": "two"})
    s.make("/v1/routes", to(world.b, domain="two.test", position=500), headers={"Postrider-Account": tenant["id"]})
    key = tenant["key"]["secret"]
    assert s.post("/v1/domains", {"name": "tenant.test"}, key=key).status == 201
    s.make("/v1/domains/tenant.test/verify", {"force": True}, headers={"Postrider-Account": tenant["id"]})
    s.make("/v1/messages", {"from": "app@tenant.test", "to": ["r@two.test"], "text": "walrus"}, key=key)
    until(lambda: got(world.b, "r@two.test"))
    ended(s, send(s, "s@two.test"))
    assert got(world.a, "s@two.test")


def test_mail_of_one_flow_goes_two_ways(world):
    """By its tag, its sender and its class: what waits together is claimed apart."""
    s = world.s
    s.make("/v1/routes", to(world.a, domain="three.test", position=20))
    s.make("/v1/routes", to(world.b, domain="three.test", tag="kind=code", position=10))
    s.make("/v1/routes", {"type": "capture", "domain": "three.test", "tag": "quiet", "position": 5})
    s.make("/v1/routes", {"type": "hold", "domain": "three.test", "class": "high", "position": 4})
    plain = [send(s, f"p{i}@three.test") for i in range(5)]
    coded = [send(s, f"c{i}@three.test", tags=[{"name": "kind", "value": "code"}]) for i in range(5)]
    for m in plain + coded:
        ended(s, m)
    assert all(got(world.a, f"p{i}@three.test") and got(world.b, f"c{i}@three.test") for i in range(5))
    ended(s, send(s, "q@three.test", tags=[{"name": "quiet", "value": "yes"}]), "captured")
    ended(s, send(s, "h@three.test", expires_after=600), "held")


def test_a_change_holds_for_what_waits(world):
    """Deferred on one way: by a route of its own, which then is no more; by that of all, and then there is one of its own; and the
    route was led elsewhere. All of it goes by the routes of now."""
    s = world.s
    with Peer(host="127.0.0.4", MAIL="451 4.3.0 not now") as full:
        own = s.make("/v1/routes", to(full, domain="four.test", sender_domain="example.test"))
        led = s.make("/v1/routes", to(full, domain="five.test"))
        for domain in ("four.test", "five.test"):
            s.make("/v1/routes", to(world.a if domain == "four.test" else full, domain=domain, position=300))
        four, five, coded = send(s, "x@four.test"), send(s, "x@five.test"), send(s, "y@five.test", tags=[{"name": "kind", "value": "code"}])
        for m in (four, five, coded):
            ended(s, m, "deferred")
        assert s.call("DELETE", f"/v1/routes/{own['id']}").status == 204
        assert s.call("PATCH", f"/v1/routes/{led['id']}", {"hosts": [world.b.host], "port": world.b.port}).status == 200
        s.make("/v1/routes", to(world.a, domain="five.test", tag="kind", position=1))
        for m in (four, five, coded):
            ended(s, m)
        assert got(world.a, "x@four.test") and got(world.b, "x@five.test") and got(world.a, "y@five.test") and not full.mails


def numbers(s):
    return {k: float(v) for k, _, v in (line.rpartition(" ") for line in s.get("/metrics").body.decode().splitlines()) if not k.startswith("#")}


def test_what_is_counted_and_logged(world):
    s = world.s
    with Peer(host="127.0.0.4", RCPT="550 5.1.1 no such user") as peer:
        s.make("/v1/routes", to(peer, domain="thirteen.test"))
        before = numbers(s)
        ended(s, send(s, "x@thirteen.test"), "bounced")
        name = 'postrider_delivery_attempts_total{outcome="bounced",cause="unknown_user",site="relay"}'
        assert numbers(s)[name] == before.get(name, 0) + 1
        go = threading.Event()
        peer.set(RCPT=None, dot=Wait(go, "250 2.0.0 taken"))
        m = send(s, "y@thirteen.test")
        assert peer.reached.wait(30)
        until(lambda: (n := numbers(s))["postrider_delivery_running"] == 1 and n["postrider_delivery_connections"] == len(peer.open) > 0)
        assert numbers(s)["postrider_delivery_paths_open"] > 0 and numbers(s)["postrider_delivery_flows"] > 0
        go.set()
        ended(s, m)
        until(lambda: (n := numbers(s))["postrider_delivery_running"] == 0 and n["postrider_delivery_connections"] == 0)  # idle ones end, too
        assert numbers(s)["postrider_delivery_delivered_total"] == before["postrider_delivery_delivered_total"] + 1
        line = next(line for line in s.log_text().splitlines() if "rcpt=<x@thirteen.test>" in line or "rcpt=x@thirteen.test" in line)
        assert "source=mail.example.org" in line and "cause=unknown_user" in line and "result=bounced" in line


def test_from_the_command_line(world, tmp_path):
    s = world.s
    (tmp_path / "secret").write_text("swordfish\n")
    with Peer(host="127.0.0.4", offers=("AUTH PLAIN",), AUTH="235 2.7.0 ok") as peer:
        r = fine(s, "route", "add", "relay", "--host", peer.host, "--port", peer.port, "--domain", "line.test", "--private", "--position", 7,
                 "--username", "jo", "--password-file", tmp_path / "secret", "--insecure-auth")
        assert r["hosts"] == [peer.host] and r["position"] == 7 and r["username"] == "jo"
        assert fine(s, "route", "explain", "x@line.test")["route"]["id"] == r["id"] and r["id"] in [x["id"] for x in fine(s, "route", "list")["data"]]
        ended(s, send(s, "x@line.test"))
        assert peer.mails and fine(s, "route", "set", r["id"], "--domain", "line2.test")["domain"] == "line2.test"
        fine(s, "route", "delete", r["id"], "--yes")
        assert s.get(f"/v1/routes/{r['id']}").status == 404 and fine(s, "route", "explain", "x@line2.test")["type"] == "hold"


# ---- explain ----


def explain(s, to, key=None, **more):
    return s.get("/v1/routes/explain?to=" + to + "".join(f"&{k}={v}" for k, v in more.items()), key=key).json


def test_explain(world):
    s = world.s
    with Peer(host="127.0.0.4") as peer:
        r = s.make("/v1/routes", to(peer, domain="fourteen.test", tls="require"))
        s.make("/v1/routes", to(peer, domain="fourteen.test", tag="kind=code", position=1) | {"type": "hold", "hosts": [], "port": None, "private": False})
        x = explain(s, "ana@fourteen.test", **{"from": "app@example.test"})
        assert (x["type"], x["route"]["id"], x["mx"]["verdict"]) == ("relay", r["id"], "ok")
        assert x["mx"]["hosts"] == [{"name": "[127.0.0.4]", "ip": "127.0.0.4", "preference": 0}] and x["tls"]["policy"] == "require"
        assert x["limits"]["state"] == "open" and x["limits"]["connections_max"] == 20 and x["return_path"]["address"] == "app@example.test"
        assert explain(s, "ana@fourteen.test", tag="kind=code")["type"] == "hold"
        assert explain(s, "ana@nowhere.test")["type"] == "hold" and "settings" in explain(s, "ana@nowhere.test")["why"]
        if s.get("/v1/domains/example.test").status == 404:
            s.make("/v1/domains", {"name": "example.test"})
        assert explain(s, "ana@example.test")["type"] == "local"
        assert s.get("/v1/routes/explain?to=ana").status == 422
        key = s.make("/v1/accounts", {"name": "curious"})["key"]["secret"]
        seen = explain(s, "ana@fourteen.test", key=key)  # the operator's ways are not a tenant's to see
        assert (seen["type"], seen["route"], seen["mx"]["hosts"], seen["limits"]) == ("relay", None, [], None)


# ---- rates ----


def test_what_has_used_up_its_rate_waits_unclaimed():
    """One a minute leaves, and the rest is untried and due; it goes when the rate is another one."""
    with Peer() as peer, Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY": peer.host, "POSTRIDER_DELIVERY_RELAY_PORT": str(peer.port),
                                            "POSTRIDER_DELIVERY_PER_CONNECTION": "1"}) as s:

        def rate(name, n):
            assert s.call("PATCH", f"/v1/settings/delivery.{name}", {"value": n}).status == 200

        for name, domains in (("path_rate", ["far", "farther", "farthest"]), ("account_rate", ["near", "nearer", "nearest"]), ("path_connect_rate", ["here", "there"])):
            rate(name, 1)
            before, ms = len(peer.mails), [send(s, f"x@{d}.test") for d in domains]
            until(lambda: peer.mails[before:])
            states = until(lambda: (d := [d for m in ms for d in deliveries(s, m).values()]) and "sending" not in {x["status"] for x in d} and d)
            assert sorted((d["status"], d["attempts"]) for d in states) == [("delivered", 1)] + [("queued", 0)] * (len(ms) - 1)
            rate(name, 0)
            for m in ms if name != "path_connect_rate" else []:
                ended(s, m)


# ---- how many at once ----


def test_connections_are_shared_out():
    """Of four one account has two while another waits, however much it has; each host keeps what it may have."""
    go = threading.Event()
    with Peer(dot=Wait(go, "250 2.0.0 taken")) as peer, Peer(host="127.0.0.3", dot=Wait(go, "250 2.0.0 taken")) as other, \
            Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "hold", "POSTRIDER_DELIVERY_CONNECTIONS_MAX": "4", "POSTRIDER_DELIVERY_AHEAD": "1"}) as s:
        tenant = s.make("/v1/accounts", {"name": "ten"})
        key = tenant["key"]["secret"]
        assert s.post("/v1/domains", {"name": "ten.test"}, key=key).status == 201
        s.make("/v1/domains/ten.test/verify", {"force": True}, headers={"Postrider-Account": tenant["id"]})
        for i in range(4):
            s.make("/v1/routes", to((peer, other)[i % 2], domain=f"far{i}.test"))
        ms = [send(s, f"x{n}@far{i}.test") for n in range(4) for i in range(4)]
        until(lambda: len(peer.open) + len(other.open) == 4)
        mine = s.make("/v1/messages", {"from": "app@ten.test", "to": ["y@far0.test"], "text": "walrus"}, key=key)
        until(lambda: numbers(s)["postrider_delivery_running"] == 4 and numbers(s)["postrider_delivery_flows"] == 5)
        assert len(peer.open) + len(other.open) == 4
        go.set()
        for m in ms:
            ended(s, m)
        until(lambda: s.get(f"/v1/messages/{mine['id']}", key=key).json["status"] == "delivered")
        seen = [r for m in peer.seen for r in m.recipients]
        assert len(seen) == 9 and seen.index("y@far0.test") <= 5, seen


# ---- logins and networks ----


def test_a_login_by_a_route(world):
    s = world.s
    with Peer(host="127.0.0.4", offers=("AUTH PLAIN",), AUTH="235 2.7.0 ok") as peer:
        s.make("/v1/routes", to(peer, domain="six.test", username="jo", password="swordfish", insecure_auth=True))
        ended(s, send(s, "x@six.test"))
        assert base64.b64decode(peer.log[1][1].split()[2]) == b"\0jo\0swordfish"
        assert "swordfish" not in s.log_text()


def test_a_refused_login_stops_that_route_until_it_is_changed(world):
    s = world.s
    with Peer(host="127.0.0.4", offers=("AUTH PLAIN",), AUTH=["535 5.7.8 no", "235 2.7.0 ok"]) as peer:
        r = s.make("/v1/routes", to(peer, domain="seven.test", username="jo", password="wrong", insecure_auth=True))
        d = ended(s, send(s, "x@seven.test"), "deferred")["x@seven.test"]
        assert d["last"]["cause"] == "auth"
        m = send(s, "y@seven.test")
        assert deliveries(s, m)["y@seven.test"]["status"] == "queued" and peer.verbs().count("AUTH") == 1
        assert s.call("PATCH", f"/v1/routes/{r['id']}", {"password": "right"}).status == 200
        ended(s, m)


@pytest.mark.skipif(os.geteuid() != 0, reason="port 465 is root's")
def test_port_465_is_tls_from_the_first_byte(world):
    def greet(session, _):
        session.socket = session.peer.context.wrap_socket(session.socket, server_side=True)
        session.tls = session.socket.version()
        return "220 mx.far.test ESMTP"

    with Peer(host=f"127.{os.getpid() % 200 + 10}.4.65", port=465, greeting=greet) as peer:
        world.s.make("/v1/routes", to(peer, domain="eight.test"))
        d = ended(world.s, send(world.s, "x@eight.test"))["x@eight.test"]
        assert peer.mails[0].tls and d["last"]["tls"]["version"].startswith("TLSv1") and "STARTTLS" not in peer.verbs()


def test_a_tenants_relay_reaches_no_private_network():
    host = f"127.{os.getpid() % 200 + 10}.25.25"
    with Peer(host=host, port=2525) as peer, Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "hold"}) as s:
        tenant = s.make("/v1/accounts", {"name": "nine"})
        key, account = tenant["key"]["secret"], {"Postrider-Account": tenant["id"]}
        assert s.post("/v1/domains", {"name": "nine.test"}, key=key).status == 201
        s.make("/v1/domains/nine.test/verify", {"force": True}, headers=account)
        r = s.make("/v1/routes", {"type": "relay", "hosts": [host], "port": 2525}, key=key)

        def outcome(address):
            m = s.make("/v1/messages", {"from": "app@nine.test", "to": [address], "text": "walrus"}, key=key)
            return until(lambda: next((d for d in s.get(f"/v1/deliveries?message_id={m['id']}", key=key).json["data"] if d["status"] not in ("queued", "sending")), None))

        d = outcome("x@far.test")
        assert (d["status"], d["last"]["enhanced"], d["last"]["cause"]) == ("bounced", "5.4.4", "bad_destination") and not peer.sessions
        assert s.call("PATCH", f"/v1/routes/{r['id']}", {"private": True}, headers=account).status == 200
        assert outcome("y@far.test")["status"] == "delivered" and len(peer.mails) == 1


def test_tls_as_the_route_says(world):
    s = world.s
    with Peer(host="127.0.0.4", offers=("STARTTLS",)) as peer:
        s.make("/v1/routes", to(peer, domain="ten.test", tls="none"))
        s.make("/v1/routes", to(peer, domain="eleven.test", tls="verify"))
        ended(s, send(s, "x@ten.test"))
        assert peer.mails[0].tls is None
        assert ended(s, send(s, "x@eleven.test"), "deferred")["x@eleven.test"]["last"]["cause"] == "tls"
    with Peer(host="127.0.0.4", offers=("STARTTLS",), STARTTLS=Starttls("close")) as peer:
        s.make("/v1/routes", to(peer, domain="twelve.test", tls="require"))
        assert ended(s, send(s, "x@twelve.test"), "deferred")["x@twelve.test"]["last"]["enhanced"] == "4.7.5"
