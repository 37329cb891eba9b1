"""Servers and clients that we did not write: Postfix sends to us, fetchmail reads from us."""
import os
import pathlib
import pwd
import shutil
import smtplib
import socket
import subprocess
import tempfile

import pytest
from server import PASSWORD, Server, free_port, until

need_root = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts only as root")


class Postfix:
    """An instance in a folder of its own (its user must reach it): takes mail on a loopback port, hands everything to `relay`."""

    def __init__(self, relay, **settings):
        self.temporary = tempfile.TemporaryDirectory(prefix="postrider-postfix-", ignore_cleanup_errors=True)
        self.folder, self.port = pathlib.Path(self.temporary.name), free_port()
        self.etc, spool, data = self.folder / "etc", self.folder / "spool", self.folder / "lib"
        for d in (self.etc, spool, data):
            d.mkdir(parents=True)
        os.chmod(self.folder, 0o755)
        shutil.chown(data, "postfix")
        host, port = relay
        config = {
            "compatibility_level": "3.6", "queue_directory": spool, "data_directory": data, "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin", "meta_directory": "/etc/postfix", "shlib_directory": "/usr/lib/postfix",
            "mail_owner": "postfix", "setgid_group": "postdrop", "myhostname": "peer.test", "mydestination": "", "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8", "relayhost": f"[{host}]:{port}", "maillog_file": self.folder / "log",
            "maillog_file_prefixes": str(self.folder), "smtp_tls_security_level": "may", "smtp_host_lookup": "native", "alias_maps": "",
            "alias_database": "", "local_recipient_maps": "", "smtputf8_enable": "yes", "bounce_queue_lifetime": "0", "maximal_queue_lifetime": "0",
            "smtp_tls_loglevel": "1",
        } | settings
        (self.etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in config.items()))
        master = pathlib.Path("/usr/share/postfix/master.cf.dist").read_text().splitlines()
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
        for line in master:  # everything but the listeners, and nothing in a chroot
            words = line.split()
            if len(words) >= 8 and words[0] != "smtp" or len(words) >= 8 and words[1] == "unix":
                if words[1] in ("unix", "fifo") and words[0] != "postlog" and not line.startswith("#"):
                    words[4] = "n"
                    lines.append(" ".join(words))
        (self.etc / "master.cf").write_text("\n".join(lines) + "\n")

    def __enter__(self):
        self.run("start")
        until(lambda: self.answers())
        return self

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(100).startswith(b"220")
        except OSError:
            return False

    def run(self, verb):
        r = subprocess.run(["postfix", "-c", self.etc, verb], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr + self.log()

    def __exit__(self, *_):
        self.run("stop")
        self.temporary.cleanup()

    def log(self):
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""


@need_root
def test_postfix_sends_to_us_with_tls_pipelining_and_bdat(server):
    for i in range(3):
        server.user(f"u{i}@peer-in.test")
    body = b"From: x@peer.test\r\nTo: u0@peer-in.test\r\nSubject: from postfix\r\n\r\n" + b".leading dot\r\n" + b"x" * 900 + b"\r\n" * 3
    with Postfix(server.address("smtp")) as p:
        with smtplib.SMTP("127.0.0.1", p.port) as c:
            for i in range(20):
                c.sendmail("x@peer.test", [f"u{j}@peer-in.test" for j in range(3)], body)
            refused = "nobody@peer-in.test"
            c.sendmail("x@peer.test", [refused], body)
        until(lambda: all(len(server.entries(f"u{j}@peer-in.test")) == 20 for j in range(3)), 60)
        until(lambda: f"to=<{refused}>" in p.log() and "550 5.1.1" in p.log())
        assert "TLS connection established" in p.log() and "status=sent (250 2.0.0 queued as msg_" in p.log()
    entry = server.entries("u0@peer-in.test")[0]
    raw = server.raw(entry)
    assert raw.endswith(b".leading dot\r\n" + b"x" * 900 + b"\r\n" * 3)
    assert b"with ESMTPS" in raw and b"TLSv1.3" in raw


@need_root
def test_postfix_without_tls_and_with_utf8_addresses(server):
    server.user("ana@bücher.test")
    with Postfix(server.address("smtp"), smtp_tls_security_level="none") as p:
        with smtplib.SMTP("127.0.0.1", p.port) as c:
            c.ehlo()
            c.mail("grüße@peer.test", ["SMTPUTF8"])
            assert c.rcpt("ana@bücher.test")[0] == 250
            assert c.data("From: grüße@peer.test\r\nSubject: Grüße\r\n\r\nx\r\n".encode())[0] == 250
        until(lambda: server.entries("ana@bücher.test"), 30)
        assert "TLS connection" not in p.log()
    [entry] = server.entries("ana@bücher.test")
    assert entry["subject"] == "Grüße"


def fetchmail(server, tmp_path, user, port, proto_flags, *more):
    """Fetches over POP3 into a file through a delivery command."""
    out = tmp_path / "fetched"
    rc = tmp_path / "fetchmailrc"
    rc.write_text(f'poll 127.0.0.1 protocol pop3 port {port} uidl user "{user}" password "{PASSWORD}" {proto_flags} '
                  f'mda "/bin/sh -c \'cat >> {out}; echo ===== >> {out}\'"\n')
    rc.chmod(0o600)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    r = subprocess.run(["fetchmail", "-f", rc, "--nosyslog", "--pidfile", tmp_path / "pid", "-i", tmp_path / "ids", *more],
                       capture_output=True, text=True, timeout=120, env={"HOME": str(home), "PATH": os.environ["PATH"], "FETCHMAILHOME": str(home)})
    return r, out.read_text() if out.exists() else ""


@pytest.mark.parametrize("door, flags", [("pop3", "sslproto ''"), ("pop3", "sslproto 'auto' no sslcertck"), ("pop3s", "ssl no sslcertck")])
def test_fetchmail_reads_from_us(server, tmp_path, door, flags):
    user = f"{door}{len(flags)}@fetch.test"
    server.user(user)
    for i in range(5):
        server.make("/v1/messages", {"from": user, "to": user, "subject": f"number {i}", "text": f"body {i}\n.\n..dots"})
    r, text = fetchmail(server, tmp_path, user, server.port(door), flags + " keep")
    assert r.returncode == 0, r.stdout + r.stderr
    assert text.count("=====") == 5 and all(f"Subject: number {i}" in text for i in range(5)) and "\n.\n..dots" in text
    r, text = fetchmail(server, tmp_path, user, server.port(door), flags + " keep")
    assert r.returncode == 1 and text.count("=====") == 5  # stable UIDL: nothing new
    r, text = fetchmail(server, tmp_path, user, server.port(door), flags + " fetchall nokeep")
    assert r.returncode == 0 and server.entries(user) == []
