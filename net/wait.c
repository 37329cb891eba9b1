#include "net/wait.h"
#include "base/clock.h"
#include "net/loop.h"
#include <assert.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* FRESH until somebody sleeps on it (WAITING) or it is woken (WOKEN). A sleeping fiber goes on only when its loop has
 * taken the waiter from the list of wakes (DELIVERED): until then the waiter must stay where it is. */
enum { FRESH, WAITING, WOKEN, DELIVERED };

void waiter_init(struct waiter *w)
{
    w->fiber = fiber_self();
    w->next = NULL;
    atomic_init(&w->state, FRESH);
}

void waiter_delivered(struct waiter *w)
{
    atomic_store(&w->state, DELIVERED);
}

void waiter_wake(struct waiter *w)
{
    struct fiber *f = w->fiber;
    int was = atomic_exchange(&w->state, WOKEN);

    assert(was == FRESH || was == WAITING);
    if (was == FRESH)
        return; /* it may be gone already */
    if (!f) {
        /* By address alone: the thread may have returned by now, and the kernel reads nothing there. */
        syscall(SYS_futex, &w->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    } else if (loop_is_mine(f)) {
        waiter_delivered(w);
        fiber_unpark(f);
    } else {
        loop_deliver(f, w);
    }
}

/* Not woken by now: takes the waiter back. False when the wake is on its way. */
static bool give_up(struct waiter *w)
{
    int waiting = WAITING;

    return atomic_compare_exchange_strong(&w->state, &waiting, FRESH);
}

static bool fiber_waits(struct waiter *w, int64_t deadline, unsigned how)
{
    while (atomic_load(&w->state) != DELIVERED) {
        if (fiber_park(deadline, how) == WOKEN_EVENT)
            continue;
        if (give_up(w))
            return false;
        deadline = CLOCK_NEVER;
        how = PARK_FIRM;
    }
    return true;
}

static bool thread_waits(struct waiter *w, int64_t deadline)
{
    while (atomic_load(&w->state) == WAITING) {
        int64_t left = deadline == CLOCK_NEVER ? 60000 : deadline - clock_monotonic();
        struct timespec ts = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };

        if (left <= 0)
            return !give_up(w);
        syscall(SYS_futex, &w->state, FUTEX_WAIT_PRIVATE, WAITING, &ts, NULL, 0);
    }
    return true;
}

bool waiter_wait_until(struct waiter *w, int64_t deadline, unsigned how)
{
    int fresh = FRESH;

    assert(w->fiber == fiber_self());
    if (!atomic_compare_exchange_strong(&w->state, &fresh, WAITING))
        return true;
    return w->fiber ? fiber_waits(w, deadline, how) : thread_waits(w, deadline);
}

void waiter_wait(struct waiter *w)
{
    waiter_wait_until(w, CLOCK_NEVER, PARK_FIRM);
}
