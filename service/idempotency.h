/* service/idempotency.h - Idempotency-Key on every POST: a kept 2xx answer is given again, the row commits with what it
 * made. Kept 24 h (idempotency.keep). While the first request runs a second one hears ERR_IDEMPOTENCY_BUSY; with
 * another body ERR_IDEMPOTENCY_MISMATCH. */
#ifndef SERVICE_IDEMPOTENCY_H
#define SERVICE_IDEMPOTENCY_H
#include "service/call.h"

/* Before the operation, after authentication; c->idempotency has key, route and body_hash. True with ->replayed set
 * when a kept answer is there: the operation is then not run. */
bool idempotency_begin(struct call *c);
void idempotency_end(struct call *c); /* after the operation, whatever its result; harmless without a key */
/* The keyed hash of a request body, for body_hash. */
struct bytes idempotency_hash(struct call *c, struct bytes canonical);
#endif
