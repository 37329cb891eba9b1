"""`postrider mail parse, address, html`: what mail/ understands, asked from outside; what Python's email package makes of
the same bytes is the second opinion."""

import base64
import email

import pytest
from shell import SUITES, ask, batch

MESSAGE = b"""From: =?utf-8?Q?Ana_L=C3=B3pez?= <ana@example.org>
To: Team: bo@example.org, "C, D" <cd@example.org>;
Subject: =?utf-8?B?R3LDvMOf?=
 =?utf-8?B?ZQ==?=
Date: Mon, 2 Nov 2026 10:00:00 +0100
Message-ID: <1@example.org>
References: <a@b.test>
 <c@d.test>
List-Unsubscribe: <https://x.test/u>, <mailto:u@x.test>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; format=flowed

Yes, I will
 come.

On Sunday 1 Nov 2026, Bo wrote:
> Will you?
--a
Content-Type: text/html

<p>Yes
--a
Content-Type: text/calendar; method=REPLY

BEGIN:VCALENDAR
--a--
--m
Content-Type: message/rfc822

Subject: inner

within
--m--
"""


def test_a_message_is_told_whole():
    told = ask("parse", input=MESSAGE.replace(b"will\n come", b"will \ncome"))
    assert told["subject"] == "Grüße" and told["date"] == "2026-11-02T09:00:00.000Z"
    assert told["from"] == [{"name": "Ana López", "email": "ana@example.org"}]
    assert [(one["email"], one["group"]) for one in told["to"]] == [("bo@example.org", "Team"), ("cd@example.org", "Team")]
    assert told["references"] == ["a@b.test", "c@d.test"] and told["message_id"] == ["1@example.org"]
    assert told["list"]["unsubscribe"] == ["https://x.test/u", "mailto:u@x.test"] and told["list"]["one_click"]
    assert told["text"].startswith("Yes, I will come.\n") and told["stripped_text"] == "Yes, I will come.\n"
    assert told["snippet"].startswith("Yes, I will come. On Sunday")
    assert told["body"] == {"text": [2], "html": [3], "attachments": [4, 5]}
    assert [one["part"] for one in told["attachments"]] == [4, 5]
    assert told["calendar"] == [{"part": 4, "method": "REPLY", "text": "BEGIN:VCALENDAR"}]
    assert told["parts"][5]["message"]["subject"] == "inner" and told["parts"][5]["message"]["text"] == "within"


def test_messages_within_messages_have_an_end():
    deep = b"".join(b"Content-Type: message/rfc822\r\n\r\n" for _ in range(500)) + b"Subject: x\r\n\r\ny"
    told, depth = ask("parse", input=deep), 0
    while "message" in told["parts"][0]:
        told, depth = told["parts"][0]["message"], depth + 1
    assert 10 <= depth < 20


def test_a_batch_answers_each_line():
    cases = [
        {"id": 1, "address": "a@b.test"},
        {"id": 2, "address": "no"},
        {"id": 3, "address_base64": base64.b64encode(b"\xff@b.test").decode()},
        {"id": 4, "address": "Ana <a@xn--bcher-kva.example>"},
    ]
    told = batch("address", cases)
    assert [one["id"] for one in told] == [1, 2, 3, 4] and [one["valid"] for one in told] == [True, False, False, False]
    assert told[3]["domain_unicode"] == "bücher.example" and told[3]["list"][0]["name"] == "Ana"
    assert ask("address", "www.example.co.uk")["registered"] == "example.co.uk"


def test_html_and_markdown():
    told = ask("html", input="<p onclick=x>Hi<script>1</script><img src=https://x.test/a.png><img src=cid:a@b>")
    assert told["html_safe"] == "<p>Hi<img><img></p>" and told["blocked"] == 1 and told["text"] == "Hi\n"
    told = ask("html", "--markdown", "--images", input="# Hi\n\n[a](javascript:1) <b> ![i](https://x.test/i.png)")
    assert told["html_safe"] == '<h1>Hi</h1>\n<p><a>a</a> &lt;b&gt; <img src="https://x.test/i.png" alt="i"></p>\n'
    assert "deep" in ask("html", "--markdown", input="> " * 100000 + "deep")["text"]


def leaves(message):
    for part in message.walk():
        if not part.is_multipart() and part.get_content_maintype() != "multipart":
            yield part


def lines(content):
    return content.replace(b"\r\n", b"\n")


@pytest.mark.skipif(not SUITES.is_dir(), reason="no suites here")
def test_python_finds_the_same_bytes():
    """Of mails without a defect, Python's email package decodes the same leaves to the same bytes. It takes messages inside
    of mails apart (message/, multipart/digest), and tells no empty part of two boundaries in a row."""
    same = 0
    for path in sorted((SUITES / "mime-cpython").glob("msg_*.txt")):
        raw = path.read_bytes()
        message = email.message_from_bytes(raw)
        if any(p.defects or p.get_content_maintype() == "message" or p.get_content_type() == "multipart/digest" for p in message.walk()):
            continue
        told = ask("parse", "--content", input=raw)
        ours = [lines(base64.b64decode(one["content_base64"])) for one in told["parts"] if "content_base64" in one]
        want = [lines(part.get_payload(decode=True)) for part in leaves(message)]
        assert [one for one in ours if one] == [one for one in want if one], path.name
        same += 1
    assert same >= 20
