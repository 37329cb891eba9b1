/* The sweep: bodies go with their last referent, rows when they are past, by slices and in so many steps a round. */
#include "store/engine.h"
#include "tests/service/mail_world.h"

static size_t bodies(struct world *w)
{
    struct query q = { .kind = &body_kind, .limit = 100 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

static void no_grace(void)
{
    struct err e = { 0 };

    assert_true(param_set(PARAM_body_grace, PARAM_FROM_STORE, BYTES("0"), &e));
}

static void a_body_goes_with_its_last_referent(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct entry_delete_in del;

    no_grace();
    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->key, "api");
    out = sent(w, TO("ana@example.test", "bo@example.test"));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    del.id = id_of(w, &entry_kind, only_entry(w, w->bo.inbox_id).id);
    must(&w->c, entry_delete(&w->c, &del, NULL));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    must(&w->c, message_delete(&w->c, &(struct message_delete_in){ id_of(w, &message_kind, out.message_id) }, NULL));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    act(w, &w->key, "api");
    must(&w->c, user_erase_mail(&w->c, w->ana.id));
    sweep(w);
    assert_int_equal(bodies(w), 0);
    assert_int_equal(box(w, w->ana.inbox_id).total, 0);
}

static void no_store_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("x@far.test"));
    struct intake_out out;
    struct message_row row;

    no_grace();
    in.no_store = true;
    must(&w->c, message_send(&w->c, &in, &out));
    assert_int_equal(bodies(w), 0);
    in = a_send(w, TO("deferred@sandbox.test"));
    in.no_store = true;
    must(&w->c, message_send(&w->c, &in, &out));
    sweep(w);
    assert_int_equal(bodies(w), 1);
    must(&w->c, message_cancel(&w->c, &(struct message_cancel_in){ id_of(w, &message_kind, out.message_id) },
                               &(struct message_view){ 0 }));
    sweep(w);
    sweep(w);
    row = message_of_id(w, out.message_id);
    assert_null(row.wrapped_key.p);
    assert_int_equal(bodies(w), 0);
}

static void old_rows_go(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("x@far.test"));
    struct batch *b = batch_new(w->arena);
    struct set past = SET("expires_at", V_TIME(1));
    struct message_view view;

    no_grace();
    batch_update(b, &message_kind, out.message_id, NULL, 0, &past, 1);
    commit(w, b);
    sweep(w);
    must_fail(&w->c, message_get(&w->c, &(struct message_get_in){ id_of(w, &message_kind, out.message_id) }, &view),
              ERR_MISSING);
    sweep(w);
    assert_int_equal(bodies(w), 0);
}

static size_t kept_events(struct world *w)
{
    struct query q = { .kind = &event_kind, .limit = 10000 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

static void add_events(struct world *w, size_t n, int64_t expires)
{
    struct batch *b = batch_new(w->arena);

    for (size_t i = 0; i < n; i++) {
        struct event_row *row = arena_alloc(w->arena, sizeof *row);

        row->id = id_new();
        row->account_id = w->account;
        row->type = BYTES("test");
        row->at = 1;
        row->expires_at = expires;
        batch_insert(b, &event_kind, row, NULL, 0);
    }
    commit(w, b);
}

static void steps(const char *n)
{
    struct err e = { 0 };

    assert_true(param_set(PARAM_sweep_slice, PARAM_FROM_STORE, BYTES("20"), &e));
    assert_true(param_set(PARAM_sweep_steps, PARAM_FROM_STORE, bytes_of(n), &e));
}

/* What is past at the old end goes in one round, however much it is. */
static void the_old_end_goes_at_once(void **state)
{
    struct world *w = *state;

    steps("1");
    add_events(w, 410, 1);
    add_events(w, 1, clock_wall() + 3600000);
    assert_int_equal(sweep(w), 410);
    assert_int_equal(kept_events(w), 1);
    add_events(w, 3, 1);
    sweep(w);
    sweep(w);
    assert_int_equal(kept_events(w), 1);
}

/* Retention was shortened: what lives longer stands before what is past. A round looks at so many and no more, and the
 * next goes on there; none is left out, also not one that falls due at the old end meanwhile. */
static void mixed_retention_is_walked_by_steps(void **state)
{
    struct world *w = *state;
    int64_t later = clock_wall() + 3600000;

    steps("100");
    add_events(w, 350, later);
    add_events(w, 30, 1);
    add_events(w, 10, later);
    add_events(w, 5, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sweep(w), 0); /* 300 looked at */
    assert_int_equal(sweep(w), 35);
    assert_int_equal(kept_events(w), 360);
    add_events(w, 7, 1);
    for (int i = 0; i < 5; i++)
        sweep(w);
    assert_int_equal(kept_events(w), 360);
}

/* Rows that go are no steps: one that lives at the old end does not bound what is deleted behind it. */
static void one_that_stays_does_not_hold_back_the_rest(void **state)
{
    struct world *w = *state;

    steps("20");
    add_events(w, 1, clock_wall() + 3600000);
    add_events(w, 310, 1);
    assert_int_equal(sweep(w), 310);
    assert_int_equal(kept_events(w), 1);
}

/* Past, but still at work: they are looked at and stay, so they are steps. */
static void messages_at_work_are_steps(void **state)
{
    struct world *w = *state;
    struct message_row row = message_of_id(w, sent(w, TO("x@far.test")).message_id);

    steps("20");
    row.expires_at = 1;
    for (int i = 0; i < 50; i++) {
        struct batch *b = batch_new(w->arena);

        row.id = id_new();
        row.n_open = i < 49;
        batch_insert(b, &message_kind, &row, NULL, 0);
        commit(w, b);
    }
    assert_int_equal(sweep(w), 0);
    for (int i = 0; i < 4; i++)
        sweep(w);
    assert_int_equal(rows_of(w, &message_kind, NULL, "expires_at", V_TIME(1), &(void *){ NULL }), 49);
}

static struct {
    const struct engine *inner;
    struct world *w;
    int looks;
} thief;

/* Takes the third of the events that the second look (behind the old end) finds, before whoever looks can. */
static bool find_and_take(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e)
{
    if (!thief.inner->find(st, p, a, out, e))
        return false;
    if (p->query->kind == &event_kind && ++thief.looks == 2) {
        struct batch *b = batch_new(thief.w->arena);

        batch_delete(b, &event_kind, ((struct event_row *)out->row)[2].id, NULL, 0);
        commit(thief.w, b);
    }
    return true;
}

/* What others take meanwhile costs the rest of its slice nothing. */
static void one_gone_meanwhile_does_not_keep_its_slice(void **state)
{
    struct world *w = *state;
    struct engine stealing = *w->svc->store->engine;

    thief.inner = w->svc->store->engine;
    thief.w = w;
    thief.looks = 0;
    steps("20");
    add_events(w, 1, clock_wall() + 3600000);
    add_events(w, 15, 1);
    stealing.find = find_and_take;
    w->svc->store->engine = &stealing;
    assert_int_equal(sweep(w), 14);
    w->svc->store->engine = thief.inner;
    assert_true(thief.looks >= 2);
    assert_int_equal(kept_events(w), 1);
}

/* More of them in one slice than a sweep would hold whole. */
static void large_rows_do_not_stop_the_sweep(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("x@far.test"));
    struct message_row row = message_of_id(w, out.message_id);
    struct query q = { .kind = &message_kind, .limit = 100 };
    char *people = arena_alloc(w->arena, 1 << 20);
    struct err e = { 0 };
    void *rows;
    size_t n;

    memset(people, ' ', 1 << 20);
    memcpy(people, "{}", 2);
    row.people = (struct bytes){ people, 1 << 20 };
    row.expires_at = 1;
    for (int i = 0; i < 80; i++) {
        struct batch *b = batch_new(w->arena);

        row.id = id_new();
        batch_insert(b, &message_kind, &row, NULL, 0);
        commit(w, b);
    }
    sweep(w);
    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    assert_int_equal(n, 1);
}

/* Chunks of a mail that never was accepted. */
static void an_unfinished_upload_is_swept(void **state)
{
    struct world *w = *state;
    struct recipient to = { .email = BYTES("x@far.test"), .kind = RECIPIENT_REMOTE };
    struct intake_in in = { .source = SOURCE_SMTP, .recipients = &to, .n_recipients = 1 };
    struct intake *k = NULL;
    char *noise = arena_alloc(w->arena, 3 << 20);
    struct batch *b = batch_new(w->arena);
    struct set past = SET("expires_at", V_TIME(1));
    struct query q = { .kind = &body_kind, .limit = 1 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    crypt_random(noise, 3 << 20);
    for (size_t i = 0; i < 3 << 20; i++)
        noise[i] = (char)(33 + (unsigned char)noise[i] % 90);
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, BYTES("A: b\r\n\r\n")));
    must(&w->c, intake_append(k, &w->c, (struct bytes){ noise, 3 << 20 }));
    w->svc->stopping = true; /* the process ends in the middle of it */
    intake_drop(&k);
    w->svc->stopping = false;
    add_events(w, 1, clock_wall() + 3600000); /* reads see what was lazy once something else is durable */
    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    assert_int_equal(n, 1);
    batch_update(b, &body_kind, ((struct body_row *)rows)->id, NULL, 0, &past, 1);
    commit(w, b);
    sweep(w);
    assert_int_equal(bodies(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_body_goes_with_its_last_referent),
        T(no_store_leaves_nothing),
        T(old_rows_go),
        T(large_rows_do_not_stop_the_sweep),
        T(the_old_end_goes_at_once),
        T(mixed_retention_is_walked_by_steps),
        T(one_that_stays_does_not_hold_back_the_rest),
        T(messages_at_work_are_steps),
        T(one_gone_meanwhile_does_not_keep_its_slice),
        T(an_unfinished_upload_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
