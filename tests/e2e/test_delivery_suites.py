"""Public messages that leave: each file of the MIME suites, under an author of ours, arrives byte for byte at a peer with 8BITMIME, and
converted at one without, with the same content, and dkimpy verifies both signatures. What cannot be sent so (a NUL, no header) has its reason
from the API."""
import email
import quopri
import re

import dkim
import pytest
from peer import Peer
from server import SUITES, until
from test_delivery import by_relay, ended
from test_suites import messages

FOLDERS = ["mime-cpython", "mime-mime4j", "mime-stalwart-parser"]
OURS = re.compile(rb"^(from|sender|bcc|to|cc|resent-[a-z-]+|date|message-id|return-path)[ \t]*:.*\r\n([ \t].*\r\n)*", re.I | re.M)


def under_our_name(mail, number):
    """The content as it is; of the header, what says from whom, to whom and when is ours."""
    head, blank, body = mail.partition(b"\r\n\r\n")
    ours = f"From: app@example.test\r\nTo: x@far.test\r\nDate: Sat, 28 Nov 2026 07:00:00 +0000\r\nMessage-ID: <{number}@example.test>\r\n"
    return ours.encode() + OURS.sub(b"", head + b"\r\n") + b"\r\n" + body


def send_all(s, folder, wanted=lambda mail: True):
    """(file, mail, message) of those that were taken, and the names of those that were not."""
    sent, refused = [], {}
    s.make("/v1/domains", {"name": "example.test"})
    for number, (file, mail) in enumerate(messages(folder)):
        if "_decoded" in file.name:  # what a parser should find, no message
            continue
        mail = under_our_name(mail, number)
        mail = mail if mail.endswith(b"\r\n") else mail + b"\r\n"
        if not wanted(mail):
            continue
        answer = s.call("POST", "/v1/messages", raw=mail, headers={"Content-Type": "message/rfc822"})
        if answer.status == 202:
            sent.append((file, mail, answer.json))
        else:
            refused[file.name] = answer.json
    return sent, refused


def has_long_lines(mail):
    return max(map(len, mail.partition(b"\r\n\r\n")[2].split(b"\r\n"))) > 998


@pytest.fixture(params=FOLDERS)
def folder(request):
    if not (SUITES / request.param).is_dir():
        pytest.skip(f"no {SUITES / request.param}")
    return request.param


def published(s):
    """What the DNS would say of the domain's keys."""
    records = {r["name"].rstrip("."): r["value"].encode() for r in s.get("/v1/domains/example.test").json["records"] if r["purpose"] == "dkim"}
    return lambda name, timeout=5: records.get(name.decode().rstrip("."))


FIELD = re.compile(rb"[\x21-\x7e]+:|[ \t]|From ")


def has_only_fields(mail):
    """Of a line that is no field nobody can say whether the body begins there, but for that of a mailbox file."""
    return all(FIELD.match(line) for line in mail.partition(b"\r\n\r\n")[0].split(b"\r\n"))


def check_signatures(mail, dns, file):
    """Both are ours, and come first."""
    if has_only_fields(mail):
        assert [dkim.DKIM(mail).verify(idx=i, dnsfunc=dns) for i in range(2)] == [True, True], file


def test_public_messages_leave_as_they_are(folder):
    with Peer() as peer, by_relay(peer) as s:
        sent, refused = send_all(s, folder)
        assert len(sent) >= 20 and all(r["code"] == "validation_error" for r in refused.values()), list(refused.values())
        until(lambda: len(peer.mails) >= len(sent), 120)
        got = {email.message_from_bytes(m.body)["Message-ID"]: m.body for m in peer.mails}
        dns = published(s)
        assert sum(map(has_only_fields, got.values())) > 0.8 * len(got)
        for number, (file, mail, _) in enumerate(sent):
            body = got[email.message_from_bytes(mail)["Message-ID"]]
            check_signatures(body, dns, file)
            if has_long_lines(mail):  # RFC 5321 4.5.3.1.6: no line may be longer, so it is put in another encoding
                assert not has_long_lines(body), file
                assert quopri.decodestring(body.partition(b"\r\n\r\n")[2]) == mail.partition(b"\r\n\r\n")[2], file
            else:
                assert body.endswith(mail), file


def leaves(mail):
    return [p.get_payload(decode=True) for p in email.message_from_bytes(mail).walk() if not p.is_multipart()]


def is_sound(mail):
    return not any(p.defects for p in email.message_from_bytes(mail).walk())


def test_public_messages_are_converted_where_they_must_be(folder):
    with Peer(offers=("PIPELINING", "SIZE 50000000")) as peer, by_relay(peer) as s:
        sent, _ = send_all(s, folder, lambda mail: not mail.partition(b"\r\n\r\n")[2].isascii())
        ends = [(file, mail, ended(s, m, "delivered", "bounced", "failed")["x@far.test"]) for file, mail, m in sent]
        got = {email.message_from_bytes(m.body)["Message-ID"]: m.body for m in peer.mails}
        assert len(got) >= len(sent) // 2 > 0 or folder == "mime-cpython"
        dns = published(s)
        for file, mail, end in ends:
            if end["status"] != "delivered":
                assert end["last"]["enhanced"] in ("5.6.3", "5.6.7"), (file, end)
                continue
            body = got[email.message_from_bytes(mail)["Message-ID"]]
            assert body.partition(b"\r\n\r\n")[2].isascii(), file
            check_signatures(body, dns, file)
            if is_sound(mail):
                assert leaves(body) == leaves(mail), file
