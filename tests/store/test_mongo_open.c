/* Opening: what is refused, and in which words; what is added, what is kept; two processes on one database. */
#include "base/clock.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A later version of big: two more fields, an index over one. */
struct bigger {
    struct id id;
    struct bytes body, label;
    int64_t size;
};
static const struct field bigger_fields[] = { FIELD(ID, bigger, id), FIELD(BYTES, bigger, body),
                                              FIELD(TEXT, bigger, label), FIELD(INT, bigger, size) };
static const struct index bigger_indexes[] = { { .name = "label", .unique = true, .fields = { "label" } },
                                               { .name = "size", .fields = { "size" } } };
static const struct index other_indexes[] = { { .name = "label", .fields = { "size", "label" } } };
static const struct kind bigger_kind = {
    "big", "big", sizeof(struct bigger), bigger_fields, 4, bigger_indexes, 2, false, true, false
};
static const struct kind other_kind = { "big", "big", sizeof(struct bigger), bigger_fields, 4, other_indexes, 1, false,
                                        true,  false };
static const struct kind *const small_kinds[] = { &big_kind, NULL };
static const struct kind *const bigger_kinds[] = { &bigger_kind, NULL };
static const struct kind *const other_kinds[] = { &other_kind, NULL };

static struct mongod mongod;
static struct arena *a;

static int set_up(void **state)
{
    (void)state;
    mongod_fresh(&mongod);
    a = arena_new(16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static bool opens_at(const char *uri, const struct kind *const *kinds, int schema, struct err *e)
{
    struct store_options o = { .url = uri, .kinds = kinds, .schema = schema, .node = id_new(), .readers = 1 };
    struct store *st;
    bool ok = store_open(&o, &st, e);

    store_close(&st);
    return ok;
}

static bool opens(const struct kind *const *kinds, int schema, struct err *e)
{
    return opens_at(mongod.uri, kinds, schema, e);
}

static void run(const char *database, const char *json)
{
    bson_free(mongod_run(&mongod, database, json));
}

static bool answer_has(const char *json, const char *what)
{
    char *answer = mongod_run(&mongod, NULL, json);
    bool has = strstr(answer, what) != NULL;

    bson_free(answer);
    return has;
}

static void says(const char *uri, const char *words)
{
    struct err e = { 0 };

    assert_false(opens_at(uri, small_kinds, 1, &e));
    if (!strstr(e.message, words))
        fail_msg("'%s' does not say '%s'", e.message, words);
}

/* ---- refusals ---- */

static void a_newer_schema_is_refused(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_true(opens(small_kinds, 7, &e));
    assert_false(opens(small_kinds, 6, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, "schema 7"));
    assert_true(opens(small_kinds, 8, &e));
    assert_false(opens(small_kinds, 7, &e));
}

static void a_strange_database_is_refused(void **state)
{
    (void)state;
    run(NULL, "{\"create\": \"theirs\"}");
    says(mongod.uri, "another program");
    assert_false(answer_has("{\"listCollections\": 1}", "_meta")); /* and left as it was */
}

static void nobody_there_is_said(void **state)
{
    (void)state;
    says("mongodb://127.0.0.1:1/x?replicaSet=rs0", "cannot be reached");
    says("mongodb://", "URI");
    says("mongodb://h:1/x?w=nonsense", "URI");
    says("oracle:x", "mongodb://");
}

static void a_wrong_set_is_said(void **state)
{
    char uri[256];

    (void)state;
    snprintf(uri, sizeof uri, "mongodb://127.0.0.1:%d/x?replicaSet=other", mongod.ports[0]);
    says(uri, "no primary in set other");
}

static void a_single_member_uri_finds_the_set(void **state)
{
    char uri[256];
    struct err e = { 0 };

    (void)state;
    snprintf(uri, sizeof uri, "mongodb://127.0.0.1:%d/single", mongod.ports[0]);
    if (!opens_at(uri, small_kinds, 1, &e))
        fail_msg("%s", e.message);
    run("single", "{\"dropDatabase\": 1}");
}

/* The URI cannot make what is acknowledged less durable, or what is read less sure. */
static void weaker_concerns_are_overridden(void **state)
{
    struct err e = { 0 };
    struct store_options o = { .kinds = test_kinds, .schema = 1, .node = id_new(), .readers = 1 };
    struct note n = note_make("x", 1), back;
    struct batch *b = batch_new(a);
    struct store *st;
    char uri[640];

    (void)state;
    snprintf(uri, sizeof uri, "%s&w=0&journal=false&readConcernLevel=local&readPreference=secondaryPreferred",
             mongod.uri);
    o.url = uri;
    if (!store_open(&o, &st, &e))
        fail_msg("%s", e.message);
    batch_insert(b, &note_kind, &n, NULL, 0);
    assert_true(commit(st, b, &e));
    assert_true(store_get(st, &note_kind, n.id, a, &back, &e));
    b = batch_new(a);
    batch_insert(b, &note_kind, &n, NULL, 0);
    assert_false(commit(st, b, &e)); /* w=0 would not hear of it */
    assert_int_equal(e.code, ERR_CONFLICT);
    store_close(&st);
}

/* ---- what is there stays ---- */

static struct id put_row(const struct kind *const *kinds, const struct kind *k, const void *row, int schema)
{
    struct store *st = open_or_die(mongod.uri, kinds, schema);
    struct batch *b = batch_new(a);
    struct err e;
    struct id id;

    batch_insert(b, k, row, NULL, 0);
    if (!commit(st, b, &e))
        fail_msg("%s", e.message);
    memcpy(&id, row, sizeof id);
    store_close(&st);
    return id;
}

static void old_rows_have_new_fields(void **state)
{
    struct big old = { id_new(), BYTES("old") };
    struct id id = put_row(small_kinds, &big_kind, &old, 1);
    struct store *st = open_or_die(mongod.uri, bigger_kinds, 2);
    struct query q = { .kind = &bigger_kind, .index = "size", .limit = 5, .n_conds = 1 };
    struct bigger row;
    struct err e = { 0 };
    void *rows;
    size_t n;

    (void)state;
    assert_true(store_get(st, &bigger_kind, id, a, &row, &e));
    assert_true(bytes_equal(row.body, BYTES("old")) && !row.label.p && row.size == 0);
    q.conds[0] = COND("size", BELOW, V_INT(1)); /* found as 0, too */
    assert_true(store_find(st, &q, a, &rows, &n, &e));
    assert_int_equal(n, 1);
    store_close(&st);
}

/* There is no copy to go back to: nothing is taken away, and a build of before that is at work goes on. */
static void a_migration_only_adds(void **state)
{
    struct big old = { id_new(), BYTES("old") }, meanwhile = { id_new(), BYTES("meanwhile") }, row;
    struct store *older = open_or_die(mongod.uri, small_kinds, 1), *newer;
    struct batch *b = batch_new(a);
    struct bigger wide;
    struct err e = { 0 };

    (void)state;
    batch_insert(b, &big_kind, &old, NULL, 0);
    assert_true(commit(older, b, &e));
    newer = open_or_die(mongod.uri, bigger_kinds, 2);
    b = batch_new(a);
    batch_insert(b, &big_kind, &meanwhile, NULL, 0);
    assert_true(commit(older, b, &e));
    assert_true(store_get(older, &big_kind, old.id, a, &row, &e) && bytes_equal(row.body, old.body));
    assert_true(store_get(newer, &bigger_kind, meanwhile.id, a, &wide, &e) && bytes_equal(wide.body, meanwhile.body));
    store_close(&older);
    store_close(&newer);
    assert_false(opens(small_kinds, 1, &e)); /* but is not started again */
    assert_non_null(strstr(e.message, "schema 2"));
    assert_true(opens(bigger_kinds, 2, &e));
}

/* An older build beside a newer one, in both directions. */
static void unknown_fields_are_kept(void **state)
{
    struct bigger in = { id_new(), BYTES("x"), BYTES("label"), 5 }, out;
    struct big fresh = { id_new(), BYTES("of the older") };
    struct store *newer = open_or_die(mongod.uri, bigger_kinds, 1), *older = open_or_die(mongod.uri, small_kinds, 1);
    struct batch *b = batch_new(a);
    struct set set = SET("body", V_BYTES(BYTES("y")));
    struct err e = { 0 };

    (void)state;
    batch_insert(b, &bigger_kind, &in, NULL, 0);
    assert_true(commit(newer, b, &e));
    b = batch_new(a);
    batch_update(b, &big_kind, in.id, NULL, 0, &set, 1);
    batch_insert(b, &big_kind, &fresh, NULL, 0);
    assert_true(commit(older, b, &e));
    assert_true(store_get(newer, &bigger_kind, in.id, a, &out, &e));
    assert_true(bytes_equal(out.body, BYTES("y")) && bytes_equal(out.label, BYTES("label")) && out.size == 5);
    assert_true(store_get(newer, &bigger_kind, fresh.id, a, &out, &e));
    assert_true(!out.label.p && out.size == 0);
    b = batch_new(a);
    batch_update(b, &bigger_kind, fresh.id, &COND("size", IS, V_INT(0)), 1, &ADD("size", 7), 1);
    assert_true(commit(newer, b, &e));
    store_close(&newer);
    store_close(&older);
    assert_true(answer_has("{\"listCollections\": 1, \"filter\": {\"name\": \"big\"}}", "\"label\""));
}

static void a_changed_index_is_made_anew(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_true(opens(bigger_kinds, 1, &e));
    assert_true(answer_has("{\"listIndexes\": \"big\"}", "\"key\" : { \"label\" : 1 }"));
    assert_true(opens(other_kinds, 1, &e));
    assert_true(answer_has("{\"listIndexes\": \"big\"}", "\"key\" : { \"size\" : 1, \"label\" : 1, \"_id\" : 1 }"));
}

/* The types of the fields are the database's business too. */
static void validators_hold(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_true(opens(test_kinds, 1, &e));
    assert_true(answer_has("{\"insert\": \"note\", \"documents\": [{\"n\": \"text\"}]}", "Document failed validation"));
}

/* ---- two processes ---- */

static struct store *open_node(const struct kind *const *kinds)
{
    struct store_options o = { .url = mongod.uri, .kinds = kinds, .schema = 1, .node = id_new(), .readers = 1 };
    struct store *st;
    struct err e;

    if (!store_open(&o, &st, &e))
        fail_msg("%s", e.message);
    return st;
}

static void two_share_all(void **state)
{
    struct store *x = open_node(test_kinds), *y = open_node(test_kinds);
    struct note n = note_make("shared", 1), back;
    struct batch *b = batch_new(a);
    struct err e = { 0 };
    int64_t token, second;

    (void)state;
    batch_insert(b, &note_kind, &n, NULL, 0);
    assert_true(commit(x, b, &e));
    assert_true(store_get(y, &note_kind, n.id, a, &back, &e));
    assert_true(store_lock(x, BYTES("pop3:1"), 60000, &token, &e));
    assert_false(store_lock(y, BYTES("pop3:1"), 60000, &second, &e));
    assert_int_equal(e.code, ERR_IN_USE);
    store_unlock(x, BYTES("pop3:1"), token);
    assert_true(store_lock(y, BYTES("pop3:1"), 60000, &second, &e));
    assert_true(second > token);
    store_close(&x); /* ends no lock of another node */
    x = open_node(test_kinds);
    assert_false(store_lock(x, BYTES("pop3:1"), 60000, &token, &e));
    store_close(&x);
    store_close(&y);
}

static void feed_put(struct store *st, int64_t writer, int64_t n)
{
    struct feed *f = arena_alloc(a, sizeof *f);
    struct batch *b = batch_new(a);
    struct err e;

    *f = (struct feed){ id_new(), writer, n };
    batch_insert(b, &feed_kind, f, NULL, 0);
    if (!commit(st, b, &e))
        fail_msg("%s", e.message);
}

/* What one commits after it heard of the other's comes behind it, and wakes who waits there within a second. */
static void a_feed_has_one_order(void **state)
{
    struct store *x = open_node(test_kinds), *y = open_node(test_kinds);
    struct bytes cursor = NO_BYTES;
    struct err e = { 0 };
    int64_t began;
    void *rows;
    size_t n, seen = 0;

    (void)state;
    for (int i = 0; i < 50; i++)
        feed_put(i % 2 ? x : y, i % 2, i);
    while (seen < 50) {
        assert_true(store_watch(x, &feed_kind, cursor, 7, 0, a, &rows, &n, &cursor, &e));
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(((struct feed *)rows)[i].n, seen++);
    }
    feed_put(y, 1, 50);
    began = clock_monotonic();
    assert_true(store_watch(x, &feed_kind, cursor, 7, began + 5000, a, &rows, &n, &cursor, &e));
    assert_int_equal(n, 1);
    assert_true(clock_monotonic() < began + 1000);
    store_close(&x);
    store_close(&y);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_newer_schema_is_refused),
        T(a_strange_database_is_refused),
        T(nobody_there_is_said),
        T(a_wrong_set_is_said),
        T(a_single_member_uri_finds_the_set),
        T(weaker_concerns_are_overridden),
        T(old_rows_have_new_fields),
        T(a_migration_only_adds),
        T(unknown_fields_are_kept),
        T(a_changed_index_is_made_anew),
        T(validators_hold),
        T(two_share_all),
        T(a_feed_has_one_order),
    };
    int failed;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mongod_world(&mongod, 1, 4))
        return MONGOD_NONE;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return failed;
}
