"""What an operator does on one of several nodes holds on the one that sends, and goes on when a node ends."""
import pytest
from peer import Peer
from server import until
from test_delivery import ended, send
from test_delivery_nodes import nodes
from test_two_processes import kill

pytestmark = pytest.mark.own_store("mongo")


def path(s, site):
    return (s.get(f"/v1/queue/{site}").json.get("path") or {}).get("state")


def test_a_suspension_holds_on_the_node_that_sends():
    with Peer() as peer, nodes(peer) as (a, b):
        ended(b, send(b, "x@far.test"))
        stop = b.make("/v1/suspensions", {"scope": "source", "match": "default"})
        m = send(b, "y@far.test")
        until(lambda: path(a, "far.test") == "suspended")
        until(lambda: path(b, "far.test") == "suspended")  # as the sender wrote it down
        assert b.get(f"/v1/deliveries?message_id={m['id']}").json["data"][0]["waiting"]["suspension_id"] == stop["id"]
        assert len(peer.mails) == 1
        assert a.call("DELETE", f"/v1/suspensions/{stop['id']}").status == 204
        ended(b, m)


def test_another_node_goes_on_with_an_action():
    with Peer() as peer, nodes(peer) as (a, b):
        a.make("/v1/suspensions", {"scope": "site", "match": "far.test"})
        for i in range(8):
            send(a, *[f"u{i}-{j}@far.test" for j in range(50)])
        action = a.make("/v1/actions", {"do": "bounce", "filter": {"domain": "far.test"}})
        kill(a)
        done = until(lambda: (x := b.get(f"/v1/actions/{action['id']}").json)["status"] == "done" and x, 60)
        assert (done["matched"], done["done"], done["failed"]) == (400, 400, 0) and not peer.seen
