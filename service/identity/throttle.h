/* service/identity/throttle.h - failed logins of a pair (client network and user): after auth.failures_free of them
 * each further one doubles a delay during which the pair is not heard at all. Never the user alone, so that a stranger
 * cannot lock the owner out.
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
 * Beside the pairs each network has a budget, auth.network_failures_per_hour for all users together (limits.h): whoever
 * tries many names gets no further than whoever tries many passwords. Past it a network is heard only for users who
 * have logged in from there (auth_turn.h), so that one client's failures do not shut out those behind the same address.
 *
 * Bounded: a node remembers auth.throttle_names pairs. The one that failed longest ago makes room, its row stays and is
 * read when the pair comes again: nobody gets rid of a count by failing for other names. Rows are swept twice
 * auth.failure_delay_max after the last failure, and the budgets of networks bound how many there are. All calls count
 * for c->client_net. Any thread or fiber. */
#ifndef SERVICE_THROTTLE_H
#define SERVICE_THROTTLE_H
#include "service/core/call.h"

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
/* How long until the network has something left to fail with; `ask` as above. ERR_BUSY. */
bool throttle_network(struct call *c, bool ask, int64_t *wait_ms);
/* The password is not the remembered one. */
void throttle_doubt(struct call *c, struct bytes user);
/* Counts a failure of the pair and of its network; `row` is the user's, NULL where there is none of that name. ERR_BUSY
 * when the store did not take it: then it counts here alone. */
bool throttle_failed(struct call *c, struct bytes user, const struct user_row *row);
/* Forgets the failures of a suspect pair. */
void throttle_passed(struct call *c, struct bytes user);
#endif
