"""Many messages by one request: all or none, or each by itself; once, whatever comes between."""
import json
import threading

import pytest
from api_client import Client
from sending import fault, inbox
from server import Server, until
from test_cli import fine, run
from test_schedule import ahead


@pytest.fixture(scope="module")
def c(server):
    server.user("ana@many.test")
    server.user("bo@many.test")
    return Client(server)


def keyed(k):
    return {"Idempotency-Key": k}


def mails(n, to="bo@many.test", **more):
    return [{"to": to, "subject": f"{i}", "text": f"for {i}"} | more for i in range(n)]


def test_each_says_over_the_defaults(c):
    c.make("/v1/users", {"address": "cy@many.test"})
    made = c.post("/v1/batches", {
        "messages": [{"to": "cy@many.test"}, {"to": "cy@many.test", "subject": "own", "metadata": {"b": "2"}, "headers": {"x-a": "own"}, "tags": []}],
        "defaults": {"from": "ana@many.test", "subject": "shared", "text": "x", "metadata": {"a": "1"}, "headers": {"X-A": "1", "X-B": "2"},
                     "tags": [{"name": "t", "value": "v"}]}})
    assert made.status == 202, made
    batch = made.json
    assert (batch["mode"], batch["status"], batch["total"], batch["accepted"], batch["rejected"]) == ("strict", "complete", 2, 2, 0)
    assert [(d["index"], d["status"], d["message"]["status"]) for d in batch["data"]] == [(0, "accepted", "delivered"), (1, "accepted", "delivered")]
    one, two = (c.get(f"/v1/messages/{d['message']['id']}").json for d in batch["data"])
    assert (one["subject"], one["metadata"], one["tags"]) == ("shared", {"a": "1"}, [{"name": "t", "value": "v"}])
    assert (two["subject"], two["metadata"], two["tags"]) == ("own", {"a": "1", "b": "2"}, [])
    assert one["batch_id"] == two["batch_id"] == batch["id"]
    raw = c.get(f"/v1/messages/{two['id']}/raw").body
    assert b"x-a: own\r\n" in raw and b"X-A: 1" not in raw and b"X-B: 2\r\n" in raw
    shown = c.get(f"/v1/batches/{batch['id']}").json
    assert shown["counts"]["delivered"] == 2 and "data" not in shown
    assert [m["id"] for m in c.all(f"/v1/batches/{batch['id']}/messages")] == [two["id"], one["id"]]
    assert c.get("/v1/batches").json["data"][0]["id"] == batch["id"]


def test_strict_tells_every_fault_and_sends_nothing(c):
    before = len(c.all("/v1/messages"))
    bad = mails(6, **{"from": "ana@many.test"})
    bad[1]["to"] = ["bo@many.test", "no address"]
    bad[3] = {"to": "bo@many.test", "from": "x@notours.test", "text": "x"}
    bad[4]["headers"] = {"From": "x@y.test"}
    bad[5]["nonsense"] = 1
    fault(c.post("/v1/batches", {"messages": bad}), "/messages/1/to/1", "/messages/3/from", "/messages/4/headers/From", "/messages/5/nonsense")
    assert c.post("/v1/batches", {"messages": []}).status == 422
    fault(c.post("/v1/batches", {"messages": [{}], "mode": "some", "x": 1, "defaults": {"to": 5}}), "/mode", "/x", "/defaults/to")
    fault(c.post("/v1/batches", {"messages": mails(1001, **{"from": "ana@many.test"})}), "/messages")
    fault(c.post("/v1/batches", {"defaults": {}}), "/messages")
    assert len(c.all("/v1/messages")) == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"messages":[{}', '{"messages":[{},]}', '{"messages":[{]}', '{"messages":[{"to":01}]}', '{"messages":[{}]}x',
                                  '{"messages":[{}],"messages":[{}]}', '{"messages":[{"to":"a@b.test","to":"a@b.test"}]}'])
def test_what_is_no_json(c, text):
    answer = c.post("/v1/batches", raw=text.encode())
    assert answer.status == 400 and answer.json["code"] == "invalid_json", answer


def test_permissive_rejects_what_is_faulty(c):
    some = mails(4, **{"from": "ana@many.test"})
    some[2]["to"] = "no address"
    some[3]["from"] = "x@notours.test"
    batch = c.make("/v1/batches", {"messages": some, "mode": "permissive"})
    assert (batch["mode"], batch["accepted"], batch["rejected"]) == ("permissive", 2, 2)
    assert [d["status"] for d in batch["data"]] == ["accepted", "accepted", "rejected", "rejected"]
    errors = [d["error"] for d in batch["data"][2:]]
    assert [(e["code"], e["errors"][0]["pointer"]) for e in errors] == [("validation_error", "/messages/2/to"), ("sender_not_allowed", "/messages/3/from")]


def test_limits_hold_for_all_together(server, c):
    for name, value in (("batch.recipients_max", 5), ("batch.built_max", 1024 * 1024)):
        assert c.patch(f"/v1/settings/{name}", {"value": value}).status == 200
    try:
        fault(c.post("/v1/batches", {"messages": mails(6), "defaults": {"from": "ana@many.test"}}), "/messages")
        large = c.post("/v1/batches", {"messages": mails(2), "defaults": {"from": "ana@many.test", "html": "x" * 600_000, "text": "y"}})
        assert large.status == 413 and large.json["code"] == "too_large", large
        assert c.post("/v1/batches", {"messages": mails(2), "defaults": {"from": "ana@many.test", "html": "x" * 400_000, "text": "y"}}).status == 202
    finally:
        for name in ("batch.recipients_max", "batch.built_max"):
            c.patch(f"/v1/settings/{name}", {"value": None})


def test_what_is_not_kept_is_read_again(server, c):
    """More than 16 MiB of composed mail."""
    line = "a line of seventy and some characters that is no longer than others are\n"
    made = c.make("/v1/batches", {"messages": mails(24, "captured@outside.test")[:23] + [{"to": "bo@many.test", "subject": "end", "text": "last"}],
                                  "defaults": {"from": "ana@many.test", "html": line * 14000}})
    assert made["accepted"] == 24 and made["counts"]["captured"] == 23
    assert sorted(int(m["subject"]) for m in c.all(f"/v1/batches/{made['id']}/messages") if m["subject"] != "end") == list(range(23))


def test_once_under_its_key(c):
    c.make("/v1/users", {"address": "once@many.test"})
    body = {"messages": mails(150, "once@many.test"), "defaults": {"from": "ana@many.test"}}
    first = c.post("/v1/batches", body, headers=keyed("once"))
    assert first.status == 202, first
    again = c.post("/v1/batches", body, headers=keyed("once"))
    assert again.body == first.body and again.headers["Idempotency-Replayed"] == "true"
    assert c.post("/v1/batches", body | {"mode": "permissive"}, headers=keyed("once")).json["code"] == "idempotency_mismatch"
    assert len(inbox(c, "once@many.test")) == 150


def test_scheduled_and_cancelled(c):
    batch = c.make("/v1/batches", {"messages": mails(70), "defaults": {"from": "ana@many.test", "scheduled_at": ahead(3600)}})
    assert batch["counts"]["scheduled"] == 70
    assert c.post(f"/v1/batches/{batch['id']}/cancel").json["counts"]["cancelled"] == 70
    done = c.make("/v1/batches", {"messages": mails(1), "defaults": {"from": "ana@many.test"}})
    assert c.post(f"/v1/batches/{done['id']}/cancel").json["code"] == "not_cancellable"


def test_killed_anywhere_it_goes_on_under_its_key(tmp_path):
    """Each round is a server that is killed while it takes a batch, at another moment; the same request then finishes it."""
    s = Server(data=tmp_path / "data").start()
    try:
        s.user("ana@many.test")
        for i in range(6):
            user, key = f"u{i}@many.test", f"round-{i}"
            Client(s).make("/v1/users", {"address": user})
            body = {"messages": mails(400, user), "defaults": {"from": "ana@many.test"}}
            t = threading.Thread(target=lambda: try_once(s, body, key))
            t.start()
            until(lambda: len(Client(s).get(f"/v1/messages?email={user}&limit=100").json["data"]) >= 10 * i or not t.is_alive())
            s.kill()
            t.join()
            s.start()
            c = Client(s)
            done = until(lambda: (a := c.post("/v1/batches", body, headers=keyed(key))).status == 202 and a)
            assert done.json["accepted"] == 400 and done.json["status"] == "complete"
            assert sorted(int(e["subject"]) for e in inbox(c, user)) == list(range(400))
            again = c.post("/v1/batches", body, headers=keyed(key))
            assert again.body == done.body and len(inbox(c, user)) == 400
    finally:
        s.stop()


def try_once(s, body, key):
    try:
        Client(s).post("/v1/batches", body, headers=keyed(key))
    except (OSError, AssertionError):
        pass


def test_from_a_table(server, c, tmp_path):
    c.make("/v1/users", {"address": "csv@many.test"})
    table = tmp_path / "people.csv"
    table.write_text("email,name,subject,code\n" + "".join(f"csv@many.test,Åsa,Hi {i},c{i}\n" for i in range(25)) + "no address,X,Y,Z\n", encoding="utf-8")
    words = ("batch", "send", "--csv", table, "--from", "ana@many.test", "--text", "hello", "--size", 10)
    r = run(server, *words)
    lines = [json.loads(x) for x in r.stdout.splitlines()]
    assert r.returncode == 6, r.stderr
    assert [x["row"] for x in lines if "row" in x] == [27] and lines[-1] == {"total": 26, "done": 26, "accepted": 25, "rejected": 1, "complete": True}
    assert sorted(e["subject"] for e in inbox(c, "csv@many.test")) == sorted(f"Hi {i}" for i in range(25))
    first = c.all(f"/v1/batches/{lines[0]['batch']}/messages")[-1]
    assert first["metadata"] == {"code": "c0"} and first["to"] == [{"email": "csv@many.test", "name": "Åsa"}]
    assert run(server, *words).returncode == 6 and len(inbox(c, "csv@many.test")) == 25  # it goes on where it was: at its end
    assert run(server, *words, "--run", "again").returncode == 6 and len(inbox(c, "csv@many.test")) == 50
    assert run(server, "batch", "send", "--csv", tmp_path / "none.csv").returncode == 2
    table.write_text("a,b\n1,2\n")
    assert run(server, "batch", "send", "--csv", table, "--from", "ana@many.test").returncode == 2


def test_a_table_by_a_template(server, c, tmp_path):
    """A column a variable."""
    c.make("/v1/users", {"address": "columns@many.test"})
    t = c.make("/v1/templates", {"name": "Columns", "subject": "For {{name}}", "text": "{{code}}", "variables": [{"name": "name", "type": "string", "required": True}]})
    assert c.post(f"/v1/templates/{t['id']}/publish").status == 200
    table = tmp_path / "columns.csv"
    table.write_text("email,name,code\ncolumns@many.test,Åsa,c0\ncolumns@many.test,Bo,c1\n", encoding="utf-8")
    assert run(server, "batch", "send", "--csv", table, "--from", "ana@many.test", "--template", t["id"]).returncode == 0
    assert sorted(e["subject"] for e in inbox(c, "columns@many.test")) == ["For Bo", "For Åsa"]


def test_verbs(server, c):
    batch = c.make("/v1/batches", {"messages": mails(2), "defaults": {"from": "ana@many.test", "scheduled_at": ahead(3600)}})
    assert fine(server, "batch", "show", batch["id"])["counts"]["scheduled"] == 2
    assert len(fine(server, "batch", "messages", batch["id"])["data"]) == 2
    assert fine(server, "batch", "cancel", batch["id"])["counts"]["cancelled"] == 2
    assert fine(server, "batch", "list")["data"]
