/* mail/surrogate.h */
#include "tests/mail/suite.h"

#include "mail/surrogate.h"
#include "tests/mail/plenty.h"

#define NOBODY "<invalid@internationalized-address.invalid>"

static void fields(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "From: Ana <a@b.test>\r\nX:  y\r\n\r\n", "From: Ana <a@b.test>\r\nX:  y\r\n\r\n" },
        { "Subject: Grüße\r\n\r\n", "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\r\n" },
        { "From: Jörg <a@b.test>\r\n", "From: =?utf-8?B?SsO2cmc=?= <a@b.test>\r\n" },
        { "To: a@bücher.test, b@c.test\r\n", "To: a@xn--bcher-kva.test, b@c.test\r\n" },
        { "From: ü@b.test\r\n", "From: =?utf-8?B?w7xAYi50ZXN0?= " NOBODY "\r\n" },
        { "To: Ana <ü@b.test>, x@y.test\r\n", "To: =?utf-8?B?QW5hIMO8QGIudGVzdA==?=\r\n " NOBODY ", x@y.test\r\n" },
        { "Content-Type: text/plain; charset=utf-8;\r\n name=\"ü.txt\"\r\n",
          "Content-Type: text/plain; charset=utf-8; name*=utf-8''%C3%BC.txt\r\n" },
        { "Content-Description: ü\r\n", "Content-Description: =?utf-8?B?w7w=?=\r\n" },
        { "Received: by ü\r\nMessage-ID: <ü@x>\r\nX-U: ü\r\nSubject: z\r\n\r\n", "Subject: z\r\n\r\n" },
        { "\r\n", "\r\n" },
        { "", "" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 4096);
        surrogate_header(bytes_of(rows[i].in), plenty, *state, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].out));
        buf_clear(&out);
    }
}

/* Whatever comes in, no 8-bit octet comes out, and lines stay within 998 octets. */
static void all_is_ascii(void **state)
{
    struct buf in, out;
    struct bytes line, rest;

    buf_init(&in, 1 << 20);
    buf_init(&out, 16 << 20);
    for (int i = 0; i < 300; i++)
        buf_addf(&in, "%s: \xFFü%c\"<@\r\n \xC3;a=\xE2\x82\xAC, <x\xC3\xBC@y>%0*d\r\n",
                 (const char *[]){ "To", "Subject", "Content-Type", "X-A", "Content-Disposition" }[i % 5], 'a' + i % 26,
                 i * 7, i);
    surrogate_header(buf_bytes(&in), plenty, *state, &out);
    assert_true(out.n && !out.overflowed && bytes_is_ascii(buf_bytes(&out)));
    rest = buf_bytes(&out);
    while (bytes_cut(rest, '\n', &line, &rest))
        assert_in_range(line.n, 1, 999);
    buf_clear(&in);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(fields), ARENA_TEST(all_is_ascii) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
