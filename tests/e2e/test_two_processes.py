"""Two servers over one MongoDB database share everything: each sentence of docs/operating.md about several nodes."""
import concurrent.futures
import poplib
import shutil
import smtplib
import time

import kept
import mongod
import pytest
from server import PASSWORD, Server, until
from wire import loose_context

pytestmark = pytest.mark.own_store("mongo")

CHEAP = ["--set", "auth.argon2_memory=64K", "--set", "auth.argon2_passes=1"]  # what a hash costs is not what is tested
SOON = 1.0  # seconds in which a change at one node is known at another
SLACK = 1.0  # for a busy machine


class beside(Server):
    """Another node of first's store: a folder of its own, and a copy of server.key. The admin's key is the first's."""

    def __init__(self, first, *flags):
        super().__init__(*flags, store=first.store)
        self.first = first
        self.data.mkdir(mode=0o700)
        shutil.copy(first.data / "server.key", self.data)

    def start(self, wait=True):
        super().start(wait)
        self.key = self.first.key
        return self


@pytest.fixture(scope="module")
def nodes():
    with Server(*CHEAP, store="mongo") as a, beside(a, *CHEAP) as b:
        yield a, b


def refused(server):
    """It ends by itself; what it said."""
    server.start(wait=False)
    assert server.process.wait(60) == 1, server.log_text()
    server.log.close()
    return server.log_text()


def kill(server):
    server.kill()
    server.process = None  # its exit status says nothing


def mail(server, sender, recipients, text="hello", **login):
    with smtplib.SMTP(*server.address("submission" if login else "smtp"), timeout=30) as c:
        if login:
            c.starttls(context=loose_context())
            c.login(login["user"], login["password"])
        return c.sendmail(sender, recipients, f"Subject: {text}\r\n\r\n{text}\r\n")


def pop3(server, user, password=PASSWORD):
    c = poplib.POP3(*server.address("pop3"), timeout=30)
    try:
        c.user(user)
        c.pass_(password)
    except poplib.error_proto as e:
        c.close()
        return str(e)
    return c


def opens(server, user, password=PASSWORD):
    c = pop3(server, user, password)
    if isinstance(c, str):
        return False
    c.quit()
    return True


def soon(what):
    until(what, SOON + SLACK)


def subjects(server, user):
    return [e["subject"] for e in server.entries(user)]


def metric(server, name):
    line = next(x for x in server.get("/metrics").body.decode().splitlines() if x.startswith(name + " "))
    return float(line.split()[1])


# ---- mail ----

def test_a_mail_accepted_by_one_is_listed_by_the_other_at_once(nodes):
    a, b = nodes
    a.user("ana@mail.test")
    soon(lambda: b.get("/v1/users/ana@mail.test").status == 200)
    for i, (taker, shower) in enumerate([(a, b), (b, a)] * 5):
        mail(taker, "x@out.test", ["ana@mail.test"], f"by smtp {i}")
        assert subjects(shower, "ana@mail.test")[0] == f"by smtp {i}"
        taker.make("/v1/messages", {"from": "ana@mail.test", "to": "ana@mail.test", "subject": f"by api {i}", "text": "x"})
        c = pop3(shower, "ana@mail.test")
        lines = c.retr(c.stat()[0])[1]
        c.quit()
        assert f"Subject: by api {i}".encode() in lines


def test_what_one_deletes_is_gone_at_the_other(nodes):
    a, b = nodes
    a.user("del@mail.test")
    soon(lambda: opens(b, "del@mail.test"))
    for i in range(5):
        mail(a, "x@out.test", ["del@mail.test"], f"n{i}")
    c = pop3(b, "del@mail.test")
    for i in (1, 3, 5):
        c.dele(i)
    c.quit()
    assert subjects(a, "del@mail.test") == ["n3", "n1"]
    c = pop3(a, "del@mail.test")
    assert c.stat()[0] == 2
    c.quit()


# ---- the lock of a maildrop ----

def test_a_maildrop_is_open_at_one_node_at_a_time(nodes):
    a, b = nodes
    a.user("lock@mail.test")
    soon(lambda: opens(b, "lock@mail.test"))
    for here, there in ((a, b), (b, a)):
        c = pop3(here, "lock@mail.test")
        assert "[IN-USE]" in pop3(there, "lock@mail.test")
        c.quit()
        assert opens(there, "lock@mail.test")


def test_locks_of_a_killed_process_end_by_their_time(nodes):
    a, _ = nodes
    flags = ["--set", "maildrop.lock=3s", "--set", "pop3.keep_lock=1s", *CHEAP]
    a.user("killed@mail.test")
    with beside(a, *flags) as c, beside(a, *flags) as d:
        until(lambda: opens(d, "killed@mail.test"), 5)
        held = pop3(c, "killed@mail.test")
        time.sleep(3.5)  # longer than the lock lasts: it is renewed
        assert "[IN-USE]" in pop3(d, "killed@mail.test")
        kill(c)
        at = time.monotonic()
        assert "[IN-USE]" in pop3(d, "killed@mail.test")
        until(lambda: opens(d, "killed@mail.test"), 3 + SLACK)
        assert time.monotonic() - at > 1
        held.close()


def test_locks_of_a_killed_process_end_when_it_starts_again(nodes):
    a, b = nodes
    a.user("again@mail.test")
    with beside(a, *CHEAP) as c:
        until(lambda: opens(c, "again@mail.test"), 5)
        held = pop3(c, "again@mail.test")  # for two minutes
        kill(c)
        held.close()
        assert "[IN-USE]" in pop3(b, "again@mail.test")
        c.start()
        assert opens(b, "again@mail.test")


# ---- logins ----

def test_failed_logins_count_at_all_nodes(nodes):
    a, b = nodes
    a.user("guess@mail.test")
    for s in (a, b):
        soon(lambda: opens(s, "guess@mail.test"))  # remembered at both
    for i in range(5):  # auth.failures_free
        assert "Wrong user or password" in pop3((a, b)[i % 2], "guess@mail.test", f"wrong {i}")
    for s in (b, a):
        assert "Too many failed logins" in pop3(s, "guess@mail.test")  # though it is right, and remembered
    with smtplib.SMTP(*b.address("submission"), timeout=30) as c, pytest.raises(smtplib.SMTPAuthenticationError) as e:
        c.starttls(context=loose_context())
        c.login("guess@mail.test", PASSWORD)
    assert e.value.smtp_code == 454
    assert a.get("/v1/me", basic=("guess@mail.test", PASSWORD)).status == 429
    until(lambda: opens(b, "guess@mail.test"), 5)  # the first delay is a second
    assert opens(a, "guess@mail.test")


def test_many_guesses_at_once_get_no_further(nodes):
    a, _ = nodes
    flags = ["--set", "auth.failure_delay=1m", *CHEAP]
    a.user("many@mail.test")
    with beside(a, *flags) as c, beside(a, *flags) as d:
        until(lambda: opens(c, "many@mail.test") and opens(d, "many@mail.test"), 5)
        before = metric(c, "postrider_auth_hashes_total") + metric(d, "postrider_auth_hashes_total")
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            said = list(pool.map(lambda i: pop3((c, d)[i % 2], "many@mail.test", f"guess {i}"), range(120)))
        compared = metric(c, "postrider_auth_hashes_total") + metric(d, "postrider_auth_hashes_total") - before
    assert all("Wrong" in x or "Too many" in x for x in said), said
    # five are free, and each of the nodes may compare auth.argon2_parallel (2) when the fifth is counted
    assert 5 <= compared <= 5 + 2 * 2, compared
    assert sum("Wrong" in x for x in said) == compared


def test_a_changed_password_ends_the_old_one_everywhere(nodes):
    a, b = nodes
    a.user("change@mail.test")
    for here, there, old, new in ((a, b, PASSWORD, "another horse"), (b, a, "another horse", "a third horse")):
        soon(lambda: opens(there, "change@mail.test", old))
        assert opens(there, "change@mail.test", old)  # remembered
        assert here.call("PATCH", "/v1/users/change@mail.test", {"password": new}).status == 200
        assert not opens(there, "change@mail.test", old)  # at once: the user's row is read for every login
        assert opens(there, "change@mail.test", new)


def test_a_disabled_user_or_account_is_shut_everywhere(nodes):
    a, b = nodes
    a.user("shut@mail.test")
    soon(lambda: opens(b, "shut@mail.test"))
    assert a.call("PATCH", "/v1/users/shut@mail.test", {"disabled": True}).status == 200
    soon(lambda: not opens(b, "shut@mail.test"))
    made = a.make("/v1/accounts", {"name": "tenant"})
    key = made["key"]["secret"]
    soon(lambda: b.get("/v1/me", key=key).status == 200)
    assert a.call("PATCH", f"/v1/accounts/{made['id']}", {"disabled": True}).status == 200
    soon(lambda: b.get("/v1/me", key=key).status == 401)


def test_a_revoked_key_ends_everywhere(nodes):
    a, b = nodes
    made = a.make("/v1/keys", {"name": "brief", "scopes": ["send"]})
    assert b.get("/v1/me", key=made["secret"]).status == 200
    assert a.call("DELETE", f"/v1/keys/{made['id']}").status == 204
    soon(lambda: b.get("/v1/me", key=made["secret"]).status == 401)


def test_open_sessions_end_everywhere(nodes):
    a, b = nodes
    for name in ("off", "new", "gone"):
        a.user(f"{name}@ends.test")
    key = a.make("/v1/keys", {"name": "ends", "scopes": ["send"]})
    logins = {"key": ("apikey", key["secret"])} | {n: (f"{n}@ends.test", PASSWORD) for n in ("off", "new", "gone")}
    sessions, boxes = {}, {n: pop3(b, f"{n}@ends.test") for n in ("off", "new", "gone")}
    for name, login in logins.items():
        sessions[name] = c = smtplib.SMTP(*b.address("submission"), timeout=30)
        c.starttls(context=loose_context())
        c.login(*login)
        assert c.mail("off@ends.test" if name == "key" else login[0])[0] == 250
    assert a.call("DELETE", f"/v1/keys/{key['id']}").status == 204
    assert a.call("PATCH", "/v1/users/off@ends.test", {"disabled": True}).status == 200
    assert a.call("PATCH", "/v1/users/new@ends.test", {"password": "another horse"}).status == 200
    assert a.call("DELETE", "/v1/users/gone@ends.test?erase=true").status == 204
    for name, c in sessions.items():
        soon(lambda: c.rcpt("x@outside.test")[0] == 421)
        c.close()
    for c in boxes.values():
        with pytest.raises(poplib.error_proto, match="AUTH"):
            c.stat()
        c.close()
    with smtplib.SMTP(*b.address("submission"), timeout=30) as c:  # a login right behind the change holds, whatever b remembers
        assert a.call("PATCH", "/v1/users/new@ends.test", {"password": "a third horse"}).status == 200
        c.starttls(context=loose_context())
        c.login("new@ends.test", "a third horse")
        assert c.mail("new@ends.test")[0] == 250


# ---- rates ----

def test_rates_hold_together(nodes):
    a, b = nodes
    for name in ("few@mail.test", "lots@mail.test"):
        a.user(name)
        soon(lambda: opens(b, name))
    try:
        for most, user in ((10, "few@mail.test"), (200, "lots@mail.test")):
            assert a.call("PATCH", "/v1/settings/limits.user_recipients_per_hour", {"value": most}).status == 200
            soon(lambda: b.get("/v1/settings/limits.user_recipients_per_hour").json["value"] == most)
            taken = sum_taken((a, b), user, most)
            assert most - 2 * (most // 32) <= taken <= most + 1, (most, taken)  # some seconds of the hour come back
    finally:
        a.call("PATCH", "/v1/settings/limits.user_recipients_per_hour", {"value": None})


def sum_taken(servers, user, most):
    """Recipients that sessions at both, three each, are allowed when they ask as fast as they can."""
    def session(server):
        n = 0
        with smtplib.SMTP(*server.address("submission"), timeout=60) as c:
            c.starttls(context=loose_context())
            c.login(user, PASSWORD)
            c.mail(user)
            for i in range(most):
                code, text = c.rcpt(f"r{i}@far.test")
                assert code in (250, 450), text
                n += code == 250
        return n
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return sum(pool.map(session, servers * 3))


# ---- idempotency ----

def test_a_finished_answer_is_given_again_by_the_other(nodes):
    a, b = nodes
    a.user("once@mail.test")
    body = {"from": "once@mail.test", "to": "once@mail.test", "subject": "once", "text": "x"}
    soon(lambda: b.get("/v1/users/once@mail.test").status == 200)
    first = a.post("/v1/messages", body, headers={"Idempotency-Key": "over both"})
    again = b.post("/v1/messages", body, headers={"Idempotency-Key": "over both"})
    assert first.status == again.status == 202 and again.headers["Idempotency-Replayed"] == "true" and again.body == first.body
    other = b.post("/v1/messages", body | {"text": "y"}, headers={"Idempotency-Key": "over both"})
    assert other.status == 422 and other.json["code"] == "idempotency_mismatch"
    assert subjects(b, "once@mail.test") == ["once"]


def test_a_request_that_runs_is_known_to_the_other(nodes):
    a, b = nodes
    a.make("/v1/domains", {"name": "slow.test"})
    h = {"Idempotency-Key": "it runs"}
    body = {"address": "slow@slow.test", "password": PASSWORD}
    with beside(a, "--set", "auth.argon2_memory=256M", "--set", "auth.argon2_passes=8") as slow:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(slow.post, "/v1/users", body, key=a.key, headers=h)
            hashes = metric(slow, "postrider_auth_hashes_total")
            until(lambda: hashes or metric(slow, "postrider_auth_hashes_total"), 10)  # it computes the password's hash
            busy = b.post("/v1/users", body, headers=h)
            assert not running.done() and busy.status == 409 and busy.json["code"] == "idempotency_in_progress", busy
            first = running.result(60)
    again = b.post("/v1/users", body, headers=h)
    assert first.status == again.status == 201 and again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]


def test_many_requests_with_one_key_are_one(nodes):
    a, b = nodes
    a.user("burst@mail.test")
    soon(lambda: b.get("/v1/users/burst@mail.test").status == 200)
    body = {"from": "burst@mail.test", "to": "burst@mail.test", "subject": "one", "text": "x"}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: (a, b)[i % 2].post("/v1/messages", body, headers={"Idempotency-Key": "burst"}), range(64)))
    assert {x.status for x in answers} <= {202, 409} and len({x.body for x in answers if x.status == 202}) == 1
    assert subjects(a, "burst@mail.test") == subjects(b, "burst@mail.test") == ["one"]


# ---- what operators change ----

def test_a_setting_is_live_at_the_other_within_a_second(nodes):
    a, b = nodes
    took = []
    for i, (here, there) in enumerate([(a, b), (b, a)] * 3):
        value = (20 + i) * 1024 * 1024
        assert here.call("PATCH", "/v1/settings/message.size_max", {"value": value}).json["value"] == value
        at = time.monotonic()
        until(lambda: there.get("/v1/settings/message.size_max").json["value"] == value, SOON + SLACK)
        took.append(time.monotonic() - at)
    assert min(took) < SOON, took
    with smtplib.SMTP(*b.address("smtp"), timeout=30) as c:
        c.ehlo()
        assert c.esmtp_features["size"] == str(value)
    history = b.get("/v1/settings/message.size_max/history").json["data"]
    assert len(history) == 6
    a.call("PATCH", "/v1/settings/message.size_max", {"value": None})


def test_domains_addresses_and_users_are_the_same_everywhere(nodes):
    a, b = nodes

    def takes(server, address):
        with smtplib.SMTP(*server.address("smtp"), timeout=30) as c:
            c.ehlo()
            c.mail("x@out.test")
            return c.rcpt(address)[0] == 250

    assert not takes(b, "ana@fresh.test") and not takes(b, "info@fresh.test")  # remembered: there is no such domain
    user = a.user("ana@fresh.test")
    soon(lambda: takes(b, "ana@fresh.test"))
    alias = b.make("/v1/addresses", {"address": "info@fresh.test", "target": {"type": "user", "user_id": user["id"]}})
    soon(lambda: takes(a, "info@fresh.test"))
    assert a.call("DELETE", f"/v1/addresses/{alias['id']}").status == 204
    soon(lambda: not takes(b, "info@fresh.test"))
    assert b.call("PATCH", "/v1/domains/fresh.test", {"catch_all": "ana@fresh.test"}).status == 200
    soon(lambda: takes(a, "anything@fresh.test"))
    assert a.call("PATCH", "/v1/users/ana@fresh.test", {"disabled": True}).status == 200
    soon(lambda: not takes(b, "ana@fresh.test"))


# ---- work in the background ----

def test_what_a_killed_process_had_claimed_is_done_by_another():
    flags = ["--set", "delivery.lease=10s", "--set", "delivery.claim=1000", *CHEAP]
    users = [f"u{i}@due.test" for i in range(160)]
    a = Server(*flags, store="mongo").start()
    a.make("/v1/domains", {"name": "due.test"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {m.status for m in pool.map(lambda u: a.post("/v1/users", {"address": u}), users)} == {201}
    with beside(a, *flags) as b:
        b.stop()  # it opens, and has no work yet
        mail(a, "x@out.test", users)
        until(lambda: "delivery id=" in a.log_text(), 10)
        kill(a)  # with the rest claimed
        b.start()
        assert 0 in counts(b, users)  # else there was nothing to take over
        until(lambda: b.entries(users[-1]) and min(counts(b, users)) == 1, 60)  # the lease lasts ten seconds
        assert counts(b, users) == [1] * len(users)


def counts(server, users):
    return [len(server.entries(u)) for u in users]


def test_two_sweeps_do_no_harm():
    flags = ["--set", "sweep.every=1s", "--set", "body.grace=0s", "--set", "sweep.slice=20", *CHEAP]
    with Server(*flags, store="mongo") as a, beside(a, *flags) as b:
        for i in range(4):
            user = a.user(f"u{i}@sweep.test")
            for n in range(15):
                mail((a, b)[n % 2], "x@out.test", [user["address"]], f"n{n}")
            c = pop3((a, b)[i % 2], user["address"])
            for n in range(1, 15):
                c.dele(n)
            c.quit()
        until(lambda: sum(s.log_text().count("sweep rows=") for s in (a, b)), 15)
        until(lambda: swept(a) + swept(b) >= 56, 15)
        for i in range(4):
            box = a.mailbox(f"u{i}@sweep.test")
            assert box["total"] == 1 and len(b.entries(f"u{i}@sweep.test")) == 1
            c = pop3(b, f"u{i}@sweep.test")
            assert b"n14" in b"".join(c.retr(1)[1])
            c.quit()
        assert swept(a) + swept(b) == 56  # none counted twice
        assert all("sweep error" not in s.log_text() for s in (a, b))


def swept(server):
    return sum(int(x.split("sweep rows=")[1].split()[0]) for x in server.log_text().splitlines() if "sweep rows=" in x)


# ---- starting ----

def test_another_key_is_refused(nodes, tmp_path):
    a, _ = nodes
    for name in ("other", "none"):
        data = tmp_path / name
        data.mkdir(mode=0o700)
        if name == "other":
            with Server(data=tmp_path / "stranger", store="sqlite"):
                pass
            shutil.copy(tmp_path / "stranger" / "server.key", data)
        said = refused(Server(store=a.store, data=data))
        fingerprint = (a.data / "server.key").read_text().split("fingerprint ")[1][:8]
        assert fingerprint in said and "another node of this store" in said and str(data / "server.key") in said, said
        assert (data / "server.key").exists() == (name == "other")  # never made anew
        assert not (data / "admin.key").exists()


def test_a_copied_folder_is_refused(nodes, tmp_path):
    a, b = nodes
    a.user("origin@mail.test")
    copy = tmp_path / "copy"
    shutil.copytree(a.data, copy, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
    until(lambda: len(kept.rows(a, "_process", "_id")) == len(nodes), 60)  # those that earlier tests killed are buried
    before = kept.rows(a, "_process", "_id")
    said = refused(Server(store=a.store, data=copy))
    assert "is a copy of" in said and "remove node.id" in said, said
    assert set(before) <= set(kept.rows(a, "_process", "_id"))  # and what `a` has under way goes on
    (copy / "node.id").unlink()
    with Server(*CHEAP, store=a.store, data=copy) as c:
        assert c.get("/v1/me").status == 200
    for server in nodes:
        soon(lambda: server.get("/v1/users/origin@mail.test").status == 200)
        assert opens(server, "origin@mail.test"), server.log_text()[-2500:]


@pytest.fixture
def three(tmp_path):
    """Nodes that were never started, of an empty database."""
    uri = mongod.shared().uri()
    servers = [Server(*CHEAP, store=uri, data=tmp_path / f"n{i}") for i in range(3)]
    yield servers
    for s in servers:
        s.kill()


@pytest.mark.parametrize("round", range(3))
def test_first_starts_at_once_make_one_key_and_one_operator(three, round):
    """Without a key: one makes it, and the other says to copy it. The copied folder then starts."""
    servers = three
    for s in servers:
        s.start(wait=False)
    until(lambda: all(s.ready.exists() or s.process.poll() is not None for s in servers), 60)
    winners = [s for s in servers if s.process.poll() is None]
    assert len(winners) == 1, [s.log_text() for s in servers]
    for s in servers:
        if s not in winners:
            assert s.process.returncode == 1 and "server.key" in s.log_text() and "copy" in s.log_text(), s.log_text()
            assert not (s.data / "server.key").exists() and not (s.data / "admin.key").exists()
            s.log.close()
            shutil.copy(winners[0].data / "server.key", s.data)
            s.start()
    winners[0].stop()
    winners[0].start()
    check_one_operator(servers)


@pytest.mark.parametrize("round", range(3))
def test_first_starts_at_once_with_one_key_all_succeed(three, tmp_path, round):
    with Server(data=tmp_path / "maker", store="sqlite"):
        pass
    servers = three
    for s in servers:
        s.data.mkdir(mode=0o700)
        shutil.copy(tmp_path / "maker" / "server.key", s.data)
    for s in servers:
        s.start(wait=False)
    until(lambda: all(s.ready.exists() or s.process.poll() is not None for s in servers), 60)
    assert all(s.process.poll() is None for s in servers), [s.log_text() for s in servers]
    for s in servers:
        s.stop()
        s.start()
    check_one_operator(servers)


def check_one_operator(servers):
    keys = [s.data / "admin.key" for s in servers if (s.data / "admin.key").exists()]
    try:
        assert len(keys) == 1
        for s in servers:
            answer = s.get("/v1/accounts", key=keys[0].read_text().strip())
            assert answer.status == 200 and len(answer.json["data"]) == 1, answer
            assert len(s.get("/v1/keys", key=keys[0].read_text().strip()).json["data"]) == 1
    finally:
        for s in servers:
            s.stop()


def test_one_that_ends_leaves_the_others_serving(nodes):
    a, b = nodes
    a.user("stays@mail.test")
    with beside(a, *CHEAP) as c:
        until(lambda: opens(c, "stays@mail.test"), 5)
        c.stop()
    mail(b, "x@out.test", ["stays@mail.test"], "served")
    assert subjects(a, "stays@mail.test") == ["served"]
