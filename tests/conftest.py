"""Which engines a test runs on. Each test of tests/e2e runs on SQLite and on MongoDB: test_x[sqlite], test_x[mongo].

    pytest --store mongo ...                on one engine only
    @pytest.mark.only_sqlite("why")         it is about SQLite's file (or only_mongo)
    @pytest.mark.own_store                  it names its stores itself, or needs none: runs once
    @pytest.mark.own_store("mongo")         the same, and left out where --store does not name that one
Under pytest-xdist the tests of a module on an engine run in order on one worker (--dist loadgroup). The groups are read out
of the ids here: xdist hangs them to the ids itself, and since 9.2 pytest does not let it."""
import os
import pathlib
import re

import pytest

STORES = ("sqlite", "mongo")
os.environ["MONGOC_DISABLE_SHM"] = "1"  # what a killed process leaves there makes the library warn the next one of its pid
SLOW = ("test_mongo_crash", "test_crash", "test_delivery", "test_delivery_crash", "test_readme", "test_schemathesis", "test_two_processes", "test_store_away", "test_large_mailbox",
        "test_api", "test_api_mail", "test_store_copy", "test_limits", "test_smtp_attacks", "test_soak_attacks",
        "test_api_walls")  # begin first, so that none is left for the end


def pytest_addoption(parser):
    parser.addoption("--store", default=",".join(STORES), help="engines to test on, divided by commas: sqlite, mongo")


def pytest_configure(config):
    wrong = set(config.getoption("--store").split(",")) - set(STORES)
    if wrong:
        raise pytest.UsageError(f"--store takes {' and '.join(STORES)}, not {', '.join(wrong)}")
    for line in ("only_sqlite(reason): about SQLite alone", "only_mongo(reason): about MongoDB alone", "own_store(engine): names its stores itself, which are of that engine"):
        config.addinivalue_line("markers", line)


def stores_of(test):
    """The engines that its markers leave."""
    only = [store for store in STORES if test.get_closest_marker("only_" + store)]
    assert all(test.get_closest_marker("only_" + store).args for store in only), f"{test.nodeid}: say why it runs on one engine"
    return only or STORES


def pytest_generate_tests(metafunc):
    if "store" in metafunc.fixturenames and not metafunc.definition.get_closest_marker("own_store"):
        metafunc.parametrize("store", stores_of(metafunc.definition), scope="module", indirect=True)


def store_of(item):
    own = item.get_closest_marker("own_store")
    if own:
        return own.args[0] if own.args else ""
    return item.callspec.params.get("store", "") if hasattr(item, "callspec") else ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, name = nodeid.partition("::")
            store = re.search(r"\[(%s)\b" % "|".join(STORES), name)
            return f"{pathlib.Path(file).stem}-{store[1] if store else ''}"

    return Groups(config, log)


def pytest_collection_modifyitems(config, items):
    chosen = config.getoption("--store").split(",")
    other = [item for item in items if store_of(item) and store_of(item) not in chosen]
    config.hook.pytest_deselected(items=other)
    kept = [item for item in items if item not in other]
    items[:] = sorted(kept, key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))
