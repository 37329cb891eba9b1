/* service/core/follow.h - inside service/: what this node keeps in memory goes with the store, by the feed of a kind.
 *
 * The end of the feed is taken first and everything then, so nothing falls between; what comes late or twice must do
 * no harm. What failed is tried again after a second: from the same place while the store is busy, else from a new end.
 */
#ifndef SERVICE_FOLLOW_H
#define SERVICE_FOLLOW_H
#include "service/core/call.h"

struct following {
    const struct kind *kind;                         /* watched */
    int64_t wait_ms;                                 /* one wait: how soon the end is noticed */
    size_t arena;                                    /* at most, of one round */
    bool (*all)(struct service *svc, struct err *e); /* reads everything */
    /* After each wait; n may be 0. False: the same rows come again. */
    bool (*rows)(struct service *svc, const void *rows, size_t n, struct arena *a, struct err *e);
};
/* Until the service ends: the work of a background fiber. */
void follow(struct service *svc, const struct following *f);
#endif
