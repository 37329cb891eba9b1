/* service/keep/sync_private.h - what the files of sync share: a look at one row and what is counted with it. */
#ifndef SERVICE_SYNC_PRIVATE_H
#define SERVICE_SYNC_PRIVATE_H
#include "service/keep/sync.h"

#define LOOKED_VALUES 8

struct derived {
    const char *field;
    int64_t was, is;
};

/* A row that was looked at: it must still hold these numbers when anything is put right. */
struct looked {
    struct looked *next;
    const struct kind *kind;
    struct id id;
    struct bytes name;
    struct derived values[LOOKED_VALUES];
    size_t n;
};

struct look {
    struct store *st;
    struct arena *arena; /* of the look */
    struct arena *page;  /* of a page within it */
    struct looked *rows, **last;
    bool changed; /* while we looked: nothing is known */
    struct err *e;
};

struct looked *look_row(struct look *l, const struct kind *k, struct id id, struct bytes name);
void looked_value(struct looked *t, const char *field, int64_t was, int64_t is);

/* Calls `each` with all rows of k in that index where `field` is `id`, a page at a time; `only` as in struct query. */
struct looking {
    const struct kind *kind;
    const char *index, *field;
    struct id id;
    const char *const *only;
    void (*each)(void *arg, const void *row);
    bool (*page)(void *arg, const void *rows, size_t n); /* instead; false: failed */
    void *arg;
};
bool look_through(struct look *l, const struct looking *what);
/* How many of these rows there are: what->each, page and only are not looked at. */
bool look_count(struct look *l, struct looking what, int64_t *n);

/* A look at one row by its id. A row that is gone has no rows. */
bool look_at_user(struct look *l, struct id id);
bool look_at_message(struct look *l, struct id id);
#endif
