/* Mail as a weapon: generated inputs, linear time, bounded memory. Each has a time limit far above what it takes (a
 * second under sanitizers) and far below what anything quadratic would. */
#include "tests/mail/shape.h"

#include "base/clock.h"
#include "mail/address.h"
#include "mail/build.h"
#include "tests/mail/plenty.h"

enum { LIMIT_MS = 4000, INDEX_MEMORY = 4 << 20 };

static void repeat(struct buf *b, const char *text, size_t times)
{
    buf_init(b, 128 << 20);
    for (size_t i = 0; i < times; i++)
        buf_adds(b, text);
}

static const struct mime_index *index_within(struct bytes message, struct arena *a)
{
    int64_t start = clock_monotonic();
    const struct mime_index *x = index_by(message, 65536, &roomy, a);

    if (clock_monotonic() - start > LIMIT_MS)
        fail_msg("%lld ms", (long long)(clock_monotonic() - start));
    assert_true(arena_used(a) < INDEX_MEMORY);
    return x;
}

static void depth(void **state)
{
    struct buf m;
    const struct mime_index *x = NULL;

    buf_init(&m, 16 << 20);
    for (int i = 0; i < 10000; i++)
        buf_addf(&m, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    x = index_within(buf_bytes(&m), *state);
    assert_int_equal(x->n, 101);
    assert_int_equal(x->parts[100].depth, 100);
    buf_clear(&m);
}

static void nested_boundaries_that_begin_alike(void **state)
{
    struct buf m;
    char name[900];

    memset(name, 'b', sizeof name);
    buf_init(&m, 64 << 20);
    for (int i = 0; i < 100; i++)
        buf_addf(&m, "Content-Type: multipart/mixed; boundary=%.*s%d\r\n\r\n--%.*s%d\r\n", (int)sizeof name, name, i,
                 (int)sizeof name, name, i);
    buf_adds(&m, "\r\n");
    for (int i = 0; i < 10000; i++)
        buf_addf(&m, "--%.*s\r\n", (int)sizeof name, name);
    index_within(buf_bytes(&m), *state);
    buf_clear(&m);
}

static void parts(void **state)
{
    struct buf m, rest;
    const struct mime_index *x = NULL;
    struct mime_view v;

    buf_init(&m, 16 << 20);
    buf_adds(&m, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    repeat(&rest, "--b\r\nContent-Type: image/png; name=x\r\n\r\nx\r\n", 100000);
    buf_add(&m, buf_bytes(&rest));
    x = index_within(buf_bytes(&m), *state);
    assert_int_equal(x->n, 1000);
    mime_view(x, *state, &v);
    assert_int_equal(v.n_attachments, 999);
    buf_clear(&m);
    buf_clear(&rest);
}

static void a_boundary_of_10_kilobytes(void **state)
{
    struct buf m;
    char name[10000];
    const struct mime_index *x = NULL;

    memset(name, 'b', sizeof name);
    buf_init(&m, 16 << 20);
    buf_addf(&m, "Content-Type: multipart/mixed; boundary=%.*s\r\n\r\n", (int)sizeof name, name);
    for (int i = 0; i < 100; i++)
        buf_addf(&m, "--%.*s\r\n\r\nx\r\n", (int)sizeof name, name);
    x = index_within(buf_bytes(&m), *state);
    assert_int_equal(x->n, 1);
    buf_clear(&m);
}

static void headers(void **state)
{
    struct buf m;
    struct header h;
    const struct mime_index *x = NULL;

    repeat(&m, "X-Header: some value that is of no use\r\n", 100000);
    buf_adds(&m, "\r\nbody");
    x = index_within(buf_bytes(&m), *state);
    assert_int_equal(x->header_fields, 100000);
    assert_true(x->header_cut);
    assert_int_equal(x->header.n, 1 << 20);
    assert_bytes(body_of(x, 0, buf_bytes(&m)), BYTES("body"));
    assert_false(header_find(buf_bytes(&m), "Subject", 0, &h));
    buf_clear(&m);
}

static void one_header_of_50_megabytes(void **state)
{
    struct buf m;
    const struct mime_index *x = NULL;

    repeat(&m, "Subject: 0123456789", 1);
    for (int i = 0; i < 50 << 10; i++)
        buf_addf(&m, "%1024d", i);
    buf_adds(&m, "\r\n\r\nbody");
    x = index_within(buf_bytes(&m), *state);
    assert_int_equal(x->header_fields, 1);
    assert_bytes(body_of(x, 0, buf_bytes(&m)), BYTES("body"));
    buf_clear(&m);
}

static void decode_within(const char *piece, size_t times, struct arena *a)
{
    struct buf value;
    int64_t start = clock_monotonic();

    repeat(&value, piece, times);
    assert_true(header_decode(buf_bytes(&value), plenty, a).n <= 3 * 65536);
    header_parameter(buf_bytes(&value), "name", plenty, a);
    header_token(buf_bytes(&value), a);
    header_date(buf_bytes(&value));
    if (clock_monotonic() - start > LIMIT_MS)
        fail_msg("\"%s\": %lld ms", piece, (long long)(clock_monotonic() - start));
    buf_clear(&value);
}

static void values(void **state)
{
    static const char *const pieces[] = {
        "=?utf-8?q?a?= ",
        "=?iso-8859-2?q?a?= =?koi8-r?q?a?= ",
        "=?a?q?",
        "=?",
        "=?iso-2022-jp?b?GyRC?=",
        ";name*1=a",
        "; name*0*=utf-8''a",
        "(",
        "((",
        "\"",
        ";",
        "\\",
        "; name=\"",
        "=",
        "'",
        " ",
        "\r\n ",
        "\xFF",
    };

    for (size_t i = 0; i < COUNT(pieces); i++)
        decode_within(pieces[i], 100000, *state);
}

static void pieces_of_a_parameter(void **state)
{
    struct buf value;

    buf_init(&value, 1 << 20);
    buf_adds(&value, "x");
    for (int i = 4999; i >= 0; i--)
        buf_addf(&value, ";n*%d=a", i);
    assert_int_equal(header_parameter(buf_bytes(&value), "n", plenty, *state).n, 5000);
    buf_clear(&value);
}

static void lists_within(const char *piece, struct arena *a)
{
    struct buf value;
    struct address_list list;
    int64_t start = clock_monotonic();

    repeat(&value, piece, 300000);
    address_list_parse(buf_bytes(&value), 1000000, plenty, a, &list);
    if (clock_monotonic() - start > LIMIT_MS)
        fail_msg("\"%s\": %lld ms", piece, (long long)(clock_monotonic() - start));
    buf_clear(&value);
}

static void lists(void **state)
{
    static const char *const pieces[] = { "a@b,", "(",  "()",   "<", ">",  "\"",     ":",        ";",
                                          "@",    "a:", "<@a,", "[", "\\", "\"a\" ", "a <a@b> ", "=?" };

    for (size_t i = 0; i < COUNT(pieces); i++) {
        arena_reset(*state);
        lists_within(pieces[i], *state);
    }
}

static void html_within(const char *piece)
{
    struct buf html, out;
    int64_t start = clock_monotonic();

    repeat(&html, piece, 200000);
    buf_init(&out, 16 << 20);
    html_to_text(buf_bytes(&html), plenty, &out);
    if (clock_monotonic() - start > LIMIT_MS)
        fail_msg("\"%s\": %lld ms", piece, (long long)(clock_monotonic() - start));
    buf_clear(&html);
    buf_clear(&out);
}

static void html(void **state)
{
    static const char *const pieces[] = { "<div>",
                                          "<b>",
                                          "<ul><li>",
                                          "<blockquote>x<br>",
                                          "<a href=x>",
                                          "<a href=http://x>y",
                                          "<!--",
                                          "<!",
                                          "<",
                                          "</",
                                          "&",
                                          "&#",
                                          "&#9999999999;",
                                          "<script>",
                                          "<x y=\"",
                                          "<x y='",
                                          "<pre>\n",
                                          "<table><tr><td>x",
                                          "x" };

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++)
        html_within(pieces[i]);
}

static void decoders(void **state)
{
    static const char *const pieces[] = { "=", "\r\n", "====A", " ", "=\r\n", "=  " };

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++)
        for (int encoding = 0; encoding < 3; encoding++) {
            struct mime_decoder d;
            struct buf in, out;

            repeat(&in, pieces[i], 1000000);
            buf_init(&out, 1 << 20);
            mime_decode_begin(&d, (enum mime_encoding)encoding);
            mime_decode(&d, buf_bytes(&in), &out);
            mime_decode_end(&d, &out);
            assert_true(out.n <= 1 << 20);
            buf_clear(&in);
            buf_clear(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(depth),    ARENA_TEST(nested_boundaries_that_begin_alike),
        ARENA_TEST(parts),    ARENA_TEST(a_boundary_of_10_kilobytes),
        ARENA_TEST(headers),  ARENA_TEST(one_header_of_50_megabytes),
        ARENA_TEST(values),   ARENA_TEST(pieces_of_a_parameter),
        ARENA_TEST(lists),    ARENA_TEST(html),
        ARENA_TEST(decoders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
