/* net/loop.h - inside net/: how fibers are put to sleep and woken on their loop thread.
 *
 * A loop thread runs what is ready, then lets libevent wait. Nothing but the list of wakes is shared between threads;
 * the event base has no locks. A burst of wakes from another thread costs one write to the loop's eventfd. */
#ifndef NET_LOOP_H
#define NET_LOOP_H
#include "base/err.h"
#include "net/context.h"
#include "net/fiber.h"
#include "net/timers.h"
#include "net/wait.h"

enum woken { WOKEN_EVENT, WOKEN_TIMEOUT, WOKEN_STOP };

/* Lies at the top of its own stack; everything but `start` belongs to the loop thread. */
struct fiber {
    struct timer timer; /* first: a timer is its fiber */
    struct context context;
    struct loop *loop;
    void (*run)(void *arg);
    void *arg;
    struct fiber *next;         /* in the ready list */
    struct fiber *left, *right; /* all fibers of the loop */
    struct waiter start;        /* brings a new fiber to its loop */
    int64_t deadline;           /* of the sleep; the timer may come earlier, to trim the stack */
    uint64_t owner;             /* fiber_for */
    unsigned how;               /* PARK_… of the sleep */
    bool parked, linked, done;
    enum woken woken;
};

/* One loop thread. Only `woken` and `alive` are touched by others. */
struct loop {
    struct event_base *base;
    struct event *wake_event, *tick;
    struct context context; /* of the thread itself */
    struct fiber *running, *ready, *ready_last, *fibers;
    struct timers timers;
    int64_t now;     /* read once a round */
    int64_t tick_at; /* when the tick comes; CLOCK_NEVER: it does not */
    int64_t trim_after;
    unsigned number;
    bool stopping, draining;
    pthread_t thread;
    int wake_fd;
    _Atomic(struct waiter *) woken;
    atomic_uint alive;
};

/* What else ends a sleep than its event and its deadline. */
enum { PARK_FIRM = 0, PARK_ENDS_AT_STOP = 1, PARK_ENDS_AT_DRAIN = 2 };

/* Puts the calling fiber to sleep until fiber_unpark, the deadline (CLOCK_NEVER: none), or net_stop. */
enum woken fiber_park(int64_t deadline, unsigned how);
/* On the fiber's loop thread. Nothing when it is not parked: whoever waits looks again at what it waited for. */
void fiber_unpark(struct fiber *f);
/* Gives the fiber a waiter that was woken by another thread. */
void loop_deliver(struct fiber *f, struct waiter *w);
/* True on the thread that runs f. */
bool loop_is_mine(const struct fiber *f);
struct event_base *loop_base_self(void); /* of the calling loop thread, else NULL */
/* Runs run(arg) on a loop thread and waits for it; also while net_stop is under way. Not from a loop thread. */
void loop_call(unsigned loop, void (*run)(void *arg), void *arg);
bool net_running(void);
/* net_stop calls the hook first, while everything still works; at most 8 hooks, each kept once. */
void net_at_stop(void (*hook)(void));

void waiter_delivered(struct waiter *w); /* its fiber may go on */
/* waiter_wait with an end: false when it came first, and then the waiter is as new and whoever has it must be kept from
 * waking it. `how` as for fiber_park. */
bool waiter_wait_until(struct waiter *w, int64_t deadline, unsigned how);

struct loop *loop_self(void); /* of the calling loop thread, else NULL */
/* The same as fiber_start, also while net_stop is under way. */
bool fiber_launch(unsigned loop, void (*run)(void *arg), void *arg, struct err *e);
void fiber_arrive(struct loop *l, struct fiber *f); /* a new one, on its loop thread */
void fiber_resume(struct loop *l, struct fiber *f); /* runs it until it parks or ends */
void fiber_trim(struct fiber *f);                   /* gives back the unused part of its stack */
void fiber_wake_for(struct fiber *f, enum woken why);
void stacks_clear(void);
/* The running loops, for fiber_start. */
struct loop *loop_pick(unsigned loop);
bool loop_admit(struct loop *l, bool forced, struct err *e);
void loop_dismiss(struct loop *l);

bool pools_start(const struct net_options *o, struct err *e);
void pools_stop(void); /* waits for the jobs that run */
#endif
