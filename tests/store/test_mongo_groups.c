/* Groups of batches: how many meet another transaction, and batches that are larger than MongoDB's limits. */
#include "base/clock.h"
#include "base/metrics.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#define CALLERS 64
#define EACH    20
#define BOXES   5000

static struct mongod mongod;
static struct store *st;
static struct arena *a;
static struct id boxes[BOXES];
static unsigned n_boxes;
static atomic_uint turn;

static int set_up(void **state)
{
    (void)state;
    mongod_fresh(&mongod);
    st = open_or_die(mongod.uri, test_kinds, 1);
    a = arena_new(512u << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&st);
    arena_free(&a);
    return 0;
}

static void must(bool ok, const struct err *e)
{
    if (!ok)
        fail_msg("%s (%s)", e->message, e->where);
}

/* ---- how many are aborted ---- */

static void make_boxes(void)
{
    struct batch *b = batch_new(a);
    struct note *n = arena_array(a, n_boxes, sizeof *n);
    struct err e;

    for (unsigned i = 0; i < n_boxes; i++) {
        n[i].id = boxes[i] = id_new();
        batch_insert(b, &note_kind, &n[i], NULL, 0);
    }
    must(commit(st, b, &e), &e);
}

/* A mail: a row with its number, and the mailbox's counter. */
static void *write_mails(void *arg)
{
    struct arena *mine = arena_new(1 << 20);

    (void)arg;
    for (int i = 0; i < EACH; i++) {
        struct id box = boxes[atomic_fetch_add(&turn, 1) * 2654435761u % n_boxes];
        struct batch *b = batch_new(mine);
        int slot = batch_slot(b);
        struct note n = { .id = id_new(), .owner = box };
        struct err e;

        batch_update(b, &note_kind, box, NULL, 0, &ADD_SLOT("n", 1, slot), 1);
        batch_insert(b, &note_kind, &n, &FROM_SLOT("n", slot, 0), 1);
        if (!commit(st, b, &e))
            die("%s", e.message);
        arena_reset(mine);
    }
    arena_free(&mine);
    return NULL;
}

/* A committer takes no batch whose rows are in another open group: of the transactions of one process none meets
 * another, however few mailboxes there are. */
static void few_are_aborted(void **state)
{
    (void)state;
    for (n_boxes = 50; n_boxes <= BOXES; n_boxes *= 100) {
        int64_t groups = metric_get(METRIC_store_groups_total), met = metric_get(METRIC_store_conflicts_total);
        pthread_t threads[CALLERS];

        make_boxes();
        for (int i = 0; i < CALLERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, write_mails, NULL), 0);
        for (int i = 0; i < CALLERS; i++)
            pthread_join(threads[i], NULL);
        groups = metric_get(METRIC_store_groups_total) - groups;
        met = metric_get(METRIC_store_conflicts_total) - met;
        printf("  %u mailboxes: %lld of %lld groups met another\n", n_boxes, (long long)met, (long long)groups);
        assert_true(groups > 0 && met * 50 < groups);
    }
}

/* ---- a batch alone ---- */

/* How many "queries" or "update" of the test's rows the server has seen. */
static long count_calls(const char *what)
{
    char *text = mongod_run(&mongod, "admin", "{\"top\":1}"), mark[128];
    const char *database = mongod.uri + strlen(mongod.base) + 1, *at;
    long n;

    snprintf(mark, sizeof mark, "\"%.*s.note\"", (int)strcspn(database, "?"), database);
    at = strstr(text, mark);
    snprintf(mark, sizeof mark, "\"%s\" : ", what);
    at = at ? strstr(at, mark) : NULL;
    at = at ? strstr(at, "\"count\" : ") : NULL;
    assert_non_null(at);
    at += strlen("\"count\" : ");
    n = strtol(at + strcspn(at, "0123456789"), NULL, 10);
    free(text);
    return n;
}

/* A mail: counters of its user and mailbox, which hold the number that the user's raise gave, and a row. */
static struct batch *one_mail(struct id user, struct id box, int64_t size, int *number)
{
    struct batch *b = batch_new(a);
    struct set *sets = arena_array(a, 5, sizeof *sets);
    struct note *row = arena_alloc(a, sizeof *row);
    int first = batch_slot(b);

    *number = batch_slot(b);
    *row = (struct note){ .id = id_new(), .owner = box };
    sets[0] = ADD_BOUND("n", size, "most", 5);
    sets[1] = ADD_SLOT("token", 1, *number);
    batch_update(b, &note_kind, user, NULL, 0, sets, 2);
    sets[2] = ADD_SLOT("n", 1, first);
    sets[3] = FROM_SLOT("token", *number, 0);
    batch_update(b, &note_kind, box, NULL, 0, &sets[2], 2);
    sets[4] = FROM_SLOT("n", first, -1);
    batch_insert(b, &note_kind, row, &sets[4], 1);
    return b;
}

static struct note note_now(struct id id)
{
    struct note out;
    struct err e;

    must(store_get(st, &note_kind, id, a, &out, &e), &e);
    return out;
}

/* Counters that a lone batch raises are read and written in one call; a bound that is passed is told as ever, and
 * nothing stays of what was raised. */
static void alone_a_counter_costs_one_call(void **state)
{
    struct note user = { .id = id_new(), .most = 100, .token = 7 }, box = { .id = id_new(), .n = 3 };
    struct batch *b = batch_new(a);
    struct err e = { 0 };
    long found, updated;
    int number;

    (void)state;
    batch_insert(b, &note_kind, &user, NULL, 0);
    batch_insert(b, &note_kind, &box, NULL, 0);
    must(commit(st, b, &e), &e);
    found = count_calls("queries");
    updated = count_calls("update");
    b = one_mail(user.id, box.id, 60, &number);
    must(commit(st, b, &e), &e);
    assert_int_equal(batch_slot_value(b, number), 8);
    assert_true(count_calls("queries") == found && count_calls("update") == updated);
    b = one_mail(user.id, box.id, 60, &number);
    assert_false(commit(st, b, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(batch_failure(b).fault, FAULT_BOUND);
    assert_int_equal(batch_failure(b).operation, 0);
    user = note_now(user.id);
    box = note_now(box.id);
    assert_true(user.n == 60 && user.token == 8 && box.n == 4 && box.token == 8);
}

/* ---- what is too large ---- */

static void a_row_over_16_mib_fails_alone(void **state)
{
    struct big row = { id_new(), { arena_alloc(a, 17 << 20), 17 << 20 } }, small = { id_new(), BYTES("x") };
    struct batch *b = batch_new(a);
    struct err e = { 0 };

    (void)state;
    batch_insert(b, &big_kind, &row, NULL, 0);
    assert_false(commit(st, b, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    b = batch_new(a);
    batch_insert(b, &big_kind, &small, NULL, 0);
    must(commit(st, b, &e), &e);
    assert_true(store_is_up(st, &e));
}

/* Of a transaction over 16 MiB the oplog has several entries. */
static void a_batch_over_16_mib(void **state)
{
    enum { ROWS = 20 }; /* twice that may be more than the server's cache of 256 MiB takes at once */
    struct big *rows = arena_array(a, ROWS, sizeof *rows), out;
    struct batch *b = batch_new(a);
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < ROWS; i++) {
        rows[i] = (struct big){ id_new(), { arena_alloc(a, 1 << 20), 1 << 20 } };
        batch_insert(b, &big_kind, &rows[i], NULL, 0);
    }
    must(store_commit(st, b, clock_monotonic() + 60000, &e), &e); /* its cache may be busy with others */
    must(store_get(st, &big_kind, rows[ROWS - 1].id, a, &out, &e), &e);
    assert_int_equal(out.body.n, 1 << 20);
}

/* The largest batch that a door makes: 10,000 of a maildrop deleted by QUIT, four times over, on a server with the
 * smallest cache. (100,000 are more than its 256 MiB hold: WriteConflict until the caller's deadline.) */
static void forty_thousand_deletes(void **state)
{
    enum { ROWS = 40000, AT_ONCE = 10000 };
    struct note *rows = arena_array(a, ROWS, sizeof *rows);
    struct query q = { .kind = &note_kind, .limit = 10 };
    struct batch *b = batch_new(a);
    struct err e = { 0 };
    int64_t began;
    void *found;
    size_t n;

    (void)state;
    for (int i = 0; i < ROWS; i++) {
        rows[i].id = id_new();
        batch_insert(b, &note_kind, &rows[i], NULL, 0);
        if (i % AT_ONCE == AT_ONCE - 1) {
            must(store_commit(st, b, clock_monotonic() + 60000, &e), &e);
            b = batch_new(a);
        }
    }
    began = clock_monotonic();
    for (int i = 0; i < ROWS; i++)
        batch_delete(b, &note_kind, rows[i].id, NULL, 0);
    must(store_commit(st, b, clock_monotonic() + 60000, &e), &e);
    printf("  40,000 deletes in %lld ms\n", (long long)(clock_monotonic() - began));
    must(store_find(st, &q, a, &found, &n, &e), &e);
    assert_int_equal(n, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { T(few_are_aborted), T(alone_a_counter_costs_one_call),
                                        T(a_row_over_16_mib_fails_alone), T(a_batch_over_16_mib),
                                        T(forty_thousand_deletes) };
    int failed;

    if (!mongod_world(&mongod, 1, 4))
        return MONGOD_NONE;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return failed;
}
