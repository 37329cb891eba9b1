/* How attempts to send end, at the store: each by one batch, with its events; out of the data folder after the store
 * was away; and when the store refuses what is to be written. */
#include "store/engine.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static void an_attempt_ends_in_one_batch(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct delivery_row row;
    struct message_row m;
    struct work *all;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test"));
    all = claimed(w, 9, &n);
    assert_int_equal(n, 2);
    finish(w, all, 1, delivered, false);
    finish(w, all + 1, 1, later(clock_wall() + 60000), false);
    row = row_of(w, all[0].row.id);
    assert_bytes(row.status, BYTES("delivered"));
    assert_true(!row.flow.p && !row.send_at && !row.lease_until && row.final_at && !row.wrapped_key.p);
    row = row_of(w, all[1].row.id);
    assert_bytes(row.status, BYTES("deferred"));
    assert_true(row.flow.p && row.send_at > clock_wall() + 50000 && !row.due_at && !row.lease_until);
    assert_int_equal(row.attempts, 1);
    m = message_of_id(w, out.message_id);
    assert_true(m.n_open == 1 && m.n_delivered == 1);
    assert_int_equal(events(w, out.message_id, "email.delivered"), 1);
    assert_int_equal(events(w, out.message_id, "email.deferred"), 1);
    claimed(w, 9, &n);
    assert_int_equal(n, 0); /* not due */
}

static void the_third_deferral_is_a_delay(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct work *all;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test"));
    for (int i = 0; i < 4; i++) {
        all = claimed(w, 9, &n);
        assert_int_equal(n, 1);
        assert_int_equal(events(w, out.message_id, "email.delayed"), i > 2);
        finish(w, all, 1, later(clock_wall() - 1), i == 1);
    }
    assert_int_equal(events(w, out.message_id, "email.deferred"), 4);
    assert_int_equal(events(w, out.message_id, "email.delayed"), 1);
    assert_int_equal(events(w, out.message_id, "email.ambiguous"), 1);
}

/* What was said while the store was away lies in the data folder, and counts once. */
static void outcomes_survive_in_a_file(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct err e = { 0 };
    struct done each[2];
    struct work *all;
    char path[128];
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test"));
    all = claimed(w, 9, &n);
    assert_int_equal(n, 2);
    each[0] = (struct done){ .work = &all[0], .verdict = delivered };
    each[1] = (struct done){ .work = &all[1], .verdict = later(clock_wall() + 60000), .ambiguous = true };
    assert_true(outcomes_note(w->svc, each, 2));
    assert_true(outcomes_note(w->svc, each, 2)); /* and once more */
    assert_true(outcomes_replay(w->svc, &e));
    assert_bytes(row_of(w, all[0].row.id).status, BYTES("delivered"));
    assert_bytes(row_of(w, all[1].row.id).status, BYTES("deferred"));
    assert_int_equal(row_of(w, all[1].row.id).attempts, 1);
    assert_non_null(strstr(arena_text(w->arena, row_of(w, all[1].row.id).last), "\"text\":\"Later\""));
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 1);
    assert_int_equal(events(w, out.message_id, "email.ambiguous"), 1);
    snprintf(path, sizeof path, "%s/outcomes.log", w->dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(outcomes_note(w->svc, each, 2)); /* what is known by now is passed over */
    assert_true(outcomes_replay(w->svc, &e));
    assert_int_equal(row_of(w, all[1].row.id).attempts, 1);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 1);
}

/* An event tells the mode of its mail also where nothing but the delivery is left of it. */
static void an_outcome_of_a_message_that_is_gone_keeps_its_mode(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct intake_out out;
    struct err e = { 0 };
    struct event_row *list;
    struct done done;
    struct work *all;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test"));
    all = claimed(w, 9, &n);
    done = (struct done){ .work = &all[0], .verdict = delivered };
    assert_true(outcomes_note(w->svc, &done, 1));
    batch_delete(b, &message_kind, out.message_id, NULL, 0);
    commit(w, b);
    assert_true(outcomes_replay(w->svc, &e));
    assert_int_equal(events(w, out.message_id, "email.delivered"), 1);
    n = events_of(w, out.message_id, &list);
    while (n--)
        assert_bytes(list[n].mode, out.mode);
}

/* ---- what cannot be written down ---- */

static struct {
    const struct engine *inner;
    struct id poison;
    size_t most; /* operations of one batch */
    int n, busy_at;
} picky;

static bool picky_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    if (++picky.n == picky.busy_at)
        return err_set(e, ERR_BUSY, "busy");
    if (picky.most && batch_count(b) > picky.most)
        return err_set(e, ERR_TOO_LARGE, "too large");
    for (size_t i = 0; i < b->n; i++)
        if (!id_is_none(picky.poison) && id_equal(b->ops[i].id, picky.poison))
            return err_set(e, ERR_INTERNAL, "no");
    return picky.inner->commit(st, b, deadline, e);
}

/* Four deliveries of one message that were taken. */
static struct done *four_done(struct world *w, struct id *message)
{
    struct done *each = arena_array(w->arena, 4, sizeof *each);
    struct work *all;
    size_t n;

    go_live();
    *message = sent(w, TO("a@far.test", "b@far.test", "c@far.test", "d@far.test")).message_id;
    all = claimed(w, 9, &n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        each[i] = (struct done){ .work = &all[i], .verdict = delivered };
    return each;
}

static bool finish_pickily(struct world *w, struct done *each, struct err *e)
{
    struct engine engine = *w->svc->store->engine;
    bool ok;

    picky.inner = w->svc->store->engine;
    engine.commit = picky_commit;
    w->svc->store->engine = &engine;
    ok = queue_finish(w->svc, w->arena, each, 4, e);
    w->svc->store->engine = picky.inner;
    return ok;
}

/* Its lease ends by itself; the others do not wait for it, nor the engine. */
static void one_that_cannot_be_written_is_given_up(void **state)
{
    struct world *w = *state;
    struct err e = { 0 };
    struct id message;
    struct done *each = four_done(w, &message);

    memset(&picky, 0, sizeof picky);
    picky.poison = each[2].work->row.id;
    assert_true(finish_pickily(w, each, &e));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(each[i].work->lost, i == 2);
        assert_bytes(row_of(w, each[i].work->row.id).status, i == 2 ? BYTES("queued") : BYTES("delivered"));
    }
    assert_true(row_of(w, picky.poison).lease_until > 0);
    assert_int_equal(message_of_id(w, message).n_delivered, 3);
}

/* In halves; what the store has no time for is left for another call, which writes no half twice. */
static void a_group_too_large_goes_in_halves(void **state)
{
    struct world *w = *state;
    struct err e = { 0 };
    struct id message;
    struct done *each = four_done(w, &message);

    memset(&picky, 0, sizeof picky);
    picky.most = 6;
    picky.busy_at = 3;
    assert_false(finish_pickily(w, each, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(each[0].written && !each[3].written);
    e = (struct err){ 0 };
    assert_true(finish_pickily(w, each, &e));
    for (int i = 0; i < 4; i++) {
        assert_false(each[i].work->lost);
        assert_bytes(row_of(w, each[i].work->row.id).status, BYTES("delivered"));
    }
    assert_int_equal(message_of_id(w, message).n_delivered, 4);
    assert_int_equal(events(w, message, "email.delivered"), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_attempt_ends_in_one_batch),
        TEST(the_third_deferral_is_a_delay),
        TEST(outcomes_survive_in_a_file),
        TEST(an_outcome_of_a_message_that_is_gone_keeps_its_mode),
        TEST(one_that_cannot_be_written_is_given_up),
        TEST(a_group_too_large_goes_in_halves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
