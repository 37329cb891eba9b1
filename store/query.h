/* store/query.h - what engines share about reading: the order of a query, its cursors, and the passes behind a cursor.
 *
 * The order of a query is the fields of its index and then the id. A cursor is base64url of a mark of kind and index
 * and the values of that order. Rows behind a cursor (A, B, id) are read in passes that are each one range of the
 * index, the nearest first: (A, B, > id), (A, > B), (> A); going down, a pass for the nulls, which sort first, comes
 * behind each. Together they are exact with nulls too and never scan what lies before the cursor. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H
#include "store/value.h"

#define ORDER_FIELDS (INDEX_FIELDS + 1)
/* Longest cursor text taken. */
#define CURSOR_MAX 8192
/* Most values of a ONE_OF list. */
#define LIST_MAX 1024

struct plan {
    const struct query *query;
    const struct index *index; /* NULL: by id */
    const struct field *order[ORDER_FIELDS];
    size_t n_order;
    size_t fixed; /* leading fields of the order that an IS condition holds fast */
    bool behind;  /* a cursor was given: its values are in `from` */
    struct value from[ORDER_FIELDS];
    size_t bytes; /* the answer ends behind the row with which it has so many; 0: any number */
};

#define PASS_CONDS (QUERY_CONDS + ORDER_FIELDS)
struct pass {
    struct cond conds[PASS_CONDS];
    const struct field *fields[PASS_CONDS];
    size_t n;
    bool empty;        /* no row can be in it */
    size_t order_from; /* the order's fields before this are constant in the pass */
};

/* Checks the query and reads its cursor, whose bytes go into the arena. ERR_INVALID for a bad cursor, ERR_INTERNAL for
 * a query that makes no sense (no such index, a condition that does not imply the index's `when`). */
bool plan_make(const struct query *q, struct arena *a, struct plan *p, struct err *e);
/* Pass `i` (0, 1, …) of the plan; false when there are no more. */
bool plan_pass(const struct plan *p, size_t i, struct pass *out);
size_t plan_passes(const struct plan *p);

/* The parts of a claim: one for each value where it has `each`, else all of it. False when `left` or the value's limit
 * leave nothing of part `i`. */
size_t claim_parts(const struct claim *c);
bool claim_part(const struct claim *c, size_t i, size_t left, struct query *q);

/* A cursor of a watch: the mark of the kind, the identity of the database and the engine's place. */
#define WATCH_PLACE_MAX (WATCH_CURSOR_MAX / 4 * 3 - 16)
struct bytes watch_cursor(const struct kind *k, int64_t identity, struct bytes place, struct arena *a);
/* NO_BYTES reads as an empty place. The place lies in the arena. */
bool watch_cursor_read(const struct kind *k, int64_t identity, struct bytes cursor, struct arena *a,
                       struct bytes *place);
#endif
