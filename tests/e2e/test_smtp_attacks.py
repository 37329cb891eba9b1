"""Slow, broken and hostile clients over TCP: no mail is smuggled, nobody else waits, and what they held is given back."""
import os
import pathlib
import smtplib
import socket
import ssl
import threading
import time

import pytest
from server import PASSWORD, RELEASE, Server, until
from wire import Pop3, Smtp, Wire, plain, setting, smuggling, tls_smtp


@pytest.fixture(scope="module")
def mx(store):
    with Server("--set", "auth.failures_free=1000") as s:
        s.user("ana@attack.test")
        s.user("bo@attack.test")
        yield s


def session(server, door="smtp"):
    """A session that may send mail, in TLS at the submission doors."""
    if door == "smtp":
        return Smtp(server.address(door), hello="client.test")
    c = tls_smtp(server, door)
    assert c.say("AUTH PLAIN " + plain("ana@attack.test", PASSWORD)).startswith("235")
    return c


def total(server):
    return sum(server.mailbox(u, r)["total"] for u in ("ana@attack.test", "bo@attack.test") for r in ("inbox", "sent"))


def memory(server):
    """Anonymous memory in KiB: what the process holds beyond files."""
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(x for x in text.splitlines() if x.startswith("RssAnon")).split()[1])


def serves(server):
    """A mail goes in and the server is up."""
    before = server.mailbox("bo@attack.test")["total"]
    with session(server) as c:
        assert c.to("x@out.test", "bo@attack.test").data(b"Subject: fine\r\n\r\nx\r\n").startswith("250")
    assert server.mailbox("bo@attack.test")["total"] == before + 1 and server.process.poll() is None


@pytest.fixture
def base(mx):
    """Whatever a test does, its sessions end, and the server serves on."""
    serves(mx)
    before = mx.descriptors()
    yield mx
    until(lambda: mx.descriptors() <= before + 2, 3)
    serves(mx)


# ---- smuggling ----

@pytest.mark.parametrize("how", ["whole", "byte by byte", "BDAT"])
@pytest.mark.parametrize("door", ["smtp", "submission", "submissions"])
def test_nothing_is_smuggled(base, door, how):
    done, taken = 0, 0
    before = total(base)
    mended = door != "smtp"  # submission makes a bare LF CRLF: one mail then, whatever is in it
    for name, sequence in smuggling():
        content = (b"From: ana@attack.test\r\nSubject: one\r\n\r\nfirst" + sequence + b"MAIL FROM:<ana@attack.test>\r\nRCPT TO:<bo@attack.test>\r\nDATA\r\n"
                   b"From: ana@attack.test\r\nSubject: smuggled\r\n\r\nx\r\n")
        with session(base, door) as c:
            c.to("ana@attack.test", "ana@attack.test")
            if how == "BDAT":
                c.send(b"BDAT %d LAST\r\n" % len(content) + content + b"NOOP\r\n")
            else:
                assert c.say("DATA").startswith("354")
                send = c.send if how == "whole" else c.drip
                send(content + b".\r\nNOOP\r\n")
            answer = c.reply()
            assert answer[:9] in ("550 5.5.2", "554 5.6.0") or (mended and answer.startswith("250")), (name, answer)
            taken += answer.startswith("250")
            assert c.reply() == "250 2.0.0 Ok", name
            c.send("QUIT\r\n")
            assert c.reply().startswith("221") and c.line() == b"", name
        done += 1
    assert done == 12 and total(base) == before + 2 * taken  # in the inbox and in Sent of ana


def test_no_refusal_before_the_true_end(base):
    """While the client is still sending, an answer would be taken for that of a later command."""
    with session(base) as c:
        c.to("x@out.test", "ana@attack.test")
        c.say("DATA")
        c.send(b"a\nb\0" + b"x" * 200_000 + b"\r\n.\n\r\n")
        c.s.settimeout(0.2)
        with pytest.raises(TimeoutError):
            c.s.recv(1)
        c.s.settimeout(30)
        c.send(b".\r\n")
        assert c.reply().startswith("550 5.5.2")


# ---- clients that break off ----

@pytest.mark.parametrize("leave", ["close", "reset", "half"])
@pytest.mark.parametrize("door", ["smtp", "submissions"])
def test_a_client_that_leaves(base, door, leave):
    before = total(base)
    for stage in range(7):
        c = session(base, door)
        for line in ("MAIL FROM:<ana@attack.test>", "RCPT TO:<ana@attack.test>", "DATA")[:stage]:
            c.say(line)
        if stage == 4:
            c.send("From: ana@attack.test\r\nSubject: half\r\n\r\nno end\r\n")
        if stage == 5:
            c.send("From: ana@attack.test\r\nSubject: half\r\n\r\nno end\r\n.")
        if stage == 6:
            c.send("From: ana@attack.test\r\n\r\n" + "big" * 200_000)
        if leave == "half":
            c.s.shutdown(socket.SHUT_WR)
            assert b"250" not in c.until_end()
            c.close()
        else:
            getattr(c, leave)()
    assert total(base) == before


def test_half_closed_after_the_dot_is_answered(base):
    with session(base) as c:
        c.to("x@out.test", "ana@attack.test")
        c.say("DATA")
        c.send("Subject: whole\r\n\r\nx\r\n.\r\nQUIT\r\n")
        c.s.shutdown(socket.SHUT_WR)
        assert c.reply().startswith("250 2.0.0 queued") and c.reply().startswith("221") and c.line() == b""


def test_a_bdat_that_breaks_off_is_no_mail(base):
    before = total(base)
    for text in ("BDAT 100 LAST\r\nSubject: half\r\n", "BDAT 12\r\nSubject: x\r\n", "BDAT 9999999999999 LAST\r\nx"):
        with session(base) as c:
            c.to("x@out.test", "ana@attack.test").send(text)
            c.s.shutdown(socket.SHUT_WR)
            c.until_end()
    assert total(base) == before


def test_a_client_that_does_not_read(base):
    """Answers pile up to a bound, then it is left waiting, and in the end forgotten."""
    setting(base, "smtp.commands_max", 1_000_000)
    before = memory(base)
    c = session(base)
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    c.s.settimeout(1)
    sent = 0
    try:
        while sent < 30_000_000:
            sent += c.s.send(b"HELP\r\n" * 2000)
    except TimeoutError:
        pass
    assert sent < 30_000_000 and memory(base) - before < 40_000
    serves(base)
    c.reset()
    setting(base, "smtp.commands_max", 5000)


# ---- clients that are slow, or many, or long ----

def test_byte_by_byte(base):
    with Smtp(base.address("smtp")) as c:
        c.drip(b"EHLO slow.test\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<ana@attack.test>\r\nDATA\r\n")
        assert [c.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        c.drip(b"Subject: slow\r\n\r\n..\r\nx\r\n.\r\nQUIT\r\n")
        assert c.reply().startswith("250 2.0.0 queued") and c.reply().startswith("221")
    entry = next(e for e in base.entries("ana@attack.test") if e["subject"] == "slow")
    assert base.raw(entry).endswith(b"\r\n\r\n.\r\nx\r\n")


def test_10000_commands(base):
    with session(base) as c:
        sender = threading.Thread(target=lambda: safe(lambda: c.send("NOOP\r\n" * 10_000)))
        sender.start()
        lines = c.until_end().split(b"\r\n")
        sender.join()
    assert lines.count(b"250 2.0.0 Ok") >= 4900 and lines[-2].startswith(b"421 4.7.0")
    with session(base) as c:  # mails in between keep a session going
        for i in range(3):
            c.send("NOOP\r\n" * 2000)
            assert all(c.reply().startswith("250") for _ in range(2000))
            assert c.to("x@out.test", "ana@attack.test").data(b"Subject: busy\r\n\r\nx\r\n").startswith("250")


def safe(call):
    try:
        call()
    except OSError:
        pass


def test_a_transaction_of_5000_recipients(base):
    setting(base, "smtp.recipients_max", 5000)
    setting(base, "smtp.commands_max", 20_000)
    with Smtp(base.address("smtp"), hello="client.test", timeout=150) as c:  # thousands of answers may come at once
        c.send("MAIL FROM:<x@out.test>\r\n" + "".join(f"RCPT TO:<ana+{i}@attack.test>\r\n" for i in range(5001)) + "DATA\r\n")
        replies = [c.reply()[:9] for _ in range(5003)]
        assert replies[0] == "250 2.1.0" and replies[1:5001] == ["250 2.1.5"] * 5000 and replies[5001] == "452 4.5.3" and replies[5002].startswith("354")
        c.send("Subject: five thousand\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith("250 2.0.0 queued")
    until(lambda: [e["subject"] for e in base.entries("ana@attack.test")].count("five thousand") == 1)
    setting(base, "smtp.recipients_max", 1000)
    setting(base, "smtp.commands_max", 5000)


@pytest.mark.skipif(not pathlib.Path(RELEASE).exists(), reason="no release build")
def test_refused_recipients_take_no_memory():
    """However many an operator allows: a mail's arena that is full ends the server."""
    with Server("--set", "smtp.refused_recipients_max=1000000", "--set", "smtp.commands_max=1000000", binary=RELEASE) as s:
        s.user("ana@attack.test")
        with session(s) as c:
            c.to("x@out.test", "ana@attack.test")
            growth = []
            for _ in range(3):
                before = memory(s)
                for i in range(40):
                    c.send("".join(f"RCPT TO:<{'n' * 50}{i}@attack.test> ORCPT=rfc822;{'o' * 480}\r\n" for _ in range(100)))
                    assert all(c.reply().startswith("550 5.1.1") for _ in range(100))
                growth.append(memory(s) - before)
            assert min(growth) < 1000, growth
            assert c.data(b"Subject: after refusals\r\n\r\nx\r\n").startswith("250")


@pytest.mark.parametrize("line, reply", [
    (b"NOOP " + b"x" * 505, "250"), (b"NOOP " + b"x" * 506, "500 5.5.2"), (b"NOOP " + b"x" * 20_000, "500 5.5.2"), (b"x" * 900_000, "500 5.5.2"),
    (b"MAIL FROM:<x@out.test>" + b" " * 2000, "250"), (b"MAIL FROM:<x@out.test> ENVID=" + b"x" * 2500, "500 5.5.2"), (b"MAIL FROM:<" + b"x" * 65 + b"@out.test>", "250"),
    (b"MAIL FROM:<x@" + b"y." * 130 + b"test>", "501 5.1.7"), (b"MAIL FROM:<" + b"@a.test," * 40 + b"@b.test:x@out.test>", "501 5.1.7"),
    (b"MAIL FROM:<" + b"\"" * 60 + b"@out.test>", "501 5.1.7"), (b"NO\0OP", "500 5.5.2"), (b"NOOP\rNOOP", "500 5.5.2"), (b"NOOP\nNOOP", "500 5.5.2"),
    (b"EHLO " + b"x" * 256, "501 5.5.4"), (b"EHLO \xff", "250-localhost greets ?\n"), (b"\xff\xfe\xfd", "500 5.5"), (b"HELP " + b"%s%n" * 50, "504"), (b"VRFY %s%n", "252"),
])
def test_odd_lines(base, line, reply):
    with session(base) as c:
        assert c.say(line).startswith(reply)
        c.send("QUIT\r\n")
        assert "221" in c.until_end().decode()


def test_a_line_without_end_ends_the_session(base):
    with session(base) as c:
        safe(lambda: c.send(b"x" * 4_000_000))
        assert c.until_end().startswith(b"421 4.7.0")


# ---- those who speak something else ----

@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.0\r\n\r\n",
                                      b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<ana@attack.test>\r\nDATA\r\nSubject: http\r\n\r\nx\r\n.\r\n"])
def test_http_is_sent_away(base, request_):
    before = total(base)
    for early in (True, False):
        with Wire(base.address("smtp")) as c:
            if not early:
                assert c.line().startswith(b"220")
            c.send(request_)
            text = c.until_end()
        assert b"250" not in text and (b"421 4.7.0" in text or b"554 5.5.0" in text), text
    assert total(base) == before


def test_tls_and_rubbish_in_clear(base):
    for door in ("smtp", "submission", "pop3"):
        with Wire(base.address(door)) as c:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ssl._create_unverified_context().wrap_socket(c.s)
        with Wire(base.address(door)) as c:
            safe(lambda: c.send(os.urandom(200_000)))
            safe(lambda: c.s.shutdown(socket.SHUT_WR))
            assert b"250 2" not in c.until_end()


def test_plain_text_at_the_tls_doors(base):
    for door in ("submissions", "pop3s"):
        with Wire(base.address(door)) as c:
            c.send(b"EHLO x\r\nMAIL FROM:<x@out.test>\r\n")
            c.s.shutdown(socket.SHUT_WR)
            assert b"250" not in c.until_end()


def test_handshakes_that_break_off(base):
    hello = None
    with Wire(base.address("pop3")) as c:
        context = ssl._create_unverified_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
    for cut in (1, 5, 40, len(hello) - 1, len(hello)):
        for door in ("submissions", "pop3s"):
            for leave in ("close", "reset"):
                c = Wire(base.address(door))
                c.send(hello[:cut])
                getattr(c, leave)()


def test_a_flood_of_connections(base):
    for _ in range(300):
        c = socket.create_connection(base.address("smtp"))
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
    for door in ("smtp", "submission", "submissions", "pop3", "pop3s"):
        for c in [socket.create_connection(base.address(door)) for _ in range(50)]:
            c.close()


def test_slow_sessions_make_nobody_wait(base):
    """Hundreds of sessions stuck in every place where one can be stuck; a mail beside them takes no longer."""
    stuck = []
    try:
        for i in range(100):
            for text in ("EH", "EHLO x\r\nMAIL FROM:<x@out.test>\r\nRC", "EHLO x\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<ana@attack.test>\r\nDATA\r\nSubject: s"):
                c = Smtp(base.address("smtp"))
                c.send(text)
                stuck.append(c)
            c = Wire(base.address("submissions"))
            c.send(b"\x16\3\1")
            stuck.append(c)
        began = time.monotonic()
        for _ in range(20):
            serves(base)
        assert time.monotonic() - began < 10
    finally:
        for c in stuck:
            c.reset()


# ---- guesses ----

def test_many_wrong_passwords_end_a_session(base):
    with tls_smtp(base, "submissions") as c:
        replies = []
        while (r := c.say("AUTH PLAIN " + plain("nobody@attack.test", "x"))).startswith("535"):
            replies.append(r)
            assert len(replies) < 50
        assert 15 <= len(replies) <= 30
    with Pop3(base.address("pop3"), source="127.77.0.1") as c:  # whose guesses are counted by themselves
        n = 0
        while c.login("nobody@attack.test", "x").startswith(b"-ERR [AUTH]") and n < 50:
            n += 1
            if n > 20:
                break
        assert n == 21 and c.line().startswith(b"-ERR") and c.line() == b""


def test_one_bad_client_blocks_no_other(base):
    """While a dozen sessions guess, the owner logs in."""
    stop = threading.Event()

    def guess():
        while not stop.is_set():
            with tls_smtp(base, "submissions") as c:
                for _ in range(10):
                    if not c.say("AUTH PLAIN " + plain("ana@attack.test", "guess")).startswith("535"):
                        return

    threads = [threading.Thread(target=guess) for _ in range(6)]
    for t in threads:
        t.start()
    try:
        with smtplib.SMTP_SSL(*base.address("submissions"), context=ssl._create_unverified_context(), timeout=30) as c:
            assert c.login("ana@attack.test", PASSWORD)[0] == 235
    finally:
        stop.set()
        for t in threads:
            t.join()


# ---- a huge maildrop ----

MANY = 20_000


@pytest.mark.skipif(not pathlib.Path(RELEASE).exists(), reason="no release build")
def test_memory_of_a_huge_maildrop():
    """20,000 messages in at most a fifth of the 4 MiB that 100,000 may cost."""
    with Server("--set", "smtp.commands_max=1000000", "--set", "store.read_cache=1M", "--set", "pool.store_workers=1", "--set", "maildrop.snapshot_memory=0", binary=RELEASE) as s:  # caches are not the session's
        for i in range(10):
            s.user(f"u{i}@huge.test")
        one = b"MAIL FROM:<x@out.test>\r\n%bDATA\r\n" % b"".join(b"RCPT TO:<u%d@huge.test>\r\n" % i for i in range(10))

        def fill(n):
            with Smtp(s.address("smtp"), hello="x") as c:
                for _ in range(n):
                    c.send(one)
                    for _ in range(12):
                        reply = c.reply()
                    assert reply.startswith("354"), reply
                    c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                    assert c.reply().startswith("250")

        threads = [threading.Thread(target=fill, args=(MANY // 16,)) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        boxes = []

        def open_box(i):
            boxes.append(Pop3(s.address("pop3"), user=f"u{i}@huge.test", password=PASSWORD))
            return boxes[-1]

        warm = open_box(0)
        assert warm.say("STAT").startswith(b"+OK %d " % MANY)
        before = memory(s)
        for i in range(1, 10):
            c = open_box(i)
            assert len(c.listing("UIDL")) == MANY and c.say("RETR 1").startswith(b"+OK")
            c.many()
        each = (memory(s) - before) / 9
        print(f"a maildrop of {MANY} messages: {each:.0f} KiB")
        assert each * 100_000 / MANY <= 4096
        for c in boxes:
            c.close()
