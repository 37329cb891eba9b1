/* store/gather.h - for engines: rows as they come from a database, moved to the caller's arena when their number is
 * known. A struct gather begins as { .kind = k } (gather_begin for one with a bound) and ends with gather_end, or with
 * free(g.rows). One thread. */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H
#include "store/engine.h"

struct gather {
    const struct kind *kind;
    char *rows;
    size_t n, cap;
    size_t bytes, from; /* most of the arena that is used, 0: any; what was used before */
    bool cut;
};
void gather_begin(struct gather *g, const struct plan *p, const struct arena *a);
bool gather_enough(struct gather *g, const struct arena *a); /* the bound is reached: no further row */
void *gather_add(struct gather *g);                          /* a zeroed row, until the next call */
/* Into *out, when all went well so far (`ok`); frees its memory in any case. False: it did not, or ERR_TOO_LARGE when
 * the arena is full. */
bool gather_end(struct gather *g, bool ok, struct arena *a, struct rows *out, struct err *e);
#endif
