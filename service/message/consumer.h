/* service/message/consumer.h - a durable reader of the whole feed, of all accounts, that any node may be. It begins
 * with what comes after it was read for the first time.
 *
 *     consumer_read(svc, BYTES("webhook"), 100, a, &r, e);
 *     do what r.events ask for, by operations of a batch b;
 *     consumer_move(b, &r, a);
 *     store_commit(st, b, ...);          ERR_CONFLICT at this operation: another node was faster, read again
 * So each event is done once, whoever dies. In a copy of the store it begins with the oldest event kept. `limit` is of
 * rows, of which each may hold some dozens of events (queue/bundle.h). */
#ifndef SERVICE_MESSAGE_CONSUMER_H
#define SERVICE_MESSAGE_CONSUMER_H
#include "service/core/call.h"

struct consumer_read {
    struct consumer_row row;
    struct event_row *events;
    size_t n;
    struct bytes next;
};
bool consumer_read(struct service *svc, struct bytes name, size_t limit, struct arena *a, struct consumer_read *out,
                   struct err *e);
void consumer_move(struct batch *b, const struct consumer_read *r, struct arena *a);
#endif
