/* service/keep/past.h - rows that are past their time, found without an index for it.
 *
 *     past_begin(&p, &kinds)
 *     while (past_next(&p, svc, a, &rows, &n, e) && n) delete them
 *
 * Ids are in order of time. Where all rows of a kind live alike long those that are past are the oldest, so a round
 * takes them from the old end until it meets one that is not. Rows of a longer retention may stand before some that are
 * past: so it also looks behind the place where the round before stopped, until it has met sweep.steps rows that stay,
 * and begins again at the old end once it has seen the youngest. What is late by that is late by a few rounds; what a
 * round looks at in vain does not depend on how many rows there are. An index would cost every mail that is taken.
 * Places are in memory: a new process begins at the old end. One round at a time: whoever has the sweep's lock. */
#ifndef SERVICE_PAST_H
#define SERVICE_PAST_H
#include "service/core/call.h"

/* What is looked for: rows of which `field` (a TIME, null: never) is past by the store's clock. */
struct past_kind {
    const struct kind *kind;
    const char *const *only; /* the fields that are wanted: id, `field` and what deleting needs */
    const char *field;
    size_t number; /* among the kinds of a store: its own places */
};
#define PAST_KINDS 4

struct past_places;
struct past_places *past_places_new(void);
void past_places_free(struct past_places **p);

struct past {
    const struct past_kind *of;
    size_t looked; /* rows that stay; who keeps one that is past, because it is still at work, adds it */
    bool scans, over;
};
void past_begin(struct past *p, const struct past_kind *of);
/* The next rows that are past, at most a slice of the sweep; *n is 0 only behind the last. */
bool past_next(struct past *p, struct service *svc, struct arena *a, void **rows, size_t *n, struct err *e);
#endif
