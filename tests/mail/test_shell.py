"""The frame of `postrider mail`: where its input comes from, what it says of it, and the verbs about bounces and keys."""
import base64
import json
import re

import dkim
import pytest
from shell import ask, batch, run

REPORT = """From: MAILER-DAEMON@mx.example.net
To: ana@example.org
Subject: failure notice
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; bo@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
--b--
"""


def test_help_names_each_verb():
    r = run("--help")
    verbs = re.findall(r"^  ([a-z-]+) +\S", r.stdout.decode(), re.M)
    assert r.returncode == 0 and {"bounce", "sign", "dkim-key"} <= set(verbs)
    page = open("docs/mail.md").read()
    assert not [v for v in verbs if v != "of" and f"## {v}" not in page]
    for verb in verbs:
        assert verb == "of" or run(verb, "--help").returncode == 0
    assert run().returncode == run("nonsense").returncode == run("bounce", "--nonsense").returncode == 2


def test_a_report_from_standard_input_an_argument_and_a_batch():
    wanted = ask("bounce", input=REPORT)
    assert wanted["kind"] == "report" and wanted["reporting_mta"] == "mx.example.net"
    [r] = wanted["recipients"]
    assert (r["address"], r["action"], r["status"], r["code"], r["cause"]) == ("bo@example.net", "failed", "5.1.1", 550, "unknown_user")
    assert ask("bounce", REPORT) == ask("bounce", input=REPORT.replace("\n", "\r\n")) == wanted
    answers = batch("bounce", [{"id": 7, "message": REPORT}, {"id": "x", "message_base64": base64.b64encode(REPORT.encode()).decode()}, {"message": "Subject: x\n\nHi\n"}])
    assert answers[0] == {"id": 7} | wanted and answers[1] == {"id": "x"} | wanted and answers[2]["kind"] == "none"


def test_a_case_that_is_none_is_told_on_its_line():
    r = run("bounce", "--batch", input=b'{"message": "a"}\nnonsense\n\n[1]\n{"id": 1, "message_base64": "!"}\n{"zone": 3}\n{"now": "soon"}\n')
    answers = [json.loads(line) for line in r.stdout.splitlines()]
    assert r.returncode == 6 and [a.get("error", {}).get("code") for a in answers] == \
        [None, "invalid_json", "invalid_json", "validation_error", "validation_error", "validation_error"]
    assert answers[3]["id"] == 1
    assert run("bounce", "--zone", "/nowhere", input=b"").returncode == 2
    assert run("bounce", "--now", "soon", input=b"").returncode == 2


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_what_is_signed_by_a_new_key_is_verified_by_dkimpy(algorithm, tmp_path):
    made = ask("dkim-key", "--algorithm", algorithm, "--domain", "example.org", "--selector", "s1")
    assert made["algorithm"] == algorithm and made["name"] == "s1._domainkey.example.org" and made["zone"].startswith("s1._domainkey.example.org. TXT \"v=DKIM1")
    key = tmp_path / "key"
    key.write_text(made["private_key"])
    again = ask("dkim-key", input=made["private_key"])
    assert again == {k: made[k] for k in ("algorithm", "bits", "record")}
    mail = b"From: ana@example.org\nTo: bo@example.net\nSubject: x\n\nHello\n\n"
    for words, now in ((["--valid", "60"], 1795860000), ([], 1795860001)):
        [field] = ask("sign", "--domain", "example.org", "--selector", "s1", "--key", key, "--now", now, *words, input=mail)["signatures"]
        assert f"t={now}" in field and ("x=" in field) == bool(words)
    whole = field.encode() + mail.replace(b"\n", b"\r\n")
    assert dkim.DKIM(whole).verify(dnsfunc=lambda name, timeout=5: made["record"].encode() if name == b"s1._domainkey.example.org." else None)


def test_both_signatures_and_what_cannot_be_signed():
    keys = [{"selector": a, "private_key": ask("dkim-key", "--algorithm", a)["private_key"]} for a in ("rsa", "ed25519")]
    both, no_from, no_key, no_domain = batch("sign", [
        {"message": "From: a@b.test\n\nx\n", "domain": "b.test", "keys": keys}, {"message": "To: a@b.test\n\nx\n", "domain": "b.test", "keys": keys},
        {"message": "From: a@b.test\n\nx\n", "domain": "b.test", "selector": "s", "private_key": "nonsense"}, {"message": "From: a@b.test\n\nx\n", "keys": keys}])
    assert [re.search(r"a=([a-z0-9-]+)", s)[1] for s in both["signatures"]] == ["rsa-sha256", "ed25519-sha256"]
    assert all("error" in a for a in (no_from, no_key, no_domain))
