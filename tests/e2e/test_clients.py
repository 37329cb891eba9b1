"""Clients that generators make of openapi/postrider.yaml: they compile, and a mail is sent and read by them."""
import json
import pathlib
import shutil
import subprocess

import pytest
from server import ROOT

pytestmark = pytest.mark.only_sqlite("what stores keep is no matter of clients")
NODE = ROOT / ".venv/typescript"
HERE = pathlib.Path(__file__).parent / "clients"
PYTHON = ROOT / ".venv/clients/bin"


def ran(*command, cwd):
    r = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    return r.stdout


@pytest.fixture(scope="module")
def contract(server, tmp_path_factory):
    """As the server itself shows it."""
    file = tmp_path_factory.mktemp("contract") / "openapi.json"
    file.write_bytes(server.get("/openapi.json", key=False).body)
    server.user("ana@clients.test")
    return file


def test_typescript(server, contract, tmp_path):
    assert (NODE / "stamp").exists(), "no openapi-typescript: script/bootstrap test installs it"
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"files": ["send.ts"], "compilerOptions": {"strict": True, "target": "es2022", "module": "nodenext", "lib": ["es2022", "dom"], "types": [], "skipLibCheck": True}}))
    shutil.copy(HERE / "send.ts", tmp_path)
    ran(NODE / "node_modules/.bin/openapi-typescript", contract, "-o", "schema.d.ts", cwd=tmp_path)
    ran(NODE / "node_modules/.bin/tsc", cwd=tmp_path)
    said = json.loads(ran("node", "send.js", server.doors["api"], server.key, "ana@clients.test", cwd=tmp_path))
    assert said == {"status": "delivered", "subject": "By TypeScript", "tag": "kind", "listed": 1, "faults": ["/to"]}


def test_python(server, contract, tmp_path):
    assert (PYTHON / "openapi-python-client").exists(), "no openapi-python-client: script/bootstrap test installs it"
    (tmp_path / "config.yml").write_text("post_hooks: []\npackage_name_override: made\nproject_name_override: made\n")
    ran(PYTHON / "python", "-m", "openapi_python_client", "generate", "--path", contract, "--config", "config.yml", "--meta", "none", "--output-path", tmp_path / "made", cwd=tmp_path)
    said = json.loads(ran("env", f"PYTHONPATH={tmp_path}", PYTHON / "python", HERE / "send.py", server.doors["api"], server.key, "ana@clients.test", cwd=tmp_path))
    assert said == {"status": "delivered", "subject": "By Python", "refused": 422, "faults": ["/to"]}
