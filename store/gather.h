/* store/gather.h - for engines: rows as they come from a database, moved to the caller's arena when their number is
 * known. A struct gather begins as { .kind = k } and ends with gather_end, or with free(g.rows). One thread. */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H
#include "store/engine.h"

struct gather {
    const struct kind *kind;
    char *rows;
    size_t n, cap;
};
void *gather_add(struct gather *g); /* a zeroed row, until the next call */
/* Into *out, when all went well so far (`ok`); frees its memory in any case. False: it did not, or ERR_TOO_LARGE when
 * the arena is full. */
bool gather_end(struct gather *g, bool ok, struct arena *a, struct rows *out, struct err *e);
#endif
