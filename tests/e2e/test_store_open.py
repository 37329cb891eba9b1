"""What opening a store says: one clear message for each thing that can be wrong, with what to do, within seconds, and
never a password. `postrider check` says the same. Servers are real ones but for the one that is too old: that is a
stand-in which answers `hello`."""
import contextlib
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

import mongod
import pymongo
import pytest
from server import BINARY, Server, free_port

pytestmark = pytest.mark.own_store
SECRET = "s3cret-p4ss"
NAMES = iter(range(1000))


def run(*arguments, env=None, seconds=30):
    """`postrider …` until it ends; status, all that it wrote, and how long it took."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | (env or {})
    began = time.monotonic()
    p = subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=environment, timeout=seconds, text=True)
    return p.returncode, p.stdout, time.monotonic() - began


def refused(uri, *words, seconds=8):
    """Starting ends in time and says these words; so does `check`. No word of it is the password."""
    with tempfile.TemporaryDirectory(prefix="postrider-") as folder:
        status, text, took = run("serve", "--data", folder + "/data", "--ephemeral", "--store", uri)
        assert status == 1, text
        assert took < seconds, took
        with open(folder + "/data/server.key", "a") as f:
            os.chmod(f.name, 0o600)
        _, checked, _ = run("check", "--data", folder + "/data", env={"POSTRIDER_STORE": uri})
    for said in text, checked:
        for word in words:
            assert word in said, said
        assert SECRET not in said
    return text


# ---- servers ----

class Mongod:
    """One member that is started twice: as it comes, where `prepare(client)` may make users, then with `arguments`."""

    def __init__(self, *arguments, prepare=None, replicated=True):
        self.folder = tempfile.TemporaryDirectory(prefix="postrider-mongod-")
        self.port = free_port()
        self.replicated = replicated
        self.start()
        if replicated:
            mongod.script.command(self.port, {"replSetInitiate": {
                "_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]}})
            mongod.script.wait("no primary", lambda: b"\x08isWritablePrimary\0\x01" in mongod.script.command(self.port, {"hello": 1}))
        if prepare:
            with pymongo.MongoClient("127.0.0.1", self.port, directConnection=True) as c:
                prepare(c)
        if arguments:
            self.end()
            self.start(*arguments)

    def start(self, *arguments):
        set_name = ["--replSet", "rs0"] if self.replicated else []
        self.process = subprocess.Popen(
            [mongod.script.binary(), *set_name, "--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath",
             self.folder.name, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--logpath",
             self.folder.name + "/log", "--setParameter", "diagnosticDataCollectionEnabled=false", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        mongod.script.wait("no answer", lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)

    def end(self):
        self.process.terminate()
        self.process.wait(30)

    def close(self):
        self.process.kill()
        self.process.wait(30)
        self.folder.cleanup()

    def uri(self, user="", database="postrider", options="replicaSet=rs0"):
        return f"mongodb://{user}127.0.0.1:{self.port}/{database}?{options}"


@pytest.fixture(scope="module")
def guarded():
    """A set that wants a login, with users of several rights."""
    def users(c):
        admin = c.admin
        for name, roles in {"full": [{"role": "readWrite", "db": "mail"}, {"role": "dbAdmin", "db": "mail"}],
                            "reader": [{"role": "read", "db": "mail"}],
                            "writer": [{"role": "readWrite", "db": "mail"}],
                            "other": [{"role": "readWrite", "db": "elsewhere"}]}.items():
            admin.command("createUser", name, pwd=SECRET, roles=roles)

    with tempfile.TemporaryDirectory(prefix="postrider-key-") as folder:
        with open(folder + "/key", "w") as f:
            f.write("k" * 64)
        os.chmod(f.name, 0o600)
        m = Mongod("--auth", "--keyFile", folder + "/key", prepare=users)
        yield m
        m.close()


class Certificates:
    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("other")
        self.pair("server", "ca", "subjectAltName=IP:127.0.0.1")
        self.pair("client", "ca", "extendedKeyUsage=clientAuth")

    def path(self, name):
        return f"{self.folder}/{name}.pem"

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", self.path(name + "-key"), "-out", self.path(name))

    def pair(self, name, authority, extension):
        request, key, certificate = (self.path(f"{name}-{part}") for part in ("request", "key", "certificate"))
        with open(self.path(name + "-extension"), "w") as f:
            f.write(extension + "\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     f"/O={name}/CN={name}", "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.path(authority), "-CAkey", self.path(authority + "-key"),
                     "-CAcreateserial", "-days", "2", "-extfile", f.name, "-out", certificate)
        with open(self.path(name), "w") as f:
            f.write(open(key).read() + open(certificate).read())


@pytest.fixture(scope="module")
def certificates():
    with tempfile.TemporaryDirectory(prefix="postrider-tls-") as folder:
        yield Certificates(folder)


@pytest.fixture(scope="module")
def in_tls(certificates):
    """A set that speaks TLS only, and wants a certificate of its clients."""
    m = Mongod("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", certificates.path("server"), "--tlsCAFile",
               certificates.path("ca"))
    yield m
    m.close()


# ---- refusals ----

def test_unreachable():
    text = refused(f"mongodb://ana:{SECRET}@127.0.0.1:{free_port()}/mail?replicaSet=rs0", "cannot be reached", "is it running")
    assert text.count("cannot be reached") == 2  # one line for people, one of the log


def test_a_host_that_has_no_address():
    refused("mongodb://no-such-host.invalid:27017/mail?replicaSet=rs0", "cannot be reached", seconds=20)


def test_not_a_replica_set():
    m = Mongod(replicated=False)
    try:
        refused(m.uri(options=""), "is not a replica set", "--replSet", "rs.initiate()")
    finally:
        m.close()


def test_wrong_credentials(guarded):
    refused(guarded.uri(f"full:{SECRET}x@", "mail", "replicaSet=rs0&authSource=admin"), "refuses user full", "authSource")
    refused(guarded.uri(f"full:{SECRET}@", "mail"), "refuses user full", "authSource (now mail)")
    refused(guarded.uri("", "mail"), "wants a login", "put user and password")


@pytest.mark.parametrize("user", ["reader", "writer", "other"])
def test_no_permission(guarded, user):
    refused(guarded.uri(f"{user}:{SECRET}@", "mail", "replicaSet=rs0&authSource=admin"),
            "has not the rights it needs", "readWrite and dbAdmin on the database mail")


def test_with_a_login(guarded):
    uri = guarded.uri(f"full:{SECRET}@", "mail", "replicaSet=rs0&authSource=admin")
    with Server(store=uri) as s:
        s.user("ana@login.example")
        assert SECRET not in s.log_text()
        assert 'store="mongodb://***@127.0.0.1' in s.log_text() or "store=mongodb://***@127.0.0.1" in s.log_text(), s.log_text()
        status, text, _ = run("check", "--data", str(s.data), env={"POSTRIDER_STORE": uri})
        assert "MongoDB set rs0 answers, database mail" in text, text
        assert SECRET not in text


class OldServer:
    """Answers every message as a server of wire version 9 (4.4) would answer `hello`."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                c, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(c,), daemon=True).start()

    def answer(self, c):
        body = mongod.script.document({
            "ismaster": True, "isWritablePrimary": True, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
            "maxWriteBatchSize": 100000, "minWireVersion": 0, "maxWireVersion": 9, "readOnly": False, "setName": "rs0",
            "hosts": [f"127.0.0.1:{self.port}"], "setVersion": 1, "primary": f"127.0.0.1:{self.port}",
            "me": f"127.0.0.1:{self.port}"})
        body = body[4:-1] + b"\x01ok\0" + struct.pack("<d", 1.0) + b"\0"
        body = struct.pack("<i", len(body) + 4) + body
        with contextlib.suppress(OSError), c:
            while True:
                length, number, _, code = struct.unpack("<iiii", mongod.script.read(c, 16))
                mongod.script.read(c, length - 16)
                if code == 2013:
                    c.sendall(struct.pack("<iiiii", 21 + len(body), 1, number, 2013, 0) + b"\0" + body)
                else:
                    c.sendall(struct.pack("<iiiiiqii", 36 + len(body), 1, number, 1, 8, 0, 0, 1) + body)


def test_too_old():
    old = OldServer()
    refused(f"mongodb://127.0.0.1:{old.port}/mail?replicaSet=rs0", "is too old", "6.0 or newer")


@pytest.mark.parametrize("uri, words", [
    (f"mongodb://ana:{SECRET}/x@127.0.0.1:1/mail", ["cannot be read", "%XX"]),
    (f"mongodb://ana:{SECRET}%zz@127.0.0.1:1/mail", ["cannot be read", "%XX"]),
    (f"mongodb://ana:{SECRET}@127.0.0.1:99999/mail", ["cannot be read", "host"]),
    (f"mongodb://ana:{SECRET}@127.0.0.1:1/ma.il", ["cannot be read", "database name"]),
    (f"mongodb://ana:{SECRET}@127.0.0.1:1/mail?connectTimeoutMS=soon", ["cannot be read", "connecttimeoutms"]),
    (f"mongodb://ana:{SECRET}@127.0.0.1:1/mail?replicaSt=rs0", ["not known: replicaSt"]),
    (f"mongodb://ana:{SECRET}@127.0.0.1:1/mail?tls=true&tlsCAFile=/no/such/file", ["tlscafile", "/no/such/file"]),
    ("mongodb://", ["cannot be read"]),
    ("oracle:mail", ["not a store", "sqlite:PATH", "mongodb://"]),
])
def test_a_bad_uri(uri, words):
    refused(uri, *words)


def test_a_uri_too_long_is_not_shown():
    status, text, _ = run("serve", "--data", "/nonexistent", env={"POSTRIDER_STORE": f"mongodb://ana:{SECRET}@h/" + "x" * 3000})
    assert status == 2 and "POSTRIDER_STORE is longer" in text and SECRET not in text, text


# ---- TLS ----

def test_tls(in_tls, certificates):
    ca, client, other = (certificates.path(name) for name in ("ca", "client", "other"))
    refused(in_tls.uri(), "seems to want TLS", "tls=true")
    refused(in_tls.uri(options=f"tls=true&tlsCAFile={other}&tlsCertificateKeyFile={client}"), "is not trusted", "tlsCAFile")
    refused(in_tls.uri(options=f"tls=true&tlsCAFile={ca}"), "want a certificate of us", "tlsCertificateKeyFile")
    with Server(store=in_tls.uri(options=f"replicaSet=rs0&tls=true&tlsCAFile={ca}&tlsCertificateKeyFile={client}")) as s:
        s.user("ana@tls.example")


def test_a_certificate_for_another_name(in_tls, certificates):
    uri = in_tls.uri(options=f"tls=true&tlsCAFile={certificates.path('ca')}&tlsCertificateKeyFile={certificates.path('client')}")
    refused(uri.replace("127.0.0.1", "localhost"), "is not trusted, or is for another name")


def test_tls_where_there_is_none(certificates):
    refused(mongod.shared().uri() + f"&tls=true&tlsCAFile={certificates.path('ca')}", "speaks no TLS")


# ---- mongodb+srv ----

def test_srv_without_an_answer():
    refused(f"mongodb+srv://ana:{SECRET}@no-such-cluster.example.invalid/mail", "SRV record", "_mongodb._tcp.no-such-cluster.example.invalid", "does DNS work", seconds=25)


# ---- three ways to say it, and what it may not say ----

def databases():
    with pymongo.MongoClient(mongod.shared().base + mongod.shared().options.replace("?", "/?")) as c:
        return set(c.list_database_names())


@pytest.mark.parametrize("way", ["flag", "environment", "boot file"])
def test_ways_to_name_the_store(tmp_path, way):
    name = f"way{os.getpid()}_{next(NAMES)}"
    uri = f"{mongod.shared().base}/{name}{mongod.shared().options}"
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    if way == "boot file":
        (data / "postrider.json").write_text(json.dumps({"store": uri}))
    s = Server(*(["--store", uri] if way == "flag" else []), data=data,
               env={"POSTRIDER_STORE": uri} if way == "environment" else {}, store="sqlite")
    with s:
        s.user("ana@way.example")
        assert name in databases()
        assert not (data / "postrider.db").exists()


def test_a_database_of_its_own_name():
    """Where the URI names none it is `postrider`."""
    m = Mongod()
    try:
        with Server(store=f"mongodb://127.0.0.1:{m.port}/?replicaSet=rs0") as s:
            s.user("ana@nameless.example")
            with pymongo.MongoClient("127.0.0.1", m.port) as c:
                assert c["postrider"]["user"].count_documents({}) == 1
    finally:
        m.close()


def test_what_would_weaken_is_not_heeded():
    with Server(store=mongod.shared().uri() + "&w=1&journal=false&readPreference=secondary&socketTimeoutMS=600000&retryWrites=true") as s:
        s.user("ana@weak.example")
        warning = next(line for line in s.log_text().splitlines() if "not heeded" in line)
        assert 'options="w journal readpreference sockettimeoutms"' in warning, warning
        with pymongo.MongoClient(s.store.split("&w=")[0]) as c:  # what its sessions ask for, as the server saw it
            c.admin.command("profile", 0, slowms=0)
            database = c.get_default_database()
            database.command("profile", 2)
            s.make("/v1/domains", {"name": "written.example"})
            commits = list(database["system.profile"].find({"command.commitTransaction": 1}))
            writes = list(database["system.profile"].find({"command.writeConcern": {"$exists": True}}))
            database.command("profile", 0)
            c.admin.command("profile", 0, slowms=100)
        for seen in commits + writes:
            concern = seen["command"]["writeConcern"]
            assert concern["w"] == "majority" and concern["j"] is True, seen


def profiled(server, *calls):
    """What the server's commands were while these were made, oldest first."""
    with pymongo.MongoClient(server.store) as c:
        database = c.get_default_database()
        c.admin.command("profile", 0, slowms=0)
        database.command("profile", 2)
        for call in calls:
            call()
        database.command("profile", 0)
        c.admin.command("profile", 0, slowms=100)
        return list(database["system.profile"].find({"command.find": {"$exists": True}}).sort("ts", 1))


def test_what_is_read_in_several_steps_is_of_one_moment():
    """As the server took it: it would take a weaker concern that is sent beside."""
    with Server(store=mongod.shared().uri()) as s:
        s.user("ana@moment.example")
        send = {"from": "ana@moment.example", "to": "ana@moment.example", "text": "x"}
        s.make("/v1/messages", send)
        seen = profiled(s, lambda: s.get("/v1/events?follow=true"), lambda: s.entries("ana@moment.example"), lambda: s.make("/v1/messages", send))
        assert {p["readConcern"]["level"] for p in seen} <= {"majority", "snapshot", "linearizable"}
        feeds = [p for p in seen if p["ns"].endswith(".event") and "_seq" in p["command"]["filter"]]
        assert feeds
        for feed in feeds:
            lanes = [p for p in seen if p["ns"].endswith("._lane") and p["command"].get("lsid") == feed["command"]["lsid"]]
            assert lanes and feed["readConcern"]["atClusterTime"] in {p["readConcern"]["atClusterTime"] for p in lanes}
        lists = [p for p in seen if p["ns"].endswith(".entry") and "txnNumber" not in p["command"]]
        assert lists and all(p["readConcern"]["level"] == "snapshot" for p in lists)
