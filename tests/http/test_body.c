/* How bodies are framed, and gzip; whole and octet by octet. */
#include "http/body.h"
#include "http/unpack.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static const struct http_limits limits = { .head_max = 512, .fields_max = 8, .extension_max = 16, .trailer_max = 64 };

#define ROW(text, result, body, rest)                                                                                  \
    {                                                                                                                  \
        BYTES_ROW(text), result, body, rest                                                                            \
    }
static const struct {
    struct bytes in;
    enum http_result want;
    const char *body;
    size_t rest; /* octets behind it */
} chunked[] = {
    ROW("0\r\n\r\n", HTTP_WHOLE, "", 0),
    ROW("3\r\nabc\r\n0\r\n\r\nGET", HTTP_WHOLE, "abc", 3),
    ROW("3\r\nabc\r\n00A\r\n0123456789\r\n000\r\n\r\n", HTTP_WHOLE, "abc0123456789", 0),
    ROW("3;a=b;c=\"d e\"\r\nabc\r\n0\r\n\r\n", HTTP_WHOLE, "abc", 0),
    ROW("3 ; a\r\nabc\r\n0\r\n\r\n", HTTP_WHOLE, "abc", 0),
    ROW("1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\n", HTTP_WHOLE, "a", 0),
    ROW("3\r\nab", HTTP_MORE, "ab", 0),
    ROW("zz\r\n", HTTP_BAD, "", 0),
    ROW("\r\n", HTTP_BAD, "", 0),
    ROW("-1\r\n", HTTP_BAD, "", 0),
    ROW("+1\r\n", HTTP_BAD, "", 0),
    ROW("0x3\r\nabc\r\n", HTTP_BAD, "", 0),
    ROW("0000000000000003\r\nabc\r\n", HTTP_BAD, "", 0),
    ROW("ffffffffffffffff\r\n", HTTP_BAD, "", 0),
    ROW("3\nabc\r\n0\r\n\r\n", HTTP_BAD, "", 0),
    ROW("3\rabc\r\n0\r\n\r\n", HTTP_BAD, "", 0),
    ROW("3 \r\nabc\r\n0\r\n\r\n", HTTP_BAD, "", 0),
    ROW("0\0"
        "35\r\n\r\n",
        HTTP_BAD, "", 0),
    ROW("3\r\nabc\n0\r\n\r\n", HTTP_BAD, "abc", 0),
    ROW("3\r\nabc\r0\r\n\r\n", HTTP_BAD, "abc", 0),
    ROW("3\r\nabcd\r\n0\r\n\r\n", HTTP_BAD, "abc", 0),
    ROW("3;\r\nabc\r\n", HTTP_BAD, "", 0),
    ROW("3;a\nabc\r\n", HTTP_BAD, "", 0),
    ROW("3;a\x01\r\nabc\r\n", HTTP_BAD, "", 0),
    ROW("3;a23456789abcdef\r\nabc\r\n0\r\n\r\n", HTTP_WHOLE, "abc", 0),
    ROW("3;a23456789abcdefg\r\nabc\r\n0\r\n\r\n", HTTP_BAD, "", 0),
    ROW("1;a2345678\r\na\r\n1;a2345678\r\nb\r\n", HTTP_BAD, "a", 0),
    ROW("0\r\n\n", HTTP_BAD, "", 0),
    ROW("0\r\n a: b\r\n\r\n", HTTP_BAD, "", 0),
    ROW("0\r\na : b\r\n\r\n", HTTP_BAD, "", 0),
    ROW("0\r\na: b\n\r\n", HTTP_BAD, "", 0),
    ROW("0\r\na: 123456789012345678901234567890123456789012345678901234567890\r\n\r\n", HTTP_LARGE, "", 0),
};

/* What comes out, octets arriving `step` at a time; *rest: of what is behind it. */
static enum http_result read_body(struct http_body *b, struct bytes in, size_t step, struct buf *out, size_t *rest)
{
    size_t at = 0, have = step;
    enum http_result result;

    for (;;) {
        struct bytes data;
        size_t used;

        result = http_body_next(b, bytes_from(bytes_head(in, have), at), &used, &data, &limits);
        buf_add(out, data);
        at += used;
        *rest = in.n - at;
        if (result != HTTP_MORE)
            return result;
        if (!used && have >= in.n)
            return result;
        have += used ? 0 : step;
    }
}

static void test_chunks(void **state)
{
    const struct http_head head = { .length = -1, .chunked = true };

    (void)state;
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
        for (size_t step = 1; step < 200; step = step * 4 + 1) {
            struct http_body b;
            struct buf out;
            size_t rest;
            enum http_result result;

            buf_init(&out, 1000);
            http_body_init(&b, &head);
            result = read_body(&b, chunked[i].in, step, &out, &rest);
            if (result != chunked[i].want || !bytes_equal(buf_bytes(&out), bytes_of(chunked[i].body)))
                print_error("%.*s: %d %.*s\n", SHOW(chunked[i].in), result, SHOW(buf_bytes(&out)));
            assert_int_equal(result, chunked[i].want);
            assert_int_equal(out.n, strlen(chunked[i].body));
            assert_memory_equal(out.p ? out.p : "", chunked[i].body, out.n);
            if (result == HTTP_WHOLE)
                assert_int_equal(rest, chunked[i].rest);
            buf_clear(&out);
        }
}

static void test_length(void **state)
{
    const struct http_head none = { .length = -1 }, zero = { .length = 0 }, five = { .length = 5 };
    struct http_body b;
    struct buf out;
    size_t rest;

    (void)state;
    buf_init(&out, 100);
    http_body_init(&b, &none);
    assert_true(http_body_ended(&b));
    http_body_init(&b, &zero);
    assert_int_equal(read_body(&b, BYTES("GET"), 3, &out, &rest), HTTP_WHOLE);
    assert_int_equal(rest, 3);
    http_body_init(&b, &five);
    assert_int_equal(read_body(&b, BYTES("ab"), 1, &out, &rest), HTTP_MORE);
    assert_int_equal(read_body(&b, BYTES("cdeGET"), 2, &out, &rest), HTTP_WHOLE);
    assert_int_equal(rest, 3);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("abcde")));
    buf_clear(&out);
}

/* ---- gzip ---- */

static struct buf pack(struct bytes text)
{
    z_stream z = { 0 };
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text.p;
    z.avail_in = (unsigned)text.n;
    z.next_out = (unsigned char *)buf_room(&out, 1 << 19);
    z.avail_out = 1 << 19;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_filled(&out, (1 << 19) - z.avail_out);
    deflateEnd(&z);
    return out;
}

/* The error, or ERR_NONE. */
static enum err_code unpack_all(struct bytes packed, size_t step, size_t ratio, size_t free_size, struct buf *out)
{
    struct unpack *u = unpack_new(ratio, free_size);
    struct err e = { 0 };
    bool good = true;

    for (size_t at = 0; good && at < packed.n; at += step) {
        struct bytes in = bytes_head(bytes_from(packed, at), step), piece;

        while ((good = unpack_next(u, &in, &piece, &e)) && piece.n)
            buf_add(out, piece);
    }
    if (good)
        unpack_end(u, &e);
    unpack_free(&u);
    return e.code;
}

static void test_gzip(void **state)
{
    static char text[200000];
    struct buf packed, out;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i / 7 % 26);
    packed = pack((struct bytes){ text, sizeof text });
    buf_init(&out, 1 << 20);
    for (size_t step = 1; step < 2 * packed.n; step = step * 9 + 1) {
        buf_reset(&out);
        assert_int_equal(unpack_all(buf_bytes(&packed), step, 100, 1 << 20, &out), ERR_NONE);
        assert_int_equal(out.n, sizeof text);
        assert_memory_equal(out.p, text, sizeof text);
    }
    assert_int_equal(unpack_all(bytes_head(buf_bytes(&packed), packed.n - 1), 1000, 100, 1 << 20, &out), ERR_BAD_JSON);
    assert_int_equal(unpack_all(BYTES("{\"a\":1}"), 1000, 100, 1 << 20, &out), ERR_BAD_JSON);
    buf_add(&packed, (struct bytes){ packed.p, packed.n }); /* two members */
    buf_reset(&out);
    assert_int_equal(unpack_all(buf_bytes(&packed), 1000, 100, 1 << 20, &out), ERR_NONE);
    assert_int_equal(out.n, 2 * sizeof text);
    buf_addc(&packed, 'x');
    assert_int_equal(unpack_all(buf_bytes(&packed), 1000, 100, 1 << 20, &out), ERR_BAD_JSON);
    buf_clear(&packed);
    buf_clear(&out);
}

static void test_bomb(void **state)
{
    static char zeros[400000];
    struct buf packed = pack((struct bytes){ zeros, sizeof zeros }), out;

    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(unpack_all(buf_bytes(&packed), 1000, 100, 1000, &out), ERR_TOO_LARGE);
    assert_true(out.n < 200000);
    buf_reset(&out);
    assert_int_equal(unpack_all(buf_bytes(&packed), 1000, 100, 1 << 20, &out), ERR_NONE);
    buf_clear(&packed);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_chunks), cmocka_unit_test(test_length),
                                        cmocka_unit_test(test_gzip), cmocka_unit_test(test_bomb) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
