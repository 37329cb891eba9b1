/* service/core/shown.h - inside service/: rows that are shown as several, for lists.
 *
 * Each of them has an id of its own, that of the row with a number in its lowest six bits, which are zero in the row's.
 * A page may begin and end among those of one row, in both directions. */
#ifndef SERVICE_SHOWN_H
#define SERVICE_SHOWN_H
#include "service/core/call.h"

#define SHOWN_MOST 64 /* of one row */
struct shown {
    const char *field; /* what `show` reads of a row beside what is shown */
    /* Writes them in order, the row's own first, and gives their number. out has room for SHOWN_MOST, or is NULL: how
     * many they are at most. */
    size_t (*show)(const void *row, void *out);
};
/* The row that an id is of, when no row has it. */
struct id shown_row(struct id id);

struct found {
    char *rows; /* in reading order */
    size_t n;
    const struct id *of; /* the row that each is of; NULL: itself */
    bool more;           /* there may be more behind them */
};
/* The next rows of q as they are shown behind its place, at least what q.limit rows show; `as` NULL: as they are. It
 * stops at so many bytes of rows as they are kept, 0: at any number. */
bool shown_find(struct call *c, const struct query *q, const struct shown *as, size_t bytes, struct found *f);
struct id shown_id(const struct kind *k, const char *rows, size_t i);
size_t shown_bytes(const struct kind *k, const char *row); /* what a row takes */
#endif
