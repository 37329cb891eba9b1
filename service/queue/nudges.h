/* service/queue/nudges.h - what this node knows by heart is read anew when a nudge says so (service/core/nudge.h). */
#ifndef SERVICE_NUDGES_H
#define SERVICE_NUDGES_H
#include "service/core/call.h"

/* Hears those of all nodes, and ends the suspensions that are past their time. A background fiber. */
void nudges_follow(struct service *svc);
#endif
