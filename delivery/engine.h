/* delivery/engine.h - mail that leaves: claimed from the queue, brought to other servers, its outcome written down.
 *
 *     engine_new(svc, &e, err)      before the doors serve: in live mode the server must have a full name
 *     engine_start(e, err)          one fiber, on one loop; mail leaves once no other node sends
 *     engine_stop(e)                no new dialogue begins; those past MAIL end within server.grace
 *     engine_free(&e)               after net_stop
 * One engine is active at a time, of all nodes (the lock "delivery"); the others wait for it. Which recipient's mail
 * goes when is delivery/sched.h, how is the table in delivery/verdict.h. In sandbox mode nothing new leaves, but what
 * was accepted in live mode still does. */
#ifndef DELIVERY_ENGINE_H
#define DELIVERY_ENGINE_H
#include "base/err.h"

struct engine;
struct service;

/* ERR_INVALID: delivery.mode is live, and server.hostname no full name. */
bool engine_new(struct service *svc, struct engine **out, struct err *e);
bool engine_start(struct engine *e, struct err *err);
/* From a plain thread, after net_drain; waits at most server.grace. */
void engine_stop(struct engine *e);
void engine_free(struct engine **e); /* *e may be NULL */
#endif
