/* delivery/sched.h - what is sent next: in which order flows get the slots that paths have.
 *
 * A flow is "site/class/account/stream" ("gmail.com/n/01k9.../01k8..."), the unit of order and fairness: one account's
 * million rows stand before nobody else's. It lies on a path, by name; until its site's plan is known on the path "",
 * whose window is the number of plans that may be made at once. What is picked is told to the store as a claim; what
 * the claim found is told back:
 *
 *     sched_poke(s, flow, NO_BYTES, send_at)             rows of it are due from then on
 *     sched_window(s, path, path_window(p, now))         whenever it changes; 0: closed
 *     n = sched_pick(s, now, picks, 64)                  each: a flow, its path, how many transactions may begin
 *     sched_claimed(s, flow, begun, cost, next_at)       of each pick, whatever came of it
 *     sched_ended(s, flow, 1)                            as each of them ends
 *     sleep until sched_next(s)
 *
 * Order. Across paths by turns. Within a path classes h, n, l (high, normal, bulk) share by weight 8:4:1 of cost, and
 * one slot is kept for h where the window is 3 or more. Within a class flows share alike, in turns of up to
 * SCHED_TURN transactions, as by deficit round robin: over any time in which two flows wait, their shares differ by at
 * most a turn. Cost is sched_cost(recipients, bytes), known only after the claim:
 * who had more than was due waits until the others have had as much. All paths together: connections_max; an account
 * gets at most account_share percent of that while another one waits for something that could be had.
 *
 * Time is passed in (milliseconds). Memory is bounded by flows_max: past it a new flow is refused, and found again by
 * the scan of the store. Nothing is allocated but by sched_poke and the first sched_window of a path. A pick costs
 * O(log flows). One thread. */
#ifndef DELIVERY_SCHED_H
#define DELIVERY_SCHED_H
#include "service/queue/flow.h"

enum { SCHED_TURN = 10, SCHED_COST_BYTES = 256 * 1024 };

struct sched_limits {
    size_t flows_max;    /* delivery.flows_max */
    int connections_max; /* delivery.connections_max: transactions at once */
    int account_share;   /* delivery.account_share: percent */
};

struct sched;
struct sched *sched_new(const struct sched_limits *limits);
void sched_free(struct sched **s);
void sched_limit(struct sched *s, const struct sched_limits *limits); /* what the parameters say by now */

/* Rows of the flow are due from send_at on (the earlier of this and what is known). `path`: where it lies; NO_BYTES:
 * where it lay, at first "". False: no such name, or the table is full. */
bool sched_poke(struct sched *s, struct bytes flow, struct bytes path, int64_t send_at);
/* Moves a flow to another path, with what it waits for. Nothing for one that is not known. */
void sched_move(struct sched *s, struct bytes flow, struct bytes path);

/* What lies on paths that are closed goes to the path "": where it leads may have changed. Looks at each flow. */
void sched_unsettle(struct sched *s);

/* How many transactions may run at once on a path, those that run included. A path is made by its first window and
 * forgotten when its window is 0 and nothing lies on it. */
void sched_window(struct sched *s, struct bytes path, int window);

struct pick {
    struct bytes flow, path; /* borrowed: until its last sched_ended or sched_claimed */
    int slots;               /* so many transactions may begin */
};
/* Fills at most `most` picks, each flow once; a flow that was picked is picked again after sched_claimed. */
size_t sched_pick(struct sched *s, int64_t now, struct pick *out, size_t most);
/* What came of a pick: `begun` transactions (up to its slots; the others are free again), their cost together, and when
 * the flow's next rows are due; 0: it has none. */
void sched_claimed(struct sched *s, struct bytes flow, int begun, int64_t cost, int64_t next_at);
void sched_ended(struct sched *s, struct bytes flow, int n);
int64_t sched_cost(size_t recipients, int64_t bytes);

/* When a flow becomes due that is not yet; 0: none waits. Flows that are due wait for slots, and so for the caller. */
int64_t sched_next(const struct sched *s);

/* Since when the flow is due that has waited the longest, or will be; 0: none is. Looks at each flow. */
int64_t sched_oldest(const struct sched *s);

struct sched_counts {
    size_t flows, paths, due; /* due: flows that wait for a slot */
    int running;
};
void sched_counts(const struct sched *s, struct sched_counts *out);
#endif
