"""What senders are told: reports of failures by mail as Python's email reads them, and the reports of others about our mail, which Postfix
writes and brings back to the address that says which mail it was."""
import contextlib
import email
import email.policy
import smtplib

import dkim
from peer import Peer
from server import PASSWORD, Server, until
from test_delivery import LIVE, by_relay, ended, kinds, send
from test_delivery_crash import Killer
from test_peers import Postfix, need_root

BOUNCES = "b.example.test"


def submit(s, to, mail=("NOTIFY=FAILURE",), options=("RET=HDRS", "ENVID=QQ314+2B"), text="The quick brown walrus.\n"):
    with smtplib.SMTP(*s.address("submission"), timeout=60) as c:
        c.login("ana@example.test", PASSWORD)
        content = f"From: Ana <ana@example.test>\nTo: {to}\nSubject: Gr=?utf-8?q?=C3=BC?=e\nMessage-ID: <one@example.test>\n\n{text}"
        assert not c.sendmail("ana@example.test", [to], content, mail_options=list(options), rcpt_options=list(mail))


def report(s, user="ana@example.test", n=1):
    entries = until(lambda: (e := s.entries(user)) and len(e) >= n and e)
    return email.message_from_bytes(s.raw(entries[0]), policy=email.policy.default)


def fields(m):
    """Those of the message, and those of its one recipient."""
    return [dict(block) for block in m.get_payload()[1].get_payload()]


def test_a_refusal_comes_back_to_who_submitted():
    with Peer(RCPT="550 5.1.1 no <b>such</b> walrus") as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        submit(s, "x@far.test", mail=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;first+2Bone@far.test"])
        m = report(s)
        assert not [d for p in m.walk() for d in p.defects]
        assert m.get_content_type() == "multipart/report" and m["Auto-Submitted"] == "auto-replied" and m["In-Reply-To"] == "<one@example.test>"
        assert m["From"].addresses[0].addr_spec == "MAILER-DAEMON@mail.example.org" and m["To"] == "ana@example.test" and m["Return-Path"] == "<>"
        readable, status, original = m.get_payload()
        text, html = (p.get_content() for p in readable.iter_parts())
        assert "no <b>such</b> walrus" in text and "no &lt;b&gt;such&lt;/b&gt; walrus" in html and "Subject: Grüe" in text
        message, recipient = fields(m)
        assert message["Reporting-MTA"] == "dns; mail.example.org" and message["Original-Envelope-Id"] == "QQ314+" and message["Arrival-Date"]
        assert recipient["Final-Recipient"] == "rfc822; x@far.test" and recipient["Original-Recipient"] == "rfc822; first+one@far.test"
        assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1") and recipient["Diagnostic-Code"].endswith("walrus")
        assert original.get_content_type() == "text/rfc822-headers" and "walrus" not in original.get_content()


def test_the_whole_mail_comes_back():
    with Peer(RCPT="550 5.1.1 no") as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        submit(s, "x@far.test", options=["RET=FULL"])
        original = report(s).get_payload()[2]
        assert original.get_content_type() == "message/rfc822" and original.get_content().get_content() == "The quick brown walrus.\r\n"


def test_never_and_success():
    with Peer(offers=["PIPELINING"]) as old, by_relay(old) as s:
        s.user("ana@example.test")
        submit(s, "x@far.test", mail=["NOTIFY=SUCCESS"])
        [message, recipient] = fields(report(s))
        assert recipient["Action"] == "relayed" and recipient["Remote-MTA"] == f"dns; [{old.host}]"
        old.set(RCPT="550 5.1.1 no")
        submit(s, "x@far.test", mail=["NOTIFY=NEVER"])
        until(lambda: s.get("/v1/deliveries?status=bounced").json["data"])
        submit(s, "x@far.test", mail=["NOTIFY=FAILURE"])
        assert fields(report(s, n=2))[1]["Action"] == "failed" and len(s.entries("ana@example.test")) == 2


def test_of_the_api_where_it_is_asked_for():
    with Peer(RCPT="550 5.1.1 no") as peer, by_relay(peer) as s:
        s.user("app@example.test")
        ended(s, send(s, "x@far.test"), "bounced")
        ended(s, send(s, "y@far.test", dsn=True), "bounced")
        assert fields(report(s, "app@example.test"))[1]["Final-Recipient"] == "rfc822; y@far.test" and len(s.entries("app@example.test")) == 1


def test_one_that_leaves_is_signed():
    """Its sender has no mailbox here: by the domain that our own name is in."""
    with Peer(RCPT=lambda session, argument: "550 5.1.1 no" if "gone" in argument else "250 ok") as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "out.test", "inbound": "off"})
        s.make("/v1/domains", {"name": "example.org"})
        s.user("ana@example.test", send_as=["@out.test"])
        for domain in ("out.test", "example.org", "example.test"):
            s.make(f"/v1/domains/{domain}/verify", {"force": True})
        with smtplib.SMTP(*s.address("submission"), timeout=60) as c:
            c.login("ana@example.test", PASSWORD)
            c.sendmail("back@out.test", ["gone@far.test"], "From: ana@example.test\nSubject: x\n\nx\n")
        mail = until(lambda: peer.mails and peer.mails[0])
        m = email.message_from_bytes(mail.body, policy=email.policy.default)
        assert (mail.sender, mail.recipients) == ("", ["back@out.test"]) and fields(m)[1]["Final-Recipient"] == "rfc822; gone@far.test"
        signatures = m.get_all("DKIM-Signature")
        assert len(signatures) == 2 and all("d=example.org;" in x for x in signatures)
        keys = {r["name"].rstrip("."): r["value"].encode() for r in s.get("/v1/domains/example.org").json["records"] if r["purpose"] == "dkim"}
        assert all(dkim.DKIM(mail.body).verify(i, dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")]) for i in range(2))


class KillAtRefusal(Killer):
    def __call__(self, session, argument):
        return "550 5.1.1 no" if self.done.is_set() else super().__call__(session, argument)


def test_kill_9_doubles_no_report(tmp_path):
    """It dies before the refusal, or right after it, while that is written down with its report."""
    with Peer(offers=()) as peer, by_relay(peer, data=tmp_path / "data") as s:
        s.user("ana@example.test")
        for cycle in range(8):
            killer = KillAtRefusal("550 5.1.1 no" if cycle % 4 else None, s)
            peer.set(RCPT=killer)
            with contextlib.suppress(OSError, smtplib.SMTPException):
                submit(s, f"n{cycle}@far.test")
            assert killer.done.wait(60)
            s.process.wait(30)
            s.start()
            refused = until(lambda: (d := s.get("/v1/deliveries?status=bounced&limit=100").json["data"]) and len(d) == cycle + 1 and d, 60)
        until(lambda: len(s.entries("ana@example.test")) >= 8, 60)
        s.restart()  # and nothing more comes
        told = s.entries("ana@example.test")
        mails = [email.message_from_bytes(s.raw(e), policy=email.policy.default) for e in told]
        assert sorted(fields(m)[1]["Final-Recipient"] for m in mails) == sorted(f"rfc822; {d['email']}" for d in refused)


@need_root
def test_what_postfix_reports_finds_the_delivery(tmp_path):
    """Postfix takes the mail and hands it to a host that refuses it: its report comes to our return path. Rules of the operator's own say what it
    means, as they do in the dialogue."""
    def rcpt(session, argument):
        return "550 5.1.1 no such walrus" if "gone" in argument else "552 5.2.2 mailbox full" if "full" in argument else "250 ok"

    with Peer(RCPT=rcpt) as end, Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_BOUNCE_DOMAIN": BOUNCES}) as s:
        more = {"transport_maps": f"inline:{{{BOUNCES}=smtp:[127.0.0.1]:{s.port('smtp')}}}", "smtp_tls_security_level": "none",
                "maximal_queue_lifetime": "1h", "bounce_queue_lifetime": "1h",
                "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s"}  # a report that is faster than our own note is put off
        with Postfix((end.host, end.port), **more) as postfix:
            for name, value in (("relay", "127.0.0.1"), ("relay_port", str(postfix.port))):
                assert s.call("PATCH", f"/v1/settings/delivery.{name}", {"value": value}).status == 200
            one = send(s, "gone@far.test")
            two = send(s, "gone.too@far.test", "there@far.test")
            last = ended(s, one, "bounced", seconds=60)["gone@far.test"]["last"]
            assert last["cause"] == "unknown_user" and last["code"] == 550 and "no such walrus" in last["text"] and last["mx"]
            d = until(lambda: (d := ended(s, two, "bounced", "delivered")) and d["gone.too@far.test"]["status"] == "bounced" and d, 60)
            assert d["there@far.test"]["status"] == "delivered"
            [event] = [e for e in s.get(f"/v1/messages/{one['id']}/events?limit=100").json["data"] if e["type"] == "email.bounced"]
            assert event["data"]["async"] is True and event["email"] == "gone@far.test"
            assert s.get(f"/v1/messages/{one['id']}").json["status"] == "failed" and s.get(f"/v1/messages/{two['id']}").json["status"] == "partial"
            full = send(s, "full@far.test")
            until(lambda: "email.bounced" in kinds(s, full), 60)
            assert ended(s, full, "bounced")["full@far.test"]["last"]["cause"] == "mailbox_full"
            (tmp_path / "rules.json").write_text('{"rules": [{"id": "ours", "match": ["mailbox full"], "cause": "policy"}]}')
            assert s.call("PATCH", "/v1/settings/delivery.rules_file", {"value": str(tmp_path / "rules.json")}).status == 200
            again = send(s, "full.again@far.test")
            until(lambda: "email.bounced" in kinds(s, again), 60)
            last = ended(s, again, "bounced")["full.again@far.test"]["last"]
            assert (last["cause"], last["rule"]) == ("policy", "ours")
            check = lambda email: s.get(f"/v1/suppressions/check?email={email}").json["suppressed"]  # noqa: E731
            assert check("gone@far.test") and not check("full@far.test") and not check("there@far.test")


def test_a_forged_return_path_is_refused():
    with Peer() as peer, by_relay(peer, bounce_domain=BOUNCES) as s:
        ended(s, send(s, "x@far.test"))
        path = peer.mails[0].sender
        assert path.startswith("b+") and path.endswith("@" + BOUNCES)
        with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
            c.ehlo()
            c.mail("")
            assert c.rcpt(path)[0] == 250
            assert c.rcpt(path[:20] + ("a" if path[20] != "a" else "b") + path[21:])[0] == 550
            assert c.rcpt("fbl+" + path[2:].upper())[0] == 250
