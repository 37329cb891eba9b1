"""A server for tests: started on free loopback ports in a fresh folder, spoken to as any client would."""
import base64
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import mongod

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = str(ROOT / "build/asan/rsa_keys")  # of domains, ready made: a server of a fault build takes them
BINARY = os.environ.get("POSTRIDER_BIN", str(ROOT / "build/asan/postrider"))
RELEASE = os.environ.get("POSTRIDER_RELEASE_BIN", str(ROOT / "build/release/postrider"))
SUITES = pathlib.Path(os.environ.get("POSTRIDER_SUITES", ROOT / "../shared/suites"))
PASSWORD = "correct horse battery"


def until(what, seconds=30.0):
    """Waits for a condition (a function that returns something true) and returns its result."""
    end = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def seconds_until(what):
    began = time.monotonic()
    until(what)
    return time.monotonic() - began


def free_port(address="127.0.0.1"):
    """One for TCP and UDP, below those that connections are given: it is still free when who listens there is started (again)."""
    for _ in range(1000):
        port = random.randrange(10000, 30000)
        with socket.socket() as t, socket.socket(type=socket.SOCK_DGRAM) as u:
            try:
                t.bind((address, port))
                u.bind((address, port))
                return port
            except OSError:
                pass
    raise AssertionError("no port")


def link(path):
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:2000]!r}>"


databases = {}  # of data folders: a server started again on its folder finds its mail


def store_of(store, data):
    if store == "sqlite":
        return None
    if store == "mongo":
        if str(data) not in databases:
            databases[str(data)] = mongod.shared().uri()
        return databases[str(data)]
    return store


class Server:
    """`with Server() as s:` or start(), stop(). Extra flags and environment go to `serve`. `store` is a URL, or "sqlite"
    or "mongo" ($POSTRIDER_TEST_STORE) for one of the server's own: with MongoDB a database on the set that all share."""

    def __init__(self, *flags, data=None, binary=BINARY, env=None, store=None):
        self.temporary = None if data else tempfile.TemporaryDirectory(prefix="postrider-")
        self.data = pathlib.Path(data or self.temporary.name) / "data" if not data else pathlib.Path(data)
        self.ready = self.data.parent / (self.data.name + ".ready")
        self.flags, self.binary, self.env, self.process, self.log = flags, binary, env or {}, None, None
        self.store = store_of(store or os.environ.get("POSTRIDER_TEST_STORE", "sqlite"), self.data)

    @property
    def place(self):
        """The flags that say where it keeps what it keeps."""
        return ["--data", str(self.data), *(["--store", self.store] if self.store else [])]

    def start(self, wait=True):
        self.ready.unlink(missing_ok=True)
        self.log = open(self.data.parent / (self.data.name + ".log"), "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | {"POSTRIDER_TEST_RSA_KEYS": KEYS} | self.env
        self.process = subprocess.Popen(
            [self.binary, "serve", *self.place, "--ephemeral", "--ready-file", str(self.ready), *self.flags],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment)
        if wait:
            until(lambda: self.ready.exists() or self.process.poll() is not None, 60)
            assert self.process.poll() is None, self.log_text()
            self.doors = json.loads(self.ready.read_text())
            self.key = self.doors["admin_key"]
        return self

    def stop(self, how=signal.SIGTERM):
        """Ends it; after SIGTERM the exit status must be 0 (sanitizers report through it)."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)
        status = self.process.returncode if self.process else 0
        if self.log:
            self.log.close()
        if how == signal.SIGTERM:
            assert status == 0, f"exit status {status}\n{self.log_text()[-6000:]}"

    def kill(self):
        self.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        finally:
            if self.temporary:
                self.temporary.cleanup()

    def log_text(self):
        return (self.data.parent / (self.data.name + ".log")).read_text(errors="replace")

    def descriptors(self):
        """How many it has open, besides connections to its store: those go by the load."""
        process = pathlib.Path(f"/proc/{self.process.pid}")
        ports = {f":{int(port):04X}" for port in re.findall(r":(\d+)[,/]", self.store or "")}
        sockets = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
        to_store = {f"socket:[{s[9]}]" for s in sockets if s[2][-5:] in ports}
        return sum(target not in to_store for target in map(link, (process / "fd").iterdir()))

    def port(self, door):
        return int(self.doors[door].rsplit(":", 1)[1])

    def address(self, door):
        return self.doors[door].rsplit(":", 1)[0], self.port(door)

    def call(self, method, path, body=None, key=None, headers=None, basic=None, raw=None):
        """One HTTP request; `body` is sent as JSON, `raw` as it is. key=False sends no credential."""
        h = dict(headers or {})
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        if data is not None and not any(k.lower() == "content-type" for k in h):
            h["Content-Type"] = "application/json"
        if basic:
            h["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        elif key is not False:
            h["Authorization"] = f"Bearer {key or self.key}"
        request = urllib.request.Request(self.doors["api"] + urllib.parse.quote(path, safe="/?&=%:,@+~!*();'$[]"), data=data, headers=h, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as r:
                return Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            return Answer(e.code, e.headers, e.read())

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def make(self, path, body, **more):
        """A POST that must succeed; its object. A domain of a live server is verified: mail may leave for it."""
        a = self.post(path, body, **more)
        assert 200 <= a.status < 300, a
        if path == "/v1/domains" and self.env.get("POSTRIDER_DELIVERY_MODE") == "live":
            self.make(f"{path}/{a.json['id']}/verify", {"force": True})
        return a.json

    def user(self, address, password=PASSWORD, **more):
        """A user, and the domain when it is not there yet."""
        domain = address.split("@")[1]
        if self.get(f"/v1/domains/{domain}").status == 404:
            self.make("/v1/domains", {"name": domain})
        return self.make("/v1/users", {"address": address, "password": password} | more)

    def mailbox(self, user, role="inbox", **more):
        boxes = self.get(f"/v1/users/{user}/mailboxes?limit=100", **more).json["data"]
        return next(b for b in boxes if b["role"] == role)

    def entries(self, user, role="inbox", limit=100):
        return self.get(f"/v1/mailboxes/{self.mailbox(user, role)['id']}/entries?limit={limit}").json["data"]

    def raw(self, entry):
        return self.get(f"/v1/entries/{entry['id']}/raw").body
