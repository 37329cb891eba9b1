"""Reading mail over POP3, by poplib, curl and by hand."""
import base64
import poplib
import re
import subprocess
import time

import pytest
from server import PASSWORD, Server, until
from wire import Pop3, Smtp, loose_context, plain

DOTS = b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\nend."  # no final newline: it gets one on the way in
MAILS = {
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\nx.\r\n.\r\n",
    "8bit": b"Subject: 8bit\r\n\r\nna\xefve \xc3\xa9 \xff\x01\x7f\r\n",
    "big": b"Subject: big\r\n\r\n" + b"".join(b".%073d\r\n" % i for i in range(40_000)),
    "long": b"Subject: long\r\n\r\n" + b"." * 60_000 + b"\r\n" + b"y" * 60_000 + b"\r\n",
    "empty": b"Subject: empty\r\n\r\n",
    "header": b"Subject: header\r\n",
    "blank": b"Subject: blank\r\n\r\n\r\n\r\n\r\n",
}


def post(server, user, *mails):
    with Smtp(server.address("smtp"), hello="client.test") as c:
        for mail in mails:
            stuffed = mail.replace(b"\r\n.", b"\r\n..")
            reply = c.to("x@out.test", user).data(b"." + stuffed if mail.startswith(b".") else stuffed)
            assert reply.startswith("250"), reply


def box(server, user, door="pop3"):
    """A session with its greeting and login behind it: once the server has seen an earlier one hang up."""
    c = Pop3(server.address(door), tls=door == "pop3s")
    until(lambda: c.login(user, PASSWORD).startswith(b"+OK"), 5)
    return c


@pytest.fixture(scope="module")
def ana(server):
    server.user("ana@pop.test")
    post(server, "ana@pop.test", *MAILS.values())
    return server


# ---- what is read ----

@pytest.mark.parametrize("door", ["pop3", "pop3s"])
def test_octets_of_list_are_those_of_retr(ana, door):
    with box(ana, "ana@pop.test", door) as c:
        sizes, ids = c.listing("LIST"), c.listing("UIDL")
        assert len(sizes) == len(ids) == len(MAILS)
        for n, (name, mail) in enumerate(MAILS.items(), 1):
            got = c.fetch(f"RETR {n}")
            assert len(got) == int(sizes[b"%d" % n]), name
            assert got.endswith(b"\r\n" + mail) and got.startswith(b"Return-Path: <x@out.test>\r\nReceived: from "), name
            assert c.say(f"LIST {n}") == b"+OK %d %d\r\n" % (n, len(got))
            assert c.say(f"UIDL {n}") == b"+OK %d %s\r\n" % (n, ids[b"%d" % n].strip())
        assert c.say("STAT") == b"+OK %d %d\r\n" % (len(sizes), sum(int(x) for x in sizes.values()))
        assert c.say("LAST") == b"+OK %d\r\n" % len(sizes)


def test_a_mail_without_a_last_newline_gets_one(ana):
    ana.user("bdat@pop.test")
    with Smtp(ana.address("smtp"), hello="x") as c:
        c.to("x@out.test", "bdat@pop.test").send(b"BDAT %d LAST\r\n" % len(DOTS) + DOTS)
        assert c.reply().startswith("250")
    with box(ana, "bdat@pop.test") as c:
        got = c.fetch("RETR 1")
        assert got.endswith(DOTS + b"\r\n") and c.say("LIST 1") == b"+OK 1 %d\r\n" % len(got)


@pytest.mark.parametrize("text", ["last", "last\r\n", "\n.\n..\nlast", "a\rb", "a\r", "\r\n", ""])
def test_a_mail_by_the_api_with_any_line_ends(ana, text):
    """What LIST says is what comes, and every line ends in CRLF, the last one too."""
    user = "api" + base64.b32encode(text.encode()).decode().strip("=").lower() + "@pop.test"
    ana.user(user)
    raw = f"From: {user}\r\nSubject: x\r\n\r\n{text}".encode()
    ana.call("POST", f"/v1/mailboxes/{ana.mailbox(user)['id']}/entries", raw=raw, headers={"Content-Type": "message/rfc822"})
    ana.call("POST", f"/v1/messages?from={user}&to={user}", raw=raw, headers={"Content-Type": "message/rfc822"})
    wanted = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()
    with box(ana, user) as c:
        sizes = c.listing("LIST")
        assert len(sizes) == 2
        for n, size in sizes.items():
            got = c.fetch(f"RETR {n.decode()}")
            assert len(got) == int(size)
            assert got.split(b"\r\n\r\n", 1)[1] == (wanted if wanted.endswith(b"\r\n") or not wanted else wanted + b"\r\n")


@pytest.mark.parametrize("mail", MAILS)
@pytest.mark.parametrize("lines", [0, 1, 2, 3, 999, 10 ** 12])
def test_top(ana, mail, lines):
    n = list(MAILS).index(mail) + 1
    with box(ana, "ana@pop.test") as c:
        whole = c.fetch(f"RETR {n}")
        head, mark, text = whole.partition(b"\r\n\r\n")
        wanted = whole if not mark else head + mark + b"".join(text.splitlines(True)[:lines] if b"\r" not in text.replace(b"\r\n", b"") and mail != "8bit" else
                                                                 [x + b"\r\n" for x in text.split(b"\r\n")[:-1]][:lines])
        assert c.fetch(f"TOP {n} {lines}") == wanted


def test_utf8(ana):
    """Every mail is given: as it came, or, if it is internationalized and the client said no UTF8, as a surrogate (RFC 6858)."""
    ana.user("utf@pop.test")
    part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: ü\r\n\r\nü\r\n--b--\r\n".encode()
    mails = (" SMTPUTF8", "From: ü@out.test\r\nSubject: Grüße\r\n\r\nx\r\n".encode()), ("", b"Subject: J\xf6rg\r\n\r\n\xff\r\n"), ("", part), (" SMTPUTF8", part)
    with Smtp(ana.address("smtp"), hello="x") as c:
        for params, mail in mails:
            assert c.to("x@out.test", "utf@pop.test", params=params).data(mail).startswith("250")
    with box(ana, "utf@pop.test") as c:
        got = [c.fetch(f"RETR {n}") for n in range(1, 5)]
        assert got[1].endswith(b"\r\n" + mails[1][1]) and got[2].endswith(b"\r\n" + mails[2][1])
        assert got[0].isascii() and b"\r\nSubject: =?utf-8?" in got[0] and b"<invalid@internationalized-address.invalid>" in got[0]
        assert b"\r\nContent-Description: =?utf-8?" in got[3] and got[3].endswith("\r\n\r\nü\r\n--b--\r\n".encode())
        for n, mail in enumerate(got, 1):
            assert c.fetch(f"TOP {n} 0") == mail.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"
        assert c.say("UTF8").startswith(b"-ERR")  # only before the login
    c = Pop3(ana.address("pop3"))
    assert c.say("UTF8").startswith(b"+OK")
    until(lambda: c.login("utf@pop.test", PASSWORD).startswith(b"+OK"), 5)  # once the server has seen the other one hang up
    for n, (_, mail) in enumerate(mails, 1):
        assert c.fetch(f"RETR {n}").endswith(b"\r\n" + mail)
    c.close()


# ---- programs that others wrote ----

@pytest.mark.parametrize("how", ["clear", "stls", "pop3s"])
def test_poplib(ana, how):
    p = poplib.POP3_SSL(*ana.address("pop3s"), context=loose_context()) if how == "pop3s" else poplib.POP3(*ana.address("pop3"))
    if how == "stls":
        p.stls(context=loose_context())
    capabilities = p.capa()
    assert capabilities["EXPIRE"] == ["NEVER"] and capabilities["LOGIN-DELAY"] == ["0"] and capabilities["SASL"] == ["PLAIN"]
    assert {"TOP", "UIDL", "USER", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8", "IMPLEMENTATION"} <= set(capabilities)
    assert ("STLS" in capabilities) == (how == "clear")
    p.user("ana@pop.test")
    p.pass_(PASSWORD)
    assert p.stat()[0] == len(MAILS) and len(p.uidl()[1]) == len(MAILS)
    assert p.retr(1)[1][-6:] == MAILS["dots"].split(b"\r\n")[2:-1][-6:] and b"Subject: big" in p.top(3, 5)[1]
    p.quit()


@pytest.mark.parametrize("url, flags", [("pop3://{}:{}", []), ("pop3://{}:{}", ["--ssl-reqd"]), ("pop3s://{}:{}", []), ("pop3://{}:{}", ["--login-options", "AUTH=PLAIN"]),
                                        ("pop3://{}:{}", ["--sasl-ir"])])
def test_curl(ana, url, flags):
    where = url.format(*ana.address("pop3s" if url.startswith("pop3s") else "pop3"))

    def run(*more):
        r = subprocess.run(["curl", "-sS", "-k", "-u", "ana@pop.test:" + PASSWORD, *flags, *more], capture_output=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return r.stdout

    assert len(run(where).splitlines()) == len(MAILS)
    assert run(where + "/1").endswith(MAILS["dots"]) and run(where + "/3").endswith(MAILS["big"])
    assert run(where, "-X", "UIDL").count(b"ent_") == len(MAILS)


# ---- order and limits ----

@pytest.mark.parametrize("line, reply", [
    ("STAT", "-ERR"), ("RETR 1", "-ERR"), ("PASS x", "-ERR"), ("USER", "-ERR"), ("CAPA", "+OK"), ("NOOP", "-ERR"), ("NOTHING", "-ERR"), ("", "-ERR"), ("AUTH", "+OK"),
    ("AUTH CRAM-MD5", "-ERR"), ("AUTH PLAIN !!!", "-ERR"), ("AUTH PLAIN " + plain("ana@pop.test", "wrong"), "-ERR [AUTH]"), ("AUTH PLAIN =", "-ERR"),
    ("AUTH PLAIN " + plain("ana@pop.test", PASSWORD, "bo@pop.test"), "-ERR [AUTH]"), ("AUTH PLAIN " + plain("apikey", "pr_live_x"), "-ERR [AUTH]"),
    ("UTF8", "+OK"), ("UTF8 USER", "-ERR"), ("STLS now", "-ERR"), ("USER " + "x" * 600, "-ERR"), ("APOP a b", "-ERR"), ("QUIT", "+OK"),
    ("RETR 1\n2", "-ERR"), ("STAT\0", "-ERR"),
])
def test_before_the_login(ana, line, reply):
    with Pop3(ana.address("pop3")) as c:
        assert c.greeting.startswith(b"+OK ") and c.say(line).startswith(reply.encode())


@pytest.mark.parametrize("line, reply", [
    ("USER ana@pop.test", "-ERR"), ("STLS", "-ERR"), ("AUTH PLAIN", "-ERR"), ("RETR", "-ERR"), ("RETR 0", "-ERR"), ("RETR -1", "-ERR"), ("RETR 99999999999999999999", "-ERR"),
    ("RETR 1 2", "-ERR"), ("RETR x", "-ERR"), ("RETR 1x", "-ERR"), ("TOP 1", "-ERR"), ("TOP 1 -1", "-ERR"), ("TOP 1 x", "-ERR"), ("LIST 99", "-ERR"), ("UIDL 99", "-ERR"),
    ("DELE 99", "-ERR"), ("noop", "+OK"), ("Stat", "+OK 7 "), ("LAST", "+OK 0"), ("RSET", "+OK"), ("CAPA", "+OK"), ("uidl 1", "+OK 1 ent_"),
])
def test_after_the_login(ana, line, reply):
    with box(ana, "ana@pop.test") as c:
        assert c.say(line).startswith(reply.encode())


def test_auth_plain(ana):
    with Pop3(ana.address("pop3")) as c:
        assert c.fetch("AUTH") == b"PLAIN\r\n"
        assert c.say("AUTH PLAIN") == b"+ \r\n" and c.say("*").startswith(b"-ERR")
        assert c.say("AUTH PLAIN") == b"+ \r\n" and c.say(plain("ana@pop.test", PASSWORD)).startswith(b"+OK")
    with Pop3(ana.address("pop3")) as c:
        line = "auth plain " + plain("ana@pop.test", PASSWORD, "ana@pop.test")
        until(lambda: c.say(line).startswith(b"+OK"), 5)  # once the server has seen the one before hang up
    with Pop3(ana.address("pop3")) as c:
        assert c.say("USER apikey").startswith(b"+OK") and c.say("PASS " + ana.key).startswith(b"-ERR [AUTH]")


def test_a_password_with_blanks(ana):
    ana.user("blank@pop.test", password="  two  blanks ")
    with Pop3(ana.address("pop3"), user="blank@pop.test", password="  two  blanks ") as c:
        assert c.say("STAT") == b"+OK 0 0\r\n"


def test_a_whole_session_in_one_write(ana):
    ana.user("one@pop.test")
    post(ana, "one@pop.test", MAILS["dots"], MAILS["empty"])
    with Pop3(ana.address("pop3")) as c:
        c.send(f"CAPA\r\nUSER one@pop.test\r\nPASS {PASSWORD}\r\nSTAT\r\nUIDL\r\nRETR 1\r\nTOP 2 0\r\nDELE 1\r\nSTAT\r\nLIST\r\nQUIT\r\n")
        text = c.until_end()
    assert text.count(b"+OK") == 11 and b"-ERR" not in text and text.endswith(b"+OK Goodbye\r\n")
    assert [e["subject"] for e in ana.entries("one@pop.test")] == ["empty"]


@pytest.mark.parametrize("commands", [1, 5])
def test_byte_by_byte(ana, commands):
    with Pop3(ana.address("pop3")) as c:
        c.drip((f"USER ana@pop.test\r\nPASS {PASSWORD}\r\n" + "NOOP\r\n" * commands).encode())
        assert all(c.line().startswith(b"+OK") for _ in range(2 + commands))


def test_junk_ends_a_session():
    with Server("--set", "pop3.errors_max=3", "--set", "pop3.login_timeout=1s") as s:
        with Pop3(s.address("pop3")) as c:
            for _ in range(4):
                assert c.say("JUNK").startswith(b"-ERR")
            assert c.line().startswith(b"-ERR") and c.line() == b""
        with Pop3(s.address("pop3")) as c:
            c.send(b"x" * 3_000_000)
            assert c.until_end().startswith(b"-ERR")
        with Pop3(s.address("pop3")) as c:
            c.send(b"USER x")
            assert c.line() == b""  # RFC 1939 section 3: no answer


def test_failures_are_logged_and_throttled():
    with Server("--set", "auth.failures_free=2", "--set", "auth.failure_delay=1m") as s:
        s.user("ana@pop.test")
        with Pop3(s.address("pop3"), source="127.0.0.2") as c:
            assert [c.login("ana@pop.test", "guess").split()[1] for _ in range(3)] == [b"[AUTH]", b"[AUTH]", b"[SYS/TEMP]"]
            assert c.login("ana@pop.test", PASSWORD).startswith(b"-ERR [SYS/TEMP]")
        with Pop3(s.address("pop3"), source="127.0.0.3", user="ana@pop.test", password=PASSWORD) as c:
            assert c.say("NOOP").startswith(b"+OK")
        assert len(re.findall(r"warn auth .*result=failed client=127\.0\.0\.2 user=ana@pop\.test door=pop3", s.log_text())) == 2


# ---- STLS ----

def test_what_was_said_before_stls_is_forgotten(ana):
    with Pop3(ana.address("pop3")) as c:
        c.send(f"USER ana@pop.test\r\nUTF8\r\nSTLS\r\nPASS {PASSWORD}\r\nUSER bo@pop.test\r\n")
        assert [c.line()[:3] for _ in range(3)] == [b"+OK"] * 3
        c.start_tls()
        assert c.say("PASS " + PASSWORD) == b"-ERR USER comes first\r\n"
        assert b"STLS" not in c.fetch("CAPA") and c.say("STLS").startswith(b"-ERR")
        assert c.login("ana@pop.test", PASSWORD).startswith(b"+OK")


def test_cleartext_never():
    with Server("--set", "auth.cleartext=never") as s:
        s.user("ana@pop.test")
        with Pop3(s.address("pop3")) as c:
            offered = c.fetch("CAPA")
            assert b"USER" not in offered and b"SASL" not in offered and b"STLS" in offered
            for line in ("USER ana@pop.test", "PASS x", "AUTH PLAIN", "AUTH"):
                assert c.say(line).startswith(b"-ERR")
            c.say("STLS")
            c.start_tls()
            assert c.login("ana@pop.test", PASSWORD).startswith(b"+OK")


# ---- the lock ----

def test_a_second_session_is_told_in_use(ana):
    with box(ana, "ana@pop.test") as first:
        with Pop3(ana.address("pop3s"), tls=True) as second:
            assert second.login("ana@pop.test", PASSWORD).startswith(b"-ERR [IN-USE]")
            first.close()
            until(lambda: second.login("ana@pop.test", PASSWORD).startswith(b"+OK"), 5)
    c = box(ana, "ana@pop.test")
    for gone in (c.reset, lambda: c.say("QUIT"), lambda: c.s.shutdown(1)):
        gone()
        c = until(lambda: again(ana), 5)
    c.close()


def again(server):
    c = Pop3(server.address("pop3"))
    if c.login("ana@pop.test", PASSWORD).startswith(b"+OK"):
        return c
    c.close()
    return None


def test_a_reset_behind_commands_frees_the_lock(ana):
    """The kernel tells of both at once: the end must not be overlooked."""
    for _ in range(10):
        c = until(lambda: again(ana), 2)
        c.send("RETR")
        c.reset()
    until(lambda: again(ana), 2).close()


def test_a_refused_login_leaves_no_lock(ana):
    with box(ana, "ana@pop.test"):
        for _ in range(3):
            with Pop3(ana.address("pop3")) as c:
                assert c.login("ana@pop.test", PASSWORD).startswith(b"-ERR [IN-USE]")
    until(lambda: again(ana), 5).close()


def test_the_lock_is_free_after_a_kill(tmp_path):
    s = Server(data=tmp_path / "data").start()
    try:
        s.user("ana@pop.test")
        post(s, "ana@pop.test", MAILS["dots"], MAILS["empty"])
        c = box(s, "ana@pop.test")
        ids = c.listing("UIDL")
        assert c.say("DELE 1").startswith(b"+OK")
        s.kill()
        s.start()
        with box(s, "ana@pop.test") as c:  # at once, and nothing was deleted
            assert c.listing("UIDL") == ids
    finally:
        s.stop()


def test_an_idle_session_keeps_its_lock():
    """Renewed while the client says nothing, for longer than it is taken for."""
    with Server("--set", "maildrop.lock=3s", "--set", "pop3.keep_lock=1s", "--set", "pop3.errors_max=1000") as s:
        s.user("ana@pop.test")
        with box(s, "ana@pop.test") as c, Pop3(s.address("pop3")) as other:
            end = time.monotonic() + 4
            assert until(lambda: time.monotonic() > end or other.login("ana@pop.test", PASSWORD).startswith(b"+OK")) is True
            assert time.monotonic() > end and c.say("NOOP").startswith(b"+OK")


# ---- deleting ----

def test_dele_takes_effect_at_quit(ana):
    user = "dele@pop.test"
    ana.user(user)
    post(ana, user, *(b"Subject: %d\r\n\r\nx\r\n" % i for i in range(5)))
    left = lambda: sorted(e["subject"] for e in ana.entries(user))  # noqa: E731
    with box(ana, user) as c:
        assert c.say("DELE 2").startswith(b"+OK")
        for line in ("DELE 2", "RETR 2", "TOP 2 0", "LIST 2", "UIDL 2"):
            assert c.say(line).startswith(b"-ERR"), line
        assert c.say("STAT").startswith(b"+OK 4 ") and set(c.listing("LIST")) == {b"1", b"3", b"4", b"5"} == set(c.listing("UIDL"))
        assert c.say("RSET").startswith(b"+OK 5 ") and c.say("STAT").startswith(b"+OK 5 ")
        c.say("DELE 1")
    for leave in ("close", "reset"):
        with until(lambda: dele_session(ana, user), 5) as c:
            c.say("DELE 1")
            getattr(c, leave)()
    assert left() == list("01234")
    with until(lambda: dele_session(ana, user), 5) as c:
        for n in (1, 3, 5):
            c.say(f"DELE {n}")
        assert left() == list("01234")
        assert c.say("QUIT").startswith(b"+OK") and c.line() == b""
    assert left() == list("13")
    assert ana.get(f"/v1/users/{user}").json["used"] == sum(e["size"] for e in ana.entries(user))
    inbox = ana.mailbox(user)
    assert (inbox["total"], inbox["unseen"], inbox["bytes"]) == (2, 2, sum(e["size"] for e in ana.entries(user)))


def dele_session(server, user):
    c = Pop3(server.address("pop3"))
    if c.login(user, PASSWORD).startswith(b"+OK"):
        return c
    c.close()
    return None


def test_mail_that_comes_or_goes_during_a_session(ana):
    user = "moves@pop.test"
    ana.user(user)
    post(ana, user, b"Subject: 0\r\n\r\nx\r\n", b"Subject: 1\r\n\r\nx\r\n", b"Subject: 2\r\n\r\nx\r\n")
    entries = {e["subject"]: e["id"] for e in ana.entries(user)}
    with box(ana, user) as c:
        before = c.listing("UIDL")
        post(ana, user, b"Subject: 3\r\n\r\nx\r\n")
        assert ana.call("DELETE", f"/v1/entries/{entries['1']}").status == 204
        assert ana.call("PATCH", f"/v1/entries/{entries['2']}", {"mailbox_id": ana.mailbox(user, "archive")["id"]}).status == 200
        assert c.listing("UIDL") == before and c.say("STAT").startswith(b"+OK 3 ")
        assert c.say("RETR 2").startswith(b"-ERR")
        for n in (1, 2, 3):
            assert c.say(f"DELE {n}").startswith(b"+OK")
        assert c.say("QUIT").startswith(b"+OK")
    assert [e["subject"] for e in ana.entries(user)] == ["3"]
    assert [e["subject"] for e in ana.entries(user, "archive")] == ["2"]  # moved away meanwhile: not in this maildrop


def test_uidl_is_stable(tmp_path):
    s = Server(data=tmp_path / "data").start()
    try:
        user = "ana@pop.test"
        s.user(user)
        post(s, user, *(b"Subject: %d\r\n\r\nx\r\n" % i for i in range(3)))
        with box(s, user) as c:
            first = c.listing("UIDL")
        assert all(re.fullmatch(rb"[\x21-\x7e]{1,70}", x) for x in first.values()) and len(set(first.values())) == 3
        s.restart()
        with box(s, user) as c:
            assert c.listing("UIDL") == first
        entry = next(e for e in s.entries(user) if e["subject"] == "0")
        for role in ("archive", "inbox"):
            s.call("PATCH", f"/v1/entries/{entry['id']}", {"mailbox_id": s.mailbox(user, role)["id"]})
        until(lambda: dele_session(s, user), 5).close()
        with until(lambda: dele_session(s, user), 5) as c:
            assert sorted(c.listing("UIDL").values()) == sorted(first.values())
    finally:
        s.stop()
