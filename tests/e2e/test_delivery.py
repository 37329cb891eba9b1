"""Mail that leaves: sent through the API of a live server to a peer that follows a script, by way of a relay."""
import base64
import email
import http.client
import json
import smtplib
import socket
import sqlite3
import threading

import pytest
from peer import Cut, Drip, Peer, Reset, Starttls, Wait
from server import PASSWORD, Server, until

LIVE = {"POSTRIDER_SERVER_HOSTNAME": "mail.example.org", "POSTRIDER_DELIVERY_MODE": "live"}


def by_relay(*peers, data=None, **more):
    env = LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY": ",".join(p.host for p in peers),
                  "POSTRIDER_DELIVERY_RELAY_PORT": str(peers[0].port)}
    return Server(env=env | {f"POSTRIDER_DELIVERY_{k.upper()}": str(v) for k, v in more.items()}, data=data)


def send(s, *to, **more):
    if s.get("/v1/domains/example.test").status == 404:
        s.make("/v1/domains", {"name": "example.test"})
    return s.make("/v1/messages", {"from": "app@example.test", "to": list(to), "subject": "Sturgeon", "text": "The quick brown walrus.\n"} | more)


def deliveries(s, message):
    return {d["email"]: d for d in s.get(f"/v1/deliveries?message_id={message['id']}&limit=100").json["data"]}


def ended(s, message, *statuses, seconds=30):
    """The deliveries of a message, once each has one of these statuses."""
    want = statuses or ("delivered",)
    return until(lambda: (d := deliveries(s, message)) and all(x["status"] in want for x in d.values()) and d, seconds)


def kinds(s, message):
    return [e["type"] for e in s.get(f"/v1/messages/{message['id']}/events?limit=100").json["data"]]


def test_a_mail_leaves_once(tmp_path):
    with Peer() as peer, by_relay(peer) as s:
        m = send(s, "x@far.test", "y@far.test")
        assert m["status"] == "queued" and m["mode"] == "live"
        d = ended(s, m)
        [mail] = peer.mails
        assert mail.sender == "app@example.test" and sorted(mail.recipients) == ["x@far.test", "y@far.test"]
        assert b"Subject: Sturgeon\r\n" in mail.body and mail.body.endswith(b"The quick brown walrus.\r\n") and mail.ehlo == "mail.example.org"
        assert f"SIZE={len(mail.body)}" in mail.params
        last = d["x@far.test"]["last"]
        assert last["code"] == 250 and last["enhanced"] == "2.0.0" and last["ip"] == peer.host and last["text"] == "taken"
        assert d["x@far.test"]["attempts"] == 1 and d["x@far.test"]["next_attempt_at"] is None
        assert s.get(f"/v1/messages/{m['id']}").json["status"] == "delivered"
        assert kinds(s, m).count("email.delivered") == 2


def test_the_next_mail_takes_the_same_connection():
    with Peer() as peer, by_relay(peer) as s:
        ended(s, send(s, "x@far.test"))
        ended(s, send(s, "y@far.test"))
        assert [m.session for m in peer.mails] == [1, 1]


def test_local_mail_stays_here():
    with Peer() as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        m = send(s, "ana@example.test", "x@far.test")
        ended(s, m)
        assert [x.recipients for x in peer.mails] == [["x@far.test"]] and len(s.entries("ana@example.test")) == 1


def test_each_recipient_has_its_own_end():
    def rcpt(session, argument):
        return {"a": "550 5.1.1 no such user", "b": "450 4.2.1 later"}.get(argument[4], "250 ok")

    with Peer(RCPT=rcpt) as peer, by_relay(peer) as s:
        m = send(s, "a@far.test", "b@far.test", "c@far.test")
        d = until(lambda: (d := deliveries(s, m)) and not {"queued", "sending"} & {x["status"] for x in d.values()} and d)
        assert {k[0]: v["status"] for k, v in d.items()} == {"a": "bounced", "b": "deferred", "c": "delivered"}
        assert d["a@far.test"]["last"]["cause"] == "unknown_user" and d["a@far.test"]["last"]["text"] == "no such user"
        assert d["b@far.test"]["next_attempt_at"]
        assert s.get(f"/v1/messages/{m['id']}").json["status"] == "queued"


def test_a_deferred_mail_comes_again():
    with Peer(MAIL=["451 4.3.0 not now", None]) as peer, by_relay(peer, retry="10s") as s:
        d = ended(s, send(s, "x@far.test"))
        assert d["x@far.test"]["attempts"] == 2 and len(peer.mails) == 1


@pytest.mark.parametrize("fault", [{"greeting": "554 5.7.1 not you"}, {"greeting": Cut()}, {"EHLO": Reset()}, {"MAIL": Cut()}, {"DATA": Cut()}, {"RCPT": "421 4.3.2 going"}])
def test_another_host_takes_over(fault):
    with Peer(**fault) as bad, Peer(host="127.0.0.3", port=bad.port) as good, by_relay(bad, good) as s:
        if "RCPT" in fault:  # said by the peer, and so a verdict
            assert ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]["last"]["code"] == 421
        else:
            assert ended(s, send(s, "x@far.test"))["x@far.test"]["attempts"] == 1
            assert len(good.mails) == 1 and not bad.mails


def test_nobody_there_is_a_deferral():
    with Peer() as peer:
        address = peer
    with by_relay(address) as s:
        d = ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]
        assert d["last"]["enhanced"] == "4.4.1" and d["last"]["cause"] == "network"


@pytest.mark.parametrize("step, limit, enhanced", [("greeting", "greeting", "4.4.1"), ("MAIL", "command", "4.4.2"), ("dot", "dot", "4.4.2")])
def test_a_limit_of_time_is_for_the_whole_answer(step, limit, enhanced):
    """One byte after the other, each soon enough: it never ends otherwise."""
    with Peer(**{step: Drip("220 " + "x" * 400 if step == "greeting" else "250 " + "x" * 400, pause=0.2)}) as peer, by_relay(peer, **{f"timeout_{limit}": "2s"}) as s:
        m = send(s, "x@far.test")
        assert ended(s, m, "deferred")["x@far.test"]["last"]["enhanced"] == enhanced and not peer.mails
        assert ("email.ambiguous" in kinds(s, m)) == (step == "dot")


def test_cut_after_the_dot_is_ambiguous():
    with Peer(dot=Cut()) as peer, by_relay(peer) as s:
        m = send(s, "x@far.test")
        d = ended(s, m, "deferred")["x@far.test"]
        assert d["last"]["enhanced"] == "4.4.2" and len(peer.seen) == 1
        assert "email.ambiguous" in kinds(s, m)


def test_too_many_recipients_go_in_the_next_transaction():
    def rcpt(session, argument):
        return "250 ok" if not session.recipients else "452 4.5.3 too many"

    with Peer(RCPT=rcpt) as peer, by_relay(peer) as s:
        d = ended(s, send(s, "a@far.test", "b@far.test", "c@far.test"))
        assert sorted(r for m in peer.mails for r in m.recipients) == ["a@far.test", "b@far.test", "c@far.test"]
        assert all(x["attempts"] == 1 for x in d.values()) and peer.sessions == 1


@pytest.mark.parametrize("why, refusals", [("4.5.3 too many", 3), ("too many", 3), ("4.3.1 no room now", 12)])
def test_what_enough_has_taught_is_kept(why, refusals):
    """The first mail alone meets it, where it speaks of a number: five recipients, two of them taken at a time."""
    refused = []

    def rcpt(session, argument):
        if len(session.recipients) < 2:
            return "250 ok"
        refused.append(argument)
        return f"452 {why}"

    with Peer(RCPT=rcpt) as peer, by_relay(peer, path_max=1) as s:
        for n in range(3):
            d = ended(s, send(s, *[f"n{n}-{i}@far.test" for i in range(5)]))
            assert all(x["attempts"] == 1 for x in d.values())
        assert [len(m.recipients) for m in peer.mails] == [2, 2, 1] * 3 and len(refused) == refusals


def test_recipients_of_a_mail_go_together():
    """A text for each hundred of them, at a path of which nothing is known yet, too; no more than that at once where others wait."""
    with Peer() as peer, by_relay(peer) as s:
        s.user("ana@example.test")
        for n, texts in ((250, [50, 100, 100]), (50, [50])):
            peer.mails.clear()
            with smtplib.SMTP(*s.address("submission"), timeout=60) as c:
                c.login("ana@example.test", PASSWORD)
                c.sendmail("ana@example.test", [f"n{i}@far.test" for i in range(n)], "From: ana@example.test\r\nSubject: all\r\n\r\ntext\r\n")
            until(lambda: sum(len(m.recipients) for m in peer.mails) == n)
            assert sorted(len(m.recipients) for m in peer.mails) == texts and len({r for m in peer.mails for r in m.recipients}) == n


def test_what_is_put_off_together_is_due_together():
    with Peer(dot="451 4.3.0 not now") as peer, by_relay(peer) as s:
        m = send(s, *[f"n{i}@far.test" for i in range(20)])
        assert len({d["next_attempt_at"] for d in ended(s, m, "deferred").values()}) == 1


def test_blocks_are_counted_by_themselves():
    """delivery.block_tries are those at a host that refuses us: what else has put the mail off before does not count."""
    answers = ["451 4.3.0 not now"] * 3 + ["554 5.7.1 listed at zen.spamhaus.org"] * 4
    with Peer(MAIL=answers) as peer, by_relay(peer, retry="1h") as s:
        m = send(s, "x@far.test")
        for n in range(1, 7):
            d = until(lambda: (x := deliveries(s, m)["x@far.test"])["attempts"] == n and x["status"] == "deferred" and x)
            assert s.post(f"/v1/deliveries/{d['id']}/retry").status == 200
        d = ended(s, m, "bounced")["x@far.test"]
        assert d["attempts"] == 7 and d["last"]["permanence"] == "block"


@pytest.mark.parametrize("bye", [False, True])
def test_the_next_mail_is_begun_behind_the_dot(tmp_path, bye):
    """delivery.pipeline=full: before the dot is answered. Where the host takes one mail a connection, the second goes on another, in the same
    attempt."""
    early = []

    def dot(session, mail):
        if early:
            return "250 2.0.0 taken"
        until(lambda: b"RCPT TO" in session.buffer or b"RCPT TO" in session.socket.recv(65536, socket.MSG_PEEK))
        early.append(mail)
        return Cut("250 2.0.0 taken") if bye else "250 2.0.0 taken"

    with Peer(dot=dot) as peer:
        s = by_relay(peer, path_max=1, pipeline="full", data=tmp_path / "data")
        s.env["POSTRIDER_DELIVERY_RUN"] = "false"
        with s:
            ms = [send(s, f"x{i}@far.test") for i in range(2)]
            s.stop()
            del s.env["POSTRIDER_DELIVERY_RUN"]
            s.start()
            for m in ms:
                assert [d["attempts"] for d in ended(s, m).values()] == [1]
        assert [m.session for m in peer.seen] == [1, 1 + bye] and len({m.recipients[0] for m in peer.seen}) == 2


def test_in_chunks_where_it_is_said_so():
    """BDAT: dots are not doubled, bytes are kept; a host that does not offer it gets DATA."""
    mail = b"From: app@example.test\r\nTo: x@far.test\r\nSubject: dots\r\n\r\n.\r\n..\r\n" + b".x" * 40 + b"\r\n" + b"walrus\r\n" * 20000
    for offers, verb in ((("PIPELINING", "CHUNKING"), "BDAT"), (("CHUNKING",), "BDAT"), (("PIPELINING",), "DATA")):
        with Peer(offers=offers) as peer, by_relay(peer, chunking="true") as s:
            ended(s, send_raw(s, mail))
            assert peer.mails[0].body.endswith(mail.partition(b"\r\n\r\n")[2]) and verb in peer.verbs()
            assert "DATA" not in peer.verbs() or verb == "DATA"
            peer.set(BDAT="552 5.3.4 too much", DATA="552 5.3.4 too much")
            assert ended(s, send_raw(s, mail), "bounced")["x@far.test"]["last"]["code"] == 552


def test_dots_are_doubled_and_bytes_are_kept():
    mail = b"From: app@example.test\r\nTo: x@far.test\r\nSubject: dots\r\n\r\n.\r\n..\r\nFrom here\r\n.dot\r\n\r\n" + b"." * 300 + b"\r\n"
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        m = s.call("POST", "/v1/messages", raw=mail, headers={"Content-Type": "message/rfc822"}).json
        ended(s, m)
        assert peer.mails[0].body.endswith(mail.partition(b"\r\n\r\n")[2])
        assert s.get(f"/v1/messages/{m['id']}/raw").body == peer.mails[0].body


def test_a_large_mail():
    text = "".join(f"line {i} of many\n" for i in range(120000))
    with Peer() as peer, by_relay(peer) as s:
        ended(s, send(s, "x@far.test", text=text))
        assert peer.mails[0].body.count(b"of many") == 120000


def test_without_extensions_and_drip():
    with Peer(offers=(), MAIL=Drip("250 2.1.0 o"), EHLO="502 what") as peer, by_relay(peer) as s:
        ended(s, send(s, "x@far.test"))
        assert peer.mails[0].params == "" and "HELO" in peer.verbs()


# ---- what a host lacks ----

EIGHT = "From: app@example.test\r\nTo: x@far.test\r\nSubject: eight\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße an alle\r\n".encode()


def send_raw(s, mail):
    if s.get("/v1/domains/example.test").status == 404:
        s.make("/v1/domains", {"name": "example.test"})
    return s.call("POST", "/v1/messages", raw=mail, headers={"Content-Type": "message/rfc822"}).json


def test_eight_bits_go_as_they_are_where_they_may():
    with Peer() as peer, by_relay(peer) as s:
        ended(s, send_raw(s, EIGHT))
        assert "BODY=8BITMIME" in peer.mails[0].params and "Grüße".encode() in peer.mails[0].body


def test_eight_bits_are_converted_where_they_may_not():
    with Peer(offers=("SIZE 100000",)) as peer, by_relay(peer) as s:
        ended(s, send_raw(s, EIGHT))
        [mail] = peer.mails
        assert mail.body.isascii() and "8BITMIME" not in mail.params and f"SIZE={len(mail.body)}" in mail.params
        assert email.message_from_bytes(mail.body).get_payload(decode=True).decode() == "Grüße an alle\r\n"


def test_eight_bits_that_nobody_may_convert():
    signed = EIGHT.replace(b"Subject:", b"DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.test; s=a; h=from; bh=; b=\r\nSubject:")
    with Peer(offers=()) as peer, by_relay(peer) as s:
        d = ended(s, send_raw(s, signed), "bounced", "failed")["x@far.test"]
        assert d["last"]["enhanced"] == "5.6.3" and not peer.seen


@pytest.mark.parametrize("how", ["send", "bounce"])
def test_eight_bits_as_the_operator_says(how):
    with Peer(offers=()) as peer, by_relay(peer, eight_bit=how) as s:
        last = ended(s, send_raw(s, EIGHT), "delivered", "bounced", "failed")["x@far.test"]["last"]
        if how == "send":
            assert "Grüße".encode() in peer.mails[0].body and "BODY" not in peer.mails[0].params
        else:
            assert last["enhanced"] == "5.6.3" and not peer.seen


def test_addresses_beyond_ascii_go_where_they_can():
    with Peer(offers=("8BITMIME",)) as plain, Peer(host="127.0.0.3", port=plain.port) as wide, by_relay(plain, wide) as s:
        ended(s, send(s, "grüße@far.test"))
        assert [m.recipients for m in wide.mails] == [["grüße@far.test"]] and "SMTPUTF8" in wide.mails[0].params and "MAIL" not in plain.verbs()
    with Peer(offers=("8BITMIME",)) as plain, by_relay(plain) as s:
        assert ended(s, send(s, "grüße@far.test"), "bounced", "failed")["grüße@far.test"]["last"]["enhanced"] == "5.6.7" and not plain.seen


def test_too_large_for_one_host_is_sent_to_another():
    with Peer(offers=("SIZE 300",)) as small, Peer(host="127.0.0.3", port=small.port) as large, by_relay(small, large) as s:
        ended(s, send(s, "x@far.test"))
        assert len(large.mails) == 1 and "MAIL" not in small.verbs()
    with Peer(offers=("SIZE 300",)) as small, by_relay(small) as s:
        assert ended(s, send(s, "x@far.test"), "bounced", "failed")["x@far.test"]["last"]["enhanced"] == "5.3.4"


# ---- an account that is disabled ----


def test_a_disabled_account_stops_its_queue():
    """What waits is not tried, though it is due, and says why; that of others is; enabled again, it goes on."""
    with Peer(MAIL=["451 4.3.0 not now", None]) as peer, by_relay(peer, retry="1h") as s:
        tenant = s.make("/v1/accounts", {"name": "tenant"})
        key, account = tenant["key"]["secret"], {"Postrider-Account": tenant["id"]}
        assert s.post("/v1/domains", {"name": "tenant.test"}, key=key).status == 201
        s.make("/v1/domains/tenant.test/verify", {"force": True}, headers=account)
        m = s.make("/v1/messages", {"from": "app@tenant.test", "to": ["x@far.test"], "text": "walrus"}, key=key)

        def delivery():
            return s.call("GET", f"/v1/deliveries?message_id={m['id']}", headers=account).json["data"][0]

        until(lambda: delivery()["status"] == "deferred")
        assert s.call("PATCH", f"/v1/accounts/{tenant['id']}", {"disabled": True}).status == 200
        d = until(lambda: (d := delivery())["waiting"]["reason"] == "suspended" and d)
        assert d["waiting"]["text"] == "the account is disabled" and d["waiting"]["suspension_id"] is None
        assert s.call("POST", f"/v1/deliveries/{d['id']}/retry", headers=account).status == 200
        ended(s, send(s, "y@far.test"))
        assert delivery()["attempts"] == 1 and delivery()["waiting"]["reason"] == "suspended"
        assert s.call("PATCH", f"/v1/accounts/{tenant['id']}", {"disabled": False}).status == 200
        until(lambda: delivery()["status"] == "delivered")
        assert [x.recipients for x in peer.mails] == [["y@far.test"], ["x@far.test"]]


# ---- when a host is away ----


def test_nobody_is_sent_to_a_host_that_is_dead():
    """After five failures the rest waits, untried."""
    with Peer() as gone:
        pass
    with by_relay(gone, retry="1h", path_max=1) as s:
        ms = [send(s, f"x{i}@far{i}.test") for i in range(8)]
        until(lambda: "state=dead" in s.log_text(), 60)
        states = sorted(d["status"] for m in ms for d in deliveries(s, m).values())
        assert states == ["deferred"] * 5 + ["queued"] * 3
        until(lambda: "postrider_delivery_paths_dead 1\n" in s.get("/metrics").body.decode())
        waiting = {d["status"]: d["waiting"] for m in ms for d in deliveries(s, m).values()}
        assert waiting["queued"]["reason"] == "path" and waiting["queued"]["until"] and waiting["deferred"]["reason"] == "retry"


def test_a_host_that_is_back_gets_all_of_it_at_once():
    """One tries it, and when that works the others follow, those too that were put off for an hour."""
    go = threading.Event()
    with Peer() as gone:
        pass
    with by_relay(gone, retry="1h", path_max=1, dead_for="1s") as s:
        ms = [send(s, f"x{i}@far{i}.test") for i in range(8)]
        until(lambda: "state=dead" in s.log_text(), 60)
        with Peer(port=gone.port, greeting=[Wait(go, "220 mx.far.test ESMTP"), None]) as back:
            assert back.reached.wait(30)
            until(lambda: "postrider_delivery_paths_probe 1\n" in s.get("/metrics").body.decode())
            assert back.sessions == 1
            go.set()
            for m in ms:
                ended(s, m)
            assert len(back.mails) == 8
            until(lambda: "postrider_delivery_paths_open 1\n" in s.get("/metrics").body.decode())


# ---- TLS ----


@pytest.mark.parametrize("how", ["good", "stall", "garbage", "close"])
def test_tls_when_it_is_there_and_clear_when_it_fails(how):
    with Peer(offers=("PIPELINING", "STARTTLS"), STARTTLS=Starttls(how)) as peer, by_relay(peer, timeout_tls="1s") as s:
        d = ended(s, send(s, "x@far.test"))["x@far.test"]
        assert d["attempts"] == 1 and bool(peer.mails[0].tls) == (how == "good")
        assert bool(d["last"]["tls"]) == (how == "good")
        if how != "good":  # it is remembered
            ended(s, send(s, "x@far.test"))
            assert peer.verbs().count("STARTTLS") == 1


def test_tls_that_is_refused():
    with Peer(offers=("STARTTLS",), STARTTLS="454 4.7.0 no") as peer, by_relay(peer) as s:
        ended(s, send(s, "x@far.test"))
        assert peer.mails[0].tls is None


def test_tls_that_is_required_is_no_matter_of_luck():
    with Peer() as peer, by_relay(peer, relay_tls="require") as s:
        d = ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]
        assert d["last"]["enhanced"] == "4.7.5" and d["last"]["cause"] == "tls" and not peer.seen
    with Peer(offers=("STARTTLS",)) as peer, by_relay(peer, relay_tls="verify") as s:  # nobody has signed its certificate
        assert ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]["last"]["cause"] == "tls" and not peer.seen


# ---- a relay that wants a login ----


def test_a_login_at_the_relay(tmp_path):
    (tmp_path / "secret").write_text("swordfish\n")
    with Peer(offers=("AUTH PLAIN",), AUTH="235 2.7.0 ok") as peer, by_relay(peer, relay_user="jo", relay_secret_file=tmp_path / "secret", relay_insecure_auth="true") as s:
        ended(s, send(s, "x@far.test"))
        assert base64.b64decode(peer.log[1][1].split()[2]) == b"\0jo\0swordfish"
        assert "swordfish" not in s.log_text()


def test_no_secret_without_a_name_that_is_verified(tmp_path):
    (tmp_path / "secret").write_text("swordfish\n")
    with Peer(offers=("AUTH PLAIN", "STARTTLS")) as peer, by_relay(peer, relay_user="jo", relay_secret_file=tmp_path / "secret") as s:
        ended(s, send(s, "x@far.test"), "deferred")
        assert "AUTH" not in peer.verbs() and not peer.seen


def test_a_login_that_is_refused_stops_the_route(tmp_path):
    (tmp_path / "secret").write_text("wrong\n")
    with Peer(offers=("AUTH PLAIN",), AUTH="535 5.7.8 no") as peer, by_relay(peer, relay_user="jo", relay_secret_file=tmp_path / "secret", relay_insecure_auth="true", path_max=1) as s:
        d = ended(s, send(s, "x@far.test"), "deferred")["x@far.test"]
        assert d["last"]["enhanced"] == "4.7.8" and d["last"]["cause"] == "auth"
        more = [send(s, f"y{i}@far.test") for i in range(3)]
        assert "level=error" in s.log_text() or " error delivery" in s.log_text()
        assert all(x["status"] == "queued" for m in more for x in deliveries(s, m).values()) and peer.verbs().count("AUTH") == 1
        until(lambda: "postrider_delivery_paths_shut 1\n" in s.get("/metrics").body.decode())


# ---- start and end ----


def test_what_waits_is_sent_after_a_restart(tmp_path):
    with Peer() as peer:
        s = by_relay(peer, via="hold", data=tmp_path / "data")
        s.env["POSTRIDER_DELIVERY_RUN"] = "false"
        s.env["POSTRIDER_DELIVERY_VIA"] = "relay"
        s.start()
        m = send(s, "x@far.test")
        s.stop()
        assert not peer.sessions
        del s.env["POSTRIDER_DELIVERY_RUN"]
        s.start()
        ended(s, m)
        s.stop()
        assert len(peer.mails) == 1


def test_mail_waits_where_no_fiber_is_left():
    """All are with who has connected. The engine asks again from time to time, and leaves its loop to the others."""
    mail = json.dumps({"from": "app@example.test", "to": ["x@far.test"], "text": "The quick brown walrus.\n"})
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        s.stop()
        s.env["POSTRIDER_NET_FIBERS_MAX"] = "100"
        s.start()
        api = http.client.HTTPConnection(s.doors["api"].removeprefix("http://"), timeout=60)
        api.connect()
        crowd = [socket.create_connection(api.sock.getpeername()) for _ in range(120)]
        api.request("POST", "/v1/messages", mail, {"Authorization": f"Bearer {s.key}", "Content-Type": "application/json"})
        assert api.getresponse().status == 202
        until(lambda: s.log_text().count("no fiber") >= 4)
        assert not peer.mails
        for one in crowd:
            one.close()
        until(lambda: peer.mails)
        assert s.log_text().count("no fiber") < 20
        api.close()


def test_a_stop_waits_for_the_mail_under_way(tmp_path):
    go = threading.Event()
    with Peer(dot=[Wait(go, "250 2.0.0 taken"), None]) as peer:
        s = by_relay(peer, data=tmp_path / "data").start()
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        assert deliveries(s, m)["x@far.test"]["status"] == "sending"
        assert s.post(f"/v1/messages/{m['id']}/cancel").status == 409
        stopper = threading.Thread(target=s.stop)
        stopper.start()
        until(lambda: "stopping" in s.log_text())
        go.set()
        stopper.join(60)
        s.start()
        d = ended(s, m)
        assert len(peer.seen) == 1 and d["x@far.test"]["attempts"] == 1 and "email.ambiguous" not in kinds(s, m)
        s.stop()


def test_a_stop_before_the_greeting_is_no_attempt(tmp_path):
    go = threading.Event()
    with Peer(greeting=Wait(go, "220 mx.far.test ESMTP")) as peer, by_relay(peer, data=tmp_path / "data") as s:
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        s.stop()
        go.set()
        s.start()
        assert ended(s, m)["x@far.test"]["attempts"] == 1 and "email.deferred" not in kinds(s, m)


@pytest.mark.only_sqlite("the lease is read by SQL")
def test_a_lease_lasts_as_long_as_the_dialogue():
    def lease():
        with sqlite3.connect(s.data / "postrider.db", timeout=30) as db:
            return db.execute("SELECT lease_until, token FROM delivery").fetchone()

    go = threading.Event()
    with Peer(RCPT=[Wait(go, "250 2.1.5 ok"), None]) as peer, by_relay(peer, lease="10s") as s:
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        until_first, token = lease()
        until(lambda: lease()[0] > until_first)
        assert lease()[1] == token
        go.set()
        assert ended(s, m)["x@far.test"]["attempts"] == 1 and "email.ambiguous" not in kinds(s, m)


@pytest.mark.only_sqlite("MongoDB's clock is its server's")
def test_mail_past_its_time_is_given_up(tmp_path):
    with Peer(MAIL="451 4.3.0 not now") as peer:
        s = by_relay(peer, data=tmp_path / "data").start()
        m = send(s, "x@far.test")
        ended(s, m, "deferred")
        s.stop()
        s.env["POSTRIDER_CLOCK_SHIFT"] = str(4 * 86400)
        before = peer.verbs().count("MAIL")
        s.start()
        d = ended(s, m, "expired")["x@far.test"]
        assert peer.verbs().count("MAIL") == before and d["next_attempt_at"] is None
        assert s.get(f"/v1/messages/{m['id']}").json["status"] == "failed"
        s.stop()


def test_back_in_the_sandbox_nothing_leaves():
    with Peer(MAIL=["451 4.3.0 not now", None]) as peer:
        env = LIVE | {"POSTRIDER_DELIVERY_VIA": "relay", "POSTRIDER_DELIVERY_RELAY": peer.host, "POSTRIDER_DELIVERY_RELAY_PORT": str(peer.port), "POSTRIDER_DELIVERY_RETRY": "10s"}
        del env["POSTRIDER_DELIVERY_MODE"]
        with Server(env=env) as s:
            assert s.call("PATCH", "/v1/settings/delivery.mode", {"value": "live"}).status == 200
            s.make("/v1/domains", {"name": "example.test"})
            s.make("/v1/domains/example.test/verify", {"force": True})
            m = send(s, "x@far.test")
            ended(s, m, "deferred")
            assert s.call("PATCH", "/v1/settings/delivery.mode", {"value": "sandbox"}).status == 200
            ended(s, send(s, "y@far.test"), "captured")
            assert s.call("PATCH", "/v1/settings/delivery.mode", {"value": "live"}).status == 200
            ended(s, m)
            assert [x.recipients for x in peer.mails] == [["x@far.test"]]


def test_capture_and_hold():
    with Peer() as peer, by_relay(peer, via="capture") as s:
        ended(s, send(s, "x@far.test"), "captured")
    with Peer() as peer, by_relay(peer, via="hold") as s:
        ended(s, send(s, "x@far.test"), "held")
        assert not peer.sessions


def test_live_needs_a_name(tmp_path):
    s = Server(env={"POSTRIDER_DELIVERY_MODE": "live"}, data=tmp_path / "data").start(wait=False)
    assert s.process.wait(60) != 0 and "full name of this server" in s.log_text()
