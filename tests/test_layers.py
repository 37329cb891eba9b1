"""Includes go only downward: each folder may include itself and what stands below it."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
BELOW = {"base": "", "net": "base", "http": "base", "mail": "base", "store": "net base", "service": "mail store net base",
         "api": "service mail http net base", "smtp": "service mail net base", "pop3": "service mail net base",
         "cli": "api smtp pop3 service net base"}
GENERATED = {"openapi_tables.h", "openapi_tables.inc"}


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
