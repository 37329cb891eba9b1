"""Reports of others and the policies of MTA-STS, through `postrider mail report`: by tables of our own, and the public suites."""
import base64
import gzip
import io
import json
import zipfile

import pytest
from shell import SUITES, ask, batch, run

XML = """<?xml version="1.0"?>
<feedback><version>1.0</version><report_metadata><org_name>Far &amp; Away</org_name><email>x@far.test</email><report_id>7</report_id>
<date_range><begin>1700000000</begin><end>1700086400</end></date_range><error>one</error><error>two</error></report_metadata>
<policy_published><domain>Example.ORG</domain><p>Reject</p><sp>none</sp><np>reject</np><testing>n</testing><pct>100</pct></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>None</disposition><dkim>Pass</dkim><spf>fail</spf>
<reason><type>forwarded</type><comment>a list</comment></reason></policy_evaluated></row><identifiers><header_from>example.org</header_from></identifiers>
<auth_results><dkim><domain>example.org</domain><selector>s</selector><result>pass</result></dkim><dkim><domain>b.test</domain><result>fail</result></dkim>
<spf><domain>c.test</domain><scope>mfrom</scope><result>softfail</result></spf></auth_results></record>
<record><row><source_ip>2001:db8::1</source_ip><count>-1</count></row></record></feedback>"""


def report(data, **more):
    data = data if isinstance(data, bytes) else data.encode()
    return batch("report", [{"report_base64": base64.b64encode(data).decode()} | more])[0]


def zipped(data, name="r.xml", folder=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        if folder:
            z.writestr(folder, "")
        z.writestr(name, data)
    return out.getvalue()


def mail(data, kind="application/gzip", name="r.xml.gz"):
    return (f"From: a@b.test\nSubject: Report Domain: example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nA report.\n--b\n"
            f"Content-Type: {kind}; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\n{base64.encodebytes(data).decode()}\n--b--\n").encode()


def test_an_aggregate_report():
    a = ask("report", XML)
    assert (a["kind"], a["organization"], a["report_id"], a["begin"], a["errors"], a["damaged"]) == ("dmarc", "Far & Away", "7", "2023-11-14T22:13:20.000Z", ["one", "two"], None)
    assert a["policy"] == {"domain": "example.org", "p": "reject", "sp": "none", "np": "reject", "adkim": None, "aspf": None, "pct": "100", "fo": None, "testing": "n", "discovery_method": None}
    one, two = a["rows"]
    assert one == {"source_ip": "192.0.2.1", "count": 3, "disposition": "none", "dkim": "pass", "spf": "fail", "header_from": "example.org", "envelope_from": None, "envelope_to": None,
                   "reasons": [{"type": "forwarded", "comment": "a list"}],
                   "auth_dkim": [{"domain": "example.org", "selector": "s", "result": "pass", "human_result": None}, {"domain": "b.test", "selector": None, "result": "fail", "human_result": None}],
                   "auth_spf": [{"domain": "c.test", "scope": "mfrom", "result": "softfail", "human_result": None}]}
    assert two["count"] == 0 and two["auth_dkim"] == []


def test_however_it_is_packed():
    whole, packed = report(XML), gzip.compress(XML.encode())
    for data in (packed, zipped(XML), zipped(XML, folder="x/"), b"\xef\xbb\xbf \r\n" + XML.encode(), mail(packed), mail(zipped(XML), "application/zip", "r.zip"), mail(XML.encode(), "text/xml", "r"),
                 mail(packed).replace(b"\n", b"\r\n"), f'<s:schema xmlns:s="u">{XML[22:]}</s:schema>', XML.replace("feedback", "d:feedback").replace("<d:feedback>", '<d:feedback xmlns:d="u">')):
        assert report(data) == whole
    assert ask("report", input=packed) == whole
    latin = XML.replace('"1.0"?', '"1.0" encoding="windows-1252"?').replace("Away", "Aw\u00e4y").encode("latin-1")
    assert report(latin)["organization"] == "Far & Aw\u00e4y" and report(XML.replace("Away", "Aw\u00e4y").encode("latin-1"))["organization"] == "Far & Aw?y"


def test_what_breaks_off_is_kept_as_far_as_it_goes():
    a = report(XML[:XML.index("2001:db8")])
    assert a["damaged"] and len(a["rows"]) == 2 and a["rows"][0]["count"] == 3
    assert report(XML.replace("<p>", "<p>&nosuch;"))["damaged"].startswith("line 4")


BOMB = gzip.compress(b"<feedback>" + b" " * (64 << 20) + b"</feedback>")


@pytest.mark.parametrize("data", [
    BOMB, zipped(b"<feedback>" + b" " * (64 << 20)), mail(BOMB), gzip.compress(XML.encode())[:-20], b"\x1f\x8b" + b"x" * 50, b"PK\x03\x04", zipped(XML)[:60],
    gzip.compress(gzip.compress(XML.encode())), XML.replace("<feedback>", "<!DOCTYPE feedback [<!ENTITY a 'b'>]><feedback>", 1), "<a>" * 100, "<other/>", "<feedback>" + "<x>" * 40, "nothing", "", "{}",
    '{"report-id": "x"}', "[1]", mail(b"just text", "application/octet-stream", "r.bin")], ids=range(18))
def test_what_is_none_says_so(data):
    assert "error" in report(data)


def test_tls_report():
    text = {"organization-name": "Far", "report-id": "1", "date-range": {"start-datetime": "2026-11-27T00:00:00Z", "end-datetime": "2026-11-27T23:59:59Z"}, "policies": [
        {"policy": {"policy-type": "sts", "policy-domain": "example.org", "policy-string": ["version: STSv1"], "mx-host": "*.example.org"},
         "summary": {"total-successful-session-count": 5, "total-failure-session-count": -3}, "failure-details": [{"result-type": "certificate-expired", "failed-session-count": 2}, 7]}, None]}
    a = report(gzip.compress(json.dumps(text).encode()))
    assert a == report(mail(gzip.compress(json.dumps(text).encode()), "application/tlsrpt+gzip", "x"))
    assert (a["kind"], a["organization"], a["contact"], a["end"]) == ("tls", "Far", None, "2026-11-27T23:59:59.000Z")
    p = a["policies"][0]
    assert (p["type"], p["mx_hosts"], p["successful_sessions"], p["failed_sessions"], p["failures"][0]["failed_sessions"]) == ("sts", ["*.example.org"], 5, 0, 2)


POLICY = "version: STSv1\nmode: enforce\nmx: mail.example.org\nmx: *.example.net\nmax_age: 86400\n"


def test_policies_of_mta_sts():
    a = report(POLICY, mx="Mail.Example.ORG.")
    assert a == {"kind": "sts_policy", "mode": "enforce", "max_age": 86400, "mx": ["mail.example.org", "*.example.net"], "lets": True}
    hosts = {"a.example.net": True, "example.net": False, "a.b.example.net": False, "mail.example.com": False, ".example.net": False, "xmail.example.org": False}
    assert {h: report(POLICY, mx=h)["lets"] for h in hosts} == hosts
    again = report(POLICY.replace("max_age: 86400", "max_age: 9999999999\nmode: none\nx-y.z: a b"))
    assert (again["mode"], again["max_age"]) == ("enforce", 31557600)
    for bad in (POLICY.replace("STSv1", "STSv2"), POLICY.replace("enforce", "Enforce"), POLICY.replace("86400", "-1"), POLICY.replace("mx: *.e", "mx: a.*.e"), POLICY.replace("mx:", "mx"), POLICY + "x" * 70000):
        assert "error" in report(bad, kind="sts_policy"), bad
    assert report("v=STSv1; id=20261128;") == {"kind": "sts_record", "id": "20261128"} and "error" in report("v=STSv1; id=1; id")


# ---- the public suites ----

suites = pytest.mark.skipif(not SUITES.exists(), reason=f"no suites in {SUITES}")


@suites
def test_suite_of_aggregate_and_failure_reports():
    kinds, broken = {}, set()
    for file in sorted((SUITES / "dmarc-reports-parsedmarc").glob("*.*")):
        if file.name.endswith((".xml", ".gz", ".zip", ".eml")):
            a = report(file.read_bytes())
            kinds[file.name] = a.get("kind") or a["error"]["message"]
            if a.get("damaged"):
                broken.add(file.name.split(".")[0])
            if a.get("kind") == "dmarc":
                assert a["rows"] and a["policy"]["domain"] and a["rows"][0]["source_ip"] and a["rows"][0]["count"] > 0, file
    assert len(kinds) == 16
    assert {k: v for k, v in kinds.items() if v != ("failure" if k.startswith("failure") else "dmarc")} == {}
    assert broken == {"aggregate-ikea"}  # its schema is not closed


@suites
def test_suite_of_tls_reports():
    answers = [report(f.read_bytes()) for f in sorted((SUITES / "tlsrpt-samples").glob("*.json"))]
    assert [(a["organization"], a["policies"][0]["failed_sessions"], len(a["policies"][0]["failures"])) for a in answers] == [("Mail.ru", 1, 2), ("Company-X", 303, 3), ("Example Inc.", 3, 2)]


@suites
def test_suite_of_policies():
    cases = json.loads((SUITES / "mta-sts-policies-mox/mta-sts.json").read_text())
    answers = batch("report", [{"report": c["text"], "kind": "sts_record" if c["test"] == "TestRecord" else "sts_policy"} for c in cases])
    assert len(cases) == 42 and not [(c, a) for c, a in zip(cases, answers) if c["valid"] == ("error" in a)]


def test_bytes_are_not_changed():
    """A packed report has bytes that look like line ends; they stay."""
    packed = gzip.compress(XML.encode() * 20)
    assert b"\n" in packed or b"\r" in packed or run("report", input=packed).returncode == 0
