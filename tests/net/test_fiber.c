/* Fibers: many at once, asleep, yielding, offloading, waking each other over threads, and cut short by net_stop. */
#include "net_test.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 10000

static atomic_int ended, failed;

static void double_it(void *arg)
{
    *(int *)arg *= 2;
}

static void busy_fiber(void *arg)
{
    int value = (int)(intptr_t)arg, want = 2 * value;
    struct err e = { 0 };
    unsigned loop = fiber_loop();

    fiber_yield();
    if (!fiber_sleep_until(in_ms(value % 20)))
        atomic_fetch_add(&failed, 1);
    while (!offload(value % 2 ? POOL_STORE : POOL_CPU, double_it, &value, &e))
        fiber_yield();
    if (value != want || fiber_loop() != loop)
        atomic_fetch_add(&failed, 1);
    atomic_fetch_add(&ended, 1);
}

static void ten_thousand(void **state)
{
    struct err e = { 0 };

    (void)state;
    ended = failed = 0;
    for (int i = 0; i < MANY; i++)
        assert_true(fiber_start(FIBER_ANY, busy_fiber, (void *)(intptr_t)i, &e));
    assert_true(comes_to(&ended, MANY));
    assert_int_equal(failed, 0);
}

static void sleeper(void *arg)
{
    (void)arg;
    if (!fiber_sleep_until(CLOCK_NEVER - 1))
        atomic_fetch_add(&ended, 1);
}

static void limit_and_stop(void **state)
{
    struct net_options o = { .loops = 2, .fibers_max = 100 };
    struct err e = { 0 };

    (void)state;
    net_stop();
    params_init();
    assert_true(net_start(&o, &e));
    ended = 0;
    for (int i = 0; i < 100; i++)
        assert_true(fiber_start((unsigned)i % 2, sleeper, NULL, &e));
    assert_false(fiber_start(FIBER_ANY, sleeper, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    net_stop();
    assert_int_equal(ended, 100);
    assert_false(fiber_start(FIBER_ANY, sleeper, NULL, &e));
    assert_int_equal(e.code, ERR_CLOSED);
    net_up(state);
}

static void slow_job(void *arg)
{
    fiber_sleep_until(in_ms(100));
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void stuck_in_offload(void *arg)
{
    struct err e = { 0 };

    atomic_fetch_add(&ended, 1);
    assert_true(offload(POOL_STORE, slow_job, arg, &e));
}

static void stop_waits_for_jobs(void **state)
{
    static atomic_int jobs;
    struct err e = { 0 };

    ended = 0;
    for (int i = 0; i < 3; i++)
        assert_true(fiber_start(FIBER_ANY, stuck_in_offload, &jobs, &e));
    assert_true(comes_to(&ended, 3));
    net_stop();
    assert_int_equal(jobs, 3);
    net_up(state);
}

static atomic_bool gate;
static atomic_int held;

static void held_job(void *arg)
{
    (void)arg;
    atomic_fetch_add(&held, 1);
    while (!gate)
        fiber_sleep_until(in_ms(1));
}

static void occupy_worker(void *arg)
{
    struct err e = { 0 };

    (void)arg;
    if (!offload(POOL_STORE, held_job, NULL, &e))
        atomic_fetch_add(&failed, 1);
    atomic_fetch_add(&ended, 1);
}

static void try_offload(void *arg)
{
    struct err e = { 0 };
    int n = 1;

    if (!offload(POOL_STORE, double_it, &n, &e) && e.code == ERR_BUSY && n == 1)
        atomic_fetch_add((atomic_int *)arg, 1);
    atomic_fetch_add(&ended, 1);
}

static void pool_queue_is_bounded(void **state)
{
    static atomic_int refused;
    struct err e = { 0 };

    (void)state;
    ended = held = failed = 0;
    for (int i = 0; i < 3; i++)
        assert_true(fiber_start(0, occupy_worker, NULL, &e));
    assert_true(comes_to(&held, 3)); /* all workers */
    assert_true(param_set(PARAM_pool_store_queue, PARAM_FROM_FLAG, BYTES("2"), &e));
    for (int i = 0; i < 10; i++)
        assert_true(fiber_start(0, try_offload, &refused, &e));
    assert_true(comes_to(&refused, 8));
    gate = true;
    assert_true(comes_to(&ended, 13));
    assert_int_equal(failed, 0);
    assert_int_equal(refused, 8);
    assert_true(param_set(PARAM_pool_store_queue, PARAM_FROM_FLAG, NO_BYTES, &e));
}

static void much_asked(void *arg)
{
    fiber_for(7);
    occupy_worker(arg);
}

static void little_asked(void *arg)
{
    struct err e = { 0 };
    int n = 1;

    fiber_for(8);
    assert_true(offload(POOL_STORE, double_it, &n, &e));
    atomic_fetch_add((atomic_int *)arg, n == 2);
}

/* One owner's jobs hold every worker they get until the gate opens: the others go on meanwhile. */
static void one_owner_leaves_workers_to_others(void **state)
{
    static atomic_int done;
    struct err e = { 0 };

    (void)state;
    ended = held = failed = done = 0;
    gate = false;
    for (int i = 0; i < 20; i++)
        assert_true(fiber_start(0, much_asked, NULL, &e));
    assert_true(comes_to(&held, 2)); /* of three workers */
    for (int i = 0; i < 20; i++)
        assert_true(fiber_start(0, little_asked, &done, &e));
    assert_true(comes_to(&done, 20));
    assert_int_equal(held, 2);
    gate = true;
    assert_true(comes_to(&ended, 20));
    assert_int_equal(failed, 0);
}

static void worker_numbers(void *arg)
{
    int n = offload_worker();

    if (n < 0 || n > 2)
        atomic_fetch_add(&failed, 1);
    (void)arg;
}

static void ask_worker_number(void *arg)
{
    struct err e = { 0 };

    (void)arg;
    assert_int_equal(offload_worker(), -1);
    assert_true(offload(POOL_STORE, worker_numbers, NULL, &e));
}

static void workers_are_numbered(void **state)
{
    (void)state;
    failed = 0;
    as_fiber(ask_worker_number, NULL);
    assert_int_equal(failed, 0);
}

static void ring(void *arg)
{
    eventfd_write(*(int *)arg, 1);
}

static void wait_for_ring(void *arg)
{
    struct err e = { 0 };

    if (fiber_wait_readable(*(int *)arg, in_ms(20000), &e))
        atomic_fetch_add(&ended, 1);
    else
        atomic_fetch_add(&failed, 1);
}

/* Busy until somebody else of its loop, who waits for a socket, has been served. */
static void work_in_turns(void *arg)
{
    int64_t until = in_ms(10000);
    struct err e = { 0 };

    fiber_start(fiber_loop(), wait_for_ring, arg, &e);
    fiber_yield();
    ring(arg);
    while (!ended && clock_monotonic() < until)
        fiber_turn();
    if (!ended)
        atomic_fetch_add(&failed, 1);
}

static void long_work_gives_turns(void **state)
{
    int fd = eventfd(0, EFD_NONBLOCK);

    (void)state;
    ended = failed = 0;
    as_fiber(work_in_turns, &fd);
    assert_int_equal(failed, 0);
    assert_true(comes_to(&ended, 1));
    close(fd);
    fiber_turn(); /* nothing outside of fibers */
}

struct handed {
    struct waiter w;
    atomic_bool ready;
    int late; /* ms the waker lets pass */
};

static void *waker(void *arg)
{
    struct handed *h = arg;

    while (!h->ready)
        fiber_sleep_until(in_ms(1));
    if (h->late)
        fiber_sleep_until(in_ms(h->late));
    waiter_wake(&h->w);
    return NULL;
}

static void wait_for_thread(void *arg)
{
    struct handed h = { .late = (int)(intptr_t)arg };
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, waker, &h), 0);
    waiter_init(&h.w);
    h.ready = true;
    if (!h.late)
        pthread_join(t, NULL); /* woken before the wait */
    waiter_wait(&h.w);
    if (h.late)
        pthread_join(t, NULL);
}

static void waiters(void **state)
{
    (void)state;
    as_fiber(wait_for_thread, (void *)0);
    as_fiber(wait_for_thread, (void *)10);
    wait_for_thread((void *)0);
    wait_for_thread((void *)10);
}

#define SLEEPERS 500
static struct waiter crowd[SLEEPERS];
static atomic_int asleep;

static void join_crowd(void *arg)
{
    struct waiter *w = arg;

    waiter_init(w);
    atomic_fetch_add(&asleep, 1);
    waiter_wait(w);
    atomic_fetch_add(&ended, 1);
}

static void one_burst_wakes_all(void **state)
{
    struct err e = { 0 };

    (void)state;
    ended = asleep = 0;
    for (int i = 0; i < SLEEPERS; i++)
        assert_true(fiber_start(FIBER_ANY, join_crowd, &crowd[i], &e));
    assert_true(comes_to(&asleep, SLEEPERS));
    for (int i = 0; i < SLEEPERS; i++)
        waiter_wake(&crowd[i]);
    assert_true(comes_to(&ended, SLEEPERS));
}

static struct signal *bell;

static void hear_bell(void *arg)
{
    uint64_t seen = signal_count(bell);

    atomic_fetch_add(&asleep, 1);
    if (signal_wait(bell, seen, in_ms((intptr_t)arg)))
        atomic_fetch_add(&ended, 1);
    else
        atomic_fetch_add(&failed, 1);
}

static void signals(void **state)
{
    struct err e = { 0 };
    uint64_t seen;

    (void)state;
    bell = signal_new();
    ended = failed = asleep = 0;
    for (int i = 0; i < 100; i++)
        assert_true(fiber_start(FIBER_ANY, hear_bell, (void *)(intptr_t)(i % 2 ? 10000 : 5), &e));
    assert_true(comes_to(&failed, 50));
    signal_raise(bell);
    assert_true(comes_to(&ended, 50));
    seen = signal_count(bell);
    assert_int_equal(seen, 1);
    assert_false(signal_wait(bell, seen, in_ms(5)));
    assert_true(signal_wait(bell, seen - 1, in_ms(0)));
    signal_free(&bell);
    assert_null(bell);
}

/* Deadlines that fall due in the same moment as the raise: every wait ends, one way or the other. */
static void signals_race_deadlines(void **state)
{
    struct err e = { 0 };

    (void)state;
    bell = signal_new();
    for (int round = 0; round < 20; round++) {
        ended = failed = asleep = 0;
        for (int i = 0; i < 50; i++)
            assert_true(fiber_start(FIBER_ANY, hear_bell, (void *)3, &e));
        assert_true(comes_to(&asleep, 50));
        for (int i = 0; i < 4; i++) {
            signal_raise(bell);
            fiber_sleep_until(in_ms(1));
        }
        for (int i = 0; i < 10000 && ended + failed < 50; i++)
            fiber_sleep_until(in_ms(1));
        assert_int_equal(ended + failed, 50);
    }
    signal_free(&bell);
}

static struct fiber_mutex *lock;
static int guarded, inside;

static void use_lock(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        fiber_mutex_lock(lock);
        if (inside++)
            atomic_fetch_add(&failed, 1);
        guarded++;
        fiber_yield();
        inside--;
        fiber_mutex_unlock(lock);
    }
    atomic_fetch_add(&ended, 1);
}

static void *use_lock_plainly(void *arg)
{
    use_lock(arg);
    return NULL;
}

static void mutexes(void **state)
{
    struct err e = { 0 };
    pthread_t t;

    (void)state;
    lock = fiber_mutex_new();
    ended = failed = guarded = inside = 0;
    for (int i = 0; i < 50; i++)
        assert_true(fiber_start(FIBER_ANY, use_lock, NULL, &e));
    assert_int_equal(pthread_create(&t, NULL, use_lock_plainly, NULL), 0);
    assert_true(comes_to(&ended, 51));
    pthread_join(t, NULL);
    assert_int_equal(failed, 0);
    assert_int_equal(guarded, 51 * 20);
    fiber_mutex_free(&lock);
}

static void wait_on_fds(void *arg)
{
    int *pair = arg;
    struct err e = { 0 };

    assert_false(fiber_wait_readable(pair[0], in_ms(10), &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_true(fiber_wait_writable(pair[0], in_ms(1000), &e));
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_true(fiber_wait_readable(pair[0], in_ms(1000), &e));
}

static void descriptors(void **state)
{
    int pair[2];
    char c;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    as_fiber(wait_on_fds, pair);
    assert_int_equal(read(pair[0], &c, 1), 1);
    wait_on_fds(pair);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand),
        cmocka_unit_test(long_work_gives_turns),
        cmocka_unit_test(waiters),
        cmocka_unit_test(one_burst_wakes_all),
        cmocka_unit_test(signals),
        cmocka_unit_test(signals_race_deadlines),
        cmocka_unit_test(mutexes),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(workers_are_numbered),
        cmocka_unit_test(pool_queue_is_bounded),
        cmocka_unit_test(one_owner_leaves_workers_to_others),
        cmocka_unit_test(stop_waits_for_jobs),
        cmocka_unit_test(limit_and_stop),
    };

    return cmocka_run_group_tests(tests, net_up, net_down);
}
