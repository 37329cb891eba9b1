/* service/queue/action_private.h - what the files about actions share: action.c is the API's side, action_filter.c says
 * which deliveries are meant and in which order they are met, action_run.c does it. */
#ifndef SERVICE_ACTION_PRIVATE_H
#define SERVICE_ACTION_PRIVATE_H
#include "service/queue/act.h"
#include "service/queue/action.h"

enum { ACTION_IDS_MOST = 1000, ACTION_STEPS = 4 };

enum { FIT_QUEUED = 1, FIT_DEFERRED = 2, FIT_HELD = 4 };

/* What is meant, of a row that was judged when it was made. */
struct action_filter {
    struct bytes domain, email, tag;
    struct id account, message, suspension; /* none: any */
    int64_t before;                         /* made before; 0: whenever */
    unsigned statuses;
    bool test;
    const struct id *ids, *domains;
    size_t n_ids, n_domains;
};

/* False: the row cannot be read. */
bool action_filter_read(const struct action_row *row, struct arena *a, struct action_filter *out);
/* Which statuses an act is for. */
unsigned action_statuses(enum act act);
/* But for its tag. */
bool action_fits(const struct action_filter *f, const struct delivery_row *d);
/* The rows are met step by step, each a walk along an index; false: there is no such step. Of ids the place is a
 * number of the list, and there is no query. */
bool action_step(const struct action_filter *f, int64_t step, struct arena *a, struct query *q);
#endif
