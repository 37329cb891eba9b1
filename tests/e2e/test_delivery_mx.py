"""Where mail goes: what DNS says, and what follows from it. The resolver asks a server of ours; hosts are loopback addresses, allowed for
the test, and their port is another one than 25."""
import time

import pytest
from apart import apart
from peer import Cut, Names, Peer, Silence, certificate
from server import Server, until
from test_delivery import LIVE, deliveries, ended, kinds, send

SERVFAIL, REFUSED = 2, 5


def by_names(names, peer, data=None, **more):
    env = LIVE | {"POSTRIDER_DNS_SERVERS": names.server, "POSTRIDER_DNS_TRUST_ANCHOR": "", "POSTRIDER_DELIVERY_PORT": str(peer.port),
                  "POSTRIDER_DELIVERY_ALLOW": "127.0.0.2,127.0.0.3,127.0.0.4"}
    return Server(env=env | {f"POSTRIDER_DELIVERY_{k.upper()}": str(v) for k, v in more.items()}, data=data)


ZONES = {
    ("far.test", "MX"): ["10 mx.far.test."], ("mx.far.test", "A"): ["127.0.0.2"],
    ("both.test", "MX"): ["10 dead.both.test.", "20 mx.far.test."], ("dead.both.test", "A"): ["127.0.0.4"],
    ("implicit.test", "A"): ["127.0.0.2"],
    ("null.test", "MX"): ["0 ."],
    ("alias.test", "CNAME"): ["far.test."],
    ("half.test", "MX"): ["10 gone.half.test.", "20 mx.far.test."],
    ("away.test", "MX"): SERVFAIL, ("away.test", "A"): ["127.0.0.2"],
    ("refused.test", "MX"): REFUSED, ("refused.test", "A"): ["127.0.0.2"],
    ("nohost.test", "TXT"): ["hello"],
    ("lost.test", "MX"): ["10 gone.lost.test."],
    ("inside.test", "MX"): ["10 mx.inside.test."], ("mx.inside.test", "A"): ["10.1.2.3"],
    ("loop.test", "MX"): ["10 mail.example.org."], ("mail.example.org", "A"): ["192.0.2.1"],
    ("backup.test", "MX"): ["10 mx.far.test.", "20 mail.example.org.", "30 mx3.far.test."], ("mx3.far.test", "A"): ["127.0.0.3"],
    ("self.test", "MX"): ["10 self.self.test."], ("self.self.test", "A"): ["127.0.0.1"],
}


@pytest.fixture(scope="module")
def world(store):
    with Names(ZONES) as names, Peer() as peer, by_names(names, peer) as s:
        yield names, peer, s


@pytest.mark.parametrize("domain", ["far.test", "both.test", "implicit.test", "alias.test", "half.test", "backup.test"])
def test_it_arrives(world, domain):
    names, peer, s = world
    d = ended(s, send(s, f"x@{domain}"))[f"x@{domain}"]
    assert d["attempts"] == 1 and [m for m in peer.mails if m.recipients == [f"x@{domain}"]]
    assert d["last"]["mx"] == ("implicit.test" if domain == "implicit.test" else "mx.far.test")


@pytest.mark.parametrize("domain, status, enhanced, cause", [
    ("no-such.test", "bounced", "5.1.2", "unknown_domain"),
    ("null.test", "bounced", "5.1.10", "unknown_domain"),
    ("nohost.test", "bounced", "5.4.4", "unknown_domain"),
    ("away.test", "deferred", "4.4.3", "dns"),  # never to its address
    ("refused.test", "deferred", "4.4.3", "dns"),
    ("lost.test", "deferred", "4.4.4", "dns"),
    ("inside.test", "bounced", "5.4.4", "bad_destination"),
    ("loop.test", "bounced", "5.4.6", "loop"),
    ("self.test", "bounced", "5.4.6", "loop"),
])
def test_it_does_not(world, domain, status, enhanced, cause):
    names, peer, s = world
    last = ended(s, send(s, f"x@{domain}"), status)[f"x@{domain}"]["last"]
    assert (last["enhanced"], last["cause"]) == (enhanced, cause)
    assert not [m for m in peer.seen if m.recipients == [f"x@{domain}"]]


def test_a_literal(world):
    names, peer, s = world
    d = ended(s, send(s, "x@[127.0.0.2]"))
    assert d["x@[127.0.0.2]"]["last"]["ip"] == "127.0.0.2"


def test_answers_are_kept(world):
    names, peer, s = world
    for _ in range(3):
        ended(s, send(s, "x@far.test"))
    assert names.asked["far.test", "MX"] == 1


def test_a_host_that_bears_our_name():
    with Names(ZONES) as names, Peer(name="mail.example.org") as peer, by_names(names, peer) as s:
        assert ended(s, send(s, "x@far.test"), "bounced", "deferred")["x@far.test"]["last"]["cause"] == "loop"
        assert "MAIL" not in peer.verbs()


def test_hosts_that_never_resolve_are_given_up_at_the_third_attempt(world):
    names, peer, s = world
    m = send(s, "three@lost.test")
    for n in (1, 2):
        d = until(lambda: (d := deliveries(s, m)["three@lost.test"])["attempts"] == n and d["status"] == "deferred" and d)  # noqa: B023
        assert (d["last"]["enhanced"], d["last"]["cause"]) == ("4.4.4", "dns")
        assert s.post(f"/v1/deliveries/{d['id']}/retry").status == 200
    d = ended(s, m, "bounced")["three@lost.test"]
    assert (d["attempts"], d["last"]["enhanced"], d["last"]["cause"]) == (3, "5.4.4", "dns")


def test_a_domain_that_dns_cannot_say_is_not_tried_by_every_mail():
    """Like a host that is away: one finds out each time that DNS is asked, the rest waits, and the domain beside it is not held up. When DNS
    answers all of it goes, that too which was put off for an hour."""
    with Names(ZONES) as names, Peer() as peer, by_names(names, peer, retry="1h") as s:
        ms, began = [send(s, f"x{i}@away.test") for i in range(8)], time.monotonic()

        def states():
            return [(d["status"], d["attempts"]) for m in ms for d in deliveries(s, m).values()]

        until(lambda: ("deferred", 1) in states())
        ended(s, send(s, "x@far.test"))
        now, asked = states(), 1 + (time.monotonic() - began) // 5
        assert now.count(("deferred", 1)) <= asked + 1 and set(now) <= {("deferred", 1), ("queued", 0), ("sending", 0)}
        names.records["away.test.", "MX"] = ["10 mx.far.test."]
        for m in ms:
            ended(s, m, seconds=60)
        assert len(peer.mails) == 9


def test_hosts_are_asked_for_anew_when_all_have_failed():
    """Though the plan would hold for a minute at least."""
    with Names({("far.test", "A"): ["127.0.0.4"]}, ttl=1) as names, Peer() as peer, by_names(names, peer, dead_for="1s") as s:
        m = send(s, "x@far.test")
        d = ended(s, m, "deferred")["x@far.test"]
        assert d["last"]["cause"] == "network" and d["last"]["ip"] == "127.0.0.4"
        names.records["far.test.", "A"] = ["127.0.0.2"]

        def again():
            s.post(f"/v1/deliveries/{d['id']}/retry")
            return peer.mails

        until(again)


@apart("addr add fd77::1/128 dev lo", "-6 route add local fd78::/64 dev lo")
def test_ipv6_that_leads_nowhere_is_found_out_once():
    """For all domains that share the hosts, whichever of their addresses comes first; after the time that it is remembered for, once more."""
    zones = {(f"d{i}.test", "MX"): ["10 mx.far.test."] for i in range(30)}
    zones |= {("mx.far.test", "A"): ["127.0.0.2"], ("mx.far.test", "AAAA"): [f"fd78::{i}" for i in range(1, 6)]}
    with Names(zones) as names, Peer() as peer, Peer(host="::", port=peer.port, greeting=Cut()) as six, \
            by_names(names, peer, per_connection=1, allow="127.0.0.2,fd78::/64") as s:
        for i in range(6):
            d = ended(s, send(s, f"x@d{i}.test"))[f"x@d{i}.test"]
            assert (d["attempts"], d["last"]["ip"], six.sessions) == (1, "127.0.0.2", 1)
        six.set(greeting="220 mx.far.test ESMTP")
        assert s.call("PATCH", "/v1/settings/delivery.family", {"value": "v6"}).status == 200
        assert ended(s, send(s, "x@d6.test"))["x@d6.test"]["last"]["ip"].startswith("fd78::")  # it works by now, and that is remembered, too
        assert s.call("PATCH", "/v1/settings/delivery.family", {"value": "auto"}).status == 200
        # Either family comes first by chance: of many plans one begins with IPv6.
        assert any(ended(s, send(s, f"x@d{i}.test"))[f"x@d{i}.test"]["last"]["ip"].startswith("fd78::") for i in range(7, 30))


def test_addresses_that_lead_back_to_us_from_outside():
    """Behind NAT no interface has them: delivery.own_addresses says so."""
    with Names(ZONES) as names, Peer() as peer, by_names(names, peer, own_addresses="127.0.0.2") as s:
        assert ended(s, send(s, "x@far.test"), "bounced")["x@far.test"]["last"]["enhanced"] == "5.4.6"
        assert ended(s, send(s, "x@[127.0.0.2]"), "bounced")["x@[127.0.0.2]"]["last"]["cause"] == "loop" and not peer.sessions


def test_a_domain_that_is_here_and_not_verified():
    """Of another account: its mail goes where its records lead, and they lead here. Whoever wrote is told what is missing."""
    zones = ZONES | {("here.test", "MX"): ["10 mail.example.org."], ("there.test", "MX"): ["10 mx.far.test."]}
    with Names(zones) as names, Peer(name="mail.example.org") as peer, by_names(names, peer) as s:
        key = s.make("/v1/accounts", {"name": "tenant"})["key"]["secret"]
        for domain in ("here.test", "there.test"):
            assert s.post("/v1/domains", {"name": domain}, key=key).status == 201
            last = ended(s, send(s, f"x@{domain}"), "bounced")[f"x@{domain}"]["last"]
            assert (last["enhanced"], last["cause"]) == ("5.4.6", "loop") and f"{domain} is a domain here that is not verified" in last["text"]
        assert "verified" not in ended(s, send(s, "x@loop.test"), "bounced")["x@loop.test"]["last"]["text"] and not peer.seen


def test_a_relay_whose_hosts_are_found_by_mx():
    """far.test has no address of its own; its second host takes over from the first."""
    with Names(ZONES) as names, Peer() as peer, by_names(names, peer, via="hold") as s:
        s.make("/v1/routes", {"type": "relay", "hosts": ["both.test"], "lookup": "mx", "port": peer.port, "private": True})
        d = ended(s, send(s, "x@elsewhere.test"))["x@elsewhere.test"]
        assert (d["attempts"], d["last"]["mx"]) == (1, "mx.far.test") and peer.mails[0].recipients == ["x@elsewhere.test"]
        assert names.asked["both.test", "MX"] == 1 and not names.asked["elsewhere.test", "MX"]


def test_a_relay_is_told_the_secret_where_its_name_was_verified():
    with Names(ZONES) as names, Peer(offers=("STARTTLS", "AUTH PLAIN"), AUTH="235 2.7.0 ok") as peer, by_names(names, peer, via="hold") as s:
        s.stop()
        s.env["POSTRIDER_TLS_OUT_CA"] = str(certificate() / "cert.pem")
        s.start()
        s.make("/v1/routes", {"type": "relay", "hosts": ["mx.far.test"], "port": peer.port, "private": True, "tls": "verify", "username": "jo", "password": "swordfish"})
        d = ended(s, send(s, "x@elsewhere.test"))["x@elsewhere.test"]
        assert d["last"]["tls"]["verified"] and d["last"]["tls"]["policy"] == "verify" and peer.mails[0].tls
        said = [line.split()[0] for _, line in peer.log]
        assert said.index("STARTTLS") < said.index("AUTH") and said.count("AUTH") == 1


def test_a_provider_is_known_by_its_hosts():
    """Of the shipped table: mail to it leaves by TLS or not at all, for whichever domain; others take it in clear."""
    zones = ZONES | {("g.test", "MX"): ["10 aspmx.l.google.com."], ("aspmx.l.google.com", "A"): ["127.0.0.2"]}
    with Names(zones) as names, Peer() as peer, by_names(names, peer) as s:
        last = ended(s, send(s, "x@g.test"), "deferred")["x@g.test"]["last"]
        assert (last["enhanced"], last["cause"], last["mx"]) == ("4.7.5", "tls", "aspmx.l.google.com") and not peer.seen
        assert s.get("/v1/queue/g.test").json["path"]["name"] == "provider google"
        assert 'postrider_delivery_attempts_total{outcome="deferred",cause="tls",site="google"} 1\n' in s.get("/metrics").body.decode()
        peer.offers.append("STARTTLS")
        d = ended(s, send(s, "y@g.test"))
        assert peer.mails[0].tls and d["y@g.test"]["last"]["tls"]["policy"] == "require"
        ended(s, send(s, "x@far.test"))


def test_one_way_for_all_who_share_hosts():
    zones = {(f"d{i}.test", "MX"): ["10 mx.far.test."] for i in range(5)} | {("mx.far.test", "A"): ["127.0.0.2"]}
    with Names(zones) as names, Peer() as peer, by_names(names, peer, path_max=1) as s:
        ms = [send(s, f"x@d{i}.test") for i in range(5)]
        for m in ms:
            ended(s, m)
        assert {m.session for m in peer.mails} == {1}
        assert len(peer.mails) == 5 and "email.delivered" in kinds(s, ms[0]) and deliveries(s, ms[0])


def test_a_site_that_stalls_holds_up_no_other():
    zones = {(f"d{i}.test", "MX"): [f"10 mx{i}.test."] for i in range(20)} | {(f"mx{i}.test", "A"): ["127.0.0.2"] for i in range(1, 20)}
    zones["mx0.test", "A"] = ["127.0.0.3"]
    with Names(zones) as names, Peer() as peer, Peer(host="127.0.0.3", port=peer.port, greeting=Silence()) as stalled, by_names(names, peer) as s:
        ms = [send(s, *[f"x{n}@d{i}.test" for i in range(20)]) for n in range(5)]

        def others():
            return [d["status"] for m in ms for email, d in deliveries(s, m).items() if not email.endswith("@d0.test")]

        until(lambda: others() == ["delivered"] * 95)
        assert len(peer.mails) == 95 and stalled.sessions and not stalled.seen
        assert all(deliveries(s, m)[f"x{n}@d0.test"]["status"] in ("queued", "sending") for n, m in enumerate(ms))


# ---- TLS that a message requires ----


def test_tls_that_a_message_requires():
    """With a certificate of the host's name or not at all; never on a connection that was made for less."""
    zones = ZONES | {("other.test", "MX"): ["10 mx.other.test."], ("mx.other.test", "A"): ["127.0.0.3"],
                     ("clear.test", "MX"): ["10 mx.clear.test."], ("mx.clear.test", "A"): ["127.0.0.4"]}
    with Names(zones) as names, Peer(offers=("STARTTLS",)) as peer, Peer(host="127.0.0.3", port=peer.port, offers=("STARTTLS",)) as other, \
            Peer(host="127.0.0.4", port=peer.port) as clear, by_names(names, peer) as s:
        s.stop()
        s.env["POSTRIDER_TLS_OUT_CA"] = str(certificate() / "cert.pem")
        s.start()
        d = ended(s, send(s, "x@far.test", require_tls=True))["x@far.test"]
        assert d["last"]["tls"]["verified"] is True and d["last"]["tls"]["policy"] == "verify" and peer.mails[0].tls
        for domain, host in (("other.test", other), ("clear.test", clear)):
            ended(s, send(s, f"plain@{domain}"))
            last = ended(s, send(s, f"x@{domain}", require_tls=True), "deferred")[f"x@{domain}"]["last"]
            assert (last["enhanced"], last["cause"]) == ("4.7.5", "tls") and len(host.seen) == 1
            ended(s, send(s, f"again@{domain}"))
