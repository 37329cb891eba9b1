/* service/queue/flow.h - the names of flows: "site/class/account/stream", and behind them the route of mail that takes
 * one for its own sake (its sender, a tag), "…/route". Pure. */
#ifndef SERVICE_FLOW_H
#define SERVICE_FLOW_H
#include "base/arena.h"
#include "base/id.h"

enum { FLOW_MAX = 384 };

enum { QUEUE_HURRIED = 'h', QUEUE_NORMAL = 'n', QUEUE_BULK = 'l' }; /* classes */

/* "gmail.com/n/01k9.../-". */
struct bytes queue_flow(struct arena *a, struct bytes site, char class, struct id account, struct id stream);
/* By its priority ("high", "normal", "bulk"), where it has one; else by `expires_after` in ms: up to an hour is
 * hurried. */
char queue_class(struct bytes priority, int64_t expires_after);
/* Of such a name; 0: it is none. */
char queue_class_read(struct bytes name);

/* The parts of a flow's name; false: it is none. Borrowed. */
struct flow_name {
    struct bytes site, account, stream, route; /* route: NO_BYTES without one */
    char class;                                /* 'h', 'n', 'l' */
};
bool flow_read(struct bytes flow, struct flow_name *out);
/* The flow beside it that takes the route; NO_ID: the one that takes none of its own. */
struct bytes flow_by(struct arena *a, struct bytes flow, struct id route);
#endif
