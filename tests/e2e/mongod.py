"""A MongoDB replica set of the tests' own (script/mongod), of one member or more; it ends with the process that asked."""
import atexit
import itertools
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ReplicaSet:
    """`uri()` names a database that no one used before. Members are numbered from 0; `pids` are theirs."""

    def __init__(self, members=1):
        self.script = subprocess.Popen([sys.executable, ROOT / "script/mongod", str(members)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.base, self.options = self.script.stdout.readline().strip().rsplit("/postrider", 1)
        self.ports, self.pids = zip(*((int(n) for n in pair.split("=")) for pair in self.script.stdout.readline().split()))
        self.ports, self.pids = list(self.ports), list(self.pids)
        self.arguments = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] for pid in self.pids]
        self.restarted = []
        self.names = itertools.count()
        atexit.register(self.stop)

    def uri(self):
        return f"{self.base}/t{os.getpid()}_{next(self.names)}{self.options}"

    def signal(self, member, number):
        os.kill(self.pids[member], number)

    def kill(self, member):
        """With -9. Back with restart()."""
        self.signal(member, signal.SIGKILL)
        until_gone(self.pids[member])

    def restart(self, member):
        p = subprocess.Popen(self.arguments[member], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.restarted.append(p)
        self.pids[member] = p.pid

    def stop(self):
        for p in self.restarted:
            p.kill()
            p.wait()
        self.restarted = []
        if self.script.poll() is None:
            self.script.stdin.close()
            self.script.wait(30)


def until_gone(pid):
    """Dead, though its parent may not have asked for its status yet."""
    while True:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except OSError:
            return


one = None


def shared():
    """The one-member set that all servers of this test process share."""
    global one
    one = one or ReplicaSet()
    return one
