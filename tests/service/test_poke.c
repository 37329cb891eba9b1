/* service/queue/poke.h: what a node writes for the one that sends, and what that one hears. */
#include "house.h"
#include "service/keep/sweep.h"
#include "service/queue/poke.h"

static struct {
    struct house *h;
    pthread_t writer;
    struct buf cursor;
    size_t n, ana;
    int64_t least;
} w;

static void *write_them(void *arg)
{
    pokes_run(arg);
    return NULL;
}

static int begin(void **state)
{
    struct err e = { 0 };

    house_setup(state);
    w.h = *state;
    w.n = w.ana = 0;
    if (!w.h->svc->pokes) /* SQLite has one node */
        w.h->svc->pokes = pokes_new();
    buf_init(&w.cursor, WATCH_CURSOR_MAX);
    assert_true(poke_begin(w.h->svc, &w.cursor, &e));
    return pthread_create(&w.writer, NULL, write_them, w.h->svc);
}

static int end(void **state)
{
    atomic_store(&w.h->svc->stopping, true);
    pokes_end(w.h->svc);
    pthread_join(w.writer, NULL);
    buf_clear(&w.cursor);
    return house_teardown(state);
}

static void heard(void *ctx, struct bytes flow, int64_t send_at)
{
    (void)ctx;
    w.n++;
    w.ana += bytes_equal(flow, B("ana.test/n/a/-"));
    w.least = send_at;
}

static void hear(size_t n)
{
    int64_t until = clock_monotonic() + 30000;
    struct err e = { 0 };

    while (w.n < n && clock_monotonic() < until)
        if (!poke_wait(w.h->svc, &w.cursor, clock_monotonic() + 1000, heard, NULL, &e))
            fail_msg("%s", e.message);
    assert_int_equal(w.n, n);
}

static struct poke_row *rows(size_t *n)
{
    struct query q = { .kind = &poke_kind, .limit = 100 };
    struct err e = { 0 };
    void *found;

    if (!store_find(w.h->svc->store, &q, w.h->arena, &found, n, &e))
        fail_msg("%s", e.message);
    return found;
}

/* The second is heard too, since what the first told of may be gone by then, but not before its second is over. */
static void a_flow_is_poked_once_a_second(void **state)
{
    struct poke_row *all;
    size_t n;

    (void)state;
    poke_other(w.h->svc, B("ana.test/n/a/-"), 700);
    hear(1);
    poke_other(w.h->svc, B("ana.test/n/a/-"), 900);
    poke_other(w.h->svc, B("ana.test/n/a/-"), 800);
    poke_other(w.h->svc, B("bo.test/n/a/-"), 1);
    hear(3);
    assert_int_equal(w.ana, 2);
    all = rows(&n);
    assert_int_equal(n, 3);
    assert_true(id_time(all[2].id) - id_time(all[0].id) >= 990);
    assert_int_equal(all[2].send_at, 800);
}

static void they_are_swept(void **state)
{
    struct poke_row old = { .id = id_new(), .flow = B("ana.test/n/a/-"), .send_at = 1, .expires_at = 1 };
    struct batch *b = batch_new(w.h->arena);
    struct err e = { 0 };
    size_t n;

    (void)state;
    poke_other(w.h->svc, B("bo.test/n/a/-"), 700);
    hear(1);
    batch_insert(b, &poke_kind, &old, NULL, 0);
    assert_true(store_commit(w.h->svc->store, b, clock_monotonic() + 10000, &e));
    assert_true(sweep_round(w.h->svc, &n, &e));
    assert_true(bytes_equal(rows(&n)->flow, B("bo.test/n/a/-")));
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flow_is_poked_once_a_second, begin, end),
        cmocka_unit_test_setup_teardown(they_are_swept, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
