"""The origin of mail by tables of our own, through `postrider mail`: SPF, signatures and their mutations, DMARC, Authentication-Results."""
import base64
import re

import pytest
from shell import ask, batch, zone

HOST = "192.0.2.1"


def spf(records, want, ip=HOST, mail_from="ana@example.org", helo="mail.example.net", **more):
    rows = zone(**records) if isinstance(records, dict) else zone(**{"example.org TXT": records})
    return {"ip": ip, "mail_from": mail_from, "helo": helo, "zone": rows} | more, want


def chain(n):
    return {f"i{i}.example.org TXT": f"v=spf1 include:i{i + 1}.example.org -all" for i in range(n)} | {f"i{n}.example.org TXT": "v=spf1 +all", "example.org TXT": "v=spf1 include:i0.example.org -all"}


SPF = [
    spf("v=spf1 ip4:192.0.2.0/24 -all", "pass"), spf("v=spf1 ip4:198.51.100.0/24 -all", "fail"), spf("V=SPF1 ~ALL", "softfail"), spf("v=spf1 ?all", "neutral"),
    spf("v=spf1", "neutral"), spf("v=spf10 -all", "none"), spf("v=spf1-all", "none"), spf(["v=spf1 -all", "v=spf1 +all"], "permerror"),
    spf(["v=spf1 -all", "other"], "fail"), spf(" v=spf1 +all", "none"), spf("v=spf1  +all ", "pass"), spf("v=spf1\t+all", "none"), spf("v=spf1 +all\t", "permerror"),
    # grammar: an error anywhere, also behind a match
    spf("v=spf1 +all foo", "permerror"), spf("v=spf1 +all foo=bar", "pass"), spf("v=spf1 +all 1foo=bar", "permerror"), spf("v=spf1 +all foo=%{x}", "permerror"),
    spf("v=spf1 ip4:192.0.2.1/33 +all", "permerror"), spf("v=spf1 ip4:192.0.2.1/032 +all", "permerror"), spf("v=spf1 ip4:192.0.2.01 +all", "permerror"), spf("v=spf1 ip4:192.0.2 +all", "permerror"),
    spf("v=spf1 ip6:192.0.2.1 +all", "permerror"), spf("v=spf1 all:example.org", "permerror"), spf("v=spf1 include +all", "permerror"), spf("v=spf1 include: +all", "permerror"),
    spf("v=spf1 a/ +all", "permerror"), spf("v=spf1 a:example.123 +all", "permerror"), spf("v=spf1 a:example.c} +all", "permerror"), spf("v=spf1 a:localhost +all", "permerror"),
    spf("v=spf1 exists:%{d0}.example.org +all", "permerror"), spf("v=spf1 exists:%{t}.example.org +all", "permerror"), spf("v=spf1 redirect=a.test redirect=b.test", "permerror"),
    spf("v=spf1 --all", "permerror"), spf("v=spf1 a:\u00e4.org +all", "permerror"),
    # hosts
    spf({"example.org TXT": "v=spf1 a -all", "example.org A": ["198.51.100.1", HOST]}, "pass"), spf({"example.org TXT": "v=spf1 a/24 -all", "example.org A": "192.0.2.200"}, "pass"),
    spf({"example.org TXT": "v=spf1 a//64 -all", "example.org AAAA": "2001:db8::9"}, "pass", ip="2001:db8::1"), spf({"example.org TXT": "v=spf1 a/0//128 -all", "example.org AAAA": "2001:db8::9"}, "fail", ip="2001:db8::1"),
    spf({"example.org TXT": "v=spf1 mx -all", "example.org MX": ["10 a.test", "20 b.test"], "b.test A": HOST}, "pass"), spf({"example.org TXT": "v=spf1 mx -all", "example.org MX": "0 "}, "fail"),
    spf({"example.org TXT": "v=spf1 mx -all", "example.org MX": [f"{i} m{i}.test" for i in range(11)], "m0.test A": HOST}, "permerror"),
    spf({"example.org TXT": "v=spf1 a:www.example.org -all", "www.example.org CNAME": "host.test", "host.test A": HOST}, "pass"),
    spf({"example.org TXT": "v=spf1 a:x.example.org -all", "x.example.org A": "!timeout"}, "temperror"), spf({"example.org TXT": "!servfail"}, "temperror"),
    spf({"example.org TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa PTR": ["other.test", "a.example.org"], "a.example.org A": HOST, "other.test A": HOST}, "pass"),
    spf({"example.org TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa PTR": ["a.badexample.org", "a.example.org"], "a.badexample.org A": HOST}, "fail"),
    spf({"example.org TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa PTR": "!timeout"}, "fail"),
    # include and redirect
    spf({"example.org TXT": "v=spf1 include:other.test ~all", "other.test TXT": "v=spf1 +all"}, "pass"), spf({"example.org TXT": "v=spf1 include:other.test ~all", "other.test TXT": "v=spf1 -all"}, "softfail"),
    spf({"example.org TXT": "v=spf1 include:other.test ~all"}, "permerror"), spf({"example.org TXT": "v=spf1 redirect=other.test", "other.test TXT": "v=spf1 -all"}, "fail"),
    spf({"example.org TXT": "v=spf1 redirect=other.test"}, "permerror"), spf({"example.org TXT": "v=spf1 ?all redirect=other.test"}, "neutral"), spf("v=spf1 include:example.org", "permerror"),
    # limits
    spf(chain(9), "pass"), spf(chain(10), "permerror"),
    spf({"example.org TXT": "v=spf1 a:v1.test a:v2.test +all"}, "pass"), spf({"example.org TXT": "v=spf1 a:v1.test a:v2.test a:v3.test +all"}, "permerror"),
    # macros
    spf({"example.org TXT": "v=spf1 exists:%{ir}.%{v}._spf.%{d} -all", "1.2.0.192.in-addr._spf.example.org A": "127.0.0.2"}, "pass"),
    spf({"example.org TXT": "v=spf1 exists:%{l1r-}.%{o}.x.test -all", "strong.example.org.x.test A": "127.0.0.2"}, "pass", mail_from="strong-bad@example.org"),
    spf({"example.org TXT": "v=spf1 exists:%{L}.x.test -all", "a%2Fb.x.test A": "127.0.0.2"}, "pass", mail_from="a/b@example.org"),
    spf({"example.org TXT": "v=spf1 exists:%{p}.x.test -all", "1.2.0.192.in-addr.arpa PTR": ["far.test", "sub.example.org", "example.org"], "far.test A": HOST, "sub.example.org A": HOST, "sub.example.org.x.test A": "127.0.0.1"}, "pass"),
    spf({"example.org TXT": "v=spf1 exists:" + "%{l}." * 3 + "x.test -all", ".".join(["a" * 60] * 3) + ".x.test A": "127.0.0.2"}, "pass", mail_from="a" * 60 + "@example.org"),
    spf({"example.org TXT": "v=spf1 exists:%{l}.x.test +all"}, "pass", mail_from="a" * 5000 + "@example.org"), spf({"example.org TXT": "v=spf1 exists:%{l2}.x.test -all", "y.z.x.test A": "127.0.0.1"}, "pass", mail_from="b." * 400 + "y.z@example.org"),
    # who is asked
    spf({"mail.example.net TXT": "v=spf1 -all"}, "fail", mail_from=""), spf({"mail.example.net TXT": "v=spf1 -all"}, "none", mail_from="", helo="[192.0.2.1]"), spf({}, "none", mail_from="a@localhost"),
    spf({"xn--bcher-kva.test TXT": "v=spf1 -all"}, "fail", mail_from="a@b\u00fccher.test"), spf("v=spf1 -all", "none", mail_from="a@b..example.org"), spf({}, "none"),
    spf("v=spf1 ip4:192.0.2.1 -all", "pass", ip="::ffff:192.0.2.1"), spf("v=spf1 ip6:::ffff:192.0.2.1 -all", "fail", ip="::ffff:192.0.2.1"),
]


def test_spf_by_a_table():
    wrong = [(c, want, a) for (c, want), a in zip(SPF, batch("spf", [c for c, _ in SPF])) if a.get("result") != want]
    assert not wrong, wrong


@pytest.mark.parametrize("text, told", [
    ("%{i} is not of %{d} (%{c} %{r}%_%{t})%%", "192.0.2.1 is not of example.org (192.0.2.1 mx.test 1700000000)%"), ("see https://%{d}/?s=%{S}", "see https://example.org/?s=ana%40example.org"),
    ("%{x}", None), ("100%", None), ("\u00e4", None), (["a", "b"], None), ([["two ", "strings"]], "two strings")])
def test_what_a_domain_tells_the_sender(text, told):
    rows = zone(**{"example.org TXT": "v=spf1 -all exp=why.%{d}", "why.example.org TXT": text})
    [a] = batch("spf", [{"ip": HOST, "mail_from": "ana@example.org", "zone": rows, "now": 1700000000, "host": "mx.test"}])
    assert a["result"] == "fail" and a["explanation"] == told


def test_received_spf_holds_no_more_than_one_field():
    [a] = batch("spf", [{"ip": HOST, "mail_from": "\"x\r\nEvil: (1) \\\"@example.org", "helo": "a\r\nb", "zone": zone(**{"example.org TXT": "v=spf1 ip4:192.0.2.1"})}])
    assert a["result"] == "pass" and not re.search(r"\r\n(?![ \t])", a["received_spf"]) and "client-ip=192.0.2.1" in a["received_spf"]


# ---- signatures ----

KEYS = {name: ask("dkim-key", "--algorithm", kind) for name, kind in (("r", "rsa"), ("e", "ed25519"))}
MAIL = ("From: Ana <ana@example.org>\r\nTo: bo@example.net\r\nSubject: a  b\r\n c\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\n\r\nHello  you \r\n\r\nBye\r\n\r\n\r\n")
NOW = 1795860000


def signed(mail=MAIL, names="re", domain="example.org", **more):
    [a] = batch("sign", [{"message": mail, "domain": domain, "now": NOW, "keys": [{"selector": n, "private_key": KEYS[n]["private_key"]} for n in names]} | more])
    return "".join(a["signatures"]) + mail


def keys(domain="example.org", **records):
    texts = {n: k["record"] for n, k in KEYS.items()} | records
    return zone(**{f"{n}._domainkey.{domain} TXT": t for n, t in texts.items()})


def case(message, rows=None, now=NOW, **more):
    return {"message_base64": base64.b64encode(message.encode(errors="surrogateescape")).decode(), "zone": keys() if rows is None else rows, "now": now} | more


def results(*words, **more):
    return batch("verify", [case(*words, **more)])[0]


def dkim_of(*words, **more):
    return [s["result"] for s in results(*words, **more)["dkim"]]


def dkim_of_each(messages):
    return [[s["result"] for s in a["dkim"]] for a in batch("verify", [case(m) for m in messages])]


def test_what_we_sign_is_verified_and_what_was_changed_is_not():
    whole = signed()
    a = results(whole)
    assert [(s["result"], s["algorithm"], s["selector"], s["verified"], s["problem"]) for s in a["dkim"]] == [("pass", "rsa-sha256", "r", True, None), ("pass", "ed25519-sha256", "e", True, None)]
    assert a["dkim"][0]["key_bits"] == 2048 and a["authentication_results"].startswith("Authentication-Results: localhost; dkim=pass header.d=example.org header.s=r")
    same = [whole + "\r\n\r\n", whole.replace("Subject: a  b\r\n c", "subject:a\tb c"), whole.replace("Hello  you ", "Hello you"), "Received: x\r\n" + whole, whole.replace("To:", "X-New: y\r\nTo:")]
    other = [whole + "more\r\n", whole.replace("a  b", "a b x"), whole.replace("Hello", "hello"), whole.replace("To: bo", "To: cy"), whole.replace("Date:", "Subject: second\r\nDate:"),
             whole.replace("To: bo@example.net\r\n", ""), whole.replace("d=example.org", "d=example.com"), whole.replace("Hello  you \r\n\r\n", "Hello  you \r\n")]
    assert dkim_of_each(same) == [["pass", "pass"]] * len(same)
    assert not [m for m, r in zip(other, dkim_of_each(other)) if "pass" in r]


def test_every_letter_of_a_signature_counts():
    whole = signed(names="e")
    field = whole[:whole.index("From: Ana")]
    rows, cases = keys(), []
    for i in range(field.index("v=1"), len(field)):
        changed = "x" if field[i] not in "xX \t\r\n" else None
        if changed:
            cases.append({"id": i, "message": field[:i] + changed + field[i + 1:] + MAIL, "zone": rows, "now": NOW})
    wrong = [(field[a["id"] - 9:a["id"] + 9], a["dkim"]) for a in batch("verify", cases) if any(s["result"] == "pass" for s in a["dkim"])]
    assert len(cases) > 300 and not wrong, wrong


OF_KEYS = [
    ("!timeout", "temperror"), ("!nxdomain", "permerror"), ("p={e}", "permerror"), ("k=ed25519; p={e}", "pass"), ("v=DKIM1; k=ed25519; p=", "permerror"), ("v=DKIM2; k=ed25519; p={e}", "permerror"),
    ("k=ed25519; p={e}; v=DKIM1", "permerror"), ("v=DKIM1; k=ed25519; h=sha1; p={e}", "permerror"), ("v=DKIM1; k=ed25519; h=sha1 : SHA256; p={e}", "pass"), ("v=DKIM1; k=ed25519; s=tlsrpt; p={e}", "permerror"),
    ("v=DKIM1; k=ed25519; s=*; p={e}", "pass"), ("v=DKIM1; k=ed25519; t=s:y; p={e}", "pass"), ("v=DKIM1; k=ed25519; p={e}; p={e}", "permerror"), ("v=DKIM1; k=ed25519; n=some notes; x=y; p={e};", "pass"),
    ("v=DKIM1; k=ed25519; p=AAAA", "permerror"), ("v=DKIM1; k=ed25519; p=!", "permerror"), (["other text", "k=ed25519; p={e}"], "pass"), ("k=ed25519; p= {e8} {e9} ", "pass")]


def test_records_of_keys():
    public, whole = KEYS["e"]["record"].split("p=")[1], signed(names="e")

    def record(text):
        return [r.replace("{e}", public).replace("{e8}", public[:8]).replace("{e9}", public[8:]) for r in ([text] if isinstance(text, str) else text)]

    answers = batch("verify", [case(whole, zone(**{"e._domainkey.example.org TXT": record(text)})) for text, _ in OF_KEYS])
    for (text, want), a in zip(OF_KEYS, answers):
        assert [s["result"] for s in a["dkim"]] == [want], (text, a)
        assert a["dkim"][0]["testing"] == ("t=s:y" in text)


def forged(tags, header="From: ana@example.org\r\n"):
    field = "DKIM-Signature: " + "; ".join(f"{k}={v}" for k, v in tags.items() if v is not None) + "\r\n"
    return field + header + "\r\nx\r\n"


TAGS = {"v": "1", "a": "rsa-sha256", "d": "example.org", "s": "r", "h": "from", "bh": "AAAA", "b": "AAAA"}


OF_TAGS = [
    ({}, "fail"), ({"v": "2"}, "permerror"), ({"v": None}, "permerror"), ({"a": "rsa-sha1"}, "policy"), ({"a": "rsa-md5"}, "permerror"), ({"h": "to:subject"}, "permerror"), ({"h": "To:FROM"}, "fail"),
    ({"i": "@other.test"}, "permerror"), ({"i": "x@sub.example.org"}, "fail"), ({"i": "x@badexample.org"}, "permerror"), ({"q": "dns/txt:other"}, "fail"), ({"q": "http"}, "permerror"),
    ({"c": "relaxed/simple"}, "fail"), ({"c": "relaxed/other"}, "permerror"), ({"t": "5", "x": "5"}, "permerror"), ({"t": "soon"}, "permerror"), ({"t": "1" * 40}, "fail"), ({"t": "0" * 40}, "fail"), ({"x": "1" * 18}, "fail"), ({"l": "-1"}, "permerror"), ({"l": "9" * 30}, "permerror"),
    ({"d": "exa mple.org"}, "permerror"), ({"d": ""}, "permerror"), ({"s": ".."}, "permerror"), ({"b": None}, "permerror"), ({"bh": None}, "permerror"), ({"s": "none"}, "permerror"), ({"z": "From:x|To:y"}, "fail")]


def test_tags_of_a_signature():
    said = dkim_of_each([forged(TAGS | change) for change, _ in OF_TAGS])
    assert not [(change, want, r) for (change, want), r in zip(OF_TAGS, said) if r != [want]]


def test_who_signs_time_and_length():
    whole = signed(names="e", valid=60)
    assert dkim_of(whole, now=NOW + 300) == ["pass"] and dkim_of(whole, now=NOW + 500) == ["fail"] and dkim_of(whole, now=NOW - 301) == ["fail"]
    assert dkim_of("From: b@example.net\r\n" + whole) == ["permerror"] and dkim_of(whole.replace("From: Ana <ana@example.org>\r\n", "")) == ["permerror"]
    assert dkim_of("".join([f"DKIM-Signature: v={i}\r\n" for i in range(300)]) + MAIL) == ["permerror"] * 100
    sub = keys(e=KEYS["e"]["record"] + "; t=s")
    assert dkim_of(whole, sub) == ["pass"]
    eai = "b\u00fccher.test"
    assert dkim_of(signed(names="e", domain=eai), keys(domain="xn--bcher-kva.test")) == ["pass"]


def test_times_of_a_signature_that_no_clock_has():
    [s] = batch("verify", [case(forged(TAGS | {"t": "999999999999999999"})), case(forged(TAGS | {"x": "9" * 70}))])[1]["dkim"]
    assert s["signed_at"] is None and s["problem"] and s["expires_at"]
    whole = signed(names="e", valid=60)
    assert dkim_of(whole.replace("x=", "x=000", 1)) == ["fail"]  # read as a number, and signed as it stood


def test_long_values_of_a_stranger_make_no_long_line():
    long, rows = "a" * 70000, keys() + zone(**{"example.org TXT": f"v=spf1 {'b' * 3900} -all"})
    a = results(forged(TAGS | {"d": long, "s": long, "a": "\"" * 70000}), rows, ip=HOST, helo="m.test", mail_from="x@example.org")["authentication_results"]
    [b] = batch("spf", [{"ip": HOST, "helo": long, "mail_from": "\u00e4" * 3000 + "@example.org", "zone": rows}])
    assert "dkim=permerror" in a and "spf=permerror" in a and b["received_spf"].startswith("Received-SPF: permerror")
    assert max(len(line.encode()) for field in (a, b["received_spf"]) for line in field.split("\r\n")) <= 998


def test_what_a_mail_may_ask_has_room():
    """SPF with every look-up that it may have, ARC with every seal, and many signatures: the author's policy is known all the same."""
    rows = {"evil.test TXT": "v=spf1 " + " ".join(f"mx:m{i}.test" for i in range(10)) + " -all", "_dmarc.example.org TXT": "v=DMARC1; p=reject"}
    rows |= {f"m{i}.test MX": [f"{k} h{i}-{k}.test" for k in range(10)] for i in range(10)} | {f"h{i}-{k}.test A": "198.51.100.1" for i in range(10) for k in range(10)}
    sets = "".join(f"ARC-Seal: i={i}; a=rsa-sha256; cv={'pass' if i > 1 else 'none'}; d=evil.test; s=s{i}; b=AAAA\r\nARC-Message-Signature: i={i}; a=rsa-sha256; d=evil.test; s=m{i}; h=from; bh=AAAA; b=AAAA\r\n"
                   f"ARC-Authentication-Results: i={i}; mx.test; none\r\n" for i in range(1, 51))
    many = "".join(forged(TAGS | {"d": "evil.test", "s": f"k{i}"}).split("From:")[0] for i in range(100))
    a = results(many + sets + "From: a@example.org\r\n\r\nx\r\n", zone(**rows), ip=HOST, helo="m.test", mail_from="x@evil.test")
    assert (a["spf"]["result"], a["dmarc"]["result"], a["dmarc"]["disposition"]) == ("fail", "fail", "reject"), a["dmarc"]


def test_authentication_results():
    rows = keys() + zone(**{"example.org TXT": "v=spf1 ip4:192.0.2.1 -all", "_dmarc.example.org TXT": "v=DMARC1; p=reject"})
    a = results(signed(names="e"), rows, ip=HOST, helo="m.example.net", mail_from="b\"(x@example.org", host="mx.test")
    text = re.sub(r"\r\n\s", " ", a["authentication_results"])
    assert re.fullmatch(r"Authentication-Results: mx\.test; spf=pass smtp\.mailfrom=\"b\\\"\(x\"@example\.org; "
                        r"dkim=pass header\.d=example\.org header\.s=e header\.a=ed25519-sha256 header\.b=\S+; dmarc=pass \(p=reject dis=none\) header\.from=example\.org policy\.dmarc=reject", text), text
    bare = results("From: a@b.test\r\n\r\n", [])["authentication_results"]
    assert re.sub(r"\s+", " ", bare) == "Authentication-Results: localhost; dkim=none; dmarc=none header.from=b.test"


# ---- DMARC ----

def dmarc(want, records, sender="ana@example.org", **more):
    rows = {(k if " " in k else f"_dmarc.{k} TXT"): v for k, v in records.items()}
    return {"from": sender, "zone": zone(**rows)} | more, want


REJECT = "v=DMARC1; p=reject"
DMARC = [
    dmarc("fail p reject reject example.org", {"example.org": REJECT}), dmarc("pass p reject none example.org", {"example.org": REJECT}, spf="example.org"),
    dmarc("pass p reject none example.org", {"example.org": REJECT}, dkim=["other.test", "a.b.example.org"]), dmarc("fail p reject reject example.org", {"example.org": REJECT}, dkim=[{"domain": "example.org", "result": "fail"}]),
    dmarc("none None None none None", {}), dmarc("none None None none None", {"example.org": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}), dmarc("none None None none None", {"example.org": "V=DMARC1; p=reject"}),
    dmarc("none None None none None", {"example.org": "p=reject; v=DMARC1"}), dmarc("fail p reject reject example.org", {"example.org": ["other", " v = DMARC1 ;p= reject;;x"]}),
    # subdomains
    dmarc("fail sp none none example.org", {"example.org": "v=DMARC1; p=reject; sp=none", "a.example.org A": HOST}, "x@a.example.org"), dmarc("fail p reject reject example.org", {"example.org": REJECT}, "x@a.example.org"),
    dmarc("fail np quarantine quarantine example.org", {"example.org": "v=DMARC1; p=none; sp=none; np=quarantine"}, "x@a.example.org"),
    dmarc("fail sp none none example.org", {"example.org": "v=DMARC1; p=none; sp=none; np=quarantine", "a.example.org MX": "10 x.test"}, "x@a.example.org"),
    dmarc("fail p none none a.example.org", {"example.org": REJECT, "a.example.org": "v=DMARC1; p=none"}, "x@a.example.org"),
    dmarc("fail p reject reject example.org", {"example.org": REJECT}, "x@a.b.c.d.e.example.org"), dmarc("fail p reject reject d.e.example.org", {"d.e.example.org": REJECT}, "x@a.b.c.d.e.example.org"),
    dmarc("fail p reject reject c.d.e.example.org", {"c.d.e.example.org": REJECT}, "x@a.b.c.d.e.example.org"), dmarc("fail p reject reject b.c.d.e.f.example.org", {"b.c.d.e.f.example.org": REJECT}, "x@1.2.a.b.c.d.e.f.example.org"),
    dmarc("none None None none None", {"a.b.c.d.e.f.example.org": REJECT}, "x@1.2.a.b.c.d.e.f.example.org"),
    # public suffixes and organizations
    dmarc("fail sp reject reject test", {"test": "v=DMARC1; p=none; sp=reject; psd=y"}, "x@a.b.test"), dmarc("pass sp reject none test", {"test": "v=DMARC1; p=none; sp=reject; psd=y"}, "x@a.b.test", dkim=["c.b.test"]),
    dmarc("fail sp reject reject test", {"test": "v=DMARC1; p=none; sp=reject; psd=y"}, "x@a.b.test", dkim=["a.c.test"]), dmarc("fail p reject reject b.test", {"test": "v=DMARC1; p=none; psd=y", "b.test": REJECT}, "x@a.b.test"),
    dmarc("fail p reject reject b.test", {"test": "v=DMARC1; p=none; psd=y", "b.test": REJECT}, "x@b.test", dkim=["test"]),
    dmarc("fail p reject reject a.b.test", {"b.test": REJECT, "a.b.test": "v=DMARC1; p=reject; psd=n"}, "x@a.b.test", dkim=["b.test"]), dmarc("pass p reject none a.b.test", {"b.test": REJECT, "a.b.test": REJECT}, "x@a.b.test", dkim=["b.test"]),
    # modes and test
    dmarc("fail p reject reject example.org", {"example.org": REJECT + "; adkim=s; aspf=s"}, dkim=["a.example.org"], spf="a.example.org"), dmarc("pass p reject none example.org", {"example.org": REJECT + "; adkim=S"}, dkim=["EXAMPLE.org"]),
    dmarc("fail p reject none example.org", {"example.org": REJECT + "; t=y"}), dmarc("fail p reject none example.org", {"example.org": REJECT + "; pct=0"}), dmarc("fail p reject reject example.org", {"example.org": REJECT + "; pct=1; rf=afrf; ri=1"}),
    # what cannot be read
    dmarc("none None None none example.org", {"example.org": "v=DMARC1"}), dmarc("fail p none none example.org", {"example.org": "v=DMARC1; rua=mailto:a@b.test"}), dmarc("fail p none none example.org", {"example.org": "v=DMARC1; p=reject; sp=x; rua=mailto:a@b.test!10m"}),
    dmarc("none None None none example.org", {"example.org": "v=DMARC1; p=reject; sp=x; rua=nonsense"}), dmarc("fail p reject reject example.org", {"example.org": "v=DMARC1; p=reject; adkim=x; fo=?; psd=maybe"}),
    # the DNS away
    dmarc("temperror None None none None", {"example.org": "!timeout"}), dmarc("temperror None None none None", {"org": "!servfail"}), dmarc("fail p reject reject example.org", {"example.org": REJECT, "org": "!servfail"}),
    dmarc("pass p reject none example.org", {"example.org": REJECT, "org": "!servfail"}, dkim=["example.org"]), dmarc("temperror p reject none example.org", {"example.org": REJECT, "org": "!servfail"}, dkim=["a.example.org"]),
    # a signature of somebody else, whose servers do not answer, leaves nothing open
    dmarc("fail p reject reject example.org", {"example.org": REJECT, "evil.test": "!servfail"}, dkim=["evil.test"]), dmarc("fail p reject reject example.org", {"example.org": REJECT, "badexample.org": "!timeout"}, dkim=["badexample.org"]),
    dmarc("fail p reject reject example.org", {"example.org": REJECT, "org": "!servfail"}, dkim=["evil.test"], spf="evil.test"), dmarc("fail p reject reject a.example.org", {"a.example.org": REJECT + "; psd=n", "example.org": "!timeout"}, "x@a.example.org", spf="example.org"),
    dmarc("temperror p reject none example.org", {"example.org": REJECT, "a.example.org": "!servfail"}, dkim=["a.example.org"]),
    dmarc("temperror p reject none example.org", {"example.org": REJECT}, dkim=[{"domain": "example.org", "result": "temperror"}]), dmarc("fail p reject reject example.org", {"example.org": REJECT}, dkim=[{"domain": "other.test", "result": "temperror"}]),
    # authors
    dmarc("fail p reject reject xn--bcher-kva.test", {"xn--bcher-kva.test": REJECT}, "a@b\u00fccher.test"), dmarc("fail p reject reject example.org", {"example.org": REJECT}, "A <a@example.org>, \"b@c\" <b@Example.ORG>"),
    dmarc("none None None none None", {"example.org": REJECT}, "a@example.org, b@example.net"), dmarc("permerror None None none None", {"example.org": REJECT}, "a@example.org, " * 100 + "b@example.net"), dmarc("permerror None None none None", {}, "a@[192.0.2.1]"),
]


def test_dmarc_by_a_table():
    answers = batch("dmarc", [c for c, _ in DMARC])
    said = [" ".join(str(a.get(k)) for k in ("result", "policy_tag", "policy", "disposition", "policy_domain")) for a in answers]
    assert not [(c, want, s, a) for (c, want), s, a in zip(DMARC, said, answers) if s != want]
