/* service/queue/slice.h - ends claimed deliveries of one message by one batch: entries, statuses, counters, events.
 * What is behind service/queue/due.h. */
#ifndef SERVICE_SLICE_H
#define SERVICE_SLICE_H
#include "service/core/call.h"

/* Ends the first of `n` deliveries that are claimed and all of one message; *done says how many: as many as fit
 * delivery.slice_memory, one at least. What others were faster with (a cancel, another node) counts as done. A delivery
 * whose message or content key is gone fails for good, with its event. What is made lies in the arena.
 * On false nothing was changed, and all of `*done` still stand as they did. */
bool slice_end(struct service *svc, struct arena *a, const struct delivery_row *rows, size_t n, size_t *done,
               struct err *e);
/* Notes that ending this one alone has failed, for our own reasons: it falls due again after a while, and when that
 * was the third time, is held with an event. *held tells. */
bool slice_failed(struct service *svc, struct arena *a, const struct delivery_row *row, bool *held, struct err *e);
#endif
