"""Where mail goes, by zones that nsd serves: what they say, signed zones, and such that were tampered with."""
import shutil

import pytest
from peer import Peer
from server import Server
from test_delivery import LIVE, ended, send
from zones import LDNS, NSD, Nsd, Signed

pytestmark = pytest.mark.skipif(not NSD or not shutil.which(LDNS[0]), reason="no nsd, or no ldns-signzone")

HOST = ["@ MX 10 mx", "mx A 127.0.0.2"]
FORGED = {"MX\t10 ": "MX\t11 "}
ZONES = {
    "null.test": ["@ MX 0 ."],
    "alias.test": ["@ MX 10 alias", "alias CNAME host", "host A 127.0.0.2"],
    "outside.test": ["@ MX 10 mx.signed.test."],
    "private.test": ["@ MX 10 mx", "mx A 10.1.2.3"],
    "own.test": ["@ MX 10 mx", "mx A 127.0.0.1"],
    "fails.test": None,
    "signed.test": Signed(HOST),
    "forged.test": Signed(HOST, FORGED),
    "untrusted.test": Signed(HOST, FORGED),
}


@pytest.fixture(scope="module")
def world(store, tmp_path_factory):
    anchors = tmp_path_factory.mktemp("zones") / "anchors"
    with Nsd(ZONES) as nsd, Peer() as peer:
        anchors.write_text(nsd.key("signed.test") + nsd.key("forged.test"))
        env = {"DNS_SERVERS": nsd.server, "DNS_TRUST_ANCHOR": anchors, "DELIVERY_PORT": peer.port, "DELIVERY_ALLOW": "127.0.0.2"}
        with Server(env=LIVE | {f"POSTRIDER_{k}": str(v) for k, v in env.items()}) as s:
            yield s, peer


@pytest.mark.parametrize("domain", ["alias.test", "outside.test", "signed.test", "untrusted.test"])
def test_it_arrives(world, domain):
    s, peer = world
    d = ended(s, send(s, f"x@{domain}"))[f"x@{domain}"]
    assert d["last"]["ip"] == peer.host and [m for m in peer.mails if m.recipients == [f"x@{domain}"]]


@pytest.mark.parametrize("domain, status, enhanced, cause", [
    ("null.test", "bounced", "5.1.10", "unknown_domain"),
    ("no-such.signed.test", "bounced", "5.1.2", "unknown_domain"),
    ("private.test", "bounced", "5.4.4", "bad_destination"),
    ("own.test", "bounced", "5.4.6", "loop"),
    ("fails.test", "deferred", "4.4.3", "dns"),
    ("nobody-serves.test", "deferred", "4.4.3", "dns"),
    ("forged.test", "deferred", "4.4.3", "dns"),  # but for the chain of trust it is untrusted.test
])
def test_it_does_not(world, domain, status, enhanced, cause):
    s, peer = world
    last = ended(s, send(s, f"x@{domain}"), status)[f"x@{domain}"]["last"]
    assert (last["enhanced"], last["cause"]) == (enhanced, cause), last
    assert not [m for m in peer.seen if m.recipients == [f"x@{domain}"]]
