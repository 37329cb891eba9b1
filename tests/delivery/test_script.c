/* The words of a dialogue: in order, with their times, bounded from both ends. */
#include "delivery/script.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *json_of(const struct script *s, struct arena *a)
{
    return arena_text(a, script_json(s, a));
}

static void words_stand_in_order(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct script s;

    (void)state;
    script_init(&s);
    script_begin(&s, 1000);
    assert_null(script_json(&s, a).p);
    script_add(&s, SCRIPT_IN, BYTES("220 \"hi\""), 1007);
    script_add(&s, SCRIPT_OUT, BYTES("EHLO x"), 1008);
    script_add(&s, SCRIPT_NOTE, BYTES("gone"), 1019);
    script_add(NULL, SCRIPT_OUT, BYTES("nobody wants to know"), 1);
    assert_string_equal(json_of(&s, a), "[{\"ms\":7,\"from\":\"peer\",\"text\":\"220 \\\"hi\\\"\"},"
                                        "{\"ms\":8,\"from\":\"us\",\"text\":\"EHLO x\"},"
                                        "{\"ms\":19,\"from\":\"note\",\"text\":\"gone\"}]");
    script_begin(&s, 2000);
    assert_null(script_json(&s, a).p);
    script_clear(&s);
    arena_free(&a);
}

/* Whatever is said, memory and answer stay small; the beginning and the end are there. */
static void a_long_one_keeps_both_ends(void **state)
{
    struct arena *a = arena_new(1 << 24);
    char line[3000], word[32];
    struct script s;
    const char *json;
    size_t n = 0;

    (void)state;
    memset(line, 'x', sizeof line);
    script_init(&s);
    script_begin(&s, 0);
    for (int i = 0; i < 5000; i++) {
        int length = snprintf(word, sizeof word, "line %d!", i);

        memcpy(line, word, (size_t)length);
        script_add(&s, SCRIPT_IN, (struct bytes){ line, (size_t)(i * 37 % 2500 + length) }, i);
        assert_true(s.head.n <= SCRIPT_KEPT && s.tail.n <= 2 * SCRIPT_KEPT && !s.tail.overflowed);
    }
    json = json_of(&s, a);
    assert_non_null(strstr(json, "line 0!"));
    assert_non_null(strstr(json, "line 4999!"));
    assert_non_null(strstr(json, "not kept"));
    assert_null(strstr(json, "line 2500!"));
    n = strlen(json);
    assert_true(n > SCRIPT_KEPT && n < 3 * SCRIPT_KEPT);
    script_clear(&s);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_stand_in_order),
        cmocka_unit_test(a_long_one_keeps_both_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
