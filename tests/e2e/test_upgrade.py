"""What an older build wrote (tests/data/upgrade, see upgrade.py) is opened by this one: all of it is there as it was shown, and it goes on."""
import json
import poplib
import smtplib
import subprocess

import pytest
from server import BINARY, PASSWORD, until
from shown import feed, shown
from upgrade import ANA, BO, IDA, KEEP, KEPT, LATE, MANY, ODD_NAMES, unpack

TENANT_SCOPES = ["send", "messages:read", "deliveries:write", "mail:read", "mail:write", "domains", "users", "keys"]
OLD = sorted(path.name for path in KEPT.iterdir())


@pytest.fixture(params=OLD)
def upgraded(request, store, tmp_path):
    s, known = unpack(KEPT / request.param / f"{store}.tar.xz", tmp_path)
    s.start()
    yield s, known
    s.stop()


def like(old, new):
    """As it was, but for members that are new."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(like(v, new.get(k)) for k, v in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(like, old, new))
    return old == new


def renamed(o):
    """A mailbox whose name is none any more goes by another."""
    return {k: v for k, v in o.items() if k not in ("name", "updated_at")} if isinstance(o, dict) and o.get("name") in ODD_NAMES else o


def widened(o):
    """A key that might do everything in its account may do what is new there; what a domain has to publish was not said."""
    if isinstance(o, dict) and o.get("object") == "domain":
        return {k: v for k, v in o.items() if k != "records"}
    if isinstance(o, dict) and o.get("object") == "key" and set(o["scopes"]) >= set(TENANT_SCOPES):
        return o | {"scopes": o["scopes"] + ["suppressions", "templates", "streams"]}
    return o


def compared(path, o):
    """Of settings those that were made; those who were being served go on being served."""
    return path.rsplit("/", 1)[1] in KEEP if path.startswith("/v1/settings/") else "@many.test" not in json.dumps(o)


def everything_is_there(s, known):
    now = shown(s, ANA, BO)
    old = {k: widened(renamed(v)) for k, v in known["shown"].items() if compared(k, v)}
    differ = {k: (v, now.get(k)) for k, v in old.items() if not like(v, now.get(k))}
    assert not differ, (len(differ), list(differ.items())[:3])
    order, _ = feed(s)
    assert order[:len(known["feed"])] == known["feed"]
    assert s.get(f"/v1/events?follow=true&after={known['cursor']}").status == 200
    large = {e["subject"]: s.raw(e) for e in s.entries(ANA)}
    assert large["large"].count(b"\r\n") > 3000 and large["one chunk"].endswith(b"all the same\r\n" * 200_000)


def changes_are_counted_on(s):
    """A user's number stands at the highest of their mailboxes: the next change is above all of before, wherever it is."""
    boxes = s.get(f"/v1/users/{ANA}/mailboxes?limit=100").json["data"]
    quiet = min((b for b in boxes if b["total"]), key=lambda b: b["modseq"])
    entry = s.get(f"/v1/mailboxes/{quiet['id']}/entries").json["data"][0]
    assert s.call("PATCH", f"/v1/entries/{entry['id']}", {"flagged": not entry["flagged"]}).status == 200
    at = max(b["modseq"] for b in boxes)
    assert s.get(f"/v1/mailboxes/{quiet['id']}").json["modseq"] == at + 1
    changes = f"/v1/mailboxes/{quiet['id']}/changes?since="
    assert [e["id"] for e in s.get(f"{changes}{at}").json["updated"]] == [entry["id"]]
    assert s.get(f"{changes}{at - 1}").json["code"] == "state_too_old"  # nobody wrote down then what left
    for box in s.get(f"/v1/users/{ANA}/mailboxes?limit=100").json["data"]:  # whoever lists anew can go on from there
        assert s.get(f"/v1/mailboxes/{box['id']}/changes?since={box['modseq']}").json["created"] == []


def names_are_steps_of_a_path(s):
    """What may not be in one any more is "-"; who would be called as another one is, gets a number."""
    boxes = {b["name"]: b for b in s.get(f"/v1/users/{ANA}/mailboxes?limit=100").json["data"] if not b["role"]}
    assert set(boxes) == {"Q3-Q4 (2)", "Q3-Q4", "-news", "Café (2)", "Café", "inner"}, boxes
    assert boxes["inner"]["parent_id"] == boxes["Q3-Q4 (2)"]["id"]
    assert s.call("POST", f"/v1/users/{ANA}/mailboxes", {"name": "cafe\u0301 (2)"}).status == 409


def threads_begin(s):
    """Old mails are of none; new ones of users of before are."""
    box = s.mailbox(LATE, "archive")
    assert all(e["thread_id"] is e["saved_at"] is None for e in s.entries(ANA))
    for raw in (b"Message-ID: <a@x.test>\r\n\r\nx\r\n", b"References: <a@x.test>\r\n\r\nx\r\n"):
        assert s.call("POST", f"/v1/mailboxes/{box['id']}/entries", raw=raw, headers={"Content-Type": "message/rfc822"}).status == 201
    [e, *_] = s.get(f"/v1/mailboxes/{box['id']}/entries").json["data"]
    assert len(s.get(f"/v1/entries?thread_id={e['thread_id']}").json["data"]) == 2


def everybody_gets_in(s, known):
    assert s.key == known["key"] and s.get("/v1/me", key=known["tenant"]).json["account_id"] != s.get("/v1/me").json["account_id"]
    for user in (ANA, IDA):
        assert s.get("/v1/me", basic=(user, PASSWORD)).status == 200
        assert s.get("/v1/me", basic=(user, "not the password")).status == 401
    with smtplib.SMTP(*s.address("submission"), timeout=60) as c:
        c.starttls()
        c.login(ANA, PASSWORD)
        c.sendmail(ANA, [BO, "alias@old.test", "x@else.test"], f"From: {ANA}\r\nSubject: from the new one\r\n\r\nx\r\n")


def it_goes_on(s):
    """New mail among the old, and changes of old rows; what was being filed is filed, once each."""
    assert s.entries(BO)[0]["subject"] == s.entries(ANA)[0]["subject"] == "from the new one"
    old = s.entries(ANA)[3]
    assert s.call("PATCH", f"/v1/entries/{old['id']}", {"seen": True, "keywords": ["new"]}).status == 200
    assert s.call("DELETE", f"/v1/entries/{s.entries(ANA)[4]['id']}").status in (200, 204)
    c = poplib.POP3(*s.address("pop3"), timeout=60)
    c.user(BO)
    c.pass_(PASSWORD)
    c.dele(1)
    c.quit()
    until(lambda: [s.mailbox(u)["total"] for u in MANY] == [1] * len(MANY), 120)
    assert [e["subject"] for u in MANY[::33] for e in s.entries(u)] == ["to all"] * len(MANY[::33])
    assert s.call("DELETE", f"/v1/users/{IDA}?erase=true").status in (200, 202, 204)


def test_what_an_older_build_wrote_is_served(upgraded):
    s, known = upgraded
    everything_is_there(s, known)
    changes_are_counted_on(s)
    names_are_steps_of_a_path(s)
    threads_begin(s)
    everybody_gets_in(s, known)
    it_goes_on(s)
    s.restart()
    assert s.entries(ANA)[0]["subject"] == "from the new one"
    s.stop()
    said = subprocess.run([BINARY, "sync", *s.place, "--dry-run"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0 and json.loads(said.stdout)["off"] == 0, said
    s.start()
