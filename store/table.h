/* store/table.h - for engines: the kinds that a store was opened with, by number, and the signals of those with a feed.
 * Made when a store is opened, and constant until it is closed; any thread. */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H
#include "net/wait.h"
#include "store/kind.h"

struct table {
    const struct kind *kind;
    struct signal *signal; /* watched kinds only */
};
/* At most 64: sets of them are the bits of a number. */
struct tables {
    struct table *at;
    size_t n;
};
void tables_init(struct tables *t, const struct kind *const *kinds);
void tables_clear(struct tables *t);
size_t table_number(const struct tables *t, const struct kind *k); /* dies for one that was not given to store_open */
struct signal *table_signal(const struct tables *t, const struct kind *k); /* of a watched kind */
void tables_raise(const struct tables *t, uint64_t numbers);               /* the signals of these tables */
const struct kind *table_named(const struct tables *t, const char *name);  /* NULL when there is none */
#endif
