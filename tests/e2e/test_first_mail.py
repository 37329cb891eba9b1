"""The skeleton through every layer: domain, user, send, mailbox, POP3, restart."""
import poplib
import smtplib

from server import PASSWORD, Server


def test_sent_by_api_seen_in_mailbox_read_by_pop3_after_restart(tmp_path):
    s = Server(data=tmp_path / "data").start()
    try:
        s.user("ana@first.test")
        sent = s.make("/v1/messages", {"from": "ana@first.test", "to": "ana@first.test", "subject": "Grüße", "text": "It works."})
        assert sent["status"] == "delivered" and sent["mode"] == "sandbox"
        s.restart()
        [entry] = s.entries("ana@first.test")
        assert entry["subject"] == "Grüße" and entry["message_id"]
        box = poplib.POP3(*s.address("pop3"))
        box.user("ana@first.test")
        box.pass_(PASSWORD)
        assert box.stat() == (1, entry["size"])
        lines = box.retr(1)[1]
        assert b"It works." in lines and sum(len(x) + 2 for x in lines) == entry["size"]
        box.quit()
    finally:
        s.stop()


def test_by_smtp_from_outside(server):
    server.user("bo@first.test")
    with smtplib.SMTP(*server.address("smtp")) as c:
        c.sendmail("x@elsewhere.test", ["bo@first.test"], b"From: x@elsewhere.test\r\nTo: bo@first.test\r\nSubject: hello\r\n\r\nHi\r\n")
    [entry] = server.entries("bo@first.test")
    assert entry["subject"] == "hello"
    raw = server.raw(entry)
    assert raw.startswith(b"Return-Path: <x@elsewhere.test>\r\n") and raw.endswith(b"\r\n\r\nHi\r\n")
