/* service/queue/queue_private.h - what the files of the queue share. */
#ifndef SERVICE_QUEUE_PRIVATE_H
#define SERVICE_QUEUE_PRIVATE_H
#include "service/queue/ending.h"
#include "service/queue/queue.h"

/* Ends those claimed deliveries whose recipients are suppressed by now, and takes them out of the list. */
bool queue_drop_suppressed(struct service *svc, struct arena *a, struct work *all, size_t *n, struct err *e);
/* Which of these outcomes suppress their recipient: ends[i].suppresses. */
bool queue_find_suppressed(struct service *svc, struct arena *a, const struct done *each, struct ending *ends, size_t n,
                           struct err *e);
/* An error of the store's state, not of what it was asked: it may take the same another time. */
bool queue_passes(enum err_code code);
#endif
