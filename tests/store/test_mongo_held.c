/* Rows that another process's transaction holds open, and what stands behind them. */
#include "base/clock.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { HELD = 6, FREE = 20, HELD_MS = 12000, FREE_MS = 9000, SLACK_MS = 3000 };

static struct mongod mongod;
static struct arena *a;
static struct store *st;
static struct id boxes[HELD];

static int set_up(void **state)
{
    struct batch *b;
    struct err e;

    (void)state;
    mongod_fresh(&mongod);
    a = arena_new(1 << 20);
    st = open_or_die(mongod.uri, test_kinds, 1);
    b = batch_new(a);
    for (int i = 0; i < HELD; i++) {
        struct note *n = arena_alloc(a, sizeof *n);

        n->id = boxes[i] = id_new();
        batch_insert(b, &note_kind, n, NULL, 0);
    }
    if (!commit(st, b, &e))
        fail_msg("%s", e.message);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&st);
    arena_free(&a);
    return 0;
}

/* ---- the other process ---- */

struct other {
    mongoc_client_t *client;
    mongoc_client_session_t *session;
};

/* Writes every box, and does not commit. */
static void hold(struct other *o)
{
    mongoc_uri_t *uri = mongoc_uri_new(mongod.uri);
    bson_t opts = BSON_INITIALIZER, all = BSON_INITIALIZER, *change = BCON_NEW("$inc", "{", "_w", BCON_INT32(1), "}");
    mongoc_collection_t *c;
    bson_error_t why;

    o->client = mongoc_client_new_from_uri(uri);
    o->session = mongoc_client_start_session(o->client, NULL, &why);
    assert_true(mongoc_client_session_start_transaction(o->session, NULL, &why));
    assert_true(mongoc_client_session_append(o->session, &opts, &why));
    c = mongoc_client_get_collection(o->client, mongoc_uri_get_database(uri), "note");
    if (!mongoc_collection_update_many(c, &all, change, &opts, NULL, &why))
        fail_msg("%s", why.message);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);
    bson_destroy(change);
    mongoc_uri_destroy(uri);
}

static void let_go(struct other *o)
{
    bson_error_t why;

    mongoc_client_session_abort_transaction(o->session, &why);
    mongoc_client_session_destroy(o->session);
    mongoc_client_destroy(o->client);
}

/* ---- ours ---- */

struct putter {
    pthread_t thread;
    struct id box; /* none: a row of its own only */
    int64_t wait, took;
    bool ok;
    struct err e;
};

static void *put_one(void *arg)
{
    struct putter *p = arg;
    struct arena *own = arena_new(1 << 20);
    struct batch *b = batch_new(own);
    struct note n = { .id = id_new() };
    struct set more = ADD("n", 1);
    int64_t began = clock_monotonic();

    if (!id_is_none(p->box))
        batch_update(b, &note_kind, p->box, NULL, 0, &more, 1);
    batch_insert(b, &note_kind, &n, NULL, 0);
    p->ok = store_commit(st, b, began + p->wait, &p->e);
    p->took = clock_monotonic() - began;
    arena_free(&own);
    return NULL;
}

static void start(struct putter *p, struct id box, int64_t wait)
{
    *p = (struct putter){ .box = box, .wait = wait };
    assert_int_equal(pthread_create(&p->thread, NULL, put_one, p), 0);
    usleep(50000); /* one after the other, so that each committer has a group */
}

/* Who wants other rows passes by, however many committers have met those that are held. */
static void others_pass(void **state)
{
    static struct putter held[HELD], others[FREE];
    struct other other;
    int64_t worst = 0;
    int bad = 0;

    (void)state;
    hold(&other);
    for (int i = 0; i < HELD; i++)
        start(&held[i], boxes[i], HELD_MS);
    for (int i = 0; i < FREE; i++)
        start(&others[i], NO_ID, FREE_MS);
    for (int i = 0; i < FREE; i++) {
        pthread_join(others[i].thread, NULL);
        worst = others[i].took > worst ? others[i].took : worst;
        bad += !others[i].ok;
    }
    for (int i = 0; i < HELD; i++) {
        pthread_join(held[i].thread, NULL);
        assert_true(!held[i].ok && held[i].e.code == ERR_BUSY && held[i].took < HELD_MS + SLACK_MS);
    }
    let_go(&other);
    printf("  others: the slowest took %lld ms, %d failed\n", (long long)worst, bad);
    assert_int_equal(bad, 0);
    assert_true(worst < FREE_MS);
}

/* Those behind one that is held end by their own deadlines, and pass as soon as the row is let go. */
static void those_behind_end_in_time(void **state)
{
    static struct putter first, late, last;
    struct other other;

    (void)state;
    hold(&other);
    start(&first, boxes[0], 20000);
    usleep(200000); /* it has been put back */
    start(&late, boxes[0], 500);
    start(&last, boxes[0], 20000);
    pthread_join(late.thread, NULL);
    assert_true(!late.ok && late.e.code == ERR_BUSY);
    assert_true(late.took < 500 + SLACK_MS);
    let_go(&other);
    pthread_join(first.thread, NULL);
    pthread_join(last.thread, NULL);
    assert_true(first.ok && last.ok);
    assert_true(first.took < 1500 + SLACK_MS && last.took < 1500 + SLACK_MS);
}

/* ---- what the server ends by itself ---- */

static void *change_collection(void *arg)
{
    (void)arg;
    bson_free(mongod_run(&mongod, NULL, "{\"collMod\": \"note\", \"validationLevel\": \"strict\"}"));
    return NULL;
}

/* A newer build that starts changes the collections: it waits for who writes there, and whoever comes after waits for
 * it, but in a transaction for 5 ms only (LockTimeout). */
static void a_collection_that_is_being_changed(void **state)
{
    static struct putter p;
    struct other other;
    pthread_t changing;

    (void)state;
    hold(&other);
    assert_int_equal(pthread_create(&changing, NULL, change_collection, NULL), 0);
    usleep(200000);
    start(&p, NO_ID, 10000);
    usleep(500000);
    let_go(&other);
    pthread_join(changing, NULL);
    pthread_join(p.thread, NULL);
    if (!p.ok)
        fail_msg("%s", p.e.message);
}

static void fail_point(const char *mode, const char *command, int code)
{
    char json[512];

    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": %s, \"data\": {\"failCommands\": "
             "[\"%s\"], \"errorCode\": %d}}",
             mode, command, code);
    bson_free(mongod_run(&mongod, "admin", json));
}

/* Killed by whoever thought us dead, by an operator, or with its cursor: that says nothing of the batch. */
static void what_the_server_ends_is_not_our_failure(void **state)
{
    static const int codes[] = { 24, 43, 46, 90, 117, 175, 237, 279, 11601 };
    static const char *const commands[] = { "update", "insert", "commitTransaction" };
    struct note n;
    struct err e;
    int bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            static struct putter p;

            fail_point("{\"times\": 1}", commands[j], codes[i]);
            start(&p, boxes[0], 10000);
            pthread_join(p.thread, NULL);
            if (!p.ok)
                printf("%s %d: %s\n", commands[j], codes[i], p.e.message), bad++;
        }
        fail_point("{\"times\": 2}", "find", codes[i]);
        if (!store_get(st, &note_kind, boxes[0], a, &n, &e) && e.code != ERR_BUSY)
            printf("find %d: %s\n", codes[i], e.message), bad++;
        fail_point("\"off\"", "find", codes[i]);
    }
    assert_int_equal(bad, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_pass, set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_behind_end_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_collection_that_is_being_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_server_ends_is_not_our_failure, set_up, tear_down),
    };
    int bad;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mongod_world(&mongod, 1, 4))
        return MONGOD_NONE;
    bad = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return bad;
}
