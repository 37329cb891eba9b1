/* service/core/nudge.h - how nodes hear that rows which each of them knows by heart (suspensions, routes, disabled
 * accounts) were changed on another one: a watched row that names the kind. That kind is read anew
 * (service/queue/nudges.h), so nudges that come twice or late do no harm. */
#ifndef SERVICE_NUDGE_H
#define SERVICE_NUDGE_H
#include "service/core/call.h"

#define NUDGE_KEEP_MS 3600000

/* With the batch that changes rows of `kind`. */
void nudge_add(struct batch *b, struct arena *a, const struct kind *kind);
#endif
