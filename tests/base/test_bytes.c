/* base/bytes.h and base/arena.h */
#include "check.h"

#include "base/arena.h"
#include "base/budget.h"
#include <stdalign.h>

static void views_compare(void **state)
{
    (void)state;
    assert_true(bytes_equal(NO_BYTES, BYTES("")));
    assert_true(bytes_equal_nocase(BYTES("MAIL from"), BYTES("mail FROM")));
    assert_false(bytes_equal_nocase(BYTES("a"), BYTES("ab")));
    assert_false(bytes_equal_nocase(BYTES("@"), BYTES("`"))); /* only letters have a case */
    assert_true(bytes_starts(BYTES("abc"), BYTES("ab")));
    assert_false(bytes_starts(BYTES("a"), BYTES("ab")));
    assert_true(bytes_starts_nocase(BYTES("RCPT TO:"), BYTES("rcpt to")));
    assert_true(bytes_ends(BYTES("abc"), BYTES("bc")));
    assert_true(bytes_ends_nocase(BYTES("x.EML"), BYTES(".eml")));
    assert_false(bytes_ends(BYTES("c"), BYTES("bc")));
    assert_true(bytes_compare(BYTES("a"), BYTES("ab")) < 0);
    assert_true(bytes_compare(BYTES("b"), BYTES("ab")) > 0);
    assert_int_equal(bytes_compare(NO_BYTES, NO_BYTES), 0);
    assert_null(bytes_of(NULL).p);
}

static void views_are_cut(void **state)
{
    struct bytes head, rest;

    (void)state;
    assert_int_equal(bytes_find(BYTES("a@b@c"), '@'), 1);
    assert_int_equal(bytes_find_last(BYTES("a@b@c"), '@'), 3);
    assert_int_equal(bytes_find_last(BYTES("abc"), '@'), 3);
    assert_int_equal(bytes_find(NO_BYTES, '@'), 0);
    assert_bytes(bytes_from(BYTES("abc"), 1), BYTES("bc"));
    assert_bytes(bytes_from(BYTES("abc"), 9), BYTES(""));
    assert_null(bytes_from(NO_BYTES, 1).p);
    assert_bytes(bytes_head(BYTES("abc"), 2), BYTES("ab"));
    assert_bytes(bytes_head(BYTES("abc"), 9), BYTES("abc"));
    assert_bytes(bytes_trim(BYTES(" \t\r\n a b \r\n")), BYTES("a b"));
    assert_bytes(bytes_trim(BYTES(" \t ")), BYTES(""));
    assert_true(bytes_cut(BYTES("k=v=w"), '=', &head, &rest));
    assert_bytes(head, BYTES("k"));
    assert_bytes(rest, BYTES("v=w"));
    assert_true(bytes_cut(BYTES("k="), '=', &head, &rest));
    assert_non_null(rest.p);
    assert_false(bytes_cut(BYTES("k"), '=', &head, &rest));
    assert_bytes(head, BYTES("k"));
    assert_null(rest.p);
}

static void numbers_are_whole(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } good[] = { { "0", 0 },
                 { "-7", -7 },
                 { "+7", 7 },
                 { "007", 7 },
                 { "9223372036854775807", INT64_MAX },
                 { "-9223372036854775808", INT64_MIN } };
    static const char *const bad[] = { "",
                                       "-",
                                       "+",
                                       " 1",
                                       "1 ",
                                       "1x",
                                       "--1",
                                       "0x10",
                                       "1.0",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999" };
    int64_t n = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(bytes_to_int(bytes_of(good[i].text), &n));
        assert_true(n == good[i].want);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (bytes_to_int(bytes_of(bad[i]), &n))
            fail_msg("\"%s\" was read", bad[i]);
    assert_false(bytes_to_int(NO_BYTES, &n));
}

static void utf8_is_strict(void **state)
{
    static const char *const good[] = { "",
                                        "abc",
                                        "\xC3\xA9",
                                        "\xE2\x82\xAC",
                                        "\xF0\x9F\x98\x80",
                                        "\xF4\x8F\xBF\xBF",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80",
                                        "\xC2\x80" };
    static const char *const bad[] = {
        "\x80",         "\xC0\xAF",         "\xC1\xBF",         "\xE0\x80\xAF",     "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "\xC3",         "\xE2\x82",         "\xF0\x9F\x98",     "a\xC3(",           "\xE2(\xA1",
        "\xF0\x9F(\x80"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!bytes_is_utf8(bytes_of(good[i])))
            fail_msg("good %zu was refused", i);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (bytes_is_utf8(bytes_of(bad[i])))
            fail_msg("bad %zu was taken", i);
    assert_true(bytes_is_ascii(BYTES("a\0b")));
    assert_false(bytes_is_ascii(BYTES("\xC3\xA9")));
    for (int c = 0; c < 256; c++) /* at every place of and behind a word */
        for (size_t at = 0; at < 19; at++) {
            char text[20] = "abcdefghijklmnopqrs";

            text[at] = (char)c;
            assert_int_equal(bytes_is_ascii((struct bytes){ text, 19 }), c < 0x80);
            assert_int_equal(bytes_plain((struct bytes){ text, 19 }), c >= 0x20 && c < 0x7F ? 19 : at);
        }
    assert_int_equal(bytes_utf8_length(BYTES("\xE2\x82\xACx")), 3);
    assert_int_equal(bytes_utf8_run(BYTES("\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80x\xC3\xBC")), 9);
    assert_int_equal(bytes_utf8_run(BYTES("\xC3\xBC\xE2\x82")), 2);
    assert_int_equal(bytes_utf8_run(BYTES("\xC3\xBC\xC3")), 2);
    assert_int_equal(bytes_utf8_run(BYTES("x\xC3\xBC")), 0);
    assert_int_equal(bytes_utf8_run(BYTES("")), 0);
    assert_true(bytes_has_ctl_line(BYTES("a\0b")));
    assert_true(bytes_has_ctl_line(BYTES("a\rb")));
    assert_true(bytes_has_ctl_line(BYTES("a\n")));
    assert_false(bytes_has_ctl_line(BYTES("a\tb")));
}

static void a_buffer_stops_at_its_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    buf_adds(&b, "12345");
    buf_addc(&b, '6');
    buf_addf(&b, "%d", 789);
    assert_bytes(buf_bytes(&b), BYTES("123456789"));
    assert_false(b.overflowed);
    buf_adds(&b, "abc");
    assert_true(b.overflowed);
    assert_bytes(buf_bytes(&b), BYTES("123456789a"));
    assert_null(buf_room(&b, 1));
    buf_reset(&b);
    assert_false(b.overflowed);
    memcpy(buf_room(&b, 4), "wxyz", 4);
    buf_filled(&b, 4);
    buf_drop_front(&b, 1);
    assert_bytes(buf_bytes(&b), BYTES("xyz"));
    buf_clear(&b);
    assert_bytes(buf_bytes(&b), BYTES(""));
    buf_clear(&(struct buf){ 0 });
}

static void a_buffer_grows(void **state)
{
    struct buf b;
    char text[2000];

    (void)state;
    buf_init(&b, 1 << 20);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 500; i++)
        buf_add(&b, (struct bytes){ text, sizeof text });
    assert_int_equal(b.n, 1000000);
    buf_reset(&b);
    buf_addf(&b, "%.*s!", 1500, text); /* longer than the formatting keeps on the stack */
    assert_int_equal(b.n, 1501);
    assert_true(bytes_ends(buf_bytes(&b), BYTES("x!")));
    buf_clear(&b);
}

/* Notes each piece that a full buffer gives. */
static void note(struct buf *b)
{
    buf_add(b->ctx, buf_bytes(b));
    buf_addc(b->ctx, '|');
    buf_reset(b);
}

static void a_drained_buffer_gives_whole_pieces(void **state)
{
    struct buf b, pieces;

    (void)state;
    buf_init(&pieces, 100);
    buf_init_drained(&b, 4, note, &pieces);
    buf_adds(&b, "ab");
    buf_adds(&b, "cd");
    assert_int_equal(pieces.n, 0); /* full, but nothing more has come */
    buf_adds(&b, "efghijklm");
    buf_addf(&b, "%d", 1234);
    assert_bytes(buf_bytes(&pieces), BYTES("abcd|efgh|ijkl|m123|"));
    assert_bytes(buf_bytes(&b), BYTES("4"));
    assert_false(b.overflowed);
    buf_clear(&b);
    buf_clear(&pieces);
}

static void an_arena_hands_out_zeroed_memory(void **state)
{
    struct arena *a = arena_new(1 << 20);
    char *first = arena_alloc(a, 100);

    (void)state;
    memset(first, 'x', 100);
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    for (char *p = arena_alloc(a, 100), *end = p + 100; p < end; p++)
        assert_int_equal(*p, 0);
    for (int i = 0; i < 100; i++) {
        char *p = arena_alloc(a, (size_t)(i * 37));

        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
    }
    assert_non_null(arena_array(a, 10, 1000));
    arena_free(&a);
    assert_null(a);
    arena_free(&a);
}

static void an_arena_has_a_maximum(void **state)
{
    struct arena *a = arena_new(100000);

    (void)state;
    assert_non_null(arena_try(a, 90000));
    assert_null(arena_try(a, 20000));
    assert_null(arena_try(a, SIZE_MAX));
    assert_non_null(arena_try(a, 5000));
    arena_reset(a);
    assert_non_null(arena_try(a, 90000));
    arena_free(&a);
}

static void a_full_arena_is_remembered(void **state)
{
    struct arena *a = arena_new(100000);
    struct arena_mark before;
    struct err e = { 0 };

    (void)state;
    assert_non_null(arena_alloc(a, 90000));
    before = arena_mark(a);
    assert_true(arena_check(a, &e));
    memset(arena_alloc(a, 3000000), 'x', 3000000);
    assert_string_equal(arena_text(a, BYTES("still works")), "still works");
    assert_true(arena_full(a));
    assert_false(arena_check(a, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_null(arena_try(a, 1));
    arena_rewind(a, before);
    assert_false(arena_full(a));
    assert_non_null(arena_alloc(a, 20000));
    assert_true(arena_full(a));
    arena_reset(a);
    assert_false(arena_full(a));
    arena_free(&a);
}

static void a_budget_is_shared_and_given_back(void **state)
{
    struct budget door = { .name = "door", .above = &budget_process, .most = PARAM_smtp_memory_max };
    struct arena *a, *b;
    struct err e = { 0 };

    (void)state;
    params_init();
    assert_true(param_set(PARAM_smtp_memory_max, PARAM_FROM_FLAG, BYTES("8M"), &e));
    a = arena_new_in(&door, 64 << 20);
    b = arena_new_in(&door, 64 << 20);
    assert_non_null(arena_try(a, 6 << 20));
    assert_true(budget_used(&budget_process) >= 6 << 20);
    assert_null(arena_try(b, 6 << 20));
    assert_false(arena_refused(b, "It", &e));
    assert_int_equal(e.code, ERR_MEMORY);
    assert_null(arena_try(b, 65 << 20));
    assert_false(arena_refused(b, "It", &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_false(arena_full(b));
    memset(arena_alloc(b, 6 << 20), 'x', 6 << 20);
    assert_false(arena_check(b, &e));
    assert_int_equal(e.code, ERR_MEMORY);
    arena_free(&a);
    arena_reset(b);
    assert_true(arena_check(b, &e));
    assert_non_null(arena_try(b, 6 << 20));
    arena_free(&b);
    assert_int_equal(budget_used(&door), 0);
    assert_int_equal(budget_used(&budget_process), 0);
    params_free();
}

static void an_arena_goes_back_to_a_mark(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct arena_mark start = arena_mark(a), later;
    struct bytes kept;

    (void)state;
    assert_non_null(arena_alloc(a, 5000));
    arena_rewind(a, start);
    assert_int_equal(arena_used(a), 0);
    kept = arena_copy(a, BYTES("kept"));
    later = arena_mark(a);
    for (int i = 0; i < 1000; i++) {
        memset(arena_alloc(a, 3000), 'x', 3000);
        memset(arena_alloc(a, 300000), 'x', 300000);
        arena_rewind(a, later);
    }
    assert_int_equal(arena_used(a), later.used);
    assert_true(bytes_equal(kept, BYTES("kept")));
    assert_memory_equal(arena_alloc(a, 4), "\0\0\0\0", 4);
    arena_free(&a);
}

static void an_arena_keeps_text(void **state)
{
    struct arena *a = arena_new(1 << 20);
    char text[1000];
    struct bytes b = arena_copy(a, BYTES("a\0b"));

    (void)state;
    assert_bytes(b, BYTES("a\0b"));
    assert_int_equal(b.p[3], 0);
    assert_null(arena_copy(a, NO_BYTES).p);
    assert_string_equal(arena_text(a, NO_BYTES), "");
    assert_string_equal(arena_printf(a, "<%s@%d>", "x", 7), "<x@7>");
    memset(text, 'y', sizeof text);
    assert_int_equal(arena_bytesf(a, "%.*s", 1000, text).n, 1000);
    assert_bytes(arena_lower(a, BYTES("ABC@\xC3\x89Z")), BYTES("abc@\xC3\x89z"));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare),
        cmocka_unit_test(views_are_cut),
        cmocka_unit_test(numbers_are_whole),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(a_buffer_stops_at_its_maximum),
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(a_drained_buffer_gives_whole_pieces),
        cmocka_unit_test(an_arena_hands_out_zeroed_memory),
        cmocka_unit_test(an_arena_has_a_maximum),
        cmocka_unit_test(a_full_arena_is_remembered),
        cmocka_unit_test(a_budget_is_shared_and_given_back),
        cmocka_unit_test(an_arena_goes_back_to_a_mark),
        cmocka_unit_test(an_arena_keeps_text),
    };

    return cmocka_run_group_tests_name("base/bytes, base/arena", tests, NULL, NULL);
}
