"""Mail to a Haraka, which keeps what it gets: TLS, refusals, eight bits, large mail. script/bootstrap installs it."""
import email
import os
import pathlib
import socket
import subprocess

import pytest
from peer import certificate
from server import ROOT, free_port, until
from test_delivery import EIGHT, by_relay, ended, send, send_raw

HARAKA = ROOT / ".venv/haraka/node_modules/.bin/haraka"
KEEP = """'use strict';
const fs = require('fs');
exports.hook_rcpt = (next, connection, params) => params[0].user === 'nobody' ? next(DENY, 'no such user here') : next(OK);
exports.hook_queue = (next, connection) => {
    const transaction = connection.transaction, file = `${process.env.KEPT}/${transaction.uuid}`, out = fs.createWriteStream(file);
    out.on('close', () => { fs.renameSync(file, `${file}.eml`); next(OK, 'kept'); });
    transaction.message_stream.pipe(out);
};
"""


class Haraka:
    """`host`, `port`; mails() are what it kept."""

    def __init__(self, folder):
        self.host, self.kept = "127.0.0.2", folder / "kept"
        self.port = free_port(self.host)
        self.kept.mkdir()
        subprocess.run([HARAKA, "-i", folder / "h"], check=True, capture_output=True)
        config = folder / "h/config"
        (config / "smtp.ini").write_text(f"listen={self.host}:{self.port}\nnodes=0\n")
        (config / "plugins").write_text("tls\nkeep\n")
        (folder / "h/plugins/keep.js").write_text(KEEP)
        for ours, name in ("cert.pem", "tls_cert.pem"), ("key.pem", "tls_key.pem"):
            (config / name).write_bytes((certificate() / ours).read_bytes())
        subprocess.run(["openssl", "dhparam", "-dsaparam", "-out", config / "dhparams.pem", "2048"], check=True, capture_output=True)
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([HARAKA, "-c", folder / "h"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=os.environ | {"KEPT": str(self.kept)})
        try:
            until(self.answers, 120)
        except AssertionError:
            self.end()
            raise

    def answers(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        try:
            with socket.create_connection((self.host, self.port), 5) as s:
                return s.recv(100).startswith(b"220")
        except OSError:
            return False

    def mails(self):
        return [email.message_from_bytes(f.read_bytes()) for f in sorted(self.kept.glob("*.eml"))]

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def haraka(tmp_path_factory):
    it = Haraka(tmp_path_factory.mktemp("haraka"))
    yield it
    it.end()


def test_haraka_takes_our_mail(haraka):
    large = "".join(f"line {i} of many\n" for i in range(60000))
    with by_relay(haraka) as s:
        d = ended(s, send(s, "x@far.test", "nobody@far.test", subject="plain"), "delivered", "bounced")
        assert d["x@far.test"]["status"] == "delivered" and d["x@far.test"]["last"]["tls"]["version"] == "TLSv1.3"
        assert d["nobody@far.test"]["status"] == "bounced" and d["nobody@far.test"]["last"]["cause"] == "unknown_user"
        ended(s, send_raw(s, EIGHT))
        ended(s, send(s, "x@far.test", subject="large", text=large))
        got = {m["Subject"]: m for m in haraka.mails()}
        assert got["plain"].get_payload(decode=True) == b"The quick brown walrus.\r\n"
        assert got["eight"].get_payload(decode=True).decode().strip() == "Grüße an alle"
        assert got["large"].get_payload(decode=True).count(b"of many") == 60000
