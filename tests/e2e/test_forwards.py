"""Addresses whose mail is sent on: made through API and command line, tried with a peer and with what Postfix reports about it."""
import json
import smtplib
import subprocess

from peer import Peer
from server import BINARY, Server, until
from sending import fault
from test_delivery import LIVE, by_relay
from test_peers import Postfix, need_root


def forward(s, address, *to, user=None):
    domain = address.split("@")[1]
    if s.get(f"/v1/domains/{domain}").status == 404:
        s.make("/v1/domains", {"name": domain})
    s.make(f"/v1/domains/{domain}/verify", {"force": True})
    return s.make("/v1/addresses", {"address": address, "target": {"type": "forward", "addresses": list(to), "user_id": user}})


def comes(s, to, sender="far@away.test", text="The quick brown walrus."):
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        return c.sendmail(sender, [to], f"From: far@away.test\r\nTo: {to}\r\nSubject: on\r\n\r\n{text}\r\n")


def test_mail_is_sent_on_and_its_report_back():
    with Peer() as peer, by_relay(peer) as s:
        ana = s.user("ana@fwd.test")
        forward(s, "team@fwd.test", "x@far.test", "y@far.test", user=ana["id"])
        comes(s, "team+now@fwd.test")
        mail = until(lambda: peer.mails and peer.mails[0])
        assert sorted(mail.recipients) == ["x@far.test", "y@far.test"] and mail.body.startswith(b"Delivered-To: team+now@fwd.test\r\nReceived:")
        assert mail.sender.startswith("SRS0=") and mail.sender.endswith("=away.test=far@fwd.test") and len(s.entries("ana@fwd.test")) == 1
        assert f"SIZE={len(mail.body)}" in mail.params
        with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
            c.ehlo()
            c.mail("somebody@away.test")
            assert c.rcpt(mail.sender)[0] == 550
            c.rset()
            c.mail("")
            assert c.rcpt(mail.sender.replace("far@", "rot@"))[0] == 550 and c.rcpt(mail.sender.lower())[0] == 250
            assert c.data("From: <>\r\nSubject: it failed\r\n\r\nno walrus\r\n")[0] == 250
        back = until(lambda: len(peer.mails) > 1 and peer.mails[1])
        assert (back.sender, back.recipients) == ("", ["far@away.test"])


@need_root
def test_what_postfix_reports_goes_back_to_the_sender():
    with Peer(RCPT=lambda session, argument: "550 5.1.1 no such walrus" if "gone" in argument else "250 ok") as end, \
            Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "relay"}) as s:
        with Postfix((end.host, end.port), transport_maps=f"inline:{{fwd.test=smtp:[127.0.0.1]:{s.port('smtp')}}}", smtp_tls_security_level="none") as postfix:
            for name, value in (("relay", "127.0.0.1"), ("relay_port", str(postfix.port))):
                assert s.call("PATCH", f"/v1/settings/delivery.{name}", {"value": value}).status == 200
            forward(s, "team@fwd.test", "gone@far.test")
            comes(s, "team@fwd.test")
            back = until(lambda: end.mails and end.mails[0], 60)
            assert (back.sender, back.recipients) == ("", ["far@away.test"]) and b"no such walrus" in back.body


def test_a_circle_over_another_server_ends():
    """The peer sends everything back."""
    with Peer() as peer, by_relay(peer) as s:
        forward(s, "loop@fwd.test", "loop@far.test")
        comes(s, "loop@fwd.test")
        mail = until(lambda: peer.mails and peer.mails[0])
        with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
            c.sendmail(mail.sender, ["loop@fwd.test"], mail.body)
        d = until(lambda: s.get("/v1/deliveries?status=bounced").json["data"])
        assert [x["last"]["enhanced"] for x in d] == ["5.4.6"] and len(peer.seen) == 1


def test_the_resource(server):
    server.user("ana@shape.test")
    made = forward(server, "on@shape.test", "X@Far.Test", "x@far.test", "ANA@shape.test")
    assert made["target"] == {"type": "forward", "addresses": ["X@far.test", "x@far.test", "ana@shape.test"], "user_id": None}
    path = f"/v1/addresses/{made['id']}"
    changed = server.call("PATCH", path, {"target": {"type": "user", "user_id": "ana@shape.test"}}).json
    assert changed["target"] == {"type": "user", "user_id": server.get("/v1/users/ana@shape.test").json["id"]}
    server.call("PATCH", path, {"target": {"type": "forward", "addresses": ["x@far.test"], "user_id": "ana@shape.test"}})
    assert server.get(path).json["target"]["addresses"] == ["x@far.test"]
    for target, pointer in (({"type": "forward"}, "/target/addresses"), ({"type": "user"}, "/target/user_id"),
                            ({"type": "forward", "addresses": ["on@shape.test"]}, "/target/addresses/0"),
                            ({"type": "user", "user_id": "ana@shape.test", "addresses": ["x@far.test"]}, "/target/addresses"),
                            ({"type": "forward", "addresses": ["x@far.test"], "user_id": "usr_nobody"}, "/target/user_id")):
        answer = server.call("PATCH", path, {"target": target})
        assert answer.status == 422 and [x["pointer"] for x in answer.json["errors"]] == [pointer], answer
    fault(server.call("PATCH", path, {"target": {"type": "forward", "addresses": [f"{i}@far.test" for i in range(21)]}}), "/target/addresses", code="validation_error")
    assert server.call("DELETE", path).status == 204 and server.call("DELETE", "/v1/users/ana@shape.test?erase=true").status == 204
    assert server.call("DELETE", "/v1/domains/shape.test").status == 204  # nothing is counted twice


def test_the_command_line(server):
    server.user("ana@line.test")
    r = subprocess.run([BINARY, "user", "forward", "on@line.test", "x@far.test", "--to", "y@far.test", "--keep", "ana@line.test", "--json",
                        "--url", server.doors["api"], "--key", server.key], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["target"]["addresses"] == ["x@far.test", "y@far.test"] and json.loads(r.stdout)["target"]["user_id"]
