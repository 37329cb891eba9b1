"""Data as an older build wrote it: script/upgrade_data lets that build write it (write), test_upgrade.py gives it to this one (unpack).

tests/data/upgrade/COMMIT/ENGINE.tar.xz holds `data`, the server's folder, killed while a mail for many was being filed; with MongoDB `dump`,
for each collection a file of BSON documents, and its indexes in `indexes.json`; and `known.json`: what the old build showed."""
import base64
import json
import pathlib
import random
import shutil
import smtplib
import sys
import tempfile
import urllib.parse

import bson
import mongod
import pymongo
from bson import json_util
from bson.raw_bson import RawBSONDocument
from kept import rows
from server import PASSWORD, ROOT, Server, until
from shown import every, feed, shown
from wire import Smtp, setting

KEPT = ROOT / "tests/data/upgrade"
ANA, BO, LATE, IDA = "ana@old.test", "bo@old.test", "late@old.test", "ida@bücher.test"
MANY = [f"u{i}@many.test" for i in range(100)]  # more than one slice of local recipients
ODD_NAMES = ["Q3/Q4", "Q3-Q4", "#news", "Cafe\u0301", "Café"]  # taken then
KEEP = {"message.keep": "3650d", "message.keep_content": "3650d", "event.keep": "3650d"}  # the test runs for years


# ---- by the old build ----

def noise(n):
    """Lines of so many octets in all, that hardly compress, always the same."""
    lines = base64.encodebytes(random.Random(n).randbytes(n * 3 // 4)).split(b"\n")
    return b"\r\n".join(lines)


def receive(s, large):
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        for i in range(12):
            c.sendmail("x@y.test", [ANA], f"Subject: {i}\r\n\r\n".encode() + bytes([i + 65]) * (i * 7) + b"\r\n.dots\r\n\x80\xff\r\n")
        c.sendmail("x@y.test", [ANA, BO, "ida@xn--bcher-kva.test"], b"Subject: one chunk\r\n\r\n" + b"all the same\r\n" * 200_000)
        c.sendmail("x@y.test", [ANA], b"Subject: large\r\n\r\n" + noise(large) + b"\r\n")


def arrange(s):
    """What users do with their mail."""
    entries = s.entries(ANA)
    boxes = [s.make(f"/v1/users/{ANA}/mailboxes", {"name": name}) for name in ODD_NAMES]
    inner = s.make(f"/v1/users/{ANA}/mailboxes", {"name": "inner", "parent_id": boxes[0]["id"]})
    for e, change in zip(entries, ({"seen": True, "flagged": True}, {"keywords": ["Work", "$Label1"]}, {"mailbox_id": inner["id"]}, {"mailbox_id": boxes[2]["id"]})):
        assert s.call("PATCH", f"/v1/entries/{e['id']}", change).status == 200
    assert s.call("DELETE", f"/v1/entries/{entries[5]['id']}").status in (200, 204)
    draft = s.call("POST", f"/v1/mailboxes/{boxes[1]['id']}/entries", raw=b"From: <ana@old.test>\r\nSubject: kept\r\n\r\nbare\nLF\r\n",
                   headers={"Content-Type": "message/rfc822"})
    assert draft.status == 201, draft


def fill(s, large):
    """A bit of everything; returns the credentials of a tenant."""
    for name, value in KEEP.items():
        setting(s, name, value)
    for user in (ANA, BO, LATE, IDA):
        s.user(user, quota=1 << 33, metadata={"team": "ü"})
    s.make("/v1/addresses", {"address": "alias@old.test", "target": {"type": "user", "user_id": s.get(f"/v1/users/{ANA}").json["id"]}})
    s.make("/v1/keys", {"name": "second", "scopes": ["send"]})
    tenant = s.make("/v1/accounts", {"name": "tenant"})
    receive(s, large)
    arrange(s)
    for sender, to in ((BO, ANA), (BO, "bounced@sandbox.test"), (BO, "out@else.test"), (LATE, "deferred@sandbox.test")):
        s.make("/v1/messages", {"from": sender, "to": to, "subject": "Zeichen: ü 💌", "text": "x", "tags": [{"name": "run", "value": "a=b"}],
                                "metadata": {"a.b": "c"}, "attachments": [{"filename": "a.bin", "content": "AAECAw=="}]})
    until(lambda: not [m for m in every(s, "/v1/messages") if m["status"] == "queued" and "deferred@" not in json.dumps(m)])
    return tenant["key"]["secret"]


def send_to_many(s):
    """Killed as soon as the mail is acknowledged: its filing is not done."""
    with Smtp(s.address("smtp"), hello="old.test") as c:
        assert c.to("x@y.test", *MANY).data(b"Subject: to all\r\n\r\nx\r\n").startswith("250")
        s.kill()


def dump(uri, folder):
    """The database of a URI, as dump files."""
    folder.mkdir()
    with pymongo.MongoClient(uri, document_class=RawBSONDocument) as client:
        db, indexes = client[urllib.parse.urlsplit(uri).path[1:]], {}
        for name in sorted(db.list_collection_names()):
            (folder / f"{name}.bson").write_bytes(b"".join(d.raw for d in db[name].find().sort("_id")))
            indexes[name] = [dict(x) for x in db[name].list_indexes() if x["name"] != "_id_"]
        (folder / "indexes.json").write_text(json_util.dumps(indexes, indent=1))


def write(store, target, large):
    with tempfile.TemporaryDirectory(prefix="postrider-upgrade-") as folder:
        top = pathlib.Path(folder) / "old"
        s = Server(data=top / "data", store=store)
        top.mkdir()
        s.start()
        tenant = fill(s, large)
        s.make("/v1/domains", {"name": "many.test"})
        for u in MANY:
            s.make("/v1/users", {"address": u})
        order, cursor = feed(s)
        known = {"shown": shown(s, ANA, BO), "feed": order, "cursor": cursor, "key": s.key, "tenant": tenant}
        (top / "known.json").write_text(json.dumps(known, indent=1, ensure_ascii=False))
        send_to_many(s)
        assert sum(due is not None for due in rows(s, "delivery", "due_at")) > 10, "all was filed before the kill: once more"
        if s.store:
            dump(s.store, top / "dump")
        for name in ("data.ready", "data.log"):
            (top / name).unlink()
        for path in top.glob("data/*"):
            if path.is_socket() or path.name in ("lock", "postrider.db-shm"):
                path.unlink()
        shutil.make_archive(target / store, "xztar", top)


# ---- for the new one ----

def load(dumped, uri):
    with pymongo.MongoClient(uri) as client:
        db = client[urllib.parse.urlsplit(uri).path[1:]]
        for name, indexes in json_util.loads((dumped / "indexes.json").read_text()).items():
            db.create_collection(name)
            found = bson.decode_all((dumped / f"{name}.bson").read_bytes(), bson.CodecOptions(document_class=RawBSONDocument))
            if found:
                db[name].insert_many(found)
            if indexes:
                db.command("createIndexes", name, indexes=indexes)


def unpack(archive, folder):
    """A server on a copy of what was kept, not started, and what is known of it."""
    store = archive.name.split(".")[0]
    shutil.unpack_archive(archive, folder)
    s = Server(data=folder / "data", store=store)
    if s.store:
        load(folder / "dump", s.store)
    return s, json.loads((folder / "known.json").read_text())


if __name__ == "__main__":
    where = pathlib.Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    write("sqlite", where, 1_420_000)  # several chunks
    write("mongo", where, 300_000)
    mongod.drop_all()
