"""A start on a store that is damaged: refused with what to do and nothing changed, or, with --accept-loss, copies kept and service goes on.
And no false alarm after what is normal: kill -9, a torn end of the log, a backup put back."""
import hashlib
import os
import shutil
import smtplib
import sqlite3

import pymongo
import pytest
from server import PASSWORD, Server

ANA = "ana@kept.test"
FRAME = 24 + 4096
NAMES = ("postrider.db", "server.key", "admin.key")


def send(server, n, size=3000):
    with smtplib.SMTP(*server.address("smtp"), timeout=60) as c:
        for i in range(n):
            c.sendmail("x@y.test", [ANA], f"Subject: {i}\r\n\r\n".encode() + b"0123456789abcde\r\n" * (size // 17))


@pytest.fixture(scope="module")
def killed(store, tmp_path_factory):
    """The folder of a server that was killed, with a log of many groups."""
    data = tmp_path_factory.mktemp("killed") / "data"
    with Server(data=data) as s:
        s.user(ANA)
    s.start()
    send(s, 40)
    s.kill()
    return s


@pytest.fixture
def copy(killed, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(killed.data, data, ignore=shutil.ignore_patterns("*.sock", "lock"))
    return Server(data=data, store=killed.store or "sqlite")


def bytes_of(server):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in server.data.iterdir() if f.name.startswith(NAMES)}


def refused(server, *words):
    before = bytes_of(server)
    server.start(wait=False)
    assert server.process.wait(60) == 1
    server.log.close()
    said = server.log_text()
    assert all(word in said for word in (*words, "--accept-loss")), said
    assert bytes_of(server) == before  # nothing is overwritten
    return before


def accepted(server):
    """Starts all the same; what was there lies beside. And from then on it starts without."""
    before = {f.name: f.read_bytes() for f in server.data.iterdir() if f.name in NAMES or f.name.endswith("-wal")}
    server.flags = ("--accept-loss",)
    server.start().stop()
    server.flags = ()
    server.start().stop()
    return before, {f.name.split(".lost-")[0]: f.read_bytes() for f in server.data.glob("*.lost-*")}


def there(server):
    """How many mails are there; each can be read, and more are taken."""
    with server:
        n = server.mailbox(ANA)["total"]
        assert all(server.raw(e) for e in server.entries(ANA)[:3])
        send(server, 1)
        assert server.mailbox(ANA)["total"] == n + 1
        assert server.get("/v1/me", basic=(ANA, PASSWORD)).status == 200
    return n


def wal(server):
    return server.data / "postrider.db-wal"


def overwrite(path, at, what):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(what)


# ---- the store is gone ----

@pytest.mark.only_sqlite("its files")
@pytest.mark.parametrize("left", ["nothing", "an empty file", "its log"])
def test_a_database_that_is_gone(copy, left):
    for f in copy.data.glob("postrider.db*"):
        if not ("log" in left and f.name.endswith("-wal")):
            f.unlink()
    if "empty" in left:
        (copy.data / "postrider.db").touch()
    refused(copy, "server.key")
    before, kept = accepted(copy)
    assert kept["admin.key"] == before["admin.key"] and (copy.data / "server.key").read_bytes() == before["server.key"]
    assert ("postrider.db-wal" in kept) == ("log" in left)


@pytest.mark.only_mongo("its collections")
def test_a_mongodb_that_is_empty(copy):
    with pymongo.MongoClient(copy.store) as client:
        name = client.get_default_database().name
        here = copy.store.replace(f"/{name}", f"/{name}-gone")
    copy.store = here
    refused(copy, "server.key")
    with pymongo.MongoClient(here) as client:
        assert not client.get_default_database().list_collection_names()
    before, kept = accepted(copy)
    assert kept["admin.key"] == before["admin.key"]


# ---- the log is ----

DAMAGES = {
    "deleted": lambda s: wal(s).unlink(),
    "deleted with its index": lambda s: [wal(s).unlink(), (s.data / "postrider.db-shm").unlink()],
    "all but its header": lambda s: os.truncate(wal(s), 100),
    "header": lambda s: overwrite(wal(s), 0, b"\xff" * 32),
    "a page": lambda s: overwrite(wal(s), 32 + 20 * FRAME + 2000, b"\xff" * 100),
    "a frame's header": lambda s: overwrite(wal(s), 32 + 20 * FRAME, b"\xff" * 24),
}


@pytest.mark.only_sqlite("its log")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_that_is_gone_or_damaged_before_its_end(copy, damage):
    DAMAGES[damage](copy)
    refused(copy, "postrider.db", "-wal")
    if damage not in ("deleted", "a page"):
        return
    before, kept = accepted(copy)
    assert kept["postrider.db"] == before["postrider.db"] and kept.get("postrider.db-wal") == before.get("postrider.db-wal")
    assert "loss accepted" in copy.log_text()


@pytest.mark.only_sqlite("its file")
def test_a_database_that_is_cut_off(copy):
    sqlite3.connect(copy.data / "postrider.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    os.truncate(copy.data / "postrider.db", (copy.data / "postrider.db").stat().st_size // 8192 * 4096)
    refused(copy, "shorter")


# ---- what is normal ----

@pytest.mark.only_sqlite("its log")
@pytest.mark.parametrize("torn", [0, 100, 5000])
def test_a_torn_end_is_normal(copy, torn):
    os.truncate(wal(copy), wal(copy).stat().st_size - torn)
    assert there(copy) == 40 if not torn else 38 <= there(copy) <= 40


def test_killed_again_and_again(copy):
    """At the start too, and whoever looked at the database in between."""
    for i in range(4):
        copy.start(wait=i % 2 == 0)
        copy.kill()
        if not copy.store and i == 2:
            with sqlite3.connect(copy.data / "postrider.db") as db:  # brings the log home, and deletes it
                assert db.execute("select count(*) from entry").fetchone() == (40,)
            db.close()
    assert there(copy) == 40


@pytest.mark.only_sqlite("its files")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_backup_that_is_put_back(copy, tmp_path, end):
    """As docs/operating.md says."""
    copy.start()
    with sqlite3.connect(copy.data / "postrider.db") as db, sqlite3.connect(tmp_path / "COPY") as backup:
        db.backup(backup)
    db.close(), backup.close()
    send(copy, 5)
    copy.stop() if end == "stop" else copy.kill()
    for f in copy.data.glob("postrider.db-*"):
        f.unlink()
    shutil.copyfile(tmp_path / "COPY", copy.data / "postrider.db")
    assert there(copy) == 40


@pytest.mark.only_sqlite("its files")
def test_a_backup_in_a_fresh_folder(copy, tmp_path):
    copy.start()
    with sqlite3.connect(copy.data / "postrider.db") as db, sqlite3.connect(tmp_path / "COPY") as backup:
        db.backup(backup)
    db.close(), backup.close()
    copy.kill()
    fresh = Server(data=tmp_path / "fresh", store="sqlite")
    fresh.data.mkdir(mode=0o700)
    shutil.copy(tmp_path / "COPY", fresh.data / "postrider.db")
    for name in ("server.key", "admin.key"):
        shutil.copy(copy.data / name, fresh.data)
    assert there(fresh) == 40
