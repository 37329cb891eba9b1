/* net/wait.h - how anything waits for something another thread will do.
 *
 *     struct waiter w;                 on the caller's stack
 *     waiter_init(&w);
 *     hand &w to somebody;
 *     waiter_wait(&w);                 a fiber sleeps, a plain thread blocks
 *
 * waiter_wake may be called once, from any thread, before or during the wait; after it the waker touches the waiter no
 * more. There is no time-out on purpose: whoever takes a waiter promises to wake it. */
#ifndef NET_WAIT_H
#define NET_WAIT_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fiber;

struct waiter {
    struct fiber *fiber; /* NULL: a plain thread */
    atomic_int state;
    struct waiter *next; /* the loop's list of wakes */
};

void waiter_init(struct waiter *w);
void waiter_wait(struct waiter *w);
void waiter_wake(struct waiter *w);

/* Something that can happen many times and that many may wait for, with a deadline: new events, a limit that frees up.
 *     uint64_t seen = signal_count(s);  look;  signal_wait(s, seen, deadline);
 * signal_wait returns true once the count differs from `seen`, false at the deadline (monotonic ms) or at net_stop. */
struct signal; /* signal.c */
struct signal *signal_new(void);
void signal_free(struct signal **s); /* nobody may be waiting */
uint64_t signal_count(const struct signal *s);
void signal_raise(struct signal *s); /* any thread */
bool signal_wait(struct signal *s, uint64_t seen, int64_t deadline);
#endif
