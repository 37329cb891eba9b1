"""The command line, over the unix socket and over TCP with a key."""
import json
import os
import socket
import subprocess

import pytest
from server import BINARY, PASSWORD, Server, free_port


def run(server, *words, input=None, key=None, env=None, program=None):
    where = ["--url", server.doors["api"], "--key", key] if key else server.place if words == ("check",) else ["--data", str(server.data)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | (env or {})
    return subprocess.run([program or BINARY, *map(str, words), *(where if program is None else [])], input=input,
                          capture_output=True, text=True, timeout=60, env=environment)


def fine(*words, **more):
    r = run(*words, **more)
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout) if r.stdout.startswith(("{", "[")) else r.stdout


def test_from_domain_to_mail(server, tmp_path):
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    assert fine(server, "domain", "add", "cli.test")["name"] == "cli.test"
    user = fine(server, "user", "add", "ana@cli.test", "--name", "Ana", "--password-file", password)
    assert user["address"] == "ana@cli.test" and user["name"] == "Ana"
    (tmp_path / "list.txt").write_text("bread\n")
    sent = fine(server, "send", "--from", "Ana <ana@cli.test>", "--to", "ana@cli.test", "--subject", "Shopping", "--text", "see list",
                "--attach", tmp_path / "list.txt")
    assert sent["status"] == "delivered"
    assert fine(server, "message", "show", sent["id"])["subject"] == "Shopping"
    assert fine(server, "message", "deliveries", sent["id"])["data"][0]["status"] == "delivered"
    assert [e["type"] for e in fine(server, "message", "events", sent["id"])["data"]][-1] == "email.accepted"
    inbox = next(m for m in fine(server, "mailbox", "list", "ana@cli.test")["data"] if m["role"] == "inbox")
    [entry] = fine(server, "mailbox", "entries", inbox["id"])["data"]
    assert entry["attachment_count"] == 1
    assert "Subject: Shopping" in fine(server, "mailbox", "raw", entry["id"])
    assert fine(server, "mailbox", "read", entry["id"])["text"].strip() == "see list"
    box = fine(server, "mailbox", "add", "ana@cli.test", "Work")
    assert fine(server, "mailbox", "move", entry["id"], box["id"])["mailbox_id"] == box["id"]


def test_whole_mail_on_standard_input(server):
    server.user("raw@cli2.test")
    fine(server, "send", "--to", "raw@cli2.test", "--from", "raw@cli2.test", input="From: raw@cli2.test\nTo: raw@cli2.test\nSubject: raw\n\nbody\n")
    [entry] = server.entries("raw@cli2.test")
    assert server.raw(entry).endswith(b"\r\n\r\nbody\r\n")


@pytest.mark.parametrize("flags, envelope", [(["-t", "-i"], []), (["-i", "-f", "s@cli3.test"], ["s@cli3.test"]), (["-oi", "-fs@cli3.test"], ["s@cli3.test"])])
def test_as_sendmail(server, tmp_path, flags, envelope):
    if server.get("/v1/users/s@cli3.test").status == 404:
        server.user("s@cli3.test")
    link = tmp_path / "sendmail"
    link.symlink_to(BINARY)
    before = len(server.entries("s@cli3.test"))
    r = run(server, *flags, *envelope, program=link, env={"POSTRIDER_DATA": str(server.data)},
            input="From: s@cli3.test\nTo: s@cli3.test\nBcc: s+hidden@cli3.test\nSubject: cron\n\nout\n.\nmore\n")
    assert r.returncode == 0, r.stderr
    entries = server.entries("s@cli3.test")
    assert len(entries) > before
    raw = server.raw(entries[0])
    assert b"Bcc:" not in raw and raw.endswith(b"out\r\n.\r\nmore\r\n")


def test_sendmail_without_i_ends_at_a_dot(server, tmp_path):
    server.user("dot@cli4.test")
    link = tmp_path / "sendmail"
    link.symlink_to(BINARY)
    r = run(server, "dot@cli4.test", program=link, env={"POSTRIDER_DATA": str(server.data)},
            input="From: dot@cli4.test\nSubject: dot\n\n .\n..\nkept\n.\nlost\n")
    assert r.returncode == 0, r.stderr
    [entry] = server.entries("dot@cli4.test")
    assert server.raw(entry).endswith(b"\r\n\r\n .\r\n..\r\nkept\r\n")


def test_a_whole_mail_goes_to_every_recipient_named(server):
    for name in ("to", "cc", "bcc"):
        server.user(f"{name}@cli5.test")
    fine(server, "send", "--from", "to@cli5.test", "--to", "to@cli5.test", "--cc", "cc@cli5.test", "--bcc", "bcc@cli5.test",
         input="From: to@cli5.test\nSubject: raw\n\nbody\n")
    assert [len(server.entries(f"{name}@cli5.test")) for name in ("to", "cc", "bcc")] == [1, 1, 1]


def test_sendmail_exit_codes(server, tmp_path):
    link = tmp_path / "sendmail"
    link.symlink_to(BINARY)
    mail = "From: nobody@nowhere.test\nTo: a@b.test\n\nx\n"
    assert run(server, "-t", program=link, env={"POSTRIDER_DATA": str(tmp_path)}, input=mail).returncode == 75  # no server
    key = server.make("/v1/keys", {"name": "weak", "scopes": ["domains"]})["secret"]
    assert run(server, "-t", program=link, env={"POSTRIDER_URL": server.doors["api"], "POSTRIDER_KEY": key}, input=mail).returncode == 77


def test_exit_codes(server, tmp_path):
    assert run(server, "domain", "show", "nothing.test").returncode == 1
    assert run(server, "domain", "nothing").returncode == 2
    assert run(server, "nothing").returncode == 2
    assert run(server, "domain", "list", key="pr_live_wrong").returncode == 4
    r = subprocess.run([BINARY, "domain", "list", "--data", tmp_path], capture_output=True, text=True)
    assert r.returncode == 5 and "postrider serve" in r.stderr
    assert "5" in fine(server, "help", "exit-codes")


def test_a_fault_names_the_field(server):
    r = run(server, "domain", "add", "not a domain")
    assert r.returncode == 1 and "/name" in r.stderr


def test_a_key_comes_from_a_file(server):
    fine(server, "domain", "add", "moved.test")
    key = subprocess.run(["openssl", "genrsa", "-traditional", "1024"], capture_output=True, text=True, check=True).stdout
    domain = fine(server, "domain", "import-key", "moved.test", "old", "--key-file", "-", input=key)
    assert [k["bits"] for k in domain["dkim"] if k["selector"] == "old"] == [1024]


def test_delete_asks(server):
    fine(server, "domain", "add", "gone.test")
    r = run(server, "domain", "delete", "gone.test")
    assert r.returncode == 2 and "--yes" in r.stderr
    assert run(server, "domain", "delete", "gone.test", "--dry-run").stdout.startswith("DELETE /v1/domains/gone.test")
    assert run(server, "domain", "delete", "gone.test", "--yes").returncode == 0
    assert server.get("/v1/domains/gone.test").status == 404


def test_keys_over_tcp(server):
    key = fine(server, "key", "add", "--name", "ci", "--scope", "domains", "--scope", "users")
    assert key["secret"].startswith("pr_live_")
    assert "data" in fine(server, "domain", "list", key=key["secret"])
    assert run(server, "key", "list", key=key["secret"]).returncode == 4
    fine(server, "key", "delete", key["id"], "--yes")
    assert run(server, "domain", "list", key=key["secret"]).returncode == 4


def test_profile(server, tmp_path):
    config = tmp_path / ".config/postrider"
    config.mkdir(parents=True)
    (config / "profiles.json").write_text(json.dumps({"work": {"url": server.doors["api"], "key": server.key}}))
    r = subprocess.run([BINARY, "domain", "list", "--profile", "work"], env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert r.returncode == 0 and json.loads(r.stdout)["object"] == "list"
    r = subprocess.run([BINARY, "domain", "list", "--profile", "other"], env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert r.returncode == 2 and "other" in r.stderr


def test_config(server):
    assert fine(server, "config", "set", "smtp.recipients_max", "500")["value"] == 500
    assert fine(server, "config", "get", "smtp.recipients_max")["source"] == "store"
    assert fine(server, "config", "history", "smtp.recipients_max")["data"][0]["new_value"] in (500, "500")
    assert fine(server, "config", "reset", "smtp.recipients_max")["source"] == "default"
    r = run(server, "config", "set", "delivery.mode", "live")
    assert r.returncode == 1 and "full name of this server" in r.stderr


def test_lists_without_pages_are_whole(server):
    names = [row["name"] for row in fine(server, "config", "list")["data"]]
    assert len(names) == len(set(names)) > 100 and names == sorted(names) and "users.quota_default" in names
    for i in range(3):
        server.user(f"many{i}@cli6.test")
    sent = fine(server, "send", *[f"--to=many{i % 3}+{i}@cli6.test" for i in range(30)], "--from", "many0@cli6.test", "--text", "x", "--subject", "y")
    assert len(fine(server, "message", "deliveries", sent["id"])["data"]) == 30


def test_changes(server):
    server.user("ana@cli7.test")
    key = fine(server, "key", "add", "--name", "one", "--scope", "send")
    assert fine(server, "key", "set", key["id"], "--name", "two", "--expires-at", "2099-01-01T00:00:00Z")["name"] == "two"
    assert fine(server, "key", "set", key["id"], "--expires-at", "null")["expires_at"] is None
    box = fine(server, "mailbox", "add", "ana@cli7.test", "Work")
    assert fine(server, "mailbox", "set", box["id"], "--name", "Play")["name"] == "Play"


def test_nothing_is_sent_after_a_fault_on_this_side(server, tmp_path):
    """What cannot be read, or not be sent whole, ends the command: exit 2, and the server hears nothing of it."""
    server.user("ana@kept.test")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"pass\0word\n")
    (tmp_path / ".config/postrider").mkdir(parents=True)
    (tmp_path / ".config/postrider/profiles.json").write_text("{ not json")
    link = tmp_path / "sendmail"
    link.symlink_to(BINARY)
    for name in ("nowhere", "empty", "binary", ".config"):
        for command in (["user", "set", "ana@kept.test", "--name", "Eve"], ["user", "add", "eve@kept.test"]):
            r = run(server, *command, "--password-file", tmp_path / name)
            assert (r.returncode, r.stdout) == (2, "") and "error" in r.stderr, (name, r)
    for words in (["user", "list", "--account", "a" * 2000], ["user", "list", "--account", "a\nX-Y: z"],
                  ["send", "--from", "ana@kept.test", "--to", "ana@kept.test", "--text", "x", "--attach", tmp_path / "nowhere"]):
        r = run(server, *words)
        assert (r.returncode, r.stdout) == (2, "") and r.stderr, (words, r)
    r = run(server, "user", "delete", "ana@kept.test", "--yes", env={"HOME": str(tmp_path)}, program=BINARY)
    assert r.returncode == 2 and "no JSON" in r.stderr, r
    r = run(server, "ana@kept.test", "-f", program=link, env={"POSTRIDER_DATA": str(server.data)}, input="From: ana@kept.test\n\nx\n")
    assert r.returncode == 64, r
    assert server.get("/v1/users/eve@kept.test").status == 404
    assert server.get("/v1/users/ana@kept.test").json["name"] != "Eve"
    assert server.get("/v1/me", basic=("ana@kept.test", PASSWORD)).status == 200 and not server.entries("ana@kept.test")


def test_a_path_that_is_too_long_is_refused(server):
    assert run(server, "domain", "show", "x" * 20000).returncode == 2
    r = run(server, "send", *[f"--to=a{i:060}@cli8.test" for i in range(60)], "--from", "a@cli8.test", input="Subject: x\n\ny\n")
    assert r.returncode != 0


DOORS = ("api", "smtp", "submission", "submissions", "pop3", "pop3s")


def checked(server):
    """Name -> (result, found, mend) of `postrider check`, and its exit code."""
    r = run(server, "check")
    return {c["check"]: (c["result"], c["found"], c["mend"]) for c in json.loads(r.stdout)}, r.returncode


def make_certificate(folder, days, name, key="key.pem"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", folder / key, "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


def test_check_with_and_without_a_server(tmp_path):
    ports = {door: free_port() for door in DOORS}
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "postrider.json").write_text(json.dumps({"parameters": {f"{d}.listen": f"127.0.0.1:{p}" for d, p in ports.items()}}))
    s = Server(data=data)
    report, status = checked(s)
    assert status == 0 and report["store"][0] == "warn" and "first start" in report["store"][1]
    assert all(report[d][1] == f"127.0.0.1:{ports[d]} is free" for d in DOORS)
    s.flags = [f"--set={d}.listen=127.0.0.1:{p}" for d, p in ports.items()]  # over those of --ephemeral
    s.start()
    report, status = checked(s)
    assert status == 0 and set(report) == {"folder", "disk", "server.key", "store", "clock", "server", "certificate", "dns", "name", *DOORS}
    assert all(result in ("pass", "warn") for result, _, _ in report.values()), report
    assert all(report[d][1] == f"127.0.0.1:{ports[d]} answers" for d in DOORS)
    assert "self-signed" in report["certificate"][1]
    s.stop()
    os.chmod(data, 0o755)
    (data / "server.key").unlink()
    with socket.create_server(("127.0.0.1", ports["pop3"])):
        report, status = checked(s)
    assert report["store"][0] == "pass" and "0 messages" in report["store"][1]
    failed = {name: (found, mend) for name, (result, found, mend) in report.items() if result == "fail"}
    assert status == 1 and set(failed) == {"folder", "server.key", "pop3"} and "chmod 700" in failed["folder"][1]
    assert f"pid {os.getpid()} " in failed["pop3"][0]


@pytest.mark.parametrize("days, name, key, result, words", [
    (90, "localhost", "key.pem", "pass", "days left"), (3, "localhost", "key.pem", "warn", "days left"),
    (90, "other.test", "key.pem", "warn", "not for localhost"), (90, "localhost", "new.pem", "fail", "is not the key of")])
def test_check_of_a_certificate(tmp_path, days, name, key, result, words):
    (tmp_path / "data/tls").mkdir(parents=True)
    os.chmod(tmp_path / "data", 0o700)
    make_certificate(tmp_path / "data/tls", 90, name)
    make_certificate(tmp_path / "data/tls", days, name, key)
    report, _ = checked(Server(data=tmp_path / "data"))
    assert report["certificate"][0] == result and words in report["certificate"][1], report["certificate"]


def test_text_for_people(server):
    """On a terminal: a table, no JSON."""
    r = subprocess.run(["script", "-qec", f"{BINARY} domain list --data {server.data}", "/dev/null"], capture_output=True, text=True)
    assert r.stdout.split()[:4] == ["id", "name", "inbound", "status"]
