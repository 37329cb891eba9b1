#!/usr/bin/env python3
"""maildirs.py FOLDER USERS MESSAGES SIZE: fills FOLDER/user0 … with Maildirs of plain messages of SIZE bytes."""
import pathlib
import sys

LINE = "".join(chr(65 + k % 26) for k in range(76)) + "\r\n"


def message(user, number, size):
    header = (f"From: <s@source.test>\r\nTo: <user{user}@bench.test>\r\nSubject: message {number}\r\n"
              f"Message-ID: <{number}.{user}@bench.test>\r\n\r\n")
    return header + LINE * ((size - len(header)) // len(LINE))


def fill(folder, user, messages, size):
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True)
    for number in range(messages):
        text = message(user, number, size)
        name = f"{1700000000 + number}.M{number}P1.host,S={len(text)}:2,S"
        (folder / "cur" / name).write_bytes(text.encode())


def main(folder, users, messages, size):
    for user in range(int(users)):
        fill(pathlib.Path(folder) / f"user{user}", user, int(messages), int(size))


main(*sys.argv[1:])
