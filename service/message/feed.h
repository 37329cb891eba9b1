/* service/message/feed.h - what is new in an account, for those who follow it.
 *
 * A follower is a place in the feed of events, and nothing else: it reads its account's own part behind that place
 * (event_follow), whatever others do meanwhile, and moves on. So nothing is lost or shown twice whoever dies. */
#ifndef SERVICE_MESSAGE_FEED_H
#define SERVICE_MESSAGE_FEED_H
#include "service/message/event.h"

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
void feed_run(struct service *svc);  /* fiber */
void feed_poke(struct service *svc); /* it hears of svc->stopping */
#endif
