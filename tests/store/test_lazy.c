/* Lazy batches on SQLite: what a crash, a torn log or a sync that fails leaves of them. Needs POSTRIDER_FAULTS. */
#include "base/log.h"
#include "base/params.h"
#include "tests/store/conformance.h"
#include "tests/store/folder.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef POSTRIDER_FAULTS
#include "store/sqlite/fault_vfs.h"

enum { LAZY = 6, FRAME = 24 + 4096, LOG_HEADER = 32 };
static char url[512];
static struct id blob = { .b = { 1 } };

static int set_up(void **state)
{
    (void)state;
    folder_fresh(url, sizeof url);
    return 0;
}

static struct id id_of(int n)
{
    return (struct id){ .b = { 2, (uint8_t)n } };
}

static bool insert(struct store *st, int n, struct err *e)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    struct note row = { .id = id_of(n), .n = n };
    bool ok;

    batch_insert(b, &note_kind, &row, NULL, 0);
    ok = commit(st, b, e);
    arena_free(&a);
    return ok;
}

static bool is_there(struct store *st, int n)
{
    struct arena *a = arena_new(1 << 20);
    struct note row;
    struct err e = { 0 };
    bool there = store_get(st, &note_kind, id_of(n), a, &row, &e);

    arena_free(&a);
    return there;
}

static void put_lazily(struct store *st, unsigned n)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    struct err e = { 0 };
    char *chunk = arena_alloc(a, 50000);

    memset(chunk, 'a' + (int)n, 50000);
    batch_lazy(b);
    batch_blob_put(b, blob, n, (struct bytes){ chunk, 50000 });
    if (!commit(st, b, &e))
        die("%s", e.message);
    arena_free(&a);
}

static bool has_chunk(struct store *st, unsigned n)
{
    struct arena *a = arena_new(1 << 20);
    struct bytes chunk;
    struct err e = { 0 };
    bool there = store_blob_get(st, blob, n, a, &chunk, &e);

    assert_true(!there || (chunk.n == 50000 && chunk.p[49999] == 'a' + (int)n));
    arena_free(&a);
    return there;
}

/* A process that dies behind one batch, so many lazy ones, and so many more. */
static void die_behind(unsigned lazy, int more, bool forget)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct store *st;
        struct err e = { 0 };

        fault_vfs_use(forget);
        st = open_or_die(url, test_kinds, 1);
        if (!is_there(st, 1) && !insert(st, 1, &e))
            _exit(1);
        for (unsigned i = 0; i < lazy; i++)
            put_lazily(st, i);
        for (int i = 0; i < more; i++)
            if (!insert(st, 2 + i, &e))
                _exit(1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void the_next_sync_covers_lazy_batches(void **state)
{
    struct store *st;

    (void)state;
    die_behind(LAZY, 1, true);
    st = open_or_die(url, test_kinds, 1);
    assert_true(is_there(st, 1) && is_there(st, 2));
    for (unsigned i = 0; i < LAZY; i++)
        assert_true(has_chunk(st, i));
    store_close(&st);
}

/* The control, and what makes them cheap. */
static void without_one_they_may_be_lost(void **state)
{
    struct store *st;

    (void)state;
    die_behind(LAZY, 0, true);
    st = open_or_die(url, test_kinds, 1);
    assert_true(is_there(st, 1));
    for (unsigned i = 1; i < LAZY; i++)
        assert_false(has_chunk(st, i));
    store_close(&st);
}

static void they_are_not_synced_one_by_one(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    struct err e = { 0 };
    int calls;

    (void)state;
    assert_true(insert(st, 1, &e));
    put_lazily(st, 0); /* says that what follows may be torn */
    calls = fault_vfs_calls();
    for (unsigned i = 1; i < LAZY; i++)
        put_lazily(st, i);
    assert_int_equal(fault_vfs_calls() - calls, LAZY - 1); /* a write each */
    store_close(&st);
}

/* Number of the frame that ends the n-th group (from 0) of this log, an older one may lie behind it; at most the last.
 */
static long end_of_group(FILE *log, int n)
{
    uint8_t of_log[LOG_HEADER], header[24];
    long frame = 0, end = 0;

    fseek(log, 0, SEEK_SET);
    assert_int_equal(fread(of_log, 1, sizeof of_log, log), sizeof of_log);
    while (fseek(log, LOG_HEADER + frame * FRAME, SEEK_SET) == 0 &&
           fread(header, 1, sizeof header, log) == sizeof header && memcmp(header + 8, of_log + 16, 8) == 0) {
        frame++;
        if (memcmp(header + 4, "\0\0\0\0", 4) != 0) {
            end = frame;
            if (n-- == 0)
                break;
        }
    }
    return end - 1;
}

static int count_groups(FILE *log)
{
    long last = -1;
    int n = 0;

    while (end_of_group(log, n) != last)
        last = end_of_group(log, n++);
    return n;
}

/* A page of the group that is so many before the last: its first one, or the one behind. */
static void damage(int before_last, int page)
{
    FILE *log = fopen(folder_path("test.db-wal"), "r+b");
    int group;

    assert_non_null(log);
    group = count_groups(log) - 1 - before_last;
    fseek(log, LOG_HEADER + (end_of_group(log, group - 1) + 1 + page) * FRAME + 1000, SEEK_SET);
    fwrite("damaged", 1, 7, log);
    fclose(log);
}

static bool opens(struct store **st)
{
    struct store_options o = { .url = url, .kinds = test_kinds, .schema = 1, .node = id_new(), .readers = 2 };
    struct err e = { 0 };
    bool ok = store_open(&o, st, &e);

    assert_true(ok || e.code == ERR_INVALID);
    return ok;
}

/* A disk writes in any order: what was not synced may be missing before what is there, and nothing acknowledged is. */
static void a_log_torn_among_lazy_batches_is_taken(void **state)
{
    struct store *st;

    (void)state;
    for (int i = 1; i < LAZY; i++) {
        folder_empty();
        die_behind(LAZY, 0, false);
        damage(LAZY - 1 - i, 1);
        assert_true(opens(&st));
        assert_true(is_there(st, 1) && has_chunk(st, (unsigned)i - 1) && !has_chunk(st, (unsigned)i));
        store_close(&st);
    }
}

/* Groups of a stretch that lie behind where it was torn are no part of what the next process writes, nor is that
 * unsynced. */
static void behind_a_torn_log_a_new_one_begins(void **state)
{
    struct store *st;

    (void)state;
    die_behind(LAZY, 0, false);
    damage(2, 1);
    die_behind(0, 4, false);
    assert_true(opens(&st));
    assert_true(is_there(st, 5) && has_chunk(st, LAZY - 4));
    store_close(&st);
    folder_empty();
    die_behind(LAZY, 0, false);
    damage(2, 1);
    die_behind(0, 4, false);
    damage(2, 0);
    assert_false(opens(&st));
}

static void damage_before_a_synced_batch_is_refused(void **state)
{
    static const struct {
        int before_last, page;
    } rows[] = { { 3, 0 }, { 4, 1 }, { 7, 1 }, { 8, 0 }, { 9, 0 }, { 3, 1 }, { 2, 0 } };
    struct store *st;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        folder_empty();
        die_behind(LAZY, 4, false);
        damage(rows[i].before_last, rows[i].page);
        assert_false(opens(&st));
    }
}

/* The system may have dropped what it could not write, and say so only once. */
static void a_sync_that_fails_loses_what_was_lazy(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    int64_t mark = store_lazy_mark(st);
    struct arena *a = arena_new(1 << 20);
    struct err e = { 0 };
    struct batch *b;

    (void)state;
    for (unsigned i = 0; i < LAZY; i++)
        put_lazily(st, i);
    b = batch_new(a);
    batch_blob_require(b, blob, LAZY, mark);
    assert_true(commit(st, b, &e));
    fault_vfs_set(FAULT_IO, 2, 0); /* the sync; and the second try */
    assert_false(insert(st, 1, &e));
    fault_vfs_set(FAULT_OFF, 1, 0);
    b = batch_new(a);
    batch_blob_require(b, blob, LAZY, mark);
    e = (struct err){ 0 };
    assert_false(commit(st, b, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(batch_failure(b).fault, FAULT_MISSING);
    b = batch_new(a);
    batch_blob_require(b, blob, LAZY, store_lazy_mark(st));
    assert_true(commit(st, b, &e));
    arena_free(&a);
    store_close(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_next_sync_covers_lazy_batches, set_up),
        cmocka_unit_test_setup(without_one_they_may_be_lost, set_up),
        cmocka_unit_test_setup(they_are_not_synced_one_by_one, set_up),
        cmocka_unit_test_setup(a_log_torn_among_lazy_batches_is_taken, set_up),
        cmocka_unit_test_setup(behind_a_torn_log_a_new_one_begins, set_up),
        cmocka_unit_test_setup(damage_before_a_synced_batch_is_refused, set_up),
        cmocka_unit_test_setup(a_sync_that_fails_loses_what_was_lazy, set_up),
    };
    int failed;

    params_init();
    log_set(LOG_ERROR + 1, LOG_LOGFMT); /* faults are wanted here */
    fault_vfs_use(false);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove();
    return failed;
}
#else
int main(void)
{
    puts("skipped: this build has no fault points (POSTRIDER_FAULTS)");
    return 0;
}
#endif
