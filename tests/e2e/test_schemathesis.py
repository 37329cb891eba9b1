"""schemathesis 4 against the contract: every check, with the keys of two accounts. An operator's key on SQLite gets 50 examples an
operation; the other three runs, whose requests are read by the same code, 15, since the time goes to making them up."""
import os
import pathlib
import re
import subprocess
import sys

import pytest
from server import Server

CONFIG = pathlib.Path(__file__).parent / "schemathesis.toml"
EXAMPLES = os.environ.get("POSTRIDER_SCHEMATHESIS_EXAMPLES")


# Its generator gives up now and then on an array for a schema that is to be broken, where values may be anything: not
# a finding, and the operation's other phases have run.
GAVE_UP = re.compile(r"^_+ [A-Z]+ /\S+ _+\nSchema Error\n\nCannot generate an array with \d+ demanded elements$", re.M)


def found(run):
    """Whether it ended with more than what its generator could not make up."""
    errors = re.search(r"^=+ ERRORS =+$(.*?)^=+ [A-Z]+ =+$", run.stdout, re.M | re.S)
    return run.returncode != 0 and (
        re.search(r"^=+ FAILURES =+$", run.stdout, re.M) or not errors
        or len(re.findall(r"^_+ .+ _+$", errors[1], re.M)) != len(GAVE_UP.findall(errors[1])))


@pytest.fixture
def accounts():
    """A server, and the keys of two accounts, each with a domain, a user and mail."""
    with Server("--set", "auth.failures_free=1000", "--set", "limits.public_faults_per_minute=0") as s:  # it tries wrong passwords, and tokens, by the hundred
        made = s.make("/v1/accounts", {"name": "Second"})
        keys = [s.key, made["key"]["secret"]]
        for i, key in enumerate(keys):
            s.make("/v1/domains", {"name": f"s{i}.test"}, key=key)
            s.make("/v1/users", {"address": f"ana@s{i}.test", "password": "correct horse battery"}, key=key)
            s.make("/v1/messages", {"from": f"ana@s{i}.test", "to": f"ana@s{i}.test", "subject": "Hi", "text": "x"}, key=key)
        yield s, keys


@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", [0, 1], ids=["operator", "tenant"])
def test_nothing_is_found(accounts, which, store, tmp_path):
    s, keys = accounts
    run = subprocess.run(
        [str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(CONFIG), "run",
         s.doors["api"] + "/openapi.json", "-H", f"Authorization: Bearer {keys[which]}", "--checks", "all",
         "--max-examples", EXAMPLES or ("50" if which == 0 and store == "sqlite" else "15"), "--seed", "1", "--no-color", "--request-timeout", "30", "--phases", "examples,coverage,fuzzing,stateful"],
        cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(pathlib.Path(__file__).parent)})
    tail = run.stdout[-30000:]
    assert not found(run), tail + run.stderr[-3000:]
    assert not re.search(r"panic|Assertion|Sanitizer", s.log_text()), s.log_text()[-5000:]
