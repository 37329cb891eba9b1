"""The README's commands, as they stand there, in a fresh copy of the repository."""
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from server import ROOT, until

pytestmark = pytest.mark.own_store  # what the README says
PORTS = (8025, 1025, 1587, 1465, 1110, 1995)


def copy(to):
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def taken():
    for port in PORTS:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return port
    return None


@pytest.mark.timeout(600)
def test_the_readme(tmp_path):
    assert taken() is None, f"the README's port {taken()} is in use on this machine"
    clone = tmp_path / "postrider"
    copy(clone)
    commands = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(commands) == 4
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")}
    run = subprocess.Popen(["script/run"], cwd=clone, stdout=open(tmp_path / "out", "wb"), stderr=subprocess.STDOUT, env=environment)
    out = lambda: (tmp_path / "out").read_text(errors="replace")  # noqa: E731
    try:
        until(lambda: "Postrider is running" in out() or run.poll() is not None, 550)
        assert run.poll() is None, out()
        assert (clone / "data/you.password").stat().st_mode & 0o077 == 0
        results = [subprocess.run(["bash", "-euo", "pipefail", "-c", c], cwd=clone, capture_output=True, text=True, env=environment, timeout=60) for c in commands]
        assert all(r.returncode == 0 for r in results), results
        assert '"status":"delivered"' in results[0].stdout.replace(" ", "")
        assert "First mail" in results[1].stdout and '"role":"inbox"' in results[1].stdout
        assert "It works." in results[2].stdout and "Subject: First mail" in results[2].stdout
        assert '"status":"captured"' in results[3].stdout
        shown = re.search(r"curl -s --unix-socket.*?'\n", out(), re.S)
        assert shown  # what script/run prints works too
        again = subprocess.run(["bash", "-c", shown.group().replace("\\\n", " ")], cwd=clone, capture_output=True, text=True, env=environment)
        assert '"status":"delivered"' in again.stdout, again
    finally:
        run.terminate()
        run.wait(60)
    assert run.returncode == 0, out()
