"""Passwords at the doors: what a refusal tells, what it costs, and what the log keeps of it."""
import base64
import re
import socket

import pytest
from api_client import NOBODY, Client
from server import PASSWORD, Server


@pytest.fixture(scope="module")
def server(store):
    with Server("--set", "auth.failures_free=1000") as s:  # many wrong passwords are tried
        yield s


@pytest.fixture(scope="module")
def c(server):
    """An account with the domain a.test and ana."""
    made = Client(server, key=server.make("/v1/accounts", {"name": "a"})["key"]["secret"])
    made.make("/v1/domains", {"name": "a.test"})
    made.make("/v1/users", {"address": "ana@a.test", "password": PASSWORD})
    return made


def dialogue(server, door, said):
    """All that a door answers to lines that end the session."""
    with socket.create_connection(server.address(door), timeout=30) as s, s.makefile("rb") as f:
        greeting = f.readline()
        for line in said.splitlines():  # one by one: AUTH must be the last of a group
            s.sendall(line.encode() + b"\r\n")
            answer = f.readline()
            while answer[3:4] == b"-" and door != "pop3":
                answer = f.readline()
            greeting += answer
        return greeting + f.read()


def hashes(server):
    """Argon2id computations so far: the work of a login, whatever the machine does beside."""
    text = Client(server).get("/metrics").body.decode()
    return int(re.search(r"^postrider_auth_hashes_total (\d+)", text, re.M).group(1))


def test_a_known_and_an_unknown_user_look_alike(server, c):
    """The same text, and the same work: each failure costs one Argon2id. (Times would say the same, on a quiet machine.)"""
    c.make("/v1/users", {"address": "known@a.test", "password": PASSWORD})
    c.make("/v1/users", {"address": "disabled@a.test", "password": PASSWORD, "disabled": True})
    c.make("/v1/users", {"address": "without@a.test"})
    names = ["known@a.test", "unknown@a.test", "x@nowhere.test", "disabled@a.test", "without@a.test", "no address"]
    texts = set()
    for address in names:
        before = hashes(server)
        answer = Client(server, basic=(address, "wrong password")).get("/v1/me")
        assert answer.status == 401 and hashes(server) == before + 1, address
        texts.add(answer.json["detail"])
    assert len(texts) == 1, texts


def test_a_key_in_the_place_of_a_name_is_not_kept(server, c):
    """curl -u KEY: and mail programs that were told the wrong thing: the log hides the key, the answer says what is right."""
    secret = c.make("/v1/keys", {"name": "k", "scopes": ["send"]})["secret"]
    strange = "pr_live_" + "q" * 40
    for key in (secret, secret.upper(), strange):
        answer = Client(server, basic=(key, "")).get("/v1/me")
        assert answer.status == 401 and "user name is apikey" in answer.json["detail"] and "Bearer" in answer.json["detail"]
        plain = base64.b64encode(f"\0{key}\0x".encode()).decode()
        assert b"user name is apikey" in dialogue(server, "submission", f"EHLO x\r\nAUTH PLAIN {plain}\r\nQUIT\r\n")
        login = "".join(base64.b64encode(x.encode()).decode() + "\r\n" for x in (key, "x"))
        assert b"user name is apikey" in dialogue(server, "submission", f"EHLO x\r\nAUTH LOGIN\r\n{login}QUIT\r\n")
        assert b"-ERR [AUTH] A key is no user name" in dialogue(server, "pop3", f"USER {key}\r\nPASS x\r\nQUIT\r\n")
        dialogue(server, "smtp", f"EHLO {key}\r\nMAIL FROM:<{key}@x.test>\r\nRCPT TO:<{key}@a.test>\r\nQUIT\r\n")
        assert key not in Client(server, key=server.key).get(f"/v1/settings/{key}").body.decode()
    for name in ("hunter2 typed here", "ana@b.test hunter2", "hunter2 ana@b.test"):
        Client(server, basic=(name, "x")).get("/v1/me")
    log = server.log_text().lower()
    assert secret[12:20].lower() not in log and strange[8:16] not in log and "hunter2" not in log
    assert secret[:12] in server.log_text()  # the hint stays: it tells which key it was


def test_wrong_passwords_slow_down_that_pair_only(server, c):
    for n in ("slow", "free"):
        c.make("/v1/users", {"address": f"{n}@a.test", "password": PASSWORD})
    operator = Client(server)
    operator.patch("/v1/settings/auth.failures_free", {"value": 3})
    try:
        assert operator.get("/v1/settings/auth.failures_free").json["source"] == "flag"
    finally:
        operator.patch("/v1/settings/auth.failures_free", {"value": None})
    with Server("--set", "auth.failures_free=3") as s:
        s.user("slow@x.test")
        s.user("free@x.test")
        statuses = [Client(s, basic=("slow@x.test", "wrong " + str(i))).get("/v1/me").status for i in range(6)]
        assert statuses[:3] == [401] * 3 and 429 in statuses, statuses
        refused = Client(s, basic=("slow@x.test", PASSWORD)).get("/v1/me")
        assert refused.status == 429 and refused.json["code"] == "rate_limited" and int(refused.headers["Retry-After"]) > 0
        assert Client(s, basic=("free@x.test", PASSWORD)).get("/v1/me").status == 200


@pytest.mark.parametrize("user, password", [("", ""), ("", PASSWORD), ("ana@a.test", ""), ("ana@a.test\0", PASSWORD), ("ana@a.test", PASSWORD + "\0x"),
                                            ("ana@a.test", PASSWORD[:-1]), ("ana@a.test", PASSWORD + " "), ("*", PASSWORD), ("ana", PASSWORD),
                                            ("x" * 400 + "@a.test", PASSWORD), ("ana@a.test", "x" * 2000), ("ana@a.test ", PASSWORD + "x"),
                                            ("apikey", PASSWORD), ("usr_" + NOBODY, PASSWORD), ("ana@[127.0.0.1]", PASSWORD), ("@a.test", PASSWORD)])
def test_logins_that_must_fail(server, c, user, password):
    assert Client(server, basic=(user, password)).get("/v1/me").status == 401


def test_a_changed_password_ends_the_old_one_at_once(server, c):
    c.make("/v1/users", {"address": "change@a.test", "password": PASSWORD})
    assert Client(server, basic=("change@a.test", PASSWORD)).get("/v1/me").status == 200
    c.patch("/v1/users/change@a.test", {"password": "another long one"})
    assert Client(server, basic=("change@a.test", PASSWORD)).get("/v1/me").status == 401
    assert Client(server, basic=("change@a.test", "another long one")).get("/v1/me").status == 200
    c.patch("/v1/users/change@a.test", {"disabled": True})
    assert Client(server, basic=("change@a.test", "another long one")).get("/v1/me").status == 401
    c.patch("/v1/users/change@a.test", {"disabled": False, "password": None})
    assert Client(server, basic=("change@a.test", "another long one")).get("/v1/me").status == 401
    assert b"another long one" not in c.get("/v1/users/change@a.test").body and "another long one" not in server.log_text()
