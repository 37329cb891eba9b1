#include "store/gather.h"

void gather_begin(struct gather *g, const struct plan *p, const struct arena *a)
{
    *g = (struct gather){ .kind = p->query->kind, .bytes = p->bytes, .from = arena_used(a) };
}

bool gather_enough(struct gather *g, const struct arena *a)
{
    g->cut = g->cut || (g->bytes && g->n && arena_used(a) - g->from + g->n * g->kind->size >= g->bytes);
    return g->cut;
}

void *gather_add(struct gather *g)
{
    void *row;

    if (g->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 16;
        g->rows = realloc(g->rows, g->cap * g->kind->size);
        if (!g->rows)
            die("out of memory: %zu rows", g->cap);
    }
    row = g->rows + g->n++ * g->kind->size;
    memset(row, 0, g->kind->size);
    return row;
}

bool gather_end(struct gather *g, bool ok, struct arena *a, struct rows *out, struct err *e)
{
    if (ok) {
        out->row = arena_try(a, (g->n ? g->n : 1) * g->kind->size);
        out->n = g->n;
        out->cut = g->cut;
        if (!out->row)
            ok = arena_refused(a, "The answer of the store", e);
        else if (g->n)
            memcpy(out->row, g->rows, g->n * g->kind->size);
    }
    free(g->rows);
    g->rows = NULL;
    return ok;
}
