/* What is filed after its acceptance: one delivery that cannot be ended keeps no others, and leaves no count behind. */
#include "base/json.h"
#include "base/metrics.h"
#include "service/queue/delivery.h"
#include "service/queue/suspension.h"
#include "store/engine.h"
#include "tests/service/mail_world.h"

static void change(struct world *w, const struct kind *k, struct id id, struct set set)
{
    struct batch *b = batch_new(w->arena);

    batch_update(b, k, id, NULL, 0, &set, 1);
    commit(w, b);
}

static void forget(struct world *w, const struct kind *k, struct id id)
{
    struct batch *b = batch_new(w->arena);

    batch_delete(b, k, id, NULL, 0);
    commit(w, b);
    directory_changed(w->svc);
}

static struct delivery_row *deliveries(struct world *w, struct id message, size_t *n)
{
    void *rows;

    *n = rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &rows);
    return rows;
}

static struct delivery_row to(struct world *w, struct id message, const char *email)
{
    struct delivery_row *rows;
    size_t n;

    rows = deliveries(w, message, &n);
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(rows[i].email, bytes_of(email)))
            return rows[i];
    fail_msg("no delivery to %s", email);
    return rows[0];
}

static struct id message_of_other(struct world *w, struct id message)
{
    struct message_row m = message_of_id(w, message), *rows;
    void *found;
    size_t n = rows_of(w, &message_kind, NULL, "account_id", V_ID(w->other), &found);

    rows = found;
    for (size_t i = 0; i < n; i++)
        if (id_equal(rows[i].body_id, m.body_id))
            return rows[i].id;
    fail_msg("the other account has no message of it");
    return NO_ID;
}

/* One to ana, who gets it at once, one to eve of another account, who gets it later. */
static struct intake_out with_a_guest(struct world *w)
{
    struct intake_out out;

    act(w, &w->key, "api");
    out = sent(w, TO("ana@example.test", "eve@other.test"));
    assert_bytes(to(w, out.message_id, "eve@other.test").status, BYTES("queued"));
    assert_int_equal(message_of_id(w, message_of_other(w, out.message_id)).n_open, 1);
    return out;
}

/* The other account's events say of which mode they are, or a key for test mail would not know. */
static void their_events_have_a_mode(struct world *w, struct id message)
{
    struct event_row *list;
    size_t n = events_of(w, message_of_other(w, message), &list), got = 0;

    for (size_t i = 0; i < n; i++) {
        assert_bytes(list[i].mode, BYTES("sandbox"));
        got += bytes_equal(list[i].type, BYTES("email.received"));
    }
    assert_int_equal(got, 1);
}

static void ends_nowhere(struct world *w, struct id message)
{
    assert_int_equal(message_of_id(w, message).n_open, 0);
    assert_int_equal(message_of_id(w, message_of_other(w, message)).n_open, 0);
}

static void what_ends_in_another_account_is_counted_there(void **state)
{
    struct world *w = *state;
    struct message_cancel_in cancel;
    struct message_view view;
    struct intake_out out;

    set_param("accept.local_max", "1");
    out = with_a_guest(w); /* delivered */
    assert_int_equal(work(w), 1);
    ends_nowhere(w, out.message_id);
    their_events_have_a_mode(w, out.message_id);

    out = with_a_guest(w); /* expired */
    change(w, &delivery_kind, to(w, out.message_id, "eve@other.test").id, SET("expires_at", V_TIME(1)));
    assert_int_equal(work(w), 1);
    ends_nowhere(w, out.message_id);

    out = with_a_guest(w); /* cancelled */
    cancel.id = id_of(w, &message_kind, out.message_id);
    must(&w->c, message_cancel(&w->c, &cancel, &view));
    ends_nowhere(w, out.message_id);

    out = with_a_guest(w); /* their message is gone: that keeps nobody */
    forget(w, &message_kind, message_of_other(w, out.message_id));
    assert_int_equal(work(w), 1);
    assert_bytes(to(w, out.message_id, "eve@other.test").status, BYTES("delivered"));

    out = with_a_guest(w); /* their user is gone */
    forget(w, &user_kind, w->eve.id);
    assert_int_equal(work(w), 1);
    assert_bytes(to(w, out.message_id, "eve@other.test").status, BYTES("bounced"));
    ends_nowhere(w, out.message_id);
}

static void disable(struct world *w, bool disabled)
{
    change(w, &account_kind, w->account, SET("disabled", V_BOOL(disabled)));
    must(&w->c, suspensions_load(w->svc, &w->c.err));
}

static void a_disabled_account_stops_its_queue(void **state)
{
    struct world *w = *state;
    struct delivery_view view;
    struct delivery_row d;
    struct intake_out out;

    set_param("accept.local_max", "1");
    out = with_a_guest(w);
    disable(w, true);
    work(w);
    d = to(w, out.message_id, "eve@other.test");
    assert_bytes(d.status, BYTES("queued"));
    assert_true(d.due_at > store_now(w->svc->store) + 10000 && !d.lease_until);
    delivery_show(&w->c, &d, &view);
    assert_bytes(json_part(view.waiting, "reason"), BYTES("\"suspended\""));
    assert_bytes(json_part(view.waiting, "text"), BYTES("\"the account is disabled\""));
    disable(w, false);
    delivery_show(&w->c, &d, &view);
    assert_bytes(json_part(view.waiting, "reason"), BYTES("\"retry\""));
    change(w, &delivery_kind, d.id, SET("due_at", V_TIME(1)));
    assert_int_equal(work(w), 1);
    assert_bytes(to(w, out.message_id, "eve@other.test").status, BYTES("delivered"));
}

/* ---- meanwhile ---- */

static const struct engine *inner;
static struct world *around;
static struct id taken;

/* Somebody cancels one right after the claim. */
static bool claim_then_cancel(struct store *st, const struct claim *c, struct plan *p, struct arena *a,
                              struct rows *out, struct err *e)
{
    bool ok = inner->claim(st, c, p, a, out, e);

    if (ok && !id_is_none(taken))
        change(around, &delivery_kind, taken, SET("status", V_TEXT(BYTES("cancelled"))));
    taken = NO_ID;
    return ok;
}

static struct intake_out many(struct world *w, size_t n)
{
    struct batch *b = batch_new(w->arena);
    struct intake_out out;

    for (size_t i = 0; i < n; i++)
        add_user(w, b, w->account, arena_printf(w->arena, "u%zu@example.test", i), 1 << 30);
    commit(w, b);
    directory_changed(w->svc);
    must(&w->c, receive(w, "u#@example.test", n, A_MAIL, &out));
    return out;
}

static void one_that_is_cancelled_keeps_no_others(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct engine crossed;

    set_param("accept.local_max", "8");
    out = many(w, 12);
    inner = w->svc->store->engine;
    crossed = *inner;
    crossed.claim = claim_then_cancel;
    around = w;
    taken = to(w, out.message_id, "u10@example.test").id;
    w->svc->store->engine = &crossed;
    work(w);
    w->svc->store->engine = inner;
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 11);
    assert_bytes(to(w, out.message_id, "u9@example.test").status, BYTES("delivered"));
    assert_bytes(to(w, out.message_id, "u11@example.test").status, BYTES("delivered"));
    assert_bytes(to(w, out.message_id, "u10@example.test").status, BYTES("cancelled"));
}

/* ---- what is gone ---- */

static void without_its_message_or_key_it_fails_for_good(void **state)
{
    struct world *w = *state;
    struct intake_out lost, locked;
    struct delivery_row d;

    set_param("accept.local_max", "1");
    lost = many(w, 2);
    forget(w, &message_kind, lost.message_id);
    work(w);
    d = to(w, lost.message_id, "u1@example.test");
    assert_bytes(d.status, BYTES("failed"));
    assert_int_equal(d.due_at, 0);
    assert_int_equal(events(w, lost.message_id, "email.failed"), 1);

    act(w, &w->key, "api");
    locked = sent(w, TO("ana@example.test", "bo@example.test"));
    d = to(w, locked.message_id, "bo@example.test");
    change(w, &delivery_kind, d.id, SET("wrapped_key", V_BYTES(BYTES("no key at all"))));
    work(w);
    assert_bytes(to(w, locked.message_id, "bo@example.test").status, BYTES("failed"));
    assert_int_equal(message_of_id(w, locked.message_id).n_open, 0);
    assert_int_equal(events(w, locked.message_id, "email.failed"), 1);
    assert_int_equal(work(w), 0);
}

/* ---- what fails again and again ---- */

/* A user whose key does not open: none of their mail can be filed. */
static struct delivery_row stuck(struct world *w, struct intake_out *out)
{
    set_param("accept.local_max", "8");
    log_set(LOG_ERROR, LOG_JSON); /* on standard error: what an operator is told */
    *out = many(w, 11);
    return to(w, out->message_id, "u9@example.test");
}

static void fails_three_times(struct world *w, const struct delivery_row *d)
{
    change(w, &user_kind, d->user_id, SET("user_key", V_BYTES(BYTES("damaged"))));
    directory_changed(w->svc);
    for (int i = 0; i < 3; i++) {
        struct err e = { 0 };
        size_t n;

        change(w, &delivery_kind, d->id, SET("due_at", V_TIME(1)));
        if (!due_round(w->svc, &n, &e))
            fail_msg("%s", e.message);
        assert_int_equal(n, i ? 1 : 3); /* the others are done with the first round */
    }
}

static void the_third_failure_sets_it_aside(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct delivery_row d = stuck(w, &out);
    int64_t before = metric_get(METRIC_deliveries_held_total);

    fails_three_times(w, &d);
    d = to(w, out.message_id, "u9@example.test");
    assert_bytes(d.status, BYTES("held"));
    assert_non_null(d.wrapped_key.p); /* nothing is lost */
    assert_int_equal(d.due_at, d.expires_at);
    assert_int_equal(metric_get(METRIC_deliveries_held_total), before + 1);
    assert_int_equal(events(w, out.message_id, "email.held"), 1);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 10);
    assert_int_equal(message_of_id(w, out.message_id).n_held, 1);
    assert_int_equal(work(w), 0);

    change(w, &delivery_kind, d.id, SET("expires_at", V_TIME(1))); /* its time is over */
    change(w, &delivery_kind, d.id, SET("due_at", V_TIME(1)));
    assert_int_equal(work(w), 1);
    assert_bytes(to(w, out.message_id, "u9@example.test").status, BYTES("expired"));
    assert_int_equal(message_of_id(w, out.message_id).n_held, 0);
}

static void what_is_held_can_be_cancelled(void **state)
{
    struct world *w = *state;
    struct message_cancel_in cancel;
    struct message_view view;
    struct intake_out out;
    struct delivery_row d;

    set_param("accept.local_max", "1");
    act(w, &w->key, "api");
    out = sent(w, TO("ana@example.test", "bo@example.test"));
    d = to(w, out.message_id, "bo@example.test");
    change(w, &user_kind, d.user_id, SET("user_key", V_BYTES(BYTES("damaged"))));
    directory_changed(w->svc);
    for (int i = 0; i < 3; i++) {
        change(w, &delivery_kind, d.id, SET("due_at", V_TIME(1)));
        assert_int_equal(work(w), 1);
    }
    assert_int_equal(message_of_id(w, out.message_id).n_held, 1);
    cancel.id = id_of(w, &message_kind, out.message_id);
    must(&w->c, message_cancel(&w->c, &cancel, &view));
    assert_bytes(view.status, BYTES("partial"));
    assert_int_equal(view.row.n_held, 0);
}

/* ---- how much at once ---- */

static void a_slice_is_bounded_by_bytes(void **state)
{
    static const char *const addresses[] = { "ana@example.test", "ana+1@example.test", "bo@example.test",
                                             "ana+2@example.test", "bo+1@example.test" };
    struct world *w = *state;
    struct intake_out out;
    size_t n;

    set_param("accept.local_max", "16");
    set_param("delivery.slice_memory", "64K");
    out = many(w, 60);
    assert_int_equal(work(w), 44);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 60);

    set_param("accept.local_max", "1"); /* what names one mailbox again and again is filed there once */
    act(w, &w->key, "api");
    out = sent(w, 5, addresses);
    work(w);
    entries_in(w, w->bo.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 5);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_ends_in_another_account_is_counted_there),
        T(a_disabled_account_stops_its_queue),
        T(one_that_is_cancelled_keeps_no_others),
        T(without_its_message_or_key_it_fails_for_good),
        T(the_third_failure_sets_it_aside),
        T(what_is_held_can_be_cancelled),
        T(a_slice_is_bounded_by_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
