#include "store/table.h"
#include "base/err.h"
#include <assert.h>

void tables_init(struct tables *t, const struct kind *const *kinds)
{
    t->n = 0;
    while (kinds[t->n])
        t->n++;
    /* Sets of tables are bits of one number (tables_raise). */
    assert(t->n <= 64);
    t->at = calloc(t->n + 1, sizeof *t->at);
    if (!t->at)
        die("out of memory: tables");
    for (size_t i = 0; i < t->n; i++) {
        t->at[i].kind = kinds[i];
        if (kinds[i]->watched)
            t->at[i].signal = signal_new();
    }
}

void tables_clear(struct tables *t)
{
    for (size_t i = 0; i < t->n; i++)
        signal_free(&t->at[i].signal);
    free(t->at);
    *t = (struct tables){ 0 };
}

size_t table_number(const struct tables *t, const struct kind *k)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i].kind == k)
            return i;
    die("store: kind %s was not given to store_open", k->name);
}

struct signal *table_signal(const struct tables *t, const struct kind *k)
{
    struct signal *s = t->at[table_number(t, k)].signal;

    assert(s);
    return s;
}

void tables_raise(const struct tables *t, uint64_t numbers)
{
    for (size_t i = 0; i < t->n; i++)
        if ((numbers >> i & 1) && t->at[i].signal)
            signal_raise(t->at[i].signal);
}

const struct kind *table_named(const struct tables *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->at[i].kind->name, name) == 0)
            return t->at[i].kind;
    return NULL;
}
