/* net/fiber.c - stacks, and what a fiber does to itself: start, park, end.
 *
 * The fiber's own struct lies at the top of its stack, so a fiber costs one allocation, and none when a stack is free.
 * All but launching belongs to the loop thread. A wake that comes for a fiber which is not parked is dropped: look at
 * what you wait for before you park. */
#include "base/clock.h"
#include "base/metrics.h"
#include "net/loop.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#if CONTEXT_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define STACK_SIZE  (CONTEXT_ASAN ? (size_t)128 << 10 : (size_t)64 << 10)
#define STACKS_KEPT 512 /* free ones, for the next fibers */
#define PAGE        ((size_t)4096)

/* A free stack keeps its place in the list in its uppermost bytes, which were in use before. */
struct free_stack {
    struct free_stack *next;
};

static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct free_stack *stacks;
static size_t stacks_n;

static struct fiber *top_of(char *stack)
{
    return (struct fiber *)(void *)(stack + PAGE + STACK_SIZE - ((sizeof(struct fiber) + 63) & ~(size_t)63));
}

static char *stack_of(struct fiber *f)
{
    return (char *)f + ((sizeof(struct fiber) + 63) & ~(size_t)63) - STACK_SIZE - PAGE;
}

static struct fiber *stack_take(void)
{
    struct free_stack *kept;
    char *stack;

    pthread_mutex_lock(&stacks_lock);
    kept = stacks;
    if (kept) {
        stacks = kept->next;
        stacks_n--;
    }
    pthread_mutex_unlock(&stacks_lock);
    if (kept)
        return (struct fiber *)(void *)kept;
    stack = mmap(NULL, PAGE + STACK_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    if (mprotect(stack, PAGE, PROT_NONE) == 0)
        return top_of(stack);
    munmap(stack, PAGE + STACK_SIZE);
    return NULL;
}

static void stack_give(struct fiber *f)
{
    struct free_stack *kept = (struct free_stack *)(void *)f;

#if CONTEXT_ASAN
    __asan_unpoison_memory_region(stack_of(f) + PAGE, STACK_SIZE);
#endif
    pthread_mutex_lock(&stacks_lock);
    if (stacks_n < STACKS_KEPT) {
        kept->next = stacks;
        stacks = kept;
        stacks_n++;
        kept = NULL;
    }
    pthread_mutex_unlock(&stacks_lock);
    if (kept)
        munmap(stack_of(f), PAGE + STACK_SIZE);
}

void stacks_clear(void)
{
    while (stacks) {
        struct fiber *f = (struct fiber *)(void *)stacks;

        stacks = stacks->next;
        munmap(stack_of(f), PAGE + STACK_SIZE);
    }
    stacks_n = 0;
}

static void entry(void)
{
    struct loop *l = loop_self();
    struct fiber *f = l->running;

    context_entered(&l->context);
    f->run(f->arg);
    f->done = true;
    context_leave(&f->context, &l->context);
}

bool fiber_launch(unsigned loop, void (*run)(void *arg), void *arg, struct err *e)
{
    struct loop *l = loop_pick(loop);
    struct fiber *f = l ? stack_take() : NULL;

    if (!f)
        return err_set(e, l ? ERR_BUSY : ERR_CLOSED, l ? "no memory for another fiber" : "the loops do not run");
    *f = (struct fiber){ .loop = l, .run = run, .arg = arg, .parked = true, .deadline = CLOCK_NEVER };
    context_make(&f->context, stack_of(f) + PAGE, (size_t)((char *)f - stack_of(f)) - PAGE, entry);
    waiter_init(&f->start);
    /* Its first turn comes like any other: from another thread by the loop's list of wakes. */
    f->start.fiber = f;
    metric_add(METRIC_fibers, 1);
    if (l == loop_self()) {
        fiber_arrive(l, f);
        fiber_unpark(f);
    } else {
        loop_deliver(f, &f->start);
    }
    return true;
}

bool fiber_start(unsigned loop, void (*run)(void *arg), void *arg, struct err *e)
{
    struct loop *l = loop_pick(loop);

    if (!l || !loop_admit(l, false, e))
        return l ? false : err_set(e, ERR_CLOSED, "the loops do not run");
    if (fiber_launch(l->number, run, arg, e))
        return true;
    loop_dismiss(l);
    return false;
}

void fiber_arrive(struct loop *l, struct fiber *f)
{
    f->linked = true;
    f->left = NULL;
    f->right = l->fibers;
    if (l->fibers)
        l->fibers->left = f;
    l->fibers = f;
}

static void fiber_end(struct loop *l, struct fiber *f)
{
    if (f->left)
        f->left->right = f->right;
    else
        l->fibers = f->right;
    if (f->right)
        f->right->left = f->left;
    /* With it goes f itself, which lies on it. */
    stack_give(f);
    metric_add(METRIC_fibers, -1);
    loop_dismiss(l);
}

void fiber_resume(struct loop *l, struct fiber *f)
{
    l->running = f;
    context_switch(&l->context, &f->context);
    l->running = NULL;
    if (f->done)
        fiber_end(l, f);
}

void fiber_trim(struct fiber *f)
{
    char *low = stack_of(f) + PAGE;
    char *sp = context_sp(&f->context);
    size_t unused;

    if (CONTEXT_ASAN || !sp || sp < low + 2 * PAGE)
        return;
    unused = ((size_t)(sp - low) & ~(PAGE - 1)) - PAGE; /* the red zone below sp stays */
    if (unused)
        madvise(low, unused, MADV_DONTNEED);
}

static void make_ready(struct loop *l, struct fiber *f)
{
    f->next = NULL;
    if (l->ready)
        l->ready_last->next = f;
    else
        l->ready = f;
    l->ready_last = f;
}

void fiber_wake_for(struct fiber *f, enum woken why)
{
    if (!f->parked)
        return;
    f->parked = false;
    f->woken = why;
    timers_remove(&f->loop->timers, &f->timer);
    make_ready(f->loop, f);
}

void fiber_unpark(struct fiber *f)
{
    fiber_wake_for(f, WOKEN_EVENT);
}

enum woken fiber_park(int64_t deadline, unsigned how)
{
    struct loop *l = loop_self();
    struct fiber *f = l->running;
    /* A long sleep is cut once, to give the unused stack back: see expire() in loop.c. */
    int64_t trim = how & PARK_ENDS_AT_STOP ? l->now + l->trim_after : CLOCK_NEVER;

    if ((l->stopping && (how & PARK_ENDS_AT_STOP)) || (l->draining && (how & PARK_ENDS_AT_DRAIN)))
        return WOKEN_STOP;
    f->parked = true;
    f->deadline = deadline;
    f->how = how;
    if (deadline < trim)
        trim = deadline;
    if (trim != CLOCK_NEVER)
        timers_set(&l->timers, &f->timer, trim);
    context_switch(&f->context, &l->context);
    return f->woken;
}

void fiber_for(uint64_t owner)
{
    struct fiber *f = fiber_self();

    if (f)
        f->owner = owner;
}

struct fiber *fiber_self(void)
{
    struct loop *l = loop_self();

    return l ? l->running : NULL;
}

unsigned fiber_loop(void)
{
    struct loop *l = loop_self();

    return l ? l->number : 0;
}

static void nap_until(int64_t deadline)
{
    struct timespec at = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
}

bool fiber_sleep_until(int64_t deadline)
{
    if (!fiber_self()) {
        nap_until(deadline);
        return true;
    }
    return fiber_park(deadline, PARK_ENDS_AT_STOP) == WOKEN_TIMEOUT;
}

void fiber_yield(void)
{
    struct loop *l = loop_self();
    struct fiber *f = l ? l->running : NULL;

    if (!f)
        return;
    make_ready(l, f);
    context_switch(&f->context, &l->context);
}

void fiber_turn(void)
{
    struct loop *l = loop_self();

    if (l && l->running && clock_monotonic() - l->now >= FIBER_TURN)
        fiber_yield();
}

static bool wait_plainly(int fd, short events, int64_t deadline, struct err *e)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        int64_t left = deadline == CLOCK_NEVER ? -1 : deadline - clock_monotonic();
        int n;

        if (deadline != CLOCK_NEVER && left < 0)
            left = 0;
        n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return err_set(e, ERR_CLOSED, "poll: %s", strerror(errno));
        if (n == 0 && deadline <= clock_monotonic())
            return err_set(e, ERR_TIMEOUT, "timed out");
    }
}

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fiber_unpark(arg);
}

static bool wait_fd(int fd, bool readable, int64_t deadline, struct err *e)
{
    struct event *ev;
    enum woken woken;

    if (!fiber_self())
        return wait_plainly(fd, readable ? POLLIN : POLLOUT, deadline, e);
    ev = event_new(loop_self()->base, fd, readable ? EV_READ : EV_WRITE, on_fd, fiber_self());
    if (!ev)
        die("out of memory");
    if (event_add(ev, NULL) != 0) {
        event_free(ev);
        return err_set(e, ERR_CLOSED, "descriptor %d cannot be waited for", fd);
    }
    woken = fiber_park(deadline, PARK_ENDS_AT_STOP);
    event_free(ev);
    if (woken == WOKEN_TIMEOUT)
        return err_set(e, ERR_TIMEOUT, "timed out");
    return woken == WOKEN_EVENT || err_set(e, ERR_CLOSED, "the server is stopping");
}

bool fiber_wait_readable(int fd, int64_t deadline, struct err *e)
{
    return wait_fd(fd, true, deadline, e);
}

bool fiber_wait_writable(int fd, int64_t deadline, struct err *e)
{
    return wait_fd(fd, false, deadline, e);
}
