/* net/timers.h - inside net/: a heap of deadlines, one a fiber. Setting one that is later than most costs a few
 * nanoseconds; each knows its place, so that taking it out needs no search. One thread. */
#ifndef NET_TIMERS_H
#define NET_TIMERS_H
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t at;   /* monotonic ms */
    size_t place; /* in the heap, from 1; 0: not in it */
};

struct timers {
    struct timer **heap; /* heap[1] is the earliest */
    size_t n, cap;
};

void timers_clear(struct timers *t);
void timers_set(struct timers *t, struct timer *one, int64_t at); /* not in the heap yet */
void timers_remove(struct timers *t, struct timer *one);          /* may not be in it */
struct timer *timers_first(const struct timers *t);               /* NULL: none */
#endif
