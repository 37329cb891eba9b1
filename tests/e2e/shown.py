"""All that a server's doors show of what it keeps, to be compared with what they show later: after a copy, an upgrade."""
import hashlib
import json
import poplib

from server import PASSWORD


def every(s, path):
    """Every object of a list, page after page."""
    found, after = [], ""
    while True:
        page = s.get(f"{path}{'&' if '?' in path else '?'}limit=100{after}")
        assert page.status == 200, page
        found += page.json["data"]
        if not page.json["has_more"]:
            return found
        after = "&after=" + page.json["next"]


def by_pop3(s, user):
    """Digests of its mails by their unique names."""
    c = poplib.POP3(*s.address("pop3"), timeout=60)
    c.user(user)
    c.pass_(PASSWORD)
    mails = [hashlib.sha256(b"\r\n".join(c.retr(i + 1)[1])).hexdigest() for i in range(c.stat()[0])]
    names = c.uidl()[1]
    c.quit()
    return dict(zip(names, mails))


def shown(s, *users):
    """Everything by its path: objects as JSON, mail as a digest of its bytes. What deferred@ plays goes on by itself."""
    out, resting = {}, [m for m in every(s, "/v1/messages") if "deferred@" not in json.dumps(m)]
    for path in ("/v1/domains", "/v1/users", "/v1/addresses", "/v1/keys", "/v1/messages", "/v1/events", "/v1/settings",
                 "/v1/templates", "/v1/layouts", "/v1/partials", "/v1/streams"):
        for o in every(s, path):
            for moving in ("last_login_at", "last_used_at"):
                o.pop(moving, None)
            if "deferred@" not in json.dumps(o):
                out[f"{path}/{o.get('id') or o['name']}"] = o
    for user in users:
        for box in every(s, f"/v1/users/{user}/mailboxes"):
            out[f"{user}/{box['id']}"] = box
            for entry in every(s, f"/v1/mailboxes/{box['id']}/entries"):
                out[entry["id"]] = entry
                out[entry["id"] + "/raw"] = hashlib.sha256(s.raw(entry)).hexdigest()
        out |= {f"{user}/{name.decode()}": mail for name, mail in by_pop3(s, user).items()}
    for o in resting:
        out[o["id"] + "/deliveries"] = every(s, f"/v1/deliveries?message_id={o['id']}")
    return out


def same(before, after):
    """All that was there is there, as it was."""
    differ = {k: (v, after.get(k)) for k, v in before.items() if after.get(k) != v}
    assert not differ, list(differ.items())[:3]


def feed(s):
    """The ids of all events in order of commit, and the cursor behind them."""
    ids, after = [], ""
    while True:
        page = s.get("/v1/events?follow=true&limit=100" + after).json
        ids += [e["id"] for e in page["data"]]
        after = f"&after={page['next']}"
        if not page["has_more"]:
            return ids, page["next"]
