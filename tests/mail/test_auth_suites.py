"""The public suites about the origin of mail, through `postrider mail`: every case agrees, or is named here with the section that says
otherwise."""
import base64
import json
import re

import pytest
import yaml
from shell import SUITES, ask, batch

pytestmark = pytest.mark.skipif(not SUITES.exists(), reason=f"no suites in {SUITES}")


def crlf(data):
    return re.sub(rb"\r?\n", b"\r\n", data)


def coded(data):
    return base64.b64encode(data).decode()


# ---- SPF ----

def spf_rows(data):
    """A zone of the suite: TXT stands for SPF where there is none, as its drivers do; TIMEOUT is every type that is not named."""
    rows = []
    for name, records in data.items():
        records = [(k, v) for r in records for k, v in (r.items() if isinstance(r, dict) else [("*", "TIMEOUT")])]
        spf = [] if any(k == "TXT" for k, _ in records) else [("TXT", v) for k, v in records if k == "SPF" and v != "NONE"]
        for kind, value in records + spf:
            row = {"name": name, "type": kind}
            if value == "TIMEOUT" or kind == "TIMEOUT":
                rows.append({"name": name, "type": "*" if kind == "TIMEOUT" else kind, "fault": "timeout"})
            elif kind in ("SPF", "SRV"):
                rows.append({"name": name, "type": "SPF", "answers": []})
            elif value == "NONE":
                rows += [] if ("*", "TIMEOUT") in records else [row | {"answers": []}]
            else:
                rows.append(row | {"answers": [value]})
    return rows


def test_spf():
    cases, wanted = [], []
    for document in yaml.safe_load_all((SUITES / "spf-rfc7208/rfc7208-tests.yml").read_text()):
        for name, t in document["tests"].items():
            cases.append({"id": name, "ip": t["host"], "helo": t["helo"], "mail_from": t["mailfrom"], "zone": spf_rows(document["zonedata"])})
            results = t["result"] if isinstance(t["result"], list) else [t["result"]]
            wanted.append((results, t.get("explanation")))
    wrong = []
    for case, (results, explanation), answer in zip(cases, wanted, batch("spf", cases, "--host", "receiver.test")):
        told = answer["explanation"] or "DEFAULT"
        if answer["result"] not in results or (explanation and answer["result"] == "fail" and told != explanation):
            wrong.append((case["id"], results, explanation, answer))
    assert not wrong, wrong
    assert len(cases) == 203


# ---- DKIM, ARC ----

def with_zone(file):
    """The records that stand above the first blank line, and the message below it."""
    above, _, message = file.read_bytes().partition(b"\n\n")
    rows = [{"name": n.decode(), "type": "TXT", "answers": [v.decode()]} for n, v in (line.split(b" ", 1) for line in above.splitlines() if line)]
    return rows, crlf(message)


def test_dkim_vectors():
    answers = []
    for file in sorted((SUITES / "dkim-vectors-stalwart").glob("0*.txt")):
        rows, message = with_zone(file)
        [a] = batch("verify", [{"message_base64": coded(message), "zone": rows, "now": 1700000000}])
        answers.append([(s["result"], s["problem"]) for s in a["dkim"]])
    assert len(answers) == 3 and all(s == ("pass", None) for a in answers for s in a) and [len(a) for a in answers][0] == 2, answers


def dkimpy(name):
    return (SUITES / "dkim-dkimpy" / name).read_bytes()


def key_rows():
    """The names under which these keys are asked for; the one of RFC 8463 is made from its private half."""
    texts = {"test._domainkey.football.example.com": dkimpy("test.txt").decode(), "test._domainkey.example.com": dkimpy("test.txt").decode(),
             "brisbane._domainkey.football.example.com": ask("dkim-key", input=dkimpy("rfc8032_7_1.key"))["record"],
             "sed._domainkey.test.ex": dkimpy("eximtest.dns").decode()}
    return [{"name": n, "type": "TXT", "answers": [t.strip()]} for n, t in texts.items()]


@pytest.mark.parametrize("record, wanted", [("test.txt", "pass"), ("badversion.txt", "permerror"), ("badk.txt", "permerror"), ("test_bad.txt", "permerror"),
                                            ("test2.txt", "pass"), ("test_tlsrpt.txt", "permerror"), ("1024_testkey_wo_markers.pub.txt", "other"),
                                            ("1024_testkey_wo_markers.pub.rsa.txt", "other"), ("2048_testkey_wo_markers.pub.rsa.txt", "other")])
def test_dkimpy_records(record, wanted, tmp_path):
    """What dkimpy's key signs is verified by its record alone, in either form of it; bad records are none."""
    key = tmp_path / "key"
    key.write_bytes(dkimpy("test.private" if wanted != "other" else record.split("_wo")[0] + ".key"))
    mail = crlf(dkimpy("test.message"))
    [field] = ask("sign", "--domain", "example.com", "--selector", "test", "--key", key, input=mail)["signatures"]
    zone = [{"name": "test._domainkey.example.com", "type": "TXT", "answers": [dkimpy(record).decode().strip()]}]
    [a] = batch("verify", [{"message_base64": coded(field.encode() + mail), "zone": zone}])
    assert a["dkim"][0]["result"] == (wanted if wanted != "other" else "pass"), a["dkim"]


def test_dkimpy_messages():
    rows = key_rows()
    cases = {name: {"message_base64": coded(crlf(dkimpy(name))), "zone": rows, "now": 1528637909}
             for name in ("rfc6376.signed.rsa.msg", "rfc6376.signed.msg", "rfc6376.signed.no_t.msg", "ed25519test2.msg", "test_nofrom.message",
                          "test.message.baddomain")}
    answers = dict(zip(cases, batch("verify", list(cases.values()))))
    assert {n: [s["result"] for s in answers[n]["dkim"]] for n in list(cases)[:4]} == \
        {"rfc6376.signed.rsa.msg": ["pass"], "rfc6376.signed.msg": ["pass", "pass"], "rfc6376.signed.no_t.msg": ["fail"],  # for dkimpy, too: x= was added behind the signature
          "ed25519test2.msg": ["pass"]}, answers
    assert answers["test_nofrom.message"]["dmarc"]["result"] == "permerror"
    assert all(s["result"] not in ("pass", "fail") for s in answers["test.message.baddomain"]["dkim"])


def test_arc():
    answers = []
    for file in sorted((SUITES / "arc-samples-stalwart").glob("0*.txt")):
        rows, message = with_zone(file)
        [a] = batch("arc", [{"message_base64": coded(message), "zone": rows, "now": 1700000000}])
        answers.append(a)
        broken = message.replace(b"\r\nSubject: ", b"\r\nSubject: x", 1)
        assert broken != message
        [b] = batch("arc", [{"message_base64": coded(broken), "zone": rows}])
        assert b["result"] == "fail", b
    assert [a["result"] for a in answers] == ["pass", "pass"], answers


# ---- DMARC ----

# What mailauth says and RFC 9989 does not; by the place in the list.
DMARC_OTHERWISE = {
    24: "5.3.1: several addresses of one domain are one author; that they come as a list of two is no From field",
    27: "a comment about ARC: DMARC knows none of it",
    28: "l=: a signature over a part of the body is no pass (mail/auth/verify.h); the count is in `verify`",
    30: "a text of mailauth's own; Authentication-Results is in `verify`",
    33: "as 28",
}


def dmarc_zone(zone):
    rows = []
    for name, types in zone.items():
        if "error" in types:
            rows.append({"name": name, "type": "*", "fault": "timeout"})
        for kind in (k for k in types if k != "error"):
            rows.append({"name": name, "type": kind, "answers": types[kind]})
    return rows


def dmarc_case(e):
    sender = e["headerFrom"]
    return {"from": sender if isinstance(sender, str) else ", ".join(sender), "zone": dmarc_zone(e["zone"]),
            "dkim": [d if isinstance(d, str) else d["domain"] for d in e["dkimDomains"]],
            "spf": next((d if isinstance(d, str) else d["domain"] for d in e["spfDomains"]), None)}


def dmarc_says(answer, at):
    record = answer["record"] or {}
    return {"status.result": answer["result"], "policy": answer["policy"], "p": record.get("p"), "sp": record.get("sp"), "pct": record.get("pct"),
            "domain": answer["policy_domain"], "alignment.dkim.strict": record.get("adkim") == "s", "alignment.spf.strict": record.get("aspf") == "s",
            "alignment.dkim.result": answer["dkim_aligned"], "alignment.spf.result": answer["spf_aligned"], "rr": record.get("text"),
            "status.header.from": answer["from"], "status.header.d": answer["policy_domain"], "error": "DNS timeout"}[at]


def dmarc_agrees(answer, x):
    said = dmarc_says(answer, x["at"])
    return {"to.equal": lambda: said == x["args"][0], "to.be.true": lambda: said is True, "to.be.false": lambda: said is False,
            "to.not.be.ok": lambda: not said, "to.be.undefined": lambda: said is None}[x["op"]]()


def test_dmarc():
    cases = json.loads((SUITES / "dmarc-verify-mailauth/cases.json").read_text())
    todo = [(i, case["name"], e) for i, case in enumerate(cases) if i not in DMARC_OTHERWISE for e in case["evaluations"]]
    for (_, name, e), answer in zip(todo, batch("dmarc", [dmarc_case(e) for _, _, e in todo])):
        wrong = [(x, dmarc_says(answer, x["at"])) for x in e["expect"] if not dmarc_agrees(answer, x)]
        assert not wrong, (name, wrong, answer)
    assert len({i for i, _, _ in todo}) + len(DMARC_OTHERWISE) == len(cases) == 34
