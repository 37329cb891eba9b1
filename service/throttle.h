/* service/throttle.h - failed logins of a pair (client network and user): after auth.failures_free of them each further
 * one doubles a delay during which the pair is not heard at all. Never the user alone, so that a stranger cannot lock
 * the owner out.
 *
 * All nodes count together: each failure raises the pair's row in the store (kind throttle, under a keyed hash of the
 * pair), and the row is read before a password is compared, so that who is locked out at one node is locked out at all.
 * In memory there is
 * - what was last heard of such rows: a pair that is locked out costs no read;
 * - doubt: a pair whose password was another than the remembered one. It is noted before the comparison that decides,
 *   so that of many guesses at once one at most is answered from memory;
 * - failures that the store could not take: they count here, and go along with the next that it takes.
 * A remembered login reads nothing, unless the pair is suspect here or its user's `guarded_until`, which a failure at
 * any node raises with the row, is not past; the user's row is read for every login anyhow.
 *
 * A guess is counted when it has failed, before another takes its hasher: those that are being compared at the same
 * instant, auth.argon2_parallel of each node at most, may pass the number of free ones.
 *
 * Bounded: a node remembers auth.throttle_names pairs; of the one that failed longest ago the row goes too. Rows are
 * swept twice auth.failure_delay_max after the last failure. All calls count for c->client_net. Any thread or fiber. */
#ifndef SERVICE_THROTTLE_H
#define SERVICE_THROTTLE_H
#include "service/call.h"

struct user_row;
struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle **t);

struct throttle_state {
    int64_t wait; /* milliseconds until the pair is heard again; 0: now */
    bool suspect; /* it has failed, or is in doubt: what is remembered of its user decides nothing */
};

/* What is known of the pair here; with `ask` also what the store says, unless the pair is known to wait. ERR_BUSY. */
bool throttle_look(struct call *c, struct bytes user, bool ask, struct throttle_state *out);
/* The password is not the remembered one. */
void throttle_doubt(struct call *c, struct bytes user);
/* Counts a failure; `row` is the user's, NULL where there is none of that name. ERR_BUSY when the store did not take
 * it: then it counts here alone. */
bool throttle_failed(struct call *c, struct bytes user, const struct user_row *row);
/* Forgets the failures of a suspect pair. */
void throttle_passed(struct call *c, struct bytes user);
#endif
