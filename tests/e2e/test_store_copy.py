"""`postrider store copy` and `postrider sync`, with real servers before and after: what one engine held is what the other shows."""
import fcntl
import json
import os
import pathlib
import re
import shutil
import smtplib
import sqlite3
import subprocess
import urllib.parse

import mongod
import pymongo
import pytest
from bson import Int64
from server import BINARY, PASSWORD, Server, until
from shown import every, feed, same, shown
from wire import setting

pytestmark = pytest.mark.own_store

ANA, BO = "ana@copy.test", "bo@copy.test"
MANY = 1000
STEPS = ["account", "domain", "dkim", "user", "address", "key", "setting", "setting_change", "node", "idempotency", "body", "message", "tag",
         "delivery", "mailbox", "entry", "event", "consumer", "throttle", "limit", "change", "upgrade", "suppression",
         "suppression_import", "suspension", "action", "transcript", "nudge", "path", "route", "poke", "batch", "view",
         "template", "template_version", "layout", "partial", "stream", "stream_day", "chunk"]


def environment(**more):
    return {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | {k: str(v) for k, v in more.items()}


def command(*words, env=None):
    """Exit status and what was said, as JSON."""
    p = subprocess.run([BINARY, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, env=environment(**(env or {})))
    return p.returncode, json.loads(p.stdout or p.stderr)


def copied(source, target, **env):
    status, said = command("store", "copy", source, target, env=env)
    assert status == 0, said
    return said


def refused(source, target, *words):
    status, said = command("store", "copy", source, target)
    assert status == 1, said
    for word in words:
        assert re.search(word, said["error"]), said
    assert "secret" not in said["error"]


def file_of(folder):
    return f"sqlite:{folder}/postrider.db"


def database(uri):
    """The database of a URI, and its client."""
    client = pymongo.MongoClient(uri)
    return client, client[urllib.parse.urlsplit(uri).path[1:]]


def fill(s):
    """A bit of everything: mail of all sizes, sent and received, with tags, attachments, flags, settings, kept answers."""
    for user in (ANA, BO):
        s.user(user, quota=1 << 33, metadata={"team": "ü"})
    s.make("/v1/users", {"address": "late@copy.test"})
    s.make("/v1/addresses", {"address": "alias@copy.test", "target": {"type": "user", "user_id": s.get(f"/v1/users/{ANA}").json["id"]}})
    s.make("/v1/keys", {"name": "second", "scopes": ["send"]})
    layout = s.make("/v1/layouts", {"html": "<b>{{{content}}}</b>"})["id"]
    s.call("PUT", "/v1/partials/foot", {"html": "<i>ü</i>"})
    s.make("/v1/templates", {"alias": "kept", "html": "{{> foot}}", "layout_id": layout, "sample": {"a.b": [1.50, None]}})
    s.make("/v1/templates/kept/publish", None)
    s.make("/v1/streams", {"slug": "news", "kind": "broadcast", "tracking": {"opens": True}, "recipients_per_second": 7})
    for value in ("11d", "12d"):
        setting(s, "message.keep", value)
    with smtplib.SMTP(*s.address("smtp"), timeout=120) as c:
        for i in range(30):
            c.sendmail("x@y.test", [ANA], f"Subject: {i}\r\n\r\n".encode() + bytes([i + 65]) * (i * 7) + b"\r\n.dots\r\n\x80\xff\r\n")
        lines = b"".join(os.urandom(36).hex().encode() + b"\r\n" for _ in range(340_000))
        c.sendmail("x@y.test", [ANA, BO], b"Subject: 25 MiB\r\n\r\n" + lines[:25 * 1024 * 1024 - 2000] + b"\r\n")
    with smtplib.SMTP(*s.address("submission"), timeout=60) as c:
        c.starttls()
        c.login(BO, PASSWORD)
        c.sendmail(BO, [ANA, "far@else.test"], f"From: {BO}\r\nTo: {ANA}\r\nSubject: from bo\r\n\r\nx\r\n")
    for to in (ANA, "deferred@sandbox.test", "bounced@sandbox.test", "out@else.test"):
        s.make("/v1/messages", {"from": BO, "to": to, "subject": "Zeichen: ü 💌", "text": "x", "tags": [{"name": "run", "value": "a=b"}],
                                "metadata": {"$where": "1", "a.b": "c"}, "attachments": [{"filename": "a.bin", "content": "AAECAw=="}]})
    e = s.entries(ANA)
    assert s.call("PATCH", f"/v1/entries/{e[0]['id']}", {"seen": True, "flagged": True}).status == 200
    assert s.call("DELETE", f"/v1/entries/{e[3]['id']}").status in (200, 204)
    return s.make("/v1/messages", {"from": BO, "to": ANA, "subject": "once", "text": "x"}, headers={"Idempotency-Key": "the one"})


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A filled SQLite server, stopped. Its folder, what it showed, its feed, and the answer that it keeps for a key."""
    folder = tmp_path_factory.mktemp("house") / "data"
    with Server(data=folder) as s:
        once = fill(s)
        until(lambda: not [m for m in every(s, "/v1/messages") if m["status"] == "queued" and "deferred@" not in json.dumps(m)])
        kept = shown(s, ANA, BO)
        order, cursor = feed(s)
    return {"folder": folder, "shown": kept, "feed": order, "cursor": cursor, "once": once}


@pytest.fixture
def folder(house, tmp_path):
    """A copy of the house's folder."""
    return pathlib.Path(shutil.copytree(house["folder"], tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "lock")))


def uri():
    return mongod.shared().uri()


def check_server(house, s):
    same(house["shown"], shown(s, ANA, BO))
    order, _ = feed(s)
    assert order[:len(house["feed"])] == house["feed"]
    lost = s.get(f"/v1/events?follow=true&after={house['cursor']}")
    assert lost.status == 422 and "not a place in the feed" in lost.json["detail"], lost
    again = s.post("/v1/messages", {"from": BO, "to": ANA, "subject": "once", "text": "x"}, headers={"Idempotency-Key": "the one"})
    assert again.json["id"] == house["once"]["id"]
    assert s.get("/v1/settings/message.keep").json["value"] == 12 * 86400


# ---- there and back ----

def send_to_many(folder):
    """Ends with a mail for MANY mailboxes acknowledged, and killed before all are filed."""
    s = Server(data=folder).start()
    s.make("/v1/domains", {"name": "many.test"})
    users = [f"u{i}@many.test" for i in range(MANY)]
    for u in users:
        s.make("/v1/users", {"address": u})
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("x@y.test", users, b"Subject: to all\r\n\r\nx\r\n")
        s.kill()
    with sqlite3.connect(f"file:{folder}/postrider.db?mode=ro", uri=True) as db:
        pending = db.execute("select count(*) from delivery where due_at is not null").fetchone()[0]
    db.close()
    assert pending > 100
    return users


@pytest.mark.parametrize("target", ["sqlite", "mongodb"])
def test_a_copy_is_no_longer_one_once_from_went_on(house, folder, target):
    """Nobody is told that all is there when the newest mail is not; and TO is left as it is."""
    to = uri() if target == "mongodb" else f"sqlite:{folder.parent}/to.db"
    copied(file_of(folder), to)
    assert copied(file_of(folder), to)["result"] == "already copied"
    with Server(data=folder) as s, smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("x@y.test", [ANA], b"Subject: newer than the copy\r\n\r\nx\r\n")
    refused(file_of(folder), to, "gone on since", "empty TO")
    fresh = f"sqlite:{folder.parent}/again.db"
    assert copied(file_of(folder), fresh)["result"] == "copied"


def test_sqlite_to_mongodb_and_back(house, folder):
    users = send_to_many(folder)
    there, back = uri(), folder.parent / "back.db"
    said = copied(file_of(folder), there)
    rows = {r["kind"]: r["rows"] for r in said["data"]}
    assert said["result"] == "copied" and list(rows) == STEPS
    assert rows["user"] == 3 + MANY and rows["delivery"] > MANY and rows["chunk"] >= 12 and rows["setting_change"] == 2 and rows["idempotency"]
    assert copied(file_of(folder), there)["result"] == "already copied"
    (folder / "postrider.db").rename(folder / "old.db")
    with Server(data=folder, store=there) as s:
        until(lambda: [s.mailbox(u)["total"] for u in users] == [1] * MANY, 120)
        check_server(house, s)
        refused(there, f"sqlite:{folder.parent}/live.db", "^FROM: .*in use.*stop")
        s.make("/v1/messages", {"from": ANA, "to": BO, "subject": "on MongoDB", "text": "x"})
        kept = shown(s, ANA, BO)
        order, cursor = feed(s)
    copied(there, f"sqlite:{back}")
    back.rename(folder / "postrider.db")
    with Server(data=folder, store="sqlite") as s:
        check_server(house | {"shown": kept, "feed": order, "cursor": cursor}, s)
        assert [s.mailbox(u)["total"] for u in users[::97]] == [1] * len(users[::97])
        assert [e["subject"] for e in s.entries(BO)].count("on MongoDB") == 1
    assert command("sync", "--data", folder, "--dry-run") == (0, {"rows": len(users) + 3 + 1 + 2 + count_messages(folder), "off": 0, "mended": 0, "busy": 0, "data": []})


def count_messages(folder):
    with sqlite3.connect(f"file:{folder}/postrider.db?mode=ro", uri=True) as db:
        n = db.execute("select count(*) from message").fetchone()[0]
    db.close()
    return n


# ---- killed ----

def progress(target):
    """How far a copy into it is: number of the step, rows; None before it began."""
    try:
        if target.startswith("sqlite:"):
            db = sqlite3.connect(f"file:{target[7:]}?mode=ro", uri=True)
            try:
                row = db.execute("select step, rows, done_at from copy").fetchone()
            finally:
                db.close()
        else:
            client, db = database(target)
            with client:
                row = db.copy.find_one()
                row = row and (row.get("step"), row["rows"], row.get("done_at"))
    except sqlite3.OperationalError:
        return None
    return row and (STEPS.index(row[0]) if row[0] else len(STEPS), row[1], row[2] is not None)


@pytest.mark.parametrize("into", ["sqlite", "mongo"])
def test_killed_at_any_point_it_goes_on(house, folder, tmp_path, short_transactions, into):
    source, target = file_of(folder), uri()
    if into == "sqlite":
        copied(source, target)
        source, target = target, f"sqlite:{tmp_path}/target.db"
    env, at = environment(POSTRIDER_STORE_COPY_ROWS=5, POSTRIDER_STORE_COPY_MEMORY="16M"), (-1, 0)
    for kills, goal in enumerate(["copying account", "copying user", "copying body", "copying message", "copying event", "copying chunk",
                                  "comparing message", "comparing chunk"]):
        p = subprocess.Popen([BINARY, "store", "copy", source, target, "--progress"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, env=env)
        said = []
        for line in p.stderr:
            said.append(line)
            if line.startswith("copying "):
                kind, rows = line.split()[1:]
                assert (STEPS.index(kind), int(rows)) > at, line  # it goes on, and does nothing twice
                at = STEPS.index(kind), int(rows)
            if line.startswith(goal):
                break
        else:
            raise AssertionError(f"it ended before {goal}: {said[-20:]}")
        p.kill()
        p.communicate()
        here = progress(target)
        assert not here[2] and here[:2] >= (at if goal.startswith("copying") else (len(STEPS), 0))
        at = here[:2]
        if kills == 2:
            half_copied(target, folder)
    said = copied(source, target, POSTRIDER_STORE_COPY_ROWS=5)
    assert said["resumed"] and said["result"] == "copied"
    with Server(data=with_store(folder, target), store=None if into == "sqlite" else target) as s:
        check_server(house, s)


def with_store(folder, target):
    if target.startswith("sqlite:"):
        os.replace(target[7:], folder / "postrider.db")
        for tail in ("-wal", "-shm"):
            (folder / ("postrider.db" + tail)).unlink(missing_ok=True)
    return folder


@pytest.fixture
def short_transactions():
    """What a killed process leaves open, mongod ends after a minute; here sooner."""
    with pymongo.MongoClient(uri()) as client:
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=3)
        yield
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=60)


def half_copied(target, folder):
    """No server takes it, no sync, and it is no source."""
    spare = folder.parent / "spare"
    s = Server(data=spare, store=target).start(wait=False)
    assert s.process.wait(60) == 1
    assert "store copy" in s.log_text()
    status, said = command("sync", "--store", target)
    assert status == 1 and "not been finished" in said["error"]
    refused(target, f"sqlite:{spare}/other.db", "^FROM: .*not been finished")
    shutil.rmtree(spare)


# ---- what is refused ----

def test_wrong_words(house, folder, tmp_path):
    here = file_of(folder)
    assert subprocess.run([BINARY, "store", "copy", here], capture_output=True, timeout=60).returncode == 2
    assert subprocess.run([BINARY, "store", "move", here, here], capture_output=True, timeout=60).returncode == 2
    refused(f"sqlite:{tmp_path}/none.db", f"sqlite:{tmp_path}/x.db", "^FROM: .*none.db.*[Nn]o such file")
    assert not (tmp_path / "none.db").exists() and not (tmp_path / "x.db").exists()
    refused(here, here, "same database")
    refused(here, f"sqlite:{tmp_path}/no/folder.db", "no folder")
    refused("ftp://somewhere", here, "^FROM: not a store: use sqlite:")
    refused(here, f"@{tmp_path}/nothing", "cannot read a URL")
    refused(uri(), f"sqlite:{tmp_path}/x.db", "^FROM: the database .* is not there, or empty")
    (tmp_path / "url").write_text(f"sqlite:{tmp_path}/by_file.db\n")
    assert copied(here, f"@{tmp_path}/url")["result"] == "copied"


def test_a_database_that_is_away_is_worth_another_try(folder):
    status, said = command("store", "copy", file_of(folder), "mongodb://me:secret@127.0.0.1:1/x?replicaSet=rs0")
    assert status == 5 and said["error"].startswith("TO: ") and "secret" not in said["error"]


def test_a_target_that_holds_something_else(house, folder, tmp_path):
    with Server(data=tmp_path / "other") as s:
        s.user("someone@other.test")
    refused(file_of(folder), file_of(tmp_path / "other"), "TO is not empty")
    refused(file_of(tmp_path / "other"), file_of(folder), "TO is not empty")
    third = f"sqlite:{tmp_path}/third.db"
    copied(file_of(folder), third)
    refused(file_of(tmp_path / "other"), third, "TO holds a copy of another store")
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).execute("create table theirs (x)").connection.close()
    refused(file_of(folder), f"sqlite:{empty}", "^TO: .*another program")


def test_a_store_in_use(folder, tmp_path):
    with Server(data=folder) as s:
        refused(file_of(folder), f"sqlite:{tmp_path}/x.db", "in use", f"kill {s.process.pid}")
        (tmp_path / "aside").mkdir()
        os.link(folder / "postrider.db", tmp_path / "aside/postrider.db")  # where no lock file says so
        refused(file_of(tmp_path / "aside"), f"sqlite:{tmp_path}/x.db", "in use by process", f"kill {s.process.pid}")
        status, said = command("sync", "--data", folder)
        assert status == 1 and "in use" in said["error"]
    with open(folder / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(file_of(folder), f"sqlite:{tmp_path}/x.db", "data folder .* in use")


def test_what_a_newer_build_keeps_is_not_left_behind(folder, tmp_path):
    there = uri()
    copied(file_of(folder), there)
    with sqlite3.connect(folder / "postrider.db") as db:
        db.execute("alter table user add column shoe_size integer not null default 0")
    db.close()
    refused(file_of(folder), f"sqlite:{tmp_path}/x.db", r"^FROM: .*user\.shoe_size.*newer postrider")
    client, db = database(there)
    with client:
        db["shoe"].insert_one({"size": 42})
    refused(there, f"sqlite:{tmp_path}/x.db", "^FROM: .* holds shoe.*newer postrider")


def test_what_an_older_build_never_wrote_is_no_hindrance(folder, tmp_path):
    there = uri()
    with sqlite3.connect(folder / "postrider.db") as db:
        db.execute("create table lease (id blob not null primary key, holder blob, name text, until integer) without rowid")
        db.execute("create unique index lease__name on lease (name)")
    db.close()
    copied(file_of(folder), there)
    client, db = database(there)
    with client:
        db.create_collection("lease")
    copied(there, f"sqlite:{tmp_path}/x.db")


@pytest.mark.parametrize("spoil,words", [
    ("update user set name = 'other' where address = 'ana@copy.test'", r"user usr_\w+ differs in name"),
    ("delete from tag where id = (select max(id) from tag)", r"tag tag_\w+ is missing in TO"),
    ("insert into account (id, name) values (x'ffffffffffffffffffffffffffffffff', 'x')", r"account acc_\w+ is only in TO"),
    ("update _blob set bytes = substr(bytes, 1, 1000) || 'x' || substr(bytes, 1002) where n = 3", r"chunk bod_\w+ differs in bytes"),
    ("update event set _seq = _seq + 100000 where _seq = 2", r"event evt_\w+ stands elsewhere in the feed"),
], ids=["field", "missing", "more", "chunk", "order"])
def test_what_differs_is_seen(folder, tmp_path, spoil, words):
    target = tmp_path / "t.db"
    copied(file_of(folder), f"sqlite:{target}")
    with sqlite3.connect(target) as db:
        assert db.execute(spoil).rowcount > 0
        db.execute("update copy set done_at = null")  # as one that was ended before it had compared
    db.close()
    refused(file_of(folder), f"sqlite:{target}", words)
    assert progress(f"sqlite:{target}")[2] is False


# ---- sync ----

def spoil_sqlite(folder):
    with sqlite3.connect(folder / "postrider.db") as db:
        db.execute("update account set domains = 7")
        db.execute("update domain set addresses = 0")
        db.execute("update user set used = 5, addresses = 3, modseq = 0 where address = ?", (BO,))
        db.execute("update mailbox set total = total + 2, unseen = 0, bytes = 1, uid_next = 1, modseq = 1 "
                   "where role = 'inbox' and user_id = (select id from user where address = ?)", (ANA,))
        db.execute("update message set n_open = 9, n_delivered = 4 where id = (select max(id) from message where direction = 'outbound')")
    db.close()


def spoil_mongo(there, uid=1):
    client, db = database(there)
    with client:
        db.account.update_many({}, {"$set": {"domains": Int64(7)}})
        db.domain.update_many({}, {"$set": {"addresses": Int64(0)}})
        db.user.update_one({"address": BO}, {"$set": {"used": Int64(5), "addresses": Int64(3), "modseq": Int64(0)}})
        ana = db.user.find_one({"address": ANA})["_id"]
        box = db.mailbox.find_one({"user_id": ana, "role": "inbox"})
        db.mailbox.update_one({"_id": box["_id"]}, {"$set": {"total": Int64(box["total"] + 2), "unseen": Int64(0),
                                                             "bytes": Int64(1), "uid_next": Int64(uid or box["uid_next"]), "modseq": Int64(1)}})
        last = db.message.find({"direction": "outbound"}).sort("_id", -1).limit(1)[0]["_id"]
        db.message.update_one({"_id": last}, {"$set": {"n_open": Int64(9), "n_delivered": Int64(4)}})


OFF = {("account", "domains"): (7, 1), ("domain", "addresses"): (0, 4), ("user", "used"): (5, None), ("user", "addresses"): (3, 1), ("user", "modseq"): (0, None),
       ("mailbox", "total"): None, ("mailbox", "unseen"): (0, None), ("mailbox", "bytes"): (1, None), ("mailbox", "uid_next"): (1, None),
       ("mailbox", "modseq"): (1, None), ("message", "n_open"): (9, 0), ("message", "n_delivered"): (4, 1)}


def check_found(said):
    found = {(d["kind"], d["field"]): (d["was"], d["is"]) for d in said["data"]}
    assert found.keys() == OFF.keys() and said["off"] == len(OFF), said
    for key, want in OFF.items():
        assert all(w is None or w == f for w, f in zip(want or (), found[key])), (key, found[key])
    assert found["mailbox", "total"][0] == found["mailbox", "total"][1] + 2


@pytest.mark.parametrize("engine", ["sqlite", "mongo"])
def test_sync_mends_what_is_off(house, folder, engine):
    place = ["--data", folder]
    if engine == "mongo":
        place = ["--store", uri()]
        copied(file_of(folder), place[1])
    assert command("sync", *place, "--dry-run")[1]["off"] == 0
    spoil_mongo(place[1]) if engine == "mongo" else spoil_sqlite(folder)
    status, said = command("sync", *place, "--dry-run")
    assert status == 1 and said["mended"] == 0
    check_found(said)
    status, said = command("sync", *place)
    assert status == 0 and said["mended"] == len(OFF)
    check_found(said)
    assert command("sync", *place)[1]["off"] == 0
    with Server(data=folder, store=place[1] if engine == "mongo" else "sqlite") as s:
        after = shown(s, ANA, BO)
        same({k: v for k, v in house["shown"].items()}, after)


def test_sync_beside_a_server_that_takes_mail(folder, tmp_path):
    there = uri()
    copied(file_of(folder), there)
    (folder / "postrider.db").unlink()
    with Server(data=folder, store=there) as s:
        spoil_mongo(there, uid=None)  # with a uid that is taken nothing would be filed
        with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
            p = subprocess.Popen([BINARY, "sync", "--store", there], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment())
            sent = 0
            while p.poll() is None or sent < 20:
                c.sendmail("x@y.test", [ANA, BO], b"Subject: meanwhile\r\n\r\nx\r\n")
                sent += 1
        assert p.wait() in (0, 6), p.stdout.read()
        p.stdout.close()
        status, said = command("sync", "--store", there)  # nothing comes any more: what kept changing is right now too
        assert status == 0 and said["busy"] == 0, said
        assert command("sync", "--store", there, "--dry-run")[1]["off"] == 0
        for user in (ANA, BO):
            entries = every(s, f"/v1/mailboxes/{s.mailbox(user)['id']}/entries")
            box = s.mailbox(user)
            assert box["total"] == len(entries) and box["unseen"] == sum(not e["seen"] for e in entries)
            assert [e["subject"] for e in entries].count("meanwhile") == sent
