/* delivery/content.h */
#include "tests/base/check.h"

#include "delivery/content.h"
#include "tests/delivery/pieces.h"

static bool send_all(struct bytes trace, struct bytes body, size_t size, struct buf *out, struct err *e)
{
    struct pieces p = { body, size, 0 };
    struct wire w;
    struct bytes piece;

    buf_init(out, 1 << 20);
    wire_begin(&w, trace, (struct wire_source){ next_piece, NULL, &p });
    do {
        if (!wire_next(&w, &piece, e))
            return false;
        buf_add(out, piece);
    } while (piece.n);
    return true;
}

/* NULL: refused. The size is that of the text without what is doubled and the last dot. */
static const struct {
    const char *trace, *body, *want;
    int size;
} rows[] = {
    { "", "", ".\r\n", 0 },
    { "", "a\r\n", "a\r\n.\r\n", 3 },
    { "", "a", "a\r\n.\r\n", 3 },
    { "", "\r\n", "\r\n.\r\n", 2 },
    { "", ".\r\n", "..\r\n.\r\n", 3 },
    { "", ".", "..\r\n.\r\n", 3 },
    { "", "..\r\n", "...\r\n.\r\n", 4 },
    { "", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", 9 },
    { "", "a\r\n.b\r\n..c\r\n", "a\r\n..b\r\n...c\r\n.\r\n", 12 },
    { "", "a.b\r\n", "a.b\r\n.\r\n", 5 },
    { "T: x\r\n", ".\r\n", "T: x\r\n..\r\n.\r\n", 9 },
    { "T: x\r\n", "", "T: x\r\n.\r\n", 6 },
    { "", "a\nb\r\n", NULL, 0 },
    { "", "a\rb\r\n", NULL, 0 },
    { "", "\n", NULL, 0 },
    { "", "a\r", NULL, 0 },
    { "", "a\r\r\n", NULL, 0 },
    { "", "a\r\n\n", NULL, 0 },
    { "", "a\n.\r\n", NULL, 0 },
    { "T: x\n", "a\r\n", NULL, 0 },
    { "T: x\r", "\na\r\n", "T: x\r\na\r\n.\r\n", 9 },
};

static void text_is_made_fit_for_the_wire(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t size = 1; size <= 16; size++) {
            struct err e = { 0 };
            struct buf out;
            bool ok = send_all(bytes_of(rows[i].trace), bytes_of(rows[i].body), size, &out, &e);

            if (ok != (rows[i].want != NULL))
                fail_msg("row %zu, pieces of %zu: %s", i, size, e.message);
            if (ok)
                assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
            else
                assert_true(e.code == ERR_INVALID && bytes_find(buf_bytes(&out), '\0') == out.n);
            buf_clear(&out);
        }
}

static void its_size_is_known_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pieces p = { bytes_of(rows[i].body), 3, 0 };
        int64_t size = -1;
        struct err e = { 0 };

        if (!rows[i].want)
            continue;
        assert_true(wire_measure(bytes_of(rows[i].trace), (struct wire_source){ next_piece, NULL, &p }, &size, &e));
        if (size != rows[i].size)
            fail_msg("row %zu: %lld", i, (long long)size);
    }
}

static void nul_and_eight_bits_pass(void **state)
{
    struct err e = { 0 };
    struct buf out;

    (void)state;
    assert_true(send_all(NO_BYTES, BYTES("a\0\xFF\r\n"), 2, &out, &e));
    assert_bytes(buf_bytes(&out), BYTES("a\0\xFF\r\n.\r\n"));
    buf_clear(&out);
}

static void a_source_that_fails_ends_it(void **state)
{
    struct wire w;
    struct bytes piece;
    struct err e = { 0 };

    (void)state;
    wire_begin(&w, BYTES("T: x\r\n"), (struct wire_source){ broken, NULL, NULL });
    assert_true(wire_next(&w, &piece, &e));
    assert_false(wire_next(&w, &piece, &e));
    assert_int_equal(e.code, ERR_GONE);
}

static void chunks_are_left_as_they_are(void **state)
{
    static const char *const texts[][2] = { { "a\r\n.\r\n..b\r\n", "a\r\n.\r\n..b\r\n" },
                                            { ".a", ".a\r\n" },
                                            { "", "" } };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t size = 1; size <= 16; size++) {
            struct pieces p = { bytes_of(texts[i][0]), size, 0 };
            struct err e = { 0 };
            struct bytes piece;
            struct wire w;
            struct buf out;

            buf_init(&out, 1 << 20);
            wire_begin_chunked(&w, BYTES("T: x\r\n"), (struct wire_source){ next_piece, NULL, &p });
            do {
                assert_true(wire_next(&w, &piece, &e));
                buf_add(&out, piece);
            } while (piece.n);
            assert_bytes(bytes_from(buf_bytes(&out), 6), bytes_of(texts[i][1]));
            buf_clear(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_made_fit_for_the_wire), cmocka_unit_test(chunks_are_left_as_they_are),
        cmocka_unit_test(its_size_is_known_before),      cmocka_unit_test(nul_and_eight_bits_pass),
        cmocka_unit_test(a_source_that_fails_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
