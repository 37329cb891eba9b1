/* Members that lag behind: a primary without a majority, and one that has just come. */
#include "base/clock.h"
#include "base/params.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* A commit without an answer holds its group for twice store.call_timeout. */
enum { WAIT_MS = 1500, SLACK_MS = 11000, BACK_MS = 20000 };

static struct mongod mongod;
static struct arena *a;
static struct store *st;

static void run_on(int member, const char *json)
{
    char uri[128];
    bson_error_t why;
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &why), reply;
    mongoc_client_t *c;

    snprintf(uri, sizeof uri, "mongodb://127.0.0.1:%d/?directConnection=true", mongod.ports[member]);
    c = mongoc_client_new(uri);
    if (!command || !mongoc_client_command_simple(c, "admin", command, NULL, &reply, &why))
        fail_msg("%s: %s", json, why.message);
    bson_destroy(&reply);
    bson_destroy(command);
    mongoc_client_destroy(c);
}

static void replicate(int member, bool on)
{
    run_on(member, on ? "{\"configureFailPoint\": \"stopReplProducer\", \"mode\": \"off\"}"
                      : "{\"configureFailPoint\": \"stopReplProducer\", \"mode\": \"alwaysOn\"}");
}

static int set_up(void **state)
{
    (void)state;
    mongod_settled(&mongod);
    mongod_fresh(&mongod);
    a = arena_new(1 << 20);
    st = open_or_die(mongod.uri, test_kinds, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < mongod.n; i++)
        replicate(i, true);
    store_close(&st);
    arena_free(&a);
    return 0;
}

static bool put(int64_t wait, struct id *id, int64_t *took, struct err *e)
{
    struct batch *b = batch_new(a);
    struct note n = { .id = *id = id_new() };
    int64_t began = clock_monotonic();
    bool ok;

    *e = (struct err){ 0 };
    batch_insert(b, &note_kind, &n, NULL, 0);
    ok = store_commit(st, b, began + wait, e);
    *took = clock_monotonic() - began;
    return ok;
}

/* The primary has groups of ours which no majority has: the lane reads as before them. */
static void each_ends_by_its_deadline(void **state)
{
    int primary = mongod_primary(&mongod);
    struct id id;
    struct err e;
    int64_t took;

    (void)state;
    assert_true(put(BACK_MS, &id, &took, &e));
    for (int i = 0; i < mongod.n; i++)
        if (i != primary)
            replicate(i, false);
    for (int i = 0; i < 4; i++) {
        assert_false(put(WAIT_MS, &id, &took, &e));
        printf("  %lld ms: %s\n", (long long)took, e.message);
        assert_int_equal(e.code, ERR_BUSY);
        assert_true(took < WAIT_MS + SLACK_MS);
    }
    for (int i = 0; i < mongod.n; i++)
        replicate(i, true);
    if (!put(BACK_MS, &id, &took, &e))
        fail_msg("%s", e.message);
}

/* ---- a primary that has just come ---- */

static void block_asking(bool on)
{
    mongoc_uri_t *uri = mongoc_uri_new(mongod.uri);
    char json[512];

    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": \"%s\", \"data\": {\"failCommands\": [\"find\"], "
             "\"namespace\": \"%s._meta\", \"errorCode\": 50}}",
             on ? "alwaysOn" : "off", mongoc_uri_get_database(uri));
    for (int i = 0; i < mongod.n; i++)
        run_on(i, json);
    mongoc_uri_destroy(uri);
}

/* It is read from only when it knows what was acknowledged by the one before: what a read has shown, the next one shows
 * too. */
static void a_new_primary_is_asked_first(void **state)
{
    int before = mongod_primary(&mongod), answered = 0;
    struct note n;
    struct id id;
    struct err e;
    int64_t took, end;

    (void)state;
    assert_true(put(BACK_MS, &id, &took, &e));
    assert_true(store_get(st, &note_kind, id, a, &n, &e));
    block_asking(true);
    run_on(before, "{\"replSetStepDown\": 20, \"force\": true}");
    assert_int_not_equal(mongod_primary(&mongod), before);
    for (end = clock_monotonic() + WAIT_MS; clock_monotonic() < end; usleep(10000)) {
        answered += store_get(st, &note_kind, id, a, &n, &e);
        assert_int_not_equal(e.code, ERR_MISSING);
    }
    assert_int_equal(answered, 0);
    block_asking(false);
    for (end = clock_monotonic() + BACK_MS; !store_get(st, &note_kind, id, a, &n, &e); usleep(10000))
        assert_true(clock_monotonic() < end);
}

/* ---- lazy batches ---- */

static void replicate_from(int primary, bool on)
{
    for (int i = 0; i < mongod.n; i++)
        if (i != primary)
            replicate(i, on);
}

static bool put_lazily(struct id id, unsigned n, struct err *e)
{
    struct batch *b = batch_new(a);

    *e = (struct err){ 0 };
    batch_lazy(b);
    batch_blob_put(b, id, n, BYTES("some"));
    return store_commit(st, b, clock_monotonic() + BACK_MS, e);
}

static bool require(struct id id, unsigned n, int64_t mark, struct id *row, enum batch_fault *fault, struct err *e)
{
    struct batch *b = batch_new(a);
    struct note note = { .id = *row = id_new() };
    bool ok;

    *e = (struct err){ 0 };
    batch_blob_require(b, id, n, mark);
    batch_insert(b, &note_kind, &note, NULL, 0);
    ok = store_commit(st, b, clock_monotonic() + BACK_MS, e);
    *fault = batch_failure(b).fault;
    return ok;
}

/* The primary alone takes it; it freezes, and another one is elected who has never heard of it. What rests on it fails,
 * though nobody of ours has died, and is not half there when the old one is back. */
static void what_was_lazy_and_is_taken_back_is_noticed(void **state)
{
    int before = mongod_primary(&mongod);
    int64_t mark = store_lazy_mark(st), took;
    struct id id = id_new(), row;
    enum batch_fault fault;
    struct bytes chunk;
    struct note n;
    struct err e;
    bool there;

    (void)state;
    assert_true(put(BACK_MS, &row, &took, &e));
    assert_true(put_lazily(id, 0, &e)); /* this one has everywhere */
    assert_true(put(BACK_MS, &row, &took, &e));
    replicate_from(before, false);
    if (!put_lazily(id, 1, &e) || !put_lazily(id, 2, &e))
        fail_msg("%s", e.message);
    mongod_signal(&mongod, before, SIGSTOP);
    replicate_from(before, true);
    assert_int_not_equal(mongod_primary(&mongod), before);
    assert_false(require(id, 3, mark, &row, &fault, &e));
    if (e.code != ERR_CONFLICT)
        fail_msg("%s", e.message);
    assert_int_equal(fault, FAULT_MISSING);
    mongod_signal(&mongod, before, SIGCONT);
    mongod_settled(&mongod);
    if (!store_look(st, &note_kind, row, a, &n, &there, &e))
        fail_msg("%s", e.message);
    assert_false(there);
    assert_true(store_blob_get(st, id, 0, a, &chunk, &e));
    assert_false(store_blob_get(st, id, 1, a, &chunk, &e));
    assert_true(put_lazily(id, 1, &e) && put_lazily(id, 2, &e)); /* again, and now it holds */
    if (!require(id, 3, mark, &row, &fault, &e))
        fail_msg("%s", e.message);
    assert_true(store_blob_get(st, id, 2, a, &chunk, &e));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_ends_by_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_primary_is_asked_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_lazy_and_is_taken_back_is_noticed, set_up, tear_down),
    };
    struct err e;
    int bad;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mongod_world(&mongod, 3, 4))
        return MONGOD_NONE;
    if (!param_set(PARAM_store_committers, PARAM_FROM_FLAG, BYTES("1"), &e))
        die("%s", e.message);
    bad = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return bad;
}
