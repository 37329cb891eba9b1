"""What is kept tells nothing of the mail."""
import base64
import smtplib

from kept import everything
from server import PASSWORD, Server

WORDS = ["Zeppelin-subject", "Quokka-body", "Platypus-html", "narwhal-attachment", "Axolotl-content", "Ocelot-inbound", "Wombat-inbound-body"]


def test_a_dump_shows_no_content(tmp_path):
    s = Server(data=tmp_path / "data").start()
    s.user("ana@rest.test")
    content = base64.b64encode(("Axolotl-content " * 40_000).encode()).decode()  # beyond what is kept in the row
    s.make("/v1/messages", {"from": "ana@rest.test", "to": ["ana@rest.test", "x@outside.test"], "subject": "Zeppelin-subject", "text": "Quokka-body",
                            "html": "<p>Platypus-html</p>", "attachments": [{"filename": "narwhal-attachment.txt", "content": content}]},
           headers={"Idempotency-Key": "k1"})
    with smtplib.SMTP(*s.address("smtp")) as c:
        c.sendmail("x@y.test", ["ana@rest.test"], b"Subject: Ocelot-inbound\r\n\r\nWombat-inbound-body\r\n")
    assert len(s.entries("ana@rest.test")) == 2
    s.kill()
    disk = everything(s)
    log = s.log_text()
    s.start()
    subjects = {e["subject"] for e in s.entries("ana@rest.test")}
    s.stop()
    assert subjects == {"Zeppelin-subject", "Ocelot-inbound"}
    disk += everything(s)
    for word in [*WORDS, PASSWORD, s.key]:
        for form in (word.encode(), base64.b64encode(word.encode())[2:-4]):
            assert form not in disk, word
        assert word not in log, word
    assert b"ana@rest.test" in disk  # addresses are not content: the test would see them
