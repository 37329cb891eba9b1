/* service/keep/walk.h - a store read from end to end, in slices of bounded memory: for copying and for putting right.
 *
 *     walk_begin(&w, store, &user_kind, NO_BYTES);
 *     while (walk_row(&w, &row, e) && row) …
 *     walk_end(&w);
 * Watched kinds come in the order of their feed, others by id. Between two slices the store may change: rows that come
 * or go meanwhile may be seen or not. One thread. */
#ifndef SERVICE_WALK_H
#define SERVICE_WALK_H
#include "service/core/kinds.h"

extern const struct kind chunk_kind; /* chunks of blobs, as rows */

struct walk {
    struct store *st;
    const struct kind *kind;
    struct arena *arena; /* of the slice */
    struct buf place;    /* behind the slice; empty: before the first row */
    size_t limit;
    const char *rows;
    size_t n, next;
};

/* From behind `place`, which walk_place said once; NO_BYTES: from the first. */
void walk_begin(struct walk *w, struct store *st, const struct kind *k, struct bytes place);
void walk_end(struct walk *w);
/* The next slice into w->rows, which is what the memory holds of the rows asked for; n is 0 at the end. */
bool walk_slice(struct walk *w, struct err *e);
/* The next row, NULL at the end; slices come as they are needed. */
bool walk_row(struct walk *w, const void **row, struct err *e);
struct bytes walk_place(const struct walk *w); /* until the next slice */

#endif
