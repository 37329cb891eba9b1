#!/usr/bin/env python3
"""against.py OLD NEW LOADGEN [-n PASSES] [-t SECONDS] [-o POINTS]: one build of Postrider beside another.

Both serve at the same time, each on new data (and a mongod of its own); the load goes to one and the other in turn, in
slices of SECONDS, and whoever began a pair of slices is second in the next. What is compared is CPU per message, of
server and mongod together, by the clock of the processes: a busy machine makes both dearer alike. A pass begins anew; a
ratio is the median over the passes of NEW by OLD, with the least and the most. POINTS is a regular expression that picks
among the labels. The tables go to the standard output, what happens meanwhile to the standard error."""
import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
USERS, BIG, MAILDROPS, MESSAGES, BIG_ENTRIES = 50, "big", 10, 300, 3000
DOMAIN, PASSWORD = "bench.test", "secretpass"
SLICES = 4  # of each build, a point and pass

SMTP, HTTP, POP3 = ["smtp", "-c", f"user%d@{DOMAIN}", "-R", str(USERS)], ["http", "-d"], ["pop3"]
# label | manner, as loadgen takes it. What reads comes first, while the maildrops hold MESSAGES each.
POINTS = {
    "sqlite": [
        ("POP3 login and QUIT, 10 sessions", POP3, "-s 10 -k 0"),
        ("POP3 login and QUIT, 10 sessions, TLS", POP3, "-s 10 -k 0 -S"),
        ("POP3 RETR, 4 sessions", POP3, f"-s 4 -k {MESSAGES}"),
        ("POP3 RETR pipelined, 4 sessions", POP3, f"-s 4 -k {MESSAGES} -P 16"),
        ("POP3 RETR pipelined, 4 sessions, TLS", POP3, f"-s 4 -k {MESSAGES} -P 16 -S"),
        ("first page of 100 entries, 10 connections", HTTP, "-s 10 -G"),
        ("1 session", SMTP, "-s 1 -d"),
        ("10 sessions", SMTP, "-s 10 -d"),
        ("64 sessions", SMTP, "-s 64 -d"),
        ("1 session, 10 recipients", SMTP, "-s 1 -d -r 10"),
        ("10 sessions, 10 recipients", SMTP, "-s 10 -d -r 10"),
        ("64 sessions, 10 recipients", SMTP, "-s 64 -d -r 10"),
        ("1 session, pipelined", SMTP, "-s 1 -d -P 1"),
        ("10 sessions, pipelined", SMTP, "-s 10 -d -P 1"),
        ("64 sessions, pipelined", SMTP, "-s 64 -d -P 1"),
        ("10 sessions, a connection each", SMTP, "-s 10"),
        ("1 session, STARTTLS each time", SMTP, "-s 1 -T"),
        ("10 sessions, STARTTLS each time", SMTP, "-s 10 -T"),
        ("64 sessions, STARTTLS each time", SMTP, "-s 64 -T"),
        ("HTTP sends, 1 connection", HTTP, "-s 1"),
        ("HTTP sends, 10 connections", HTTP, "-s 10"),
        ("HTTP sends, 50 connections", HTTP, "-s 50"),
        ("HTTP sends, 10 connections, recipient outside", HTTP, "-s 10 -o"),
    ],
    "mongo": [
        ("MongoDB, POP3 login and QUIT, 10 sessions", POP3, "-s 10 -k 0"),
        ("MongoDB, POP3 RETR pipelined, 4 sessions", POP3, f"-s 4 -k {MESSAGES} -P 16"),
        ("MongoDB, first page of 100 entries, 10 connections", HTTP, "-s 10 -G"),
        ("MongoDB, 1 session", SMTP, "-s 1 -d"),
        ("MongoDB, 10 sessions", SMTP, "-s 10 -d"),
        ("MongoDB, 64 sessions", SMTP, "-s 64 -d"),
        ("MongoDB, 10 sessions, 10 recipients", SMTP, "-s 10 -d -r 10"),
        ("MongoDB, HTTP sends, 10 connections", HTTP, "-s 10"),
        ("MongoDB, HTTP sends, 50 connections", HTTP, "-s 50"),
    ],
}


def die(text):
    sys.exit(f"against: {text}")


def told(text):
    print(text, file=sys.stderr, flush=True)


def wait_until(what, ready, process):
    end = time.monotonic() + 60
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            die(f"{what} did not start")
        time.sleep(0.02)


def cpu_ns(pid):
    """Of all threads the process ever had; the clock of another process, as clock_getcpuclockid(3) names it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class Mongod:
    """A replica set of one (script/mongod), which ends with its standard input."""

    def __init__(self, folder):
        self.process = subprocess.Popen([ROOT + "/script/mongod", "1", "--dir", folder, "--cache", "1"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.uri = self.process.stdout.readline().strip() or die("mongod did not start")
        self.pid = int(self.process.stdout.readline().split("=")[1])

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


class Build:
    """One build that serves, with users and full maildrops."""

    def __init__(self, name, binary, folder, store, loadgen):
        self.name, self.folder, self.loadgen = name, folder, loadgen
        os.makedirs(folder)
        self.mongod = Mongod(folder + "/mongod") if store == "mongo" else None
        self.log = open(folder + "/log", "w")
        ready = folder + "/ready"
        self.process = subprocess.Popen(
            [binary, "serve", "--data", folder + "/data", "--ephemeral", "--ready-file", ready] +
            (["--store", self.mongod.uri] if self.mongod else []),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(binary, lambda: os.path.exists(ready) and os.path.getsize(ready), self.process)
        with open(ready) as file:
            self.doors = json.load(file)
        self.api_door = self.doors["api"].removeprefix("http://")
        self.fill()

    def api(self, path, body=None):
        connection = http.client.HTTPConnection(self.api_door, timeout=30)
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None,
                           {"Authorization": "Bearer " + self.doors["admin_key"], "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return json.loads(text) if answer.status < 300 else die(f"{path}: {answer.status} {text}")

    def fill(self):
        self.api("/v1/domains", {"name": DOMAIN})
        for user in [f"user{i}" for i in range(USERS)] + [BIG]:
            self.api("/v1/users", {"address": f"{user}@{DOMAIN}", "password": PASSWORD})
        smtp = [self.loadgen, "smtp", "-a", self.doors["smtp"], "-s", "10", "-d", "-P", "1"]
        subprocess.run([*smtp, "-m", str(MAILDROPS * MESSAGES), "-c", f"user%d@{DOMAIN}", "-R", str(MAILDROPS)],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*smtp, "-m", str(BIG_ENTRIES), "-l", "1024", "-c", f"{BIG}@{DOMAIN}"],
                       check=True, stdout=subprocess.DEVNULL)
        boxes = self.api(f"/v1/users/{BIG}@{DOMAIN}/mailboxes")["data"]
        inbox = next(box["id"] for box in boxes if box["role"] == "inbox")
        with open(self.folder + "/pages", "w") as file:
            file.write(f"/v1/mailboxes/{inbox}/entries?limit=100\n")
        for name, to in ("send", f"user@R@@{DOMAIN}"), ("outside", "ana@outside.test"):
            with open(f"{self.folder}/{name}", "w") as file:
                json.dump({"from": f"user0@{DOMAIN}", "to": [to], "subject": "bench @N@", "text": "@PAD@"}, file)

    def arguments(self, manner, arguments):
        if manner is POP3:
            door = self.doors["pop3s" if "-S" in arguments else "pop3"]
            return ["-a", door, "-u", f"user%d@{DOMAIN}", "-p", PASSWORD, "-R", str(MAILDROPS), *arguments]
        if manner is SMTP:
            return ["-a", self.doors["smtp"], *arguments]
        key = ["-a", self.api_door, "-H", "Authorization: Bearer " + self.doors["admin_key"]]
        if "-G" in arguments:
            return [*key, *arguments, self.folder + "/pages"]
        template = "outside" if "-o" in arguments else "send"
        return [*key, *[a for a in arguments if a != "-o"], "-U", "/v1/messages", "-b", f"{self.folder}/{template}",
                "-l", "9500", "-R", str(USERS)]

    def cpu(self):
        return cpu_ns(self.process.pid) + (cpu_ns(self.mongod.pid) if self.mongod else 0)

    def slice(self, manner, arguments, seconds):
        """Messages, nanoseconds of CPU, seconds."""
        command = [self.loadgen, *manner, *self.arguments(manner, arguments), "-t", str(seconds)]
        before = self.cpu()
        done = subprocess.run(command, capture_output=True, text=True)
        used = self.cpu() - before
        result = json.loads(done.stdout.splitlines()[-1]) if done.stdout else die(f"{command}: {done.stderr}")
        if result["failed"]:
            die(f"{self.name}: {result['failed']} failed of {result['n']}: {' '.join(command)}")
        return result["n"], used, result["n"] / result["rate"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        if self.mongod:
            self.mongod.end()


def run_point(builds, manner, arguments, seconds):
    """Of each build CPU in microseconds per message, and messages in a second."""
    sums = [[0, 0, 0] for _ in builds]
    for i in range(SLICES):
        for j in ((0, 1) if i % 2 == 0 else (1, 0)):
            sums[j] = [a + b for a, b in zip(sums[j], builds[j].slice(manner, arguments, seconds))]
    return [(cpu / 1000 / n, n / elapsed) for n, cpu, elapsed in sums]


def run_pass(options, store, points, results):
    with tempfile.TemporaryDirectory(prefix="postrider-against-") as folder:
        builds = [Build(name, binary, f"{folder}/{name}", store, options.loadgen)
                  for name, binary in (("old", options.old), ("new", options.new))]
        try:
            for label, manner, arguments in points:
                point = run_point(builds, manner, arguments.split(), options.seconds)
                results.setdefault(label, []).append(point)
                told(f"  {label}: {point[0][0]:.0f} -> {point[1][0]:.0f} us, x{point[1][0] / point[0][0]:.3f}")
        finally:
            for build in builds:
                build.end()


def spread(values, form):
    low, middle, high = (form.format(v) for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})" if low != high else middle


def report(results):
    print("| load | CPU per message, before | now | ratio | rate, ratio |\n|---|---|---|---|---|")
    for label, passes in results.items():
        old, new = ([point[i][0] for point in passes] for i in (0, 1))
        cpu = [point[1][0] / point[0][0] for point in passes]
        rate = [point[1][1] / point[0][1] for point in passes]
        print(f"| {label} | {statistics.median(old):.0f} µs | {statistics.median(new):.0f} µs | "
              f"{spread(cpu, '{:.2f}')} | {statistics.median(rate):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("loadgen")
    parser.add_argument("-n", dest="passes", type=int, default=5)
    parser.add_argument("-t", dest="seconds", type=float, default=0.6)
    parser.add_argument("-o", dest="only", default="")
    options = parser.parse_args()
    results = {}
    for i in range(options.passes):
        for store, points in POINTS.items():
            points = [point for point in points if re.search(options.only, point[0])]
            if points:
                told(f"pass {i + 1} of {options.passes}, {store} ({time.strftime('%T')})")
                run_pass(options, store, points, results)
    report(results)


if __name__ == "__main__":
    main()
