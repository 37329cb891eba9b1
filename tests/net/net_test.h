/* tests/net/net_test.h - what the tests of net/ share: the loops run, a fiber's result is waited for. */
#ifndef TESTS_NET_TEST_H
#define TESTS_NET_TEST_H
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "net/wait.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

static inline int net_up(void **state)
{
    struct net_options o = { .loops = 2, .store_workers = 3, .cpu_workers = 2, .fibers_max = 12000 };
    struct err e = { 0 };

    (void)state;
    params_init();
    if (!net_start(&o, &e))
        fail_msg("net_start: %s", e.message);
    return 0;
}

static inline int net_down(void **state)
{
    (void)state;
    net_stop();
    return 0;
}

static inline int64_t in_ms(int64_t ms)
{
    return clock_monotonic() + ms;
}

struct net_task {
    void (*run)(void *arg);
    void *arg;
    struct waiter done;
};

static inline void net_task_run(void *arg)
{
    struct net_task *t = arg;

    t->run(t->arg);
    waiter_wake(&t->done);
}

/* Runs it as a fiber and waits for its end. */
static inline void as_fiber(void (*run)(void *arg), void *arg)
{
    struct net_task t = { .run = run, .arg = arg };
    struct err e = { 0 };

    waiter_init(&t.done);
    if (!fiber_start(FIBER_ANY, net_task_run, &t, &e))
        fail_msg("fiber_start: %s", e.message);
    waiter_wait(&t.done);
}

/* Waits until *n is `want`; false after ten seconds. */
static inline bool comes_to(atomic_int *n, int want)
{
    for (int64_t end = in_ms(10000); clock_monotonic() < end;) {
        if (atomic_load(n) == want)
            return true;
        fiber_sleep_until(in_ms(1));
    }
    return false;
}
#endif
