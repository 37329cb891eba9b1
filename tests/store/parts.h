/* tests/store/parts.h - what the parts of the conformance suite share: an open store, an arena, an error, workers. */
#ifndef TESTS_STORE_PARTS_H
#define TESTS_STORE_PARTS_H
#include "base/clock.h"
#include "tests/store/conformance.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct engine_under_test *engine;

/* Fresh for each test: set_up empties the engine and opens it. */
extern struct store *st;
extern struct arena *a;
extern struct err e;

int set_up(void **state);
int tear_down(void **state);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

const char *engine_url(void);
void reopen(void);
void must(bool ok); /* or fails with e */
void put(const struct note *n);
struct note got(struct id id);
bool is_there(struct id id);
void must_fail(struct batch *b, int operation, enum batch_fault fault, const char *name);
bool same(struct bytes x, const char *y);

/* Threads that commit at the same time, so that the batches meet in groups. */
struct worker {
    pthread_t thread;
    int number;
    bool ok;
    struct err e;
    atomic_int *gate; /* they start when it is not 0; may be NULL */
    void (*run)(struct worker *w);
    struct id id;
};
void start(struct worker *w, int n, atomic_int *gate, void (*run)(struct worker *w));
void join(struct worker *w, int n);

/* The parts; each returns the number of failed tests. */
int write_conformance(void);
int raise_conformance(void);
int find_conformance(void);
int wait_conformance(void);
int keys_conformance(void);
int builds_conformance(void);
int whole_conformance(void);
#endif
