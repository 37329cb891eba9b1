/* service/copy_private.h - what the two halves of a copy share: reading a store from end to end. */
#ifndef SERVICE_COPY_PRIVATE_H
#define SERVICE_COPY_PRIVATE_H
#include "service/copy.h"

extern const struct kind chunk_kind; /* chunks of blobs, as rows */

/* All rows of a kind, a slice at a time: watched kinds in the order of their feed, others by id. */
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

/* ERR_CONFLICT names the first difference. */
bool copy_check(struct store *from, struct store *to, const struct copy_options *o, struct copy_report *out,
                struct err *e);
/* Puts "FROM: " or "TO: " before what is wrong; false. */
bool copy_at(const char *side, const struct err *why, struct err *e);
#endif
