"""Templates as rows: drafts, versions, layouts, partials, and what they say."""
import concurrent.futures
import threading

import pytest
from api_client import Client
from server import Server

WELCOME = {"alias": "welcome", "name": "Welcome", "subject": "Hi {{name}}", "html": "<p>Hello {{name}} <a href=\"{{link}}\">x</a></p>",
           "text": "Hello {{name}}", "variables": [{"name": "name", "type": "string", "required": True}, {"name": "link", "default": "https://a.test/"}],
           "sample": {"name": "Ana"}}


@pytest.fixture(scope="module")
def server(store):
    with Server() as s:
        s.tenants = [s.make("/v1/accounts", {"name": n})["key"]["secret"] for n in ("one", "two")]
        yield s


@pytest.fixture
def c(server):
    """A client of an account of its own."""
    return Client(server, key=server.make("/v1/accounts", {"name": "t"})["key"]["secret"])


def fault(answer, *pointers, status=422):
    assert answer.status == status and sorted(x["pointer"] for x in answer.json["errors"]) == sorted(pointers), answer
    return answer.json["errors"][0]


def setting(server, name, value):
    assert server.call("PATCH", f"/v1/settings/{name}", {"value": value}).status == 200


def render(c, name="welcome", **body):
    a = c.post(f"/v1/templates/{name}/render", body)
    assert a.status == 200, a
    return a.json


def test_a_draft_and_its_versions(c):
    made = c.post("/v1/templates", WELCOME)
    t = made.json
    assert made.status == 201 and made.headers["Location"] == f"/v1/templates/{t['id']}" and made.headers["ETag"] == '"1"'
    assert (t["draft_version"], t["published_version"], t["dialect"], t["published_at"]) == (1, None, "handlebars", None)
    assert c.get("/v1/templates/welcome").json == t == c.get(f"/v1/templates/{t['id']}?version=draft").json
    assert c.get("/v1/templates/welcome?version=published").status == 404 and c.get("/v1/templates/welcome?version=1").status == 404
    p = c.post("/v1/templates/welcome/publish")
    assert p.status == 200 and (p.json["draft_version"], p.json["published_version"]) == (2, 1) and p.json["published_at"]
    changed = c.patch("/v1/templates/welcome", {"subject": "Second"}, headers={"If-Match": p.headers["ETag"]})
    assert changed.status == 200 and c.patch("/v1/templates/welcome", {"subject": "x"}, headers={"If-Match": '"1"'}).status == 412
    assert c.get("/v1/templates/welcome?version=published").json["subject"] == "Hi {{name}}"
    assert c.post("/v1/templates/welcome/publish").json["published_version"] == 2
    assert [v["version"] for v in c.all("/v1/templates/welcome/versions")] == [2, 1]
    assert c.get("/v1/templates/welcome/versions/1").json["html"] == WELCOME["html"] and c.get("/v1/templates/welcome/versions/3").status == 404
    assert c.get("/v1/templates/welcome/versions/x").status == 404
    back = c.post("/v1/templates/welcome/versions/1/restore").json
    assert back["subject"] == "Hi {{name}}" and (back["draft_version"], back["published_version"]) == (3, 2)
    assert c.get("/v1/templates/welcome?version=published").json["subject"] == "Second"
    copy = c.post("/v1/templates/welcome/duplicate", {"alias": "other"})
    assert copy.status == 201 and (copy.json["alias"], copy.json["name"], copy.json["published_version"]) == ("other", "Welcome", None)
    assert c.post("/v1/templates/welcome/duplicate").json["alias"] is None
    assert c.post("/v1/templates/welcome/duplicate", {"alias": "other"}).status == 409
    assert c.delete("/v1/templates/welcome", headers={"If-Match": '"1"'}).status == 412
    assert c.delete("/v1/templates/welcome").status == 204 and c.get(f"/v1/templates/{t['id']}").status == 404
    assert c.get(f"/v1/templates/{t['id']}/versions").status == 404


def test_what_is_refused_when_it_is_saved(c):
    assert "Line 2, column 3" in fault(c.post("/v1/templates", {"html": "a\n  {{#if x}}"}), "/html")["message"]
    fault(c.post("/v1/templates", {"subject": "{{", "html": "{{/x}}", "text": "{{nothing x}}"}), "/html", "/subject", "/text")
    for alias in ("render", "check", "A", "-a", "a b", "tpl_01k9qw6t5he8brjf0d3vnx2mza", "x" * 65):
        fault(c.post("/v1/templates", {"alias": alias}), "/alias")
    fault(c.post("/v1/templates", {"layout_id": "lay_01k9qw6t5he8brjf0d3vnx2mza"}), "/layout_id")
    fault(c.post("/v1/templates", {"variables": [{"name": "a"}, {"name": "a"}, {"name": "unsubscribe_url"}, {"name": "n", "type": "number", "default": "x"}]}),
          "/variables/1/name", "/variables/2/name", "/variables/3/default")
    fault(c.post("/v1/templates", {"from": "nobody", "reply_to": ["a@b.test", {"email": "x y"}]}), "/from", "/reply_to/1/email")
    assert fault(c.post("/v1/templates", {"html": "x" * (512 * 1024 + 1)}), "/html")["code"] == "limit_reached"
    fault(c.post("/v1/templates", {"dialect": "resend", "html": "{{{a.b}}}"}), "/html")
    fault(c.post("/v1/templates", {"dialect": "resend", "variables": [{"name": f"v{i}"} for i in range(51)]}), "/variables")
    fault(c.post("/v1/templates", {"dialect": "resend", "variables": [{"name": "EMAIL"}, {"name": "A"}]}), "/variables/0/name")
    fault(c.post("/v1/templates", {"dialect": "liquid"}), "/dialect")
    fault(c.post("/v1/templates", {"alias": "nul", "html": "a\0b"}), "/html")
    c.make("/v1/templates", {"alias": "right", "html": "{{x}}"})
    fault(c.patch("/v1/templates/right", {"html": "{{x"}), "/html")
    fault(c.patch("/v1/templates/right", {"dialect": "resend", "html": "{{#x}}{{/x}}"}), "/html")
    assert c.post("/v1/templates", {"alias": "right"}).status == 409 and c.get("/v1/templates/right").json["html"] == "{{x}}"
    assert c.patch("/v1/templates/right", {"alias": None, "html": None}).json["alias"] is None


def test_what_is_kept_is_given_back(c):
    given = {"alias": "all", "name": "Ü", "dialect": "mustache", "subject": "s", "html": "<p>{{a}}</p>", "text": "t", "amp_html": "<html amp4email></html>",
             "from": "Ana <ana@a.test>", "reply_to": ["b@b.test", {"email": "c@c.test", "name": "C"}], "headers": {"X-A": "1"},
             "variables": [{"name": "a", "type": "array", "required": False, "default": [1, {"b": None}], "description": "why"}],
             "sample": {"a": [[[1.5, True, "ü"]]]}}
    shown = c.make("/v1/templates", given)
    assert shown["from"] == {"email": "ana@a.test", "name": "Ana"}
    assert shown["reply_to"] == [{"email": "b@b.test", "name": None}, {"email": "c@c.test", "name": "C"}]
    for name in ("name", "dialect", "subject", "html", "text", "amp_html", "headers", "variables", "sample"):
        assert shown[name] == given[name], name
    assert c.patch("/v1/templates/all", {"sample": None, "reply_to": None, "from": None}).json["sample"] == {}


def test_layouts_and_partials_are_frozen(c):
    layout = c.make("/v1/layouts", {"name": "L", "html": "<b>{{> foot}}</b>{{{content}}}", "text": "[{{{content}}}]"})
    fault(c.post("/v1/layouts", {"html": "<b></b>"}), "/html")
    fault(c.post("/v1/layouts", {"html": "{{{content}}}{{#x}}"}), "/html")
    fault(c.post("/v1/layouts", {"name": "none"}), "/html")
    c.make("/v1/templates", {"alias": "news", "subject": "{{> brand}}", "html": "<p>{{x}}{{> foot}}</p>", "text": "{{x}}", "layout_id": layout["id"]})
    assert {e["code"] for e in c.post("/v1/templates/news/publish").json["errors"]} == {"partial_missing"}
    assert c.call("PUT", "/v1/partials/foot", {"html": "<i>{{y}}</i>"}).status == 200
    fault(c.post("/v1/templates/news/publish"), "/subject")
    assert c.call("PUT", "/v1/partials/brand", {"text": "Shop & Co"}).json["html"] is None
    assert c.post("/v1/templates/news/publish").json["published_version"] == 1
    values = {"x": "<1>", "y": 2}
    want = {"subject": "Shop & Co", "html": "<b><i>2</i></b><p>&lt;1&gt;<i>2</i></p>", "text": "[<1>]"}
    first = render(c, "news", variables=values, version="published")
    assert {k: first[k] for k in want} == want
    one = c.get("/v1/partials/foot")
    assert c.call("PUT", "/v1/partials/foot", {"html": "new"}, headers={"If-Match": '"9"'}).status == 412
    assert c.call("PUT", "/v1/partials/foot", {"html": "new"}, headers={"If-Match": one.headers["ETag"]}).json["html"] == "new"
    assert c.patch(f"/v1/layouts/{layout['id']}", {"html": "{{{content}}}!"}).status == 200
    assert render(c, "news", variables=values, version=1)["html"] == want["html"]
    assert render(c, "news", variables=values)["html"] == "<p>&lt;1&gt;new</p>!"
    assert c.delete(f"/v1/layouts/{layout['id']}").json["code"] == "in_use"
    assert [p["name"] for p in c.all("/v1/partials")] == ["brand", "foot"] and c.delete("/v1/partials/foot").status == 204
    assert c.get("/v1/partials/foot").status == 404 and render(c, "news", variables=values, version=1)["html"] == want["html"]
    assert c.patch("/v1/templates/news", {"layout_id": None}).status == 200 and c.delete(f"/v1/layouts/{layout['id']}").status == 204
    fault(c.call("PUT", "/v1/partials/a.b", {"html": "x"}), "/name")
    fault(c.call("PUT", "/v1/partials/ab", {}), "/html")
    for i in range(60):
        c.call("PUT", f"/v1/partials/many{i}", {"html": f"{{{{> many{i + 1}}}}}"})
    c.make("/v1/templates", {"alias": "deep", "html": "{{> many0}}"})
    assert {e["code"] for e in c.post("/v1/templates/deep/publish").json["errors"]} == {"limit_reached"}


def test_what_it_says(c):
    c.make("/v1/templates", WELCOME)
    said = render(c)
    assert said["subject"] == "Hi Ana" and said["html"] == '<p>Hello Ana <a href="https://a.test/">x</a></p>' and said["text"] == "Hello Ana"
    assert said["missing"] == said["unused"] == [] and said["size"] == sum(len(said[k]) for k in ("subject", "html", "text"))
    said = render(c, variables={"other": 1, "link": "javascript:alert(1)", "name": None})
    assert 'href="#"' in said["html"] and said["missing"] == ["name"] and said["unused"] == ["other"]
    assert {w["code"] for w in said["warnings"]} == {"variable_missing", "variable_unused", "value_unsafe", "link_broken"}
    evil = '"><script>alert(1)</script>\r\nBcc: x@y.test'
    said = render(c, variables={"name": evil})
    assert "<script" not in said["html"] and "\n" not in said["subject"] and "\r" not in said["subject"]
    tried = c.post("/v1/templates/render", {"dialect": "sendgrid", "subject": "{{insert a \"default=b\"}}", "html": "{{#equals a 1}}y{{/equals}}", "variables": {"a": "1"}})
    assert (tried.status, tried.json["subject"], tried.json["html"]) == (200, "1", "y")
    assert c.get("/v1/templates").json["data"][0]["alias"] == "welcome" and len(c.all("/v1/templates")) == 1
    assert "column" in fault(c.post("/v1/templates/render", {"html": "{{#x}}"}), "/html")["message"]
    assert render(c, variables={"name": "{{link}}"})["text"] == "Hello {{link}}"
    for dialect, text in (("handlebars", "[{{unsubscribe_url}}]"), ("mustachio", "[{{{pm:unsubscribe}}}]"), ("resend", "[{{{UNSUBSCRIBE_URL}}}]")):
        said = c.post("/v1/templates/render", {"dialect": dialect, "text": text, "variables": {"unsubscribe_url": "x", "UNSUBSCRIBE_URL": "x"}}).json
        assert said["text"] == "[]" and said["missing"] == [], said  # the server's own, whoever gives one


@pytest.mark.parametrize("html, why", [
    ("{{#each l}}{{#each ../l}}{{#each ../../l}}{{#each ../../../l}}x{{/each}}{{/each}}{{/each}}{{/each}}", "steps"),
    ("{{#each l}}{{#each ../l}}{{@root.t}}{{/each}}{{/each}}", ""),
    ("{{#if l}}" * 40 + "{{/if}}" * 40, "deep"),
    ("{{#each l}}{{#if (eq (json @root) (upper (json @root)))}}{{/if}}{{/each}}", "steps"),
])
def test_hostile_templates_end_and_hold_up_nobody(server, c, html, why):
    """100 MB of output, loops in loops, nesting: a fault, while others are answered."""
    values = {"l": list(range(300)), "t": "<0123456789>" * 1000}
    stop = threading.Event()

    def others():
        with_own = Client(server)
        while not stop.is_set():
            assert with_own.get("/v1/me").status == 200

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        going = pool.submit(others)
        try:
            answer = c.post("/v1/templates/render", {"html": html, "variables": values})
        finally:
            stop.set()
        going.result(20)
    assert why in fault(answer, "/html")["message"]


def test_who_may(server, c):
    t = c.make("/v1/templates", WELCOME)
    other = Client(server, key=server.tenants[1])
    for path in (f"/v1/templates/{t['id']}", "/v1/templates/welcome", f"/v1/templates/{t['id']}/versions"):
        assert other.get(path).status == 404
    assert other.post(f"/v1/templates/{t['id']}/publish").status == 404 and other.post("/v1/templates/welcome/render", {}).status == 404
    layout = c.make("/v1/layouts", {"html": "{{{content}}}"})
    fault(other.post("/v1/templates", {"layout_id": layout["id"]}), "/layout_id")
    assert other.post("/v1/templates", WELCOME).status == 201  # an alias is the account's
    test_key = Client(server, key=c.make("/v1/keys", {"name": "test", "mode": "test", "scopes": ["templates", "send"]})["secret"])
    assert test_key.post("/v1/templates", {}).status == 403 and test_key.post("/v1/templates/welcome/publish").status == 403
    assert test_key.get("/v1/templates/welcome").status == 200 and test_key.post("/v1/templates/welcome/render", {}).status == 200
    sender = Client(server, key=c.make("/v1/keys", {"name": "send", "scopes": ["send"]})["secret"])
    assert sender.get("/v1/templates/welcome").status == 403 and sender.post("/v1/templates/welcome/render", {}).status == 403


def test_counts_and_versions_are_bounded(server, c):
    setting(server, "template.templates_max", "2")
    setting(server, "template.versions_max", "3")
    try:
        made = [c.post("/v1/templates", {"text": "{{x}}", "alias": f"a{i}"}).status for i in range(3)]
        assert made == [201, 201, 422] and c.post("/v1/templates/a0/duplicate").json["errors"][0]["code"] == "limit_reached"
        assert c.delete("/v1/templates/a1").status == 204 and c.post("/v1/templates/a0/duplicate").status == 201
        for _ in range(5):
            c.make("/v1/templates/a0/publish", None)
        assert [v["version"] for v in c.all("/v1/templates/a0/versions")] == [5, 4, 3] and c.get("/v1/templates/a0?version=2").status == 404
    finally:
        setting(server, "template.templates_max", None)
        setting(server, "template.versions_max", None)


def test_two_who_publish_at_once_make_two_versions(server, c):
    c.make("/v1/templates", WELCOME)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: Client(server, key=c.headers["Authorization"][7:]).post("/v1/templates/welcome/publish"), range(6)))
    assert [a.status for a in answers] == [200] * 6
    assert sorted(a.json["published_version"] for a in answers) == [v["version"] for v in c.all("/v1/templates/welcome/versions")][::-1] == [1, 2, 3, 4, 5, 6]


# ---- sending ----

@pytest.fixture
def mailer(server):
    """An account with a user, a published template, and a client with its key."""
    account = server.make("/v1/accounts", {"name": "m"})
    c = Client(server, key=account["key"]["secret"])
    c.domain = account["id"][4:].replace("_", "-") + ".test"
    c.make("/v1/domains", {"name": c.domain})
    c.address = f"ana@{c.domain}"
    c.make("/v1/users", {"address": c.address, "password": "correct horse battery"})
    c.make("/v1/templates", WELCOME | {"from": f"Shop <{c.address}>", "reply_to": f"help@{c.domain}", "headers": {"X-Kind": "welcome", "X-Two": "t"}})
    c.make("/v1/templates/welcome/publish", None)
    return c


def content(c, answer):
    assert answer.status == 202, answer
    message = c.get(f"/v1/messages/{answer.json['id']}").json
    raw = c.get(f"/v1/messages/{answer.json['id']}/raw")
    assert raw.status == 200, raw
    import email
    import email.policy
    return message, email.message_from_bytes(raw.body, policy=email.policy.default)


def test_values_of_header_fields(server, mailer):
    c = mailer
    fault(c.post("/v1/templates", {"headers": [{"name": "X-A", "value": "ok"}, {"name": "X-B", "value": "{{#if"}]}), "/headers/1/value")
    fault(c.post("/v1/templates", {"headers": {"X-B": "{{nothelper a b}}"}}), "/headers/X-B")
    c.call("PUT", "/v1/partials/site", {"text": "https://{{host}}"})
    c.make("/v1/templates", {"alias": "fields", "subject": "s", "text": "t", "headers": [
        {"name": "List-Unsubscribe", "value": "<{{> site host='a.test'}}/u?n={{number}}>"}, {"name": "X-Name", "value": "{{name}}"}, {"name": "X-Plain", "value": "as it is"}]})
    said = render(c, "fields", variables={"number": 7, "name": "Ä\r\nBcc: x@y.test", "more": 1})
    assert [h["value"] for h in said["headers"]][::2] == ["<https://a.test/u?n=7>", "as it is"] and "\n" not in said["headers"][1]["value"] and said["unused"] == ["more"]
    c.make("/v1/templates/fields/publish", None)
    _, mail = content(c, c.post("/v1/messages", {"from": c.address, "to": c.address, "headers": {"x-plain": "mine"}, "template": {"alias": "fields", "variables": {"number": 8, "name": "Ä"}}}))
    assert (mail["List-Unsubscribe"], mail["X-Name"], mail.get_all("X-Plain")) == ("<https://a.test/u?n=8>", "Ä", ["mine"])


def test_blocks_that_stand_in_for_partials(c):
    c.call("PUT", "/v1/partials/page", {"html": "<b>{{> nav}}</b>{{> @partial-block}}"})
    made = {"alias": "page", "html": "{{#> page}}{{#*inline \"nav\"}}N{{/inline}}body {{x}}{{/page}}{{#> none}}instead{{/none}}{{{{raw}}}}{{x}}{{{{/raw}}}}"}
    c.make("/v1/templates", made)
    assert render(c, "page", variables={"x": "<"})["html"] == "<b>N</b>body &lt;instead{{x}}"
    assert c.post("/v1/templates/page/publish").status == 200
    c.call("PUT", "/v1/partials/none", {"html": "there"})
    assert render(c, "page", variables={"x": 1})["html"] == "<b>N</b>body 1there{{x}}"
    c.make("/v1/templates", {"alias": "lacks", "html": "{{> page}}"})
    fault(c.post("/v1/templates/lacks/render", {}), "/html")


def test_zones_by_name_and_links(c):
    c.make("/v1/templates", {"alias": "time", "text": "t", "html": "<p>{{date t 'HH:mm ZZ' zone}}</p><a href='http://a.test/'>a</a><a href='/x'>b</a>"})
    for zone, want in (("Europe/Berlin", "14:00 +0200"), ("America/New_York", "08:00 -0400"), ("+05:30", "17:30 +0530")):
        assert f"<p>{want}</p>" in render(c, "time", variables={"t": "2026-07-01T12:00:00Z", "zone": zone})["html"]
    said = render(c, "time", variables={"t": "2026-07-01T12:00:00Z", "zone": "Mars/Base"})
    assert "<p>2026-07-01T12:00:00Z</p>" in said["html"] and {w["code"] for w in said["warnings"]} == {"value_unreadable", "link_insecure", "link_broken"}


def test_a_send_by_template(server, mailer):
    c = mailer
    t = c.get("/v1/templates/welcome").json
    message, mail = content(c, c.post("/v1/messages", {"to": c.address, "template": {"alias": "welcome", "variables": {"name": "Bo <b>"}}}))
    assert message["template"] == {"id": t["id"], "version": 1}
    assert mail["Subject"] == "Hi Bo <b>" and mail["From"] == f"Shop <{c.address}>" and mail["Reply-To"] == f"help@{c.domain}" and mail["X-Kind"] == "welcome"
    assert "Hello Bo &lt;b&gt;" in mail.get_body(("html",)).get_content() and mail.get_body(("plain",)).get_content().strip() == "Hello Bo <b>"
    own = {"from": c.address, "to": c.address, "subject": "Mine", "reply_to": c.address, "headers": {"x-kind": "mine"},
           "template": {"id": t["id"], "version": 1, "variables": {"name": "Bo", "link": "javascript:x"}}}
    _, mail = content(c, c.post("/v1/messages", own))
    assert (mail["Subject"], mail["From"], mail["Reply-To"], mail["X-Two"]) == ("Mine", c.address, c.address, "t") and mail.get_all("X-Kind") == ["mine"]
    assert 'href="#"' in mail.get_body(("html",)).get_content()
    assert content(c, c.post("/v1/messages", {"from": c.address, "to": c.address, "text": "x"}))[0]["template"] is None
    c.patch("/v1/templates/welcome", {"subject": "Draft"})
    assert content(c, c.post("/v1/messages", {"to": c.address, "template": {"alias": "welcome", "variables": {"name": "x"}}}))[1]["Subject"] == "Hi x"


def test_what_a_send_by_template_lacks(server, mailer):
    c = mailer
    one = {"to": c.address, "template": {"alias": "welcome", "variables": {"name": "x"}}}
    named = fault(c.post("/v1/messages", one | {"template": {"alias": "welcome", "variables": {}}}), "/template/variables/name")
    assert named["code"] == "required" and "name" in named["message"]
    fault(c.post("/v1/messages", one | {"template": {"alias": "welcome", "variables": {"name": None}}, "to": None}), "/template/variables/name", "/to")
    assert fault(c.post("/v1/messages", one | {"template": {"alias": "welcome", "variables": {"name": 5}}}), "/template/variables/name")["code"] == "invalid_type"
    fault(c.post("/v1/messages", one | {"template": {"alias": "none"}}), "/template")
    fault(c.post("/v1/messages", one | {"template": {"alias": "welcome", "version": 7}}), "/template")
    fault(c.post("/v1/messages", one | {"template": {}}), "/template")
    fault(c.post("/v1/messages", one | {"html": "x"}), "/html")
    fault(c.post("/v1/messages", {"to": c.address, "text": "x"}), "/from")
    c.make("/v1/templates", {"alias": "loud", "html": "{{#each l}}{{#each ../l}}{{#each ../../l}}{{#each ../../../l}}x{{/each}}{{/each}}{{/each}}{{/each}}"})
    c.make("/v1/templates/loud/publish", None)
    fault(c.post("/v1/messages", {"from": c.address, "to": c.address, "template": {"alias": "loud", "variables": {"l": list(range(500))}}}), "/template/html")
    c.make("/v1/templates", {"alias": "flat", "dialect": "resend", "html": "{{{A}}}{{{B}}}", "variables": [{"name": "A", "default": "a"}]})
    c.make("/v1/templates/flat/publish", None)
    fault(c.post("/v1/messages", {"from": c.address, "to": c.address, "template": {"alias": "flat"}}), "/template/variables/B")
    other = Client(server, key=server.tenants[0])
    fault(other.post("/v1/messages", {"from": "a@b.test", "to": "a@b.test", "template": {"id": c.get("/v1/templates/welcome").json["id"]}}), "/template")


def test_drafts_are_sent_by_test_keys_alone(server, mailer):
    c = mailer
    c.make("/v1/templates", {"alias": "draft", "subject": "D {{x}}", "text": "{{x}}"})
    send = {"from": c.address, "to": c.address, "template": {"alias": "draft", "variables": {"x": "1"}}}
    fault(c.post("/v1/messages", send), "/template")
    fault(c.post("/v1/messages", send | {"template": {"alias": "draft", "version": "draft"}}), "/template")
    test_key = Client(server, key=c.make("/v1/keys", {"name": "t", "mode": "test", "scopes": ["send", "messages:read"]})["secret"])
    message, mail = content(test_key, test_key.post("/v1/messages", send))
    assert mail["Subject"] == "D 1" and message["template"]["version"] == 1 and message["mode"] == "test"


def test_a_template_sent_to_look_at_it(server, mailer):
    c = mailer
    c.patch("/v1/templates/welcome", {"subject": "New {{name}}"})
    message, mail = content(c, c.post("/v1/templates/welcome/test", {"to": c.address}))
    assert mail["Subject"] == "New Ana" and message["template"]["version"] == 2
    assert content(c, c.post("/v1/templates/welcome/test", {"to": c.address, "variables": {"name": "Bo"}}))[1]["Subject"] == "New Bo"
    fault(c.post("/v1/templates/welcome/test", {"to": c.address, "variables": {}}), "/template/variables/name")
    only = Client(server, key=c.make("/v1/keys", {"name": "x", "scopes": ["templates"]})["secret"])
    assert only.post("/v1/templates/welcome/test", {"to": c.address}).status == 403


def test_a_batch_by_template(server, mailer):
    c = mailer
    made = c.post("/v1/batches", {"defaults": {"template": {"alias": "welcome", "variables": {"name": "you", "link": "https://d.test/"}}},
                                  "messages": [{"to": c.address}, {"to": c.address, "template": {"variables": {"name": "Bo", "Name": "other"}}}]})
    assert made.status == 202, made
    mails = [content(c, type(made)(202, made.headers, __import__("json").dumps(d["message"]).encode())) for d in made.json["data"]]
    assert [m["Subject"] for _, m in mails] == ["Hi you", "Hi Bo"] and all("https://d.test/" in m.get_body(("html",)).get_content() for _, m in mails)
    bad = c.post("/v1/batches", {"messages": [{"to": c.address, "template": {"alias": "welcome"}}]})
    fault(bad, "/messages/0/template/variables/name")


def test_what_a_batch_cannot_render_is_an_event(server, mailer):
    c = mailer
    good, bad = ({"to": c.address, "template": {"alias": "welcome", "variables": v}} for v in ({"name": "Bo"}, {}))
    made = c.make("/v1/batches", {"mode": "permissive", "messages": [good, bad, {"to": c.address, "from": "x@notours.test", "text": "t"}, bad]})
    assert (made["accepted"], made["rejected"]) == (1, 3)
    told = c.all("/v1/events?type=email.rendering_failed")
    assert sorted(e["data"]["index"] for e in told) == [1, 3] and all(e["data"]["batch_id"] == made["id"] and e["message_id"] is None for e in told)
    assert told[0]["data"]["errors"][0]["pointer"].endswith("/template/variables/name")


def test_a_preview_by_template(server, mailer):
    c = mailer
    p = c.post("/v1/previews", {"to": c.address, "template": {"alias": "welcome", "variables": {"name": "Bo", "more": 1, "link": "javascript:x"}}})
    assert p.status == 200 and p.json["valid"] and p.json["message"]["subject"] == "Hi Bo" and "Hello Bo" in p.json["message"]["html"], p
    assert {"variable_unused", "value_unsafe"} <= {w["code"] for w in p.json["warnings"]}
    p = c.post("/v1/previews", {"to": c.address, "template": {"alias": "welcome"}})
    assert not p.json["valid"] and [e["pointer"] for e in p.json["errors"]] == ["/template/variables/name"]


def test_from_the_command_line(server, mailer, tmp_path):
    import os
    import subprocess

    from server import BINARY
    c = mailer
    env = {k: v for k, v in os.environ.items() if not k.startswith("POSTRIDER_")} | {"POSTRIDER_URL": server.doors["api"], "POSTRIDER_KEY": c.headers["Authorization"][7:]}

    def run(*words):
        p = subprocess.run([BINARY, *words], capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL)
        assert p.returncode == 0, p.stdout + p.stderr
        return p.stdout
    assert [line.split()[0] for line in run("template", "samples").splitlines()[:5]] == ["welcome", "receipt", "password-reset", "notification", "digest"]
    assert "is there already" in run("template", "samples", "--add")
    for name in ("receipt", "password-reset", "notification", "digest"):
        said = render(c, name)
        assert said["missing"] == said["unused"] == [] and said["subject"] and said["text"] and {w["code"] for w in said["warnings"]} == set(), (name, said)
        assert "prefers-color-scheme: dark" in said["html"] and "max-width" in said["html"] and "{{" not in said["html"] + said["text"] and len(said["html"]) < 102400
        run("template", "publish", name)
    (tmp_path / "v.json").write_text('{"title": "T", "message": "<M>", "details": []}')
    run("send", "--from", c.address, "--to", c.address, "--template", "notification", "--variables-file", str(tmp_path / "v.json"))
    run("send", "--from", c.address, "--to", c.address, "--template", "welcome", "--var", "name=Zoe", "--template-version", "1")
    run("template", "test", "digest", c.address, "--from", c.address)
    got = [m["subject"] for m in c.all("/v1/messages")]
    assert got[:3] == ["Your week: 2 new things", "Hi Zoe", "T"]
