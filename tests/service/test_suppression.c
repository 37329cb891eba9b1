/* Suppressions at the store: what is added, which of two stays, whom it keeps from being sent to, and when it is asked.
 */
#include "service/queue/suppression.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static struct suppression_create_out added(struct world *w, const char *email, const char *reason, int64_t expires)
{
    const struct suppression_row row = { .email = bytes_of(email), .reason = bytes_of(reason), .expires_at = expires };
    const struct suppression_create_in in = { .rows = &row, .n = 1 };
    struct suppression_create_out out;

    must(&w->c, suppression_create(&w->c, &in, &out));
    return out;
}

static struct suppression_check_out checked(struct world *w, const char *email)
{
    const struct suppression_check_in in = { .email = bytes_of(email) };
    struct suppression_check_out out;

    must(&w->c, suppression_check(&w->c, &in, &out));
    return out;
}

static int64_t removed(struct world *w, const char *email)
{
    const struct bytes one = bytes_of(email);
    const struct suppression_remove_in in = { .emails = &one, .n = 1 };
    struct suppression_remove_out out;

    must(&w->c, suppression_remove(&w->c, &in, &out));
    return out.removed;
}

static size_t told(struct world *w, const char *type, const char *email)
{
    struct event_row *list;
    size_t n = events_by(w, "account", "account_id", w->account, &list), found = 0;

    for (size_t i = 0; i < n; i++)
        found += bytes_equal(list[i].type, bytes_of(type)) && bytes_equal(list[i].email, bytes_of(email));
    return found;
}

/* ---- the list ---- */

static void an_address_is_the_same_without_case(void **state)
{
    struct world *w = *state;
    struct suppression_create_out out = added(w, "Ana.Lopez@Far.Test", NULL, 0);

    assert_int_equal(out.added, 1);
    assert_bytes(out.rows[0].email, BYTES("ana.lopez@far.test"));
    assert_bytes(out.rows[0].reason, BYTES("manual"));
    assert_int_equal(added(w, "ana.LOPEZ@far.test", NULL, 0).added, 0);
    assert_true(checked(w, "ANA.lopez@FAR.TEST").suppressed);
    assert_false(checked(w, "ana@far.test").suppressed);
    assert_int_equal(told(w, "suppression.created", "ana.lopez@far.test"), 1);
    assert_int_equal(removed(w, "aNa.lopez@far.test"), 1);
    assert_int_equal(removed(w, "aNa.lopez@far.test"), 0);
    assert_int_equal(told(w, "suppression.deleted", "ana.lopez@far.test"), 1);
    assert_false(checked(w, "ana.lopez@far.test").suppressed);
}

static void the_stronger_reason_stays(void **state)
{
    static const char *const by_strength[] = { "import", "manual", "bounce", "unsubscribe", "complaint" };
    struct world *w = *state;

    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            char *email = arena_printf(w->arena, "a%d%d@far.test", i, j);

            added(w, email, by_strength[i], 0);
            assert_bytes(added(w, email, by_strength[j], 0).rows[0].reason, bytes_of(by_strength[i > j ? i : j]));
            assert_bytes(checked(w, email).rows[0].reason, bytes_of(by_strength[i > j ? i : j]));
        }
}

static void the_later_end_stays(void **state)
{
    struct world *w = *state;
    int64_t soon = clock_wall() + 60000, later = soon + 60000;

    added(w, "a@far.test", "bounce", soon);
    assert_int_equal(added(w, "a@far.test", "manual", later).rows[0].expires_at, later);
    assert_bytes(checked(w, "a@far.test").rows[0].reason, BYTES("bounce"));
    assert_int_equal(checked(w, "a@far.test").rows[0].expires_at, later);
    added(w, "a@far.test", "complaint", soon);
    assert_bytes(checked(w, "a@far.test").rows[0].reason, BYTES("complaint"));
    assert_int_equal(checked(w, "a@far.test").rows[0].expires_at, later);
    added(w, "a@far.test", "import", 0);
    assert_int_equal(checked(w, "a@far.test").rows[0].expires_at, 0);
    added(w, "a@far.test", "import", soon);
    assert_int_equal(checked(w, "a@far.test").rows[0].expires_at, 0);
}

/* The rows of the kind are found by what they are of: made older there, one is past its time. */
static void expire(struct world *w, const char *email)
{
    struct batch *b = batch_new(w->arena);
    struct set past = SET("expires_at", V_TIME(clock_wall() - 1));

    batch_update(b, &suppression_kind, checked(w, email).rows[0].id, NULL, 0, &past, 1);
    commit(w, b);
}

static void what_has_expired_does_not_count(void **state)
{
    struct world *w = *state;

    added(w, "a@far.test", "complaint", 0);
    added(w, "b@far.test", "complaint", 0);
    expire(w, "a@far.test");
    expire(w, "b@far.test");
    assert_int_equal(checked(w, "a@far.test").n, 0);
    assert_int_equal(added(w, "a@far.test", "manual", 0).added, 1); /* a new one, and no weaker one */
    assert_bytes(checked(w, "a@far.test").rows[0].reason, BYTES("manual"));
    assert_int_equal(sweep(w), 1);
    assert_true(checked(w, "a@far.test").suppressed);
}

static void many_are_added_together_or_not_at_all(void **state)
{
    struct world *w = *state;
    const struct suppression_row rows[] = { { .email = BYTES_ROW("a@far.test") },
                                            { .email = BYTES_ROW("A@far.test"), .reason = BYTES_ROW("complaint") },
                                            { .email = BYTES_ROW("a@far.test"), .topic = BYTES_ROW("news") } };
    struct suppression_create_in in = { .rows = rows, .n = 3, .many = true };
    struct suppression_row bad[] = {
        { .email = BYTES_ROW("b@far.test") },
        { .email = BYTES_ROW("no address"), .reason = BYTES_ROW("whim") },
        { .email = BYTES_ROW("b@far.test"), .reason = BYTES_ROW("bounce"), .topic = BYTES_ROW("news"), .expires_at = 1 }
    };
    static const char *const pointers[] = { "/data/1/email", "/data/1/reason", "/data/2/reason", "/data/2/expires_at" };
    struct suppression_create_out out;

    must(&w->c, suppression_create(&w->c, &in, &out));
    assert_int_equal(out.added, 2);
    assert_int_equal(checked(w, "a@far.test").n, 2);
    assert_bytes(out.rows[1].reason, BYTES("complaint"));
    in = (struct suppression_create_in){ .rows = bad, .n = 3, .many = true };
    must_fail(&w->c, suppression_create(&w->c, &in, &out), ERR_INVALID);
    assert_int_equal(w->c.n_faults, 4);
    for (size_t i = 0; i < 4; i++)
        assert_bytes(w->c.faults[i].pointer, bytes_of(pointers[i]));
    act(w, &w->key, "api");
    assert_int_equal(checked(w, "b@far.test").n, 0);
    assert_int_equal(removed(w, "a@far.test"), 2);
}

static void lists_are_the_accounts_own(void **state)
{
    struct world *w = *state;
    struct suppression_list_in in = { .page = { .limit = 2 } };
    struct suppression_list_out out;
    struct suppression_row row;
    struct id domain = id_new();
    struct bytes id;

    for (int i = 0; i < 5; i++)
        added(w, arena_printf(w->arena, "a%d@far.test", i), i % 2 ? "bounce" : NULL, 0);
    must(&w->c, suppression_list(&w->c, &in, &out));
    assert_int_equal(out.n, 2);
    assert_true(out.page.has_more);
    in.page = (struct page){ .limit = 100 };
    in.reason = BYTES("bounce");
    must(&w->c, suppression_list(&w->c, &in, &out));
    assert_int_equal(out.n, 2);
    in.reason = NO_BYTES;
    in.email = BYTES("A3@far.test");
    must(&w->c, suppression_list(&w->c, &in, &out));
    assert_int_equal(out.n, 1);
    id = id_of(w, &suppression_kind, out.rows[0].id);
    act(w, &w->other_key, "api");
    in = (struct suppression_list_in){ .page = { .limit = 100 } };
    must(&w->c, suppression_list(&w->c, &in, &out));
    assert_int_equal(out.n, 0);
    must_fail(&w->c, suppression_get(&w->c, &(struct suppression_get_in){ id }, &row), ERR_MISSING);
    must_fail(&w->c, suppression_delete(&w->c, &(struct suppression_delete_in){ id }, NULL), ERR_MISSING);
    act(w, &w->test_key, "api");
    must_fail(&w->c, suppression_list(&w->c, &in, &out), ERR_SCOPE);
    w->key.domain_ids = &domain;
    w->key.n_domain_ids = 1;
    act(w, &w->key, "api");
    must_fail(&w->c, suppression_list(&w->c, &in, &out), ERR_SCOPE);
    w->key.n_domain_ids = 0;
    must(&w->c, suppression_get(&w->c, &(struct suppression_get_in){ id }, &row));
    must(&w->c, suppression_delete(&w->c, &(struct suppression_delete_in){ id }, NULL));
    must_fail(&w->c, suppression_get(&w->c, &(struct suppression_get_in){ id }, &row), ERR_MISSING);
}

/* ---- two at once ---- */

static struct suppressing bounce_of(struct world *w, const char *email, enum suppression_reason reason)
{
    return (struct suppressing){ .account_id = w->account, .email = bytes_of(email), .reason = reason };
}

/* Both have looked before either writes. */
static void of_two_that_meet_the_stronger_stays(void **state)
{
    struct world *w = *state;
    struct suppressing *list = arena_array(w->arena, 4, sizeof *list);
    struct err e = { 0 };

    list[0] = bounce_of(w, "a@far.test", SUPPRESSED_COMPLAINT);
    list[1] = bounce_of(w, "a@far.test", SUPPRESSED_BOUNCE);
    list[2] = bounce_of(w, "b@far.test", SUPPRESSED_BOUNCE);
    list[3] = bounce_of(w, "b@far.test", SUPPRESSED_COMPLAINT);
    for (int i = 0; i < 4; i++)
        assert_true(suppression_look(w->svc, w->arena, &list[i], 1, &e));
    for (int i = 0; i < 4; i++) {
        struct batch *b = batch_new(w->arena);

        suppression_add(b, w->arena, &list[i]);
        commit(w, b);
    }
    assert_bytes(checked(w, "a@far.test").rows[0].reason, BYTES("complaint"));
    assert_bytes(checked(w, "b@far.test").rows[0].reason, BYTES("complaint"));
}

/* One that is past its time is begun anew, unless somebody else has done it meanwhile. */
static void what_is_past_is_written_anew(void **state)
{
    struct world *w = *state;
    struct suppressing *list = arena_array(w->arena, 2, sizeof *list);
    struct err e = { 0 };

    added(w, "a@far.test", "complaint", 0);
    expire(w, "a@far.test");
    for (int i = 0; i < 2; i++) {
        struct batch *b = batch_new(w->arena);

        list[i] = bounce_of(w, "a@far.test", SUPPRESSED_BOUNCE);
        assert_true(suppression_look(w->svc, w->arena, &list[i], 1, &e));
        assert_int_equal(list[i].adds, i == 0);
        suppression_add(b, w->arena, &list[i]);
        if (list[i].adds)
            commit(w, b);
    }
    assert_bytes(checked(w, "a@far.test").rows[0].reason, BYTES("bounce"));
    assert_int_equal(told(w, "suppression.created", "a@far.test"), 2);
}

/* ---- whom it keeps ---- */

static void a_suppressed_recipient_gets_nothing(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct delivery_row row;

    added(w, "GONE@far.test", "bounce", 0);
    go_live();
    out = sent(w, TO("Gone@far.test", "here@far.test", "bo@example.test"));
    assert_bytes(out.recipients[0].status, BYTES("suppressed"));
    assert_bytes(out.recipients[1].status, BYTES("queued"));
    assert_bytes(out.recipients[2].status, BYTES("delivered"));
    row = row_of(w, out.recipients[0].delivery_id);
    assert_bytes(row.status, BYTES("suppressed"));
    assert_true(!row.flow.p && row.final_at && row.attempts == 0);
    assert_non_null(strstr(arena_text(w->arena, row.last), "(bounce)"));
    assert_int_equal(events(w, out.message_id, "email.suppressed"), 1);
    assert_int_equal(message_of_id(w, out.message_id).n_failed, 1);
    removed(w, "gone@far.test");
    assert_bytes(sent(w, TO("gone@far.test")).recipients[0].status, BYTES("queued"));
}

static void only_mail_of_applications_to_others_is_judged(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("gone@far.test"));
    struct intake_out out = { 0 };

    added(w, "gone@far.test", "complaint", 0);
    added(w, "bo@example.test", "complaint", 0);
    assert_bytes(sent(w, TO("gone@far.test")).recipients[0].status, BYTES("suppressed")); /* in the sandbox, too */
    assert_bytes(sent(w, TO("bo@example.test")).recipients[0].status, BYTES("delivered"));
    assert_bytes(sent(w, TO("suppressed+x@sandbox.test")).recipients[0].status, BYTES("suppressed"));
    act(w, &w->test_key, "api");
    assert_bytes(sent(w, TO("gone@far.test")).recipients[0].status, BYTES("delivered"));
    assert_bytes(sent(w, TO("suppressed@sandbox.test")).recipients[0].status, BYTES("suppressed"));
    act(w, &w->ana_login, "api");
    in.from = at(w, "ana@example.test", "/from");
    must(&w->c, message_send(&w->c, &in, &out));
    assert_bytes(out.recipients[0].status, BYTES("captured"));
    in.bypass = suppression_bypass(SUPPRESSED_BOUNCE);
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_SCOPE);
}

static void a_bypass_passes_bounces_and_unsubscriptions(void **state)
{
    static const char *const reasons[] = { "import", "manual", "bounce", "unsubscribe", "complaint" };
    struct world *w = *state;

    for (int i = 0; i < 5; i++) {
        const char *email = arena_printf(w->arena, "a%d@far.test", i);
        struct message_send_in in = a_send(w, 1, &email);
        struct intake_out out = { 0 };
        bool passes = i == 2 || i == 3;

        added(w, email, reasons[i], 0);
        in.bypass = suppression_bypass(SUPPRESSED_BOUNCE) | suppression_bypass(SUPPRESSED_UNSUBSCRIBE);
        must(&w->c, message_send(&w->c, &in, &out));
        assert_bytes(out.recipients[0].status, passes ? BYTES("captured") : BYTES("suppressed"));
        in.bypass = i == 2 ? suppression_bypass(SUPPRESSED_UNSUBSCRIBE) : suppression_bypass(SUPPRESSED_BOUNCE);
        must(&w->c, message_send(&w->c, &in, &out));
        assert_bytes(out.recipients[0].status, BYTES("suppressed"));
    }
}

/* ---- what waits ---- */

/* Up to nine of each flow, once so many are due by the store's clock. */
static struct work *claimed_all(struct world *w, size_t want)
{
    struct work *all = arena_array(w->arena, want, sizeof *all);

    for (size_t got = 0, n; got < want;) {
        struct work *some = claimed(w, 9, &n);

        assert_true(got + n <= want);
        if (n)
            memcpy(all + got, some, n * sizeof *all);
        got += n;
    }
    return all;
}

static void older(struct world *w, struct id delivery)
{
    struct set sets[] = { SET("created_at", V_TIME(clock_wall() - 60000)) };

    change(w, delivery, sets, 1);
}

static void what_has_waited_is_judged_again(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("a@far.test"));
    struct intake_out out, passed = { 0 };
    struct work *all;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test", "c@far.test"));
    in.bypass = suppression_bypass(SUPPRESSED_BOUNCE);
    must(&w->c, message_send(&w->c, &in, &passed));
    older(w, out.recipients[0].delivery_id);
    older(w, out.recipients[1].delivery_id);
    older(w, passed.recipients[0].delivery_id);
    added(w, "a@far.test", "bounce", 0);
    added(w, "c@far.test", "bounce", 0);
    all = claimed_all(w, 3); /* c was accepted a moment ago, the other a passes */
    for (size_t i = 0; i < 3; i++)
        assert_false(id_equal(all[i].row.id, out.recipients[0].delivery_id));
    assert_bytes(row_of(w, out.recipients[0].delivery_id).status, BYTES("suppressed"));
    assert_int_equal(events(w, out.message_id, "email.suppressed"), 1);
    for (size_t i = 0; i < 3; i++)
        finish(w, &all[i], 1, later(clock_wall() - 1), false);
    claimed_all(w, 2); /* c was tried */
    assert_bytes(row_of(w, out.recipients[2].delivery_id).status, BYTES("suppressed"));
    assert_int_equal(message_of_id(w, out.message_id).n_failed, 2);
    assert_int_equal(message_of_id(w, out.message_id).n_open, 1);
}

/* ---- what suppresses ---- */

static const struct {
    const char *cause, *permanence, *mx;
    int code;
    enum outcome outcome;
    bool suppresses;
} ends[] = {
    { "unknown_user", "permanent", "mx.far.test", 550, OUTCOME_BOUNCED, true },
    { "inactive_user", "permanent", "mx.far.test", 550, OUTCOME_BOUNCED, true },
    { "unknown_domain", "permanent", "mx.far.test", 550, OUTCOME_BOUNCED, true },
    { "unknown_domain", "permanent", NULL, 550, OUTCOME_BOUNCED, false }, /* says DNS */
    { "unknown_user", "permanent", NULL, 550, OUTCOME_BOUNCED, false },
    { "mailbox_full", "permanent", "mx.far.test", 552, OUTCOME_BOUNCED, false },
    { "policy", "permanent", "mx.far.test", 550, OUTCOME_BOUNCED, false },
    { "reputation", "block", "mx.far.test", 550, OUTCOME_BOUNCED, false },
    { "unknown_user", "temporary", "mx.far.test", 450, OUTCOME_DEFERRED, false },
    { "unknown_user", "undetermined", "mx.far.test", 550, OUTCOME_BOUNCED, false },
};

static void permanent_refusals_suppress_their_recipient(void **state)
{
    struct world *w = *state;

    go_live();
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *two[] = { arena_printf(w->arena, "A%zu@far.test", i), arena_printf(w->arena, "b%zu@far.test", i) };
        const struct attempt said = { .mx = bytes_of(ends[i].mx),
                                      .code = ends[i].code,
                                      .enhanced = BYTES("5.1.1"),
                                      .text = BYTES("Nobody of that name"),
                                      .cause = bytes_of(ends[i].cause),
                                      .permanence = bytes_of(ends[i].permanence) };
        struct intake_out out = sent(w, 2, two);
        struct suppression_check_out found;
        struct work *all = claimed_all(w, 2);

        for (size_t j = 0; j < 2; j++)
            finish(
                w, &all[j], 1,
                id_equal(all[j].row.id, out.recipients[0].delivery_id)
                    ? (struct verdict){ .outcome = ends[i].outcome, .attempt = &said, .next_at = clock_wall() + 60000 }
                    : delivered,
                false);
        found = checked(w, two[0]);
        if (found.suppressed != ends[i].suppresses)
            fail_msg("row %zu", i);
        assert_false(checked(w, two[1]).suppressed);
        if (!found.suppressed)
            continue;
        assert_bytes(found.rows[0].reason, BYTES("bounce"));
        assert_true(id_equal(found.rows[0].delivery_id, out.recipients[0].delivery_id));
        assert_bytes(found.rows[0].text, bytes_of(arena_printf(w->arena, "%d 5.1.1 Nobody of that name", said.code)));
        assert_int_equal(events(w, out.message_id, "suppression.created"), 1);
    }
}

/* An address that we would not write ourselves, and one named twice. */
static void odd_recipients_end_like_others(void **state)
{
    struct world *w = *state;
    const struct attempt said = {
        .mx = BYTES("mx.far.test"), .code = 550, .cause = BYTES("unknown_user"), .permanence = BYTES("permanent")
    };
    const struct verdict gone = { .outcome = OUTCOME_BOUNCED, .attempt = &said };
    struct set sets[1];
    struct intake_out out;
    struct work *all;
    char local[101];

    go_live();
    memset(local, 'L', 100);
    local[100] = '\0';
    out = sent(w, TO("a@far.test", "A@far.test", "x@far.test"));
    sets[0] = SET("email", V_TEXT(bytes_of(arena_printf(w->arena, "%s@far.test", local))));
    change(w, out.recipients[2].delivery_id, sets, 1);
    all = claimed_all(w, 3);
    finish(w, all, 3, gone, false);
    assert_int_equal(message_of_id(w, out.message_id).n_failed, 3);
    assert_int_equal(checked(w, "a@far.test").n, 1);
    assert_int_equal(told(w, "suppression.created", "a@far.test"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_the_same_without_case),
        TEST(the_stronger_reason_stays),
        TEST(the_later_end_stays),
        TEST(what_has_expired_does_not_count),
        TEST(many_are_added_together_or_not_at_all),
        TEST(lists_are_the_accounts_own),
        TEST(of_two_that_meet_the_stronger_stays),
        TEST(what_is_past_is_written_anew),
        TEST(a_suppressed_recipient_gets_nothing),
        TEST(only_mail_of_applications_to_others_is_judged),
        TEST(a_bypass_passes_bounces_and_unsubscriptions),
        TEST(what_has_waited_is_judged_again),
        TEST(permanent_refusals_suppress_their_recipient),
        TEST(odd_recipients_end_like_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
