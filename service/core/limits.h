/* service/core/limits.h - how much of something a name may do in a time (GCRA: a steady rate with a burst).
 *
 * All nodes take from one allowance: a row of the kind limit says how much of it is gone. A name that takes seldom
 * writes the row each time. One that takes quickly reserves ahead, a slice that doubles as long as slices are used up
 * at once (up to 1/32 of the allowance and 1/8 of what is left), and is served from memory in between. What is reserved
 * is gone for the others; what lies unused melts away as fast as the allowance comes back, so that all nodes together
 * never pass more than one would: exact from above, while a node that has used little of its last slice may leave up to
 * 1/32 of the allowance to nobody.
 *
 * Bounded: past limits.names a name is forgotten here, with what it has reserved; its row stays until it has its whole
 * allowance again, and is then swept. While the store is away nothing but what is reserved passes: ERR_BUSY, as for the
 * mail itself. Any thread or fiber. */
#ifndef SERVICE_LIMITS_H
#define SERVICE_LIMITS_H
#include "service/core/call.h"

struct limits;
struct limits *limits_new(void);
void limits_free(struct limits **l);

struct limit {
    struct bytes name; /* at most 128 bytes count */
    int64_t most, window_ms;
};

/* Takes n of `most` in each window: *wait_ms is 0 then, otherwise how long until n would pass, and nothing is taken.
 * False is ERR_BUSY. */
bool limits_take(struct call *c, const struct limit *limit, int64_t n, int64_t *wait_ms);

/* Would one pass? As limits_take of 1, and nothing is taken; without `ask` by what is known here alone. */
bool limits_look(struct call *c, const struct limit *limit, bool ask, int64_t *wait_ms);

/* limits.user_recipients_per_hour for c->who, when it is a user. ERR_RATE. */
bool limits_recipients(struct call *c, int64_t n);
#endif
