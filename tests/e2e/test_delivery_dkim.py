"""DKIM signatures of what leaves and of what is captured: dkimpy verifies both, OpenDKIM (built without Ed25519) the RSA one, also behind a
conversion; what stays here has none, and without a key the operator's word counts."""
import base64
import datetime
import re
import sqlite3
import subprocess

import dkim
import pytest
from nacl.signing import SigningKey
from peer import Peer
from server import Server, until
from test_delivery import EIGHT, by_relay, deliveries, ended, send, send_raw



def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True, timeout=60).stdout


def text(key):
    return base64.b64encode(key).decode()


class Keys:
    """Keys of our own, brought into the domain, with what the DNS would say of them."""

    def __init__(self, s, domain="example.test"):
        rsa, ed = openssl("genrsa", "2048"), SigningKey.generate()
        self.domain = domain
        self.records = {"old.rsa": "v=DKIM1; k=rsa; p=" + text(openssl("rsa", "-pubout", "-outform", "DER", given=rsa)),
                        "old-ed": "v=DKIM1; k=ed25519; p=" + text(bytes(ed.verify_key))}
        for selector, key in zip(self.records, (rsa.decode(), text(bytes(ed)))):
            s.make(f"/v1/domains/{domain}/dkim", {"selector": selector, "private_key": key})

    def dns(self, name, timeout=5):
        selector, _, domain = name.decode().rstrip(".").partition("._domainkey.")
        return self.records[selector].encode() if domain == self.domain else None

    def verify(self, mail, folder):
        found = dkim.DKIM(mail)
        tags = [re.sub(rb"\s", b"", h) for n, h in found.headers if n.lower() == b"dkim-signature"]
        ours = [t for t in tags if b"d=" + self.domain.encode() in t]
        assert [re.search(rb"a=([^;]*)", t)[1] for t in ours] == [b"rsa-sha256", b"ed25519-sha256"]
        for t in ours:
            assert b"c=relaxed/relaxed" in t and b";l=" not in t and re.search(rb"h=([^;]*)", t)[1].lower().split(b":").count(b"from") == 2
        assert [dkim.DKIM(mail).verify(idx=i, dnsfunc=self.dns) for i in range(2)] == [True, True]
        (folder / "keys").write_text(f"old.rsa._domainkey.{self.domain} {self.records['old.rsa']}\n")
        (folder / "conf").write_text(f"Mode v\nTestPublicKeys {folder}/keys\nSyslog no\n")
        (folder / "mail").write_bytes(mail)
        said = subprocess.run(["/usr/sbin/opendkim", "-x", folder / "conf", "-v", "-t", folder / "mail"], capture_output=True, text=True, timeout=60)
        assert "verification (s=old.rsa, d=" in said.stdout and "succeeded" in said.stdout, said
        return found


def signatures(mail):
    return len(re.findall(rb"(?im)^DKIM-Signature:", mail.partition(b"\r\n\r\n")[0]))


@pytest.fixture
def sandbox(store):
    with Server() as s:
        s.make("/v1/domains", {"name": "example.test"})
        yield s


def raw(s, m):
    return s.get(f"/v1/messages/{m['id']}/raw").body


def test_what_leaves_verifies(tmp_path):
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        keys = Keys(s)
        forms = [{}, {"text": "x\n"}, {"text": "  blanks \t\n\n\n\n"}, {"html": "<p>Ä</p>", "subject": "Ünicode " * 20},
                 {"text": "line\n" * 200000}, {"attachments": [{"filename": "a.bin", "content": base64.b64encode(bytes(range(256)) * 2000).decode()}]}]
        for n, form in enumerate(forms):
            ended(s, send(s, f"n{n}@far.test", "y@else.test", **form))
        for mail in peer.mails:
            found = keys.verify(mail.body, tmp_path)
            assert re.search(rb"(?m)^Feedback-ID: transactional:acc_\w+:postrider\r$", mail.body)
            assert b"feedback-id" in dict(found.headers)[b"DKIM-Signature"].lower() and f"SIZE={len(mail.body)}" in mail.params
        assert len(peer.mails) == 2 * len(forms)


def test_what_a_host_needs_converted_verifies(tmp_path):
    with Peer(offers=("PIPELINING", "SIZE 50000000")) as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        keys = Keys(s)
        ended(s, send_raw(s, EIGHT))
        ended(s, send_raw(s, EIGHT.replace(b"\r\n\r\n", b"\r\nFeedback-ID: a:b:c:d\r\nReferences: " + b"<a@example.test>\r\n " * 3000 + b"<b@example.test>\r\n\r\n", 1)))
        for mail in peer.mails:
            assert mail.body.isascii() and signatures(mail.body) == 2 and f"SIZE={len(mail.body)}" in mail.params
            keys.verify(mail.body, tmp_path)
        assert len(peer.mails) == 2


def test_a_line_of_a_mailbox_file_ends_no_header(tmp_path):
    """Who verifies passes over it: what stands behind it is signed as fields, and the body begins at the empty line."""
    mail = (b"From: app@example.test\r\nTo: x@far.test\r\nMessage-ID: <1@example.test>\r\nFrom ana Sat Nov 28 10:00:00 2026\r\n"
            b"Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nSubject: moved\r\n\r\nFrom here on\r\n")
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        keys = Keys(s)
        m = send_raw(s, mail)
        ended(s, m)
        assert peer.mails[0].body.endswith(mail) and s.get(f"/v1/messages/{m['id']}").json["subject"] == "moved"
        keys.verify(peer.mails[0].body, tmp_path)


def test_what_is_captured_is_as_it_would_leave(sandbox, tmp_path):
    s = sandbox
    keys = Keys(s)
    s.user("ana@example.test")
    m = send(s, "x@far.test", "ana@example.test")
    assert ended(s, m, "captured", "delivered")["x@far.test"]["status"] == "captured"
    keys.verify(raw(s, m), tmp_path)
    [entry] = s.entries("ana@example.test")
    assert signatures(s.get(f"/v1/entries/{entry['id']}/raw").body) == 2  # one mail, one text
    assert signatures(raw(s, send(s, "ana@example.test"))) == 0  # it goes nowhere


def test_what_begins_later_is_signed_then(tmp_path):
    """By the keys of then, with the Date that it gets: as it is captured, as it lies in Sent and as it leaves."""
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        s.user("ana@example.test")
        forms = [{}, {"html": "<p>Ä</p>"}, {"text": "line\n" * 200000}, {"attachments": [{"filename": "a.bin", "content": base64.b64encode(bytes(range(256)) * 2000).decode()}]}]
        waiting = [send(s, "y@far.test", **{"from": "ana@example.test", "save_to_sent": True, "scheduled_at": later} | form) for form in forms]
        assert all(signatures(raw(s, m)) == 0 for m in waiting)
        keys = Keys(s)
        for m in waiting:
            assert s.call("PATCH", f"/v1/messages/{m['id']}", {"scheduled_at": None}).status == 200
            ended(s, m)
        for mail in peer.mails:
            found = keys.verify(mail.body, tmp_path)
            assert b"date" in dict(found.headers)[b"DKIM-Signature"].lower() and [n.lower() for n, _ in found.headers].count(b"date") == 1
        assert len(peer.mails) == len(forms) and {raw(s, m) for m in waiting} == {mail.body for mail in peer.mails}
        sent = next(b for b in s.get("/v1/users/ana@example.test/mailboxes").json["data"] if b["role"] == "sent")
        for entry in s.get(f"/v1/mailboxes/{sent['id']}/entries").json["data"]:
            keys.verify(s.get(f"/v1/entries/{entry['id']}/raw").body, tmp_path)


def test_sent_holds_what_left(sandbox, tmp_path):
    s = sandbox
    keys = Keys(s)
    s.user("ana@example.test")
    send(s, "x@far.test", **{"from": "ana@example.test", "save_to_sent": True})
    sent = next(b for b in s.get("/v1/users/ana@example.test/mailboxes").json["data"] if b["role"] == "sent")
    [entry] = s.get(f"/v1/mailboxes/{sent['id']}/entries").json["data"]
    mail = s.get(f"/v1/entries/{entry['id']}/raw").body
    keys.verify(mail, tmp_path)
    assert len(mail) == entry["size"]


def test_a_test_key_gets_no_signature(sandbox):
    """Whoever has one could read it, and send it from elsewhere."""
    key = sandbox.make("/v1/keys", {"name": "ci", "mode": "test", "scopes": ["send", "messages:read"]})["secret"]
    m = sandbox.post("/v1/messages", {"from": "a@example.test", "to": ["x@far.test"], "subject": "x", "text": "x"}, key=key).json
    assert m["mode"] == "test" and signatures(sandbox.get(f"/v1/messages/{m['id']}/raw", key=key).body) == 0


def wrapped_by(s, name):
    """As if the keys had been sealed by another server; or by this one again. What the name was."""
    with sqlite3.connect(s.data / "postrider.db", timeout=30) as db:
        [was] = {w for (w,) in db.execute("SELECT DISTINCT wrap FROM dkim")}
        db.execute("UPDATE dkim SET wrap = ?", (name.encode() if isinstance(was, bytes) else name,))
    return was


@pytest.mark.only_sqlite("the sealed keys are reached by SQL")
def test_what_was_held_for_its_key_is_signed_when_it_is_let_go(tmp_path):
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        keys = Keys(s)
        ours = wrapped_by(s, "00000000")
        m = send(s, "x@far.test")
        d = ended(s, m, "held")["x@far.test"]
        assert d["last"]["enhanced"] == "4.7.5" and d["last"]["cause"] == "dkim" and not peer.mails
        [told] = [e for e in s.get("/v1/events?type=domain.dkim_failed").json["data"]]
        assert "old.rsa" in told["data"]["text"] and told["data"]["on_failure"] == "hold"
        where = f"/v1/deliveries/{d['id']}/release"
        assert s.post(where).status == 200
        until(lambda: (x := deliveries(s, m)["x@far.test"])["attempts"] > d["attempts"] and x["status"] == "held")
        wrapped_by(s, ours)
        until(lambda: deliveries(s, m)["x@far.test"]["status"] == "delivered" or not s.post(where))  # what did not open is remembered for a second
        [mail] = peer.mails
        keys.verify(mail.body, tmp_path)
        assert f"SIZE={len(mail.body)}" in mail.params
