#!/usr/bin/env python3
"""Runs one load against a running server and prints one line of JSON: rate, CPU per message, memory.

    meter.py --pids PID[,PID...] [--also NAME=PID]... [--peer NAME] [--label TEXT]
             [--until-files DIR | --until-counter FILE] [--each N] -- LOAD COMMAND...

The load prints loadgen's JSON as its last line; "n" is the number of messages. CPU is user and system time of the
process trees below the pids, reaped children included, so that helpers that come and go count too. --also names what
the server leans on, a database: it counts as the server does, and `parts_us` says whose the CPU was. With --until-files
the clock runs on until the files below DIR have grown by n times --each (recipients of a message): a server that
answers 250 before the mail is in its mailbox is measured to there; --until-counter waits likewise for the first number
of a sink's counters. `other_cores` is CPU that neither the server nor
the load used meanwhile, kernel threads included: distrust a rate where it is high; CPU per message holds."""
import argparse
import json
import os
import struct
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
ARRIVAL_SECONDS = 60


def processes():
    """pid -> (parent, seconds of user CPU, seconds of system CPU), both with the reaped children's."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                text = file.read()
        except OSError:
            continue
        field = text[text.rindex(")") + 2:].split()
        user, system, user_reaped, system_reaped = (int(x) / TICKS for x in field[11:15])
        found[int(name)] = int(field[1]), user + user_reaped, system + system_reaped
    return found


def tree(roots, all_processes):
    children = {}
    for pid, (parent, _, _) in all_processes.items():
        children.setdefault(parent, []).append(pid)
    members, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in all_processes and pid not in members:
            members.add(pid)
            waiting += children.get(pid, [])
    return members


def cpu(groups):
    """Name of the group -> (user, system)."""
    now = processes()
    members = {name: tree(roots, now) for name, roots in groups.items()}
    return {name: tuple(sum(now[pid][i] for pid in pids) for i in (1, 2)) for name, pids in members.items()}


def machine_cpu():
    with open("/proc/stat") as file:
        field = [int(x) for x in file.readline().split()[1:9]]
    return (sum(field) - field[3] - field[4]) / TICKS


def memory(roots):
    """Proportional set size in MB: what is shared counts once."""
    kilobytes = 0
    for pid in tree(roots, processes()):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                kilobytes += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return kilobytes / 1024


def count_files(folder):
    return sum(len(files) for _, _, files in os.walk(folder))


class MemoryWatch(threading.Thread):
    def __init__(self, roots):
        super().__init__(daemon=True)
        self.roots, self.peak, self.over = roots, 0.0, threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            self.peak = max(self.peak, memory(self.roots))

    def end(self):
        self.over.set()
        return max(self.peak, memory(self.roots))


def run_load(command):
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if lines:
        return json.loads(lines[-1])
    return {"n": 0, "failed": -1, "rate": 0, "error": (done.stdout + done.stderr)[-300:]}


def read_counter(path):
    with open(path, "rb") as file:
        return struct.unpack("=Q", file.read(8))[0]


def far_end(options):
    """What tells how many mails have arrived where they should; None when the load itself knows."""
    if options.until_files:
        return lambda: count_files(options.until_files)
    return (lambda: read_counter(options.until_counter)) if options.until_counter else None


def wait_for(look, before, wanted):
    """Waits until they are there; a look costs, so it comes seldom enough to take below 5 % of a core."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        start = time.monotonic()
        arrived = look() - before
        end = time.monotonic()
        if arrived >= wanted or end > deadline:
            return arrived
        time.sleep(max(0.02, min(1.0, (end - start) * 20)))


def measure(options):
    look = far_end(options)
    there = look() if look else 0
    groups = {"server": options.pids, **dict(options.also)}
    before = cpu(groups)
    machine, start = machine_cpu(), time.monotonic()
    watch = MemoryWatch([pid for pids in groups.values() for pid in pids])
    watch.start()
    result = run_load(options.command)
    messages = result["n"]
    if look:
        arrived = wait_for(look, there, messages * options.each)
        messages = arrived / options.each
        result.update(arrived=arrived, missing=result["n"] * options.each - arrived,
                      rate=round(messages / (time.monotonic() - start), 1))
    elapsed = time.monotonic() - start
    used = {name: [x - y for x, y in zip(after, before[name])] for name, after in cpu(groups).items()}
    user, system = (sum(part[i] for part in used.values()) for i in (0, 1))
    others = machine_cpu() - machine - user - system - sum(os.times()[:4])
    share = 1e6 / (messages or 1)
    return {"peer": options.peer, "label": options.label, **result, "cpu_us": round((user + system) * share, 1),
            "parts_us": {name: round(sum(part) * share, 1) for name, part in used.items()},
            "user_us": round(user * share, 1), "system_us": round(system * share, 1),
            "memory_mb": round(watch.end(), 1), "other_cores": round(max(0, others) / elapsed, 2)}


def named_pids(text):
    name, pids = text.split("=")
    return name, [int(pid) for pid in pids.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pids", required=True, type=lambda text: [int(pid) for pid in text.split(",")])
    parser.add_argument("--also", metavar="NAME=PID", type=named_pids, action="append", default=[])
    parser.add_argument("--label", default="")
    parser.add_argument("--peer", default="")
    parser.add_argument("--until-files", metavar="DIR")
    parser.add_argument("--until-counter", metavar="FILE")
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    print(json.dumps(measure(options)), flush=True)


main()
