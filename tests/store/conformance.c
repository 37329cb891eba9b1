#include "tests/store/parts.h"

const struct engine_under_test *engine;
struct store *st;
struct arena *a;
struct err e;

int set_up(void **state)
{
    (void)state;
    engine->empty();
    st = open_or_die(engine->url, test_kinds, 1);
    a = arena_new(512u << 20);
    e = (struct err){ 0 };
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    store_close(&st);
    arena_free(&a);
    return 0;
}

const char *engine_url(void)
{
    return engine->url;
}

void reopen(void)
{
    store_close(&st);
    st = open_or_die(engine->url, test_kinds, 1);
}

void must(bool ok)
{
    if (!ok)
        fail_msg("%s (%s)", e.message, e.where);
}

void put(const struct note *n)
{
    struct batch *b = batch_new(a);

    batch_insert(b, &note_kind, n, NULL, 0);
    must(commit(st, b, &e));
}

struct note got(struct id id)
{
    struct note n;

    must(store_get(st, &note_kind, id, a, &n, &e));
    return n;
}

bool is_there(struct id id)
{
    struct note n;
    struct err missing = { 0 };
    bool there = store_get(st, &note_kind, id, a, &n, &missing);

    assert_true(there || missing.code == ERR_MISSING);
    return there;
}

void must_fail(struct batch *b, int operation, enum batch_fault fault, const char *name)
{
    struct batch_failure f;

    assert_false(commit(st, b, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    f = batch_failure(b);
    assert_int_equal(f.operation, operation);
    assert_int_equal(f.fault, fault);
    assert_string_equal(f.name, name);
    e = (struct err){ 0 };
}

bool same(struct bytes x, const char *y)
{
    return bytes_equal(x, bytes_of(y));
}

static void *worker_thread(void *arg)
{
    struct worker *w = arg;

    while (w->gate && !atomic_load(w->gate))
        sched_yield();
    w->run(w);
    return NULL;
}

void start(struct worker *w, int n, atomic_int *gate, void (*run)(struct worker *w))
{
    for (int i = 0; i < n; i++) {
        w[i].number = i;
        w[i].gate = gate;
        w[i].run = run;
        assert_int_equal(pthread_create(&w[i].thread, NULL, worker_thread, &w[i]), 0);
    }
}

void join(struct worker *w, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
}

int engine_conformance(const struct engine_under_test *under_test)
{
    engine = under_test;
    return write_conformance() + raise_conformance() + keys_conformance() + find_conformance() + wait_conformance() +
           builds_conformance() + whole_conformance();
}
