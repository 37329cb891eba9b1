/* service/queue/due.h - background work on mail: files what is past accept.local_max local mailboxes, expires
 * deliveries and plays sandbox.test.
 *
 * Due work is claimed under a lease with a fencing token (store_claim). A slice - the entries, the deliveries that they
 * end, the counters of the message, the events - is one batch on condition of the token, and an entry's id is chosen at
 * acceptance, so whatever dies in between files each mail exactly once. */
#ifndef SERVICE_DUE_H
#define SERVICE_DUE_H
#include "service/core/call.h"

/* What this node had claimed before its start is due now: once it is certain that no other process runs as it. */
bool due_begin(struct service *svc, struct err *e);
bool due_start(struct service *svc, struct err *e);
void due_stop(struct service *svc); /* after service_stop's fibers have ended */
/* Something may be due at once. Any thread. */
void due_poke(struct service *svc);

/* One round: claims what is due and does it; *n deliveries. For the background fiber and tests. */
bool due_round(struct service *svc, size_t *n, struct err *e);
#endif
