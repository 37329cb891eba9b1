"""Mail programs submitting, at both doors: logins, what is added and removed, who may send as whom, TLS."""
import base64
import os
import re
import smtplib
import socket
import ssl
import subprocess
import sys

import pytest
from server import BINARY, PASSWORD, Server, until
from wire import Smtp, Wire, loose_context, plain, setting, tls_smtp

BODY = b"From: ana@sub.test\r\nTo: bo@sub.test\r\nSubject: %s\r\n\r\ntext\r\n"
DOORS = ["submission", "submissions"]


@pytest.fixture(scope="module")
def sub(server):
    server.user("ana@sub.test")
    server.user("bo@sub.test")
    return server


def body(subject):
    return BODY % subject.encode()


def login(server, door="submissions", user="ana@sub.test", password=PASSWORD):
    c = tls_smtp(server, door)
    r = c.say("AUTH PLAIN " + plain(user, password))
    assert r.startswith("235 2.7.0"), r
    return c


def find(server, user, subject, role="inbox"):
    found = [e for e in server.entries(user, role) if e["subject"] == subject]
    assert len(found) == 1, (subject, server.entries(user, role))
    return found[0]


def b64(text):
    return base64.b64encode(text.encode()).decode()


# ---- with programs that others wrote ----

@pytest.mark.parametrize("flags, door", [
    (["-tls", "-a", "PLAIN"], "submission"), (["-tls", "-a", "LOGIN"], "submission"), (["-a", "PLAIN"], "submission"), (["-a", "LOGIN", "-pipeline"], "submission"),
    (["-tlsc", "-a", "PLAIN"], "submissions"), (["-tlsc", "-a", "LOGIN"], "submissions"),
    (["-tlsc", "--tls-protocol", "tlsv1_2", "-a", "PLAIN"], "submissions"),
])
def test_swaks(sub, flags, door):
    subject = door + " ".join(flags)
    r = subprocess.run(["swaks", "-s", "{}:{}".format(*sub.address(door)), "-f", "ana@sub.test", "-t", "bo@sub.test", "-au", "ana@sub.test", "-ap", PASSWORD,
                        "--header", "Subject: " + subject, *flags], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    trace = sub.raw(find(sub, "bo@sub.test", subject)).split(b"\r\nDate:")[0]
    assert (b"with ESMTPSA id" if "-tls" in flags[0] else b"with ESMTPA id") in trace
    assert find(sub, "ana@sub.test", subject, "sent")["seen"]


def test_swaks_with_a_wrong_password(sub):
    r = subprocess.run(["swaks", "-s", "{}:{}".format(*sub.address("submissions")), "-f", "ana@sub.test", "-t", "bo@sub.test", "-tlsc", "-a", "PLAIN",
                        "-au", "swaks@sub.test", "-ap", "wrong"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 28 and "535 5.7.8" in r.stdout


@pytest.mark.parametrize("url, flags", [("smtp://{}:{}", ["--ssl-reqd"]), ("smtps://{}:{}", []), ("smtp://{}:{}", ["--login-options", "AUTH=LOGIN"])])
def test_curl(sub, url, flags):
    door = "submissions" if url.startswith("smtps") else "submission"
    subject = "curl" + url + "".join(flags)
    r = subprocess.run(["curl", "-sS", "-k", url.format(*sub.address(door)), "--mail-from", "ana@sub.test", "--mail-rcpt", "bo@sub.test", "-u",
                        "ana@sub.test:" + PASSWORD, "-T", "-", *flags], input=body(subject), capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    find(sub, "bo@sub.test", subject)


@pytest.mark.parametrize("auth", ["auth_plain", "auth_login"])
@pytest.mark.parametrize("initial", [True, False])
def test_smtplib(sub, auth, initial):
    with smtplib.SMTP(*sub.address("submission")) as c:
        c.starttls(context=loose_context())
        c.ehlo()
        c.user, c.password = "ana@sub.test", PASSWORD
        assert c.auth(auth[5:].upper(), getattr(c, auth), initial_response_ok=initial)[0] == 235
        assert c.sendmail("ana@sub.test", ["bo@sub.test"], body(auth + str(initial))) == {}
    find(sub, "bo@sub.test", auth + str(initial))


# ---- what it makes of a mail ----

def test_what_is_added_and_removed(sub):
    with login(sub) as c:
        c.to("ana+news@sub.test", "bo@sub.test", "hidden@outside.test")
        reply = c.data(b"From: Ana <ana@sub.test>\r\nTo: bo@sub.test\r\nBcc: hidden@outside.test,\r\n secret@outside.test\r\nSubject: bare\r\nbcc: x@y.test\r\n\r\nBcc: no field\r\n")
        assert re.fullmatch(r"250 2\.0\.0 queued as msg_\w{26} \(sandbox: mail to other servers is captured\)", reply), reply
    raw = sub.raw(find(sub, "bo@sub.test", "bare"))
    head, text = raw.split(b"\r\n\r\n", 1)
    assert b"bcc" not in head.lower() and b"hidden" not in head and b"secret" not in head and text == b"Bcc: no field\r\n"
    assert len(re.findall(rb"\r\nDate: \w{3}, ", head)) == 1
    assert re.search(rb"\r\nMessage-ID: <msg_\w{26}@sub\.test>(\r\n|$)", head)
    assert b"hidden" not in sub.raw(find(sub, "ana@sub.test", "bare", "sent"))
    message = sub.get("/v1/messages/" + reply.split()[4]).json
    assert (message["direction"], message["source"], message["mode"], message["status"]) == ("outbound", "submission", "sandbox", "delivered")
    deliveries = {d["email"]: d["status"] for d in sub.get(f"/v1/deliveries?message_id={message['id']}").json["data"]}
    assert deliveries == {"bo@sub.test": "delivered", "hidden@outside.test": "captured"}
    assert message["header_message_id"] and message["user_id"] and message["subject"] == "bare"


def test_what_is_there_stays(sub):
    head = b"From: ana@sub.test\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <mine@x>\r\nSubject: whole\r\n"
    with login(sub) as c:
        assert c.to("ana@sub.test", "bo@sub.test").data(head + b"\r\nx\r\n").startswith("250")
    assert sub.raw(find(sub, "bo@sub.test", "whole")).endswith(b";\r\n" + sub.raw(find(sub, "bo@sub.test", "whole")).split(b";\r\n", 1)[1])
    assert sub.raw(find(sub, "bo@sub.test", "whole")).endswith(b"\r\n" + head + b"\r\nx\r\n")


def test_blind_recipients_of_a_resent_mail(sub):
    with login(sub) as c:
        c.to("ana@sub.test", "bo@sub.test")
        head = b"Resent-From: ana@sub.test\r\nresent-BCC: hidden@outside.test,\r\n more@outside.test\r\nFrom: ana@sub.test\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <r@x>\r\n"
        assert c.data(head + b"Subject: resent\r\n\r\nx\r\n").startswith("250")
    raw = sub.raw(find(sub, "bo@sub.test", "resent"))
    assert b"outside.test" not in raw and b"\r\nResent-From: ana@sub.test\r\nFrom: ana@sub.test\r\n" in raw


@pytest.mark.parametrize("how", ["sendmail", "by hand"])
def test_lines_that_end_in_lf(sub, how):
    """smtplib's sendmail with bytes sends them as they are, PHP's programs too."""
    text = f"From: ana@sub.test\nTo: bo@sub.test\nSubject: lf {how}\n\n.dot\n.\nlast".encode()
    if how == "sendmail":
        with smtplib.SMTP_SSL(*sub.address("submissions"), context=loose_context()) as s:
            s.login("ana@sub.test", PASSWORD)
            s.sendmail("ana@sub.test", ["bo@sub.test"], text)
    else:
        with login(sub) as c:
            assert c.to("ana@sub.test", "bo@sub.test").data(text.replace(b"\n.dot", b"\n..dot") + b"\n\r\n").startswith("250")
    raw = sub.raw(find(sub, "bo@sub.test", "lf " + how))
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r\n\r\n.dot\r\n.\r\nlast\r\n" in raw


@pytest.mark.parametrize("how", ["BDAT", "DATA"])
def test_the_header_is_looked_at_however_it_comes(sub, how):
    text = b"From: ana@sub.test\r\nBcc: hidden@outside.test\r\nSubject: bytewise " + how.encode() + b"\r\n\r\nx\r\n"
    with login(sub) as c:
        c.to("ana@sub.test", "bo@sub.test")
        if how == "DATA":
            assert c.say("DATA").startswith("354")
            c.drip(text + b".\r\n")
        else:
            for i in range(len(text)):
                c.send(b"BDAT 1\r\n" + text[i:i + 1])
                assert c.reply().startswith("250")
            c.send("BDAT 0 LAST\r\n")
        assert c.reply().startswith("250 2.0.0 queued")
    assert b"hidden" not in sub.raw(find(sub, "bo@sub.test", "bytewise " + how))


@pytest.mark.parametrize("head, reply", [
    (b"To: bo@sub.test\r\n\r\n", "554 5.6.0"), (b"From: ana@sub.test\r\nFrom: ana@sub.test\r\n\r\n", "554 5.6.0"),
    (b"From: ana@sub.test, bo@sub.test\r\n\r\n", "554 5.6.0"), (b"From: nonsense\r\n\r\n", "554 5.6.0"), (b"From:\r\n\r\n", "554 5.6.0"),
    (b"From: bo@sub.test\r\n\r\n", "553 5.7.1"), (b"From: ana@sub.test <bo@sub.test>\r\n\r\n", "55"), (b"From: \"ana@sub.test\" <bo@sub.test>\r\n\r\n", "553 5.7.1"),
    (b"From: ana@elsewhere.test\r\n\r\n", "553 5.7.1"), (b"from : bo@sub.test\r\nFrom: ana@sub.test\r\n\r\n", "554 5.6.0"),
    (b"\r\nFrom: ana@sub.test\r\n", "554 5.6.0"), (b"From: (ana@sub.test) bo@sub.test\r\n\r\n", "553 5.7.1"), (b"From: ana@sub.test\r\n\r\n", "250 2.0.0"),
    (b"From: Us: ana@sub.test;\r\n\r\n", "554 5.6.0"), (b"From: ana@sub.test (at 10:00)\r\n\r\n", "250 2.0.0"), (b"From: :;\r\n\r\n", "554 5.6.0"),
    (b"From: ana@sub.test\r\nSender: bo@sub.test\r\n\r\n", "553 5.7.1"), (b"From: ana@sub.test\r\nSENDER : Ana <Ana+x@sub.test>\r\n\r\n", "250 2.0.0"),
    (b"Resent-From: bo@sub.test\r\nFrom: ana@sub.test\r\n\r\n", "553 5.7.1"), (b"Resent-Sender: x@out.test\r\nResent-From: ana@sub.test\r\nFrom: ana@sub.test\r\n\r\n", "553 5.7.1"),
    (b"Resent-From: ana@sub.test\r\nResent-From: x@out.test\r\nFrom: ana@sub.test\r\n\r\n", "250 2.0.0"), (b"Resent-From: team: ana@sub.test;\r\nFrom: ana@sub.test\r\n\r\n", "554 5.6.0"),
    (b"From: ana@sub.test\r\nSender: ana@sub.test\r\nSender: x@out.test\r\n\r\n", "554 5.6.0"), (b"From: ana@sub.test\r\nSender: x\r\n\r\n", "554 5.6.0"),
])
def test_from_must_be_ones_own(sub, head, reply):
    with login(sub) as c:
        assert c.to("ana@sub.test", "bo@sub.test").data(head + b"x\r\n").startswith(reply)
        assert c.to("", "bo@sub.test").data(head + b"x\r\n").startswith(reply)  # so with the null sender


def test_sender_policy(sub):
    sub.make("/v1/domains", {"name": "brand.test"})
    sub.user("cy@sub.test", send_as=["team@sub.test", "@brand.test"])
    sub.make("/v1/addresses", {"address": "cyril@sub.test", "target": {"type": "user", "user_id": "cy@sub.test"}})
    with login(sub, user="cy@sub.test") as c:
        for sender, fine in (("cy@sub.test", True), ("CY@SUB.test", True), ("cy+x@sub.test", True), ("cyril@sub.test", True), ("cyril+x@sub.test", True),
                             ("team@sub.test", True), ("anyone@brand.test", True), ("ana@sub.test", False), ("nobody@sub.test", False),
                             ("team@brandx.test", False), ("x@sub.brand.test", False), ("cy@elsewhere.test", False), ("cy@[127.0.0.1]", False)):
            reply = c.say(f"MAIL FROM:<{sender}>")
            assert reply.startswith("250 2.1.0" if fine else "553 5.7.1"), (sender, reply)
            c.say("RSET")
            content = f"From: {sender}\r\n\r\nx\r\n".encode()
            assert c.to("cy@sub.test", "bo@sub.test").data(content).startswith("250" if fine else "553 5.7.1"), sender
    assert 'reply="553 5.7.1"' in sub.log_text()


def test_nobody_sends_as_another_account(sub):
    other = sub.make("/v1/accounts", {"name": "Other"})["key"]["secret"]
    sub.make("/v1/domains", {"name": "foreign.test"}, key=other)
    sub.make("/v1/users", {"address": "eve@foreign.test", "password": PASSWORD}, key=other)
    for own in ("ana@sub.test", "@sub.test"):
        assert sub.call("PATCH", "/v1/users/eve@foreign.test", {"send_as": [own]}, key=other).json["code"] == "validation_error"
    with login(sub, user="eve@foreign.test") as c:
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("553 5.7.1")
        c.say("RSET")
        assert c.to("eve@foreign.test", "bo@sub.test").data(b"From: ana@sub.test\r\n\r\nx\r\n").startswith("553 5.7.1")
    with login(sub, user="apikey", password=other) as c:
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("553 5.7.1")


def test_without_a_sent_copy(sub):
    sub.user("lean@sub.test", save_sent=False)
    with login(sub, user="lean@sub.test") as c:
        c.to("lean@sub.test", "bo@sub.test").data(b"From: lean@sub.test\r\nSubject: lean\r\n\r\nx\r\n")
    find(sub, "bo@sub.test", "lean")
    assert sub.entries("lean@sub.test", "sent") == []


def test_mail_to_oneself_and_recipients_refused(sub):
    with login(sub) as c:
        c.to("ana@sub.test", "ana@sub.test")
        assert c.say("RCPT TO:<nobody@sub.test>").startswith("550 5.1.1")
        assert c.say("RCPT TO:<bounced@sandbox.test>").startswith("250")
        assert c.say("RCPT TO:<unknown@sandbox.test>").startswith("550 5.1.1")
        reply = c.data(body("to myself"))
    find(sub, "ana@sub.test", "to myself")
    find(sub, "ana@sub.test", "to myself", "sent")
    message = sub.get("/v1/messages/" + reply.split()[4]).json
    assert message["status"] == "partial"


def test_recipients_an_hour(sub):
    setting(sub, "limits.user_recipients_per_hour", 3)
    sub.user("busy@sub.test")
    with login(sub, user="busy@sub.test") as c:
        c.to("busy@sub.test", "bo@sub.test", "a@x.test", "b@x.test")
        assert c.say("RCPT TO:<c@x.test>").startswith("450 4.7.1")
    setting(sub, "limits.user_recipients_per_hour", 0)


# ---- keys ----

def test_a_key_submits_under_its_scopes(sub):
    domain = sub.make("/v1/domains", {"name": "other-sub.test"})["id"]
    keys = {name: sub.make("/v1/keys", {"name": name, "scopes": scopes} | more) for name, scopes, more in (
        ("sends", ["send"], {}), ("reads", ["messages:read"], {}), ("bound", ["send"], {"domain_ids": [domain]}), ("test", ["send"], {"mode": "test"}))}
    with login(sub, "submission", "apikey", keys["sends"]["secret"]) as c:
        reply = c.to("anybody@sub.test", "bo@sub.test").data(b"From: shop@sub.test\r\nSubject: by key\r\n\r\nx\r\n")
        assert reply.startswith("250")
        assert c.say("MAIL FROM:<x@outside.test>").startswith("553 5.7.1")
    message = sub.get("/v1/messages/" + reply.split()[4]).json
    assert message["key_id"] == keys["sends"]["id"] and message["user_id"] is None and message["source"] == "submission"
    find(sub, "bo@sub.test", "by key")
    with login(sub, user="apikey", password=keys["reads"]["secret"]) as c:
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("550 5.7.1")
    with login(sub, user="apikey", password=keys["bound"]["secret"]) as c:
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("553 5.7.1")
        assert c.say("MAIL FROM:<ana@other-sub.test>").startswith("250")
    with login(sub, user="apikey", password=keys["test"]["secret"]) as c:
        reply = c.to("ana@sub.test", "bo@sub.test", "x@outside.test").data(body("by test key"))
        assert re.fullmatch(r"250 2\.0\.0 queued as msg_\w+ \(test: nothing is sent or filed\)", reply), reply
    message = sub.get("/v1/messages/" + reply.split()[4], key=keys["test"]["secret"])
    assert "by test key" not in [e["subject"] for e in sub.entries("bo@sub.test")]
    sub.call("DELETE", f"/v1/keys/{keys['sends']['id']}")
    with tls_smtp(sub, "submissions") as c:
        for secret in (keys["sends"]["secret"], "pr_live_" + "0" * 40, "", sub.key + "x"):
            assert c.say("AUTH PLAIN " + plain("apikey", secret)).startswith("535 5.7.8")
    assert keys["sends"]["secret"] not in sub.log_text()


# ---- logins ----

@pytest.mark.parametrize("door", DOORS)
def test_nothing_goes_without_a_login(sub, door):
    with tls_smtp(sub, door) as c:
        assert {"250-AUTH PLAIN LOGIN"} <= set(c.ehlo())
        for line in ("MAIL FROM:<ana@sub.test>", "RCPT TO:<x@outside.test>", "DATA", "AUTH PLAIN " + plain("ana@sub.test", "wrong"), "MAIL FROM:<ana@sub.test>", "RSET",
                     "RCPT TO:<bo@sub.test>", "DATA"):
            reply = c.say(line)
            assert reply[:9] in ("530 5.7.0", "535 5.7.8", "250 2.0.0"), (line, reply)
        c.send("BDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
        assert [c.reply()[:9], c.reply()[:9]] == ["503 5.5.1", "250 2.0.0"]


CORNERS = [
    ("AUTH", ["501 5.5.4"]), ("AUTH NOTHING", ["504 5.5.4"]), ("AUTH CRAM-MD5", ["504 5.5.4"]), ("AUTH PLAIN !!!", ["501 5.5.2"]), ("AUTH PLAIN =", ["501 5.5.2"]),
    ("AUTH PLAIN *", ["501 5.5.2"]), ("AUTH PLAIN\n*", ["334 ", "501 5.7.0"]), ("AUTH PLAIN\n", ["334 ", "501 5.5.2"]), ("AUTH PLAIN\n=", ["334 ", "501 5.5.2"]),
    ("AUTH LOGIN\n*", ["334 VXNl", "501 5.7.0"]), ("AUTH LOGIN\n" + b64("ana@sub.test") + "\n*", ["334 VXNl", "334 UGFz", "501 5.7.0"]),
    ("AUTH LOGIN " + b64("ana@sub.test") + "\n" + b64(PASSWORD), ["334 UGFz", "235 2.7.0"]), ("AUTH LOGIN =\n=", ["334 UGFz", "535 5.7.8"]),
    ("AUTH LOGIN\n%%%", ["334 VXNl", "501 5.5.2"]), ("AUTH PLAIN " + b64("ana@sub.test"), ["501 5.5.2"]), ("AUTH PLAIN " + b64("\0ana@sub.test"), ["501 5.5.2"]),
    ("AUTH PLAIN " + b64("\0\0" + PASSWORD), ["535 5.7.8"]), ("AUTH PLAIN " + b64("\0ana@sub.test\0" + PASSWORD + "\0x"), ["501 5.5.2"]),
    ("AUTH PLAIN " + b64("\0ana@sub.test\0"), ["535 5.7.8"]), ("AUTH PLAIN " + b64("bo@sub.test\0ana@sub.test\0" + PASSWORD), ["535 5.7.8"]),
    ("AUTH PLAIN " + b64("ana@sub.test\0ana@sub.test\0" + PASSWORD), ["235 2.7.0"]), ("AUTH PLAIN " + plain("ANA@Sub.Test", PASSWORD), ["235 2.7.0"]),
    ("AUTH PLAIN " + plain("ana+tag@sub.test", PASSWORD), ["535 5.7.8"]), ("AUTH PLAIN " + plain("ana", PASSWORD), ["535 5.7.8"]),
    ("AUTH PLAIN " + plain("a" * 4000 + "@sub.test", PASSWORD), ["535 5.7.8"]), ("AUTH PLAIN " + plain("nobody@sub.test", "x" * 5000), ["535 5.7.8"]),
    ("AUTH PLAIN " + "A" * 13000, ["500 5.5"]), ("AUTH PLAIN\n" + "A" * 13000, ["334 ", "500 5.5.6"]), ("AUTH PLAIN " + plain("ana@sub.test'--", "' or 1=1"), ["535 5.7.8"]),
    ("AUTH PLAIN " + plain("\r\nana@sub.test", "\r\n"), ["535 5.7.8"]), ("AUTH PLAIN " + base64.b64encode(b"\0\xff\xfe\0\xff").decode(), ["535 5.7.8"]),
    ("AUTH PLAIN " + plain("ana@sub.test", PASSWORD) + "\nAUTH PLAIN " + plain("ana@sub.test", PASSWORD), ["235", "503 5.5.1"]),
    ("AUTH PLAIN " + plain("ana@sub.test", PASSWORD) + "\nMAIL FROM:<ana@sub.test>\nAUTH PLAIN x", ["235", "250", "503 5.5.1"]),
]


@pytest.mark.parametrize("lines, replies", CORNERS, ids=range(len(CORNERS)))
def test_corners_of_a_login(lines, replies, logins):
    with tls_smtp(logins, "submissions") as c:
        assert [c.say(line)[:len(want)] for line, want in zip(lines.split("\n"), replies, strict=True)] == replies
        assert c.say("NOOP").startswith("250") and c.say("EHLO again").startswith("250")


@pytest.fixture(scope="module")
def logins(store):
    """A server on which a few failures do not slow the next test down."""
    with Server("--set", "auth.failures_free=1000") as s:
        s.user("ana@sub.test")
        yield s


def test_the_password_stays_between_the_two(logins):
    with tls_smtp(logins, "submissions") as c:
        c.say("AUTH PLAIN " + plain("ana@sub.test", "Secret-of-nobody"))
        c.say("AUTH LOGIN")
        c.say(b64("ana@sub.test"))
        assert c.say(b64("Secret-of-nobody")).startswith("535")
    text = logins.log_text()
    failed = [x for x in text.splitlines() if " auth " in x and "result=failed" in x and "user=ana@sub.test" in x and "client=127.0.0.1" in x and "door=submission" in x]
    assert len(failed) >= 2
    assert "Secret-of-nobody" not in text and b64("Secret-of-nobody")[:-2] not in text and plain("ana@sub.test", "Secret-of-nobody") not in text


def test_a_stranger_does_not_lock_the_owner_out():
    with Server("--set", "auth.failures_free=3", "--set", "auth.failure_delay=1m") as s:
        s.user("ana@sub.test")
        right, wrong = plain("ana@sub.test", PASSWORD), plain("ana@sub.test", "guess")
        with Smtp(s.address("submission"), hello="x", source="127.0.0.2") as c:
            replies = [c.say("AUTH PLAIN " + wrong)[:9] for _ in range(5)]
            assert replies == ["535 5.7.8"] * 3 + ["454 4.7.0"] * 2, replies
            assert c.say("AUTH PLAIN " + right).startswith("454 4.7.0")  # the pair is not heard, whatever it says
        with Smtp(s.address("submission"), hello="x", source="127.0.0.3") as c:
            assert c.say("AUTH PLAIN " + right).startswith("235")
        with Smtp(s.address("submission"), hello="x", source="127.0.0.2") as c:  # nor is the stranger's network for others
            assert c.say("AUTH PLAIN " + plain("bo@sub.test", "guess")).startswith("535")
        assert re.search(r"warn auth .*result=throttled client=127\.0\.0\.2 user=ana@sub\.test", s.log_text())


def test_unknown_and_known_users_look_the_same(logins):
    with tls_smtp(logins, "submissions") as c:
        known, unknown = c.say("AUTH PLAIN " + plain("ana@sub.test", "wrong one")), c.say("AUTH PLAIN " + plain("nobody@sub.test", "wrong one"))
        assert known == unknown == "535 5.7.8 Authentication failed"
        for line in ("VRFY ana@sub.test", "VRFY nobody@sub.test"):
            assert c.say(line).startswith("252")


# ---- in clear ----

def test_cleartext_never():
    with Server("--set", "auth.cleartext=never") as s:
        s.user("ana@sub.test")
        with Smtp(s.address("submission"), hello="x") as c:
            assert not any("AUTH" in x for x in c.extensions)
            assert c.say("AUTH PLAIN " + plain("ana@sub.test", PASSWORD)).startswith("530 5.7.0")
            assert c.say("AUTH LOGIN").startswith("530 5.7.0")
            assert "250-AUTH PLAIN LOGIN" in c.starttls()
            assert c.say("AUTH PLAIN " + plain("ana@sub.test", PASSWORD)).startswith("235")


OFF_LOOPBACK = """
import sys; sys.path.insert(0, {here!r})
from server import PASSWORD, Server
from wire import Pop3, Smtp, plain
with Server("--set", "submission.listen=192.0.2.1:587", "--set", "pop3.listen=*:110,192.0.2.1:1110") as s:
    s.user("ana@sub.test")
    with Smtp(("192.0.2.1", 587), hello="x") as c:
        assert not any("AUTH" in x for x in c.extensions)
        r = c.say("AUTH PLAIN " + plain("ana@sub.test", PASSWORD))
        assert r.startswith("530 5.7.0"), r
        c.starttls()
        assert c.say("AUTH PLAIN " + plain("ana@sub.test", PASSWORD)).startswith("235")
    for address in (("192.0.2.1", 110), ("192.0.2.1", 1110)):
        with Pop3(address) as c:
            assert b"SASL" not in c.fetch("CAPA")
            assert c.say("USER ana@sub.test").startswith(b"-ERR") and c.say("AUTH PLAIN").startswith(b"-ERR")
            assert c.say("STLS").startswith(b"+OK")
            c.start_tls()
            assert c.login("ana@sub.test", PASSWORD).startswith(b"+OK")
    with Pop3(("127.0.0.1", 110)) as c:  # IPv4-mapped: still loopback
        assert c.login("ana@sub.test", PASSWORD).startswith(b"+OK")
    s.call("PATCH", "/v1/settings/net.sessions_per_address", {{"value": 10}})
    held = [Smtp(("192.0.2.1", 587)) for _ in range(10)]
    assert all(x.greeting.startswith("220") for x in held), [x.greeting for x in held]
    with Smtp(("192.0.2.1", 587)) as c:
        assert c.greeting.startswith("421 4.3.2"), c.greeting
    held[0].close()
    held[1].say("NOOP")
    from server import until
    def served():
        with Smtp(("192.0.2.1", 587)) as c:
            return c.greeting.startswith("220")
    until(served)
    for x in held: x.close()
"""


def test_off_loopback_a_password_needs_tls(tmp_path):
    """In a network of its own with an address that is not loopback; so too the limit on sessions of one address."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a network namespace")
    script = tmp_path / "off.py"
    script.write_text(OFF_LOOPBACK.format(here=os.path.dirname(__file__)))
    r = subprocess.run(["unshare", "-n", "sh", "-c", f"ip link set lo up && ip addr add 192.0.2.1/32 dev lo && exec {sys.executable} {script}"],
                       capture_output=True, text=True, timeout=120, env=os.environ | {"POSTRIDER_BIN": BINARY})
    assert r.returncode == 0, r.stdout + r.stderr


# ---- TLS ----

def handshake(server, door, version=None, session=None, server_hostname=None):
    context = loose_context()
    if version:
        context.minimum_version = context.maximum_version = version
    s = Smtp(server.address(door)) if door != "submissions" and door != "pop3s" else Wire(server.address(door))
    if door in ("smtp", "submission"):
        s.ehlo()
        s.say("STARTTLS")
    s.s = context.wrap_socket(s.s, session=session, server_hostname=server_hostname)
    return s


@pytest.mark.parametrize("door", ["smtp", "submission", "submissions", "pop3s"])
def test_old_tls_is_refused(sub, door):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(sub, door, version)
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with handshake(sub, door, version) as c:
            assert c.s.version() == name


def test_old_tls_gets_an_alert(sub):
    for flags, door in ((["-starttls", "smtp"], "submission"), ([], "submissions"), (["-starttls", "pop3"], "pop3")):
        r = subprocess.run(["openssl", "s_client", "-connect", "{}:{}".format(*sub.address(door)), "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", *flags],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert "alert protocol version" in r.stderr, r.stderr


@pytest.mark.parametrize("flags, door", [([], "submissions"), (["-starttls", "smtp"], "submission"), (["-starttls", "smtp"], "smtp"), ([], "pop3s"), (["-starttls", "pop3"], "pop3")])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_resume(sub, tmp_path, flags, door, version):
    """A ticket of the first connection shortens the second, over whatever loop thread it comes. Servers that bring mail get none."""
    saved = tmp_path / "session"
    for n, more in enumerate((["-sess_out", saved], ["-sess_in", saved], ["-sess_in", saved])):
        if n and door == "smtp" and not saved.exists():  # nothing was given that could be kept
            break
        r = subprocess.run(["openssl", "s_client", "-connect", "{}:{}".format(*sub.address(door)), version, "-ign_eof", *flags, *more],
                           input="QUIT\r\n", capture_output=True, text=True, timeout=60)
        assert ("Reused, TLSv1" if n and door != "smtp" else "New, TLSv1") in r.stdout, r.stdout + r.stderr


def test_a_client_cannot_renegotiate(sub):
    p = subprocess.run(["openssl", "s_client", "-connect", "{}:{}".format(*sub.address("submissions")), "-tls1_2"], input="R\n", capture_output=True, text=True, timeout=60)
    assert "no renegotiation" in p.stderr or "no_renegotiation" in p.stderr or p.returncode != 0


@pytest.mark.parametrize("name", ["x" * 63 + "." + "y" * 60, "a.test"])
def test_odd_server_names(sub, name):
    with handshake(sub, "submissions", server_hostname=name) as c:
        assert c.line().startswith(b"220")


def hello_with_name(name):
    """A ClientHello whose SNI is what no library lets us say."""
    sni = b"\0" + len(name).to_bytes(2, "big") + name
    extension = b"\0\0" + (len(sni) + 2).to_bytes(2, "big") + len(sni).to_bytes(2, "big") + sni
    rest = b"\3\3" + b"r" * 32 + b"\0" + b"\0\4\xc0\x2b\xc0\x2f" + b"\1\0" + len(extension).to_bytes(2, "big") + extension
    message = b"\1" + len(rest).to_bytes(3, "big") + rest
    return b"\x16\3\1" + len(message).to_bytes(2, "big") + message


def test_broken_handshakes(sub):
    for first in (hello_with_name(b"a\\"), hello_with_name(b"a\0b"), hello_with_name(b"x" * 300), hello_with_name(b""), b"\x16\3\1\xff\xff" + b"x" * 100, b"\0" * 600,
                  b"EHLO x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\3\1\0\5\1\0\0\1\0", b""):
        for door in ("submissions", "pop3s"):
            with Wire(sub.address(door)) as c:
                c.send(first)
                c.s.shutdown(socket.SHUT_WR)
                c.until_end()
    with tls_smtp(sub, "submissions") as c:
        assert c.say("NOOP").startswith("250")


# ---- STARTTLS ----

@pytest.mark.parametrize("door", ["smtp", "submission"])
def test_what_was_said_before_tls_is_forgotten(sub, door):
    with Smtp(sub.address(door), hello="clear.test") as c:
        c.send("STARTTLS\r\nEHLO injected.test\r\nAUTH PLAIN " + plain("ana@sub.test", PASSWORD) + "\r\nMAIL FROM:<injected@out.test>\r\n")
        assert c.reply().startswith("220")
        c.start_tls()
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("503 5.5.1")
        c.ehlo("tls.test")
        reply = c.say("MAIL FROM:<ana@sub.test>")
        assert reply.startswith("530 5.7.0" if door == "submission" else "250"), reply
    assert "injected" not in sub.log_text()


def test_a_login_in_clear_does_not_last_into_tls(sub):
    with Smtp(sub.address("submission"), hello="x") as c:
        assert c.say("AUTH PLAIN " + plain("ana@sub.test", PASSWORD)).startswith("235")
        c.starttls()
        assert c.say("MAIL FROM:<ana@sub.test>").startswith("530 5.7.0")


@pytest.mark.parametrize("before", ["MAIL FROM:<x@out.test>\r\n", "MAIL FROM:<x@out.test>\r\nRCPT TO:<ana@sub.test>\r\n"])
def test_no_starttls_inside_a_mail(sub, before):
    with Smtp(sub.address("smtp"), hello="x") as c:
        c.send(before)
        for _ in before.splitlines():
            assert c.reply().startswith("250")
        assert c.say("STARTTLS").startswith("503 5.5.1")
        assert c.say("STARTTLS now").startswith("501 5.5.4")
        assert c.say("RSET").startswith("250")


def test_starttls_without_a_handshake(sub):
    with Smtp(sub.address("smtp"), hello="x") as c:
        assert c.say("STARTTLS").startswith("220")
        c.send("EHLO x\r\nQUIT\r\n")
        assert b"250" not in c.until_end()
    until(lambda: "result=tls_failed" in sub.log_text())
