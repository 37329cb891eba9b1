/* The server goes away: how long a call holds its thread, and what becomes of a commit whose answer is not known. */
#include "base/clock.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

/* What a call may take beyond what the store promises: busy processors, and the commit that is just being asked for.
 * READ_MS and its slack are less than two such waits, AT_ONCE_MS is less than one. */
enum { SLACK_MS = 2500, COMMIT_SLACK_MS = 4000, READ_MS = 3000, AT_ONCE_MS = 1500, BACK_MS = 20000 };

static struct mongod mongod;
static struct arena *a;
static struct store *st;
static struct note row;

static int set_up(void **state)
{
    struct batch *b;
    struct err e;

    (void)state;
    mongod_fresh(&mongod);
    a = arena_new(256 << 20);
    st = open_or_die(mongod.uri, test_kinds, 1);
    b = batch_new(a);
    row = note_make("there", 1);
    batch_insert(b, &note_kind, &row, NULL, 0);
    if (!commit(st, b, &e))
        fail_msg("%s", e.message);
    return 0;
}

static void fail_points_off(void)
{
    bson_free(mongod_run(&mongod, "admin", "{\"configureFailPoint\": \"failCommand\", \"mode\": \"off\"}"));
}

static int tear_down(void **state)
{
    (void)state;
    mongod_signal(&mongod, 0, SIGCONT);
    mongod_primary(&mongod);
    fail_points_off();
    store_close(&st);
    arena_free(&a);
    return 0;
}

/* ---- a server that does not answer ---- */

/* Each kind of call that a worker makes. */
static bool call_get(struct err *e)
{
    struct note n;

    return store_get(st, &note_kind, row.id, a, &n, e);
}

static bool call_find(struct err *e)
{
    struct query q = { .kind = &note_kind, .limit = 5 };
    void *rows;
    size_t n;

    return store_find(st, &q, a, &rows, &n, e);
}

static bool call_blob(struct err *e)
{
    struct bytes out;

    return store_blob_get(st, row.id, 0, a, &out, e) || e->code == ERR_MISSING;
}

static bool call_lock(struct err *e)
{
    int64_t token;

    return store_lock(st, BYTES("lock"), 1, &token, e) || e->code == ERR_IN_USE;
}

static bool call_watch(struct err *e)
{
    struct bytes cursor;

    return store_watch_end(st, &feed_kind, a, &cursor, e);
}

static bool (*const calls[])(struct err *e) = { call_get, call_find, call_blob, call_lock, call_watch };

#define CALLS (sizeof calls / sizeof *calls)

struct caller {
    pthread_t thread;
    bool (*call)(struct err *e);
    bool ok;
    struct err e;
    int64_t took;
};

static void *make_call(void *arg)
{
    struct caller *c = arg;
    int64_t began = clock_monotonic();

    c->e = (struct err){ 0 };
    c->ok = c->call(&c->e);
    c->took = clock_monotonic() - began;
    return NULL;
}

static void call_all(struct caller *c)
{
    for (size_t i = 0; i < CALLS; i++) {
        c[i].call = calls[i];
        assert_int_equal(pthread_create(&c[i].thread, NULL, make_call, &c[i]), 0);
    }
    for (size_t i = 0; i < CALLS; i++)
        pthread_join(c[i].thread, NULL);
}

static void fail_within(const struct caller *c, int64_t ms)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (c[i].ok || c[i].e.code != ERR_BUSY || c[i].took > ms)
            fail_msg("call %zu: %s after %lld ms: %s", i, c[i].ok ? "true" : "false", (long long)c[i].took,
                     c[i].e.message);
    }
}

static void all_work_again(void)
{
    int64_t end = clock_monotonic() + BACK_MS;
    struct err why = { 0 };

    for (size_t i = 0; i < CALLS;) {
        struct err e = { 0 };

        if (calls[i](&e) && store_is_up(st, &why))
            i++;
        else if (clock_monotonic() > end)
            fail_msg("not back after %d ms: %s %s", BACK_MS, e.message, why.message);
        else
            usleep(20000);
    }
}

static int64_t longest(const struct caller *c)
{
    int64_t most = 0;

    for (size_t i = 0; i < CALLS; i++)
        most = c[i].took > most ? c[i].took : most;
    return most;
}

/* The first calls learn it, within store.read_timeout; all others are told at once. */
static void a_frozen_primary_holds_nobody(void **state)
{
    struct caller first[CALLS], next[CALLS];
    struct err why = { 0 };
    int64_t began;

    (void)state;
    all_work_again();
    mongod_signal(&mongod, 0, SIGSTOP);
    began = clock_monotonic();
    call_all(first);
    fail_within(first, READ_MS + SLACK_MS);
    for (; store_is_up(st, &why); usleep(1000))
        if (clock_monotonic() > began + READ_MS + SLACK_MS)
            fail_msg("it is up after %lld ms", (long long)(clock_monotonic() - began));
    printf("  frozen: longest call %lld ms, known after %lld ms\n", (long long)longest(first),
           (long long)(clock_monotonic() - began));
    call_all(next);
    fail_within(next, AT_ONCE_MS);
    mongod_signal(&mongod, 0, SIGCONT);
    began = clock_monotonic();
    all_work_again();
    printf("  back after %lld ms\n", (long long)(clock_monotonic() - began));
}

/* One that is gone is known for gone: calls wait for the next, no longer than a freeze would hold them. */
static void a_killed_primary_holds_nobody(void **state)
{
    struct caller first[CALLS], next[CALLS];
    struct err why = { 0 };
    int64_t began;

    (void)state;
    all_work_again();
    mongod_kill(&mongod, 0);
    began = clock_monotonic();
    call_all(first);
    fail_within(first, READ_MS + SLACK_MS);
    for (; store_is_up(st, &why); usleep(1000))
        assert_true(clock_monotonic() < began + READ_MS + SLACK_MS);
    call_all(next);
    fail_within(next, AT_ONCE_MS);
    mongod_restart(&mongod, 0);
    all_work_again();
}

/* ---- commits whose outcome is not known ---- */

static void fail_commits(const char *mode, const char *how)
{
    char json[512];

    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": %s, \"data\": {\"failCommands\": "
             "[\"commitTransaction\"], %s}}",
             mode, how);
    bson_free(mongod_run(&mongod, "admin", json));
}

#define CLOSED  "\"closeConnection\": true"
#define NO_WAIT "\"writeConcernError\": {\"code\": 64, \"errmsg\": \"waiting for replication timed out\"}"
#define MOVED   "\"writeConcernError\": {\"code\": 91, \"errmsg\": \"shutting down\"}"

static bool put(int64_t wait, struct note *n, int64_t *took, struct err *e)
{
    struct batch *b = batch_new(a);
    int64_t began = clock_monotonic();
    bool ok;

    *n = (struct note){ .id = id_new(), .n = 7 };
    *e = (struct err){ 0 };
    batch_update(b, &note_kind, row.id, NULL, 0, &ADD("n", 1), 1);
    batch_insert(b, &note_kind, n, NULL, 0);
    ok = store_commit(st, b, began + wait, e);
    *took = clock_monotonic() - began;
    return ok;
}

static int64_t counted(void)
{
    struct note n;
    struct err e;

    if (!store_get(st, &note_kind, row.id, a, &n, &e))
        fail_msg("%s", e.message);
    return n.n;
}

static bool is_there(const struct note *n)
{
    struct note back;
    struct err e = { 0 };
    bool there = store_get(st, &note_kind, n->id, a, &back, &e);

    assert_true(there || e.code == ERR_MISSING);
    return there;
}

/* The answer is lost, or says that the majority is not known to have it: asked again, the batch is there once. */
static void a_lost_answer_is_asked_for_again(void **state)
{
    static const char *const ways[] = {
        CLOSED, NO_WAIT, MOVED, "\"errorCode\": 91", "\"errorCode\": 11602", "\"errorCode\": 6"
    };
    int64_t before = counted(), took;
    struct note n;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fail_commits("{\"times\": 5}", ways[i]);
        if (!put(20000, &n, &took, &e))
            fail_msg("%s: %s", ways[i], e.message);
        assert_true(is_there(&n));
        assert_int_equal(counted(), ++before);
        fail_points_off();
    }
}

/* The server says that there is no such transaction: nothing was written, and the batch is written anew. */
static void a_forgotten_transaction_is_written_anew(void **state)
{
    int64_t before = counted(), took;
    struct note n;
    struct err e;

    (void)state;
    fail_commits("{\"times\": 1}", "\"errorCode\": 251, \"errorLabels\": [\"TransientTransactionError\"]");
    if (!put(20000, &n, &took, &e))
        fail_msg("%s", e.message);
    assert_true(is_there(&n));
    assert_int_equal(counted(), before + 1);
}

/* Until the caller's deadline, and not much longer; then it is there or it is not, whole. */
static void the_deadline_ends_the_search(const char *how, bool there)
{
    int64_t before = counted(), took;
    struct note n;
    struct err e;

    fail_commits("\"alwaysOn\"", how);
    assert_false(put(2000, &n, &took, &e));
    assert_int_equal(e.code, ERR_BUSY);
    printf("  given up after %lld ms: %s\n", (long long)took, e.message);
    assert_true(took >= 2000 && took < 2000 + COMMIT_SLACK_MS);
    fail_points_off();
    assert_true(put(20000, &(struct note){ 0 }, &took, &e)); /* whatever is open on the row has ended */
    assert_int_equal(is_there(&n), there);
    assert_int_equal(counted(), before + 1 + there);
}

static void a_deadline_without_a_commit(void **state)
{
    (void)state;
    the_deadline_ends_the_search(CLOSED, false);
}

static void a_deadline_after_a_commit(void **state)
{
    (void)state;
    the_deadline_ends_the_search(NO_WAIT, true);
}

struct putter {
    pthread_t thread;
    struct note note;
    int64_t took, wait;
    bool ok;
    struct err e;
};

static void *put_one(void *arg)
{
    struct putter *p = arg;
    struct arena *own = arena_new(1 << 20);
    struct batch *b = batch_new(own);
    int64_t began = clock_monotonic();

    p->note.id = id_new();
    batch_insert(b, &note_kind, &p->note, NULL, 0);
    p->ok = store_commit(st, b, began + p->wait, &p->e);
    p->took = clock_monotonic() - began;
    arena_free(&own);
    return NULL;
}

/* While every committer looks for what became of its group, those that wait for one end by their own deadlines. */
static void those_behind_end_in_time(void **state)
{
    enum { PUTTERS = 24 };
    static struct putter p[PUTTERS];
    int there = 0;

    (void)state;
    fail_commits("\"alwaysOn\"", CLOSED);
    for (int i = 0; i < PUTTERS; i++) {
        p[i] = (struct putter){ .wait = i < 8 ? 10000 : 1500 };
        assert_int_equal(pthread_create(&p[i].thread, NULL, put_one, &p[i]), 0);
        usleep(50000); /* one after the other, so that each committer has a group */
    }
    for (int i = 0; i < PUTTERS; i++) {
        pthread_join(p[i].thread, NULL);
        assert_true(!p[i].ok && p[i].e.code == ERR_BUSY);
        if (p[i].took > p[i].wait + COMMIT_SLACK_MS)
            fail_msg("number %d ended after %lld ms", i, (long long)p[i].took);
    }
    fail_points_off();
    for (int i = 0; i < PUTTERS; i++)
        there += is_there(&p[i].note);
    assert_int_equal(there, 0);
}

/* ---- a database that is not there any more ---- */

/* It does not come back by what we write to it, without the indexes that keep a mail from being there twice. */
static void a_dropped_database_stays_dropped(void **state)
{
    struct store_options o = { .url = mongod.uri, .kinds = test_kinds, .schema = 1, .node = id_new() };
    struct store *other;
    struct err e, why = { 0 };
    struct note n;
    int64_t took;

    (void)state;
    assert_true(put(20000, &n, &took, &e));
    bson_free(mongod_run(&mongod, NULL, "{\"dropDatabase\": 1}"));
    for (int i = 0; i < 2; i++) {
        assert_false(put(2000, &n, &took, &e));
        assert_int_equal(e.code, ERR_BUSY);
    }
    assert_non_null(strstr(e.message, "was dropped or replaced"));
    for (int64_t end = clock_monotonic() + BACK_MS; store_is_up(st, &why); usleep(10000))
        assert_true(clock_monotonic() < end);
    assert_non_null(strstr(why.message, "was dropped or replaced"));
    if (!store_open(&o, &other, &e)) /* nothing was made in its place: it is free for a new start */
        fail_msg("%s", e.message);
    assert_false(put(2000, &n, &took, &e));
    store_close(&other);
}

/* ---- answers that say less than they seem to ---- */

/* Whoever calls, however often: until fail_points_off. */
static void fail_command(const char *command, const char *how)
{
    char json[512];

    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": \"alwaysOn\", \"data\": {\"failCommands\": "
             "[\"%s\"], %s}}",
             command, how);
    bson_free(mongod_run(&mongod, "admin", json));
}

/* A lock that may be rolled back is none. */
static void a_lock_needs_its_majority(void **state)
{
    int64_t token;
    struct err e = { 0 };

    (void)state;
    fail_command("findAndModify", NO_WAIT);
    assert_false(store_lock(st, BYTES("box"), 60000, &token, &e));
    fail_points_off();
    assert_int_equal(e.code, ERR_BUSY);
}

static void a_claim_needs_its_majority(void **state)
{
    struct claim c = { .query = { .kind = &note_kind, .index = "with_due", .limit = 5, .n_conds = 1 },
                       .due = "due",
                       .lease = "lease",
                       .token = "token",
                       .holder = "holder",
                       .lease_ms = 60000 };
    struct batch *b = batch_new(a);
    struct set due = SET("due", V_TIME(store_now(st) - 1000));
    struct err e = { 0 };
    void *rows;
    size_t n;

    (void)state;
    c.query.conds[0] = COND("due", IS_NOT, V_TIME(0));
    batch_update(b, &note_kind, row.id, NULL, 0, &due, 1);
    assert_true(commit(st, b, &e));
    fail_command("update", NO_WAIT);
    assert_false(store_claim(st, &c, a, &rows, &n, &e));
    fail_points_off();
    assert_int_equal(e.code, ERR_BUSY);
}

/* The second part of a long answer. */
static void rows_that_do_not_come_are_an_error(void **state)
{
    struct query q = { .kind = &note_kind, .index = "owner_n", .limit = 2000, .n_conds = 1 };
    struct batch *b = batch_new(a);
    struct err e = { 0 };
    size_t n = 0;
    void *rows;

    (void)state;
    q.conds[0] = COND("owner", IS, V_ID(row.id));
    for (int i = 0; i < 40; i++) {
        struct note *big = arena_alloc(a, sizeof *big);

        *big = (struct note){ .id = id_new(), .owner = row.id, .body = { arena_alloc(a, 600000), 600000 } };
        batch_insert(b, &note_kind, big, NULL, 0);
        if (i % 8 == 7) {
            assert_true(commit(st, b, &e));
            b = batch_new(a);
        }
    }
    fail_command("getMore", "\"errorCode\": 11602");
    assert_false(store_find(st, &q, a, &rows, &n, &e));
    assert_int_equal(e.code, ERR_BUSY);
    fail_points_off();
    assert_true(store_find(st, &q, a, &rows, &n, &e));
    assert_int_equal(n, 40);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_frozen_primary_holds_nobody),      T(a_killed_primary_holds_nobody),
        T(a_lost_answer_is_asked_for_again),   T(a_forgotten_transaction_is_written_anew),
        T(a_deadline_without_a_commit),        T(a_deadline_after_a_commit),
        T(those_behind_end_in_time),           T(a_dropped_database_stays_dropped),
        T(a_lock_needs_its_majority),          T(a_claim_needs_its_majority),
        T(rows_that_do_not_come_are_an_error),
    };
    int failed;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mongod_world(&mongod, 1, 8))
        return MONGOD_NONE;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return failed;
}
