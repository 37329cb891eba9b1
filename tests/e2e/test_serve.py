"""Starting, stopping, and refusing to start."""
import json
import os
import pathlib
import pwd
import re
import signal
import smtplib
import socket
import stat
import subprocess

import pytest
from server import BINARY, PASSWORD, Server, until


def try_serve(*flags):
    """Of a server that must end by itself."""
    r = subprocess.run([BINARY, "serve", *map(str, flags)], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout + r.stderr


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_ready_file_names_every_door(server):
    assert set(server.doors) == {"api", "smtp", "submission", "submissions", "pop3", "pop3s", "admin_key"}
    assert mode(server.ready) == 0o600
    for door in ("smtp", "submission", "pop3"):
        with socket.create_connection(server.address(door), 10) as s:
            assert s.recv(100)[:3] in (b"220", b"+OK")


def test_it_runs_on_the_engine_that_the_test_says(server, store):
    until(lambda: f"store={store}" in server.log_text())  # said once all is open
    assert (server.data / "postrider.db").exists() == (store == "sqlite")


def test_data_folder_is_private(server):
    assert mode(server.data) == 0o700
    for name in ("server.key", "admin.key", "node.id", "tls/key.pem", "lock"):
        assert mode(server.data / name) & 0o077 == 0, name
    assert (server.data / "node.id").read_text().startswith("nod_")


def test_a_killed_one_leaves_no_shared_memory(server):
    assert not [name for name in os.listdir("/dev/shm") if str(server.process.pid) in re.findall(r"\d+", name)]


def test_sandbox_is_said_at_start(server):
    assert "sandbox" in server.log_text()


def test_second_server_on_the_folder_is_refused(server):
    status, text = try_serve("--data", server.data, "--ephemeral")
    assert status == 1 and str(server.process.pid) in text and "in use" in text


def test_folder_that_others_can_read_is_refused(tmp_path):
    (tmp_path / "data").mkdir(mode=0o755)
    os.chmod(tmp_path / "data", 0o755)
    status, text = try_serve("--data", tmp_path / "data", "--ephemeral")
    assert status == 1 and "chmod 700" in text


@pytest.mark.parametrize("door", ["api", "smtp", "submissions", "pop3"])
def test_taken_port_is_named_with_its_holder(tmp_path, door):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        status, text = try_serve("--data", tmp_path / "data", "--ephemeral", "--set", f"{door}.listen=127.0.0.1:{port}")
    # --ephemeral comes first in rising order: the explicit flag holds
    assert status == 1 and str(port) in text and str(os.getpid()) in text, text


def test_port_taken_by_another_postrider(server, tmp_path):
    status, text = try_serve("--data", tmp_path / "data", "--ephemeral", "--set", f"smtp.listen=127.0.0.1:{server.port('smtp')}")
    assert status == 1 and str(server.port("smtp")) in text and str(server.process.pid) in text, text


@pytest.mark.parametrize("flags, word", [
    (["--set", "smtp.nothing=1"], "smtp.nothing"),
    (["--set", "smtp.recipients_max=many"], "smtp.recipients_max"),
    (["--set", "smtp.recipients_max=-1"], "smtp.recipients_max"),
    (["--nothing"], "--nothing"),
    (["--data"], "--data"),
    (["word"], "usage"),
])
def test_wrong_flags_are_named(tmp_path, flags, word):
    status, text = try_serve("--data", tmp_path / "data", *flags) if flags != ["--data"] else try_serve(*flags)
    assert status == 2 and word in text


def test_boot_file(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "postrider.json").write_text(json.dumps({"parameters": {"server.hostname": "boot.test", "smtp.recipients_max": "700"}}))
    s = Server(data=data).start()
    try:
        with socket.create_connection(s.address("smtp"), 10) as c:
            assert b" boot.test " in c.recv(200)
        setting = s.get("/v1/settings/smtp.recipients_max").json
        assert (setting["value"], setting["source"]) == (700, "file")
    finally:
        s.stop()
    (data / "postrider.json").write_text('{"parameters": {"no.such": "x"}}')
    status, text = try_serve("--data", data, "--ephemeral")
    assert status == 2 and "postrider.json" in text and "no.such" in text


def test_sighup_reads_the_boot_file_again(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    file = data / "postrider.json"
    file.write_text(json.dumps({"parameters": {"smtp.recipients_max": 700, "smtp.errors_max": 7}}))
    s = Server(data=data).start()

    def value(name):
        setting = s.get(f"/v1/settings/{name}").json
        return setting["value"], setting["source"]

    try:
        assert (value("smtp.recipients_max"), value("smtp.errors_max")) == ((700, "file"), (7, "file"))
        file.write_text(json.dumps({"parameters": {"smtp.recipients_max": 800}}))
        s.process.send_signal(signal.SIGHUP)
        until(lambda: value("smtp.recipients_max") == (800, "file"))
        until(lambda: value("smtp.errors_max") == (20, "default"))  # what it no longer says
    finally:
        s.stop()


def threads(process, name):
    tasks = pathlib.Path(f"/proc/{process.pid}/task").glob("*/comm")
    return sum(bool(re.match(name, t.read_text())) for t in tasks)


def test_kept_settings_say_how_the_rest_is_started(tmp_path):
    s = Server(data=tmp_path / "data").start()
    try:
        for name, value in (("net.loops", 3), ("pool.cpu_workers", 5), ("smtp.line_max", 5000)):
            assert s.call("PATCH", f"/v1/settings/{name}", {"value": value}).status == 200
        assert threads(s.process, "loop-") != 3
        s.call("PATCH", "/v1/settings/dns.servers", {"value": "127.0.0.1@5399"})
        until(lambda: 'dns result="started anew" servers=127.0.0.1@5399' in s.log_text())
    finally:
        s.stop()
    s.start()
    try:
        assert (threads(s.process, "loop-"), threads(s.process, "cpu-"), threads(s.process, "store-[0-9]")) == (3, 5, 8)
    finally:
        s.stop()


def test_several_addresses_and_doors_that_are_off(tmp_path):
    s = Server("--set", "api.listen=127.0.0.1:0,[::1]:0", "--set", "smtp.listen=[::1]:0,127.0.0.1:0", "--set", "pop3.listen=off",
               data=tmp_path / "data").start()
    try:
        assert s.doors["smtp"].startswith("[::1]:") and "pop3" not in s.doors
        with socket.create_connection(("::1", int(s.doors["smtp"].rsplit(":", 1)[1])), 10) as c:
            assert c.recv(100).startswith(b"220")
        listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
        mine = {line.split()[3].rsplit(":", 1)[0] for line in listening.splitlines() if f"pid={s.process.pid}," in line}
        assert mine == {"127.0.0.1", "[::1]"}
        assert s.get("/livez").status == 200
    finally:
        s.stop()
    s = Server("--set", "api.listen=off", data=tmp_path / "data").start()
    try:
        assert s.doors["api"] is None
        assert subprocess.run([BINARY, "domain", "list", "--data", s.data], capture_output=True).returncode == 0
    finally:
        s.stop()


def test_a_path_is_never_cut(tmp_path):
    status, text = try_serve("--data", str(tmp_path / ("x" * 500)))
    assert status == 2 and "longer than" in text


def test_environment_wins_over_the_file_and_flags_over_both(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "postrider.json").write_text(json.dumps({"parameters": {"smtp.recipients_max": "700", "smtp.errors_max": "7"}}))
    s = Server("--set", "smtp.errors_max=9", data=data, env={"POSTRIDER_SMTP_RECIPIENTS_MAX": "800", "POSTRIDER_SMTP_ERRORS_MAX": "8"}).start()
    try:
        one = s.get("/v1/settings/smtp.recipients_max").json
        two = s.get("/v1/settings/smtp.errors_max").json
        assert (one["value"], one["source"], two["value"], two["source"]) == (800, "env", 9, "flag")
    finally:
        s.stop()


def test_missing_server_key_is_not_replaced(tmp_path):
    s = Server(data=tmp_path / "data").start()
    s.stop()
    key = tmp_path / "data/server.key"
    kept = key.read_bytes()
    key.unlink()
    status, text = try_serve(*s.place, "--ephemeral")
    assert status == 1 and "server.key" in text and not key.exists()
    other = Server(data=tmp_path / "other").start()
    other.stop()
    key.write_bytes((tmp_path / "other/server.key").read_bytes())
    key.chmod(0o600)
    status, text = try_serve(*s.place, "--ephemeral")
    assert status == 1 and "server.key" in text
    key.write_bytes(kept)
    Server(data=tmp_path / "data").start().stop()


def test_sigterm_says_421_and_ends_with_0(tmp_path):
    s = Server(data=tmp_path / "data").start()
    c = socket.create_connection(s.address("smtp"), 10)
    assert c.recv(200).startswith(b"220")
    s.stop()
    assert c.recv(200).startswith(b"421")
    c.close()


def test_sigterm_during_data_loses_nothing_that_was_answered(tmp_path):
    s = Server("--set", "server.grace=1s", data=tmp_path / "data").start()
    s.user("ana@term.test")
    c = smtplib.SMTP(*s.address("smtp"))
    c.sendmail("x@y.test", ["ana@term.test"], b"Subject: one\r\n\r\n1\r\n")
    c.docmd("MAIL FROM:<x@y.test>")
    c.docmd("RCPT TO:<ana@term.test>")
    assert c.docmd("DATA")[0] == 354
    s.stop()
    c.close()
    s.start()
    assert [e["subject"] for e in s.entries("ana@term.test")] == ["one"]
    s.stop()


def test_sighup_takes_a_new_certificate(tmp_path):
    import ssl
    s = Server(data=tmp_path / "data").start()
    try:
        before = ssl.get_server_certificate(s.address("pop3s"))
        tls = tmp_path / "data/tls"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=new.test", "-keyout", tls / "key.pem", "-out", tls / "cert.pem"], check=True, capture_output=True)
        s.process.send_signal(signal.SIGHUP)
        until(lambda: ssl.get_server_certificate(s.address("pop3s")) != before)
        (tls / "cert.pem").write_text("rubbish")
        s.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in s.log_text())
        assert ssl.get_server_certificate(s.address("pop3s")) != before
    finally:
        s.stop()


def test_root_becomes_run_as(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if parent != pathlib.Path("/") and not mode(parent) & 0o001:
            os.chmod(parent, mode(parent) | 0o011)
    s = Server("--set", "server.run_as=nobody", data=tmp_path / "data", env={"TMPDIR": str(tmp_path)})
    s.ready = tmp_path / "data/ready"
    s.start()
    try:
        uid = pwd.getpwnam("nobody").pw_uid
        assert os.stat(f"/proc/{s.process.pid}").st_uid == uid
        assert os.stat(tmp_path / "data" / ("server.key" if s.store else "postrider.db")).st_uid == uid
        s.user("ana@nobody.test")
        assert s.make("/v1/messages", {"from": "ana@nobody.test", "to": "ana@nobody.test", "subject": "x", "text": "y"})["status"] == "delivered"
    finally:
        s.stop()
    s.start()
    s.stop()


def test_admin_key_file_from_the_environment(tmp_path):
    where = tmp_path / "elsewhere.key"
    s = Server(data=tmp_path / "data", env={"POSTRIDER_ADMIN_KEY_FILE": str(where)}).start()
    try:
        assert mode(where) == 0o600 and not (tmp_path / "data/admin.key").exists()
        assert s.get("/v1/me", key=where.read_text().strip()).status == 200
        assert where.read_text().strip() not in s.log_text()
    finally:
        s.stop()
