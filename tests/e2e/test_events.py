"""Events as they come: `GET /v1/events` as a stream, against servers of our own."""
import http.client
import json
import re
import socket
import time

import pytest
from api_client import Client, door
from server import Server, until

QUICK = ("--set", "event.keep_alive=1s", "--set", "api.answer_deadline=1s")


@pytest.fixture(scope="module")
def server(store):
    with Server(*QUICK) as s:
        yield s


class Stream:
    """One connection that follows; `next` gives what comes, (type, data)."""

    def __init__(self, client, query="", **headers):
        self.c = http.client.HTTPConnection(*door(client.server), timeout=60)
        self.c.request("GET", "/v1/events" + query, headers={"Accept": "text/event-stream", **client.headers,
                                                             **{k.replace("_", "-"): v for k, v in headers.items()}})
        self.answer, self.id = self.c.getresponse(), headers.get("Last_Event_ID")
        self.status = self.answer.status

    def lines(self):
        """Of the next block; [] at the end."""
        block = []
        while line := self.answer.readline().decode():
            if line == "\n":
                return block
            block.append(line.rstrip("\n"))
            if line.startswith("id: "):
                self.id = line[4:-1]
        return block

    def next(self):
        while block := self.lines():
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])
        return None

    def close(self):
        self.answer.close()
        self.c.close()


def followers(server):
    return int(re.search(r"^postrider_event_followers (\d+)$", server.get("/metrics").body.decode(), re.M)[1])


@pytest.fixture
def tenants(server, request):
    made = []
    for n in "ab":
        name = f"{n}{abs(hash(request.node.name)) % 10**9}"
        c = Client(server, key=server.make("/v1/accounts", {"name": name})["key"]["secret"])
        c.make("/v1/domains", {"name": f"{name}.test"})
        c.address = f"ana@{name}.test"
        c.make("/v1/users", {"address": c.address, "password": "correct horse battery"})
        made.append(c)
    return made


def send(c):
    return c.make("/v1/messages", {"from": c.address, "to": [c.address], "subject": "x", "text": "x"})["id"]


def accepted(stream, n):
    """Messages of the next n `email.accepted`."""
    out = []
    while len(out) < n:
        kind, event = stream.next()
        out += [event["message_id"]] if kind == "email.accepted" else []
    return out


def test_what_happens_comes_once_in_order_also_over_a_restart(server, tenants):
    mine, other = tenants
    s = Stream(mine)
    assert s.status == 200 and s.answer.headers["Content-Type"] == "text/event-stream" and s.next()[0] == "hello"
    sent = []
    for _ in range(3):
        send(other)
        sent.append(send(mine))
        assert accepted(s, 1) == sent[-1:]
    before = time.monotonic()
    while time.monotonic() < before + 2.5:  # past api.answer_deadline; signs of life come
        assert s.lines()
    s.close()
    place, missed = s.id, [send(mine) for _ in range(3)]
    server.restart()
    mine.http = http.client.HTTPConnection(*door(server), timeout=60)
    missed.append(send(mine))
    s = Stream(mine, Last_Event_ID=place)
    assert s.next()[0] == "hello"
    assert accepted(s, 4) == missed
    assert s.next()[0] == "email.delivered"  # the last of its group, with the place
    s.close()
    s = Stream(mine, f"?after={s.id}&type=email.accepted")
    assert s.next()[0] == "hello"
    sent = send(mine)
    assert s.next()[1]["message_id"] == sent
    s.close()


def test_who_leaves_is_noticed(server, tenants):
    streams = [Stream(c) for c in tenants for _ in range(3)]
    assert [s.next()[0] for s in streams] == ["hello"] * 6
    until(lambda: followers(server) == 6, 20)  # those of before are gone
    for s in streams:
        s.close()
    until(lambda: followers(server) == 0, 20)


def test_each_event_of_a_row_comes_by_itself(server, tenants):
    """A mail to many is one row of the feed: a stream that ends anywhere in it goes on there, as do pages of any size."""
    mine, other = tenants
    page = mine.get("/v1/events?follow=true&limit=100").json
    while page["has_more"]:
        page = mine.get(f"/v1/events?follow=true&limit=100&after={page['next']}").json
    s = Stream(mine, f"?after={page['next']}")
    assert s.next()[0] == "hello"
    to = [mine.address, other.address] + [f"x{i}@out.test" for i in range(48)]
    sent = mine.make("/v1/messages", {"from": mine.address, "to": to, "subject": "x", "text": "x", "metadata": {"a": "b"}})["id"]
    want = mine.all(f"/v1/messages/{sent}/events")[::-1]
    assert [e["type"] for e in want] == ["email.accepted"] + 2 * ["email.delivered"] + 48 * ["email.captured"]
    assert [e["email"] for e in want] == [None, *to] and all(e["metadata"] == {"a": "b"} for e in want)
    got, places = [], []
    while len(got) < len(want):
        got.append(s.next()[1])
        if not places or s.id != places[-1][1]:
            places.append((len(got), s.id))
    s.close()
    assert got == want and len(places) >= 3
    for n, place in places[1:]:
        s = Stream(mine, Last_Event_ID=place)
        assert s.next()[0] == "hello"
        assert [s.next()[1] for _ in want[n:]] == want[n:]
        s.close()
    for limit in (1, 7, 50):
        got, after = [], page["next"]
        while len(got) < len(want):
            part = mine.get(f"/v1/events?follow=true&limit={limit}&after={after}").json
            assert 0 < len(part["data"]) <= limit
            got, after = got + part["data"], part["next"]
        assert got == want
        assert mine.all("/v1/events", limit)[::-1][-len(want):] == want
    for event in want[:4]:
        assert mine.get(f"/v1/events/{event['id']}").json == event
        assert other.get(f"/v1/events/{event['id']}").status == 404
        if event["delivery_id"]:
            assert mine.all(f"/v1/deliveries/{event['delivery_id']}/events") == [event]
    theirs = other.all("/v1/events")
    assert [(e["type"], e["email"], e["delivery_id"]) for e in theirs] == [
        ("email.received", other.address, None), ("email.accepted", None, None)]


def setting(server, name, value):
    answer = Client(server).patch(f"/v1/settings/{name}", {"value": value})
    assert answer.status == 200, answer


def test_more_followers_than_allowed_hear_503(server, tenants):
    until(lambda: followers(server) == 0, 20)
    setting(server, "event.followers_max", 2)
    try:
        streams = [Stream(c) for c in tenants]
        assert [s.next()[0] for s in streams] == ["hello"] * 2
        refused = Stream(tenants[0])
        assert refused.status == 503 and json.loads(refused.answer.read())["code"] == "unavailable"
        assert tenants[0].get("/v1/events").status == 200  # who asks now and then is no follower
        sent = send(tenants[0])
        assert accepted(streams[0], 1) == [sent]
        streams[1].close()
        until(lambda: followers(server) == 1, 20)
        again = Stream(tenants[1])
        assert again.next()[0] == "hello"
        again.close()
        streams[0].close()
    finally:
        setting(server, "event.followers_max", None)


def test_who_does_not_read_is_dropped_and_holds_up_nobody(server, tenants):
    """One connection takes nothing; another of the same account hears all meanwhile."""
    until(lambda: followers(server) == 0, 20)
    setting(server, "event.patience", "1s")
    c = tenants[0]
    try:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(door(server))
        head = "".join(f"{k}: {v}\r\n" for k, v in c.headers.items())
        deaf.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{head}\r\n".encode())
        until(lambda: followers(server) == 1, 20)
        reader = Stream(c, "?type=email.accepted")
        assert reader.next()[0] == "hello"
        metadata = {f"m{i}": "x" * 500 for i in range(20)}
        sent = []

        def dropped():  # as much as the buffers of the system take has to be written first
            if len(sent) < 200:
                answer = c.make("/v1/messages", {"from": c.address, "to": [f"delivered+{i}@sandbox.test" for i in range(50)], "text": "x", "metadata": metadata})
                sent.append(answer["id"])
                assert set(accepted(reader, 1)) == {answer["id"]}
            return followers(server) == 1

        until(dropped, 25)  # event.patience is 30 s where nobody says otherwise
        assert reader.status == 200 and c.get("/v1/events").status == 200
        reader.close()
        deaf.close()
    finally:
        setting(server, "event.patience", None)


def test_a_place_of_another_store_is_told(tenants):
    s = Stream(tenants[0], Last_Event_ID="AAAA")
    assert [s.next()[0], s.next()[0]] == ["reset", "hello"]
    s.close()
    assert Stream(tenants[0], "?after=AAAA").status == 422
    assert Stream(tenants[0], "?type=" + "x" * 65).status == 422


def test_a_key_that_is_taken_away_ends_it(tenants):
    key = tenants[0].make("/v1/keys", {"name": "k", "scopes": ["messages:read"]})
    s = Stream(Client(tenants[0].server, key=key["secret"]))
    assert s.next()[0] == "hello"
    assert tenants[0].delete(f"/v1/keys/{key['id']}").status == 204
    with pytest.raises(http.client.IncompleteRead):
        while s.answer.read(1):
            pass
        raise http.client.IncompleteRead(b"")


def test_a_server_that_stops_ends_it(store):
    with Server() as server:
        s = Stream(Client(server))
        assert s.next()[0] == "hello"
        began = time.monotonic()
        server.stop()
        assert s.next() is None and time.monotonic() < began + 15
