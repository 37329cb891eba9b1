/* The strict reader of request heads: what it takes, what it refuses, and that pieces make no difference. */
#include "http/head.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct http_limits limits = { .head_max = 512, .fields_max = 8, .extension_max = 16, .trailer_max = 64 };

#define START "POST /x HTTP/1.1\r\n"
#define HOST  "Host: x\r\n"
#define ROW(text, result)                                                                                              \
    {                                                                                                                  \
        BYTES_ROW(text), result                                                                                        \
    }
static const struct {
    struct bytes in;
    enum http_result want;
} cases[] = {
    ROW(START HOST "\r\n", HTTP_WHOLE),
    ROW("\r\n\r\n" START HOST "\r\n", HTTP_WHOLE),
    ROW("GET / HTTP/1.0\r\n\r\n", HTTP_WHOLE),
    ROW("GET / HTTP/1.2\r\n" HOST "\r\n", HTTP_WHOLE),
    ROW("GET http://x:80/y HTTP/1.1\r\n" HOST "\r\n", HTTP_WHOLE),
    ROW("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_WHOLE),
    ROW("GET /\xC3\xBC HTTP/1.1\r\n" HOST "\r\n", HTTP_WHOLE),
    ROW(START HOST "A:\r\nB: \t b \t\r\nC:c\xFF\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: [::1]:8025\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: a_b.example:1\r\n\r\n", HTTP_WHOLE),
    ROW(START HOST "Content-Length: 35\r\n\r\n", HTTP_WHOLE),
    ROW(START HOST "Transfer-Encoding: Chunked\r\n\r\n", HTTP_WHOLE),
    ROW(START HOST, HTTP_MORE),
    ROW(START HOST "\r", HTTP_MORE),
    ROW("", HTTP_MORE),
    /* lines */
    ROW("GET / HTTP/1.1\nHost: x\n\n", HTTP_BAD),
    ROW(START "Host: x\n\r\n", HTTP_BAD),
    ROW(START HOST "\n", HTTP_BAD),
    ROW(START HOST "A: b\rc\r\n\r\n", HTTP_BAD),
    ROW(START HOST "A: b\r\r\n\r\n", HTTP_BAD),
    ROW(START " " HOST "\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length:\r\n 35\r\n\r\n", HTTP_BAD),
    ROW(START HOST "A: b\r\n\tc\r\n\r\n", HTTP_BAD),
    /* the request line */
    ROW("GET\r\n", HTTP_BAD),
    ROW("GET /\r\n", HTTP_BAD),
    ROW("GET / HTTP/1.1 \r\n", HTTP_BAD),
    ROW("GET  / HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET / http/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET / HTTP/1.1x\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET / HTTP/1,1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET / HTTP/2.0\r\n" HOST "\r\n", HTTP_VERSION),
    ROW("PRI * HTTP/2.0\r\n\r\n", HTTP_VERSION),
    ROW("G(T / HTTP/1.1\r\n", HTTP_BAD),
    ROW("\x16\x03\x01", HTTP_BAD),
    ROW("GET /a\0b HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET /a\rb HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET /a#b HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET a HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET * HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("CONNECT x:25 HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET http:///x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW("GET http://a@b/x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    /* names and values */
    ROW(START HOST "Content-Length : 35\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length\t: 35\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding : chunked\r\n\r\n", HTTP_BAD),
    ROW(START HOST ": x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "no colon\r\n\r\n", HTTP_BAD),
    ROW(START HOST "a(b: x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "a\0b: x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "a\xFF: x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "a: x\0y\r\n\r\n", HTTP_BAD),
    ROW(START HOST "a: \x7F\r\n\r\n", HTTP_BAD),
    /* Host */
    ROW(START "\r\n", HTTP_BAD),
    ROW(START HOST HOST "\r\n", HTTP_BAD),
    ROW(START "Host:\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x y\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x/y\r\n\r\n", HTTP_BAD),
    ROW(START "Host: a@x\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x:y\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1]x\r\n\r\n", HTTP_BAD),
    ROW("GET / HTTP/1.0\r\nHost: x y\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [zz]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: []\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [1:2:3]:80\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [127.0.0.1]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1%25eth0]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1/64]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [v.x]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [v1.]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [vg.x]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [v1.x%20]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: %\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x%z\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x%zz\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x%4\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x]\r\n\r\n", HTTP_BAD),
    ROW(START "Host: :80\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x:65536\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x:99999999999999999999\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x:+80\r\n\r\n", HTTP_BAD),
    ROW(START "Host: x:1:2\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1]80\r\n\r\n", HTTP_BAD),
    ROW(START "Host: [::1]:x\r\n\r\n", HTTP_BAD),
    ROW("GET http://[zz]/x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD),
    ROW(START "Host: [::ffff:192.0.2.1]\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: [v1F.a:b]:1\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: x:\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: x:65535\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: x:000080\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: a..b\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: a%2d~b:80\r\n\r\n", HTTP_WHOLE),
    ROW(START "Host: 192.0.2.1:80\r\n\r\n", HTTP_WHOLE),
    /* lengths and codings */
    ROW(START HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: 3, 3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: +3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: -3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: 0x3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: 3 5\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length:\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: 99999999999999999999\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked, identity\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: identity\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: xchunked\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: \x0B"
                   "chunked\r\n\r\n",
        HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked\0x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: chunked x\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding:\r\n\r\n", HTTP_BAD),
    ROW(START HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_UNSUPPORTED),
    ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD),
    /* sizes */
    ROW(START "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n" HOST "\r\n", HTTP_WHOLE),
    ROW(START "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\n" HOST "\r\n", HTTP_LARGE),
};
#define CASES (sizeof cases / sizeof *cases)

/* In pieces of `step`; what the scan took is parsed. */
static enum http_result read_head(struct bytes in, size_t step, struct arena *a, struct http_head *head)
{
    struct http_scan scan = { 0 };
    enum http_result result = HTTP_MORE;
    const char *why = NULL;

    for (size_t n = step; result == HTTP_MORE; n += step) {
        result = http_head_scan(&scan, bytes_head(in, n), &limits);
        if (n >= in.n)
            break;
    }
    if (result == HTTP_WHOLE)
        result = http_head_parse(bytes_head(in, scan.at), a, head, &why);
    else if (result != HTTP_MORE)
        assert_non_null(scan.why);
    return result;
}

static void test_cases(void **state)
{
    struct arena *a = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < CASES; i++)
        for (size_t step = 1; step < 600; step = step * 3 + 1) {
            struct http_head head;
            enum http_result result = read_head(cases[i].in, step, a, &head);

            if (result != cases[i].want)
                print_error("%.*s: %d\n", SHOW(cases[i].in), result);
            assert_int_equal(result, cases[i].want);
        }
    arena_free(&a);
}

static void test_size(void **state)
{
    char text[600];
    struct arena *a = arena_new(1 << 20);
    struct http_head head;

    (void)state;
    for (size_t pad = 512 - sizeof(START HOST "A: \r\n\r\n") + 1, i = 0; i < 2; i++, pad++) {
        int n = snprintf(text, sizeof text, START HOST "A: %0*d\r\n\r\n", (int)pad, 0);

        assert_int_equal(n, 512 + i);
        assert_int_equal(read_head((struct bytes){ text, (size_t)n }, 7, a, &head), i ? HTTP_LARGE : HTTP_WHOLE);
    }
    arena_free(&a);
}

static void test_parts(void **state)
{
    struct bytes in = BYTES("\r\nPOST /x?y HTTP/1.1\r\nHost: h\r\nA:\t b c \r\nExpect: 100-Continue\r\n"
                            "Content-Length: 0012\r\nConnection: x, Close\r\n\r\nGET /");
    struct arena *a = arena_new(1 << 20);
    struct http_head h;

    (void)state;
    assert_int_equal(read_head(in, in.n, a, &h), HTTP_WHOLE);
    assert_true(bytes_equal(h.method, BYTES("POST")) && bytes_equal(h.target, BYTES("/x?y")));
    assert_int_equal(h.n, 5);
    assert_true(bytes_equal(h.fields[1].name, BYTES("A")) && bytes_equal(h.fields[1].value, BYTES("b c")));
    assert_true(h.length == 12 && !h.chunked && h.expects && !h.keeps && h.minor == 1);
    in = BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(read_head(in, in.n, a, &h), HTTP_WHOLE);
    assert_true(h.length == -1 && h.keeps && !h.expects && h.minor == 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_size),
                                        cmocka_unit_test(test_parts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
