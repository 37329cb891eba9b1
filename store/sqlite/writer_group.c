/* store/sqlite/writer_group.c - one group of the group commit: its jobs in one transaction.
 *
 * Failing alone. Savepoints cost every batch a copy of each page it touches, and batches seldom fail. So a group first
 * runs without: a batch whose failing operation is its first change has changed nothing and is just left out. When one
 * fails later than that, the transaction is rolled back and the group runs again from its start, now with a savepoint a
 * batch; so do the next CAREFUL groups, since failures come in swarms. Who fails against a state that is rolled back is
 * judged again. */
#include "base/log.h"
#include "base/params.h"
#include "store/sqlite/log_check.h"
#include "store/sqlite/log_vfs.h"
#include "store/sqlite/writer.h"
#include <unistd.h>

enum { CAREFUL = 16, RERUNS = 3, BUSY_MS = 50, RESTART_AT = 8, EARLY_US = 5000 };

/* ---- one job ---- */

static uint64_t watched_by(const struct sqlite_store *s, const struct batch *b)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->ops[i].type == OP_INSERT && b->ops[i].kind->watched)
            bits |= (uint64_t)1 << table_number(&s->tables, b->ops[i].kind);
    return bits;
}

static enum applied apply(struct writer *w, struct job *j)
{
    enum applied a;

    if (!j->batch)
        return apply_claim(w->conn, j->claim, j->plan, w->store, j->arena, j->rows, &j->err);
    a = apply_batch(w->conn, j->batch, atomic_load(&w->store->lost), &j->err);
    if (a == APPLIED)
        w->watched |= watched_by(w->store, j->batch);
    return a;
}

static enum applied apply_careful(struct writer *w, struct job *j)
{
    enum applied a;

    if (!conn_step(w->conn, "SAVEPOINT one", &j->err))
        return BROKEN;
    a = apply(w, j);
    if (a == REFUSED && !conn_step(w->conn, "ROLLBACK TO one", &j->err))
        return BROKEN;
    if (a != BROKEN && !conn_step(w->conn, "RELEASE one", &j->err))
        return BROKEN;
    return a == REFUSED ? REFUSED_CLEAN : a;
}

/* ---- a group ---- */

static void fail_all(struct job *jobs, const struct err *e)
{
    for (struct job *j = jobs; j; j = j->next)
        if (!j->ended) {
            j->ok = false;
            j->err = *e;
        }
}

void writer_rollback(struct writer *w)
{
    if (!sqlite3_get_autocommit(w->conn->db))
        sqlite3_exec(w->conn->db, "ROLLBACK", NULL, NULL, NULL);
    log_vfs_forget(w->conn->db);
}

static bool any_may_wait(const struct job *jobs)
{
    int64_t now = clock_monotonic();

    for (const struct job *j = jobs; j; j = j->next)
        if (!j->ended && j->deadline > now)
            return true;
    return false;
}

bool writer_begin(struct writer *w, const struct job *jobs, struct err *e)
{
    sqlite3_busy_timeout(w->conn->db, BUSY_MS);
    for (;;) {
        if (conn_step(w->conn, "BEGIN IMMEDIATE", e))
            return true;
        if ((sqlite3_errcode(w->conn->db) & 0xff) != SQLITE_BUSY || !any_may_wait(jobs))
            return false;
    }
}

/* Between groups nobody else writes, so all of the log goes into the file, unless a reader still needs its middle; the
 * next group then starts the log anew. Under readers without a gap that never comes to pass: a log of RESTART_AT times
 * the usual size waits for them. */
void writer_checkpoint(struct writer *w, bool restart)
{
    int log = 0, done = 0, rc;

    sqlite3_busy_timeout(w->conn->db, BUSY_MS);
    rc = sqlite3_wal_checkpoint_v2(w->conn->db, NULL, restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
                                   &log, &done);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        atomic_fetch_add(&w->store->lost, 1);
    w->renumber = w->renumber || done > w->saved_pages;
    w->saved_pages = done < 0 ? 0 : done;
    if (log == done)
        w->log_pages = w->saved_pages;
}

/* ---- a full disk ---- */

/* Deleting takes space in the log before it gives any back. So a part of the disk is kept for it ("<database>-reserve",
 * store.reserve): when the disk is full, batches that take something away are tried again without it, and the log,
 * whose pages the file has already, is begun anew before and after. What only brings something is refused. A batch that
 * deletes may leave a small row that says so (service/box/gone.h), but no blob. */
static bool takes_away(const struct job *j)
{
    bool deletes = false, inserts = false;

    for (size_t i = 0; j->batch && i < j->batch->n; i++) { /* none: a claim, which only changes rows */
        enum op_type type = j->batch->ops[i].type;

        if (type == OP_BLOB_PUT)
            return false;
        deletes = deletes || type == OP_DELETE || type == OP_BLOB_DELETE;
        inserts = inserts || type == OP_INSERT;
    }
    return deletes || !inserts;
}

/* Refuses what only brings something. True when jobs are left. */
static bool keep_takers(struct job *jobs, const struct err *e)
{
    bool any = false;

    for (struct job *j = jobs; j; j = j->next) {
        if (!j->ended && !takes_away(j)) {
            j->ended = true;
            j->ok = false;
            j->err = *e;
        }
        any = any || !j->ended;
    }
    return any;
}

/* True when something of the group may be tried again: once, after the rollback. */
static bool may_make_room(struct writer *w, struct job *jobs, const struct err *e)
{
    if (e->code != ERR_STORAGE_FULL || w->made_room)
        return false;
    w->made_room = keep_takers(jobs, e);
    return w->made_room;
}

/* The reserve that was given away is not for the rest of a mail that is on its way. */
static bool has_work(struct writer *w, struct job *jobs)
{
    struct err full;

    if (!w->given || state_has_room(&w->store->store))
        return true;
    err_set(&full, ERR_STORAGE_FULL, "the disk is full");
    return keep_takers(jobs, &full);
}

static void make_room(struct writer *w)
{
    state_note(w->store, &(struct err){ .code = ERR_STORAGE_FULL, .message = "the disk is full", .where = ERR_WHERE });
    writer_checkpoint(w, true);
    reserve_give(w->store->path);
    atomic_store(&w->store->room_checked, -1000000); /* what was free a moment ago is not */
    w->tight = w->given = true;
}

enum outcome { PASSED, AGAIN };

/* Applies the jobs within a transaction. AGAIN: rolled back, because of one that is now `ended` or because care is
 * needed. */
static enum outcome apply_all(struct writer *w, struct job *jobs)
{
    w->watched = 0;
    for (struct job *j = jobs; j; j = j->next) {
        enum applied a;

        if (j->ended)
            continue;
        a = w->careful ? apply_careful(w, j) : apply(w, j);
        j->ok = a == APPLIED;
        if (a == REFUSED) {
            w->careful = CAREFUL;
            return AGAIN;
        }
        if (a == BROKEN && may_make_room(w, jobs, &j->err))
            return AGAIN;
        if (a == BROKEN) {
            j->ended = true;
            state_note(w->store, &j->err);
            return AGAIN;
        }
    }
    return PASSED;
}

/* What is committed from here on is in the log alone, which is missed when it is gone. */
static bool number(struct writer *w, struct err *e)
{
    return !w->renumber || conn_step(w->conn, "UPDATE _meta SET value = value + 1 WHERE name = 'log'", e);
}

static void mark(struct writer *w)
{
    if (w->renumber && conn_is_synchronous())
        log_mark(w->store->path, ++w->store->log_number);
    w->renumber = false;
}

static bool is_lazy(const struct job *jobs)
{
    bool any = false;

    for (; jobs; jobs = jobs->next) {
        if (!jobs->ended && !(jobs->batch && jobs->batch->lazy))
            return false;
        any = any || !jobs->ended;
    }
    return any;
}

void writer_run(struct writer *w, struct job *jobs)
{
    struct err e = { 0 };

    w->made_room = false;
    w->watched = 0;
    if (!has_work(w, jobs))
        return;
    for (int run = 0;; run++) {
        enum outcome pass = PASSED;
        bool had_room = !w->made_room, begun = writer_begin(w, jobs, &e);

        if (begun)
            pass = apply_all(w, jobs);
        if (begun && pass == PASSED && number(w, &e) &&
            stretch_commit(w->store, w->conn, is_lazy(jobs) && !w->renumber, &e)) {
            mark(w);
            state_note(w->store, NULL);
            return;
        }
        writer_rollback(w);
        if (pass == PASSED && !may_make_room(w, jobs, &e))
            break;
        if (had_room && w->made_room)
            make_room(w);
        if (run == RERUNS) {
            err_set(&e, ERR_BUSY, "the database fails: %.200s", w->store->why.message);
            break;
        }
    }
    w->watched = 0;
    state_note(w->store, &e);
    fail_all(jobs, &e);
}

size_t writer_wake(struct job *jobs)
{
    size_t n = 0;

    while (jobs) {
        struct job *j = jobs;

        jobs = j->next; /* after the wake the job is its caller's again */
        n += j->ok;
        waiter_wake(&j->waiter);
    }
    return n;
}

#ifdef POSTRIDER_FAULTS
/* The control of the crash tests: answers before the commit, which a kill then undoes. */
bool writer_answers_early(void)
{
    return getenv("POSTRIDER_TEST_EARLY_ANSWER") != NULL;
}

void writer_run_early(struct writer *w, struct job *jobs)
{
    struct err e = { 0 };

    if (!writer_begin(w, jobs, &e) || apply_all(w, jobs) != PASSED)
        die("the early answer knows no failures: %s", e.message);
    writer_wake(jobs);
    usleep(EARLY_US);
    if (!conn_run(w->conn, "COMMIT", &e))
        die("the early answer knows no failures: %s", e.message);
    tables_raise(&w->store->tables, w->watched);
}
#endif

/* ---- checkpoints ---- */

int writer_count_log(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct writer *w = arg;

    (void)db;
    (void)name;
    w->log_pages = pages;
    return SQLITE_OK;
}

void writer_checkpoint_when_long(struct writer *w)
{
    int64_t most = PARAM_INT(store, checkpoint) / w->page_size;

    if (w->log_pages < w->saved_pages) /* the log began anew */
        w->saved_pages = 0;
    if (w->tight || w->log_pages - w->saved_pages >= most)
        writer_checkpoint(w, w->tight || w->log_pages >= RESTART_AT * most);
}
