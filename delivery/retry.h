/* delivery/retry.h - when a deferred delivery is tried again. Pure: times are passed in, milliseconds of the wall
 * clock.
 *
 *     the n-th deferral waits steps[n] (the last one repeats), 20 % more or less by the hash of message, site and n;
 *     later, when the reply says when ("try again in 5 minutes", at most hint_max);
 *     greylisted for the first time: 5 min, 10 % more or less, from the same source;
 *     ambiguous: not before 10 min;
 *     never past its expiry, at which it is looked at once more, to end.
 * Rows of one message and site share the hash, and so come together. */
#ifndef DELIVERY_RETRY_H
#define DELIVERY_RETRY_H
#include "base/id.h"
#include "delivery/pauses.h"

struct retry_rules {
    struct pauses steps;
    int64_t hint_max, greylist, ambiguous;
};

/* delivery.retry, from 10 s to a day each; *out is what it was when that fails. The other times are as above. */
bool retry_rules_read(struct bytes list, struct retry_rules *out, struct err *e);

struct retry_in {
    int64_t now, expires_at; /* expires_at 0: never */
    int64_t n;               /* which deferral this is: 1, 2, ... */
    uint64_t hash;           /* retry_hash */
    struct bytes text;       /* of the reply; NO_BYTES: there was none */
    bool greylist;           /* greylisted, by a host that has not seen this source for it before */
    bool ambiguous;          /* it may have been delivered */
};
int64_t retry_at(const struct retry_rules *rules, const struct retry_in *in);

uint64_t retry_hash(struct id message, struct bytes site);
/* How long a reply asks to wait: "in 5 min", "300 seconds", "for 10 minutes", "in 1 hour", "retry after 60s", "5m30s".
 * 0: it does not say, or nonsense. */
int64_t retry_hint(struct bytes text);
#endif
