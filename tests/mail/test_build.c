/* mail/build.h: composed messages, text of HTML, snippets, Received lines */
#include "tests/mail/shape.h"

#include "mail/build.h"
#include "tests/mail/plenty.h"

static const struct address from = { .name = { "Ana", 3 }, .email = { "ana@example.org", 15 } };
static const struct address to[] = { { .email = { "bo@example.com", 14 } },
                                     { .name = { "Cé, the third", 14 }, .email = { "ce@example.com", 14 } } };

static struct compose simple(void)
{
    return (struct compose){ .from = from,
                             .to = to,
                             .n_to = 2,
                             .subject = BYTES("Hello"),
                             .text = BYTES("Hi\n"),
                             .message_id = BYTES("<1@example.org>"),
                             .date = 1795254720000,
                             .limits = plenty };
}

static void written(const struct compose *c, struct buf *out)
{
    struct err e = { 0 };

    buf_init(out, 64 << 20);
    if (!compose_write(c, out, &e))
        fail_msg("%s", e.message);
}

/* CRLF everywhere, no line over 998, ASCII. */
static void check_lines(struct bytes message)
{
    struct bytes line;

    assert_true(bytes_ends(message, BYTES("\r\n")));
    assert_true(bytes_is_ascii(message));
    while (bytes_cut(message, '\n', &line, &message)) {
        assert_true(line.n && line.p[line.n - 1] == '\r' && line.n <= 999);
        assert_true(bytes_find(line, '\r') == line.n - 1);
    }
}

static void a_plain_mail(void **state)
{
    struct compose c = simple();
    struct buf out;

    (void)state;
    written(&c, &out);
    assert_bytes(buf_bytes(&out), BYTES("From: Ana <ana@example.org>\r\n"
                                        "To: bo@example.com, =?utf-8?Q?C=C3=A9=2C_the_third?= <ce@example.com>\r\n"
                                        "Subject: Hello\r\n"
                                        "Date: Sat, 21 Nov 2026 09:52:00 +0000\r\n"
                                        "Message-ID: <1@example.org>\r\n"
                                        "MIME-Version: 1.0\r\n"
                                        "Content-Type: text/plain; charset=utf-8\r\n"
                                        "Content-Transfer-Encoding: 7bit\r\n"
                                        "\r\n"
                                        "Hi\r\n"));
    buf_clear(&out);
}

static void the_order_of_fields(void **state)
{
    static const char *const names[] = { "From",  "To",           "Cc",          "Reply-To",   "Subject",
                                         "Date",  "Message-ID",   "In-Reply-To", "References", "X-One",
                                         "X-Two", "MIME-Version", "Content-Type" };
    const struct named_value extra[] = { { BYTES("X-One"), BYTES("ü") }, { BYTES("X-Two"), BYTES("2") } };
    struct compose c = simple();
    struct buf out;
    struct bytes rest;
    struct header h;

    (void)state;
    c.cc = c.reply_to = to;
    c.n_cc = c.n_reply_to = 1;
    c.in_reply_to = BYTES("<a@b>");
    c.references = BYTES("<c@d> <a@b>");
    c.headers = extra;
    c.n_headers = 2;
    written(&c, &out);
    rest = bytes_head(buf_bytes(&out), header_end(buf_bytes(&out)));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_true(header_next(&rest, &h));
        assert_bytes(h.name, bytes_of(names[i]));
    }
    buf_clear(&out);
}

static void shapes(void **state)
{
    const struct attachment parts[] = {
        { .filename = BYTES("a.pdf"), .content = BYTES("pdf") },
        { .filename = BYTES("i.png"), .content = BYTES("png"), .content_id = BYTES("i@x") },
    };
    static const struct {
        bool text, html;
        size_t first, n;
        const char *shape;
    } rows[] = {
        { true, false, 0, 0, "text/plain" },
        { false, false, 0, 0, "text/plain" },
        { true, true, 0, 0, "multipart/alternative(text/plain text/html)" },
        { false, true, 0, 0, "multipart/alternative(text/plain text/html)" },
        { true, false, 0, 1, "multipart/mixed(text/plain application/pdf)" },
        { true, true, 1, 1, "multipart/alternative(text/plain multipart/related(text/html image/png))" },
        { true, false, 1, 1, "multipart/mixed(text/plain image/png)" }, /* no html that could show it */
        { true, true, 0, 2,
          "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) application/pdf)" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct compose c = simple();
        struct buf out, shown;

        buf_init(&shown, 4096);
        c.text = rows[i].text ? c.text : NO_BYTES;
        c.html = rows[i].html ? BYTES("<p>Hi <img src=\"cid:i@x\">") : NO_BYTES;
        c.attachments = parts + rows[i].first;
        c.n_attachments = rows[i].n;
        written(&c, &out);
        check_lines(buf_bytes(&out));
        shape(index_by(buf_bytes(&out), 0, &roomy, *state), &shown);
        assert_bytes(buf_bytes(&shown), bytes_of(rows[i].shape));
        buf_clear(&out);
        buf_clear(&shown);
    }
}

#define CALENDAR "BEGIN:VCALENDAR\nEND:VCALENDAR\n"

static void shapes_with_amp_and_calendars(void **state)
{
    static const struct {
        const char *text, *html, *amp, *calendar, *shape;
    } rows[] = {
        { "t", "h", "a", NULL, "multipart/alternative(text/plain text/x-amp-html text/html)" },
        { "t", NULL, "a", NULL, "multipart/alternative(text/plain text/x-amp-html)" },
        { "t", NULL, NULL, CALENDAR,
          "multipart/mixed(multipart/alternative(text/plain text/calendar) application/ics)" },
        { NULL, NULL, NULL, CALENDAR, "multipart/mixed(text/calendar application/ics)" },
        { NULL, "h", "a", CALENDAR,
          "multipart/mixed(multipart/alternative(text/plain text/x-amp-html text/html text/calendar) "
          "application/ics)" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct compose c = simple();
        struct buf out, shown;

        buf_init(&shown, 4096);
        c.text = bytes_of(rows[i].text);
        c.html = bytes_of(rows[i].html);
        c.amp_html = bytes_of(rows[i].amp);
        c.calendar = (struct calendar){ BYTES("REQUEST"), bytes_of(rows[i].calendar) };
        written(&c, &out);
        check_lines(buf_bytes(&out));
        shape(index_by(buf_bytes(&out), 0, &roomy, *state), &shown);
        assert_bytes(buf_bytes(&shown), bytes_of(rows[i].shape));
        buf_clear(&out);
        buf_clear(&shown);
    }
}

/* Text comes back but for its line ends, whatever is in it. */
static void text_survives(struct bytes text, const char *encoding, struct arena *a)
{
    struct compose c = simple();
    struct buf out, body, want;
    struct header h;
    const struct mime_index *x = NULL;

    c.text = text;
    written(&c, &out);
    check_lines(buf_bytes(&out));
    x = index_by(buf_bytes(&out), 0, &roomy, a);
    assert_true(header_find(x->header, "Content-Transfer-Encoding", 0, &h));
    if (encoding)
        assert_bytes(h.value, bytes_of(encoding));
    buf_init(&body, 1 << 20);
    decode_part(x, 0, buf_bytes(&out), &body);
    buf_init(&want, 1 << 20);
    for (size_t i = 0; i < text.n; i++) {
        bool crlf = text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n';

        if (crlf || text.p[i] == '\n' || text.p[i] == '\r')
            buf_adds(&want, "\r\n");
        else
            buf_addc(&want, text.p[i]);
        i += crlf;
    }
    if (text.n && !bytes_ends(buf_bytes(&want), BYTES("\r\n")))
        buf_adds(&want, "\r\n");
    assert_bytes(buf_bytes(&body), buf_bytes(&want));
    buf_clear(&out);
    buf_clear(&body);
    buf_clear(&want);
}

static void texts(void **state)
{
    static const struct {
        const char *text, *encoding;
    } rows[] = {
        { "", "7bit" },
        { "Hello\r\nthere", "7bit" },
        { "bare\rreturns\nand feeds\r\n\r\n", "7bit" },
        { "From here on\n", "quoted-printable" },
        { "\n.\n..\n", "7bit" },
        { "Grüße aus einer Zeile, die nicht sehr viele Umlaute hat.  \n", "quoted-printable" },
        { "日本語の本文です。\n", "base64" },
        { "bell \x07 and a few more letters\n", "quoted-printable" },
        { "trailing space \ntrailing tab\t\nä und mehr Text, damit es lohnt", "quoted-printable" },
        { "=3D =\n", "7bit" },
    };
    struct json_object *strings = NULL;
    char longest[3000];

    for (size_t i = 0; i < COUNT(rows); i++)
        text_survives(bytes_of(rows[i].text), rows[i].encoding, *state);
    memset(longest, 'x', sizeof longest);
    text_survives((struct bytes){ longest, sizeof longest }, "quoted-printable", *state);
    strings = suite_json("naughty-strings/blns.json");
    for (size_t i = 0; i < json_object_array_length(strings); i++)
        text_survives(json_bytes(json_object_array_get_idx(strings, i)), NULL, *state);
    json_object_put(strings);
}

static void attachments_are_exact(void **state)
{
    char all[256 * 3];
    struct attachment a = { .filename = BYTES("große Datei.bin"), .content = { all, sizeof all } };
    struct compose c = simple();
    struct buf out, body;
    const struct mime_index *x = NULL;

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    c.attachments = &a;
    c.n_attachments = 1;
    for (a.content.n = sizeof all - 4; a.content.n <= sizeof all; a.content.n++) {
        written(&c, &out);
        check_lines(buf_bytes(&out));
        x = index_by(buf_bytes(&out), 0, &roomy, *state);
        buf_init(&body, 4096);
        decode_part(x, 2, buf_bytes(&out), &body);
        assert_bytes(buf_bytes(&body), a.content);
        assert_bytes(x->parts[2].filename, a.filename);
        assert_bytes(x->parts[2].disposition, BYTES("attachment"));
        buf_clear(&out);
        buf_clear(&body);
    }
}

/* RFC 2046 5.2.1: a message is never base64; what cannot go as it is goes as a file. The boundary of a mail of ours
 * inside is not the boundary outside, even with the same Message-ID. */
static void a_mail_in_a_mail(void **state)
{
    struct compose c = simple();
    struct buf inner, out, shown;
    struct attachment a = { .content_type = BYTES("message/rfc822") };

    c.html = BYTES("<p>x");
    written(&c, &inner);
    a.content = buf_bytes(&inner);
    c.attachments = &a;
    c.n_attachments = 1;
    written(&c, &out);
    buf_init(&shown, 4096);
    shape(index_by(buf_bytes(&out), 0, &roomy, *state), &shown);
    assert_bytes(buf_bytes(&shown),
                 BYTES("multipart/mixed(multipart/alternative(text/plain text/html) message/rfc822)"));
    assert_bytes(body_of(index_by(buf_bytes(&out), 0, &roomy, *state), 4, buf_bytes(&out)),
                 bytes_head(buf_bytes(&inner), inner.n - 2));
    buf_clear(&out);
    a.content = BYTES("Subject: \xC3\xA4\n\nx");
    written(&c, &out);
    shape(index_by(buf_bytes(&out), 0, &roomy, *state), &shown);
    assert_bytes(buf_bytes(&shown),
                 BYTES("multipart/mixed(multipart/alternative(text/plain text/html) application/octet-stream)"));
    buf_clear(&out);
    buf_clear(&inner);
    buf_clear(&shown);
}

static void what_cannot_be_written(void **state)
{
    const struct attachment bad[] = {
        { .content_type = BYTES("text") },
        { .content_type = BYTES("multipart/mixed; boundary=x") },
        { .content_type = BYTES("text/plain\r\nBcc: x") },
        { .filename = BYTES("a\r\nb") },
        { .content_id = BYTES("a>b") },
        { .content_id = BYTES("a b") },
        { .disposition = BYTES("both") },
    };
    const struct named_value header = { BYTES("X"), BYTES("a\r\nBcc: x@y.test") };
    const struct address forged = { .name = BYTES("a\r\nBcc: x"), .email = BYTES("a@b.test") };
    struct err e = { 0 };
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct compose c = simple();

        c.html = BYTES("x");
        c.attachments = &bad[i];
        c.n_attachments = 1;
        assert_false(compose_write(&c, &out, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    for (int i = 0; i < 5; i++) {
        struct compose c = simple();

        if (i == 0)
            c.subject = BYTES("a\nb");
        if (i == 1)
            c.headers = &header, c.n_headers = 1;
        if (i == 2)
            c.to = &forged, c.n_to = 1;
        if (i == 3)
            c.message_id = BYTES("<a@b>\r\nX: y");
        if (i == 4)
            c.from.email = BYTES("");
        assert_false(compose_write(&c, &out, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    buf_clear(&out);
}

static void the_size_is_bounded(void **state)
{
    struct compose c = simple();
    struct attachment a = { .content = { calloc(1, 100000), 100000 } };
    struct err e = { 0 };
    struct buf out;

    (void)state;
    c.attachments = &a;
    c.n_attachments = 1;
    buf_init(&out, 50000);
    assert_false(compose_write(&c, &out, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_true(out.n <= 50000);
    buf_clear(&out);
    free((char *)a.content.p);
}

static void html_texts(void **state)
{
    static const struct {
        const char *html, *text;
    } rows[] = {
        { "<p>Hello <b>there</b>,</p><p>bye</p>", "Hello there,\n\nbye\n" },
        { "a<br>b<br><br>c", "a\nb\n\nc\n" },
        { "<h1>Title</h1>text<div>one</div><div>two</div>", "Title\n\ntext\none\ntwo\n" },
        { "<ul><li>one<li>two<ol start=3><li>x</ol></ul>end", "- one\n- two\n  3. x\n\nend\n" },
        { "see <a href=\"https://a.test/?x=1&amp;y=2\">this</a>.", "see this <https://a.test/?x=1&y=2>.\n" },
        { "<a href='https://a.test/'>a.test</a> <a href=mailto:x@y.test>x@y.test</a>", "a.test x@y.test\n" },
        { "<a href='javascript:alert(1)'>x</a>", "x\n" },
        { "<img alt='a cat' src=x> <img src=y>", "a cat\n" },
        { "<table><tr><th>Item<th>Price<tr><td>Tea<td>3</table>", "Item | Price\nTea | 3\n" },
        { "<style>p{}</style><script>if (a</b) x()</script><title>t</title>x<!-- <p>y -->z", "xz\n" },
        { "&lt;b&gt; &amp;amp; &euro;&#8364;&#x20AC;&#128;&nbsp;x &unknown; & &#0;",
          "<b> &amp; €€€€ x &unknown; & \xEF\xBF\xBD\n" },
        { "<pre>a\n  b</pre>c", "a\n  b\n\nc\n" },
        { "<blockquote>said<br>so</blockquote>ok", "> said\n> so\n\nok\n" },
        { "1 < 2 <3 a<b", "1 < 2 <3 a\n" },
        { "x<script>never closed", "x\n" },
        { "x<!-- never closed", "x\n" },
        { "x<a href=\"never closed", "x\n" },
        { "", "" },
        { "aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa",
          "aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa\naaaaaaaaa aaaaaaaaa\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 1 << 16);
        html_to_text(bytes_of(rows[i].html), plenty, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].text));
        buf_clear(&out);
    }
}

static void snippets(void **state)
{
    static const struct {
        const char *text;
        size_t max;
        const char *want;
    } rows[] = {
        { "  a \r\n\t b\n", 100, "a b" },
        { "äöü", 5, "äö" },
        { "ab cd", 3, "ab" },
        { "\xC2\xA0\xE2\x80\x8B x\x07y", 100, "x y" },
        { "a\xFF", 100, "a\xEF\xBF\xBD" },
        { "", 10, "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 1024);
        text_snippet(bytes_of(rows[i].text), rows[i].max, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

static void received_lines(void **state)
{
    struct received r = { .helo = BYTES("x)\r\nEvil: y"),
                          .client_ip = BYTES("2001:db8::1"),
                          .host = BYTES("mx.example.org"),
                          .id = BYTES("msg_1"),
                          .for_address = BYTES("a@b.test"),
                          .with = "ESMTPS",
                          .tls_version = "TLSv1.3",
                          .tls_cipher = "TLS_AES_256_GCM_SHA384",
                          .tls_bits = 256,
                          .date = 1795254720000 };
    struct buf out;
    struct bytes rest;
    struct header h;

    (void)state;
    buf_init(&out, 4096);
    received_write(&r, &out);
    assert_bytes(buf_bytes(&out), BYTES("Received: from x???Evil:?y ([IPv6:2001:db8::1])\r\n"
                                        "\tby mx.example.org (Postrider) with ESMTPS id msg_1\r\n"
                                        "\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256)\r\n"
                                        "\tfor <a@b.test>;\r\n"
                                        "\tSat, 21 Nov 2026 09:52:00 +0000\r\n"));
    rest = buf_bytes(&out);
    assert_true(header_next(&rest, &h));
    assert_int_equal(rest.n, 0);
    assert_int_equal(header_date(h.value), r.date);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_plain_mail),
        ARENA_TEST(the_order_of_fields),
        ARENA_TEST(shapes),
        ARENA_TEST(shapes_with_amp_and_calendars),
        ARENA_TEST(texts),
        ARENA_TEST(attachments_are_exact),
        ARENA_TEST(a_mail_in_a_mail),
        ARENA_TEST(what_cannot_be_written),
        ARENA_TEST(the_size_is_bounded),
        ARENA_TEST(html_texts),
        ARENA_TEST(snippets),
        ARENA_TEST(received_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
