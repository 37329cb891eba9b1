/* What is done by hand with deliveries: retry, hold, release, bounce; what each is refused for, and who wins when it
 * meets a claim. */
#include "service/queue/act.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

typedef bool act_fn(struct call *c, const struct delivery_act_in *in, struct delivery_view *out);

static bool act_as(struct world *w, act_fn *run, struct id id, const char *reason, struct delivery_view *view)
{
    const struct delivery_act_in in = { .id = id_of(w, &delivery_kind, id), .reason = bytes_of(reason) };

    w->c.err = (struct err){ 0 };
    act(w, &w->key, "api");
    w->key.scopes = SCOPE_ALL;
    return run(&w->c, &in, view);
}

/* One delivery to far.test that waits. */
static struct delivery_row waiting(struct world *w, struct id *message)
{
    struct intake_out out;
    struct delivery_row *rows;
    void *found;

    go_live();
    out = sent(w, TO("a@far.test"));
    *message = out.message_id;
    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(out.message_id), &found), 1);
    rows = found;
    return rows[0];
}

/* The same, on its way. */
static struct work *under_way(struct world *w, struct id *message)
{
    struct work *all;
    size_t n;

    waiting(w, message);
    all = claimed(w, 9, &n);
    assert_int_equal(n, 1);
    return all;
}

static void what_is_held_is_not_claimed_and_goes_on_when_released(void **state)
{
    struct world *w = *state;
    struct id message;
    struct delivery_row row = waiting(w, &message), held, after;
    struct delivery_view view;
    size_t n;

    must(&w->c, act_as(w, delivery_hold, row.id, "their server is \"moved\"", &view));
    assert_bytes(view.row.status, BYTES("held"));
    assert_non_null(strstr(arena_text(w->arena, view.waiting), "\"text\":\"their server is \\\"moved\\\"\""));
    claimed(w, 9, &n);
    assert_int_equal(n, 0);
    held = row_of(w, row.id);
    assert_true(!held.flow.p && !held.send_at && held.held_at && held.wrapped_key.p);
    assert_true(message_of_id(w, message).n_held == 1 && message_of_id(w, message).n_open == 0);
    assert_int_equal(events(w, message, "email.held"), 1);
    must(&w->c, act_as(w, delivery_hold, row.id, "once more", &view)); /* it is so already */
    assert_int_equal(events(w, message, "email.held"), 1);

    change(w, row.id, &(struct set){ .field = "held_at", .value = V_TIME(held.held_at - 5000), .slot = -1 }, 1);
    must(&w->c, act_as(w, delivery_release, row.id, "it is back", &view));
    after = row_of(w, row.id);
    assert_bytes(after.status, BYTES("queued"));
    assert_bytes(after.flow, row.flow);
    assert_true(!after.held_at && !after.held_why.p && after.send_at);
    assert_true(after.expires_at >= row.expires_at + 5000); /* its time stood still */
    assert_int_equal(events(w, message, "email.released"), 1);
    assert_true(message_of_id(w, message).n_held == 0 && message_of_id(w, message).n_open == 1);
    claimed(w, 9, &n);
    assert_int_equal(n, 1);
}

static void a_retry_is_due_now(void **state)
{
    struct world *w = *state;
    struct id message;
    struct work *all = under_way(w, &message);
    struct delivery_view view;
    size_t n;

    finish(w, all, 1, later(clock_wall() + 3600000), false);
    claimed(w, 9, &n);
    assert_int_equal(n, 0);
    must(&w->c, act_as(w, delivery_retry, all->row.id, "", &view));
    assert_bytes(view.row.status, BYTES("deferred"));
    claimed(w, 9, &n);
    assert_int_equal(n, 1);
    assert_int_equal(row_of(w, all->row.id).attempts, 1);
}

static void what_is_given_up_has_failed_and_says_why(void **state)
{
    struct world *w = *state;
    struct id message;
    struct delivery_row row = waiting(w, &message);
    struct delivery_view view;

    must(&w->c, act_as(w, delivery_hold, row.id, "", &view));
    must(&w->c, act_as(w, delivery_bounce, row.id, "wrong list", &view));
    assert_bytes(view.row.status, BYTES("failed"));
    assert_int_equal(view.row.attempts, 0); /* nobody was asked */
    assert_non_null(strstr(arena_text(w->arena, view.row.last), "\"enhanced\":\"5.7.0\""));
    assert_non_null(strstr(arena_text(w->arena, view.row.last), "wrong list"));
    assert_null(view.waiting.p);
    assert_int_equal(events(w, message, "email.failed"), 1);
    assert_true(message_of_id(w, message).n_held == 0 && message_of_id(w, message).n_failed == 1);
    assert_true(row_of(w, row.id).final_at && !row_of(w, row.id).wrapped_key.p && !row_of(w, row.id).held_at);
    must_fail(&w->c, act_as(w, delivery_retry, row.id, "", &view), ERR_CONFLICT);
    must_fail(&w->c, act_as(w, delivery_hold, row.id, "", &view), ERR_CONFLICT);
    must_fail(&w->c, act_as(w, delivery_release, row.id, "", &view), ERR_CONFLICT);
    must_fail(&w->c, act_as(w, delivery_bounce, row.id, "", &view), ERR_CONFLICT);
}

static void what_is_held_is_released_and_not_retried(void **state)
{
    struct world *w = *state;
    struct id message;
    struct delivery_row row = waiting(w, &message);
    struct delivery_view view;

    must(&w->c, act_as(w, delivery_release, row.id, "", &view)); /* it is not held */
    assert_bytes(view.row.status, BYTES("queued"));
    must(&w->c, act_as(w, delivery_hold, row.id, "", &view));
    must_fail(&w->c, act_as(w, delivery_retry, row.id, "", &view), ERR_CONFLICT);
}

static void what_is_being_delivered_is_left(void **state)
{
    static act_fn *const acts[] = { delivery_retry, delivery_hold, delivery_release, delivery_bounce };
    struct world *w = *state;
    struct id message;
    struct work *all = under_way(w, &message);
    struct delivery_view view;

    for (int i = 0; i < 4; i++)
        must_fail(&w->c, act_as(w, acts[i], all->row.id, "", &view), ERR_IN_FLIGHT);
    finish(w, all, 1, delivered, false);
    assert_int_equal(message_of_id(w, message).n_delivered, 1);
}

/* Who died in the middle of it may have delivered it. */
static void a_lease_that_ran_out_is_told(void **state)
{
    struct world *w = *state;
    struct id message, id = under_way(w, &message)->row.id;
    struct delivery_view view;
    struct set past[] = { SET("lease_until", V_TIME(clock_wall() - 1000)),
                          SET("send_at", V_TIME(clock_wall() + 5000)) };
    size_t n;

    change(w, id, past, 2);
    must(&w->c, act_as(w, delivery_retry, id, "", &view));
    assert_int_equal(events(w, message, "email.ambiguous"), 0);
    claimed(w, 9, &n);
    assert_int_equal(n, 1);
    assert_int_equal(events(w, message, "email.ambiguous"), 1); /* the claim has seen it */
    change(w, id, past, 2);
    must(&w->c, act_as(w, delivery_hold, id, "", &view));
    assert_int_equal(events(w, message, "email.ambiguous"), 2);
}

/* What was judged is no longer so when it is written: the other one has it. */
static void of_an_act_and_a_claim_one_wins(void **state)
{
    static const struct order hold = { .act = ACT_HOLD };
    struct world *w = *state;
    struct id message;
    struct delivery_row row = waiting(w, &message), seen = row_of(w, row.id);
    struct message_row m = message_of_id(w, message);
    struct batch *b = batch_new(w->arena);
    struct err e = { 0 };
    struct work *all;
    struct acts x;
    size_t n;

    acts_begin(&x, &hold, &m, w->arena, 1);
    acts_take(&x, &seen, w->arena);
    assert_true(acts_ready(w->svc, &x, &e) && acts_add(&x, b, w->arena, clock_wall(), &e));
    all = claimed(w, 9, &n); /* meanwhile */
    assert_int_equal(n, 1);
    assert_false(store_commit(w->svc->store, b, clock_monotonic() + 10000, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_true(acts_mend(&x, batch_failure(b)));
    assert_int_equal(acts_lost(&x), 1);
    acts_end(&x);
    finish(w, all, 1, delivered, false);
    assert_bytes(row_of(w, row.id).status, BYTES("delivered"));
    assert_true(message_of_id(w, message).n_held == 0);
}

static void local_mail_is_held_too(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("deferred@sandbox.test"));
    struct delivery_view view;
    struct delivery_row *rows;
    void *found;

    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(out.message_id), &found), 1);
    rows = found;
    must(&w->c, act_as(w, delivery_hold, rows[0].id, "", &view));
    assert_int_equal(work(w), 0);
    must(&w->c, act_as(w, delivery_release, rows[0].id, "", &view));
    assert_null(view.row.flow.p);
    assert_int_equal(work(w), 1);
    assert_bytes(row_of(w, rows[0].id).status, BYTES("delivered"));
}

static void others_do_not_see_it(void **state)
{
    struct world *w = *state;
    struct id message;
    struct delivery_row row = waiting(w, &message);
    const struct delivery_act_in in = { .id = id_of(w, &delivery_kind, row.id) };
    struct delivery_view view;

    act(w, &w->other_key, "api");
    must_fail(&w->c, delivery_hold(&w->c, &in, &view), ERR_MISSING);
    act(w, &w->key, "api");
    w->key.scopes = SCOPE_SEND | SCOPE_MESSAGES_READ;
    must_fail(&w->c, delivery_hold(&w->c, &in, &view), ERR_SCOPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_held_is_not_claimed_and_goes_on_when_released),
        TEST(a_retry_is_due_now),
        TEST(what_is_given_up_has_failed_and_says_why),
        TEST(what_is_held_is_released_and_not_retried),
        TEST(what_is_being_delivered_is_left),
        TEST(a_lease_that_ran_out_is_told),
        TEST(of_an_act_and_a_claim_one_wins),
        TEST(local_mail_is_held_too),
        TEST(others_do_not_see_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
