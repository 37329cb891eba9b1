/* net/loop.c - the loop threads: what is ready runs, then sockets, timers and wakes are waited for.
 *
 * Only two things cross threads: a list of wakes with an eventfd, and counters. Everything else of a loop is touched by
 * its own thread, which others ask by loop_call. A sleep that ends in silence is cut in two: first the fiber's unused
 * stack is given back (net.idle_trim), then its own deadline counts. */
#include "net/loop.h"
#include "base/clock.h"
#include "base/params.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOPS_MAX 64
#define HOOKS_MAX 8
#define ROUNDS    16 /* of ready fibers, before sockets are looked at again; fewer when they take long */

/* Never freed, so that a late fiber_start from a foreign thread finds something to be refused by. */
static struct loop loops[LOOPS_MAX];
static unsigned loops_n;
static unsigned fibers_max;
static atomic_uint fibers_n;
static atomic_bool running, stopping, draining;
static void (*hooks[HOOKS_MAX])(void);
static _Thread_local struct loop *self;

struct loop *loop_self(void)
{
    return self;
}

struct event_base *loop_base_self(void)
{
    return self ? self->base : NULL;
}

bool loop_is_mine(const struct fiber *f)
{
    return self == f->loop;
}

bool net_running(void)
{
    return running;
}

bool net_stopping(void)
{
    return stopping;
}

bool net_draining(void)
{
    return draining;
}

unsigned net_loops(void)
{
    return loops_n;
}

/* Takes all wakes that have come. Reading the eventfd is not needed: it is edge triggered, every write is an edge. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    struct waiter *w = atomic_exchange(&l->woken, NULL);
    struct waiter *in_order = NULL;

    (void)fd;
    (void)what;
    while (w) {
        /* The list is last in, first out: it is turned round, so that who was woken first runs first. */
        struct waiter *next = w->next;

        w->next = in_order;
        in_order = w;
        w = next;
    }
    while (in_order) {
        struct fiber *f = in_order->fiber;

        w = in_order;
        in_order = w->next;
        if (!f->linked)
            fiber_arrive(l, f);
        waiter_delivered(w);
        fiber_unpark(f);
    }
}

void loop_deliver(struct fiber *f, struct waiter *w)
{
    struct loop *l = f->loop;
    struct waiter *first = atomic_load(&l->woken);
    uint64_t one = 1;
    int fd = l->wake_fd;

    do
        w->next = first;
    while (!atomic_compare_exchange_weak(&l->woken, &first, w));
    if (!first && write(fd, &one, sizeof one) != sizeof one)
        die("eventfd: %s", strerror(errno));
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    l->tick_at = CLOCK_NEVER;
}

/* The tick comes for the earliest timer. One that was set for a sleep that has ended since comes for nothing; that is
 * cheaper than to take it back each time. */
static void set_tick(struct loop *l)
{
    struct timer *first = timers_first(&l->timers);
    int64_t left = first ? first->at - clock_monotonic() : 0;
    struct timeval tv;

    if (!first || first->at >= l->tick_at)
        return;
    if (left < 1)
        left = 1;
    tv.tv_sec = left / 1000;
    tv.tv_usec = left % 1000 * 1000;
    l->tick_at = first->at;
    if (event_add(l->tick, &tv) != 0)
        die("event_add failed");
}

static void expire(struct loop *l)
{
    for (struct timer *t; (t = timers_first(&l->timers)) && t->at <= l->now;) {
        struct fiber *f = (struct fiber *)(void *)t;

        if (f->deadline <= l->now) {
            fiber_wake_for(f, WOKEN_TIMEOUT);
            continue;
        }
        fiber_trim(f);
        timers_remove(&l->timers, t);
        if (f->deadline != CLOCK_NEVER)
            timers_set(&l->timers, t, f->deadline);
    }
}

static void run_ready(struct loop *l)
{
    for (int round = 0; l->ready && (round == 0 || (round < ROUNDS && clock_monotonic() - l->now < FIBER_TURN));
         round++) {
        struct fiber *f = l->ready;

        l->ready = l->ready_last = NULL;
        while (f) {
            struct fiber *next = f->next;

            fiber_resume(l, f);
            f = next;
        }
    }
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    char name[16];

    self = l;
    snprintf(name, sizeof name, "loop-%u", l->number);
    pthread_setname_np(pthread_self(), name); /* as `top -H` shows it */
    l->now = clock_monotonic();
    for (;;) {
        run_ready(l);
        if (l->stopping && atomic_load(&l->alive) == 0)
            return NULL;
        set_tick(l);
        if (event_base_loop(l->base, EVLOOP_ONCE | (l->ready ? EVLOOP_NONBLOCK : 0)) < 0)
            die("event loop: %s", strerror(errno));
        l->now = clock_monotonic();
        expire(l);
    }
}

static bool loop_make(struct loop *l, unsigned number, struct err *e)
{
    struct event_config *c = event_config_new();

    *l = (struct loop){ .number = number, .tick_at = CLOCK_NEVER, .trim_after = PARAM_INT(net, idle_trim) };
    if (!c || event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK) != 0)
        die("out of memory");
    event_config_require_features(c, EV_FEATURE_ET);
    l->base = event_base_new_with_config(c);
    event_config_free(c);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!l->base || l->wake_fd < 0)
        return err_set(e, ERR_INTERNAL, "cannot make an event loop: %s", strerror(errno));
    l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, l);
    l->tick = event_new(l->base, -1, 0, on_tick, l);
    if (!l->wake_event || !l->tick || event_add(l->wake_event, NULL) != 0)
        return err_set(e, ERR_INTERNAL, "cannot make an event loop: %s", strerror(errno));
    return true;
}

static void loop_clear(struct loop *l)
{
    if (l->wake_event)
        event_free(l->wake_event);
    if (l->tick)
        event_free(l->tick);
    if (l->base)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    timers_clear(&l->timers);
    l->base = NULL;
    l->wake_event = l->tick = NULL;
    l->wake_fd = -1;
}

static unsigned loops_wanted(const struct net_options *o)
{
    long cores = o->loops ? (long)o->loops : sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > LOOPS_MAX ? LOOPS_MAX : (unsigned)cores;
}

static bool loops_make(unsigned n, struct err *e)
{
    for (unsigned i = 0; i < n; i++) {
        bool made = loop_make(&loops[i], i, e);

        if (!made) {
            for (unsigned k = 0; k <= i; k++)
                loop_clear(&loops[k]);
            return false;
        }
    }
    return true;
}

bool net_start(const struct net_options *o, struct err *e)
{
    unsigned n = loops_wanted(o);

    assert(!running);
    if (!loops_make(n, e) || !pools_start(o, e))
        return false;
    loops_n = n;
    fibers_max = o->fibers_max;
    stopping = draining = false;
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]) != 0)
            die("cannot start a loop thread: %s", strerror(errno));
    running = true;
    return true;
}

struct loop *loop_pick(unsigned loop)
{
    struct loop *least = NULL;

    if (!running)
        return NULL;
    if (loop != FIBER_ANY) {
        assert(loop < loops_n);
        return &loops[loop];
    }
    for (unsigned i = 0; i < loops_n; i++)
        if (!least || atomic_load(&loops[i].alive) < atomic_load(&least->alive))
            least = &loops[i];
    return least;
}

/* Counts first and looks then: a loop that saw no fiber and left has set `stopping` before. */
bool loop_admit(struct loop *l, bool forced, struct err *e)
{
    atomic_fetch_add(&l->alive, 1);
    if (atomic_fetch_add(&fibers_n, 1) >= fibers_max && !forced) {
        loop_dismiss(l);
        return err_set(e, ERR_BUSY, "%u fibers run already", fibers_max);
    }
    if (stopping && !forced) {
        loop_dismiss(l);
        return err_set(e, ERR_CLOSED, "the server is stopping");
    }
    return true;
}

void loop_dismiss(struct loop *l)
{
    atomic_fetch_sub(&fibers_n, 1);
    atomic_fetch_sub(&l->alive, 1);
}

struct call {
    void (*run)(void *arg);
    void *arg;
    struct waiter done;
};

static void run_call(void *arg)
{
    struct call *c = arg;

    c->run(c->arg);
    waiter_wake(&c->done);
}

void loop_call(unsigned loop, void (*run)(void *arg), void *arg)
{
    struct call c = { .run = run, .arg = arg };
    struct err e = { 0 };

    waiter_init(&c.done);
    if (!loop_admit(&loops[loop], true, &e) || !fiber_launch(loop, run_call, &c, &e))
        die("cannot reach a loop thread: %s", e.message);
    waiter_wait(&c.done);
}

static void interrupt(unsigned how)
{
    for (struct fiber *f = self->fibers; f; f = f->right)
        if (f->parked && (f->how & how))
            fiber_wake_for(f, WOKEN_STOP);
}

static void stop_here(void *arg)
{
    (void)arg;
    self->stopping = true;
    interrupt(PARK_ENDS_AT_STOP);
}

static void drain_here(void *arg)
{
    (void)arg;
    self->draining = true;
    interrupt(PARK_ENDS_AT_DRAIN);
}

void net_at_stop(void (*hook)(void))
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int i = 0;

    pthread_mutex_lock(&lock);
    while (i < HOOKS_MAX && hooks[i] && hooks[i] != hook)
        i++;
    assert(i < HOOKS_MAX);
    hooks[i] = hook;
    pthread_mutex_unlock(&lock);
}

void net_drain(void)
{
    if (!running || draining)
        return;
    draining = true;
    for (unsigned i = 0; i < loops_n; i++)
        loop_call(i, drain_here, NULL);
}

void net_stop(void)
{
    assert(!self);
    if (!running)
        return;
    for (int i = 0; i < HOOKS_MAX && hooks[i]; i++)
        hooks[i]();
    stopping = true;
    for (unsigned i = 0; i < loops_n; i++)
        loop_call(i, stop_here, NULL);
    for (unsigned i = 0; i < loops_n; i++)
        pthread_join(loops[i].thread, NULL);
    running = false;
    pools_stop();
    for (unsigned i = 0; i < loops_n; i++)
        loop_clear(&loops[i]);
    stacks_clear();
}
