/* The text of a mail off the wire, whole and cut at every place. */
#include "smtp/text.h"
#include "tests/base/check.h"

struct seen {
    struct buf kept;
};

static bool keep(void *ctx, struct bytes piece)
{
    buf_add(&((struct seen *)ctx)->kept, piece);
    return true;
}

struct row {
    struct bytes in, want, rest; /* rest: what is left behind the end */
    enum text_fault fault;
    bool ended;
};

#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
#define ROW(in, want, rest, fault, ended)                                                                              \
    {                                                                                                                  \
        TEXT(in), TEXT(want), TEXT(rest), fault, ended                                                                 \
    }

static const struct row rows[] = {
    ROW(".\r\n", "", "", TEXT_OK, true),
    ROW("a\r\n.\r\n", "a\r\n", "", TEXT_OK, true),
    ROW("a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", TEXT_OK, true),
    ROW("..\r\n.a\r\n...b\r\n.\r\n", ".\r\na\r\n..b\r\n", "", TEXT_OK, true),
    ROW("a.\r\n.\r\n", "a.\r\n", "", TEXT_OK, true),
    ROW("\r\n\r\n.\r\n", "\r\n\r\n", "", TEXT_OK, true),
    ROW("a\r\n.", "a\r\n", "", TEXT_OK, false),
    ROW("a\r\n.\r", "a\r\n", "", TEXT_OK, false),
    ROW("12345678\r\n.\r\n", "12345678\r\n", "", TEXT_OK, true),
    ROW("123456789\r\n.\r\n", "", "", TEXT_LONG, true),
    ROW("a\n.\n", "", "", TEXT_BARE, false),
    ROW("a\n.\r\n", "", "", TEXT_BARE, false),
    ROW("a\r\n.\nb\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\r\n.\rb\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\r\n.\r\r\nb\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\r.\r\nb\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\r\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("\n\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\0b\r\n.\r\n", "", "", TEXT_NUL, true),
    ROW("a\r\n\0\r\n.\r\nX", "", "X", TEXT_NUL, true),
};

/* Bare LF made CRLF. */
static const struct row mended[] = {
    ROW("a\nb\n\r\n.\r\n", "a\r\nb\r\n\r\n", "", TEXT_OK, true),
    ROW("a\n\nb\r\n.\r\nQUIT\r\n", "a\r\n\r\nb\r\n", "QUIT\r\n", TEXT_OK, true),
    ROW("a\n..\n..b\n.c\r\n.\r\n", "a\r\n.\r\n.b\r\nc\r\n", "", TEXT_OK, true),
    ROW("\n.\r\n.\r\n", "\r\n.\r\n", "", TEXT_OK, true),
    ROW("a\n.\nX\r\n.\r\n", "a\r\n.\r\nX\r\n", "", TEXT_OK, true),
    ROW("a\n.\r\nX\r\n.\r\n", "a\r\n.\r\nX\r\n", "", TEXT_OK, true),
    ROW("a\r\n.\nX\r\n.\r\n", "a\r\n.\r\nX\r\n", "", TEXT_OK, true),
    ROW("1234567\n12345678\n\r\n.\r\n", "1234567\r\n12345678\r\n\r\n", "", TEXT_OK, true),
    ROW("a\n123456789\n\r\n.\r\n", "", "", TEXT_LONG, true),
    ROW("a\nb\rc\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\n.\rX\n.\n\r\n.\r\n", "", "", TEXT_BARE, true),
    ROW("a\n\0\n.\n\r\n.\r\n", "", "", TEXT_NUL, true),
    ROW(".\r\n", "", "", TEXT_OK, true),
    ROW("a\n.\n", "a\r\n.\r\n", "", TEXT_OK, false),
};

static void check(const struct row *r, size_t cut, bool mend)
{
    struct seen seen;
    struct text t;
    size_t used = 0;

    buf_init(&seen.kept, 1024);
    text_init(&t, true, 8, keep, &seen);
    t.mend = mend;
    if (cut)
        used = text_read(&t, bytes_head(r->in, cut));
    if (!t.ended)
        used = cut + text_read(&t, bytes_from(r->in, cut));
    assert_int_equal(t.ended, r->ended);
    assert_int_equal(t.fault, r->fault);
    assert_int_equal(r->in.n - used, r->rest.n);
    if (r->fault == TEXT_OK)
        assert_true(bytes_equal(buf_bytes(&seen.kept), r->want));
    buf_clear(&seen.kept);
}

static void test_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t cut = 0; cut < rows[i].in.n; cut++)
            check(&rows[i], cut, false);
}

static void test_mended(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mended); i++)
        for (size_t cut = 0; cut < mended[i].in.n; cut++)
            check(&mended[i], cut, true);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct seen seen;
        struct text t;

        buf_init(&seen.kept, 1024);
        text_init(&t, true, 8, keep, &seen);
        for (size_t k = 0; k < rows[i].in.n && !t.ended; k++)
            text_read(&t, (struct bytes){ rows[i].in.p + k, 1 });
        assert_int_equal(t.fault, rows[i].fault);
        assert_int_equal(t.ended, rows[i].ended);
        if (t.fault == TEXT_OK)
            assert_true(bytes_equal(buf_bytes(&seen.kept), rows[i].want));
        buf_clear(&seen.kept);
    }
}

/* BDAT: no dots, no end, the same faults. */
static void test_chunks(void **state)
{
    static const struct row chunks[] = {
        ROW("a\r\n.\r\n..b\r\n", "a\r\n.\r\n..b\r\n", "", TEXT_OK, false),
        ROW("a\r\nb", "a\r\nb\r\n", "", TEXT_OK, false),
        ROW("a\r", "", "", TEXT_BARE, false),
        ROW("a\nb\r\n", "", "", TEXT_BARE, false),
        ROW("a\0\r\n", "", "", TEXT_NUL, false),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(chunks); i++) {
        struct seen seen;
        struct text t;

        buf_init(&seen.kept, 1024);
        text_init(&t, false, 8, keep, &seen);
        assert_int_equal(text_read(&t, chunks[i].in), chunks[i].in.n);
        text_end(&t);
        assert_int_equal(t.fault, chunks[i].fault);
        if (t.fault == TEXT_OK)
            assert_true(bytes_equal(buf_bytes(&seen.kept), chunks[i].want));
        buf_clear(&seen.kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_cut),
        cmocka_unit_test(test_mended),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
