"""What broke in mail servers in the field, each as a test against a peer that behaves so. Where a rule is a table of its own
(tests/delivery/test_mx.c, test_verdict.c, test_path.c), here is the case that reaches the wire."""
import email
import smtplib
import threading
import time

import pytest
from peer import Cut, Names, Peer, Starttls
from server import PASSWORD, Server, until
from test_delivery import LIVE, by_relay, deliveries, ended, send, send_raw
from test_delivery_mx import by_names

TLS = ("PIPELINING", "STARTTLS", "8BITMIME")


class TakenThenBye:
    """The mail is taken; the connection ends behind it, before anything was asked."""

    def run(self, session):
        session.say("250 2.0.0 taken")
        raise Cut("421 4.4.2 idle for too long")

    def __init__(self):
        self.last = ""


# ---- names and TLS ----


def test_the_server_name_is_that_of_the_host():
    """Its A-label without the last dot; none for a literal."""
    zones = {("xn--mller-kva.test", "MX"): ["10 MX.Xn--mller-kva.Test."], ("mx.xn--mller-kva.test", "A"): ["127.0.0.2"]}
    with Names(zones) as names, Peer(offers=TLS, STARTTLS=Starttls()) as peer, by_names(names, peer) as s:
        ended(s, send(s, "x@müller.test"))
        assert [n.lower() for n in peer.names] == ["mx.xn--mller-kva.test"] and peer.mails[0].recipients == ["x@xn--mller-kva.test"]
        ended(s, send(s, "x@[127.0.0.2]"))
        assert all(n is None for n in peer.names[1:])


def test_a_ticket_that_breaks_the_handshake_is_left_out():
    """Once more without, with TLS: not in clear, and in the same attempt."""
    with Peer(offers=TLS, STARTTLS=Starttls("tickets")) as peer, by_relay(peer, per_connection="1") as s:
        for n in range(3):
            assert ended(s, send(s, f"x{n}@far.test"))[f"x{n}@far.test"]["attempts"] == 1
        assert all(m.tls for m in peer.mails) and peer.resumed


def test_what_stands_behind_220_is_never_heard_in_tls():
    with Peer(offers=TLS, STARTTLS=Starttls("behind")) as peer, by_relay(peer) as s:
        assert ended(s, send(s, "x@far.test"))["x@far.test"]["attempts"] == 1
        assert peer.mails[0].tls is None and peer.mails[0].session > 1  # on a new connection


@pytest.mark.parametrize("offers, tls", [(TLS, True), (("PIPELINING",), False)])
def test_starttls_is_by_the_offer(offers, tls):
    """And EHLO is said again behind it, once."""
    with Peer(offers=offers, STARTTLS=Starttls()) as peer, by_relay(peer) as s:
        ended(s, send(s, "x@far.test"))
        assert peer.verbs().count("EHLO") == 1 + tls and bool(peer.mails[0].tls) == tls and ("STARTTLS" in peer.verbs()) == tls


# ---- greeting and EHLO ----


@pytest.mark.parametrize("answer, helo", [("500 5.5.1 what", True), ("502 5.5.1 what", True), ("504 5.5.1 what", True), ("421 4.3.2 going", False)])
def test_helo_is_for_who_knows_no_ehlo(answer, helo):
    with Peer(EHLO=answer) as peer, by_relay(peer) as s:
        d = ended(s, send(s, "x@far.test"), "delivered" if helo else "deferred")["x@far.test"]
        assert ("HELO" in peer.verbs()) == helo and d["last"]["code"] == (250 if helo else 421)


def test_who_refuses_us_all_is_not_the_recipients_fault():
    """554 as a greeting: tried again, its words are kept."""
    with Peer(greeting="554 5.7.1 192.0.2.1 is listed at dnsbl.example") as peer, by_relay(peer) as s:
        d = ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]
        assert d["last"]["code"] == 554 and "dnsbl.example" in d["last"]["text"] and d["next_attempt_at"]


def test_a_goodbye_between_two_mails_is_no_attempt():
    with Peer(dot=[TakenThenBye(), None]) as peer, by_relay(peer) as s:
        send(s, "x@far.test")
        until(lambda: peer.seen)
        assert ended(s, send(s, "y@far.test"))["y@far.test"]["attempts"] == 1
        assert peer.mails[-1].session == 2


# ---- recipients ----


def test_refused_recipients_shut_nobody_out():
    with Peer(RCPT=lambda session, to: "250 ok" if "good" in to else "550 5.1.1 no such user") as peer, by_relay(peer, path_max=1) as s:
        for n in range(12):
            ended(s, send(s, f"no{n}@far.test"), "bounced")
        assert ended(s, send(s, "good@far.test"))["good@far.test"]["attempts"] == 1
        assert "state=dead" not in s.log_text() and peer.sessions == 1


@pytest.mark.parametrize("step, status", [("RCPT", "deferred"), ("dot", "bounced")])
def test_552_depends_on_where_it_is_said(step, status):
    with Peer(**{step: "552 5.2.2 mailbox full" if step == "RCPT" else "552 5.3.4 message too big"}) as peer, by_relay(peer) as s:
        assert ended(s, send(s, "x@far.test"), status)["x@far.test"]["last"]["code"] == 552


def test_nobody_gets_an_empty_mail():
    """With everything in one write, a host that refuses all recipients may still say 354: nothing may follow then."""
    with Peer(RCPT=lambda session, to: "250 ok" if "good" in to else "550 5.1.1 no such user", DATA="354 go on") as peer, by_relay(peer) as s:
        ended(s, send(s, "good@far.test"))
        assert ended(s, send(s, "bad@far.test"), "bounced")["bad@far.test"]["last"]["code"] == 550
        assert len(peer.seen) == 1
        ended(s, send(s, "good2@far.test"))
        assert [m.recipients for m in peer.seen] == [["good@far.test"], ["good2@far.test"]]


# ---- what is asked of a host ----


def test_extensions_are_used_by_need():
    """SMTPUTF8 because of the mail, not because it was submitted so; never BDAT, at which hosts stall."""
    with Peer(offers=("PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "SIZE 1000000")) as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        with smtplib.SMTP(*s.address("submission")) as c:
            c.login("ana@example.test", PASSWORD)
            c.send_message(email.message_from_string("From: ana@example.test\nSubject: plain\n\nplain\n"), to_addrs=["x@far.test"],
                           mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        until(lambda: peer.mails)
        assert "SMTPUTF8" not in peer.mails[0].params and "BODY" not in peer.mails[0].params and "BDAT" not in peer.verbs()


@pytest.mark.parametrize("offers, mails", [(("LIMITS RCPTMAX=2 MAILMAX=100",), [(1, 1), (1, 2), (1, 2)]), (("LIMITS MAILMAX=2",), [(1, 5), (1, 5), (2, 5)])])
def test_limits_of_a_host_are_kept(offers, mails):
    """RFC 9422: so many recipients a mail, so many mails a connection; the rest goes at once, in the same attempt."""
    to, n = [f"x{i}@far.test" for i in range(5)], 1 if "RCPTMAX" in offers[0] else 3
    with Peer(offers=offers) as peer, by_relay(peer, path_max=1, ahead=100) as s:
        for _ in range(n):
            d = ended(s, send(s, *to))
            assert all(x["attempts"] == 1 for x in d.values())
        assert sorted((m.session, len(m.recipients)) for m in peer.mails) == mails
        assert sorted(r for m in peer.mails for r in m.recipients) == sorted(to * n)


def test_a_connection_is_used_so_often():
    with Peer() as peer, by_relay(peer, per_connection="2") as s:
        for n in range(5):
            ended(s, send(s, f"x{n}@far.test"))
        assert [m.session for m in peer.mails] == [1, 1, 2, 2, 3]


def test_so_many_connections_are_kept_for_the_next_mail():
    """The others end as soon as they have nothing to do, not after the five seconds for which one is kept."""
    together, bye = threading.Barrier(2), {}

    def dot(session, mail):
        together.wait(60)
        return "250 2.0.0 taken"

    def quit_(session, _):
        bye[session.number] = time.monotonic()
        return "221 2.0.0 bye"

    with Peer(dot=dot, QUIT=quit_) as peer, by_relay(peer, idle_max=1) as s:
        for message in [send(s, f"x{n}@far{n}.test") for n in range(2)]:
            ended(s, message)
        until(lambda: len(bye) == 2)
        first, last = sorted(bye.values())
        assert last - first > 1


def test_orcpt_keeps_its_escapes():
    with Peer() as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        with smtplib.SMTP(*s.address("submission")) as c:
            c.login("ana@example.test", PASSWORD)
            c.sendmail("ana@example.test", ["x+y@far.test"], "From: ana@example.test\r\nSubject: dsn\r\n\r\ntext\r\n",
                       mail_options=["RET=HDRS", "ENVID=a+2Bb+3Dc"], rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;x+2By@far.test"])
        until(lambda: peer.mails)
        [rcpt] = [line for _, line in peer.log if line.startswith("RCPT")]
        assert "ORCPT=rfc822;x+2By@far.test" in rcpt and "NOTIFY=SUCCESS,FAILURE" in rcpt
        assert "ENVID=a+2Bb+3Dc" in peer.mails[0].params and "RET=HDRS" in peer.mails[0].params


def test_long_header_lines_are_never_folded():
    long = b"X-Long: " + b"word" * 230
    with Peer(offers=("PIPELINING",)) as peer, by_relay(peer) as s:
        m = send_raw(s, b"From: app@example.test\r\nTo: x@far.test\r\nSubject: long\r\n" + long + b"\r\n\r\nbody\r\n")
        ended(s, m)
        assert long in peer.mails[0].body.split(b"\r\n")


# ---- what changes meanwhile ----


def test_the_way_is_chosen_anew_at_each_attempt():
    with Peer(MAIL="451 4.3.0 not now") as old, Peer(host="127.0.0.3", port=old.port) as new, \
            Server(env=LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY_PORT": str(old.port), "POSTRIDER_DELIVERY_RETRY": "10s"}) as s:
        assert s.call("PATCH", "/v1/settings/delivery.relay", {"value": old.host}).status == 200
        m = send(s, "x@far.test")
        ended(s, m, "deferred")
        assert s.call("PATCH", "/v1/settings/delivery.relay", {"value": new.host}).status == 200
        assert ended(s, m)["x@far.test"]["attempts"] >= 2
        assert len(new.mails) == 1 and deliveries(s, m)["x@far.test"]["last"]["ip"] == new.host
