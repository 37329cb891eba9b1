"""The commands of docs/api, as they stand there, page by page."""
import os
import pathlib
import re
import subprocess

import pytest
from server import BINARY, ROOT

PAGES = sorted((ROOT / "docs/api").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_of_a_page_runs(server, page, tmp_path):
    if server.get("/v1/users/you@postrider.test").status == 404:
        server.user("you@postrider.test")
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "postrider").symlink_to(pathlib.Path(BINARY).resolve())
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(), re.S))
    assert commands and page.read_text().count("```") == 2 * page.read_text().count("```sh\n"), "what is shown is run: each block is one of sh"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | {
        "POSTRIDER_URL": server.doors["api"], "POSTRIDER_KEY": server.key, "PATH": f"{bin}:{os.environ['PATH']}"}
    r = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    assert '"error"' not in r.stdout + r.stderr, r.stdout + r.stderr
