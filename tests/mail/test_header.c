/* mail/header.h: walking, decoding and writing header fields, dates, parameters */
#include "tests/mail/suite.h"

#include "base/clock.h"
#include "mail/header.h"
#include "tests/mail/plenty.h"

static const struct bytes sample = { "Received: one\r\nSubject: a\r\n b\r\nnonsense\r\nX-Old : c\r\nRECEIVED: two\n",
                                     66 };

static void fields_are_walked(void **state)
{
    struct bytes rest = bytes_of(sample.p);
    struct header h;

    (void)state;
    assert_true(header_next(&rest, &h));
    assert_bytes(h.name, BYTES("Received"));
    assert_true(header_next(&rest, &h));
    assert_bytes(h.value, BYTES("a\r\n b"));
    assert_bytes(h.whole, BYTES("Subject: a\r\n b\r\n"));
    assert_true(header_next(&rest, &h));
    assert_bytes(h.name, BYTES("X-Old"));
    assert_true(header_next(&rest, &h));
    assert_false(header_next(&rest, &h));
    assert_int_equal(header_count(bytes_of(sample.p), "received"), 2);
    assert_true(header_find(bytes_of(sample.p), "received", 1, &h));
    assert_bytes(h.value, BYTES("two"));
    assert_false(header_find(bytes_of(sample.p), "received", 2, &h));
}

static void the_end_is_found(void **state)
{
    (void)state;
    assert_int_equal(header_end(BYTES("A: b\r\n\r\nbody\r\n\r\n")), 6);
    assert_int_equal(header_end(BYTES("A: b\n\nbody")), 5);
    assert_int_equal(header_end(BYTES("\r\nbody")), 0);
    assert_int_equal(header_end(BYTES("A: b\r\n")), 6);
}

/* The same end is found whatever the pieces are, and not before it has come. */
static void the_end_of_what_comes_in_pieces(void **state)
{
    static const struct {
        const char *text;
        size_t end, known; /* offsets: of what is behind the header, and of what must have come to tell */
    } rows[] = {
        { "A: b\r\n\r\nbody\r\n\r\n", 8, 8 },
        { "A: b\n\nbody", 6, 6 },
        { "\r\nbody", 2, 2 },
        { "A: b\r\n c: d\r\n\r\n", 15, 15 },
        { "A: b\r\nno field\r\nC: d\r\n\r\n", 6, 16 },
        { "no field\r\n", 0, 10 },
        { "From x\r\nA: b\r\nFrom y\r\n", 14, 22 },
        { " \r\nA: b\r\n", 3, 3 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes text = bytes_of(rows[i].text);
        struct header_scan slow = { 0 }, fast = { 0 };
        size_t end = 0;

        for (size_t n = 0; n < rows[i].known; n++)
            assert_false(header_whole(&slow, bytes_head(text, n), &end));
        assert_true(header_whole(&slow, bytes_head(text, rows[i].known), &end));
        assert_int_equal(end, rows[i].end);
        assert_true(header_whole(&fast, text, &end));
        assert_int_equal(end, rows[i].end);
    }
}

/* Nobody waits for the end of a line that can be no field. */
static void a_long_line_ends_a_header(void **state)
{
    static char text[6 + HEADER_NAME_MAX + 1] = "A: b\r\n";
    struct header_scan s = { 0 };
    size_t end = 0;

    (void)state;
    memset(text + 6, 'x', sizeof text - 6);
    assert_false(header_whole(&s, (struct bytes){ text, 6 + HEADER_NAME_MAX - 1 }, &end));
    assert_true(header_whole(&s, (struct bytes){ text, sizeof text }, &end));
    assert_int_equal(end, 6);
}

static void values_are_decoded(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "plain", "plain" },
        { "a\r\n b\r\n\tc", "a b c" },
        { "a  b", "a  b" },
        { "=?utf-8?q?a_b=20c?=", "a b c" },
        { "=?UTF-8?B?w4E=?= x", "Á x" },
        { "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
        { "=?utf-8?q?a?=\r\n =?utf-8?b?Yg==?=", "ab" },
        { "=?utf-8?q?a?= b", "a b" },
        { "=?utf-8?q?=C3?= =?utf-8?q?=81?=", "Á" }, /* a character cut in two */
        { "=?iso-8859-1*en?q?=E9?=", "é" },
        { "=?windows-1252?q?=80?=", "€" },
        { "=?koi8-r?b?8NLJ18XU?=", "Привет" },
        { "=?iso-2022-jp?b?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは" },
        { "=?gb2312?b?xOO6ww==?=", "你好" },
        { "=?no-such?q?a=FFb?=", "aÿb" },
        { "=?WE8MSWIN1252?Q?=FC=80?=", "ü€" },
        { "=?../../etc/x?q?a?=", "a" },
        { "=?utf-8?q?=FF?=", "\xEF\xBF\xBD" },
        { "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
        { "=?utf-8?q?open", "=?utf-8?q?open" },
        { "=?iso-2022-jp?b?GyRCLSEycTVEGyhC?=", "①会議" },
        { "raw \xC3\xA9 \xE9", "raw é é" },
        { "", "" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_bytes(header_decode(bytes_of(rows[i].in), plenty, *state), bytes_of(rows[i].out));
}

static void parameters(void **state)
{
    static const struct {
        const char *value, *name, *out;
    } rows[] = {
        { "text/plain; charset=utf-8", "charset", "utf-8" },
        { "text/plain; CHARSET=\"us-ascii\" (Plain text)", "charset", "us-ascii" },
        { "text/plain; charset=us-ascii (Plain text)", "charset", "us-ascii" },
        { "x; a=\"b;c\\\"d\"; e=f", "e", "f" },
        { "x; a=\"b;c\\\"d\"; e=f", "a", "b;c\"d" },
        { "x; a=\"\"", "a", "" },
        { "x; filename=two words.txt; y=z", "filename", "two words.txt" },
        { "x; filename=report(1).pdf", "filename", "report(1).pdf" },
        { "x; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't "
          "it!\"",
          "title", "This is even more ***fun*** isn't it!" },
        { "x; a*1=c; a*0=b", "a", "bc" },
        { "x; a*1=b; a*2=c", "a", "bc" },
        { "x; a*0=b; a*0=c; a*1=d", "a", "bd" },
        { "x; a*0=\"=?utf-8?Q?=C3=84_one\"; a*1=\"_two?=\"", "a", "Ä one two" },
        { "x; a*0*=utf-8''%C3; a*1*=%84; a*2=\"=?utf-8?q?a?=\"", "a", "Ä=?utf-8?q?a?=" },
        { "x; filename=big report (1).pdf; size=1", "filename", "big report (1).pdf" },
        { "x; filename=sad :( face.pdf; size=1", "filename", "sad :( face.pdf" },
        { "x; filename=open ( it.pdf; size=1", "filename", "open ( it.pdf" },
        { "x; filename=12\" disk.pdf; size=1", "filename", "12\" disk.pdf" },
        { "x; filename=\"a\"b\".pdf\"; size=1", "filename", "a\"b\".pdf" },
        { "x; filename=\"open.pdf; size=1", "filename", "open.pdf" },
        { "x; filename=\"a\" (b)", "filename", "a" },
        { "x; a*0=b; a*2=d", "a", "b" },
        { "x; filename*=iso-8859-1'de'%e4.txt; filename=\"ae.txt\"", "filename", "ä.txt" },
        { "x; filename=\"=?utf-8?q?=C3=A4?=.txt\"", "filename", "ä.txt" },
        { "x; filename*=UTF-8''%F", "filename", "%F" },
        { "x", "charset", NULL },
        { "x; y", "y", NULL },
        { "x; charsets=y", "charset", NULL },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes out = header_parameter(bytes_of(rows[i].value), rows[i].name, plenty, *state);

        assert_int_equal(out.p == NULL, rows[i].out == NULL);
        assert_bytes(out, bytes_of(rows[i].out));
    }
    assert_bytes(header_token(BYTES("Text / (x) Plain ; a=b"), *state), BYTES("text/plain"));
}

static void dates(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: cannot be read */
    } rows[] = {
        { "Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T08:52:37.000Z" },
        { "21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06.000Z" },
        { "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T15:55:06.000Z" },
        { "Thu,\r\n 13\r\n Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-14T03:02:00.000Z" },
        { "01-Jan-2000 00:00:00 EST", "2000-01-01T05:00:00.000Z" },
        { "Fri Nov 21 09:55:06 1997", "1997-11-21T09:55:06.000Z" },
        { "29 Feb 2024 12:00 Z", "2024-02-29T12:00:00.000Z" },
        { "1 Jul 2003 10:00:00 +01:30", "2003-07-01T08:30:00.000Z" },
        { "1 Jul 2003 10:00:00 +02", "2003-07-01T08:00:00.000Z" },
        { "1 Jul 2003 10:00:00 +200", NULL },
        { "1 Jul 2003 10:00:00 -00300", NULL },
        { "1 Jul 2003 10:00:00 +0260", NULL },
        { "1 Jul 2003 10:00:00 +", NULL },
        { "1 Jul 20035 10:00:00 +0200", NULL },
        { "1 Jul 0003 10:00:00 +0200", NULL },
        { "1 Jul 1803 10:00:00 +0200", NULL },
        { "Tue Jul 1 10:00:00 20030", NULL },
        { "1 Jul 103 10:00:00 GMT", "2003-07-01T10:00:00.000Z" },
        { "29 Feb 2023 12:00 Z", NULL },
        { "1 Jul 2003", NULL },
        { "1 Foo 2003 10:00:00", NULL },
        { "1 Jul 2003 25:00:00", NULL },
        { "", NULL },
    };
    char text[CLOCK_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = header_date(bytes_of(rows[i].in));

        if (!rows[i].out)
            assert_int_equal(got, 0);
        else
            assert_bytes(clock_rfc3339(got, text), bytes_of(rows[i].out));
    }
}

static void assert_lines(struct bytes written)
{
    struct bytes line;

    assert_true(bytes_ends(written, BYTES("\r\n")));
    written.n -= 2;
    while (bytes_cut(written, '\n', &line, &written)) {
        assert_true(bytes_ends(line, BYTES("\r")));
        assert_true(written.n && written.p[0] == ' ');
        assert_true(line.n <= 999);
    }
    assert_true(bytes_find(line, '\r') == line.n && line.n <= 998);
}

static void round_trip(struct bytes value, struct arena *a)
{
    struct buf out;
    struct bytes rest;
    struct header h;

    buf_init(&out, 1 << 20);
    assert_true(header_write(&out, BYTES("Subject"), value));
    assert_lines(buf_bytes(&out));
    assert_true(bytes_is_ascii(buf_bytes(&out)));
    rest = buf_bytes(&out);
    assert_true(header_next(&rest, &h));
    assert_int_equal(rest.n, 0);
    assert_bytes(header_decode(h.value, plenty, a), value);
    buf_clear(&out);
}

static void what_is_written_is_read(void **state)
{
    static const char *const values[] = {
        "",
        " ",
        "x",
        "Hello",
        "two  spaces",
        " lead",
        "trail ",
        "tab\there",
        "=?utf-8?q?x?=",
        "a =?b",
        "Grüße",
        "a Grüße b",
        "日本語のとても長い件名です。日本語のとても長い件名です。日本語のとても長い件名です。",
        "A subject of many words that goes on and on until it has to be folded somewhere because it is long",
        "mostly plain words and then ünïcödé in the middle of the text, with more plain words behind it, folded",
        "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
        "\x01\x02\x1B[0m",
        "\xE2\x80\xA8line separator",
    };
    char longest[5000];

    for (size_t i = 0; i < COUNT(values); i++)
        round_trip(bytes_of(values[i]), *state);
    memset(longest, 'x', sizeof longest);
    round_trip((struct bytes){ longest, sizeof longest }, *state);
    memset(longest, ' ', sizeof longest);
    round_trip((struct bytes){ longest, sizeof longest }, *state);
}

static void wire_form(void **state)
{
    static const struct {
        const char *value, *want;
    } rows[] = {
        { "Grüße", "S: =?utf-8?B?R3LDvMOfZQ==?=\r\n" },
        { "Café au lait", "S: =?utf-8?B?Q2Fmw6k=?=\r\n au lait\r\n" },
        { "plain and Café and more", "S: plain and =?utf-8?B?Q2Fmw6k=?=\r\n and more\r\n" },
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_init(&out, 4096);
        assert_true(header_write(&out, BYTES("S"), bytes_of(rows[i].value)));
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

static void what_breaks_lines_is_refused(void **state)
{
    static const struct {
        struct bytes name, value;
    } rows[] = {
        { { "X", 1 }, { "a\r\nBcc: b", 9 } },
        { { "X", 1 }, { "a\nb", 3 } },
        { { "X", 1 }, { "a\rb", 3 } },
        { { "X", 1 }, { "a\0b", 3 } },
        { { "X:", 2 }, { "a", 1 } },
        { { "X Y", 3 }, { "a", 1 } },
        { { "", 0 }, { "a", 1 } },
        { { "X\r\nY", 4 }, { "a", 1 } },
        { { "\xC3\x84", 2 }, { "a", 1 } },
    };
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_false(header_write(&out, rows[i].name, rows[i].value));
        assert_false(header_write_raw(&out, rows[i].name, rows[i].value));
    }
    assert_int_equal(out.n, 0);
    buf_clear(&out);
}

static void raw_values_fold_at_space(void **state)
{
    struct buf value, out;
    struct bytes line, rest;

    (void)state;
    buf_init(&value, 1 << 16);
    buf_init(&out, 1 << 16);
    for (int i = 0; i < 100; i++)
        buf_addf(&value, "%s<id%d@example.org>", i ? " " : "", i);
    assert_true(header_write_raw(&out, BYTES("References"), buf_bytes(&value)));
    assert_lines(buf_bytes(&out));
    rest = buf_bytes(&out);
    while (bytes_cut(rest, '\n', &line, &rest))
        assert_true(line.n <= 78);
    buf_reset(&value);
    for (int i = 0; i < 1200; i++)
        buf_addc(&value, 'x');
    buf_reset(&out);
    assert_false(header_write_raw(&out, BYTES("X"), buf_bytes(&value)));
    assert_int_equal(out.n, 0);
    buf_clear(&value);
    buf_clear(&out);
}

/* One word of 990 octets stands on a line of its own; more cannot be written. */
static void long_words_in_clear(void **state)
{
    struct buf value, out;

    (void)state;
    buf_init(&value, 4096);
    buf_init(&out, 4096);
    for (int i = 0; i < 990; i++)
        buf_addc(&value, 'x');
    assert_true(header_fits_clear(buf_bytes(&value)));
    assert_true(header_write_raw(&out, BYTES("List-Unsubscribe"), buf_bytes(&value)));
    assert_true(bytes_starts(buf_bytes(&out), BYTES("List-Unsubscribe: \r\n xxx")));
    assert_lines(buf_bytes(&out));
    for (int i = 0; i < 20; i++)
        buf_addc(&value, 'x');
    assert_false(header_fits_clear(buf_bytes(&value)));
    assert_false(header_fits_clear(BYTES("\xC3\xA4")));
    buf_clear(&value);
    buf_clear(&out);
}

static void fields_are_written_by_their_form(void **state)
{
    static const struct {
        const char *name, *value, *line; /* NULL: refused */
    } rows[] = {
        { "X-A", "Jörg", "X-A: =?utf-8?B?SsO2cmc=?=\r\n" },
        { "Comments", "Jörg", "Comments: =?utf-8?B?SsO2cmc=?=\r\n" },
        { "X-List", "Jörg", "X-List: =?utf-8?B?SsO2cmc=?=\r\n" },
        { "Original-Subject", "Jörg", "Original-Subject: =?utf-8?B?SsO2cmc=?=\r\n" },
        { "mail-followup-to", "\"Jörg\" <j@far.test>", "mail-followup-to: =?utf-8?B?SsO2cmc=?= <j@far.test>\r\n" },
        { "Errors-To", "j@far.test (Jörg), \"A, B\" <k@bücher.test>",
          "Errors-To: =?utf-8?B?SsO2cmc=?= <j@far.test>, \"A, B\" <k@xn--bcher-kva.test>\r\n" },
        { "Mail-Reply-To", "\"A, B\" <j@far.test>", "Mail-Reply-To: \"A, B\" <j@far.test>\r\n" },
        { "Delivered-To", "jö@far.test", "Delivered-To: jö@far.test\r\n" }, /* as in To */
        { "X-Original-To", "j@bücher.test", "X-Original-To: j@xn--bcher-kva.test\r\n" },
        { "Errors-To", "<>", "Errors-To: <>\r\n" },
        { "Return-Receipt-To", "Jörg", NULL },
        { "Disposition-Notification-To", "j@far.test, Jörg", NULL },
        { "Apparently-To", "Jörg: j@far.test;", NULL },
        { "Mail-Followup-To", "\"Jörg\" <j@far.test>\r\nBcc: a@b", NULL },
        { "Errors-To", "a@b\r\nBcc: a@b", NULL },
        { "Newsgroups", "de.täst", NULL },
        { "Newsgroups", "de.test", "Newsgroups: de.test\r\n" },
        { "SOLICITATION", "test:ä", NULL },
        { "list-unsubscribe-post", "ä", NULL },
        { "Disposition-Notification-Options", "ä", NULL },
        { "Original-Recipient", "rfc822;ä@far.test", NULL },
        { "Cancel-Lock", "ä", NULL },
    };
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool ok = header_write_given(&out, bytes_of(rows[i].name), bytes_of(rows[i].value));

        if (ok != (rows[i].line != NULL))
            fail_msg("%s: %s", rows[i].name, rows[i].value);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].line ? rows[i].line : ""));
        buf_reset(&out);
    }
    buf_clear(&out);
}

static void media_types(void **state)
{
    static const struct {
        const char *type;
        bool ok, named;
    } rows[] = {
        { "text/plain", true, false },
        { "text/calendar; method=REQUEST; charset=\"UTF-8\"", true, false },
        { "a/b;c=d ;\tName=\"x\\\"y; z\"", true, true },
        { "a/b; x=\"name=y\"", true, false },
        { "a", false, false },
        { "a/b c", false, false },
        { "a/b;", false, false },
        { "a/b; c=", false, false },
        { "a/b; c=\"d", false, false },
        { "a/b; c=\"d\\", false, false },
        { "a/b; c=\"\r\n\"", false, false },
        { "a/b; c=d e", false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(media_type_ok(bytes_of(rows[i].type)), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(media_type_has(bytes_of(rows[i].type), "name"), rows[i].named);
    }
}

static void parameters_are_written(void **state)
{
    static const char *const values[] = {
        "a.txt",
        "two words.txt",
        "quo\"te\\.txt",
        "Größe.pdf",
        "",
        "a;b=c.txt",
        "a\r\nb.txt",
        "ein sehr langer Dateiname mit vielen Wörtern, damit er in mehrere Teile zerlegt werden muss.pdf",
        "文件文件文件文件文件文件文件文件.txt"
    };
    struct buf value, out;
    struct header h;
    struct bytes rest;

    for (size_t i = 0; i < COUNT(values); i++) {
        buf_init(&value, 4096);
        buf_init(&out, 4096);
        buf_adds(&value, "attachment");
        header_write_parameter(&value, "filename", bytes_of(values[i]));
        assert_true(header_write_raw(&out, BYTES("Content-Disposition"), buf_bytes(&value)));
        assert_lines(buf_bytes(&out));
        rest = buf_bytes(&out);
        assert_true(header_next(&rest, &h));
        assert_bytes(header_parameter(h.value, "filename", plenty, *state), bytes_of(values[i]));
        buf_clear(&value);
        buf_clear(&out);
    }
}

/* --- public suites --- */

/* Only the first field of a case is its value; the rest belongs to the suite's own interface. */
static struct bytes first_field(struct bytes in)
{
    for (size_t i = 0; i + 1 < in.n; i++)
        if (in.p[i] == '\n' && in.p[i + 1] != ' ' && in.p[i + 1] != '\t')
            return bytes_head(in, i);
    return in;
}

/* One reading differs: the suite puts a space between text and an encoded word that touches it ("[SPAM]" and then one);
 * RFC 2047 has no such space, so we add none. */
static void unstructured_stalwart(void **state)
{
    struct json_object *tests = suite_json("header-fields-stalwart/unstructured.json");

    for (size_t i = 0; i < json_object_array_length(tests); i++) {
        struct json_object *test = json_object_array_get_idx(tests, i);
        struct bytes in = bytes_trim(first_field(json_bytes(json_object_object_get(test, "header"))));
        struct bytes want = json_bytes(json_object_object_get(test, "expected")),
                     got = header_decode(in, plenty, *state);

        if (bytes_starts(in, BYTES("[SUSPECTED SPAM]=?")) || bytes_starts(in, BYTES("Some text =?utf-8?Q?")))
            continue;
        assert_bytes(got, want);
    }
    json_object_put(tests);
}

static int64_t part(struct json_object *o, const char *name)
{
    return json_object_get_int64(json_object_object_get(o, name));
}

/* Not read by us: months as numbers ("20 11 79", "4 8 15 16 23 42"), which RFC 5322 does not have. */
static void dates_stalwart(void **state)
{
    struct json_object *tests = suite_json("header-fields-stalwart/date.json");
    char text[CLOCK_TEXT];

    for (size_t i = 0; i < json_object_array_length(tests); i++) {
        struct json_object *test = json_object_array_get_idx(tests, i),
                           *want = json_object_object_get(test, "expected");
        struct bytes in = first_field(json_bytes(json_object_object_get(test, "header")));
        int64_t got = header_date(in), zone = want ? part(want, "tz_hour") * 60 + part(want, "tz_minute") : 0;

        if (bytes_starts(in, BYTES("20 11 (")) || bytes_starts(in, BYTES(" 4 8 15")))
            continue;
        if (!want) {
            if (got)
                fail_msg("read \"%.*s\"", SHOW(in));
            continue;
        }
        got += zone * (json_object_get_boolean(json_object_object_get(want, "tz_before_gmt")) ? -60000 : 60000);
        assert_bytes(bytes_head(clock_rfc3339(got, text), 19),
                     arena_bytesf(*state, "%04d-%02d-%02dT%02d:%02d:%02d", (int)part(want, "year"),
                                  (int)part(want, "month"), (int)part(want, "day"), (int)part(want, "hour"),
                                  (int)part(want, "minute"), (int)part(want, "second")));
    }
    json_object_put(tests);
}

static void naughty_strings(void **state)
{
    struct json_object *strings = suite_json("naughty-strings/blns.json");

    for (size_t i = 0; i < json_object_array_length(strings); i++) {
        struct bytes one = json_bytes(json_object_array_get_idx(strings, i));
        struct buf out;

        buf_init(&out, 1 << 20);
        if (bytes_has_ctl_line(one) || !bytes_is_utf8(one))
            assert_int_equal(header_write(&out, BYTES("X"), one), bytes_has_ctl_line(one) ? false : true);
        else
            round_trip(one, *state);
        buf_clear(&out);
    }
    json_object_put(strings);
}

/* The payloads as they are written are harmless text; percent-decoded once they break lines and are refused. */
static void crlf_payloads(void **state)
{
    struct buf file, out, raw;
    struct bytes rest, line;

    suite_read("injection-payloads/crlf.txt", &file);
    rest = buf_bytes(&file);
    buf_init(&out, 1 << 16);
    buf_init(&raw, 4096);
    while (bytes_cut(rest, '\n', &line, &rest)) {
        round_trip(bytes_trim(line), *state);
        buf_reset(&raw);
        for (size_t i = 0; i < line.n; i++) {
            char hex[3] = { i + 2 < line.n ? line.p[i + 1] : 'x', i + 2 < line.n ? line.p[i + 2] : 'x', 0 }, *end = hex;
            long c = line.p[i] == '%' ? strtol(hex, &end, 16) : 0;

            buf_addc(&raw, end == hex + 2 ? (char)c : line.p[i]);
            i += end == hex + 2 ? 2 : 0;
        }
        if (bytes_has_ctl_line(buf_bytes(&raw)))
            assert_false(header_write(&out, BYTES("X"), buf_bytes(&raw)));
    }
    assert_int_equal(out.n, 0);
    buf_clear(&file);
    buf_clear(&out);
    buf_clear(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(fields_are_walked),
        ARENA_TEST(the_end_is_found),
        cmocka_unit_test(the_end_of_what_comes_in_pieces),
        cmocka_unit_test(a_long_line_ends_a_header),
        ARENA_TEST(values_are_decoded),
        ARENA_TEST(parameters),
        ARENA_TEST(dates),
        ARENA_TEST(what_is_written_is_read),
        ARENA_TEST(wire_form),
        ARENA_TEST(what_breaks_lines_is_refused),
        ARENA_TEST(raw_values_fold_at_space),
        ARENA_TEST(long_words_in_clear),
        ARENA_TEST(fields_are_written_by_their_form),
        ARENA_TEST(media_types),
        ARENA_TEST(parameters_are_written),
        ARENA_TEST(unstructured_stalwart),
        ARENA_TEST(dates_stalwart),
        ARENA_TEST(naughty_strings),
        ARENA_TEST(crlf_payloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
