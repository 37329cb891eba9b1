"""Lists of what is much and of what is large: bounded work, bounded pages, and every object all the same."""
import threading
import time

import pytest
from api_client import Client
from server import PASSWORD, Server


@pytest.fixture(scope="module")
def server(store):
    with Server("--set", "api.list_look=100", "--set", "message.header_max=2M") as s:
        yield s


def tenant(server, n):
    account = server.make("/v1/accounts", {"name": n})
    c = Client(server, key=account["key"]["secret"])
    c.make("/v1/domains", {"name": f"{n}.test"})
    c.make("/v1/users", {"address": f"ana@{n}.test", "password": PASSWORD})
    return c


def pages(client, path):
    """Every page of a list, by `next`."""
    after = ""
    while True:
        page = client.get(f"{path}&limit=10{after}")
        assert page.status == 200, page
        yield page.json
        assert page.json["has_more"] == (page.json["next"] is not None)
        if not page.json["has_more"]:
            return
        after = f"&after={page.json['next']}"


@pytest.fixture(scope="module")
def much(server):
    """450 deliveries; three of them, far apart, go to rare.test. One message of nine has a tag."""
    c = tenant(server, "much")
    for i in range(9):
        to = [f"x{j}@out.test" for j in range(50)]
        if i % 4 == 0:
            to[7] = f"x{i}@rare.test"
        more = {"tags": [{"name": "rare", "value": "1"}]} if i == 0 else {}
        c.make("/v1/messages", {"from": "ana@much.test", "to": to, "text": "x", "subject": str(i), **more})
    return c


def test_a_filter_that_finds_nothing_says_how_far_it_looked(much):
    all_pages = list(pages(much, "/v1/deliveries?domain=none.test"))
    assert 4 <= len(all_pages) <= 6 and not any(p["data"] for p in all_pages)
    told = [p["searched_to"] for p in all_pages[:-1]]
    assert all(told) and told == sorted(told, reverse=True)
    assert all_pages[-1]["searched_to"] is None


@pytest.mark.parametrize("query, n", [
    ("/v1/deliveries?domain=rare.test", 3), ("/v1/deliveries?domain=out.test", 447),
    ("/v1/deliveries?status=captured&domain=rare.test", 3), ("/v1/deliveries?email=x4@rare.test&status=captured", 1),
    ("/v1/events?type=none.such", 0), ("/v1/messages?status=cancelled", 0), ("/v1/messages?tag=rare&status=captured", 1),
    ("/v1/messages?email=x3@out.test&source=api", 9), ("/v1/messages?email=x4@rare.test&tag=rare", 0), ("/v1/messages?tag=none", 0)])
def test_filtered_lists_find_all_in_the_end(much, query, n):
    found = [x["id"] for p in pages(much, query) for x in p["data"]]
    assert len(found) == len(set(found)) == n
    assert found == sorted(found, reverse=True)


def test_a_filtered_list_is_read_both_ways(much):
    forward = [p["data"] for p in pages(much, "/v1/deliveries?domain=rare.test")]
    far = much.get("/v1/deliveries?limit=100").json
    while far["has_more"]:
        far = much.get(f"/v1/deliveries?limit=100&after={far['next']}").json
    back, page = [], far
    while page["previous"]:
        page = much.get(f"/v1/deliveries?domain=rare.test&limit=10&before={page['previous']}").json
        back = page["data"] + back
    on_far = {x["id"] for x in far["data"]}
    assert [x["id"] for x in back] == [x["id"] for d in forward for x in d if x["id"] not in on_far] and len(back) == 2


def large_mail(k):
    """A mail of k recipients by its header, with the longest names."""
    to = ",\r\n ".join(f'"{"n" * 900}" <x{i:04}@o.test>' for i in range(k))
    return (f"From: ana@large.test\r\nSubject: s\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nTo: {to}\r\n\r\nhi\r\n").encode()


def test_a_page_of_large_rows_ends_by_its_bytes(server):
    c = tenant(server, "large")
    sent = []
    for _ in range(6):
        r = c.call("POST", "/v1/messages?from=ana@large.test&to=zz@o.test", raw=large_mail(300),
                   headers={"Content-Type": "message/rfc822"})
        assert r.status == 202, r
        sent.append(r.json["id"])
    sizes, ids = [], []
    after = ""
    while True:
        page = c.get(f"/v1/messages?limit=100{after}")
        sizes.append(len(page.body))
        ids += [m["id"] for m in page.json["data"]]
        assert page.json["searched_to"] is None and all(len(m["to"]) == 300 for m in page.json["data"])
        if not page.json["has_more"]:
            break
        after = f"&after={page.json['next']}"
    assert ids == sent[::-1]
    assert len(sizes) >= 3 and max(sizes) < 1024 * 1024


def test_one_tenant_does_not_slow_another(server, much):
    """While sixteen look for what is not there, a neighbour is served."""
    neighbour = tenant(server, "neighbour")
    stop, errors = threading.Event(), []

    def look():
        c = Client(server, key=much.headers["Authorization"].split()[1])
        while not stop.is_set():
            if c.get("/v1/deliveries?domain=none.test").status != 200:
                errors.append("refused")

    threads = [threading.Thread(target=look) for _ in range(16)]
    for t in threads:
        t.start()
    try:
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert neighbour.get("/v1/users/ana@neighbour.test").status == 200
            took.append(time.monotonic() - began)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not errors and sorted(took)[10] < 1
