"""Includes go only downward: each folder may include itself and what stands below it."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
BELOW = {"base": "", "net": "base", "http": "base", "mail": "base", "store": "net base", "service": "mail store net base",
         "api": "service mail http net base", "smtp": "service mail net base", "pop3": "service mail net base",
         "delivery": "service mail net base",
         "cli": "api smtp pop3 delivery service mail net base"}
# The folders of service/, from the lowest: each may use itself and those before it. service.c and service.h, which wire
# them together, stand above all and are used by the doors alone.
SERVICE = ["core", "identity", "body", "box", "queue", "template", "message", "keep"]
# Headers that promise more than the file of their name keeps. What is one thing to those who use it:
FAMILIES = set("""base/json_tree.h net/fiber.h net/stream.h net/tls_client.h net/wait.h mail/address.h mail/build.h mail/charset.h
    mail/dkim_key.h mail/header.h mail/mime.h store/store.h service/core/call.h api/schema.h smtp/smtp.h pop3/pop3.h""".split())
# and what the files of one folder, or of one corner of it, know of each other, besides *_private.h and *_inner.h:
INSIDE = set("""net/loop.h mail/address_form.h mail/bounce_read.h store/engine.h store/mongo/apply.h store/mongo/mongo.h
    store/mongo/schema.h store/sqlite/sqlite.h api/line.h api/request.h smtp/session.h pop3/session.h cli/command.h""".split())
GENERATED = {"openapi_tables.h", "openapi_tables.inc", "classify_rules.inc", "prefetchers.inc", "providers.inc", "template_samples.inc"}


def test_includes_go_down():
    wrong = []
    for layer, below in BELOW.items():
        allowed = {layer, *below.split()}
        for file in sorted((ROOT / layer).rglob("*.[ch]")):
            for include in re.findall(r'^#include "([^"]+)"', file.read_text(), re.M):
                if include not in GENERATED and include.split("/")[0] not in allowed:
                    wrong.append(f"{file.relative_to(ROOT)} includes {include}")
    assert not wrong, "\n".join(wrong)


def test_mail_reads_no_parameters():
    """Its limits come in structs (mail/limits.h): what it makes of bytes depends on nothing else."""
    assert not [f.name for f in (ROOT / "mail").rglob("*.[ch]") if "base/params.h" in f.read_text()]


def test_every_folder_is_known():
    """A new folder with C code has a place in the table above."""
    with_code = {p.relative_to(ROOT).parts[0] for p in ROOT.rglob("*.c")} - {"tests", "build", "bench", ".venv"}
    assert with_code <= set(BELOW), with_code - set(BELOW)


def test_folders_of_service_have_an_order():
    wrong = []
    for file in sorted((ROOT / "service").rglob("*/*.[ch]")):
        name = str(file.relative_to(ROOT / "service"))
        for include in re.findall(r'^#include "service/([^"]+)"', file.read_text(), re.M):
            folder = include.split("/")[0]
            if folder not in SERVICE or SERVICE.index(folder) > SERVICE.index(name.split("/")[0]):
                wrong.append(f"{name} includes {include}")
    assert not wrong, "\n".join(wrong)


def test_promises_are_kept_below():
    """What a header declares is defined in its own folder of service/: a header is no way around the order."""
    wrong = []
    where = {}
    for file in (ROOT / "service").rglob("*/*.c"):
        for name in re.findall(r"^(?!static)\w[^\n;{}()]*?(\w+)\([^;{}]*\)\n\{", file.read_text(), re.M):
            where.setdefault(name, file.parent.name)
    for file in sorted((ROOT / "service").rglob("*/*.h")):
        for name in re.findall(r"^(?!static|#)\w[^\n;{}()]*?(\w+)\([^;{}]*\)(?: __attribute__.*)?;", file.read_text(), re.M):
            if where.get(name, file.parent.name) != file.parent.name:
                wrong.append(f"{file.name} declares {name}, which is in {where[name]}/")
    assert len(where) > 300
    assert not wrong, "\n".join(wrong)


def test_the_files_that_are_named_are_there():
    """ARCHITECTURE.md shows a newcomer the way: each file that it names by its path exists."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"(?<![\w./])(?:[a-z0-9]+/)+\w+\.(?:c|h|py|def|yaml|md)\b", text))
    assert len(named) > 60
    assert not [n for n in sorted(named) if not (ROOT / n).exists()]


def test_no_file_stands_beside_the_folders_of_service():
    assert {p.name for p in (ROOT / "service").glob("*.[ch]")} == {"service.c", "service.h"}


def test_files_say_how_they_think():
    """A file of more than 100 lines opens with what it is for and how it thinks: two sentences at least."""
    silent = []
    for layer in BELOW:
        for file in sorted((ROOT / layer).rglob("*.c")):
            text = file.read_text()
            opening = re.match(r"/\*(.*?)\*/", text, re.S)
            sentences = re.findall(r"[.?!](?:\s|$)", opening.group(1)) if opening else []
            if text.count("\n") > 100 and len(sentences) < 2:
                silent.append(str(file.relative_to(ROOT)))
    assert not silent, silent


def test_headers_stand_beside_their_code():
    """What X.h declares is defined in X.c or X_*.c of its folder; the families above are few, and all are needed."""
    where, apart = {}, {}
    for layer in BELOW:
        for file in (ROOT / layer).rglob("*.c"):
            for name in re.findall(r"^(?!static)\w[^\n;{}()]*?(\w+)\([^;{}]*\)\n\{", file.read_text(), re.M):
                where[name, layer] = file
    for layer in BELOW:
        for file in sorted((ROOT / layer).rglob("*.h")):
            stem = re.sub("_(private|inner)$", "", file.stem)
            declared = r"^(?!static|#)\w[^\n;{}()]*?(\w+)\([^;{}]*\)(?:\s+__attribute__.*)?;"
            for name in re.findall(declared, file.read_text(), re.M):
                code = where.get((name, layer), file)
                if code.parent != file.parent or not (code.stem + "_").startswith((stem + "_", file.stem + "_")):
                    apart.setdefault(str(file.relative_to(ROOT)), []).append(f"{name} ({code.name})")
    apart = {name: all for name, all in apart.items() if not name.endswith(("_private.h", "_inner.h", "/private.h"))}
    known = FAMILIES | INSIDE
    assert apart.keys() == known, ([apart[name] for name in apart.keys() - known], known - apart.keys())


def test_quick_covers_each_folder():
    """script/test --quick runs something for a change of any folder, and what its table names is there."""
    table = re.search(r"^covers='\n(.*?)^'", (ROOT / "script/test").read_text(), re.M | re.S).group(1)
    rows = [line.split() for line in table.splitlines()]
    assert not [m for _, *modules in rows for m in modules if not (ROOT / f"tests/e2e/test_{m}.py").exists()]
    folders = [f"{f}/" for f in BELOW if f != "service"] + [f"service/{f}/" for f in SERVICE]
    assert not [f for f in folders if not any(re.match(pattern, f) for pattern, *_ in rows)]
