/* SQLite's page cache behind ours: what it is told at the end of transactions, and that nothing else changes. */
#include "store/sqlite/sqlite.h"
#include "tests/store/folder.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static sqlite3_pcache_methods2 plain;
static size_t truncated;

static void count_truncate(sqlite3_pcache *p, unsigned limit)
{
    truncated++;
    plain.xTruncate(p, limit);
}

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
}

static void is(sqlite3 *db, const char *sql, const char *want)
{
    sqlite3_stmt *q;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(q, 0), want);
    sqlite3_finalize(q);
}

/* Rows in no order: pages are split, and change their numbers with one another. */
static void add_rows(sqlite3 *db, int from, int n)
{
    sqlite3_stmt *q;

    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t VALUES(?, randomblob(100))", -1, &q, NULL), SQLITE_OK);
    for (int i = from; i < from + n; i++) {
        sqlite3_bind_int(q, 1, i * 7919 % 1000003);
        assert_int_equal(sqlite3_step(q), SQLITE_DONE);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
}

/* No commit walks through the cache; what a rollback takes back is dropped from it. */
static void commits_truncate_nothing(void **state)
{
    sqlite3 *db;
    size_t before;

    (void)state;
    assert_int_equal(sqlite3_open(folder_path("pages.db"), &db), SQLITE_OK);
    run(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(k INTEGER PRIMARY KEY, v) WITHOUT ROWID");
    before = truncated;
    for (int i = 0; i < 100; i++) {
        run(db, "BEGIN");
        add_rows(db, 1 + i * 100, 100);
        run(db, "COMMIT");
    }
    assert_int_equal(truncated, before);
    for (int i = 0; i < 3; i++) {
        run(db, "BEGIN");
        add_rows(db, 10001, 3000);
        run(db, "ROLLBACK");
        is(db, "SELECT count(*) FROM t", "10000");
    }
    assert_true(truncated > before);
    add_rows(db, 10001, 3000);
    is(db, "SELECT count(*) FROM t", "13000");
    is(db, "PRAGMA integrity_check", "ok");
    run(db, "DELETE FROM t WHERE k % 10 > 0; VACUUM");
    is(db, "PRAGMA integrity_check", "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(commits_truncate_nothing) };
    sqlite3_pcache_methods2 counting;
    int failed;

    sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &plain);
    counting = plain;
    counting.xTruncate = count_truncate;
    sqlite3_config(SQLITE_CONFIG_PCACHE2, &counting);
    page_cache_set();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove();
    return failed;
}
