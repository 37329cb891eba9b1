"""Where mail of other servers comes from: SPF, DKIM and DMARC at the receiving door, by zones of nsd, and what follows from them."""
import json
import shutil
import smtplib
import socket
import subprocess
import threading

import pytest
from server import BINARY, Server, until
from zones import Nsd, quoted

pytestmark = pytest.mark.skipif(not shutil.which("nsd", path="/usr/sbin:/usr/bin"), reason="no nsd")

HOST = "mail.us.test"


def tool(*words, input=b""):
    r = subprocess.run([BINARY, "mail", *words], input=input, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    made = tool("dkim-key", "--algorithm", "ed25519")
    file = tmp_path_factory.mktemp("key") / "key"
    file.write_text(made["private_key"])
    return file, made["record"]


@pytest.fixture(scope="module")
def nsd(key):
    spf, policy = '@ TXT "v=spf1 ip4:127.0.0.1 -all"', '_dmarc TXT "v=DMARC1; p=%s"'
    with Nsd({"good.test": [spf, policy % "reject", f"s1._domainkey TXT {quoted(key[1])}"], "bad.test": ['@ TXT "v=spf1 -all"', policy % "reject"],
              "odd.test": [policy % "quarantine"], "list.test": [spf], "away.test": None, "us.test": [], "slow.test": [], "test": []}) as n:
        yield n


@pytest.fixture(scope="module")
def s(store, nsd):
    env = {"POSTRIDER_SERVER_HOSTNAME": HOST, "POSTRIDER_DNS_SERVERS": nsd.server, "POSTRIDER_DNS_TRUST_ANCHOR": ""}
    with Server(env=env) as server:
        setting(server, "origin.exempt", False)
        yield server


@pytest.fixture
def who(s, request):
    name = f"u{abs(hash(request.node.name)) % 10**10}@box.test"
    s.user(name)
    return name


def setting(s, name, value):
    assert s.call("PATCH", f"/v1/settings/{name}", {"value": value}).status == 200


def mail(author, *fields, to="x@box.test", body="Hello"):
    return "\r\n".join([f"From: {author}", f"To: {to}", "Subject: x", "Date: Sat, 28 Nov 2026 12:00:00 +0000", "Message-ID: <1@far.test>", *fields, "", body, ""]).encode()


def signed(key, text, domain="good.test"):
    return "".join(tool("sign", "--domain", domain, "--selector", "s1", "--key", str(key[0]), input=text)["signatures"]).encode() + text


def send(s, to, sender, text):
    """The reply to the whole mail."""
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.ehlo("host.far.test")
        assert c.mail(sender)[0] == 250 and c.rcpt(to)[0] == 250
        code, words = c.data(text)
        return f"{code} {words.decode()}"


def entries_of(s, who, role):
    return s.get(f"/v1/mailboxes/{s.mailbox(who, role)['id']}/entries").json["data"]


def test_who_it_says_it_is(s, who, key):
    forged = [f"Authentication-Results: {HOST}; dkim=pass header.d=bank.test", f"authentication-results:  (c) \"{HOST.upper()}\" 1; spf=pass", "Authentication-Results: other.test; spf=pass"]
    assert send(s, who, "ana@good.test", signed(key, mail("ana@good.test", *forged))).startswith("250 ")
    [entry] = entries_of(s, who, "inbox")
    assert entry["auth"] == {"spf": "pass", "dkim": [{"domain": "good.test", "selector": "s1", "result": "pass"}], "dmarc": "pass", "arc": "none", "score": 0, "reasons": []}
    assert s.get(f"/v1/messages/{entry['message_id']}").json["auth"] == entry["auth"]
    raw = s.raw(entry).decode()
    assert raw.startswith("Return-Path: <ana@good.test>\r\nAuthentication-Results: mail.us.test; spf=pass") and "Received-SPF: pass (" in raw
    assert raw.count(HOST) == raw.replace("bank.test", HOST).count(HOST) and "other.test; spf=pass" in raw and "X-Spam-Flag" not in raw
    assert tool("verify", input=raw[raw.index("DKIM-Signature"):].encode().replace(b"\n", b"\n"))["dkim"] != []


def test_who_does_not_write_in_anothers_name(s, who, key):
    before = len(s.get("/v1/messages?limit=100").json["data"])
    refused = "550 5.7.1 bad.test does not let this host write in its name (DMARC)"
    assert send(s, who, "x@list.test", mail("boss@bad.test")) == refused
    assert send(s, who, "boss@bad.test", signed(key, mail("boss@bad.test"))) == refused
    changed = signed(key, mail("ana@good.test")).replace(b"Hello", b"Pay me")
    assert send(s, who, "x@list.test", changed).startswith("550 5.7.1 good.test")
    assert send(s, who, "ana@good.test", mail("ana@good.test", "From: boss@bad.test")) == "550 5.7.1 The mail has more than one From"
    assert len(s.get("/v1/messages?limit=100").json["data"]) == before and not s.entries(who)
    events = [e for e in s.get("/v1/events?limit=100").json["data"] if e["type"] == "email.refused" and e["email"] == who]
    assert len(events) == 4 and all(e["data"]["auth"]["dmarc"] in ("fail", "permerror") and e["data"]["client_ip"] == "127.0.0.1" for e in events)
    assert events[-1]["data"]["from_domain"] == "bad.test" and events[-1]["data"]["envelope_from"] == "x@list.test"


def test_junk_and_exceptions(s, who):
    assert send(s, who, "x@list.test", mail("ana@odd.test")).startswith("250 ")
    [junk] = entries_of(s, who, "junk")
    assert not entries_of(s, who, "inbox") and junk["auth"]["dmarc"] == "fail" and junk["auth"]["reasons"]
    assert "\r\nX-Spam-Flag: YES\r\n" in s.raw(junk).decode()
    [event] = [e for e in s.get(f"/v1/messages/{junk['message_id']}/events").json["data"] if e["type"] == "email.accepted"]
    assert event["data"]["junk"] is True and event["data"]["auth"] == junk["auth"]
    setting(s, "dmarc.reject", False)
    assert send(s, who, "x@list.test", mail("boss@bad.test")).startswith("250 ")
    assert len(entries_of(s, who, "junk")) == 2
    setting(s, "dmarc.reject", True)
    setting(s, "dmarc.exceptions", "list.test")
    assert send(s, who, "x@list.test", mail("boss@bad.test")).startswith("250 ")
    assert send(s, who, "x@bad.test", mail("boss@bad.test")).startswith("550 5.7.1")
    [entry] = entries_of(s, who, "inbox")
    assert entry["auth"]["reasons"][-1] == "dmarc: the sender is excepted (dmarc.exceptions)"
    setting(s, "dmarc.exceptions", "")


def test_nobody_knows(s, who):
    assert send(s, who, "x@away.test", mail("x@away.test")).startswith("250 ")
    [entry] = entries_of(s, who, "inbox")
    assert (entry["auth"]["spf"], entry["auth"]["dmarc"]) == ("temperror", "temperror")
    setting(s, "origin.dns_trouble", "defer")
    assert send(s, who, "x@away.test", mail("x@away.test")).startswith("451 4.4.3 ")
    setting(s, "origin.dns_trouble", "accept")


class Slow(threading.Thread):
    """Hands questions on to nsd and its answers back, those of one name after a second each."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        host, _, port = server.rpartition("@")
        self.to, self.name_asked, self.asked = (host, int(port)), b"".join(bytes([len(w)]) + w.encode() for w in name.split(".")), False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.server = f"127.0.0.1@{self.socket.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            question, who = self.socket.recvfrom(4096)
            is_slow = self.name_asked in question.lower()
            self.asked = self.asked or is_slow
            threading.Timer(1 if is_slow else 0, self.hand_on, (question, who)).start()

    def hand_on(self, question, who):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(10)
            out.sendto(question, self.to)
            self.socket.sendto(out.recv(4096), who)


def test_slow_servers_of_the_sender_hide_no_policy(store, nsd):
    slow = Slow(nsd.server, "slow.test")
    with Server(env={"POSTRIDER_SERVER_HOSTNAME": HOST, "POSTRIDER_DNS_SERVERS": slow.server, "POSTRIDER_DNS_TRUST_ANCHOR": "", "POSTRIDER_ORIGIN_EXEMPT": "false", "POSTRIDER_ORIGIN_TIMEOUT": "2s"}) as s:
        s.user("bo@box.test")
        signatures = "".join(f"DKIM-Signature: v=1; a=rsa-sha256; d=slow.test; s=s{i}; h=from; bh=AAAA; b=AAAA\r\n" for i in range(10))
        assert send(s, "bo@box.test", "x@slow.test", signatures.encode() + mail("ana@bad.test")).startswith("550 5.7.1 ") and slow.asked


def test_many_mailboxes_are_filed_alike(s, who):
    setting(s, "accept.local_max", 1)
    other = "second." + who
    s.user(other)
    with smtplib.SMTP(*s.address("smtp"), timeout=60) as c:
        c.sendmail("x@list.test", [who, other], mail("ana@odd.test"))
    for one in (who, other):
        [junk] = until(lambda: entries_of(s, one, "junk"))
        assert junk["auth"]["dmarc"] == "fail" and "X-Spam-Flag: YES" in s.raw(junk).decode()
    setting(s, "accept.local_max", 32)


def test_who_is_near_is_not_looked_at(s, who):
    setting(s, "origin.exempt", True)
    assert send(s, who, "boss@bad.test", mail("boss@bad.test")).startswith("250 ")
    [entry] = entries_of(s, who, "inbox")
    assert entry["auth"] is None and "Authentication-Results" not in s.raw(entry).decode()
    setting(s, "origin.exempt", False)
