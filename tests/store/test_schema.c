/* Opening: what is refused, what is added, what is kept. */
#include "base/params.h"
#include "tests/store/conformance.h"
#include "tests/store/folder.h"
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/stat.h>
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
static const struct index bigger_indexes[] = { { .name = "label", .unique = true, .fields = { "label" } } };
static const struct index other_indexes[] = { { .name = "label", .fields = { "size", "label" } } };
static const struct kind bigger_kind = {
    "big", "big", sizeof(struct bigger), bigger_fields, 4, bigger_indexes, 1, false, true, false
};
static const struct kind other_kind = { "big", "big", sizeof(struct bigger), bigger_fields, 4, other_indexes, 1, false,
                                        true,  false };
static const struct kind *const small_kinds[] = { &big_kind, NULL };
static const struct kind *const bigger_kinds[] = { &bigger_kind, NULL };
static const struct kind *const other_kinds[] = { &other_kind, NULL };

static char url[512];
static struct arena *a;

static int set_up(void **state)
{
    (void)state;
    folder_fresh(url, sizeof url);
    a = arena_new(16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static bool opens(const struct kind *const *kinds, int schema, struct err *e)
{
    struct store_options o = { .url = url, .kinds = kinds, .schema = schema, .node = id_new(), .readers = 1 };
    struct store *st;
    bool ok = store_open(&o, &st, e);

    store_close(&st);
    return ok;
}

static void sql(const char *name, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(folder_path(name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t sql_int(const char *name, const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    int64_t n;

    assert_int_equal(sqlite3_open(folder_path(name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

static struct id put_big(const struct kind *const *kinds, const struct kind *k, const void *row, int schema)
{
    struct store *st = open_or_die(url, kinds, schema);
    struct batch *b = batch_new(a);
    struct err e;
    struct id id;

    batch_insert(b, k, row, NULL, 0);
    assert_true(commit(st, b, &e));
    memcpy(&id, row, sizeof id);
    store_close(&st);
    return id;
}

static void a_newer_schema_is_refused(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_true(opens(small_kinds, 7, &e));
    assert_false(opens(small_kinds, 6, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, "schema 7"));
    assert_true(opens(small_kinds, 7, &e));
}

static void a_migration_copies_first(void **state)
{
    struct big old = { id_new(), BYTES("old") };
    struct id id = put_big(small_kinds, &big_kind, &old, 1);
    struct store *st;
    struct bigger row;
    struct stat copy;
    struct err e = { 0 };

    (void)state;
    assert_int_not_equal(access(folder_path("test.db.before-1"), F_OK), 0);
    st = open_or_die(url, bigger_kinds, 2);
    assert_true(store_get(st, &bigger_kind, id, a, &row, &e));
    assert_true(bytes_equal(row.body, BYTES("old")) && !row.label.p && row.size == 0);
    store_close(&st);
    assert_int_equal(stat(folder_path("test.db.before-1"), &copy), 0);
    assert_int_equal(copy.st_mode & 0777, 0600);
    assert_int_equal(sql_int("test.db.before-1", "SELECT count(*) FROM big"), 1);
    assert_int_equal(sql_int("test.db.before-1", "SELECT count(*) FROM pragma_table_info('big') WHERE name = 'label'"),
                     0);
    assert_int_equal(sql_int("test.db.before-1", "SELECT value FROM _meta WHERE name = 'schema'"), 1);
    assert_int_equal(sql_int("test.db", "SELECT value FROM _meta WHERE name = 'schema'"), 2);
}

static void unknown_columns_are_kept(void **state)
{
    struct bigger in = { id_new(), BYTES("x"), BYTES("label"), 5 }, out;
    struct id id = put_big(bigger_kinds, &bigger_kind, &in, 1);
    struct store *st = open_or_die(url, small_kinds, 1);
    struct batch *b = batch_new(a);
    struct set set = SET("body", V_BYTES(BYTES("y")));
    struct err e = { 0 };

    (void)state;
    batch_update(b, &big_kind, id, NULL, 0, &set, 1);
    assert_true(commit(st, b, &e));
    store_close(&st);
    st = open_or_die(url, bigger_kinds, 1);
    assert_true(store_get(st, &bigger_kind, id, a, &out, &e));
    assert_true(bytes_equal(out.body, BYTES("y")) && bytes_equal(out.label, BYTES("label")) && out.size == 5);
    store_close(&st);
}

static void a_changed_index_is_made_anew(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_true(opens(bigger_kinds, 1, &e));
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM pragma_index_info('big__label')"), 1);
    assert_true(opens(other_kinds, 1, &e));
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM pragma_index_info('big__label')"),
                     3);                    /* size, label, id */
    assert_true(opens(small_kinds, 1, &e)); /* which wants none */
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM sqlite_master WHERE name = 'big__label'"), 0);
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM pragma_table_info('big') WHERE name = 'label'"), 1);
}

/* A kind that has become wide: rows, also the missing values among them, are as they were, and are found by its
 * indexes. */
static void a_table_is_made_anew_in_another_form(void **state)
{
    static const struct kind narrow = { "big", "big", sizeof(struct bigger), bigger_fields, 4, bigger_indexes, 1, false,
                                        false, false },
                             wide = { "big", "big", sizeof(struct bigger), bigger_fields, 4, bigger_indexes, 1, false,
                                      false, true };
    static const struct kind *const narrow_kinds[] = { &narrow, NULL }, *const wide_kinds[] = { &wide, NULL };
    static const char in_tree[] = "SELECT count(*) FROM sqlite_master WHERE name = 'big' AND sql LIKE '%WITHOUT ROWID'";
    struct bigger first = { id_new(), BYTES("x"), BYTES("label"), 5 }, second = { .id = id_new() }, out;
    struct value label = V_TEXT(BYTES("label"));
    struct store *st;
    struct err e = { 0 };

    (void)state;
    put_big(narrow_kinds, &narrow, &second, 1);
    put_big(narrow_kinds, &narrow, &first, 1);
    assert_int_equal(sql_int("test.db", in_tree), 1);
    for (int i = 0; i < 2; i++) {
        st = open_or_die(url, wide_kinds, 2);
        assert_int_equal(sql_int("test.db", in_tree), 0);
        assert_true(store_get_by(st, &wide, "label", &label, 1, a, &out, &e));
        assert_true(id_equal(out.id, first.id) && bytes_equal(out.body, BYTES("x")) && out.size == 5);
        assert_true(store_get(st, &wide, second.id, a, &out, &e) && !out.body.p && !out.label.p && out.size == 0);
        store_close(&st);
    }
    assert_int_equal(sql_int("test.db.before-1", in_tree), 1);
    /* With a column of a newer build it stays: nothing may be lost. */
    sql("test.db", "ALTER TABLE big ADD COLUMN newer TEXT");
    st = open_or_die(url, narrow_kinds, 2);
    store_close(&st);
    assert_int_equal(sql_int("test.db", in_tree), 0);
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM big"), 2);
}

static void a_strange_database_is_refused(void **state)
{
    struct err e = { 0 };

    (void)state;
    sql("test.db", "CREATE TABLE theirs (x)");
    assert_false(opens(small_kinds, 1, &e));
    assert_non_null(strstr(e.message, "another program"));
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM sqlite_master"), 1); /* and left as it was */
}

static void a_damaged_database_is_named(void **state)
{
    struct err e = { 0 };
    FILE *f;

    (void)state;
    assert_true(opens(small_kinds, 1, &e));
    f = fopen(folder_path("test.db"), "r+");
    assert_non_null(f);
    for (int i = 0; i < 100; i++)
        fputs("this is no database and never was one ", f);
    fclose(f);
    assert_false(opens(small_kinds, 1, &e));
    assert_int_equal(e.code, ERR_INTERNAL);
    assert_non_null(strstr(e.message, "damaged"));
}

static void a_path_that_cannot_be_is_named(void **state)
{
    struct err e = { 0 };

    (void)state;
    snprintf(url, sizeof url, "sqlite:%s", folder_path("none/test.db"));
    assert_false(opens(small_kinds, 1, &e));
    snprintf(url, sizeof url, "oracle:x");
    assert_false(opens(small_kinds, 1, &e));
    assert_int_equal(e.code, ERR_INVALID);
}

/* Two stores on one database (a mistake, but not one that may cost mail). */
static void two_at_once_do_no_harm(void **state)
{
    struct store *st[2] = { open_or_die(url, small_kinds, 1), open_or_die(url, small_kinds, 1) };
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct batch *b = batch_new(a);
        struct big row = { id_new(), BYTES("x") };

        batch_insert(b, &big_kind, &row, NULL, 0);
        assert_true(commit(st[i % 2], b, &e));
    }
    store_close(&st[0]);
    store_close(&st[1]);
    assert_int_equal(sql_int("test.db", "SELECT count(*) FROM big"), 100);
}

static void the_floor_of_free_space(void **state)
{
    struct err e = { 0 };
    struct store *st = open_or_die(url, small_kinds, 1);

    (void)state;
    assert_true(store_has_room(st));
    assert_true(param_set(PARAM_store_free_min, PARAM_FROM_FLAG, BYTES("1000T"), &e));
    usleep(1100000); /* the answer is kept for a second */
    assert_false(store_has_room(st));
    param_set(PARAM_store_free_min, PARAM_FROM_FLAG, NO_BYTES, &e);
    store_close(&st);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_newer_schema_is_refused),      T(a_migration_copies_first),
        T(unknown_columns_are_kept),       T(a_changed_index_is_made_anew),
        T(a_strange_database_is_refused),  T(a_damaged_database_is_named),
        T(a_path_that_cannot_be_is_named), T(two_at_once_do_no_harm),
        T(the_floor_of_free_space),        T(a_table_is_made_anew_in_another_form),
    };
    int failed;

    params_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove();
    return failed;
}
