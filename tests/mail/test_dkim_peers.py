"""Others verify what mail/dkim_sign.h signs: dkimpy both signatures, OpenDKIM (Debian's is built without Ed25519) the RSA
one. Mail of our own with what canonicalization stumbles over, and the messages of the public suites where they are."""
import os
import pathlib
import re
import subprocess

import dkim
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build/asan/tests/mail_tool_sign"
SUITES = pathlib.Path(os.environ.get("POSTRIDER_SUITES", ROOT.parent / "shared/suites"))
DOMAIN = "example.org"
HEADER = b"From: Ana <ana@example.org>\r\nTo: bo@example.net\r\nSubject: %s\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\n"
OWN = [
    HEADER % b"plain" + b"\r\nHello\r\n",
    HEADER % b"no body" + b"\r\n",
    HEADER % b"empty lines" + b"\r\n\r\n\r\n\r\n",
    HEADER % b"blanks  and\ttabs \t " + b"\r\n a  b \t c \t\r\n\t\r\n  \r\n\r\nend \r\n\r\n \r\n",
    HEADER % b"\r\n  folded\r\n\tthree\r\n times" + b"X:\r\nY: \r\nCC :x@example.net\r\n\r\n.\r\n..\r\nFrom here\r\n",
    HEADER % b"two of a name" + b"To: cy@example.net\r\nReferences: <a@b>\r\nReferences: <c@d>\r\n\r\nx\r\n",
    HEADER % "ümlaut".encode() + b"Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n" + "ä ö\r\n".encode() * 400,
    HEADER % b"lists" + b"List-Unsubscribe: <https://example.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"List-Id: <l.example.org>\r\nFeedback-ID: a:b:c\r\n\r\nx\r\n",
    HEADER % b"another signature" + b"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x; h=from; bh=AA==; b=AA==\r\n\r\nx\r\n",
    HEADER % b"long" + b"\r\n" + b"x" * 990 + b"\r\n" + b"word " * 5000 + b"\r\n",
    HEADER % b"binary" + b"\r\n" + bytes(c for c in range(1, 256) if c not in (10, 13)) + b"\r\n",
]


def as_sent(message):
    """CRLF ends, one From, an end of the header: as mail stands when it leaves."""
    message = re.sub(rb"\r\n|\r|\n", b"\r\n", message.replace(b"\0", b"0"))
    message = re.sub(rb"\A(>?From |\r\n)[^\n]*\n", b"", message)
    header, _, body = message.partition(b"\r\n\r\n")
    fields = [f for f in re.split(rb"\r\n(?![ \t])", header) if re.match(rb"[!-9;-~]+[ \t]*:", f)]
    fields = [f for f in fields if not re.match(rb"(?i)(From|DKIM-Signature)[ \t]*:", f)] + [b"From: ana@example.org"]
    return b"\r\n".join(fields) + b"\r\n\r\n" + body + (b"" if body.endswith(b"\r\n") or not body else b"\r\n")


def suite_messages():
    return [as_sent(f.read_bytes()) for folder in sorted(SUITES.glob("mime-*")) for f in sorted(folder.rglob("*"))
            if f.suffix in (".txt", ".msg", ".eml") and f.name not in ("SOURCE.txt", "LICENSE.txt", "LICENSE-mimetools.txt")]


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    files = []
    for i, message in enumerate(OWN + suite_messages()):
        files.append(folder / f"{i:03}")
        files[-1].write_bytes(message)
    out = subprocess.run([TOOL, DOMAIN, *files], check=True, capture_output=True, text=True, timeout=120).stdout
    records = dict(line.split(" ", 1) for line in out.splitlines())
    assert set(records) == {"rsa1", "ed1"}
    return [f.with_suffix(".signed") for f in files], records


def test_dkimpy_verifies_both(signed):
    files, records = signed
    asked = []

    def dns(name, timeout=5):
        asked.append(name)
        return records[name.decode().split(".")[0]].encode()

    wrong = []
    for file in files:
        if re.search(rb"(?m)^[!-9;-~]+[ \t]+:", file.read_bytes().partition(b"\r\n\r\n")[0]):
            continue  # "Cc :": dkimpy does not read this obsolete form (RFC 5322 4.5); OpenDKIM does
        for i in range(2):
            try:
                good = dkim.DKIM(file.read_bytes()).verify(idx=i, dnsfunc=dns)
            except dkim.DKIMException as fault:
                good = fault
            if good is not True:
                wrong.append((file.name, i, good))
    assert not wrong
    assert set(asked) == {b"rsa1._domainkey.example.org.", b"ed1._domainkey.example.org."}
    changed = files[0].read_bytes().replace(b"Hello", b"Hallo")
    with pytest.raises(dkim.ValidationError):
        dkim.DKIM(changed).verify(idx=0, dnsfunc=dns)


def test_opendkim_verifies_rsa(signed, tmp_path):
    files, records = signed
    (tmp_path / "keys").write_text("".join(f"{s}._domainkey.{DOMAIN} {r}\n" for s, r in records.items() if s == "rsa1"))
    (tmp_path / "conf").write_text(f"Mode v\nTestPublicKeys {tmp_path}/keys\nSyslog no\n")
    broken = tmp_path / "broken"
    broken.write_bytes(files[0].read_bytes().replace(b"Hello", b"Hallo"))
    out = subprocess.run(["/usr/sbin/opendkim", "-x", tmp_path / "conf", "-v", "-t", ",".join(map(str, [*files, broken]))],
                         capture_output=True, text=True, timeout=120)
    said = dict(re.findall(r"^opendkim: (\S+): verification (.*)$", out.stdout, re.M))
    bad = {name: text for name, text in said.items() if "succeeded" not in text}
    assert len(said) == len(files) + 1 and list(bad) == [str(broken)], bad
