"""A login ends with what it rests on, also in the middle of a session and of an answer: keys that go, users and accounts that are
disabled, passwords that change. At one node at once; test_two_processes.py has the others."""
import base64
import http.client
import poplib
import smtplib
import time

import pytest
from api_client import Client, door
from server import PASSWORD, Server, until

CHEAP = ("--set", "auth.argon2_memory=64K", "--set", "auth.argon2_passes=1")  # what a hash costs is not what is tested
LARGE = 16 << 20  # more than the sockets between two processes hold


@pytest.fixture(scope="module")
def server(store):
    with Server(*CHEAP) as s:
        yield s


@pytest.fixture
def world(server, request):
    """An account of its own: one user, one key that sends."""
    n = f"r{abs(hash(request.node.name)) % 10**9}"
    account = server.make("/v1/accounts", {"name": n})
    c = Client(server, key=account["key"]["secret"])
    c.make("/v1/domains", {"name": f"{n}.test"})
    address = f"ana@{n}.test"
    c.make("/v1/users", {"address": address, "password": PASSWORD})
    key = c.make("/v1/keys", {"name": "k", "scopes": ["send"]})
    return {"server": server, "account": account["id"], "client": c, "address": address, "key": key}


def disable_user(w):
    assert w["client"].patch(f"/v1/users/{w['address']}", {"disabled": True}).status == 200


def delete_user(w):
    assert w["client"].delete(f"/v1/users/{w['address']}?erase=true").status == 204


def change_password(w):
    assert w["client"].patch(f"/v1/users/{w['address']}", {"password": "another horse"}).status == 200


def disable_account(w):
    assert w["server"].call("PATCH", f"/v1/accounts/{w['account']}", {"disabled": True}).status == 200


def delete_key(w):
    assert w["client"].delete(f"/v1/keys/{w['key']['id']}").status == 204


def expire_key(w):
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1)) + ".999Z"
    assert w["client"].patch(f"/v1/keys/{w['key']['id']}", {"expires_at": soon}).status == 200


def narrow_key(w):
    other = w["client"].make("/v1/domains", {"name": "narrow." + w["address"].split("@")[1]})
    assert w["client"].patch(f"/v1/keys/{w['key']['id']}", {"domain_ids": [other["id"]]}).status == 200


def bind_key_elsewhere(w):
    assert w["client"].patch(f"/v1/keys/{w['key']['id']}", {"allowed_ips": ["192.0.2.0/24"]}).status == 200


def submit(w, user, password):
    c = smtplib.SMTP(*w["server"].address("submission"), timeout=30)
    c.ehlo("x")
    c.login(user, password)
    return c


def login_of(w, how):
    return (w["address"], PASSWORD) if how in USERS else ("apikey", w["key"]["secret"])


USERS = (disable_user, delete_user, change_password)
KEYS = (delete_key, expire_key, narrow_key, bind_key_elsewhere, disable_account)


@pytest.mark.parametrize("end", USERS + KEYS)
def test_no_mail_of_an_open_session(world, end):
    w, user = world, login_of(world, end)
    with submit(w, *user) as idle, submit(w, *user) as begun, submit(w, *user) as sending:
        for c in (begun, sending):
            assert c.mail(w["address"])[0] == 250 and c.rcpt("x@outside.test")[0] == 250
        sending.putcmd("DATA")
        assert sending.getreply()[0] == 354
        sending.send(b"From: " + w["address"].encode() + b"\r\n\r\nx\r\n")
        end(w)
        until(lambda: idle.mail(w["address"])[0] == 421 or idle.docmd("RSET")[0] != 250, 5)
        assert idle.mail(w["address"])[0] == 421  # and it stays so
        assert idle.docmd("NOOP")[0] == 250 and begun.rcpt("y@outside.test")[0] == 421
        assert begun.docmd("DATA")[0] == 421
        sending.send(b".\r\n")
        assert sending.getreply()[0] == 421  # what came whole is not taken either
    if end == narrow_key:
        return  # it may log in, and sends what it may send now
    with smtplib.SMTP(*w["server"].address("submission"), timeout=30) as c, pytest.raises(smtplib.SMTPAuthenticationError):
        c.login(*user)


def test_what_does_not_matter_ends_nothing(world):
    w = world
    with submit(w, w["address"], PASSWORD) as user, submit(w, "apikey", w["key"]["secret"]) as key:
        w["client"].patch(f"/v1/users/{w['address']}", {"name": "Ana", "quota": 1 << 30, "metadata": {"a": "b"}})
        w["client"].patch(f"/v1/keys/{w['key']['id']}", {"name": "another", "expires_at": "2999-01-01T00:00:00Z"})
        for c in (user, key):
            assert c.mail(w["address"])[0] == 250


def pop3(w):
    c = poplib.POP3(*w["server"].address("pop3"), timeout=60)
    c.user(w["address"])
    c.pass_(PASSWORD)
    return c


@pytest.mark.parametrize("line, end", [(x, disable_user) for x in ("TOP 1 0", "DELE 1", "STAT", "LIST", "UIDL", "QUIT")]
                         + [("RETR 1", x) for x in USERS + (disable_account,)])
def test_no_reading_in_an_open_session(world, line, end):
    w = world
    w["client"].make("/v1/messages", {"from": w["address"], "to": w["address"], "text": "x"})
    c = pop3(w)
    c.dele(1) if line == "QUIT" else c.stat()
    end(w)
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
        c._shortcmd(line)
    assert c.file.readline() == b""  # closed
    c.close()
    if end in (change_password, disable_user):
        assert len([b for b in w["client"].all(f"/v1/users/{w['address']}/mailboxes") if b["total"]]) == 1  # it was not deleted


@pytest.fixture
def large(world):
    w, text = world, "x" * 998 + "\r\n"
    raw = f"From: {w['address']}\r\nTo: {w['address']}\r\n\r\n".encode() + text.encode() * (LARGE // 1000)
    sent = w["client"].call("POST", "/v1/messages", raw=raw, headers={"Content-Type": "message/rfc822"})
    assert sent.status == 202
    return w


@pytest.mark.parametrize("end", (disable_user, change_password, disable_account))
def test_an_answer_ends_in_its_middle(large, end):
    w = large
    basic = Client(w["server"], basic=(w["address"], PASSWORD))
    box = next(b["id"] for b in basic.all(f"/v1/users/{w['address']}/mailboxes") if b["role"] == "inbox")
    [entry] = basic.all(f"/v1/mailboxes/{box}/entries")
    web = http.client.HTTPConnection(*door(w["server"]), timeout=60)
    web.request("GET", f"/v1/entries/{entry['id']}/raw", headers=basic.headers)
    answer = web.getresponse()
    assert answer.status == 200 and len(answer.read(100000)) == 100000
    c = pop3(w)
    c.sock.sendall(b"RETR 1\r\n")
    assert c.file.readline().startswith(b"+OK") and len(c.file.read(100000)) == 100000
    end(w)
    rest = c.file.read()
    assert len(rest) < LARGE - 200000 and not rest.endswith(b"\r\n.\r\n")
    c.close()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    web.close()


def test_an_upload_is_judged_at_its_end(world):
    w = world
    raw = f"From: {w['address']}\r\nTo: x@outside.test\r\n\r\n".encode() + b"x\r\n" * 50000
    web = http.client.HTTPConnection(*door(w["server"]), timeout=60)
    web.putrequest("POST", "/v1/messages")
    for name, value in (("Authorization", "Basic " + base64.b64encode(f"{w['address']}:{PASSWORD}".encode()).decode()),
                        ("Content-Type", "message/rfc822"), ("Content-Length", str(len(raw)))):
        web.putheader(name, value)
    web.endheaders(raw[:100000])
    until(lambda: w["client"].get(f"/v1/users/{w['address']}").json["last_login_at"], 10)  # it has begun
    change_password(w)
    web.send(raw[100000:])
    assert web.getresponse().status == 401
    web.close()
    assert w["client"].get("/v1/messages").json["data"] == []
