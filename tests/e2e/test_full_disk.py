"""A disk that is really full: a small file system of its own for the store. What brings something is refused and says so, what takes
something away works, and all goes on when there is room again."""
import os
import subprocess

import pytest
from kept import rows
from server import PASSWORD, Server, until
from wire import Pop3, Smtp

ANA, BO = "ana@full.test", "bo@full.test"
MAIL = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a file system of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "postrider-test", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Leaves no octet; removing the file gives all back."""
    file = folder / "filler"
    with open(file, "ab", buffering=0) as f:
        for step in (1 << 20, 4096):
            try:
                while True:
                    f.write(bytes(step))
            except OSError:
                pass
    left = os.statvfs(folder)
    assert left.f_bavail * left.f_frsize < 8192
    return file


def noise(n):
    """Lines that no compression makes small."""
    return os.urandom(n).hex("\n", 30).replace("\n", "\r\n").encode() + b"\r\n"


def entries(s, user):
    """As the user sees them: a key that reads leaves an event, for which there is no room."""
    return s.get(f"/v1/mailboxes/{s.mailbox(user)['id']}/entries?limit=100", basic=(user, PASSWORD)).json["data"]


def sent(s):
    """What a mail is answered at each door."""
    api = s.post("/v1/messages", {"from": ANA, "to": BO, "text": "y" * 20_000})
    put = s.call("POST", f"/v1/mailboxes/{s.mailbox(BO)['id']}/entries", raw=MAIL * 300, headers={"Content-Type": "message/rfc822"})
    with Smtp(s.address("smtp"), hello="client.test") as c:
        smtp = c.say("MAIL FROM:<x@far.test>")
        if smtp.startswith("250"):
            assert c.say(f"RCPT TO:<{BO}>").startswith("250")
            smtp = c.data(MAIL * 300)
    return [(a.status, a.json.get("code")) for a in (api, put)] + [smtp[:9]]


REFUSED = [(507, "storage_full"), (507, "storage_full"), "452 4.3.1"]


@pytest.mark.only_sqlite("the disk is mongod's there: test_crash.py")
@pytest.mark.parametrize("free_min", ["1", "0"], ids=["to the last octet", "as it is set up"])
def test_a_full_disk(disk, free_min):
    data = disk / "data"
    with Server("--set", f"store.free_min={free_min}", "--set", "sweep.every=1s", "--set", "body.grace=0s", data=data) as s:
        s.user(ANA)
        s.user(BO)
        with Smtp(s.address("smtp"), hello="client.test") as c:
            for i in range(40):
                assert c.to("x@far.test", ANA).data(b"Subject: %d\r\n\r\n" % i + noise(20_000)).startswith("250")
        message = s.make("/v1/messages", {"from": ANA, "to": BO, "text": "x"})["id"]
        with Smtp(s.address("smtp"), hello="client.test") as c:  # whose mail is under way when the disk fills up
            assert c.to("x@far.test", BO).say("DATA").startswith("354")
            filler = fill(disk)
            c.send(b"Subject: large\r\n\r\n" + noise(11_500_000) + b".\r\n")
            r = c.reply()
            assert r.startswith("452 4.3.1"), (r, s.log_text()[-1500:])
            assert c.say("NOOP").startswith("250")
        until(lambda: sent(s) == REFUSED)
        assert s.get("/readyz", key=False).status == 503, s.log_text()[-2500:]

        mails = entries(s, ANA)
        assert len(mails) == 40 and all(s.get(f"/v1/entries/{e['id']}", basic=(ANA, PASSWORD)).status == 200 for e in mails[:3])
        assert [s.call("DELETE", f"/v1/entries/{e['id']}").status for e in mails[:5]] == [204] * 5
        assert s.call("DELETE", f"/v1/messages/{message}").status == 204
        with Pop3(s.address("pop3"), user=ANA, password=PASSWORD) as c:
            assert all(c.say(f"DELE {n}").startswith(b"+OK") for n in range(1, 21))
            assert c.say("QUIT").startswith(b"+OK")
        assert len(entries(s, ANA)) == 15
        until(lambda: len(rows(s, "body", "id")) <= 16)  # the sweep: of those deleted none is left
        assert sent(s) == REFUSED  # what was kept for deleting is not there for new mail

        filler.unlink()
        until(lambda: sent(s)[0][0] == 202)
        until(lambda: s.get("/readyz", key=False).status == 200)
        assert [x if isinstance(x, str) else x[0] for x in sent(s)] == [202, 201, "250 2.0.0"]
        until(lambda: (data / "postrider.db-reserve").exists())  # and is kept again
        assert s.call("DELETE", f"/v1/users/{BO}?erase=true").status in (202, 204)
        s.restart()
        assert len(entries(s, ANA)) == 15
