"""Includes go only downward: each folder may include itself and what stands below it."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
BELOW = {"base": "", "net": "base", "http": "base", "mail": "base", "store": "net base", "service": "mail store net base",
         "api": "service mail http net base", "smtp": "service mail net base", "pop3": "service mail net base",
         "delivery": "service mail net base",
         "cli": "api smtp pop3 service net base"}
# The folders of service/, from the lowest: each may use itself and those before it. service.c and service.h, which wire
# them together, stand above all and are used by the doors alone.
SERVICE = ["core", "identity", "body", "box", "queue", "message", "keep"]
CIRCLES = {("identity/user.c", "box/mailbox.h"), ("identity/user.c", "queue/due.h"),  # makes and erases mailboxes
           ("queue/delivery.c", "message/message_private.h")}  # still to be cut; none is to come
GENERATED = {"openapi_tables.h", "openapi_tables.inc", "classify_rules.inc"}


def test_includes_go_down():
    wrong = []
    for layer, below in BELOW.items():
        allowed = {layer, *below.split()}
        for file in sorted((ROOT / layer).rglob("*.[ch]")):
            for include in re.findall(r'^#include "([^"]+)"', file.read_text(), re.M):
                if include not in GENERATED and include.split("/")[0] not in allowed:
                    wrong.append(f"{file.relative_to(ROOT)} includes {include}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_is_known():
    """A new folder with C code has a place in the table above."""
    with_code = {p.relative_to(ROOT).parts[0] for p in ROOT.rglob("*.c")} - {"tests", "build", "bench", ".venv"}
    assert with_code <= set(BELOW), with_code - set(BELOW)


def test_folders_of_service_have_an_order():
    found = set()
    for file in sorted((ROOT / "service").rglob("*/*.[ch]")):
        name = str(file.relative_to(ROOT / "service"))
        for include in re.findall(r'^#include "service/([^"]+)"', file.read_text(), re.M):
            folder = include.split("/")[0]
            if folder not in SERVICE or SERVICE.index(folder) > SERVICE.index(name.split("/")[0]):
                found.add((name, include))
    assert found <= CIRCLES, found - CIRCLES
    assert CIRCLES <= found, f"cut, so not to be listed: {CIRCLES - found}"


def test_no_file_stands_beside_the_folders_of_service():
    assert {p.name for p in (ROOT / "service").glob("*.[ch]")} == {"service.c", "service.h"}
