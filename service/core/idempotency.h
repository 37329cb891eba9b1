/* service/core/idempotency.h - Idempotency-Key on every POST: a kept 2xx answer is given again, the row commits with
 * what it made. Kept 24 h (idempotency.keep). While the first request runs a second one hears ERR_IDEMPOTENCY_BUSY;
 * with another body ERR_IDEMPOTENCY_MISMATCH. */
#ifndef SERVICE_IDEMPOTENCY_H
#define SERVICE_IDEMPOTENCY_H
#include "service/core/call.h"

/* Before the operation, after authentication; c->idempotency has key, route and body_hash. True with ->replayed set
 * when it was done already: the kept `answer` is given again. Where only the object's id could be kept (`answer` is
 * null) the operation is called, does nothing, and gives the object once more. */
bool idempotency_begin(struct call *c);
/* For such operations: true when this one was done already; *ref is what it made. The first answer showed the object to
 * whoever made it, so this one does too, without the scope for reading; ERR_MISSING when it has gone since. */
bool idempotency_again(const struct call *c, struct id *ref);
/* For what may run longer than others are kept away (60 s): they are, from now on again. ERR_IDEMPOTENCY_BUSY: somebody
 * else is at it by now. */
bool idempotency_goes_on(struct call *c);
void idempotency_end(struct call *c); /* after the operation, whatever its result; harmless without a key */
/* The keyed hash of a request body, for body_hash. */
struct bytes idempotency_hash(struct call *c, struct bytes canonical);
/* Deletes what is past its time, in slices; *n of them. */
bool idempotency_sweep(struct service *svc, size_t *n, struct err *e);
/* For call_commit: the row that commits with what `out` and `ref` say. False (c->err) when the answer cannot be kept.
 */
bool idempotency_add(struct call *c, struct batch *b, const void *out, struct id ref);
/* For call_commit: the batch failed with c->err. True when it was the row of idempotency_add, which another request
 * with the same key put first: c->err then says so (a retry is given the kept answer). */
bool idempotency_lost(struct call *c, const struct batch *b);
#endif
