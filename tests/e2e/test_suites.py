"""Public messages through the whole: in by SMTP, shown as JSON, given back byte for byte over HTTP and POP3."""
import email
import poplib
import re
import smtplib

import pytest
from server import PASSWORD, SUITES

poplib._MAXLINE = 1 << 20  # longer lines than a client likes are in the suites
FOLDERS = ["mime-cpython", "mime-mime4j", "mime-stalwart-parser", "spam-ham-spamassassin", "bounces-sisimai"]


def messages(folder):
    for file in sorted((SUITES / folder).rglob("*")):
        if file.is_file() and file.suffix in (".txt", ".msg", ".eml", "") and file.name not in ("SOURCE.txt", "LICENSE", "LICENSE.txt"):
            yield file, re.sub(rb"\r*\n|\r", b"\r\n", file.read_bytes())


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_messages_survive(server, folder):
    if not (SUITES / folder).is_dir():
        pytest.skip(f"no {SUITES / folder}")
    user = f"{folder}@suite.test"
    server.user(user)
    sent = []
    with smtplib.SMTP(*server.address("smtp")) as c:
        c.ehlo()
        for file, mail in messages(folder):
            if b"\0" in mail:
                continue
            mail = mail if mail.endswith(b"\r\n") else mail + b"\r\n"
            c.mail("x@y.test")
            c.rcpt(user)
            code, text = c.data(mail)
            assert code == 250 or b"Received" in mail and code == 554, (file, code, text)
            if code == 250:
                sent.append(mail)
    assert len(sent) >= 20
    entries, after = [], ""
    while True:
        page = server.get(f"/v1/mailboxes/{server.mailbox(user)['id']}/entries?limit=100{after}").json
        entries += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    entries.reverse()  # newest first: now as they were sent
    assert len(entries) == len(sent)
    box = poplib.POP3(*server.address("pop3"))
    box.utf8() if "UTF8" in box.capa() else None
    box.user(user)
    box.pass_(PASSWORD)
    for number, (entry, mail) in enumerate(zip(entries, sent), 1):
        raw = server.raw(entry)
        assert raw.endswith(mail) and len(raw) == entry["size"]
        whole = server.get(f"/v1/entries/{entry['id']}")
        assert whole.status == 200 and isinstance(whole.json["headers"], list)
        assert b"\r\n".join(box.retr(number)[1]) + b"\r\n" == raw
        for part in whole.json["attachments"]:
            assert server.get(f"/v1/entries/{entry['id']}/attachments/{part['index']}").status == 200
    box.quit()


def test_attachments_as_another_library_sees_them(server):
    """What Python's email package finds in the same bytes."""
    if not (SUITES / "mime-cpython").is_dir():
        pytest.skip("no suites")
    server.user("parts@suite.test")
    compared = 0
    with smtplib.SMTP(*server.address("smtp")) as c:
        for file, mail in messages("mime-cpython"):
            parsed = email.message_from_bytes(mail)
            names = [p.get_filename() for p in parsed.walk() if p.get_filename()]
            if not names or b"\0" in mail or any(isinstance(p.get_payload(), list) and p.get_content_maintype() == "message" for p in parsed.walk()):
                continue
            if any(p.defects for p in parsed.walk()):
                continue
            c.sendmail("x@y.test", ["parts@suite.test"], mail)
            entry = server.get(f"/v1/entries/{server.entries('parts@suite.test', limit=1)[0]['id']}").json
            ours = [a["filename"] for a in entry["attachments"] if a["filename"]]
            if any("\ufffd" in n or "'" in n or "%" in n for n in names):
                continue  # broken RFC 2231, on which libraries differ
            assert [n for n in names if n in ours] == names, file
            compared += 1
    assert compared >= 5
