/* What an attempt looks like, in `last` and in events: an answer of ours, and all that a network can have said. */
#include "tests/mail/suite.h"

#include "service/queue/outcome.h"

#define NOW INT64_C(1795254720000) /* 2026-11-21T09:52:00Z */

static void is_text(struct bytes got, const char *want)
{
    if (!bytes_equal(got, bytes_of(want)))
        fail_msg("%.*s\nis not\n%s", SHOW(got), want);
}

static void an_answer_of_ours_names_no_network(void **state)
{
    struct verdict v = verdict_of(CAUSE_NO_USER, NOW);

    assert_int_equal(v.outcome, OUTCOME_BOUNCED);
    is_text(
        attempt_json(v.attempt, NOW, *state),
        "{\"at\":\"2026-11-21T09:52:00.000Z\",\"mx\":null,\"ip\":null,\"tls\":null,\"command\":null,\"code\":550,"
        "\"enhanced\":\"5.1.1\",\"text\":\"No such user\",\"cause\":\"unknown_user\",\"permanence\":\"permanent\"}");
}

static void what_a_network_said_is_all_there(void **state)
{
    struct attempt t = { .at = NOW + 1,
                         .mx = BYTES("mx.away.test"),
                         .ip = BYTES("192.0.2.1"),
                         .source = BYTES("west-1"),
                         .tls = BYTES("{\"version\":\"TLSv1.3\",\"verified\":true}"),
                         .command = BYTES("RCPT"),
                         .code = 421,
                         .enhanced = BYTES("4.7.0"),
                         .text = BYTES("slow \"down\""),
                         .cause = BYTES("rate"),
                         .permanence = BYTES("temporary"),
                         .rule = BYTES("away-rate"),
                         .delays = { .queue = 1, .connect = 20, .data = 300 } };

    is_text(attempt_json(&t, NOW, *state),
            "{\"at\":\"2026-11-21T09:52:00.001Z\",\"mx\":\"mx.away.test\",\"ip\":\"192.0.2.1\",\"source\":\"west-1\","
            "\"tls\":{\"version\":\"TLSv1.3\",\"verified\":true},\"command\":\"RCPT\",\"code\":421,"
            "\"enhanced\":\"4.7.0\",\"text\":\"slow \\\"down\\\"\",\"cause\":\"rate\",\"permanence\":\"temporary\","
            "\"rule\":\"away-rate\",\"delays\":{\"queue\":1,\"connect\":20,\"tls\":0,\"data\":300}}");
}

struct want {
    enum cause cause;
    const char *status;
    bool tried, final, due;
};

/* A delivery that leaves has its next time in send_at, local work in due_at. */
static void stands_so(const struct want *want, struct bytes flow, struct arena *a)
{
    struct delivery_row d = { .expires_at = NOW + 100000, .due_at = NOW - 1, .lease_until = NOW + 1 };
    struct verdict v = verdict_of(want->cause, NOW);
    bool waits = flow.p && strcmp(want->status, "held") != 0;

    d.flow = flow;
    outcome_apply(&d, &v, NOW, a);
    is_text(d.status, want->status);
    assert_int_equal(d.attempts, want->tried);
    assert_int_equal(d.final_at, want->final ? NOW : 0);
    assert_int_equal(d.lease_until, 0);
    assert_int_equal(d.due_at != 0, want->due && !flow.p);
    assert_int_equal(d.send_at != 0, want->due && waits);
    assert_int_equal(d.flow.p != NULL, want->due && waits);
}

static void where_each_leaves_a_delivery(void **state)
{
    static const struct want all[] = {
        { CAUSE_WAITS, "queued", false, false, true },
        { CAUSE_LEAVES, "queued", false, false, true },
        { CAUSE_FILED, "delivered", true, true, false },
        { CAUSE_SANDBOX, "captured", true, true, false },
        { CAUSE_NO_USER, "bounced", true, true, false },
        { CAUSE_MAILBOX_FULL, "bounced", true, true, false },
        { CAUSE_PLAYED_REFUSAL, "bounced", true, true, false },
        { CAUSE_PLAYED_DEFERRAL, "deferred", true, false, true },
        { CAUSE_TIME_OVER, "expired", false, true, false },
        { CAUSE_NO_TLS, "expired", false, true, false },
        { CAUSE_CANCELLED, "cancelled", false, true, false },
        { CAUSE_CONTENT_GONE, "failed", true, true, false },
        { CAUSE_SUPPRESSED, "suppressed", false, true, false },
        { CAUSE_FORWARDED, "delivered", true, true, false },
        { CAUSE_LOOP, "bounced", true, true, false },
        { CAUSE_UNVERIFIED, "bounced", true, true, false },
        { CAUSE_UNTRUSTED, "failed", true, true, false },
        { CAUSE_NO_SENDER, "failed", true, true, false },
        { CAUSE_STUCK, "held", true, false, true },
        { CAUSE_UNSIGNED, "held", true, false, true },
        { CAUSE_BY_HAND, "failed", false, true, false },
        { CAUSE_HELD, "held", false, false, true },
        { CAUSE_RELEASED, "queued", false, false, true },
    };

    assert_int_equal(COUNT(all), CAUSES);
    for (size_t i = 0; i < CAUSES; i++) {
        stands_so(&all[i], NO_BYTES, *state);
        stands_so(&all[i], BYTES("away.test/n/a/b"), *state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(an_answer_of_ours_names_no_network),
        ARENA_TEST(what_a_network_said_is_all_there),
        ARENA_TEST(where_each_leaves_a_delivery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
