/* service/message/release.h - messages that begin later: `scheduled_at`.
 *
 * Such a message is accepted like any other: composed, its body kept, a delivery for each recipient. But these are
 * nobody's work yet: queued, with the time in send_at, neither due nor in a flow (delivery_waits in ending.h). When
 * message.release_at has come, by the store's clock, one node claims the message, under a lease with a fencing token,
 * and lets it begin: its sender, its domain and the suppressions are looked at again, Date and signatures are written
 * as trace lines, and its recipients get what acceptance would have given them, by the same plan (plan.h), in one batch
 * on condition of the token and of each delivery as it was read. So whoever dies in between has done nothing, and what
 * was cancelled meanwhile stays so. Its mode is that of its acceptance. What the account of a disabled customer has
 * waits on. */
#ifndef SERVICE_RELEASE_H
#define SERVICE_RELEASE_H
#include "service/core/call.h"

/* What this node had claimed before its start is due now. */
bool release_begin(struct service *svc, struct err *e);
bool releases_start(struct service *svc, struct err *e);
/* One may be due at once, or earlier than it was. Any thread. */
void release_poke(struct service *svc);
/* One round: claims what is due and lets it begin; *n messages. For the background and tests. */
bool release_round(struct service *svc, size_t *n, struct err *e);
#endif
