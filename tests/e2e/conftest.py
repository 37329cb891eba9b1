import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mongod  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def store(request):
    """The engine of the servers that say no other (tests/conftest.py); fixtures wider than a test that start one ask for this."""
    os.environ["POSTRIDER_TEST_STORE"] = getattr(request, "param", "sqlite")
    yield os.environ["POSTRIDER_TEST_STORE"]
    del os.environ["POSTRIDER_TEST_STORE"]
    mongod.drop_all()


@pytest.fixture(scope="module")
def server(store):
    """One server for a module's tests; each uses addresses of its own."""
    with Server() as s:
        yield s


@pytest.fixture
def fresh():
    """A server of the test's own."""
    with Server() as s:
        yield s
