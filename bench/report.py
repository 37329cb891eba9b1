#!/usr/bin/env python3
"""report.py RESULTS FACTS [DOCUMENT]: side-by-side Markdown tables of what meter.py measured.

RESULTS holds meter.py's lines, FACTS a line for each thing to say about the machine and the versions. The tables go to
the standard output, and between the marks of DOCUMENT."""
import json
import pathlib
import statistics
import sys

BEGIN, END = "<!-- begin results -->\n", "<!-- end results -->\n"
NOISY = 0.3  # cores used by others

TABLES = [
    ("A", "Accept and store over SMTP", "postfix", "mails",
     "One mail is one message whatever its recipients. Postfix is measured until the mail is in its Maildirs; ours is in "
     "the mailbox when 250 is said."),
    ("B", "Send to other servers", "postfix", "mails",
     "In by submission or the API, out by SMTP to a sink that takes everything; done when the sink has it. Signed: "
     "Postrider signs twice (RSA-2048 and Ed25519), Postfix's milter is OpenDKIM with RSA-2048, whose CPU counts with it. Wanted, signed: five times the rate at a sixth of the CPU."),
    ("C", "Send over HTTP", None, "sends", "Neither peer has an HTTP door: beside it stands the aim."),
    ("D", "POP3", "dovecot", "logins or messages", "Dovecot is tuned: processes are kept between sessions."),
]

STORES = {"sqlite": "SQLite", "mongo1": "MongoDB, one member", "mongo3": "MongoDB, three members",
          "wildduck": "WildDuck"}
STORE_TABLES = [
    ("SA", "Stores: accept and store", "mails", "Postrider by SMTP, WildDuck by LMTP; in the mailbox when 250 is said."),
    ("SC", "Stores: send over HTTP", "sends",
     "Postrider files each mail in its recipient's mailbox; WildDuck files it in Sent and queues it for ZoneMTA."),
    ("SD", "Stores: POP3", "logins or messages", "10 maildrops of 1,000 messages."),
    ("SL", "Stores: a mailbox of 100,000 entries", "pages (mails for filling it)",
     "Pages of 100 entries: the first one, and a hundred in turn from the 50,000th entry on. Postrider opens the "
     "summaries of a page, which are encrypted."),
]

# What we want to reach: label -> rate, CPU in microseconds each.
AIMS = {
    "A 10 sessions": (6000, 150), "A 64 sessions": (9000, 120), "A 10 sessions, 10 recipients": (3000, 350),
    "A 10 sessions, STARTTLS each time": (1800, 550), "C 10 connections": (5000, 200), "C 50 connections": (5000, 200),
    "D login and QUIT, 10 sessions": (8000, None), "SA 64 sessions mongo1": (5000, 300),
    "D login and QUIT, 10 sessions, TLS": (3000, None),
}


class Cell:
    """All passes of one load on one server."""

    def __init__(self, lines):
        self.absent = not lines
        lines = [line for line in lines if line["n"]]
        self.rates = [line["rate"] for line in lines]
        self.rate = statistics.median(self.rates) if lines else None
        self.cpu = statistics.median(line["cpu_us"] for line in lines) if lines else None
        self.latency = statistics.median(line["p99_ms"] for line in lines) if lines else None
        self.parts = {name: statistics.median(line["parts_us"].get(name, 0) for line in lines)
                      for name in (lines[0].get("parts_us", {}) if lines else ())}
        self.load = statistics.median(line["gen_cpu_us"] for line in lines) if lines else None
        self.noisy = any(line["other_cores"] > NOISY for line in lines)
        self.bad = sum(max(0, line["failed"]) + line.get("missing", 0) for line in lines)

    def rate_text(self):
        if self.rate is None:
            return "–" if self.absent else "failed"
        spread = f" ({min(self.rates):,.0f}–{max(self.rates):,.0f})" if len(self.rates) > 1 else ""
        return f"{self.rate:,.0f}{spread}{' ~' if self.noisy else ''}{f' †{self.bad}' if self.bad else ''}"


def number(value, form="{:,.0f}"):
    return "–" if value is None else form.format(value)


def ratio(ours, theirs):
    return "–" if not ours or not theirs else f"{ours / theirs:.1f}×"


def aim_text(label):
    rate, cpu = AIMS.get(label, (None, None))
    return "" if rate is None else f"{rate:,}/s" + (f", {cpu} µs" if cpu else "")


def row(label, cells, peer):
    ours = cells.get((label, "postrider"), Cell([]))
    columns = [label[2:], ours.rate_text()]
    if peer:
        theirs = cells.get((label, peer), Cell([]))
        columns += [theirs.rate_text(), ratio(ours.rate, theirs.rate), number(ours.cpu), number(theirs.cpu),
                    ratio(theirs.cpu, ours.cpu), number(ours.latency, "{:.1f}") + " / " + number(theirs.latency, "{:.1f}")]
    else:
        columns += [number(ours.cpu), number(ours.latency, "{:.1f}")]
    return "| " + " | ".join(columns + [number(ours.load), aim_text(label)]) + " |"


def heading(peer, unit):
    names = ["load", f"Postrider, {unit}/s"]
    if peer:
        name = peer.capitalize()
        names += [f"{name}, /s", "rate ×", "Postrider, CPU µs each", f"{name}, CPU µs each", "CPU ÷",
                  f"p99 ms, Postrider / {name}"]
    else:
        names += ["CPU µs each", "p99 ms"]
    names += ["generator, CPU µs each", "aim"]
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def read(path):
    lines = {}
    for text in pathlib.Path(path).read_text().splitlines():
        line = json.loads(text)
        lines.setdefault((line["label"], line["peer"]), []).append(line)
    return {key: Cell(value) for key, value in lines.items()}


def parts_text(cell):
    """Whose the CPU was, where it was not the server's alone."""
    if len(cell.parts) < 2:
        return number(cell.cpu)
    return f"{number(cell.cpu)} = " + " + ".join(f"{number(us)} {name}" for name, us in cell.parts.items())


def store_rows(label, cells):
    peer = cells.get((label, "wildduck"), Cell([]))
    for store, name in STORES.items():
        cell = cells.get((label, store))
        if cell:
            columns = [label[3:], name, cell.rate_text(), parts_text(cell), number(cell.latency, "{:.1f}")]
            columns += ["", ""] if store == "wildduck" else [ratio(cell.rate, peer.rate), ratio(peer.cpu, cell.cpu)]
            yield "| " + " | ".join(columns + [number(cell.load), aim_text(f"{label} {store}")]) + " |"


def store_table(letters, unit, cells):
    names = ["load", "store", f"{unit}/s", "CPU µs each", "p99 ms", "rate ×", "CPU ÷", "generator, CPU µs each", "aim"]
    labels = dict.fromkeys(label for label, _ in cells if label.startswith(letters))
    rows = [row for label in labels for row in store_rows(label, cells)]
    return rows and ["| " + " | ".join(names) + " |\n|" + "---|" * len(names), *rows]


def tables(cells):
    parts = []
    for letter, title, peer, unit, text in TABLES:
        labels = list(dict.fromkeys(label for label, _ in cells if label.startswith(letter + " ")))
        if labels:
            rows = [row(label, cells, peer) for label in labels]
            parts.append("\n".join([f"### {title}\n", text, "", heading(peer, unit), *rows]))
    for letters, title, unit, text in STORE_TABLES:
        rows = store_table(letters, unit, cells)
        if rows:
            parts.append("\n".join([f"### {title}\n", text, "", *rows]))
    return "\n\n".join(parts)


def put_between_marks(document, text):
    path = pathlib.Path(document)
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + text + END + rest.split(END)[1])


def main(results, facts, document=None):
    said = "".join(f"- {fact}\n" for fact in pathlib.Path(facts).read_text().splitlines())
    text = f"{said}\n{tables(read(results))}\n"
    print(text)
    if document:
        put_between_marks(document, text)


main(*sys.argv[1:])
