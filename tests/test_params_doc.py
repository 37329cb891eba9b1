"""docs/parameters.md is what script/params_doc makes of base/params.def."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def made():
    return subprocess.run([ROOT / "script/params_doc"], check=True, capture_output=True, text=True).stdout


def test_page_is_up_to_date():
    assert (ROOT / "docs/parameters.md").read_text() == made(), "run script/params_doc > docs/parameters.md"


def test_every_row_is_on_the_page():
    rows = re.findall(r"^PARAM\(\s*(\w+),\s*(\w+),", (ROOT / "base/params.def").read_text(), re.M)
    shown = re.findall(r"^\| `(\w+)\.(\w+)` \|", made(), re.M)
    assert rows and shown == rows
