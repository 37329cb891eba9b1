/* What a cancel ends, and what it leaves: each delivery that nobody works on, of any number, and no mail that came in.
 */
#include "tests/service/mail_world.h"

static void change(struct world *w, struct id delivery, struct set set)
{
    struct batch *b = batch_new(w->arena);

    batch_update(b, &delivery_kind, delivery, NULL, 0, &set, 1);
    commit(w, b);
}

static struct delivery_row *deliveries(struct world *w, struct id message, size_t *n)
{
    void *rows;

    *n = rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &rows);
    return rows;
}

static size_t in_state(struct world *w, struct id message, const char *status)
{
    size_t n, found = 0;
    struct delivery_row *rows = deliveries(w, message, &n);

    for (size_t i = 0; i < n; i++)
        found += bytes_equal(rows[i].status, bytes_of(status));
    return found;
}

static bool cancel(struct world *w, struct id message, struct message_view *view)
{
    struct message_cancel_in in = { .id = id_of(w, &message_kind, message) };

    w->c.err = (struct err){ 0 };
    return message_cancel(&w->c, &in, view);
}

/* To so many addresses whose first attempt is put off. */
static struct intake_out put_off(struct world *w, size_t n)
{
    const char **to = arena_array(w->arena, n, sizeof *to);

    for (size_t i = 0; i < n; i++)
        to[i] = arena_printf(w->arena, "deferred+%zu@sandbox.test", i);
    return sent(w, n, to);
}

static void what_is_being_delivered_is_left(void **state)
{
    struct world *w = *state;
    struct intake_out out = put_off(w, 3);
    struct message_view view;
    struct delivery_row *rows;
    int64_t soon = clock_wall() + 60000;
    size_t n;

    rows = deliveries(w, out.message_id, &n);
    for (size_t i = 0; i < n; i++)
        change(w, rows[i].id, SET("lease_until", V_TIME(soon)));
    assert_false(cancel(w, out.message_id, &view));
    assert_int_equal(w->c.err.code, ERR_NOT_CANCELLABLE);
    assert_int_equal(in_state(w, out.message_id, "deferred"), 3);

    change(w, rows[1].id, SET("lease_until", V_TIME(1))); /* a lease that ran out is nobody's */
    must(&w->c, cancel(w, out.message_id, &view));
    assert_int_equal(in_state(w, out.message_id, "deferred"), 2);
    assert_int_equal(in_state(w, out.message_id, "cancelled"), 1);
    assert_bytes(view.status, BYTES("queued"));
    assert_int_equal(view.row.n_open, 2);
    assert_int_equal(view.row.n_cancelled, 1);
    assert_int_equal(events(w, out.message_id, "email.cancelled"), 1);
}

/* By a mail program: more than a request of the API may name. */
static struct intake_out submit(struct world *w, size_t n)
{
    struct recipient *list = arena_array(w->arena, n, sizeof *list);
    struct intake_in in = { .source = SOURCE_SUBMISSION, .recipients = list, .n_recipients = n };
    struct intake_out out;
    struct intake *k;

    act(w, &w->key, "submission");
    for (size_t i = 0; i < n; i++) {
        list[i].kind = RECIPIENT_SANDBOX;
        list[i].email = arena_bytesf(w->arena, "deferred+%zu@sandbox.test", i);
    }
    in.envelope_from = BYTES("ana@example.test");
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, BYTES("From: ana@example.test\r\n\r\nSturgeons.\r\n")));
    must(&w->c, intake_commit(&k, &w->c, &out));
    return out;
}

static void any_number_is_cancelled(void **state)
{
    enum { N = 2100 };
    struct world *w = *state;
    struct message_view view;
    struct intake_out out = submit(w, N);

    must(&w->c, cancel(w, out.message_id, &view));
    assert_bytes(view.status, BYTES("cancelled"));
    assert_int_equal(view.row.n_open, 0);
    assert_int_equal(view.row.n_cancelled, N);
    assert_int_equal(in_state(w, out.message_id, "cancelled"), N);
    assert_false(cancel(w, out.message_id, &view));
    assert_int_equal(w->c.err.code, ERR_NOT_CANCELLABLE);
}

static void add_two(struct world *w)
{
    struct batch *b = batch_new(w->arena);

    add_user(w, b, w->account, "u0@example.test", 1 << 30);
    add_user(w, b, w->account, "u1@example.test", 1 << 30);
    commit(w, b);
    directory_changed(w->svc);
}

static void mail_that_came_in_is_filed_whoever_cancels(void **state)
{
    struct world *w = *state;
    struct message_view view;
    struct intake_out out;
    struct err e = { 0 };
    enum param p;

    assert_true(param_find(BYTES("accept.local_max"), &p));
    assert_true(param_set(p, PARAM_FROM_FLAG, BYTES("1"), &e));
    add_two(w);
    must(&w->c, receive(w, "u#@example.test", 2, A_MAIL, &out));
    act(w, &w->key, "api");
    w->key.scopes = SCOPE_ALL;
    assert_false(cancel(w, out.message_id, &view));
    assert_int_equal(w->c.err.code, ERR_MISSING);
    assert_int_equal(in_state(w, out.message_id, "queued"), 1);
    assert_int_equal(work(w), 1);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 2);
}

/* Of mail that leaves also what it would be claimed by goes. */
static void a_flow_ends(void **state)
{
    struct world *w = *state;
    struct intake_out out = put_off(w, 1);
    struct message_view view;
    struct delivery_get_in get;
    struct delivery_view shown;
    struct delivery_row *row;
    size_t n;

    row = deliveries(w, out.message_id, &n);
    change(w, row->id, SET("flow", V_TEXT(BYTES("away.test/n/a/b"))));
    change(w, row->id, SET("send_at", V_TIME(clock_wall() + 1000)));
    change(w, row->id, SET("due_at", V_TIME(0)));
    get.id = id_of(w, &delivery_kind, row->id);
    must(&w->c, delivery_get(&w->c, &get, &shown));
    assert_int_equal(shown.row.due_at, shown.row.send_at); /* its next attempt */
    must(&w->c, cancel(w, out.message_id, &view));
    row = deliveries(w, out.message_id, &n);
    assert_null(row->flow.p);
    assert_int_equal(row->send_at, 0);
    assert_int_equal(row->due_at, 0);
    assert_null(row->wrapped_key.p);
    assert_true(row->final_at && row->keep_until);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_being_delivered_is_left),
        T(any_number_is_cancelled),
        T(mail_that_came_in_is_filed_whoever_cancels),
        T(a_flow_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
