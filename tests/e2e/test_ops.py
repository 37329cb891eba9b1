"""The queue in the operator's hands: one delivery, many, and suspensions, while a peer is being sent to."""
import functools
import threading

import pytest
from kept import everything
from peer import Peer, Wait
from server import until
from test_cli import fine
from test_cli import run as run_cli
from test_delivery import by_relay, deliveries, ended, kinds, send


def one(s, message):
    [d] = deliveries(s, message).values()
    return d


def do(s, what, delivery, **body):
    return s.call("POST", f"/v1/deliveries/{delivery['id']}/{what}", body or None)


def after(go, answer):
    """A step that is answered once `go` is set."""
    def step(session, argument):
        session.peer.reached.set()
        go.wait(60)
        return answer

    return step


def suspended(s, **what):
    return s.make("/v1/suspensions", what)


def finished(s, action):
    return until(lambda: (a := s.get(f"/v1/actions/{action['id']}").json)["status"] != "running" and a)


def test_a_held_mail_waits_until_it_is_released():
    with Peer(RCPT=["450 4.2.1 later", None]) as peer, by_relay(peer, retry="10m") as s:
        m = send(s, "x@far.test")
        d = ended(s, m, "deferred")["x@far.test"]
        assert d["waiting"]["reason"] == "retry" and d["waiting"]["until"] == d["next_attempt_at"]
        held = do(s, "hold", d, reason="who is that?").json
        assert held["status"] == "held" and held["waiting"] == {"reason": "held", "until": None, "text": "who is that?", "suspension_id": None}
        assert held["next_attempt_at"] is None and s.get(f"/v1/messages/{m['id']}").json["status"] == "held"
        assert do(s, "retry", d).json["code"] == "conflict"
        assert do(s, "release", d).status == 200
        ended(s, m)
        assert len(peer.mails) == 1 and kinds(s, m)[::-1] == ["email.accepted", "email.deferred", "email.held", "email.released", "email.delivered"]
        event = next(e for e in s.get(f"/v1/messages/{m['id']}/events?limit=100").json["data"] if e["type"] == "email.held")
        assert event["data"]["reason"] == "who is that?" and event["data"]["author"]
        assert [do(s, what, d).status for what in ("retry", "hold", "release", "bounce")] == [409] * 4


def test_a_retry_is_at_once_and_a_bounce_for_good():
    with Peer(RCPT=["450 4.2.1 later", "450 4.2.1 later", None]) as peer, by_relay(peer, retry="10m") as s:
        a, b = send(s, "a@far.test"), send(s, "b@far.test")
        ended(s, a, "deferred"), ended(s, b, "deferred")
        assert do(s, "retry", one(s, a)).status == 200
        ended(s, a)
        assert do(s, "bounce", one(s, b), reason="moved away").json["last"]["text"].endswith("moved away")
        assert one(s, b)["status"] == "failed" and one(s, b)["last"]["enhanced"] == "5.7.0" and one(s, b)["attempts"] == 1
        assert len(peer.mails) == 1


def test_what_is_being_delivered_is_left():
    go = threading.Event()
    with Peer(RCPT=after(go, "250 ok")) as peer, by_relay(peer) as s:
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        for what in ("retry", "hold", "release", "bounce"):
            answer = do(s, what, one(s, m))
            assert answer.status == 409 and answer.json["code"] == "in_flight", answer
        assert s.make("/v1/actions", {"do": "bounce", "filter": {"message_id": m["id"]}})["status"] == "running"
        [action] = s.get("/v1/actions").json["data"]
        assert (a := finished(s, action)) and (a["matched"], a["done"], a["failed"]) == (1, 0, 1)
        go.set()
        ended(s, m)


def test_nothing_is_sent_once_a_hold_was_answered():
    """Of hold and claim at once one wins: what was held is not sent, what was not is sent once, and nothing is lost."""
    with Peer() as peer, by_relay(peer, ahead=1, recipients_max=1) as s:
        s.make("/v1/domains", {"name": "example.test"})
        stop = suspended(s, scope="site", match="far.test")
        m = send(s, *[f"u{i}@far.test" for i in range(40)])
        rows = list(deliveries(s, m).values())
        held, answers = set(), []

        def hold(rows):
            for d in rows:
                answer = do(s, "hold", d)
                answers.append(answer)
                if answer.status == 200:
                    held.add(d["email"])
                    assert d["email"] not in [r for x in list(peer.seen) for r in x.recipients]

        threads = [threading.Thread(target=hold, args=(rows[i::4],)) for i in range(4)]
        s.call("DELETE", f"/v1/suspensions/{stop['id']}")
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert {a.status for a in answers} <= {200, 409}
        ended(s, m, "held", "delivered", seconds=60)
        sent = [r for x in peer.seen for r in x.recipients]
        assert sorted(sent) == sorted({r["email"] for r in rows} - held), "held and sent, or neither"
        finished(s, s.make("/v1/actions", {"do": "release", "filter": {"domain": "far.test"}}))
        ended(s, m)
        assert sorted(r for x in peer.seen for r in x.recipients) == sorted(r["email"] for r in rows)


def test_a_suspension_stops_what_has_not_come_to_mail():
    go = threading.Event()
    with Peer(greeting=Wait(go, "220 at last")) as peer, by_relay(peer) as s:
        m = send(s, "x@far.test")
        assert peer.reached.wait(30)
        stop = suspended(s, scope="site", match="far.test", reason="their move")
        go.set()
        d = until(lambda: (d := one(s, m))["status"] == "queued" and d)
        assert d["waiting"] == {"reason": "suspended", "until": None, "text": "their move", "suspension_id": stop["id"]}
        assert "MAIL" not in peer.verbs() and d["attempts"] == 0
        other = send(s, "y@near.test")
        ended(s, other)
        assert s.call("DELETE", f"/v1/suspensions/{stop['id']}").status == 204
        ended(s, m)
        assert kinds(s, m)[::-1] == ["email.accepted", "email.delivered"]


def test_a_suspension_lets_a_transaction_end_and_no_other_begin():
    go = threading.Event()
    with Peer(offers=(), RCPT=[after(go, "250 ok"), None]) as peer, by_relay(peer) as s:
        first = send(s, "a@far.test")
        assert peer.reached.wait(30)
        suspended(s, scope="account")
        second = send(s, "b@far.test")
        go.set()
        ended(s, first)
        assert one(s, second)["waiting"]["reason"] == "suspended" and len(peer.mails) == 1
        assert peer.verbs().count("MAIL") == 1


def test_a_tag_is_held_row_by_row():
    with Peer() as peer, by_relay(peer) as s:
        stop = suspended(s, scope="tag", match="kind=news", reason="wrong list")
        m = send(s, "a@far.test", "b@far.test", tags=[{"name": "kind", "value": "news"}])
        other = send(s, "c@far.test", tags=[{"name": "kind", "value": "bill"}])
        d = ended(s, m, "held")["a@far.test"]
        ended(s, other)
        assert d["waiting"] == {"reason": "held", "until": None, "text": "wrong list", "suspension_id": stop["id"]} and d["attempts"] == 0
        s.call("DELETE", f"/v1/suspensions/{stop['id']}")
        ended(s, m)
        assert len(peer.mails) == 2


def test_a_suspension_ends_by_itself_and_its_path_begins_narrow():
    go = threading.Event()
    with Peer(dot=Wait(go, "250 2.0.0 taken")) as peer, by_relay(peer, path_max=10) as s:
        s.make("/v1/domains", {"name": "example.test"})
        stop = suspended(s, scope="source", match="default")
        messages = [send(s, f"u{i}@far.test") for i in range(8)]
        assert all(one(s, m)["waiting"]["reason"] == "suspended" for m in messages)
        s.call("DELETE", f"/v1/suspensions/{stop['id']}")
        assert peer.reached.wait(30)
        assert until(lambda: len([m for m in messages if one(s, m)["status"] == "sending"]) <= 2) and peer.sessions == 1
        go.set()
        for m in messages:
            ended(s, m)


def test_what_is_slowed_down_goes_on_slowly():
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        slow = suspended(s, scope="account", effect="slow", limits={"per_minute": 2})
        messages = [send(s, f"u{i}@far.test") for i in range(5)]
        until(lambda: len(peer.mails) == 2)
        assert len([m for m in messages if one(s, m)["status"] == "queued"]) == 3
        s.call("DELETE", f"/v1/suspensions/{slow['id']}")
        for m in messages:
            ended(s, m)


def test_an_action_goes_on_after_a_kill():
    """Killed in the middle, it ends as if it had not been: each delivery once, and the counts fit."""
    with Peer() as peer, by_relay(peer) as s:
        s.make("/v1/domains", {"name": "example.test"})
        suspended(s, scope="site", match="far.test")
        messages = [send(s, *[f"u{i}-{j}@far.test" for j in range(50)]) for i in range(12)]
        action = s.make("/v1/actions", {"do": "bounce", "filter": {"domain": "far.test"}, "reason": "wrong list"})
        s.kill()
        s.start()
        a = finished(s, action)
        assert (a["status"], a["matched"], a["done"], a["failed"]) == ("done", 600, 600, 0)
        for m in messages[::5]:
            assert s.get(f"/v1/messages/{m['id']}").json["status"] == "failed"
            assert kinds(s, m).count("email.failed") == 50
        assert not peer.seen


def transcript(s, delivery, query=""):
    return s.get(f"/v1/deliveries/{delivery['id']}/transcript{query}")


def said(t, who):
    return [line["text"] for line in t.json["lines"] if line["from"] == who]


def test_a_failed_attempt_has_its_dialogue_kept():
    with Peer(offers=("PIPELINING", "STARTTLS"), RCPT=["550-5.1.1 no\r\n550 5.1.1 such user", "450 4.2.1 later", None]) as peer, by_relay(peer, retry="10m", transcript_sample=0) as s:
        m = send(s, "a@far.test", "b@far.test")
        d = until(lambda: (d := deliveries(s, m)) and not {"queued", "sending"} & {x["status"] for x in d.values()} and d)
        t = transcript(s, d["a@far.test"])
        assert t.status == 200 and t.json["attempt"] == 1 and t.json["delivery_id"] == d["a@far.test"]["id"]
        assert "MAIL FROM:<app@example.test>" in said(t, "us") and "EHLO mail.example.org" in said(t, "us")
        assert "550 5.1.1 no\nsuch user" in said(t, "peer") and said(t, "peer")[0].startswith("220 ")
        assert any(line.startswith("TLS") for line in said(t, "note"))
        assert [x["ms"] for x in t.json["lines"]] == sorted(x["ms"] for x in t.json["lines"])
        assert said(transcript(s, d["b@far.test"]), "peer") == said(t, "peer")  # one dialogue, kept once
        bounced = next(e for e in s.get(f"/v1/deliveries/{d['a@far.test']['id']}/events").json["data"] if e["type"] == "email.bounced")
        assert bounced["data"]["transcript_id"] == t.json["id"]
        do(s, "retry", d["b@far.test"])
        until(lambda: deliveries(s, m)["b@far.test"]["status"] == "delivered")
        assert transcript(s, d["b@far.test"], "?attempt=2").status == 404  # it did not fail
        assert transcript(s, d["b@far.test"]).json["attempt"] == 1 == transcript(s, d["b@far.test"], "?attempt=1").json["attempt"]


def test_secrets_and_content_are_given_by_their_size(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    with Peer(offers=("AUTH PLAIN",), AUTH="235 2.7.0 ok", dot="554 5.7.1 no") as peer:
        with by_relay(peer, relay_user="me", relay_secret_file=secret, relay_insecure_auth="true") as s:
            d = ended(s, send(s, "x@far.test"), "bounced", "deferred")["x@far.test"]
            t = transcript(s, d)
            assert any(line.startswith("AUTH PLAIN (") for line in said(t, "us")), t
            assert any("bytes of content)" in line for line in said(t, "us"))
            assert b"sesame" not in t.body and b"walrus" not in t.body and b"AG1l" not in t.body  # base64 of \0me


def test_a_dialogue_is_kept_sealed():
    with Peer(greeting="220 Narwhal ESMTP", RCPT="550 5.1.1 no") as peer, by_relay(peer) as s:
        d = ended(s, send(s, "x@far.test"), "bounced")["x@far.test"]
        assert said(transcript(s, d), "peer")[0] == "220 Narwhal ESMTP"
        s.stop()
        assert b"Narwhal" not in everything(s) and b"x@far.test" in everything(s)


@pytest.mark.only_sqlite("MongoDB's clock is its server's")
def test_a_dialogue_is_kept_for_a_month(tmp_path):
    with Peer(RCPT="550 5.1.1 no") as peer, by_relay(peer, data=tmp_path / "data") as s:
        d = ended(s, send(s, "x@far.test"), "bounced")["x@far.test"]
        for days, status in (29, 200), (31, 404):
            s.stop()
            s.env |= {"POSTRIDER_CLOCK_SHIFT": str(days * 86400), "POSTRIDER_SWEEP_EVERY": "1s"}
            s.start()
            until(lambda: transcript(s, d).status == status)
        assert s.get(f"/v1/deliveries/{d['id']}").status == 200


def test_some_successes_are_kept():
    with Peer() as peer, by_relay(peer, transcript_sample=100) as s:
        d = ended(s, send(s, "x@far.test"))["x@far.test"]
        d = ended(s, send(s, "y@far.test"))["y@far.test"]
        assert said(transcript(s, d), "note")[0].startswith("the connection to")
        assert "." in said(transcript(s, d), "us") and said(transcript(s, d), "peer")[-1] == "250 2.0.0 taken"


def test_the_queue_by_site():
    with Peer(RCPT="450 4.2.1 later") as peer, by_relay(peer, retry="10m") as s:
        tenant = s.make("/v1/accounts", {"name": "Tenant"})
        m = send(s, "a@far.test", "b@far.test", "c@near.test")
        ended(s, m, "deferred")
        send(s, "d@far.test", expires_after=600)
        until(lambda: s.get("/v1/queue/far.test").json["depth"]["high"] == 1)
        page = s.get("/v1/queue").json
        assert [x["site"] for x in page["data"]] == ["far.test", "near.test"] and not page["has_more"]
        far = until(lambda: (x := s.get("/v1/queue/FAR.test").json)["last_error"] and x)
        assert far["depth"] == {"total": 3, "high": 1, "normal": 2, "bulk": 0, "exact": True}
        assert far["last_error"]["text"] == "later" and far["oldest_at"] < far["next_at"]
        assert far["path"]["state"] == "open" and far["path"]["name"].startswith("relay ") and far["suspensions"] == []
        stop = suspended(s, scope="source", match="default")
        assert until(lambda: (x := s.get("/v1/queue/far.test").json)["path"]["state"] == "suspended" and x)["suspensions"] == [stop["id"]]
        one_page = s.get("/v1/queue?limit=1").json
        assert [x["site"] for x in one_page["data"]] == ["far.test"] and one_page["has_more"]
        two = s.get(f"/v1/queue?limit=1&after={one_page['next']}").json
        assert [x["site"] for x in two["data"]] == ["near.test"] and not two["has_more"]
        assert [x["site"] for x in s.get(f"/v1/queue?limit=1&before={two['previous']}").json["data"]] == ["far.test"]
        assert s.get("/v1/queue", key=tenant["key"]["secret"]).json["data"] == []
        assert s.get("/v1/queue/far.test", key=tenant["key"]["secret"]).status == 404
        assert s.get("/v1/queue/nobody.test").status == 404


def test_from_the_command_line():
    with Peer(RCPT="450 4.2.1 later") as peer, by_relay(peer, retry="10m") as s:
        m = send(s, "a@far.test", "b@far.test", "c@near.test")
        ended(s, m, "deferred")
        run = functools.partial(fine, s)
        assert [x["site"] for x in run("queue", "list")["data"]] == ["far.test", "near.test"]
        assert run("queue", "hold", "--domain", "far.test", "--dry-run")["matched"] == 2 and one_status(s, m) == {"deferred"}
        held = run("queue", "hold", "--domain", "far.test", "--reason", "wait")
        assert held["status"] == "done" and held["done"] == 2 and one_status(s, m) == {"deferred", "held"}
        assert run_cli(s, "queue", "bounce").returncode == 2  # all that waits wants --yes
        assert run("queue", "release", "--status", "held", "--limit", "1")["done"] == 1
        stop = run("queue", "suspend", "site", "far.test", "--reason", "their move")
        assert run("suspension", "list")["data"][0]["id"] == stop["id"]
        assert run("delivery", "list", "--status", "held")["data"][0]["waiting"]["text"] == "wait"
        run("queue", "resume", stop["id"])
        assert run("suspension", "list")["data"] == []
        d = deliveries(s, m)["c@near.test"]
        assert run("delivery", "transcript", d["id"])["attempt"] == 1
        assert run("queue", "show", "near.test")["depth"]["total"] == 1
        assert run("delivery", "hold", d["id"], "--reason", "who?")["waiting"]["text"] == "who?" and run("delivery", "release", d["id"])["status"] == "queued"
        until(lambda: run("delivery", "show", d["id"])["attempts"] == 2)
        assert run("delivery", "retry", d["id"])["waiting"]["reason"] != "retry"
        until(lambda: run("delivery", "show", d["id"])["attempts"] == 3)
        for flags in (["--older", "3600"], ["--tag", "kind"], ["--domain", "nobody.test"]):
            assert run("queue", "retry", *flags, "--dry-run")["matched"] == 0
        assert run("delivery", "bounce", d["id"])["status"] == "failed"
        assert run("queue", "bounce", "--yes")["failed"] == 0


def one_status(s, message):
    return {d["status"] for d in deliveries(s, message).values()}
