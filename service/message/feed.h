/* service/message/feed.h - what is new in an account, for those who follow it.
 *
 * A follower is a place in the feed of events, and nothing else: it reads its account's own part behind that place
 * (event_follow), whatever others do meanwhile, and moves on. So nothing is lost or shown twice whoever dies. */
#ifndef SERVICE_MESSAGE_FEED_H
#define SERVICE_MESSAGE_FEED_H
#include "service/message/event.h"

/* Up to `limit` events behind *place (NO_BYTES: from the oldest kept) that the caller may see, of the type when one is
 * given, in order of commit; *place moves behind what was looked at. has_more: the look ended before the feed did. */
bool event_follow(struct call *c, struct bytes type, struct bytes *place, size_t limit, struct event_list_out *out);

/* The place behind all that is there now. */
bool event_follow_end(struct call *c, struct bytes *place);

/* Who waits for what is new in the call's account: ERR_BUSY past event.followers_max.
 *
 *     uint64_t seen = follower_count(f);  event_follow(...);  follower_wait(f, seen, until);
 * False at `until`. Fibers and threads; close it before the service. */
struct follower;
bool follower_open(struct call *c, struct follower **out);
uint64_t follower_count(const struct follower *f);
bool follower_wait(struct follower *f, uint64_t seen, int64_t until);
void follower_close(struct follower **f); /* *f may be NULL */

/* The node's one reader, which wakes them. */
struct feed *feed_new(void);
void feed_free(struct feed **f);
void feed_run(struct service *svc); /* fiber */

/* A durable reader of the whole feed, of all accounts, that any node may be. It begins with what comes after it was
 * read for the first time.
 *
 *     consumer_read(svc, BYTES("webhook"), 100, a, &r, e);
 *     do what r.events ask for, by operations of a batch b;
 *     consumer_move(b, &r, a);
 *     store_commit(st, b, ...);          ERR_CONFLICT at this operation: another node was faster, read again
 * So each event is done once, whoever dies. In a copy of the store it begins with the oldest event kept. */
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
