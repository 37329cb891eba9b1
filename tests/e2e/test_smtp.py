"""Mail from other servers, at the receiving door, over TCP."""
import re
import smtplib
import subprocess

import pytest
from kept import rows
from server import PASSWORD, Server, until
from wire import Smtp, plain, setting

BODY = b"From: x@out.test\r\nTo: ana@smtp.test\r\nSubject: %s\r\n\r\ntext\r\n"


@pytest.fixture(scope="module")
def mx(server):
    server.user("ana@smtp.test")
    server.user("bo@smtp.test")
    return server


def session(server, **more):
    return Smtp(server.address("smtp"), hello="client.test", **more)


def subjects(server, user="ana@smtp.test"):
    return [e["subject"] for e in server.entries(user)]


def body(subject):
    return BODY % subject.encode()


# ---- commands ----

def test_what_is_offered(mx):
    with session(mx) as c:
        assert re.fullmatch(r"220 \S+ ESMTP Postrider ready", c.greeting)
        names = [line[4:].split(" ")[0] for line in c.extensions[1:]]
        assert names == ["SIZE", "8BITMIME", "SMTPUTF8", "PIPELINING", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "STARTTLS", "HELP"]
        assert "250-SIZE 26214400" in c.extensions and "250-LIMITS RCPTMAX=1000" in c.extensions


@pytest.mark.parametrize("line, reply", [
    ("HELO client.test", "250 "), ("ehlo client.test", "250-"), ("NOOP", "250 2.0.0"), ("noop anything", "250 2.0.0"), ("RSET", "250 2.0.0"),
    ("VRFY ana@smtp.test", "252 2.1.5"), ("EXPN list", "502 5.5.1"), ("HELP", "214-2.0.0"), ("HELP MAIL", "214 2.0.0 MAIL FROM"),
    ("HELP NOTHING", "504 5.5.4"), ("NOTHING", "500 5.5.1"), ("", "500 5.5.1"), ("MAIL", "501 5.5.4"), ("MAIL FROM:", "501 5.1.7"),
    ("MAIL FROM:<a@b", "501 5.1.7"), ("MAIL FROM:<a@b.test> NOTHING=1", "555 5.5.4"), ("MAIL FROM:<a@b.test> SIZE=x", "501 5.5.4"),
    ("MAIL FROM:<a@b.test> RET=NEVER", "501 5.5.4"), ("MAIL FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4"), ("MAIL FROM:<>", "250 2.1.0"),
    ("mail from: <a@b.test> size=5 body=8bitmime", "250 2.1.0"), ("MAIL FROM:<@a.test,@b.test:c@d.test>", "250 2.1.0"),
    ("RCPT TO:<ana@smtp.test>", "503 5.5.1"), ("DATA", "503 5.5.1"), ("DATA now", "501 5.5.4"), ("BDAT", "501 5.5.4"), ("BDAT x LAST", "501 5.5.4"),
    ("BDAT 0 LAST", "503 5.5.1"), ("RSET now", "501 5.5.4"), ("AUTH PLAIN " + plain("ana@smtp.test", PASSWORD), "503 5.5.1"), ("QUIT", "221 2.0.0"),
])
def test_a_command_and_its_reply(mx, line, reply):
    with session(mx) as c:
        assert c.say(line).startswith(reply)


def test_ehlo_in_a_mail_and_rset_clear_it(mx):
    with session(mx) as c:
        for clear in ("EHLO again.test", "HELO again.test", "RSET"):
            c.to("x@out.test", "ana@smtp.test")
            assert c.say("MAIL FROM:<y@out.test>").startswith("503 5.5.1")
            assert c.say(clear).startswith("250")
            assert c.say("DATA").startswith("503 5.5.1")


def test_pipelining_answers_each_command_in_order(mx):
    with session(mx) as c:
        c.send("MAIL FROM:<x@out.test>\r\nRCPT TO:<ana@smtp.test>\r\nRCPT TO:<nobody@smtp.test>\r\nDATA\r\n")
        assert [c.reply()[:9] for _ in range(4)] == ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354 End d"]
        c.send(body("piped") + b".\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<nobody@smtp.test>\r\nDATA\r\nQUIT\r\n")
        assert [c.reply()[:9] for _ in range(5)] == ["250 2.0.0", "250 2.1.0", "550 5.1.1", "554 5.5.1", "221 2.0.0"]
        assert c.line() == b""
    assert "piped" in subjects(mx)


def test_bdat_in_chunks(mx):
    text = body("chunks") + b".\r\n..\r\n.dot\r\n"
    with session(mx) as c:
        c.to("x@out.test", "ana@smtp.test")
        for i in range(0, len(text), 7):
            part = text[i:i + 7]
            c.send(b"BDAT %d\r\n" % len(part) + part)
            assert c.reply().startswith(f"250 2.0.0 {len(part)} octets")
        assert c.say("MAIL FROM:<x@out.test>").startswith("503") and c.say("DATA").startswith("503")
        assert re.match(r"250 2\.0\.0 queued as msg_", c.say("BDAT 0 LAST"))
    entry = next(e for e in mx.entries("ana@smtp.test") if e["subject"] == "chunks")
    assert mx.raw(entry).endswith(b"\r\n\r\ntext\r\n.\r\n..\r\n.dot\r\n")


def test_a_refused_chunk_refuses_the_mail(mx):
    with session(mx) as c:
        c.to("x@out.test", "ana@smtp.test")
        c.send(b"BDAT 9\r\nSubject:\nBDAT 21\r\nRCPT TO:<bo@s.test>\r\nBDAT 5 LAST\r\nQUIT\nNOOP\r\n")
        replies = [c.reply()[:9] for _ in range(4)]
        assert replies == ["550 5.5.2", "503 5.5.1", "503 5.5.1", "250 2.0.0"], replies


# ---- who gets mail ----

def test_the_mail_as_it_is_kept(mx):
    with session(mx) as c:
        reply = c.to("x@out.test", "ana@smtp.test").data(body("kept") + b"..\r\n..two\r\n\tx\x01\xff \r\n" + b"y" * 65536 + b"\r\n")
    message = re.fullmatch(r"250 2\.0\.0 queued as (msg_\w{26})( \(sandbox: .*\))?", reply)[1]
    entry = next(e for e in mx.entries("ana@smtp.test") if e["subject"] == "kept")
    raw = mx.raw(entry)
    assert raw.startswith(b"Return-Path: <x@out.test>\r\nReceived: from client.test ([127.0.0.1])\r\n\tby localhost (Postrider) with ESMTP id " +
                          message.encode() + b"\r\n\tfor <ana@smtp.test>;\r\n\t")
    assert raw.endswith(body("kept") + b".\r\n.two\r\n\tx\x01\xff \r\n" + b"y" * 65536 + b"\r\n") and len(raw) == entry["size"]
    assert entry["message_id"] == message


def test_received_tells_of_tls_and_of_several_recipients_nothing(mx):
    with session(mx) as c:
        c.starttls()
        assert "STARTTLS" not in " ".join(c.ehlo()) and c.say("STARTTLS").startswith("503 5.5.1")
        c.to("x@out.test", "ana@smtp.test", "bo@smtp.test").data(body("tls"))
    for user in ("ana@smtp.test", "bo@smtp.test"):
        raw = mx.raw(next(e for e in mx.entries(user) if e["subject"] == "tls")).split(b"\r\nFrom:")[0]
        assert b"with ESMTPS id " in raw and b"(version=TLSv1.3 cipher=TLS_" in raw and b"bits=" in raw and b"@smtp.test" not in raw


def test_swaks_and_curl(mx):
    host, port = mx.address("smtp")
    for n, flags in enumerate((["-tls"], ["-pipeline"], ["--protocol", "SMTP"], ["-tls-optional", "--header", "X-Long: " + "x" * 900])):
        r = subprocess.run(["swaks", "-s", f"{host}:{port}", "-f", "x@out.test", "-t", "ana@smtp.test,bo@smtp.test", "--header", f"Subject: swaks {n}",
                            "--body", ".\n..\nlast", *flags], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr
    r = subprocess.run(["curl", "-sS", "-k", "--ssl-reqd", f"smtp://{host}:{port}/client.test", "--mail-from", "x@out.test", "--mail-rcpt", "ana@smtp.test",
                        "-T", "-"], input=body("curl"), capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert {"swaks 0", "swaks 1", "swaks 2", "swaks 3", "curl"} <= set(subjects(mx))
    entry = next(e for e in mx.entries("bo@smtp.test") if e["subject"] == "swaks 1")
    assert b"\r\n.\r\n..\r\nlast\r\n" in mx.raw(entry)


@pytest.mark.parametrize("recipient", [
    "victim@elsewhere.test", "victim%elsewhere.test@smtp.test", "victim@elsewhere.test@smtp.test", "@smtp.test:victim@elsewhere.test",
    "@elsewhere.test:victim@elsewhere.test", "@smtp.test,@elsewhere.test:victim@elsewhere.test", "elsewhere.test!victim@smtp.test", "elsewhere.test!victim",
    "\"victim@elsewhere.test\"@smtp.test", "\"victim%elsewhere.test\"@smtp.test", "\"victim\"@elsewhere.test", "victim@[127.0.0.1]", "victim@[192.0.2.1]",
    "victim@elsewhere.test.", "victim@smtp.test@elsewhere.test", "victim@sandbox.test", "ana@smtp.test%elsewhere.test",
])
def test_no_relay_for_strangers(mx, recipient):
    with session(mx) as c:
        for start in ("RSET", "EHLO client.test", "AUTH PLAIN " + plain("ana@smtp.test", "wrong")):
            c.say(start)
            c.to("ana@smtp.test")
            reply = c.say(f"RCPT TO:<{recipient}>")
            assert reply[:9] in ("550 5.7.1", "550 5.1.1", "501 5.1.3"), reply
            assert c.say("DATA").startswith("554 5.5.1")
            c.say("RSET")


def test_recipients(mx):
    """Aliases, tags, capitals, catch-all, postmaster, strangers, those with mail switched off, and two names of one user."""
    mx.make("/v1/addresses", {"address": "alias@smtp.test", "target": {"type": "user", "user_id": "bo@smtp.test"}})
    mx.make("/v1/addresses", {"address": "postmaster@smtp.test", "target": {"type": "user", "user_id": "bo@smtp.test"}})
    mx.user("cat@all.test")
    mx.call("PATCH", "/v1/domains/all.test", {"catch_all": "cat@all.test"})
    mx.user("off@off.test")
    mx.call("PATCH", "/v1/domains/off.test", {"inbound": "off"})
    mx.user("gone@smtp.test", disabled=True)
    with session(mx) as c:
        c.to("x@out.test")
        for recipient, reply in (("ALIAS@Smtp.TEST", "250"), ("bo+tag@smtp.test", "250"), ("\"bo\"@smtp.test", "250"), ("Postmaster@smtp.test", "250"),
                                 ("whoever@all.test", "250"), ("who+ever@all.test", "250"), ("nobody@smtp.test", "550 5.1.1"), ("nobody+bo@smtp.test", "550 5.1.1"),
                                 ("+bo@smtp.test", "550 5.1.1"), ("gone@smtp.test", "550 5.1.1"), ("off@off.test", "550 5.7.1"), ("x@none.test", "550 5.7.1")):
            assert c.say(f"RCPT TO:<{recipient}>").startswith(reply), recipient
        assert c.data(body("once")).startswith("250")
    assert subjects(mx, "bo@smtp.test").count("once") == 1 and subjects(mx, "cat@all.test") == ["once"]


def test_postmaster_without_a_domain(mx):
    mx.user("postmaster@host.test")
    setting(mx, "server.hostname", "host.test")
    with session(mx) as c:
        assert c.greeting.startswith("220 host.test ")
        assert c.to("", "Postmaster").data(body("for the postmaster")).startswith("250")
    assert subjects(mx, "postmaster@host.test") == ["for the postmaster"]
    assert mx.raw(mx.entries("postmaster@host.test")[0]).startswith(b"Return-Path: <>\r\n")
    setting(mx, "server.hostname", "localhost")


def test_postmaster_of_every_domain(mx):
    """RFC 5321 4.5.1: never refused, and somebody has it: the user named, then the first of the domain, then of its account."""
    mx.make("/v1/domains", {"name": "empty.test"})
    other = mx.make("/v1/accounts", {"name": "Other"})["key"]["secret"]
    mx.make("/v1/domains", {"name": "theirs.test"}, key=other)
    mx.user("first@pm.test")
    mx.user("second@pm.test")
    with session(mx) as c:
        for n, recipient in enumerate(("PostMaster@pm.test", "postmaster@empty.test", "postmaster@theirs.test", "Postmaster")):
            assert c.to("x@out.test", recipient).data(body(f"pm{n}")).startswith("250"), recipient
        setting(mx, "postmaster.address", "second@pm.test")
        assert c.to("", "postmaster@theirs.test").data(body("pm4")).startswith("250")
        mx.call("PATCH", "/v1/users/second@pm.test", {"disabled": True})
        assert c.to("", "postmaster@theirs.test").data(body("pm5")).startswith("250")
        c.to("x@out.test")
        assert c.say("RCPT TO:<postmaster@elsewhere.test>").startswith("550 5.7.1") and c.say("RCPT TO:<nobody@pm.test>").startswith("550 5.1.1")
    setting(mx, "postmaster.address", "")
    assert "pm0" in subjects(mx, "first@pm.test")
    found = [s for u in mx.get("/v1/users?limit=100").json["data"] for s in subjects(mx, u["address"]) if (s or "").startswith("pm")]
    assert sorted(found) == ["pm0", "pm1", "pm2", "pm3", "pm4", "pm5"]


def test_postmaster_where_nobody_is(fresh):
    """Without a single user the mail is captured, and its account can read it."""
    with Smtp(fresh.address("smtp"), hello="x") as c:
        reply = c.to("x@out.test", "Postmaster").data(b"From: x@out.test\r\nSubject: anybody?\r\n\r\nthere\r\n")
        assert reply.startswith("250"), reply
    message = fresh.get("/v1/messages/" + reply.split()[4]).json
    assert (message["status"], message["subject"]) == ("captured", "anybody?")
    raw = fresh.call("GET", f"/v1/messages/{message['id']}/raw")
    assert raw.status == 200 and raw.body.endswith(b"\r\n\r\nthere\r\n")


def test_a_full_mailbox_is_refused_for_now(mx):
    mx.user("tiny@smtp.test", quota=1000)
    with session(mx) as c:
        c.to("x@out.test", params=" SIZE=2000")
        assert c.say("RCPT TO:<tiny@smtp.test>").startswith("452 4.2.2")
        assert c.say("RCPT TO:<ana@smtp.test>").startswith("250")
        c.say("RSET")
        assert c.to("x@out.test", "tiny@smtp.test").data(body("fills") + b"x" * 900 + b"\r\n").startswith("250")
        assert c.say("MAIL FROM:<x@out.test>").startswith("250")
        assert c.say("RCPT TO:<tiny@smtp.test>").startswith("452 4.2.2")
    assert subjects(mx, "tiny@smtp.test") == ["fills"]


@pytest.mark.only_sqlite("the disk is mongod's there: test_crash.py")
def test_a_full_disk_refuses_mail_but_is_read():
    with Server() as s:
        s.user("ana@smtp.test")
        with session(s) as c:
            assert c.to("x@out.test", "ana@smtp.test").data(body("before")).startswith("250")
            setting(s, "store.free_min", 1000 << 40)
            until(lambda: c.say("MAIL FROM:<x@out.test>").startswith("452 4.3.1") or c.say("RSET") == "")
            answer = s.post("/v1/messages", {"from": "ana@smtp.test", "to": "ana@smtp.test", "text": "x"})
            assert (answer.status, answer.json["code"]) == (507, "storage_full")
            assert b"before" in s.raw(s.entries("ana@smtp.test")[0])
            setting(s, "store.free_min", 1)
            until(lambda: c.say("MAIL FROM:<x@out.test>").startswith("250") or c.say("RSET") == "")
            assert c.say("RCPT TO:<ana@smtp.test>").startswith("250") and c.data(body("after")).startswith("250")
        assert subjects(s) == ["after", "before"]


# ---- what a mail may be ----

@pytest.mark.parametrize("text, reply", [
    (b"Received: x\r\n" * 101 + b"\r\nx\r\n", "554 5.4.6"),
    (b"Received: x\r\n" * 100 + b"\r\nx\r\n", "250 2.0.0"),
    (b"Subject: x\r\n\r\na\0b\r\n", "554 5.6.0"),
    (b"Subject: x\0\r\n\r\nab\r\n", "554 5.6.0"),
    (b"Subject: x\r\n\r\na\nb\r\n", "550 5.5.2"),
    (b"Subject: x\r\n\r\na\rb\r\n", "550 5.5.2"),
    (b"Subject: x\r\n\r\na\r\r\n", "550 5.5.2"),
    (b"Subject: x\r\n\r\n" + b"x" * 65536 + b"\r\n", "250 2.0.0"),
    (b"Subject: x\r\n\r\n" + b"x" * 65537 + b"\r\n", "554 5.6.0"),
    (b"X: " + b"x" * 60000 + b"\r\n" + b" y\r\n" * 300_000 + b"\r\nx\r\n", "552 5.3.4"),
    (b"", "250 2.0.0"), (b"\r\n", "250 2.0.0"), (b"no header\r\n", "250 2.0.0"), (b"..\r\n", "250 2.0.0"),
], ids=["101 received", "100 received", "NUL", "NUL in header", "LF", "CR", "CRCRLF", "64K line", "64K+1 line", "header of 1.2M", "empty", "no header",
        "no header at all", "a dot"])
@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_what_a_mail_may_be(mx, how, text, reply):
    with session(mx) as c:
        c.to("x@out.test", "ana@smtp.test")
        if how == "DATA":
            assert c.data(text).startswith(reply)
        else:
            c.send(b"BDAT %d LAST\r\n" % len(text) + text)
            assert c.reply().startswith(reply)
        assert c.say("NOOP") == "250 2.0.0 Ok"
        assert c.say("RCPT TO:<ana@smtp.test>").startswith("503")


def test_size(mx):
    with session(mx) as c:
        for n, reply in ((26214400, "250"), (26214401, "552 5.3.4"), (10 ** 19, "552 5.3.4"), ("00000000000000000001", "250"), (-1, "501"), ("", "501")):
            assert c.say(f"MAIL FROM:<x@out.test> SIZE={n}").startswith(reply), n
            c.say("RSET")
        setting(mx, "message.size_max", 65536)
        c.to("x@out.test", "ana@smtp.test", params=" SIZE=10")  # it lies
        assert c.data(b"Subject: big\r\n\r\n" + (b"y" * 98 + b"\r\n") * 700).startswith("552 5.3.4")
        assert c.say("NOOP").startswith("250")
        setting(mx, "message.size_max", 26214400)
    assert "big" not in subjects(mx)


def test_smtputf8(mx):
    mx.user("grüße@smtp.test")
    with session(mx) as c:
        assert c.say("MAIL FROM:<ü@out.test>".encode()).startswith("553 5.6.7")
        c.to("x@out.test")
        assert c.say("RCPT TO:<grüße@smtp.test>".encode()).startswith("553 5.6.7")
        c.say("RSET")
        c.say("MAIL FROM:<ü@out.test> SMTPUTF8".encode())
        assert c.say("RCPT TO:<GRÜSSE@smtp.test>".encode()).startswith("550 5.1.1")  # ß is no SS
        assert c.say("RCPT TO:<GRÜßE@smtp.test>".encode()).startswith("250")
        assert c.say(b"RCPT TO:<\xc3\x28@smtp.test>").startswith("501 5.1.3")
        assert c.data("Subject: Grüße\r\n\r\nx\r\n".encode()).startswith("250")
    [entry] = mx.entries("grüße@smtp.test")
    assert entry["subject"] == "Grüße"
    raw = mx.raw(entry)
    assert raw.startswith("Return-Path: <ü@out.test>\r\n".encode()) and b"with UTF8SMTP id" in raw


def test_dsn_parameters_are_kept(mx):
    with session(mx) as c:
        assert c.say("MAIL FROM:<x@out.test> RET=hdrs ENVID=QQ+2B1").startswith("250")
        assert c.say("RCPT TO:<ana@smtp.test> NOTIFY=DELAY,success ORCPT=rfc822;an+2Bna@o.test").startswith("250")
        assert c.say("RCPT TO:<bo@smtp.test> NOTIFY=NEVER").startswith("250")
        for wrong in ("NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY=X", "ORCPT=x", "ORCPT=rfc822;+0D+0A", "NOTIFY=DELAY NOTIFY=DELAY"):
            assert c.say(f"RCPT TO:<ana@smtp.test> {wrong}").startswith("501 5.5.4"), wrong
        reply = c.data(body("dsn"))
    message = reply.split()[4]
    deliveries = mx.get(f"/v1/deliveries?message_id={message}").json["data"]
    assert len(deliveries) == 2
    assert '{"ret":"HDRS","envid":"QQ+1"}' in rows(mx, "message", "dsn")
    kept = rows(mx, "delivery", "dsn")
    assert '{"notify":"SUCCESS,DELAY","orcpt":"rfc822;an+na@o.test"}' in kept and '{"notify":"NEVER","orcpt":null}' in kept


def test_recipients_max(mx):
    setting(mx, "smtp.recipients_max", 100)
    with session(mx) as c:
        assert "250-LIMITS RCPTMAX=100" in c.extensions
        c.to("x@out.test", *[f"ana+{i}@smtp.test" for i in range(100)])
        assert c.say("RCPT TO:<bo@smtp.test>").startswith("452 4.5.3")
        assert c.data(body("hundred")).startswith("250")
    setting(mx, "smtp.recipients_max", 1000)
    assert subjects(mx).count("hundred") == 1


def test_a_mail_for_a_thousand_users(fresh):
    """Beyond accept.local_max they are filed by the engine."""
    fresh.user("u0@many.test")
    for i in range(1, 100):
        fresh.make("/v1/users", {"address": f"u{i}@many.test"})
    with smtplib.SMTP(*fresh.address("smtp")) as c:
        assert c.sendmail("x@out.test", [f"u{i}@many.test" for i in range(100)], body("all")) == {}
    until(lambda: all(len(fresh.entries(f"u{i}@many.test")) == 1 for i in (0, 31, 32, 33, 99)))


# ---- limits of a session ----

def test_errors_commands_and_harvesting_end_a_session():
    with Server("--set", "smtp.errors_max=5", "--set", "smtp.commands_max=100", "--set", "smtp.refused_recipients_max=10") as s:
        s.user("ana@smtp.test")
        with session(s) as c:
            assert [c.say("JUNK")[:3] for _ in range(6)] == ["500"] * 6
            assert c.reply().startswith("421 4.7.0") and c.line() == b""
        with session(s) as c:
            c.send("NOOP\r\n" * 200)
            replies = c.until_end().split(b"\r\n")
            assert replies.count(b"250 2.0.0 Ok") == 100 and replies[-2].startswith(b"421 4.7.0")
        with session(s) as c:
            c.to("x@out.test")
            for i in range(10):
                assert c.say(f"RCPT TO:<n{i}@smtp.test>").startswith("550 5.1.1")
            assert c.say("RCPT TO:<ana@smtp.test>").startswith("250")
            assert c.say("RCPT TO:<n@smtp.test>").startswith("421 4.7.0") and c.line() == b""


def test_silence_is_answered_421():
    with Server("--set", "smtp.command_timeout=1s", "--set", "smtp.data_timeout=1s", "--set", "smtp.tls_timeout=1s", "--set", "pop3.login_timeout=1s") as s:
        s.user("ana@smtp.test")
        idle, half, data, bdat, tls = (Smtp(s.address("smtp"), hello="x") for _ in range(5))
        half.send("NOO")
        data.to("x@out.test", "ana@smtp.test").say("DATA")
        data.send("Subject: half\r\n")
        bdat.to("x@out.test", "ana@smtp.test").send("BDAT 100\r\nSubject: half\r\n")
        assert tls.say("STARTTLS").startswith("220")
        for c in (idle, half, data, bdat):
            assert c.reply().startswith("421 4.4.2") and c.line() == b""
        assert tls.line() == b""
        assert s.entries("ana@smtp.test") == []


# ---- log ----

def log_lines(server, **fields):
    return [x for x in server.log_text().splitlines() if all(re.search(rf"\b{k}=\"?{re.escape(v)}\"?(\s|$)", x) for k, v in fields.items())]


def test_one_log_line_for_each_mail(mx):
    with session(mx) as c:
        c.to("log@out.test", "ana@smtp.test", "bo@smtp.test")
        message = c.data(body("logged")).split()[4]
        c.to("log2@out.test", "ana@smtp.test")
        c.data(b"\0\r\n")
        c.to("log3@out.test")
        c.say("RCPT TO:<nobody@smtp.test>")
        c.say("RSET")
        c.say("MAIL FROM:<log4@out.test> SIZE=99999999999")
    [line] = log_lines(mx, message=message)
    for part in ("smtp id=req_", "door=smtp", "client=127.0.0.1", "helo=client.test", "from=<log@out.test>", "to=<ana@smtp.test>,<bo@smtp.test>",
                 "recipients=2", "result=accepted", "size="):
        assert part in line, part
    [nul] = log_lines(mx, **{"from": "<log2@out.test>"})
    assert "result=refused" in nul and 'reply="554 5.6.0"' in nul and "to=<ana@smtp.test>" in nul and "reason=" in nul
    [user] = log_lines(mx, **{"from": "<log3@out.test>"})
    assert 'reply="550 5.1.1"' in user and "to=<nobody@smtp.test>" in user
    [big] = log_lines(mx, **{"from": "<log4@out.test>"})
    assert 'reply="552 5.3.4"' in big


def test_what_a_client_says_cannot_forge_a_log_line(mx):
    with session(mx) as c:
        c.say("EHLO x\" result=accepted".encode())
        c.say("MAIL FROM:<\"x result=accepted \\\"y\"@out.test>")
        c.say("RCPT TO:<nobody@smtp.test>")
    lines = [x for x in mx.log_text().splitlines() if "result=accepted" in x and "refused" in x]
    assert lines and all('\\"' in x for x in lines)
