"""What domains publish: asked of nsd, which serves their zones on loopback, judged, lost and found again."""
import json
import os
import re
import shutil
import smtplib
import socket
import subprocess
import threading

import pytest
from peer import Peer
from server import PASSWORD, Server, free_port, until
from zones import Nsd, lines_of

pytestmark = pytest.mark.skipif(not shutil.which("nsd", path="/usr/sbin:/usr/bin"), reason="no nsd")

US = ["mail A 192.0.2.1", 'mail TXT "v=spf1 a -all"']
LAME, SLOW = "127.0.0.2", "127.0.0.3"


def server(nsd, data=None, **more):
    env = {"POSTRIDER_SERVER_HOSTNAME": "mail.us.test", "POSTRIDER_DNS_SERVERS": nsd.server, "POSTRIDER_DNS_TRUST_ANCHOR": "",
           "POSTRIDER_DNS_PORT": str(nsd.port), "POSTRIDER_DNS_SERVER_WAIT": "15s", "POSTRIDER_DELIVERY_ALLOW": "127.0.0.0/8",
           "POSTRIDER_DOMAIN_CHECK_TIMEOUT": "60s"}
    return Server(env=env | {f"POSTRIDER_{k.upper()}": str(v) for k, v in more.items()}, data=data)


def add(s, name, **more):
    return s.post("/v1/domains", {"name": name} | more).json


def verify(s, name):
    return s.make(f"/v1/domains/{name}/verify", {})


def statuses(domain, *purposes):
    return [r["status"] for r in domain["records"] if not purposes or r["purpose"] in purposes]


def record(domain, purpose):
    return next(r for r in domain["records"] if r["purpose"] == purpose)


def events(s, domain):
    found = s.get("/v1/events?limit=100").json["data"]
    return [e["type"] for e in reversed(found) if (e["data"] or {}).get("domain") == domain]


@pytest.fixture(scope="module")
def world(store):
    with Nsd({"us.test": US, "other.test": ['_spf TXT "v=spf1 ip4:198.51.100.0/24 -all"']}) as nsd, server(nsd) as s:
        yield nsd, s


def test_what_is_said_is_published_and_right(world):
    nsd, s = world
    d = add(s, "right.test")
    assert d["status"] == "unverified" and set(statuses(d)) == {"pending"} and d["checked_at"] is None
    assert [(r["purpose"], r["type"], r["required_for"]) for r in d["records"]] == [
        ("ownership", "TXT", "sending"), ("dkim", "TXT", "sending"), ("dkim", "TXT", "sending"), ("spf", "TXT", "sending"),
        ("return_path", "CNAME", "sending"), ("dmarc", "TXT", "sending"), ("mx", "MX", "receiving")]
    nsd.set("right.test", lines_of(d["records"]))
    d = verify(s, "right.test")
    assert set(statuses(d)) == {"ok"}, d["records"]
    assert all(r["fix"] is None for r in d["records"]) and record(d, "mx")["found"] == ["10 mail.us.test"]
    assert (d["status"], d["verified_by"], d["sends_until"]) == ("verified", "dns", None) and d["verified_at"] and d["checked_at"]
    assert {k["status"] for k in d["dkim"]} == {"active"} and all(k["seen_at"] for k in d["dkim"])
    assert s.get("/v1/domains/right.test").json == d
    assert verify(s, "right.test")["status"] == "verified" and events(s, "right.test") == ["domain.verified"]


def test_what_a_cache_remembers_does_not_count(world):
    """Negative answers are kept for an hour by a resolver: the servers of the domain know better."""
    nsd, s = world
    nsd.set("fresh.test", [])
    d = add(s, "fresh.test", inbound="off")
    d = verify(s, "fresh.test")
    assert set(statuses(d)) == {"missing"} and d["status"] == "unverified"
    nsd.set("fresh.test", lines_of(d["records"]))
    assert set(statuses(verify(s, "fresh.test"))) == {"ok"}


def test_a_domain_that_is_nowhere(world):
    nsd, s = world
    nsd.set("test", [])
    add(s, "nowhere.test")
    d = verify(s, "nowhere.test")
    assert set(statuses(d)) == {"missing"} and d["status"] == "unverified"


WRONG = [
    ("two-spf.test", ['@ TXT "v=spf1 mx -all"', '@ TXT "v=spf1 include:_spf.other.test ~all"'], "spf", "wrong",
     "Replace the SPF records at two-spf.test by this one: v=spf1 mx include:_spf.other.test a:mail.us.test ~all"),
    ("merged.test", ['@ TXT "v=spf1 include:_spf.other.test -all"'], "spf", "wrong",
     "Change the TXT record at merged.test to: v=spf1 include:_spf.other.test a:mail.us.test -all"),
    ("aliased.test", ["_dmarc CNAME parked.other.test."], "dmarc", "missing", "Add a TXT record at _dmarc.aliased.test"),
    ("parked.test", ["_postrider CNAME _spf.other.test."], "ownership", "wrong", "is a CNAME of _spf.other.test"),
    ("doubled.test", ['_postrider.doubled.test TXT "postrider-verification=ID"'], "ownership", "missing", 'enter only "_postrider"'),
    ("path.test", ["rp CNAME bounces.other.test."], "return_path", "wrong", "It leads to bounces.other.test"),
    ("mx.test", ["@ MX 10 mx.other.test."], "mx", "wrong", "Mail goes to another server"),
    ("null.test", ["@ MX 0 ."], "mx", "wrong", "Mail goes to another server"),
]


def test_what_is_wrong_and_how_it_is_mended(world):
    nsd, s = world
    for name, lines, *_ in WRONG:
        d = add(s, name)
        nsd.zones[name] = [line.replace("ID", d["id"]) for line in lines]
    nsd.set("us.test", US)
    for name, lines, purpose, status, fix in WRONG:
        r = record(verify(s, name), purpose)
        assert r["status"] == status and fix in r["fix"], (name, r)


class Mute:
    """Takes connections on a port, and never answers."""

    def __init__(self, address, port):
        self.socket = socket.create_server((address, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_servers_that_are_of_no_use_prove_nothing(store):
    """SERVFAIL, lame, mute and away: a temporary error each time, and nobody loses what they had."""
    delegations = ["lame NS ns.lame", f"ns.lame A {LAME}", "slow NS ns.slow", f"ns.slow A {SLOW}", "away NS ns.away", "ns.away A 127.0.0.4",
                   "half NS ns.lame", "half NS ns.half", "ns.half A 127.0.0.1"]
    with Nsd({"us.test": US, "test": delegations, "broken.test": None, "half.test": []}) as nsd, \
            Nsd({"elsewhere.test": []}, address=LAME, port=nsd.port), Mute(SLOW, nsd.port), server(nsd, dns_server_wait="2s", dns_timeout="2s") as s:
        for name, word in (("broken.test", "says: server failure"), ("lame.test", "says: refused"), ("slow.test", "ns.slow.test"),
                           ("away.test", "ns.away.test")):
            add(s, name)
            assert s.make(f"/v1/domains/{name}/verify", {"force": True})["verified_by"] == "operator"
            d = verify(s, name)
            assert set(statuses(d, "ownership", "dkim", "mx", "dmarc")) == {"temporary_error"}, (name, d["records"])
            assert word in record(d, "ownership")["fix"], record(d, "ownership")
            assert d["status"] == "verified"
        add(s, "half.test")  # one of its servers is enough
        assert "temporary_error" not in statuses(verify(s, "half.test"))


SLOW_ZONE = {"us.test": US, "test": ["slow NS ns.slow", f"ns.slow A {SLOW}"]}


def test_what_was_heard_in_time_is_kept(store):
    """Servers that never answer take the time of the request, but not all of it."""
    with Nsd(SLOW_ZONE) as nsd, Mute(SLOW, nsd.port), server(nsd, api_call_deadline="4s") as s:
        add(s, "slow.test")
        d = verify(s, "slow.test")
        assert d["checked_at"] and set(statuses(d, "ownership", "dkim")) == {"temporary_error"}


def test_who_cannot_be_checked_is_put_off(store):
    """And does not stand before the others in each round."""
    slow = {"delivery_mode": "live", "domain_checks_max": 1, "domain_check_pause": "1s", "dns_server_wait": "60s", "api_call_deadline": "2m"}
    with Nsd(SLOW_ZONE) as nsd, server(nsd, **slow) as s:

        def met(name):
            return len(re.findall(rf"name={name} error=.*Too many domains", s.log_text()))

        def check_soon(value):
            assert s.call("PATCH", "/v1/settings/domain.check_soon", {"value": value}).status == 200

        check_soon("5s")
        with Mute(SLOW, nsd.port):
            add(s, "slow.test")
            asking = [threading.Thread(target=s.post, args=("/v1/domains/slow.test/verify", {})) for _ in range(2)]
            for one in asking:
                one.start()
            until(lambda: not all(one.is_alive() for one in asking))  # one was refused, so the other is at it
            add(s, "first.test")
            check_soon("1h")
            until(lambda: met("first.test"))
            check_soon("1s")
            add(s, "second.test")
            until(lambda: met("second.test"))
            assert met("first.test") == 1
        for one in asking:
            one.join()


def test_only_the_resolver_can_be_asked(store):
    """The servers of the zone are where no mail goes: then the resolver is taken at its word."""
    with Nsd({"us.test": US, "walled.test": []}) as nsd, server(nsd, delivery_allow="") as s:
        d = add(s, "walled.test")
        nsd.set("walled.test", lines_of(d["records"]))
        assert set(statuses(verify(s, "walled.test"))) == {"ok"}


def send(s, domain, **more):
    return s.post("/v1/messages", {"from": f"app@{domain}", "to": ["x@far.test"], "subject": "Sturgeon", "text": "The quick brown walrus.\n"} | more)


def test_lost_and_found(store):
    """An event at once, mail for a while longer, and all as it was when the records are back."""
    live = {"delivery_mode": "live", "delivery_via": "hold", "domain_check_pause": "1h"}
    with Nsd({"us.test": US, "lost.test": []}) as nsd, server(nsd, **live) as s:
        d = add(s, "lost.test")
        refused = send(s, "lost.test")
        assert refused.status == 403 and refused.json["code"] == "domain_not_verified"
        assert "postrider domain check lost.test" in refused.json["detail"], refused
        s.user("ana@lost.test")
        with smtplib.SMTP(*s.address("submission"), timeout=60) as c, pytest.raises(smtplib.SMTPDataError) as e:
            c.login("ana@lost.test", PASSWORD)
            c.sendmail("ana@lost.test", ["x@far.test"], "From: ana@lost.test\r\nTo: x@far.test\r\n\r\nThe quick brown walrus.\r\n")
        assert e.value.smtp_code == 550 and e.value.smtp_error.startswith(b"5.7.1 lost.test is not verified"), e.value
        nsd.set("lost.test", lines_of(d["records"]))
        assert verify(s, "lost.test")["status"] == "verified" and send(s, "lost.test").status == 202
        nsd.set("lost.test", [])
        d = verify(s, "lost.test")
        assert d["status"] == "unverified" and d["verified_at"] is None and d["sends_until"]
        assert events(s, "lost.test") == ["domain.verified", "domain.unverified"]
        assert "event=domain.unverified" in s.log_text()
        assert send(s, "lost.test").status == 202  # for domain.grace
        s.call("PATCH", "/v1/settings/domain.grace", {"value": "0s"})
        refused = until(lambda: (a := send(s, "lost.test")).status != 202 and a)
        assert refused.status == 403 and "_postrider.lost.test" in refused.json["detail"], refused
        assert send(s, "lost.test", to=["x@sandbox.test"]).status == 202  # which never leaves
        nsd.set("lost.test", lines_of(d["records"]))
        assert verify(s, "lost.test")["status"] == "verified" and until(lambda: send(s, "lost.test").status == 202)
        assert events(s, "lost.test")[-1] == "domain.verified"
        s.make("/v1/domains/lost.test/verify", {"force": True})
        nsd.set("lost.test", [])
        assert verify(s, "lost.test")["status"] == "verified"  # an operator's word


def test_it_is_asked_by_itself(store):
    often = {"delivery_mode": "live", "domain_check_pause": "1s", "domain_check_soon": "1s", "domain_check_every": "1s"}
    with Nsd({"us.test": US, "own.test": []}) as nsd, server(nsd, **often) as s:
        d = add(s, "own.test")
        nsd.set("own.test", lines_of(d["records"]))
        until(lambda: events(s, "own.test") == ["domain.verified"])
        nsd.set("own.test", [])
        until(lambda: events(s, "own.test") == ["domain.verified", "domain.unverified"])


def test_keys_follow_one_another(world):
    nsd, s = world
    d = add(s, "keys.test", inbound="off")
    nsd.set("keys.test", lines_of(d["records"]))
    old = {k["selector"] for k in verify(s, "keys.test")["dkim"]}
    d = s.make("/v1/domains/keys.test/dkim/rotate", None)
    new = {k["selector"] for k in d["dkim"] if k["status"] == "next"}
    assert len(new) == 2 and {k["selector"] for k in d["dkim"] if k["status"] == "active"} == old
    assert s.make("/v1/domains/keys.test/dkim/rotate", None)["dkim"] == d["dkim"]  # it is under way
    d = verify(s, "keys.test")  # not published: nothing moves
    assert {k["selector"]: k["status"] for k in d["dkim"]} == dict.fromkeys(old, "active") | dict.fromkeys(new, "next")
    assert sorted(statuses(d, "dkim")) == ["missing", "missing", "ok", "ok"]
    nsd.set("keys.test", lines_of(d["records"]))
    d = verify(s, "keys.test")
    assert {k["selector"]: k["status"] for k in d["dkim"]} == dict.fromkeys(old, "retiring") | dict.fromkeys(new, "active")
    assert all(k["seen_at"] for k in d["dkim"])
    s.call("PATCH", "/v1/settings/dkim.retire_after", {"value": "0s"})
    d = verify(s, "keys.test")
    assert {k["selector"]: k["status"] for k in d["dkim"]} == dict.fromkeys(old, "revoked") | dict.fromkeys(new, "active")
    gone = [r for r in d["records"] if r["purpose"] == "dkim" and r["name"].split(".")[0] in old]
    assert all(r["status"] == "wrong" and r["value"].endswith("p=") and "no longer used" in r["fix"] for r in gone), gone
    nsd.set("keys.test", lines_of(d["records"]))
    assert {k["selector"] for k in verify(s, "keys.test")["dkim"]} == new  # said by the zone, and forgotten here
    s.call("PATCH", "/v1/settings/dkim.retire_after", {"value": None})


def test_the_next_keys_come_by_themselves(store):
    """dkim.rotate_every: made to be published, and nothing is signed by them before they were seen."""
    often = {"delivery_mode": "live", "domain_check_pause": "1s", "domain_check_soon": "1s", "domain_check_every": "1s"}
    with Nsd({"us.test": US, "turn.test": []}) as nsd, server(nsd, **often) as s:
        d = add(s, "turn.test")
        nsd.set("turn.test", lines_of(d["records"]))
        assert verify(s, "turn.test")["status"] == "verified"
        old = {k["selector"] for k in d["dkim"]}

        def keys():
            return {k["selector"]: k["status"] for k in s.get("/v1/domains/turn.test").json["dkim"]}

        assert keys() == dict.fromkeys(old, "active")
        s.call("PATCH", "/v1/settings/dkim.rotate_every", {"value": "1s"})
        new = until(lambda: (k := keys()) and len(k) == 4 and k).keys() - old
        s.call("PATCH", "/v1/settings/dkim.rotate_every", {"value": "0s"})
        assert keys() == dict.fromkeys(old, "active") | dict.fromkeys(new, "next")
        nsd.set("turn.test", lines_of(s.get("/v1/domains/turn.test").json["records"]))
        until(lambda: keys() == dict.fromkeys(old, "retiring") | dict.fromkeys(new, "active"))


def cli(s, *words):
    return subprocess.run([s.binary, *words, "--url", s.doors["api"]], capture_output=True, text=True,
                          env=os.environ | {"POSTRIDER_KEY": s.key})


def test_the_command_line(world):
    nsd, s = world
    add(s, "cli.test")
    nsd.set("cli.test", [])
    checked = cli(s, "domain", "check", "cli.test")
    assert checked.returncode == 1 and json.loads(checked.stdout)["status"] == "unverified"
    zone = cli(s, "domain", "records", "cli.test", "--zone").stdout
    file = nsd.folder / "cli"
    file.write_text(f"$ORIGIN cli.test.\n$TTL 60\n@ SOA ns x 1 1 1 1 1\n@ NS ns\nns A {nsd.address}\n{zone}")
    good = subprocess.run(["/usr/sbin/nsd-checkzone", "cli.test", file], capture_output=True, text=True)
    assert good.returncode == 0 and len(zone.splitlines()) == 7, (good, zone)
    nsd.set("cli.test", zone.splitlines())
    assert cli(s, "domain", "check", "cli.test").returncode == 0
    assert {r["status"] for r in json.loads(cli(s, "domain", "records", "cli.test").stdout)} == {"ok"}
    nsd.set("cli.test", [line for line in zone.splitlines() if "_dmarc" not in line])
    assert cli(s, "domain", "check", "cli.test").returncode == 6
    rotated = cli(s, "domain", "rotate", "cli.test", "--zone").stdout
    assert len(re.findall(r"^\S+\._domainkey\.cli\.test\.", rotated, re.M)) == 4


def checked(s, *words):
    """Name -> results of `postrider check` beside a server."""
    r = subprocess.run([s.binary, "check", *s.place, *words], capture_output=True, text=True,
                       env={k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | s.env)
    found = {}
    for c in json.loads(r.stdout):
        found.setdefault(c["check"], []).append((c["result"], c["found"], c["mend"]))
    return found


def test_check_looks_outward(store):
    zones = {"us.test": US + ["named A 192.0.2.2", "other A 192.0.2.3", "many A 192.0.2.2", "many A 192.0.2.3"], "plain.test": ["@ MX 10 mail"],
             "2.0.192.in-addr.arpa": ["1 PTR mail.us.test.", "2 PTR named.us.test."]}
    with Nsd(zones) as nsd, server(nsd) as s:
        def names(host, mode="live"):
            s.call("PATCH", "/v1/settings/delivery.mode", {"value": "sandbox"})
            assert s.call("PATCH", "/v1/settings/server.hostname", {"value": host}).status == 200
            assert s.call("PATCH", "/v1/settings/delivery.mode", {"value": mode}).status == 200
            return checked(s, "--signed", "plain.test", "--unsigned", "plain.test")

        del s.env["POSTRIDER_SERVER_HOSTNAME"]
        s.restart()
        report = names("mail.us.test")
        assert report["name"] == [("pass", "mail.us.test, 192.0.2.1 and back", None)]
        [(result, found, mend)] = report["dns"]
        assert (result, found) == ("warn", "answers, not validated") and "dns.trust_anchor" in mend
        assert "port 25" not in report  # nobody named a host
        [(result, found, mend)] = names("other.us.test")["name"]
        assert result == "fail" and "192.0.2.3 has no name" in found and "PTR record to other.us.test" in mend
        report = names("many.us.test")["name"]
        assert {r[0] for r in report} == {"fail"} and any("is named.us.test, but we say many.us.test" in r[1] for r in report)
        assert names("gone.us.test")["name"][0][0] == "fail" and "publish an A record" in names("gone.us.test")["name"][0][2]
        assert names("other.us.test", "sandbox")["name"][0][0] == "warn" and names("localhost", "sandbox")["name"][0][0] == "pass"
        [(result, found, mend)] = checked(s, "--signed", "plain.test", "--unsigned", "nowhere.example")["dns"]
        assert result == "warn" and "nowhere.example does not" in found
        [(result, found, _)] = checked(s, "--to", s.doors["smtp"])["port 25"]
        assert result == "pass" and "220 " in found
        [(result, found, mend)] = checked(s, "--to", f"127.0.0.1:{free_port()}")["port 25"]
        assert result == "fail" and "shuts port 25" in mend


def test_reports_come_back_below_a_domain_that_says_so(store):
    with Nsd({"us.test": US}) as nsd, Peer() as peer, server(nsd, delivery_mode="live", delivery_via="relay", delivery_relay=peer.host,
                                                             delivery_relay_port=peer.port, domain_check_pause="1h") as s:
        d = add(s, "back.test")
        lines = lines_of(d["records"])
        nsd.set("back.test", lines)
        verify(s, "back.test")
        send(s, "back.test")
        until(lambda: peer.mails)
        assert re.fullmatch(r"b\+\w{44}@rp\.back\.test", peer.mails[0].sender), peer.mails[0].sender
        nsd.set("back.test", [line for line in lines if not line.startswith("rp.")])
        assert record(verify(s, "back.test"), "return_path")["status"] == "missing"
        send(s, "back.test")
        until(lambda: len(peer.mails) == 2)
        assert peer.mails[1].sender == "app@back.test"
