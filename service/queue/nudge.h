/* service/queue/nudge.h - how nodes hear of what an operator did on another one: a watched row that names a kind. Who
 * follows it reads that kind anew, so nudges that come twice or late do no harm. */
#ifndef SERVICE_NUDGE_H
#define SERVICE_NUDGE_H
#include "service/core/call.h"

#define NUDGE_KEEP_MS 3600000

/* With the batch that changes rows of `kind`. */
void nudge_add(struct batch *b, struct arena *a, const struct kind *kind);
#endif
