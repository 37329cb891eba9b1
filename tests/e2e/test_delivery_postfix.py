"""Postfix receives what we send, and hands it on to a peer that keeps it: TLS, internationalized mail, limits, refusals."""
import email
import shutil
import subprocess
import types

import pytest
from peer import Peer, certificate
from server import Server, until
from test_delivery import EIGHT, LIVE, by_relay, ended, kinds, send, send_raw
from test_peers import Postfix, need_root
from test_reports import fields, report, submit

pytestmark = need_root


@pytest.fixture(scope="module")
def way(store):
    with Peer() as end:
        tls = {"smtpd_tls_cert_file": certificate() / "cert.pem", "smtpd_tls_key_file": certificate() / "key.pem", "smtpd_tls_security_level": "may",
               "message_size_limit": 60000, "smtpd_recipient_restrictions": "check_recipient_access inline:{{no@far.test=REJECT}, {later@far.test=DEFER}}, permit_mynetworks, reject"}
        with Postfix((end.host, end.port), **tls) as postfix, by_relay(types.SimpleNamespace(host="127.0.0.1", port=postfix.port)) as s:
            yield s, postfix, end


def arrived(end, to):
    return until(lambda: next((m for m in end.mails if to in m.recipients), None))


def test_a_mail_by_tls(way):
    s, postfix, end = way
    m = send(s, "x@far.test")
    d = ended(s, m)["x@far.test"]
    assert d["last"]["tls"]["version"] == "TLSv1.3" and d["last"]["tls"]["verified"] is False
    assert arrived(end, "x@far.test").body.endswith(b"The quick brown walrus.\r\n")
    assert "with ESMTPS" in arrived(end, "x@far.test").body.decode()  # as Postfix saw it


def test_each_recipient_by_its_own_answer(way):
    s, postfix, end = way
    d = ended(s, send(s, "yes@far.test", "no@far.test", "later@far.test"), "delivered", "bounced", "deferred")
    assert {k.split("@")[0]: v["status"] for k, v in d.items()} == {"yes": "delivered", "no": "bounced", "later": "deferred"}
    assert d["no@far.test"]["last"]["code"] == 554 and d["later@far.test"]["last"]["code"] == 450


def test_too_large_by_its_limit(way):
    s, postfix, end = way
    d = ended(s, send(s, "big@far.test", text="0123456789\n" * 9000), "bounced", "failed")["big@far.test"]
    assert d["last"]["enhanced"] == "5.3.4"


def test_internationalized_mail(way):
    s, postfix, end = way
    mail = EIGHT.replace(b"x@far.test", "grüße@far.test".encode()).replace(b"eight", "Grüße".encode())
    m = send_raw(s, mail)
    ended(s, m)
    got = arrived(end, "grüße@far.test")
    assert "SMTPUTF8" in got.params and got.body.endswith(mail.partition(b"\r\n\r\n")[2])
    assert kinds(s, m).count("email.delivered") == 1


def postfix_with_logins(end):
    """It gives on what who is logged in sends. Its users are in a file, for Cyrus SASL."""
    postfix = Postfix((end.host, end.port), smtpd_sasl_auth_enable="yes", smtpd_sasl_local_domain="peer.test", smtpd_tls_auth_only="yes",
                      smtpd_tls_cert_file=certificate() / "cert.pem", smtpd_tls_key_file=certificate() / "key.pem", smtpd_tls_security_level="may",
                      mynetworks="192.0.2.0/24", smtpd_relay_restrictions="permit_sasl_authenticated, reject")
    folder = postfix.etc / "sasl"  # where Debian's looks
    folder.mkdir()
    (folder / "smtpd.conf").write_text(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/users\nmech_list: PLAIN LOGIN\n")
    subprocess.run(["saslpasswd2", "-p", "-c", "-u", "peer.test", "-f", folder / "users", "jo"], input="swordfish", text=True, check=True)
    shutil.chown(folder / "users", "postfix")
    return postfix


@pytest.mark.skipif(not shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin"), reason="no sasl2-bin")
def test_a_relay_that_wants_a_login():
    """A wrong password stops the route; with the right one mail goes on."""
    with Peer() as end, postfix_with_logins(end) as postfix, Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "hold"}) as s:
        r = s.make("/v1/routes", {"type": "relay", "hosts": ["127.0.0.1"], "port": postfix.port, "private": True, "tls": "require", "insecure_auth": True,
                                  "username": "jo@peer.test", "password": "wrong"})
        m = send(s, "x@far.test")
        last = ended(s, m, "deferred")["x@far.test"]["last"]
        assert (last["enhanced"], last["cause"], last["code"]) == ("4.7.8", "auth", 535) and not end.seen, last
        assert s.call("PATCH", f"/v1/routes/{r['id']}", {"password": "swordfish"}).status == 200
        d = ended(s, send(s, "y@far.test"))["y@far.test"]
        assert d["last"]["tls"]["policy"] == "require" and arrived(end, "y@far.test") and "sasl_username=jo@peer.test" in postfix.log()


def test_many_at_once_arrive_once(way):
    s, postfix, end = way
    ms = [send(s, f"n{i}@far.test") for i in range(40)]
    for m in ms:
        ended(s, m)
    for i in range(40):
        arrived(end, f"n{i}@far.test")
    assert sorted(r for m in end.seen for r in m.recipients if r.startswith("n") and r != "no@far.test") == sorted(f"n{i}@far.test" for i in range(40))


def test_without_dsn_and_eight_bits():
    """A Postfix that offers neither: what it gets is converted, and who asked is told that it was handed on."""
    with Peer() as end, Postfix((end.host, end.port), smtpd_discard_ehlo_keywords="dsn, 8bitmime") as postfix, \
            by_relay(types.SimpleNamespace(host="127.0.0.1", port=postfix.port)) as s:
        ended(s, send_raw(s, EIGHT))
        got = arrived(end, "x@far.test")
        assert got.body.isascii() and email.message_from_bytes(got.body).get_payload(decode=True).decode() == "Grüße an alle\r\n"
        s.user("ana@example.test")
        submit(s, "y@far.test", mail=["NOTIFY=SUCCESS"])
        assert fields(report(s))[1]["Action"] == "relayed" and arrived(end, "y@far.test")
