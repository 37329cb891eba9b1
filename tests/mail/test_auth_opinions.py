"""Second opinions about where mail comes from: dkimpy signs and verifies generated messages, changed at random on their way, pyspf asks
generated zones, authres reads our Authentication-Results. 1,000 of each under --soak, else some; the seed is fixed."""
import base64
import os
import random

import authres
import dkim
import pytest
import spf
from shell import ask, batch

COUNT = 1000 if os.environ.get("POSTRIDER_SOAK") else 60
NOW = 1795860000
KEYS = {kind: ask("dkim-key", "--algorithm", kind) for kind in ("rsa", "ed25519")}
RECORDS = [{"name": f"{kind}._domainkey.example.org", "type": "TXT", "answers": [k["record"]]} for kind, k in KEYS.items()]


def dns(name, timeout=5):
    return KEYS.get(name.split(b".")[0].decode(), {"record": ""})["record"].encode()


def message(r):
    words = ["Hello", "  two", "tab\t", " ", "", "ende ", ".", "..", "Grüße", "x" * 200]
    fields = ["From: Ana <ana@example.org>", "To: bo@example.net", f"Subject: {r.choice(words)} \r\n {r.choice(words)}x", "Date: Fri, 27 Nov 2026 10:00:00 +0000"]
    fields += [f"X-{r.choice('ABC')}: {r.choice(words)}" for _ in range(r.randrange(3))] + ["Subject: again"] * (r.random() < .1)
    r.shuffle(fields)
    body = "\r\n".join(r.choice(words) for _ in range(r.randrange(8))) + r.choice(["\r\n", "\r\n\r\n", " \r\n", "\r\n \r\n"])
    return ("\r\n".join(fields) + "\r\n\r\n" + body).encode()


def by_dkimpy(r, mail):
    kind = r.choice(["rsa", "ed25519"])
    private = KEYS[kind]["private_key"].encode()
    if kind == "ed25519":  # its seed, which dkimpy wants: the last 32 bytes of PKCS#8
        private = base64.b64encode(base64.b64decode("".join(KEYS[kind]["private_key"].splitlines()[1:-1]))[-32:])
    canon = (r.choice([b"simple", b"relaxed"]), r.choice([b"simple", b"relaxed"]))
    d = dkim.DKIM(mail, signature_algorithm=f"{kind}-sha256".encode())
    return d.sign(kind.encode(), b"example.org", private, canonicalize=canon, length=r.random() < .1) + mail


def by_us(r, mail):
    kind = r.choice(["rsa", "ed25519"])
    return ["sign", {"message_base64": base64.b64encode(mail).decode(), "domain": "example.org", "selector": kind, "private_key": KEYS[kind]["private_key"], "now": NOW}]


def changed(r, mail):
    """As mail is changed on its way, or by somebody."""
    how = r.randrange(8)
    at = r.randrange(len(mail))
    if how < 3:
        return mail
    if how == 3:
        return mail[:at] + bytes([r.choice(b"aZ ;=\t")]) + mail[at + 1:]
    if how == 4:
        return b"Received: from x\r\n\tby y\r\n" + mail
    if how == 5:
        return mail + r.choice([b"\r\n", b"more\r\n", b" ", b"\t\r\n"])
    if how == 6:
        return mail.replace(b"Subject: ", r.choice([b"subject:  ", b"Subject:\r\n\t", b"SUBJECT: "]), 1)
    return mail[:at] + mail[at + 1:]


def dkimpy_says(mail):
    try:
        return dkim.DKIM(mail).verify(dnsfunc=dns)
    except Exception:
        return False


def has_odd_form(mail):
    """Where the two read a mail differently, and neither is wrong: fields that are none, ends of lines that are none, a last line without an
    end (dkimpy keeps the blanks there), which SMTP cannot bring."""
    head = mail.partition(b"\r\n\r\n")[0]
    return any(line[:1] not in (b" ", b"\t") and (b":" not in line or not line.split(b":")[0].isascii() or b" " in line.split(b":")[0] or b"\t" in line.split(b":")[0])
               for line in head.split(b"\r\n")) or b"\n" in mail.replace(b"\r\n", b"") or b"\r" in mail.replace(b"\r\n", b"") or b"\r\n\r\n" not in mail or \
        not mail.endswith(b"\r\n")


def test_dkimpy_and_we_say_the_same_of_each_other():
    r = random.Random(6376)
    mails = [message(r) for _ in range(COUNT)]
    ours = [by_us(r, m)[1] for m in mails]
    sent = [by_dkimpy(r, m) for m in mails] + [a["signatures"][0].encode() + m for a, m in zip(batch("sign", ours), mails)]
    sent = [m for m in (changed(r, m) for m in sent) if not has_odd_form(m)]
    answers = batch("verify", [{"message_base64": base64.b64encode(m).decode(), "zone": RECORDS, "now": NOW + 60} for m in sent])
    said = [any(s["verified"] for s in a["dkim"]) for a in answers]
    theirs = [dkimpy_says(m) for m in sent]
    wrong = [(m, a["dkim"], t) for m, a, s, t in zip(sent, answers, said, theirs) if s != t]
    assert not wrong, wrong[:3]
    assert len(sent) > COUNT and 0.3 < sum(said) / len(said) < 0.95
    for a in (a for a in answers if not any("\r" in (s["domain"] or "") for s in a["dkim"])):
        read = authres.AuthenticationResultsHeader.parse(" ".join(a["authentication_results"].split()))
        wanted = [(s["result"], s["domain"]) for s in a["dkim"]] or [("none", None)]
        assert [(x.result, next((p.value for p in x.properties if p.name == "d"), None)) for x in read.results if x.method == "dkim"] == wanted


# ---- SPF ----

NAMES = ["a.test", "b.test", "c.test", "x.a.test"]


def term(r):
    name = r.choice(NAMES + ["%{d}", "%{l}.a.test", "%{ir}.b.test"])
    return r.choice(["", "+", "-", "~", "?"]) + r.choice([
        "all", "a", "mx", f"a:{name}", f"mx:{name}", f"a:{name}/24", f"include:{r.choice(NAMES)}", f"exists:{name}", "ip4:192.0.2.0/24", "ip4:198.51.100.1", "ip6:2001:db8::/32", "a/33", "foo", "ip4:1.2.3"])


def record(r):
    terms = [term(r) for _ in range(r.randrange(1, 5))] + r.choice([[], ["-all"], ["~all"], [f"redirect={r.choice(NAMES)}"]])
    return " ".join(["v=spf1", *terms])


def zone_of(r):
    zone = {}
    for name in NAMES:
        text = record(r)
        while any(w.endswith((f"include:{name}", f"redirect={name}")) for w in text.split()):
            text = record(r)  # pyspf calls that wrong wherever it stands; RFC 7208 4.6 only when it comes to be looked at
        zone[name, "TXT"] = [text] if r.random() < .9 else []
        # every one has an address: pyspf counts MX hosts without one as void look-ups, we count terms (4.6.4 speaks of terms)
        zone[name, "A"] = [r.choice(["192.0.2.1", "192.0.2.200", "203.0.113.5"])]
        zone[name, "MX"] = [(10, r.choice(NAMES))] if r.random() < .6 else []
    return {k: v for k, v in zone.items() if v}


def pyspf_says(monkeypatch, zone, ip, sender):
    def look(name, kind, tcpfallback=True, timeout=30, strict=True):
        return [((name, kind), (v.encode(),) if kind == "TXT" else v) for v in zone.get((name.lower().rstrip("."), kind), [])]

    monkeypatch.setattr(spf, "DNSLookup", look)
    return spf.check2(i=ip, s=sender, h="helo.test", querytime=60)[0]


def test_pyspf_and_we_say_the_same(monkeypatch):
    r = random.Random(7208)
    cases = [(zone_of(r), r.choice(["192.0.2.1", "198.51.100.1", "203.0.113.5"]), f"ana@{r.choice(NAMES)}") for _ in range(COUNT * 3)]
    rows = [[{"name": n, "type": t, "answers": [f"{v[0]} {v[1]}" if t == "MX" else v for v in values]} for (n, t), values in z.items()] for z, _, _ in cases]
    answers = batch("spf", [{"ip": ip, "mail_from": s, "helo": "helo.test", "zone": z} for z, (_, ip, s) in zip(rows, cases)])
    theirs = [pyspf_says(monkeypatch, z, ip, s) for z, ip, s in cases]
    wrong = [(c, a["result"], a["problem"], t) for c, a, t in zip(cases, answers, theirs) if a["result"] != t]
    assert not wrong, (len(wrong), wrong[:4])
    assert len(set(theirs)) >= 4
