"""`postrider mail`, for the tests of this folder: one call for one case or for a batch of them."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("POSTRIDER_BIN", str(ROOT / "build/asan/postrider"))
SUITES = pathlib.Path(os.environ.get("POSTRIDER_SUITES", ROOT.parent / "shared/suites"))


def run(*words, input=b""):
    input = input.encode() if isinstance(input, str) else input
    return subprocess.run([BINARY, "mail", *map(str, words)], input=input, capture_output=True, timeout=120)


def ask(*words, input=b""):
    """The answer to one case."""
    r = run(*words, input=input)
    assert r.returncode == 0, (words, r.stdout, r.stderr)
    return json.loads(r.stdout)


def batch(verb, cases, *words):
    """The answers to many, in their order."""
    r = run(verb, "--batch", *words, input="".join(json.dumps(c) + "\n" for c in cases))
    answers = [json.loads(line) for line in r.stdout.splitlines()]
    assert len(answers) == len(cases), r.stderr
    return answers


def zone(**names):
    """zone(**{"example.org TXT": "v=spf1 -all"}): rows of a zone; a list is several answers, "!x" the fault x."""
    rows = []
    for key, answers in names.items():
        name, _, kind = key.partition(" ")
        answers = answers if isinstance(answers, list) else [answers]
        fault = isinstance(answers[0], str) and answers[0].startswith("!")
        rows.append({"name": name, "type": kind or "*"} | ({"fault": answers[0][1:]} if fault else {"answers": answers}))
    return rows
