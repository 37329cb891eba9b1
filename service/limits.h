/* service/limits.h - how much of something a name may do in a time (GCRA: a steady rate with a burst).
 *
 * Kept in memory, bounded: past limits.names the name that is nearest to full allowance is forgotten. Shared limits of
 * several nodes will lie behind the same calls. Any thread, no waits. */
#ifndef SERVICE_LIMITS_H
#define SERVICE_LIMITS_H
#include "service/call.h"

struct limits;
struct limits *limits_new(void);
void limits_free(struct limits **l);

/* Takes n of `most` in each `window_ms` for the name; false takes nothing and sets *wait_ms until n would pass. */
bool limits_take(struct limits *l, struct bytes name, int64_t n, int64_t most, int64_t window_ms, int64_t *wait_ms);

/* limits.user_recipients_per_hour for c->who, when it is a user. ERR_RATE. */
bool limits_recipients(struct call *c, int64_t n);
#endif
