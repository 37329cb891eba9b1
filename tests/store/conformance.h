/* tests/store/conformance.h - what every engine must do, as cmocka tests with the engine as a parameter. */
#ifndef TESTS_STORE_CONFORMANCE_H
#define TESTS_STORE_CONFORMANCE_H
#include "store/store.h"

struct engine_under_test {
    const char *url;
    void (*empty)(void); /* takes all data away; no store is open */
};

/* Number of failed tests. net_start has been called. */
int engine_conformance(const struct engine_under_test *engine);

/* The kinds of the suite; other tests use them too. */
struct note {
    struct id id, owner, holder;
    struct bytes name, body, extra, state;
    int64_t n, most, token, due, lease, lapsed;
    bool flag;
};

struct feed {
    struct id id;
    int64_t writer, n;
};

struct big {
    struct id id;
    struct bytes body;
};

struct tally {
    struct id id;
    int64_t n, extra, until;
    struct bytes word;
};

extern const struct kind note_kind, feed_kind, big_kind, tally_kind;
extern const struct kind *const test_kinds[];

struct store *open_or_die(const char *url, const struct kind *const *kinds, int schema);
struct note note_make(const char *name, int64_t n);
bool commit(struct store *st, struct batch *b, struct err *e); /* with a deadline of 10 s */
#endif
