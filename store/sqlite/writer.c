/* store/sqlite/writer.c - the group commit.
 *
 * Callers hang their job on the queue and sleep; the writer takes what waits, applies it in one transaction, commits,
 * and wakes them all. No timer: while one group is synced the next one gathers.
 *
 * Failing alone. Savepoints cost every batch a copy of each page it touches, and batches seldom fail. So a group first
 * runs without: a batch whose failing operation is its first change has changed nothing and is just left out. When one
 * fails later than that, the transaction is rolled back and the group runs again from its start, now with a savepoint a
 * batch; so do the next CAREFUL groups, since failures come in swarms. Who fails against a state that is rolled back is
 * judged again.
 */
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "store/sqlite/log_check.h"
#include "store/sqlite/log_vfs.h"
#include "store/sqlite/sqlite.h"
#include <errno.h>
#include <unistd.h>

enum { CAREFUL = 16, RERUNS = 3, IDLE_MS = 1000, BUSY_MS = 50, RESTART_AT = 8, EARLY_US = 5000 };

struct job {
    struct job *next;
    struct batch *batch; /* or else a claim: */
    const struct claim *claim;
    const struct plan *plan;
    struct arena *arena;
    struct rows *rows;

    size_t weight;
    int64_t deadline;
    struct waiter waiter;
    bool ended; /* its failure is final, whatever becomes of the others */
    bool ok;
    struct err err;
};

struct writer {
    struct sqlite_store *store;
    struct conn *conn;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job *first, **last;
    size_t bytes; /* of the jobs in the queue */
    bool stop;
    struct signal *room; /* raised when the queue got shorter and somebody waits for that */
    atomic_int waiting;

    unsigned careful;
    uint64_t watched; /* tables that the group inserted into, a bit each */
    int log_pages;    /* in the log */
    int saved_pages;  /* of them in the database file too */
    bool tight;       /* the disk is or was full: there is no reserve */
    bool given;       /* it was given away, to what takes something away */
    bool made_room;   /* for the present group */
    bool renumber;    /* the first group behind a checkpoint: log_check.h */
    int64_t page_size;
    bool started;
};

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

static void rollback(struct writer *w)
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

/* Another process may hold the write lock (a backup, somebody's sqlite3). */
static bool commit_begin(struct writer *w, const struct job *jobs, struct err *e)
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
static void checkpoint(struct writer *w, bool restart)
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
    checkpoint(w, true);
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

static void run_group(struct writer *w, struct job *jobs)
{
    struct err e = { 0 };

    w->made_room = false;
    w->watched = 0;
    if (!has_work(w, jobs))
        return;
    for (int run = 0;; run++) {
        enum outcome pass = PASSED;
        bool had_room = !w->made_room, begun = commit_begin(w, jobs, &e);

        if (begun)
            pass = apply_all(w, jobs);
        if (begun && pass == PASSED && number(w, &e) &&
            stretch_commit(w->store, w->conn, is_lazy(jobs) && !w->renumber, &e)) {
            mark(w);
            state_note(w->store, NULL);
            return;
        }
        rollback(w);
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

static size_t wake_all(struct job *jobs)
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
static bool answers_early(void)
{
    return getenv("POSTRIDER_TEST_EARLY_ANSWER") != NULL;
}

static void run_group_early(struct writer *w, struct job *jobs)
{
    struct err e = { 0 };

    if (!commit_begin(w, jobs, &e) || apply_all(w, jobs) != PASSED)
        die("the early answer knows no failures: %s", e.message);
    wake_all(jobs);
    usleep(EARLY_US);
    if (!conn_run(w->conn, "COMMIT", &e))
        die("the early answer knows no failures: %s", e.message);
    tables_raise(&w->store->tables, w->watched);
}
#endif

/* ---- checkpoints ---- */

static int count_log(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct writer *w = arg;

    (void)db;
    (void)name;
    w->log_pages = pages;
    return SQLITE_OK;
}

static void checkpoint_when_long(struct writer *w)
{
    int64_t most = PARAM_INT(store, checkpoint) / w->page_size;

    if (w->log_pages < w->saved_pages) /* the log began anew */
        w->saved_pages = 0;
    if (w->tight || w->log_pages - w->saved_pages >= most)
        checkpoint(w, w->tight || w->log_pages >= RESTART_AT * most);
}

/* ---- the thread ---- */

static struct job *cut_group(struct writer *w)
{
    int64_t bytes = PARAM_INT(store, group_bytes), n = PARAM_INT(store, group_batches);
    struct job *group = w->first, **end = &group;

    while (*end && n-- > 0 && (bytes > 0 || end == &group)) {
        bytes -= (int64_t)(*end)->weight;
        w->bytes -= (*end)->weight;
        end = &(*end)->next;
    }
    w->first = *end;
    *end = NULL;
    if (!w->first)
        w->last = &w->first;
    return group;
}

/* False after IDLE_MS without work. */
static bool wait_work(struct writer *w)
{
    int64_t until = clock_monotonic() + IDLE_MS;

    while (!w->first && !w->stop)
        if (!clock_cond_wait(&w->work, &w->mutex, until))
            return w->first || w->stop;
    return true;
}

/* While nobody writes: brings the log home, and tries whether a failed database works again. */
static void idle(struct writer *w)
{
    struct err e = { 0 };

    if (w->log_pages > w->saved_pages)
        checkpoint(w, false);
    if (w->tight && state_has_room(&w->store->store))
        w->tight = w->given = !reserve_take(w->store->path);
    if (!atomic_load(&w->store->down))
        return;
    if (commit_begin(w, NULL, &e) && conn_run(w->conn, "UPDATE _meta SET value = value WHERE name = 'epoch'", &e) &&
        conn_step(w->conn, "COMMIT", &e))
        state_note(w->store, NULL);
    else
        rollback(w);
}

static void serve(struct writer *w, struct job *group)
{
    int64_t began = clock_monotonic();

#ifdef POSTRIDER_FAULTS
    if (answers_early()) {
        run_group_early(w, group);
        return;
    }
#endif
    run_group(w, group);
    metric_observe(METRIC_store_commit_seconds, clock_monotonic() - began);
    metric_add(METRIC_store_groups_total, 1);
    tables_raise(&w->store->tables, w->watched);
    metric_add(METRIC_store_batches_total, (int64_t)wake_all(group));
    if (w->careful)
        w->careful--;
    checkpoint_when_long(w);
}

static void *run(void *arg)
{
    struct writer *w = arg;

    for (;;) {
        struct job *group = NULL;
        bool busy, stop;

        pthread_mutex_lock(&w->mutex);
        busy = wait_work(w);
        group = cut_group(w);
        stop = w->stop;
        pthread_mutex_unlock(&w->mutex);
        if (atomic_load(&w->waiting))
            signal_raise(w->room);
        if (group)
            serve(w, group);
        else if (!busy)
            idle(w);
        else if (stop)
            return NULL;
    }
}

/* ---- callers ---- */

static bool has_room(const struct writer *w, const struct job *j)
{
    return !w->bytes || (int64_t)(w->bytes + j->weight) <= PARAM_INT(store, queue_bytes);
}

static bool enqueue(struct writer *w, struct job *j)
{
    bool room;

    pthread_mutex_lock(&w->mutex);
    room = has_room(w, j);
    if (room) {
        if (!w->first)
            pthread_cond_signal(&w->work);
        *w->last = j;
        w->last = &j->next;
        w->bytes += j->weight;
    }
    pthread_mutex_unlock(&w->mutex);
    return room;
}

static bool enqueue_in_time(struct writer *w, struct job *j)
{
    bool queued = false, in_time = true;

    if (enqueue(w, j))
        return true;
    atomic_fetch_add(&w->waiting, 1);
    while (!queued && in_time) {
        uint64_t seen = signal_count(w->room);

        queued = enqueue(w, j);
        if (!queued)
            in_time = signal_wait(w->room, seen, j->deadline);
    }
    atomic_fetch_sub(&w->waiting, 1);
    return queued;
}

/* From here on the job is the writer's until it wakes us: there is no giving up, since the batch may be in a commit. */
static bool submit(struct sqlite_store *s, struct job *j, struct err *e)
{
    waiter_init(&j->waiter);
    return enqueue_in_time(s->writer, j) ||
           err_set(e, ERR_QUEUE_FULL, "more than store.queue_bytes wait to be written");
}

static bool await(struct job *j, struct err *e)
{
    waiter_wait(&j->waiter);
    if (!j->ok)
        *e = j->err;
    return j->ok;
}

bool writer_commit_begin(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e)
{
    struct job *j = arena_alloc(b->arena, sizeof *j);

    *j = (struct job){ .batch = b, .weight = b->weight, .deadline = deadline };
    *job = j;
    return submit((struct sqlite_store *)st, j, e);
}

bool writer_commit_end(void *job, struct err *e)
{
    return await(job, e);
}

bool writer_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    void *job;

    return writer_commit_begin(st, b, deadline, &job, e) && await(job, e);
}

int64_t writer_lazy_mark(struct store *st)
{
    return atomic_load(&((struct sqlite_store *)st)->lost);
}

bool writer_claim(struct store *st, const struct claim *claim, struct plan *p, struct arena *a, struct rows *out,
                  struct err *e)
{
    struct job j = { .claim = claim, .plan = p, .arena = a, .rows = out, .weight = claim->query.limit * 256 };

    j.deadline = clock_monotonic() + claim->lease_ms;
    return submit((struct sqlite_store *)st, &j, e) && await(&j, e);
}

/* ---- start and stop ---- */

bool writer_start(struct sqlite_store *s, struct conn *c, struct err *e)
{
    struct writer *w = calloc(1, sizeof *w);

    if (!w)
        die("out of memory: the writer");
    w->store = s;
    w->conn = c;
    w->last = &w->first;
    pthread_mutex_init(&w->mutex, NULL);
    clock_cond_init(&w->work);
    w->room = signal_new();
    s->writer = w;
    sqlite3_wal_hook(c->db, count_log, w);
    if (!conn_int(c, "PRAGMA page_size", &w->page_size, e) || !stretch_begin(s, c, e))
        return false;
    w->tight = !reserve_take(s->path);
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        return err_set(e, ERR_BUSY, "cannot start the writer: %s", strerror(errno));
    w->started = true;
    pthread_setname_np(w->thread, "store-writer");
    return true;
}

void writer_stop(struct sqlite_store *s)
{
    struct writer *w = s->writer;

    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mutex);
    if (w->started)
        pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->work);
    signal_free(&w->room);
    free(w);
    s->writer = NULL;
}
