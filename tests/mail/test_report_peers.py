"""Python's email reads the reports that mail/dsn.h writes: no defects, the parts of RFC 3464, the fields."""
import email
import email.policy
import pathlib
import quopri
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "build/asan/tests/mail_tool_report"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    subprocess.run([TOOL, folder], check=True, timeout=60)
    return {f.stem: email.message_from_bytes(f.read_bytes(), policy=email.policy.default) for f in folder.glob("*.eml")}


@pytest.mark.parametrize("name,status,original", [
    ("header", "message/delivery-status", "text/rfc822-headers"),
    ("whole", "message/delivery-status", "message/rfc822"),
    ("whole-8bit", "message/delivery-status", "message/global"),
    ("global", "message/global-delivery-status", "message/global"),
])
def test_a_report_is_read(reports, name, status, original):
    m = reports[name]
    # email parses what is in message/global before it is decoded (RFC 6532 3.7 lets it be encoded)
    assert not [d for p in m.walk() for d in p.defects if "global" not in status + original]
    assert m.get_content_type() == "multipart/report" and "message/" + m.get_param("report-type") == status
    assert m["Subject"] == "Not delivered: Grüße" and m["Auto-Submitted"] == "auto-replied"
    assert m["From"].addresses[0].addr_spec == "MAILER-DAEMON@mx.example.org" and m["To"] == "ana@example.org"
    assert m["Date"].datetime.isoformat() == "2026-11-28T10:00:00+00:00"
    readable, fields, last = m.get_payload()
    assert (fields.get_content_type(), last.get_content_type()) == (status, original)
    text, html = (p.get_content() for p in readable.iter_parts())
    assert "550 5.1.1 <b>No</b> such üser" in text and "It is tried until Sun, 29 Nov 2026" in text
    assert "&lt;b&gt;No&lt;/b&gt; such üser" in html and "<b>No" not in html


def blocks(m):
    part = m.get_payload()[1]
    if part.get_content_type() == "message/delivery-status":
        return part.get_payload()
    text = quopri.decodestring(part.get_payload(0).as_bytes()).decode()
    return [email.message_from_string(b) for b in text.replace("\r\n", "\n").split("\n\n")]


@pytest.mark.parametrize("name", ["header", "whole", "global"])
def test_its_fields(reports, name):
    of_message, bo, cy = blocks(reports[name])
    assert dict(of_message) == {"Reporting-MTA": "dns; mx.example.org", "Original-Envelope-Id": "e1",
                                "Arrival-Date": "Sat, 28 Nov 2026 07:13:20 +0000"}
    assert bo["Final-Recipient"] == ("utf-8; bö@example.net" if name == "global" else "rfc822; bo@example.net")
    assert bo["Original-Recipient"] == "rfc822; bo+1@example.com" and bo["Remote-MTA"] == "dns; mx.example.net"
    assert bo["Diagnostic-Code"].startswith("smtp; 550 5.1.1 ") and (bo["Action"], bo["Status"]) == ("failed", "5.1.1")
    assert (cy["Action"], cy["Status"]) == ("delayed", "4.4.1") and cy["Will-Retry-Until"] == "Sun, 29 Nov 2026 13:46:40 +0000"
    assert "Diagnostic-Code" not in cy and "Remote-MTA" not in cy
