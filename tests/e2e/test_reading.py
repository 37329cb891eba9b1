"""Mail as other programs write it, come in over SMTP and read over HTTP: nothing of it vanishes, nothing of it is garbled."""
import base64
import os
import pathlib
import struct

import pytest
from api_client import Client
from wire import Smtp

HEAD = b"From: Ana <x@far.test>\r\nTo: ana@reading.test\r\nMIME-Version: 1.0\r\n"
B = b"Content-Type: multipart/%s; boundary=b\r\n\r\n"


@pytest.fixture(scope="module")
def read(server):
    """What the API shows of a mail that has just come."""
    server.user("ana@reading.test")
    c = Client(server)
    inbox = next(b["id"] for b in c.all("/v1/users/ana@reading.test/mailboxes") if b["role"] == "inbox")

    def one(mail):
        with Smtp(server.address("smtp"), hello="client.test") as s:
            reply = s.to("x@far.test", "ana@reading.test", params=" BODY=8BITMIME").data(mail.replace(b"\r\n.", b"\r\n.."))
        assert reply.startswith("250"), reply
        listed = c.get(f"/v1/mailboxes/{inbox}/entries?limit=1").json["data"][0]
        shown = c.get(f"/v1/entries/{listed['id']}")
        assert shown.status == 200, shown
        assert listed.items() <= shown.json.items() and listed["attachment_count"] <= len(shown.json["attachments"])
        assert c.get(f"/v1/entries/{listed['id']}/raw").body.endswith(mail)
        return shown.json

    return one


def part(type, body=b"x", more=b""):
    return b"--b\r\nContent-Type: " + type + b"\r\n" + more + b"\r\n" + body + b"\r\n"


def files(entry):
    return [a["filename"] or a["content_type"] for a in entry["attachments"]]


# ---- which parts are the body ----

@pytest.mark.parametrize("kind, parts, text, html, attached", [
    (b"alternative", [(b"text/plain", b"ten"), (b"text/html", b"<p>ten"), (b"text/calendar; method=REQUEST", b"BEGIN:VCALENDAR")], "ten", "<p>ten", ["text/calendar"]),
    (b"alternative", [(b"text/calendar", b"BEGIN"), (b"text/html", b"<p>a"), (b"text/html", b"<p>b")], None, "<p>b", ["text/calendar", "text/html"]),
    (b"alternative", [(b"text/x-amp-html", b"<html amp>"), (b"application/json", b"{}")], None, None, ["text/x-amp-html", "application/json"]),
    (b"mixed", [(b"text/plain", b"\r\n"), (b"text/html", b"<p>7 was shipped"), (b"application/pdf; name=o.pdf", b"x")], "\n", "<p>7 was shipped", ["o.pdf"]),
    (b"mixed", [(b"text/plain", b"one"), (b"image/png", b"x"), (b"text/plain", b"two")], "one\ntwo", None, ["image/png"]),
    (b"mixed", [(b"text/plain", b"one"), (b"text/plain; name=two.txt", b"two")], "one", None, ["two.txt"]),
])
def test_body_and_attachments(read, kind, parts, text, html, attached):
    entry = read(HEAD + B % kind + b"".join(part(*p) for p in parts) + b"--b--\r\n")
    assert (entry["text"], entry["html"], files(entry)) == (text, html, attached)
    assert entry["snippet"] == ((text or "").strip() or (html or "").replace("<p>", "")).replace("\n", " ").split(" two")[0]


@pytest.mark.parametrize("mail, subject, text", [
    (HEAD + b"Subject: alarm\r\nThe door was opened at 10:00\r\nZone 3\r\n", "alarm", "The door was opened at 10:00\nZone 3\n"),
    (b"no header at all\r\n\r\nin this one\r\n", None, "no header at all\n\nin this one\n"),
    (HEAD + b"Subject: long\r\nThe log follows\r\n" + b"door 7 open\r\n" * 120000, "long", "The log follows\n" + "door 7 open\n" * 120000),
    (b"no header\r\n" + b"x" * 76 + b"\r\n" + b"y: is in the text\r\n" * 70000, None, "no header\n" + "x" * 76 + "\n" + "y: is in the text\n" * 70000),
    (b"From x Mon Jan  1 2026\r\n" + HEAD + b"Subject: from a file\r\n\r\nx\r\n", "from a file", "x\n"),
])
def test_header_without_an_end(read, mail, subject, text):
    entry = read(mail)
    assert entry["subject"] == subject
    assert entry["text"] == text or (entry["text_truncated"] and len(entry["text"]) > 900_000 and text.startswith(entry["text"]))


# ---- charsets ----

def cpu(server):
    """Seconds of all its threads: those that a busy machine takes away are not among them."""
    words = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_charsets_by_turns_cost_little(server, read):
    """A converter for each word took a minute."""
    names = b"".join(b"=?%s?q?a?=" % (b"gb18030", b"big5-hkscs", b"iso-2022-jp", b"cp949")[i % 4] for i in range(3000))
    before = cpu(server)
    entry = read(HEAD + B % b"mixed" + 150 * part(b"text/plain", more=b'Content-Disposition: attachment; filename="' + names + b'"\r\n') + b"--b--\r\n")
    assert entry["attachment_count"] == 150 and cpu(server) - before <= 10, cpu(server) - before


@pytest.mark.parametrize("type, body, text", [
    (b"text/plain", b"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln"),
    (b"text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
    (b"text/plain; charset=WE8MSWIN1252", b"Gr\xfc\xdfe \x80 5", "Grüße € 5"),
    (b"text/plain; charset=iso-2022-jp", b"\x1b$B-!2q5D\x1b(B end", "①会議 end"),
    (b"text/plain; charset=euc-jp", b"\xad\xa1\xb2\xf1", "①会"),
    (b"text/plain; charset=utf-8", b"\xef\xbb\xbfmarked", "marked"),
    (b"text/html", b"<meta charset=windows-1251>\xcf\xf0", "<meta charset=windows-1251>Пр"),
    (b"text/html", b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r">\xf0', '<meta http-equiv=Content-Type content="text/html; charset=koi8-r">П'),
])
def test_charsets(read, type, body, text):
    entry = read(HEAD + b"Content-Type: " + type + b"\r\n\r\n" + body + b"\r\n")
    assert (entry["html"] if b"html" in type else entry["text"]).rstrip("\n") == text


@pytest.mark.parametrize("charset, raw, shown", [(b"koi8-r", b"\xf0\xd2\xc9", "При"), (b"utf-8", "Grüße".encode(), "Grüße"), (b"utf-8", b"Gr\xfc\xdfe", "Grüße"), (b"big5", b"\xa4\xa4", "中")])
def test_raw_headers(read, charset, raw, shown):
    entry = read(b"From: " + raw + b" <x@far.test>\r\nSubject: " + raw + b"\r\nContent-Type: text/plain; charset=" + charset + b"\r\n\r\nx\r\n")
    assert (entry["subject"], entry["from"]) == (shown, {"email": "x@far.test", "name": shown})
    assert entry["headers"][1] == {"name": "Subject", "value": shown}


# ---- names of files ----

@pytest.mark.parametrize("parameters, name", [
    (b'filename*0="=?UTF-8?Q?=C3=9Cber";\r\n filename*1="sicht.pdf?="', "Übersicht.pdf"),
    (b"filename=big report (1).pdf; size=1", "big report (1).pdf"),
    (b"filename*=utf-8''..%2F..%2Fetc%2Fpasswd%00", "passwd"),
    (b'filename="C:\\temp\\a.doc"', "a.doc"),
    (b'filename="' + b"long " * 200 + b'.xlsx"', None),
])
def test_file_names(read, parameters, name):
    entry = read(HEAD + B % b"mixed" + part(b"text/plain") + part(b"application/pdf", more=b"Content-Disposition: attachment; " + parameters + b"\r\n") + b"--b--\r\n")
    [shown] = files(entry)
    assert shown == name if name else shown.endswith(".xlsx") and len(shown) <= 512


def test_base64_ends_at_its_padding(read):
    entry = read(HEAD + b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n____\r\nlist footer\r\n")
    assert entry["text"] == "hello"


# ---- fields ----

@pytest.mark.parametrize("field, name, value", [
    (b"Date: Sat, 21 Nov 2026 09:52:00 +100", "sent_at", None),
    (b"Date: Sat, 21 Nov 20266 09:52:00 +0100", "sent_at", None),
    (b"Date: Sat, 21 Nov 0026 09:52:00 +0100", "sent_at", None),
    (b"Date: Sat, 21 Nov 2026 09:52:00 +0100", "sent_at", "2026-11-21T08:52:00.000Z"),
    (b"Message-ID: <a@b> <c@d>", "header_message_id", "<a@b>"),
    (b"Message-ID:\r\n <a@b\r\n .c> (x)", "header_message_id", "<a@b.c>"),
    (b"Message-ID: 77@far.test", "header_message_id", "<77@far.test>"),
    (b"Message-ID: <>", "header_message_id", None),
    (b"Subject: " + b"\r\n ".join([b"=?utf-8?q?" + b"=E2=82=AC" * 6 + b"?="] * 100), "subject", "€" * 332),
    (b"Reply-To: broken@, a@b@c, <x y@z.test>, a@b..c, a@[1.2, fine@far.test", "reply_to", [{"email": "fine@far.test", "name": None}]),
])
def test_fields(read, field, name, value):
    assert read(b"From: x@far.test\r\n" + field + b"\r\n\r\nx\r\n")[name] == value


# ---- length ----

@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_what_is_cut_says_so(read, subtype):
    field = "text" if subtype == "plain" else "html"
    line = "äöü€" * 16 + "\r\n"
    short, long = read(HEAD + f"Content-Type: text/{subtype}; charset=utf-8\r\n\r\n{line * 10}".encode()), read(HEAD + f"Content-Type: text/{subtype}; charset=utf-8\r\n\r\n{line * 10000}".encode())
    assert (short[field], short[field + "_truncated"]) == (line.replace("\r", "") * 10, False)
    assert long[field + "_truncated"] and len(long[field].encode()) > 1_000_000 and (line.replace("\r", "") * 10000).startswith(long[field])
    assert not long["text_truncated"] or not long["html_truncated"]


def test_a_mail_that_grows(read):
    """Whatever its headers hold, it is taken and can be read; what is kept of a part is small."""
    entry = read(HEAD + B % b"mixed" + b"".join(part(b"text/plain; charset=\"" + b"\xff" * 20000 + b"\"; name=\"" + b"\xff" * 5000 + b"\"") for _ in range(100)) + b"--b--\r\n")
    assert len(entry["attachments"]) == 99 and all(len(a["filename"].encode()) <= 512 for a in entry["attachments"])


# ---- what is made of them ----

def tnef(*files):
    """A winmail.dat as MS-OXTNEF 2.1.3 has it."""
    def attribute(level, id, value):
        return struct.pack("<BII", level, id, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(
        attribute(2, 0x00069002, b"\1\0") + attribute(2, 0x00018010, name + b"\0") + attribute(2, 0x0006800F, content)
        for name, content in files)


@pytest.fixture(scope="module")
def client(server):
    return Client(server)


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def test_a_file_from_before_mime(read, client):
    entry = read(HEAD + b"\r\nsee\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\nbye\r\n")
    assert entry["text"] == "see\nbye\n" and files(entry) == ["cat.txt"] and entry["attachments"][0]["size"] == 3
    got = client.get(f"/v1/entries/{entry['id']}/attachments/0")
    assert got.body == b"Cat" and "cat.txt" in got.headers["Content-Disposition"]


def test_files_of_many_winmail_dat_are_a_thousand_at_most(read):
    one = part(b"application/ms-tnef; name=winmail.dat", base64.encodebytes(tnef(*[(b"a", b"")] * 400)).replace(b"\n", b"\r\n"), b"Content-Transfer-Encoding: base64\r\n")
    assert [files(read(HEAD + B % b"mixed" + one * n + b"--b--\r\n")).count("a") for n in (1, 4)] == [400, 1000]


def test_winmail_dat_is_opened(read, client):
    packed = base64.encodebytes(tnef((b"plan.pdf", b"PDF"), (b"..\\\\a.txt", b"A" * 300_000))).replace(b"\n", b"\r\n")
    entry = read(HEAD + B % b"mixed" + part(b"text/plain", b"see") + part(b"application/ms-tnef; name=winmail.dat", packed, b"Content-Transfer-Encoding: base64\r\n") +
                 part(b"application/zip; name=z.zip", b"z") + b"--b--\r\n")
    assert files(entry) == ["winmail.dat", "z.zip", "plan.pdf", "a.txt"] and entry["attachment_count"] == 2
    assert [a["index"] for a in entry["attachments"]] == [0, 1, 2, 3] and entry["attachments"][2]["content_type"] == "application/pdf"
    at = f"/v1/entries/{entry['id']}/attachments/"
    assert client.get(at + "1").body == b"z" and client.get(at + "2").body == b"PDF" and client.get(at + "3").body == b"A" * 300_000
    assert client.get(at + "4").status == 404


def test_replies_and_flowed_text(read):
    entry = read(HEAD + b"Content-Type: text/plain; format=flowed\r\n\r\nYes, I \r\nwill.\r\n\r\nOn 1 Nov 2026, Bo wrote:\r\n> Will you?\r\n")
    assert entry["text"].startswith("Yes, I will.\n") and entry["stripped_text"] == "Yes, I will.\n" and entry["html_safe"] is None
    entry = read(HEAD + b"Content-Type: text/html\r\n\r\n<p>Yes</p><p>On 1 Nov 2026, Bo wrote:</p><blockquote>Will you?</blockquote>\r\n")
    assert entry["stripped_text"] == "Yes\n"


def test_html_to_be_shown(read, client):
    html = (b"<p onclick=x>Hi<script>alert(1)</script><img src=cid:logo%40x width=1><img src=https://far.test/a.png>"
            b"<a href=https://far.test/>there</a><a href=javascript:alert(1)>not</a>")
    entry = read(HEAD + B % b"related" + part(b"text/html", html) +
                 part(b"image/png", base64.b64encode(PNG), b"Content-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n") + b"--b--\r\n")
    image = f"/v1/entries/{entry['id']}/attachments/0"
    link = '<a href="https://far.test/" target="_blank" rel="noopener noreferrer nofollow">there</a><a>not</a></p>'
    assert entry["html_safe"] == f'<p>Hi<img src="{image}" width="1"><img>{link}' and entry["html_blocked"] == 1
    assert client.get(image).body == PNG
    page = client.get(f"/v1/entries/{entry['id']}/view")
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    inline = base64.b64encode(PNG).decode()
    assert page.body.decode().endswith(f'<p>Hi<img src="data:image/png;base64,{inline}" width="1"><img>{link}')
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "allow-scripts" not in policy and policy.endswith("img-src data:")
    page = client.get(f"/v1/entries/{entry['id']}/view?images=load")
    assert b'<img src="https://far.test/a.png">' in page.body and page.headers["Content-Security-Policy"].endswith("img-src data: https: http:")
    assert client.get(f"/v1/entries/{entry['id']}/view?images=all").status == 422


def test_a_text_is_a_page_too(read, client):
    entry = read(HEAD + b"\r\n<script>alert(1)</script> & more\r\n")
    page = client.get(f"/v1/entries/{entry['id']}/view")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page.body.decode() and b"<script" not in page.body
