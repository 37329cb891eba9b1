/* service/queue/action.h - an act on all deliveries that fit a filter, in the background: see act.h for what each does.
 *
 * One is a row that says what is wanted and how far it is. Whichever node gets the lock "actions" goes on with all that
 * are open, a slice of each in turn: what fits of so many rows, acted on in one batch with the new place and counts. So
 * it goes on after a kill, on the same node or another, and no delivery is counted or told twice. A dry run counts
 * alone. What is under a lease when its turn comes is left, and counted as failed; what comes to fit while it runs may
 * be met or not. */
#ifndef SERVICE_ACTION_H
#define SERVICE_ACTION_H
#include "service/core/call.h"

#define ACTION_SLICE   500 /* rows looked at */
#define ACTION_BATCH   100 /* of these acted on at once */
#define ACTION_BOUNCES 25

struct action_list_in {
    struct page page;
};
struct action_list_out {
    struct action_row *rows;
    size_t n;
    struct page_out page;
};
bool action_list(struct call *c, const struct action_list_in *in, struct action_list_out *out);
struct action_create_in {
    struct action_row given;
    uint64_t named; /* of action_members */
};
bool action_create(struct call *c, const struct action_create_in *in, struct action_row *out);
struct action_get_in {
    struct bytes id;
};
bool action_get(struct call *c, const struct action_get_in *in, struct action_row *out);

/* ---- inside service/ ---- */

/* Makes one that releases what a suspension held, in a batch. */
void action_release(struct batch *b, struct arena *a, const struct suspension_row *ended);
/* The background fiber; one slice of each that is open, for it and for tests: *n of them. */
void actions_run(struct service *svc);
bool actions_round(struct service *svc, size_t *n, struct err *e);
void actions_poke(struct service *svc);
#endif
