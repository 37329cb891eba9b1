import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import Server  # noqa: E402


@pytest.fixture(scope="module")
def server():
    """One server for a module's tests; each uses addresses of its own."""
    with Server() as s:
        yield s


@pytest.fixture
def fresh():
    """A server of the test's own."""
    with Server() as s:
        yield s
