"""The API over HTTPS, and what may leave loopback."""
import json
import signal
import socket
import ssl
import subprocess

import pytest
from server import BINARY, Server, until


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    (folder / "key.pem").chmod(0o600)


def curl(server, *words):
    r = subprocess.run(["curl", "-sS", "--cacert", server.pem, *words], capture_output=True, text=True, timeout=30)
    assert r.returncode == 0, r.stderr
    return r.stdout


def test_https_and_its_new_certificate(tmp_path):
    certificate(tmp_path, "one.test")
    s = Server("--set", f"api.cert={tmp_path}/cert.pem", "--set", f"api.key={tmp_path}/key.pem", data=tmp_path / "data").start()
    s.pem = tmp_path / "cert.pem"
    try:
        assert s.doors["api"].startswith("https://")
        me = json.loads(curl(s, s.doors["api"] + "/v1/me", "-H", f"Authorization: Bearer {s.key}"))
        assert me["account_id"].startswith("acc_")
        with pytest.raises(ssl.SSLError):
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_1
            with socket.create_connection(("127.0.0.1", s.port("api"))) as c:
                old.wrap_socket(c)
        address = ("127.0.0.1", s.port("api"))
        former = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        former.check_hostname, former.verify_mode, former.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
        with socket.create_connection(address, timeout=30) as c, former.wrap_socket(c) as tls:
            tls.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert tls.version() == "TLSv1.2" and tls.recv(12) == b"HTTP/1.1 200"
        before = ssl.get_server_certificate(address)
        certificate(tmp_path, "two.test")
        s.process.send_signal(signal.SIGHUP)
        until(lambda: ssl.get_server_certificate(address) != before)
        assert curl(s, s.doors["api"] + "/livez")
    finally:
        s.stop()


@pytest.mark.parametrize("flags, refused", [
    ([], True),
    (["--set", "api.behind_proxy=true"], True),
    (["--set", "api.behind_proxy=true", "--set", "api.trusted_proxies=127.0.0.1"], False),
])
def test_off_loopback_plain_http_needs_a_named_proxy(tmp_path, flags, refused):
    s = Server("--set", "api.listen=*:0", *flags, data=tmp_path / "data")
    if not refused:
        s.start()
        s.stop()
        return
    r = subprocess.run([BINARY, "serve", "--data", s.data, "--ephemeral", *s.flags], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "api.trusted_proxies" in r.stderr and "api.cert" in r.stderr, r.stderr
