/* service/queue/poke.h - the node that sends hears of mail that other nodes took.
 *
 * Whoever does not send writes a row of the watched kind poke for a flow of which something is due, at most one a
 * second for each flow; whoever sends watches them. What is lost of it (a node that dies, a table that is full) is
 * found by the scan of the store. Rows live a minute. */
#ifndef SERVICE_POKE_H
#define SERVICE_POKE_H
#include "service/core/call.h"

struct pokes;
struct pokes *pokes_new(void);
void pokes_free(struct pokes **p);
/* For the node that sends, wherever it is. Any thread. */
void poke_other(struct service *svc, struct bytes flow, int64_t send_at);
void pokes_run(struct service *svc); /* fiber: writes them */
void pokes_end(struct service *svc); /* it hears of svc->stopping */

/* Where the watch of who sends begins: before its first scan. */
bool poke_begin(struct service *svc, struct buf *cursor, struct err *e);
/* Waits for pokes until the deadline; each is heard(ctx, flow, send_at). The cursor moves on. ERR_INVALID: it is none
 * here any more, begin anew and scan. */
bool poke_wait(struct service *svc, struct buf *cursor, int64_t deadline,
               void (*heard)(void *ctx, struct bytes flow, int64_t send_at), void *ctx, struct err *e);
#endif
