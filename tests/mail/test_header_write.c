/* mail/header.h: fields and parameters that we write are lines of the right length, come back as they were, and never
 * begin another field. */
#include "tests/mail/suite.h"

#include "mail/header.h"
#include "tests/mail/plenty.h"

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
        ARENA_TEST(what_is_written_is_read),
        ARENA_TEST(wire_form),
        ARENA_TEST(what_breaks_lines_is_refused),
        ARENA_TEST(raw_values_fold_at_space),
        ARENA_TEST(long_words_in_clear),
        ARENA_TEST(fields_are_written_by_their_form),
        ARENA_TEST(parameters_are_written),
        ARENA_TEST(naughty_strings),
        ARENA_TEST(crlf_payloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
