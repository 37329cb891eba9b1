"""A MongoDB replica set of the tests' own (script/mongod), of one member or more; it ends with the process that asked."""
import atexit
import importlib.machinery
import importlib.util
import itertools
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

import pymongo

ROOT = pathlib.Path(__file__).resolve().parents[2]


def of_script():
    """script/mongod as a module: it speaks just enough of the protocol for commands."""
    loader = importlib.machinery.SourceFileLoader("script_mongod", str(ROOT / "script/mongod"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


script = of_script()


class ReplicaSet:
    """`uri()` names a database that no one used before. Members are numbered from 0; `pids` are theirs."""

    def __init__(self, members=1):
        self.script = subprocess.Popen([sys.executable, ROOT / "script/mongod", str(members)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        uri = self.script.stdout.readline().strip()
        assert uri, "script/mongod started none (script/bootstrap test installs the server)"
        self.base, self.options = uri.rsplit("/postrider", 1)
        self.ports, self.pids = zip(*((int(n) for n in pair.split("=")) for pair in self.script.stdout.readline().split()))
        self.ports, self.pids = list(self.ports), list(self.pids)
        self.names = itertools.count()
        atexit.register(self.stop)

    def uri(self):
        return f"{self.base}/t{os.getpid()}_{next(self.names)}{self.options}"

    def signal(self, member, number):
        """SIGSTOP is waited for: until its last thread has stopped, it may still answer."""
        os.kill(self.pids[member], number)
        while number == signal.SIGSTOP and not all(state(stat) in "TtZX" for stat in pathlib.Path(f"/proc/{self.pids[member]}/task").glob("*/stat")):
            time.sleep(0.001)

    def kill(self, member):
        """With -9. Back with restart()."""
        self.signal(member, signal.SIGKILL)
        until_gone(self.pids[member])

    def restart(self, member):
        self.script.stdin.write(f"start {member}\n")
        self.script.stdin.flush()
        self.pids[member] = int(self.script.stdout.readline())

    def command(self, member, fields, seconds=2):
        """The raw BSON of the answer. OSError when there is none."""
        return script.command(self.ports[member], fields, seconds)

    def hello(self, member):
        try:
            return self.command(member, {"hello": 1}, 0.5)
        except OSError:
            return b""

    def primary(self):
        """The member that says so, or None."""
        return next((i for i in range(len(self.pids)) if b"\x08isWritablePrimary\0\x01" in self.hello(i)), None)

    def settled(self, seconds=60):
        """Waits until one member is primary and the others follow it."""
        end = time.monotonic() + seconds
        while True:
            said = [self.hello(i) for i in range(len(self.pids))]
            if sum(b"\x08isWritablePrimary\0\x01" in s for s in said) == 1 and sum(b"\x08secondary\0\x01" in s for s in said) == len(said) - 1:
                return
            assert time.monotonic() < end, f"the set is not whole within {seconds} s"
            time.sleep(0.05)

    def term(self):
        """Raised by every election; 0 when nobody answers."""
        for i in range(len(self.pids)):
            try:
                said = self.command(i, {"replSetGetStatus": 1}, 0.5)
            except OSError:
                continue
            return struct.unpack_from("<q", said, said.index(b"\x12term\0") + 6)[0]
        return 0

    def stop(self):
        if self.script.poll() is None:
            self.script.stdin.close()
            self.script.wait(30)


def state(stat):
    """The letter in a stat file of /proc; X when what it was about has ended."""
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def until_gone(pid):
    """Dead, though its parent may not have asked for its status yet."""
    while state(pathlib.Path(f"/proc/{pid}/stat")) not in "ZX":
        time.sleep(0.001)


one = None


def drop_all():
    """Takes away what servers have kept on the shared set; none of them runs any more."""
    if one:
        with pymongo.MongoClient(one.uri()) as client:
            for name in client.list_database_names():
                if name not in ("admin", "config", "local"):
                    client.drop_database(name)


def shared():
    """The one-member set that all servers of this test process share."""
    global one
    one = one or ReplicaSet()
    return one
