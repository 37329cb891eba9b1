"""Suppressions from the outside: who gets no mail, how that is told, and what makes it so."""
import csv
import io
import json
import subprocess
import threading

import pytest
from api_client import Client
from peer import Peer
from sending import fault
from server import BINARY, Server, until
from test_delivery import by_relay
from test_two_processes import beside


@pytest.fixture(scope="module")
def api(server):
    server.make("/v1/domains", {"name": "send.test"})
    return Client(server)


def send(c, *to, **more):
    return c.make("/v1/messages", {"from": "app@send.test", "to": list(to), "subject": "Hello", "text": "Hello\n"} | more)


def statuses(sent):
    return {r["email"]: r["status"] for r in sent["recipients"]}


def events(c, type, email):
    return [e for e in c.get(f"/v1/events?limit=100&type={type}").json["data"] if e["email"] == email]


def test_from_adding_to_removing(api):
    a = api.post("/v1/suppressions", {"email": "Gone@One.test", "reason": "bounce", "text": "by letter"})
    assert a.status == 201 and a.headers["Location"] == f"/v1/suppressions/{a.json['id']}"
    one = a.json
    assert {k: one[k] for k in ("object", "email", "reason", "stream_id", "topic", "delivery_id", "text", "expires_at")} == {
        "object": "suppression", "email": "gone@one.test", "reason": "bounce", "stream_id": None, "topic": None, "delivery_id": None,
        "text": "by letter", "expires_at": None}
    again = api.post("/v1/suppressions", {"email": "gone@one.test"})
    assert again.status == 200 and again.json == one
    assert api.get(f"/v1/suppressions/{one['id']}").json == one
    check = api.get("/v1/suppressions/check?email=GONE@one.test").json
    assert check["suppressed"] and check["email"] == "gone@one.test" and check["data"] == [one]
    sent = send(api, "GONE@one.test", "here@one.test")
    assert sent["status"] == "partial" and list(statuses(sent).values()) == ["suppressed", "captured"]
    [delivery] = api.get(f"/v1/deliveries?message_id={sent['id']}&status=suppressed").json["data"]
    assert delivery["last"]["cause"] == "suppressed" and delivery["attempts"] == 0 and "(bounce)" in delivery["last"]["text"]
    [event] = events(api, "email.suppressed", "GONE@one.test")
    assert event["delivery_id"] == delivery["id"]
    assert api.delete(f"/v1/suppressions/{one['id']}").status == 204
    assert api.get(f"/v1/suppressions/{one['id']}").status == 404
    assert list(statuses(send(api, "gone@one.test")).values()) == ["captured"]
    assert events(api, "suppression.created", "gone@one.test")[0]["data"]["reason"] == "bounce"
    assert len(events(api, "suppression.deleted", "gone@one.test")) == 1


def test_many_at_once_name_their_faults(api):
    rows = [{"email": f"m{i}@many.test"} for i in range(1000)]
    a = api.post("/v1/suppressions", {"data": rows})
    assert a.status == 201 and [r["email"] for r in a.json["data"]] == [r["email"] for r in rows]
    assert api.post("/v1/suppressions", {"data": rows}).status == 200
    assert len(api.all("/v1/suppressions?reason=manual&email=m7@many.test")) == 1
    assert len(api.all("/v1/suppressions")) >= 1000
    rows[3], rows[500] = {"email": "nobody"}, {"email": "x@many.test", "reason": "whim"}
    fault(api.post("/v1/suppressions", {"data": rows}), "/data/3/email", "/data/500/reason")
    fault(api.post("/v1/suppressions", {"data": rows + rows}), "/data")
    fault(api.post("/v1/suppressions", {}), "/email")
    fault(api.post("/v1/suppressions", {"email": "a@b.test", "data": [{"email": "a@b.test"}]}), "/data")
    fault(api.post("/v1/suppressions", {"email": "a@b.test", "expires_at": "2020-01-01T00:00:00Z", "reason": "bounce", "topic": "t"}),
          "/expires_at", "/reason")
    removed = api.post("/v1/suppressions/remove", {"emails": [f"M{i}@many.test" for i in range(1000)]})
    assert removed.json == {"object": "suppressions_removed", "removed": 1000}
    assert not api.get("/v1/suppressions?email=m7@many.test").json["data"]
    fault(api.post("/v1/suppressions/remove", {"emails": ["nobody", "a@b.test"]}), "/emails/0")


def test_a_repeated_request_is_answered_as_before(api):
    key = {"Idempotency-Key": "suppress-1"}
    a = api.post("/v1/suppressions", {"email": "same@key.test"}, headers=key)
    b = api.post("/v1/suppressions", {"email": "same@key.test"}, headers=key)
    assert (a.status, b.status, b.headers["Idempotency-Replayed"]) == (201, 201, "true") and a.json == b.json
    assert b.headers["Location"] == a.headers["Location"]
    key = {"Idempotency-Key": "suppress-2"}
    c = api.post("/v1/suppressions", {"data": [{"email": "same@key.test"}]}, headers=key)
    d = api.post("/v1/suppressions", {"data": [{"email": "same@key.test"}]}, headers=key)
    assert (c.status, d.status) == (200, 200) and c.json == d.json
    key = {"Idempotency-Key": "suppress-3"}
    for _ in range(2):
        assert api.post("/v1/suppressions/remove", {"emails": ["same@key.test"]}, headers=key).json["removed"] == 1


def test_who_may(server, api):
    def key(*scopes, **more):
        return Client(server, api.make("/v1/keys", {"name": "k", "scopes": list(scopes)} | more)["secret"])
    assert key("send").get("/v1/suppressions").status == 403
    assert key("suppressions").get("/v1/suppressions").status == 200
    assert key("suppressions", mode="test").get("/v1/suppressions").status == 403
    assert key("suppressions", domain_ids=["send.test"]).get("/v1/suppressions").status == 403
    api.make("/v1/suppressions", {"email": "hard@may.test", "reason": "complaint"})
    api.make("/v1/suppressions", {"email": "soft@may.test", "reason": "bounce"})
    sender, both = key("send"), key("send", "suppressions")
    mail = {"from": "app@send.test", "to": ["hard@may.test", "soft@may.test"], "text": "x"}
    assert sender.post("/v1/messages", mail | {"bypass": ["bounce"]}).status == 403
    assert list(statuses(both.make("/v1/messages", mail | {"bypass": ["bounce"]})).values()) == ["suppressed", "captured"]
    assert list(statuses(both.make("/v1/messages", mail | {"bypass": ["unsubscribe"]})).values()) == ["suppressed", "suppressed"]
    fault(both.post("/v1/messages", mail | {"bypass": ["complaint"]}), "/bypass/0")


def test_another_account_has_a_list_of_its_own(server, api):
    other = Client(server, api.make("/v1/accounts", {"name": "other"})["key"]["secret"])
    mine = api.make("/v1/suppressions", {"email": "wall@wall.test"})
    theirs = other.make("/v1/suppressions", {"email": "wall@wall.test"})
    assert mine["id"] != theirs["id"]
    assert other.get(f"/v1/suppressions/{mine['id']}").status == 404
    assert other.post("/v1/suppressions/remove", {"emails": ["wall@wall.test"]}).json["removed"] == 1
    assert api.get("/v1/suppressions/check?email=wall@wall.test").json["suppressed"]


def cli(server, *words):
    r = subprocess.run([BINARY, "suppression", *words, "--data", str(server.data)], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)


def test_on_the_command_line(server):
    assert cli(server, "add", "tty@cli.test", "--reason", "complaint", "--text", "called us")["reason"] == "complaint"
    assert cli(server, "check", "TTY@cli.test")["suppressed"]
    assert [r["email"] for r in cli(server, "list", "--email", "tty@cli.test")["data"]] == ["tty@cli.test"]
    assert cli(server, "remove", "tty@cli.test")["removed"] == 1
    assert not cli(server, "check", "tty@cli.test")["suppressed"]


# ---- CSV ----

CSV = {"Content-Type": "text/csv"}


def done(c, a):
    assert a.status == 202, a
    return until(lambda: (i := c.get(f"/v1/suppressions/imports/{a.json['id']}").json)["finished_at"] and i)


def exported(c, query=""):
    a = c.get(f"/v1/suppressions{query}", headers={"Accept": "text/csv"})
    assert a.status == 200 and a.headers["Content-Type"] == "text/csv; charset=utf-8", a
    return list(csv.DictReader(io.StringIO(a.body.decode(), newline="")))


def test_a_file_goes_in_and_comes_out(server):
    c = Client(server, server.make("/v1/accounts", {"name": "csv"})["key"]["secret"])
    rows = [{"email": "=cmd@csv.test", "reason": "complaint", "text": '=HYPERLINK("http://x","y")'},
            {"email": "+a@csv.test", "reason": "", "text": "two\r\nlines are a fault"},
            {"email": "b@csv.test", "reason": "bounce", "text": 'é, "quoted"; 中'}]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["email", "reason", "text"])
    writer.writeheader()
    writer.writerows(rows)
    i = done(c, c.post("/v1/suppressions", raw=b"\xef\xbb\xbf" + text.getvalue().encode(), headers=CSV))
    assert {k: i[k] for k in ("object", "status", "read", "added", "unchanged")} == {
        "object": "suppression_import", "status": "done", "read": 3, "added": 2, "unchanged": 0}
    assert [(f["row"], f["column"]) for f in i["faults"]] == [(3, "text")]
    shown = exported(c)
    assert sorted((r["email"], r["reason"], r["text"]) for r in shown) == [
        ("'=cmd@csv.test", "complaint", "'=HYPERLINK(\"http://x\",\"y\")"), ("b@csv.test", "bounce", 'é, "quoted"; 中')]
    whole = c.get("/v1/suppressions", headers={"Accept": "text/csv"}).body
    again = done(c, c.post("/v1/suppressions", raw=whole, headers=CSV))
    assert (again["read"], again["added"], again["unchanged"], again["faults"]) == (2, 0, 2, [])
    assert len(exported(c, "?reason=bounce")) == 1 and c.get("/v1/suppressions?limit=5", headers={"Accept": "text/csv"}).status == 422
    assert c.get("/v1/suppressions/imports/imp_01k9qw6t5he8brjf0d3vnx2mza").status == 404


def test_what_is_no_list_is_refused(api):
    fault(api.post("/v1/suppressions", raw=b"name\r\nAna\r\n", headers=CSV), "/email")
    fault(api.post("/v1/suppressions", raw=b"", headers=CSV), "/email")
    assert api.post("/v1/suppressions", raw=b"a@b.test\r\n", headers={"Content-Type": "text/plain"}).status == 415
    key = CSV | {"Idempotency-Key": "csv-1"}
    first, second = (api.post("/v1/suppressions", raw=b"a@key.test\r\n", headers=key) for _ in range(2))
    assert first.json == second.json and second.headers["Idempotency-Replayed"] == "true"


def rows_of(n):
    return b"email,text\r\n" + b"".join(b"m%d@many.test,line %d\r\n" % (i, i) for i in range(n))


def test_an_import_survives_its_server(tmp_path):
    with Server(data=tmp_path / "data") as s:
        c = Client(s)
        a = c.post("/v1/suppressions", raw=rows_of(12000), headers=CSV)
        where = f"/v1/suppressions/imports/{a.json['id']}"
        for _ in range(2):
            read = c.get(where).json["read"]
            until(lambda: c.get(where).json["read"] > read or c.get(where).json["finished_at"])
            s.kill()
            s.start()
            c = Client(s)
        i = done(c, a)
        assert (i["read"], i["added"], i["unchanged"], i["faults"]) == (12000, 12000, 0, [])
        assert {r["email"] for r in exported(c)} == {f"m{n}@many.test" for n in range(12000)}


def test_adds_that_race_make_one_row_each(api):
    """Some hundred addresses, added by several clients and an import at once: each is new for one of them alone."""
    emails = [f"r{i}@race.test" for i in range(200)]
    new, clients = [], [Client(api.server) for _ in range(4)]

    def add(c, order):
        for email in order:
            a = c.post("/v1/suppressions", {"email": email})
            assert a.status in (200, 201), a
            new.append(a.status == 201)

    a = api.post("/v1/suppressions", raw=b"\r\n".join(e.encode() for e in emails), headers=CSV)
    threads = [threading.Thread(target=add, args=(c, emails[i * 50:] + emails[:i * 50])) for i, c in enumerate(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(new) == 800 and sum(new) + done(api, a)["added"] == 200
    assert len([r for r in exported(api) if r["email"].endswith("@race.test")]) == 200


def test_files_on_the_command_line(server, tmp_path):
    (tmp_path / "list.csv").write_bytes(rows_of(1500))
    i = cli(server, "import", str(tmp_path / "list.csv"))
    assert until(lambda: (p := cli(server, "progress", i["id"]))["finished_at"] and p)["added"] == 1500
    r = subprocess.run([BINARY, "suppression", "export", "--data", str(server.data)], capture_output=True, timeout=60)
    assert r.returncode == 0 and b"\r\nm1499@many.test,import,,,,line 1499," in r.stdout
    r = subprocess.run([BINARY, "suppression", "import", "-", "--data", str(server.data)], input=b"nothing\r\n", capture_output=True, timeout=60)
    assert r.returncode == 1 and b"/email" in r.stderr
    assert subprocess.run([BINARY, "suppression", "import", "/nowhere", "--data", str(server.data)], capture_output=True).returncode == 2


@pytest.mark.only_mongo("two servers on one store")
def test_what_one_node_removes_the_other_sends_to():
    with Server() as one, beside(one) as two:
        one.make("/v1/domains", {"name": "send.test"})
        a, b = Client(one), Client(two, one.key)
        until(lambda: b.get("/v1/domains/send.test").status == 200)
        for _ in range(10):
            a.make("/v1/suppressions", {"email": "x@far.test"})
            assert statuses(send(b, "x@far.test")) == {"x@far.test": "suppressed"}
            b.make("/v1/suppressions/remove", {"emails": ["x@far.test"]})
            assert statuses(send(a, "x@far.test")) == {"x@far.test": "captured"}


# ---- what other servers say ----

def test_a_refusal_for_good_suppresses_that_recipient_alone():
    def rcpt(session, argument):
        return "550 5.1.1 No such user" if "Gone" in argument else "250 2.1.5 ok"

    with Peer(RCPT=rcpt) as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "send.test"})
        c = Client(s)
        sent = send(c, "Gone@far.test", "here@far.test")
        until(lambda: c.get(f"/v1/messages/{sent['id']}").json["status"] == "partial")
        [row] = c.get("/v1/suppressions").json["data"]
        assert row["email"] == "gone@far.test" and row["reason"] == "bounce" and row["text"] == "550 5.1.1 No such user"
        assert c.get(f"/v1/deliveries/{row['delivery_id']}").json["status"] == "bounced"
        [event] = events(c, "suppression.created", "gone@far.test")
        assert event["delivery_id"] == row["delivery_id"] and event["data"]["suppression_id"] == row["id"]
        assert list(statuses(send(c, "gone@far.test")).values()) == ["suppressed"]
        assert peer.verbs().count("RCPT") == 2
