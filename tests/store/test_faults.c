/* A disk that is full or broken at every N-th call, and one that forgets: needs a build with POSTRIDER_FAULTS. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "net/fiber.h"
#include "tests/store/conformance.h"
#include "tests/store/folder.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef POSTRIDER_FAULTS
#include "store/sqlite/fault_vfs.h"

static char url[512];

static int set_up(void **state)
{
    (void)state;
    folder_fresh(url, sizeof url);
    return 0;
}

static bool insert(struct store *st, int64_t n, size_t size, struct err *e)
{
    struct arena *a = arena_new(4 << 20);
    struct batch *b = batch_new(a);
    struct note row = { .id = id_new(), .n = n, .name = arena_bytesf(a, "%lld", (long long)n) };
    struct feed event = { id_new(), 1, n };
    bool ok;

    row.body = (struct bytes){ arena_alloc(a, size), size };
    batch_insert(b, &note_kind, &row, NULL, 0);
    batch_insert(b, &feed_kind, &event, NULL, 0);
    ok = commit(st, b, e);
    arena_free(&a);
    return ok;
}

/* Whole or not at all: the row and its event. */
static bool is_there(struct store *st, int64_t n)
{
    struct arena *a = arena_new(4 << 20);
    struct err e = { 0 };
    struct note row;
    struct feed event;
    char name[32];
    struct value name_value = V_TEXT(NO_BYTES), key[2] = { V_INT(1), V_INT(n) };
    bool there, other;

    snprintf(name, sizeof name, "%lld", (long long)n);
    name_value.bytes = bytes_of(name);
    there = store_get_by(st, &note_kind, "name", &name_value, 1, a, &row, &e);
    other = store_get_by(st, &feed_kind, "writer_n", key, 2, a, &event, &e);
    assert_int_equal(there, other);
    arena_free(&a);
    return there;
}

static void must_be_sound(void)
{
    sqlite3 *db;
    sqlite3_stmt *q;

    assert_int_equal(sqlite3_open(folder_path("test.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "ok");
    sqlite3_finalize(q);
    sqlite3_close(db);
}

struct callers {
    struct store *st;
    int64_t first;
    bool ok[8];
    enum err_code code[8];
};

struct caller {
    struct callers *all;
    int number;
};

static void *call(void *arg)
{
    struct caller *c = arg;
    struct err e = { 0 };

    c->all->ok[c->number] = insert(c->all->st, c->all->first + c->number, 9000, &e);
    c->all->code[c->number] = e.code;
    return NULL;
}

static void commit_eight(struct callers *all)
{
    pthread_t threads[8];
    struct caller callers[8];

    for (int i = 0; i < 8; i++) {
        callers[i] = (struct caller){ all, i };
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

/* Eight callers meet one fault at the n-th call: what was acknowledged is there, what was not is whole or absent, the
 * answer is the right one, and the next commit works. */
static void fail_at(enum fault fault, enum err_code code)
{
    struct err e = { 0 };
    int failures = 0;
    struct callers all = { .st = open_or_die(url, test_kinds, 1) };
    bool heard[60 * 8];

    for (int n = 1; n <= 60; n++) {
        all.first = (n - 1) * 8;
        fault_vfs_set(fault, n, 1);
        commit_eight(&all);
        fault_vfs_set(FAULT_OFF, 1, 0);
        for (int i = 0; i < 8; i++) {
            heard[all.first + i] = all.ok[i];
            failures += !all.ok[i];
            if (!all.ok[i])
                assert_int_equal(all.code[i], code);
        }
        if (!insert(all.st, 1000 + n, 100, &e))
            fail_msg("no recovery: %s", e.message);
        assert_true(store_is_up(all.st, NULL));
    }
    assert_true(failures > 0);
    for (int pass = 0; pass < 2; pass++) { /* before and after a restart */
        for (int i = 0; i < 60 * 8; i++)
            assert_int_equal(is_there(all.st, i), heard[i]);
        store_close(&all.st);
        must_be_sound();
        all.st = open_or_die(url, test_kinds, 1);
    }
    store_close(&all.st);
}

static void full_disk_at_every_call(void **state)
{
    (void)state;
    fail_at(FAULT_FULL, ERR_STORAGE_FULL);
}

static void io_error_at_every_call(void **state)
{
    (void)state;
    fail_at(FAULT_IO, ERR_BUSY);
}

static void it_says_that_it_is_down_and_comes_back_by_itself(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    struct err e = { 0 }, why = { 0 };
    int64_t deadline = clock_monotonic() + 5000;

    (void)state;
    assert_true(insert(st, 1, 100, &e));
    fault_vfs_set(FAULT_FULL, 1, 0);
    assert_false(insert(st, 2, 100, &e));
    assert_int_equal(e.code, ERR_STORAGE_FULL);
    assert_false(store_is_up(st, &why));
    assert_int_equal(why.code, ERR_STORAGE_FULL);
    assert_false(store_has_room(st));
    assert_true(is_there(st, 1)); /* reading goes on */
    fault_vfs_set(FAULT_OFF, 1, 0);
    while (!store_is_up(st, NULL) && clock_monotonic() < deadline)
        usleep(10000);
    assert_true(store_is_up(st, NULL));
    store_close(&st);
}

static bool named(struct store *st, const char *name, struct arena *a, struct note *row)
{
    struct value value = V_TEXT(bytes_of(name));
    struct err e = { 0 };

    return store_get_by(st, &note_kind, "name", &value, 1, a, row, &e);
}

/* And leaves a row that says so. */
static bool delete (struct store *st, const char *name, struct err *e)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    struct note row, left = note_make("gone", 0);
    bool ok;

    assert_true(named(st, name, a, &row));
    batch_delete(b, &note_kind, row.id, NULL, 0);
    batch_insert(b, &note_kind, &left, NULL, 0);
    ok = store_commit(st, b, clock_monotonic() + 10000, e);
    arena_free(&a);
    return ok;
}

/* What brings something is refused; what takes away is tried again, with the space that was kept for it. */
static void a_full_disk_takes_deletions(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    struct arena *a = arena_new(1 << 20);
    char reserve[600];
    struct err e = { 0 };
    struct note row;

    (void)state;
    snprintf(reserve, sizeof reserve, "%s", folder_path("test.db-reserve"));
    assert_true(insert(st, 1, 100, &e) && insert(st, 2, 100, &e));
    assert_int_equal(access(reserve, F_OK), 0);
    fault_vfs_set(FAULT_FULL, 1, 1);
    assert_false(insert(st, 3, 100, &e));
    assert_int_equal(e.code, ERR_STORAGE_FULL);
    assert_int_equal(access(reserve, F_OK), 0); /* not for that */
    fault_vfs_set(FAULT_FULL, 1, 1);
    e = (struct err){ 0 };
    if (!delete (st, "1", &e))
        fail_msg("%s", e.message);
    fault_vfs_set(FAULT_OFF, 1, 0);
    assert_false(named(st, "1", a, &row));
    assert_true(is_there(st, 2));
    arena_free(&a);
    store_close(&st);
    st = open_or_die(url, test_kinds, 1); /* and it is kept again */
    assert_int_equal(access(reserve, F_OK), 0);
    store_close(&st);
}

static void a_full_queue_is_said(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    struct err e = { 0 };
    sqlite3 *db;
    struct callers all = { .st = st };
    pthread_t threads[8];
    struct caller callers[8];

    (void)state;
    assert_true(param_set(PARAM_store_queue_bytes, PARAM_FROM_FLAG, BYTES("1M"), &e));
    assert_int_equal(sqlite3_open(folder_path("test.db"), &db),
                     SQLITE_OK); /* another process's lock holds the writer up */
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 3; i++) {
        callers[i] = (struct caller){ &all, i };
        pthread_create(&threads[i], NULL, call, &callers[i]);
        usleep(20000);
    }
    {
        struct arena *a = arena_new(8 << 20);
        struct batch *b = batch_new(a);
        struct big row = { id_new(), { arena_alloc(a, 2 << 20), 2 << 20 } };

        batch_insert(b, &big_kind, &row, NULL, 0);
        assert_false(store_commit(st, b, clock_monotonic() + 50, &e));
        assert_int_equal(e.code, ERR_QUEUE_FULL);
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        if (!store_commit(st, b, clock_monotonic() + 10000, &e)) /* too large alone it is still taken */
            fail_msg("%s", e.message);
        arena_free(&a);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_true(all.ok[i]);
    }
    sqlite3_close(db);
    param_set(PARAM_store_queue_bytes, PARAM_FROM_FLAG, NO_BYTES, &e);
    store_close(&st);
}

/* Some twenty pages, which SQLite writes with two calls each: one write and one sync reach the disk. */
static void a_commit_leaves_in_one_write(void **state)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    struct err e = { 0 };
    int before;

    (void)state;
    assert_true(insert(st, 1, 60000, &e));
    before = fault_vfs_calls();
    assert_true(insert(st, 2, 60000, &e));
    assert_int_equal(fault_vfs_calls() - before, 2);
    store_close(&st);
}

/* ---- kill -9 on a disk that forgets what was not synced ---- */

#define CRASH_CALLERS     4
#define ACKNOWLEDGED_MOST 200000

struct crasher {
    struct store *st;
    int out;
    int64_t next;
};

static void *commit_and_say(void *arg)
{
    struct crasher *c = arg;
    struct err e = { 0 };

    for (int64_t n = c->next;; n += CRASH_CALLERS) {
        if (!insert(c->st, n, 3000, &e) || write(c->out, &n, sizeof n) != sizeof n)
            _exit(9);
    }
}

/* The child; it only ends by the kill. */
static void crash_child(int out, int64_t first)
{
    struct crasher c[CRASH_CALLERS];
    pthread_t t;

    fault_vfs_use(true);
    for (int i = 0; i < CRASH_CALLERS; i++)
        c[i] = (struct crasher){ i ? c[0].st : open_or_die(url, test_kinds, 1), out, first + i };
    for (int i = 0; i < CRASH_CALLERS; i++)
        pthread_create(&t, NULL, commit_and_say, &c[i]);
    for (;;)
        pause();
}

struct acknowledged {
    int64_t n[ACKNOWLEDGED_MOST];
    size_t count;
};

static void hear(struct acknowledged *all, int in, size_t most)
{
    int64_t n;

    while (all->count < most && read(in, &n, sizeof n) == sizeof n)
        all->n[all->count++] = n;
}

/* One life: it ends a moment after so many more were acknowledged. */
static void live_and_die(struct acknowledged *all, int64_t first, size_t more)
{
    int pipes[2];
    size_t goal = all->count + more;
    pid_t child;

    assert_int_equal(pipe(pipes), 0);
    child = fork();
    if (child == 0) {
        close(pipes[0]);
        crash_child(pipes[1], first);
    }
    close(pipes[1]);
    hear(all, pipes[0], goal);
    usleep((useconds_t)(random() % 5000)); /* anywhere between two answers */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    hear(all, pipes[0], ACKNOWLEDGED_MOST);
    close(pipes[0]);
    assert_true(all->count >= goal);
}

static size_t count_lost(const struct acknowledged *all)
{
    struct store *st = open_or_die(url, test_kinds, 1);
    size_t lost = 0;

    for (size_t i = 0; i < all->count; i++)
        lost += !is_there(st, all->n[i]);
    store_close(&st);
    must_be_sound();
    return lost;
}

static void what_was_acknowledged_survives_every_kill(void **state)
{
    struct acknowledged *all = calloc(1, sizeof *all);

    (void)state;
    assert_non_null(all);
    srandom((unsigned)getpid());
    for (int cycle = 0; cycle < 20; cycle++)
        live_and_die(all, cycle * 1000000, (size_t)random() % 40);
    assert_int_equal(count_lost(all), 0);
    free(all);
}

/* The control: a server that syncs nothing must be caught. */
static void without_syncs_it_is_seen_to_lose(void **state)
{
    struct acknowledged *all = calloc(1, sizeof *all);
    struct store *st = open_or_die(url, test_kinds, 1); /* a whole, empty database first */

    (void)state;
    assert_non_null(all);
    store_close(&st);
    setenv("POSTRIDER_TEST_SYNCHRONOUS", "off", 1);
    live_and_die(all, 0, 40);
    unsetenv("POSTRIDER_TEST_SYNCHRONOUS");
    assert_true(count_lost(all) > 0);
    free(all);
}

int main(void)
{
    const struct CMUnitTest crash_tests[] = {
        cmocka_unit_test_setup(what_was_acknowledged_survives_every_kill, set_up),
        cmocka_unit_test_setup(without_syncs_it_is_seen_to_lose, set_up),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(full_disk_at_every_call, set_up),
        cmocka_unit_test_setup(io_error_at_every_call, set_up),
        cmocka_unit_test_setup(it_says_that_it_is_down_and_comes_back_by_itself, set_up),
        cmocka_unit_test_setup(a_full_disk_takes_deletions, set_up),
        cmocka_unit_test_setup(a_full_queue_is_said, set_up),
        cmocka_unit_test_setup(a_commit_leaves_in_one_write, set_up),
    };
    int failed;

    params_init();
    log_set(LOG_ERROR + 1, LOG_LOGFMT); /* faults are wanted here */
    failed = cmocka_run_group_tests_name("kill -9", crash_tests, NULL, NULL);
    fault_vfs_use(false);
    failed += cmocka_run_group_tests_name("faults", tests, NULL, NULL);
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
