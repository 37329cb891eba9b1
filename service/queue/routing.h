/* service/queue/routing.h - the routes of now, of all accounts, in memory: who accepts mail and who sends it ask
 * without a trip to the store.
 *
 *     struct routes *r = routes_now(svc)
 *     routes_find(r, &query)                NULL: none matches, the parameters say
 *     routes_leave(&r)
 *
 * A change made here is seen at once, one of another node when its nudge comes (nudges.h): whoever asks next reads all
 * rows. Any thread or fiber. */
#ifndef SERVICE_ROUTING_H
#define SERVICE_ROUTING_H
#include "service/core/call.h"
#include "service/queue/flow.h"
#include "service/queue/mail_route.h"

struct routing;
struct routing *routing_new(void);
void routing_free(struct routing **r); /* nobody may hold any */

struct routes; /* never changes */
/* While the store is away, what was known before; NULL: nothing ever was. */
struct routes *routes_now(struct service *svc);
void routes_leave(struct routes **r); /* *r may be NULL */

uint64_t routes_version(const struct routes *r); /* another one: something may have changed */
/* Which one takes it? */
const struct mail_route *routes_find(const struct routes *r, const struct route_query *q);
/* Of all mail of a flow, but for that which takes another for its own sake: domain, class and account are asked. */
const struct mail_route *routes_of_flow(const struct routes *r, const struct route_query *q);
const struct mail_route *routes_by_id(const struct routes *r, struct id account, struct id id); /* or the operator's */
/* Does any route of the account, or the operator's, look at more than the flow? */
bool routes_ask_message(const struct routes *r, struct id account);

/* What a message is, to be matched: `flow` says where it goes. False: no flow. Tags and the sender are read only where
 * a route asks for them. */
bool route_query_of(const struct routes *r, const struct message_row *m, struct bytes flow, struct arena *a,
                    struct route_query *out);
/* The flow in which a message lies by now. */
struct bytes routes_flow(const struct routes *r, const struct message_row *m, struct bytes flow, struct arena *a);

void routing_changed(struct service *svc); /* rows are others by now: what is known is old */
#endif
