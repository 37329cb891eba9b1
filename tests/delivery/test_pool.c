/* The pool of connections: what was idle for long is ended while other fibers take what is beside it. The peers are the
 * other ends of sockets, and say nothing. */
#include "base/clock.h"
#include "delivery/engine_private.h"
#include "tests/net/net_test.h"
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum { CONNS = 4, SILENT = 1000000 };

static struct {
    struct engine engine;
    struct mx_host hosts[1];
    struct site *site;
    int peers[CONNS];
    struct conn *taken;
    atomic_bool done;
} w;

/* The next in the pool, at its head: idle for so long. */
static void add_conn(size_t i, int64_t idle)
{
    struct stream_options options = { 4096, 4096 };
    struct conn *c = calloc(1, sizeof *c);
    struct stream *s;
    int pair[2];

    assert_non_null(c);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    w.peers[i] = pair[1];
    s = stream_socket(pair[0], &options);
    *c = (struct conn){ .next = w.site->way->idle, .engine = &w.engine, .way = w.site->way, .arena = arena_new(65536) };
    c->address = w.hosts[0].address;
    c->client = client_new(&s, BYTES("us.test"), c->arena);
    c->opened_at = clock_monotonic();
    c->idle_since = c->opened_at - idle;
    w.site->way->idle = c;
    DL_APPEND2(w.engine.idle, c, older, newer);
    w.engine.idle_n++;
    way_tell(&w.engine, c->way, PATH_OPENED);
}

/* Comes to its turn while the first of the old ones ends. */
static void take(void *arg)
{
    (void)arg;
    w.taken = conn_take(&w.engine, w.site, ROUTE_TLS_MAY);
    atomic_store(&w.done, true);
}

static void reap(void *arg)
{
    struct err e = { 0 };

    (void)arg;
    for (size_t i = 0; i < CONNS; i++)
        add_conn(i, i == CONNS - 1 ? 0 : SILENT);
    assert_true(fiber_start(ENGINE_LOOP, take, NULL, &e));
    conn_reap(&w.engine, clock_monotonic());
    while (!atomic_load(&w.done))
        fiber_sleep_until(in_ms(1));
}

static void stop(void *arg)
{
    (void)arg;
    conn_end(&w.engine, &w.taken);
    conns_end(&w.engine);
}

/* Runs on the engine's loop to its end. */
static void on_loop(void (*run)(void *arg))
{
    struct net_task t = { .run = run };
    struct err e = { 0 };

    waiter_init(&t.done);
    assert_true(fiber_start(ENGINE_LOOP, net_task_run, &t, &e));
    waiter_wait(&t.done);
}

static void begin(void)
{
    struct sched_limits limits = { 100, 10, 50 };

    assert_true(network_parse(BYTES("192.0.2.7"), &w.hosts[0].address));
    w.engine.wake = signal_new();
    w.engine.sched = sched_new(&limits);
    w.site = calloc(1, sizeof *w.site);
    assert_non_null(w.site);
    w.site->plan = (struct mx_plan){ .hosts = w.hosts, .n = 1 };
    w.site->way = way_get(&w.engine, BYTES("far.test"));
    w.site->way->per_connection = 100;
}

static void end(void)
{
    for (size_t i = 0; i < CONNS; i++)
        close(w.peers[i]);
    free(w.site);
    ways_free(&w.engine);
    sched_free(&w.engine.sched);
    signal_free(&w.engine.wake);
}

static void old_ones_end_beside_one_that_is_taken(void **state)
{
    (void)state;
    begin();
    on_loop(reap);
    assert_non_null(w.taken);
    assert_null(w.site->way->idle);
    assert_int_equal(w.site->way->path.open, 1);
    on_loop(stop);
    assert_int_equal(w.site->way->path.open, 0);
    for (int64_t until = in_ms(20000); atomic_load(&w.engine.fibers) && clock_monotonic() < until;)
        usleep(1000);
    assert_int_equal(atomic_load(&w.engine.fibers), 0);
    end();
}

/* Its hosts failed, so no site leads to it: that is when it counts. */
static void a_way_that_is_shut_stays_so(void **state)
{
    struct sched_limits limits = { 100, 10, 50 };
    struct mail_route route = { 0 };
    struct engine e = { .wake = signal_new(), .sched = sched_new(&limits) };

    (void)state;
    way_suspend(&e, way_get(&e, BYTES("far.test")), &route, BYTES("no"));
    way_get(&e, BYTES("near.test"));
    ways_reap(&e);
    assert_int_equal(HASH_COUNT(e.ways), 1);
    assert_true(way_is_shut(way_get(&e, BYTES("far.test"))));
    e.ways->shut_until = clock_monotonic();
    ways_reap(&e);
    assert_int_equal(HASH_COUNT(e.ways), 0);
    sched_free(&e.sched);
    signal_free(&e.wake);
}

/* A place whose hosts DNS could not say is dead on a way of its own, which nobody needs once they are known. */
static void a_way_that_is_not_needed_is_open_again(void **state)
{
    struct sched_limits limits = { 100, 10, 50 };
    struct engine e = { .wake = signal_new(), .sched = sched_new(&limits) };

    (void)state;
    for (int i = 0; i < 5; i++)
        way_tell(&e, way_get(&e, BYTES("site far.test")), PATH_ALL_FAILED);
    ways_reap(&e);
    assert_true(HASH_COUNT(e.ways) == 1 && way_is_shut(e.ways));
    assert_false(way_resume(&e, BYTES("site near.test")));
    assert_true(way_resume(&e, BYTES("site far.test")));
    assert_false(way_resume(&e, BYTES("site far.test")));
    assert_false(way_is_shut(e.ways));
    ways_reap(&e);
    assert_int_equal(HASH_COUNT(e.ways), 0);
    sched_free(&e.sched);
    signal_free(&e.wake);
}

/* Idle only for a moment, and taken no more: connections have an age, too. */
static void old_age(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < CONNS; i++)
        add_conn(i, 0);
    w.site->way->idle->opened_at -= 299000;
    w.taken = conn_take(&w.engine, w.site, ROUTE_TLS_MAY);
    assert_non_null(w.taken);
    conn_keep(&w.engine, w.taken);
    for (struct conn *c = w.site->way->idle; c; c = c->next)
        c->opened_at = clock_monotonic() - 300000;
    w.taken = conn_take(&w.engine, w.site, ROUTE_TLS_MAY);
}

static void a_connection_is_used_for_five_minutes(void **state)
{
    (void)state;
    begin();
    on_loop(old_age);
    assert_null(w.taken);
    assert_null(w.site->way->idle);
    for (int64_t until = in_ms(20000); atomic_load(&w.engine.fibers) && clock_monotonic() < until;)
        usleep(1000);
    assert_int_equal(w.site->way->path.open, 0);
    end();
}

/* A day, two, three: then it is tried anew each third day. Of very many, those that came first are forgotten. */
static void where_tls_fails_is_remembered(void **state)
{
    static const int64_t day = 86400000, days[] = { 1, 2, 3, 3 };
    struct engine e = { 0 };
    struct network n;

    (void)state;
    assert_true(network_parse(BYTES("192.0.2.7"), &n));
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        int64_t now = clock_monotonic();

        tls_avoid(&e, &n, 25);
        assert_true(tls_is_avoided(&e, &n, 25) && !tls_is_avoided(&e, &n, 465));
        assert_in_range(e.tls_failures->until, now + days[i] * day, now + days[i] * day + 60000);
        e.tls_failures->until = now; /* that is over, and it fails again */
        assert_false(tls_is_avoided(&e, &n, 25));
    }
    for (int i = 0; i < 10100; i++) {
        memcpy(n.address + 12, &i, sizeof i);
        tls_avoid(&e, &n, 25);
    }
    assert_int_equal(HASH_COUNT(e.tls_failures), 10000);
    assert_true(tls_is_avoided(&e, &n, 25));
    tls_memory_free(&e);
}

/* Nobody is kept for it without end. */
static void what_a_way_was_taught_ends(void **state)
{
    struct sched_limits limits = { 100, 10, 50 };
    struct engine e = { .wake = signal_new(), .sched = sched_new(&limits) };
    struct way *way = way_get(&e, BYTES("far.test"));

    (void)state;
    assert_int_equal(way_taught(way), 0);
    way_learn(way, 20);
    way_learn(way, 50); /* less were left */
    assert_int_equal(way_taught(way), 20);
    ways_reap(&e);
    assert_int_equal(HASH_COUNT(e.ways), 1);
    way->taught_until = clock_monotonic();
    assert_int_equal(way_taught(way), 0);
    way_learn(way, 50);
    assert_int_equal(way_taught(way), 50);
    way->taught_until = clock_monotonic();
    ways_reap(&e);
    assert_int_equal(HASH_COUNT(e.ways), 0);
    sched_free(&e.sched);
    signal_free(&e.wake);
}

/* Its hosts are asked for anew after each: meanwhile no site leads to it. */
static void failures_are_counted_on(void **state)
{
    struct sched_limits limits = { 100, 10, 50 };
    struct engine e = { .wake = signal_new(), .sched = sched_new(&limits) };

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_false(way_is_shut(way_get(&e, BYTES("far.test"))));
        way_tell(&e, way_get(&e, BYTES("far.test")), PATH_ALL_FAILED);
        ways_reap(&e);
    }
    assert_true(way_is_shut(way_get(&e, BYTES("far.test"))));
    ways_free(&e);
    sched_free(&e.sched);
    signal_free(&e.wake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_counted_on),
        cmocka_unit_test(old_ones_end_beside_one_that_is_taken),
        cmocka_unit_test(a_way_that_is_shut_stays_so),
        cmocka_unit_test(a_way_that_is_not_needed_is_open_again),
        cmocka_unit_test(a_connection_is_used_for_five_minutes),
        cmocka_unit_test(where_tls_fails_is_remembered),
        cmocka_unit_test(what_a_way_was_taught_ends),
    };
    return cmocka_run_group_tests(tests, net_up, net_down);
}
