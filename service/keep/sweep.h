/* service/keep/sweep.h - deletes what has expired and bodies that nobody can read any more: every sweep.every, by
 * whichever node holds the sweep's lock. */
#ifndef SERVICE_SWEEP_H
#define SERVICE_SWEEP_H
#include "service/core/call.h"

/* The background fiber; it ends with service_stop. */
bool sweep_start(struct service *svc, struct err *e);
/* One sweep of everything that has expired; *n rows. */
bool sweep_round(struct service *svc, size_t *n, struct err *e);
#endif
