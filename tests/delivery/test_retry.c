/* delivery/retry.h */
#include "tests/base/check.h"

#include "delivery/retry.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define NOW    INT64_C(1700000000000)
#define STEPS  BYTES("1m,5m,10m,20m,30m,1h,2h,3h")

static struct retry_rules rules_of(struct bytes list)
{
    struct retry_rules rules;
    struct err e = { 0 };

    assert_true(retry_rules_read(list, &rules, &e));
    return rules;
}

static void lists_are_read(void **state)
{
    static const struct {
        const char *list;
        size_t n; /* 0: refused */
        int64_t last;
    } rows[] = {
        { "1m,5m,10m,20m,30m,1h,2h,3h", 8, 3 * HOUR },
        { "90", 1, 90 * SECOND },
        { " 10s , 1d", 2, 24 * HOUR },
        { "", 0, 0 },
        { "1m,", 1, MINUTE },
        { "1m,,2m", 0, 0 },
        { "9s", 0, 0 },
        { "2d", 0, 0 },
        { "1m,x", 0, 0 },
        { "-5m", 0, 0 },
        { "99999999999999999999h", 0, 0 },
        { "1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m,1m", 0, 0 },
    };
    struct retry_rules rules;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = { 0 };
        bool ok;

        rules = rules_of(BYTES("7m"));
        ok = retry_rules_read(bytes_of(rows[i].list), &rules, &e);

        if (ok != (rows[i].n > 0) ||
            (ok && (rules.steps.n != rows[i].n || rules.steps.ms[rules.steps.n - 1] != rows[i].last)))
            fail_msg("\"%s\": %d, %zu steps", rows[i].list, ok, rules.steps.n);
        if (!ok)
            assert_true(e.code == ERR_INVALID && strstr(e.message, "delivery.retry") && rules.steps.n == 1);
    }
}

static void each_deferral_waits_its_step(void **state)
{
    static const int minutes[] = { 1, 5, 10, 20, 30, 60, 120, 180, 180, 180 };
    struct retry_rules rules = rules_of(STEPS);

    (void)state;
    for (size_t n = 0; n < COUNT(minutes); n++) {
        int64_t least = INT64_MAX, most = 0;

        for (uint64_t hash = 0; hash < 500; hash++) {
            struct retry_in in = { .now = NOW, .n = (int64_t)n + 1, .hash = hash };
            int64_t wait = retry_at(&rules, &in) - NOW;

            assert_int_equal(wait, retry_at(&rules, &in) - NOW); /* the same whenever it is asked */
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_in_range(least, minutes[n] * MINUTE * 80 / 100, minutes[n] * MINUTE * 82 / 100);
        assert_in_range(most, minutes[n] * MINUTE * 118 / 100, minutes[n] * MINUTE * 120 / 100);
    }
}

static void hints_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t hint;
    } rows[] = {
        { "try again in 5 min", 5 * MINUTE },
        { "Please try again in 5 minutes.", 5 * MINUTE },
        { "Greylisted, please try again in 300 seconds", 300 * SECOND },
        { "retry after 60s", 60 * SECOND },
        { "Greylisting in action, please come back in 00:04:59", 4 * MINUTE + 59 * SECOND },
        { "You are rate limited; wait 5m30s", 5 * MINUTE + 30 * SECOND },
        { "Try again in 1 hour and 30 minutes", 90 * MINUTE },
        { "graylisted for 10 minutes", 10 * MINUTE },
        { "RETRY IN 2 HOURS", 2 * HOUR },
        { "try again in 1-minute", MINUTE },
        { "Try again later", 0 },
        { "timed out after 30 seconds", 0 },
        { "more than 100 messages in 60 minutes", 0 },
        { "try again, error 4711", 0 },
        { "try again in 0 seconds", 0 },
        { "try again in 99999999999999999999 hours", 0 },
        { "try again in 5 monkeys", 0 },
        { "see 12:30:99 and wait", 0 },
        { "wait", 0 },
        { "", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (retry_hint(bytes_of(rows[i].text)) != rows[i].hint)
            fail_msg("\"%s\": %lld", rows[i].text, (long long)retry_hint(bytes_of(rows[i].text)));
    assert_int_equal(retry_hint(NO_BYTES), 0);
}

static void what_moves_the_next_time(void **state)
{
    static const struct {
        struct retry_in in;
        int64_t least, most;
    } rows[] = {
        { { .n = 1, .text = BYTES_ROW("try again in 30 min") }, 30 * MINUTE, 32 * MINUTE },
        { { .n = 8, .text = BYTES_ROW("try again in 30 min") }, 144 * MINUTE, 216 * MINUTE }, /* later only */
        { { .n = 1, .text = BYTES_ROW("try again in 20 hours") }, 3 * HOUR, 3 * HOUR + 10 * MINUTE },
        { { .n = 1, .greylist = true }, 270 * SECOND, 330 * SECOND },
        { { .n = 1, .greylist = true, .text = BYTES_ROW("Greylisted, retry in 15 minutes") },
          15 * MINUTE,
          16 * MINUTE },
        { { .n = 1, .ambiguous = true }, 10 * MINUTE, 10 * MINUTE },
        { { .n = 6, .ambiguous = true }, 48 * MINUTE, 72 * MINUTE },
        { { .n = 8, .expires_at = NOW + HOUR }, HOUR, HOUR },
        { { .n = 0 }, 48 * SECOND, 72 * SECOND },
    };
    struct retry_rules rules = rules_of(STEPS);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (uint64_t hash = 0; hash < 100; hash++) {
            struct retry_in in = rows[i].in;
            int64_t wait = 0;

            in.now = NOW;
            in.hash = hash;
            wait = retry_at(&rules, &in) - NOW;
            if (wait < rows[i].least || wait > rows[i].most)
                fail_msg("row %zu: %lld", i, (long long)wait);
        }
}

static void rows_of_a_message_and_site_come_together(void **state)
{
    struct id a = { { 1 } }, b = { { 2 } };

    (void)state;
    assert_true(retry_hash(a, BYTES("x")) == retry_hash(a, BYTES("x")));
    assert_true(retry_hash(a, BYTES("x")) != retry_hash(a, BYTES("y")));
    assert_true(retry_hash(a, BYTES("x")) != retry_hash(b, BYTES("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(each_deferral_waits_its_step),
        cmocka_unit_test(hints_are_read),
        cmocka_unit_test(what_moves_the_next_time),
        cmocka_unit_test(rows_of_a_message_and_site_come_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
