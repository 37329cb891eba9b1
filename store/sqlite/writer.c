/* store/sqlite/writer.c - the group commit: the queue, its thread, and those who wait.
 *
 * Callers hang their job on the queue and sleep; the writer takes what waits, applies it in one transaction, commits,
 * and wakes them all (writer_group.c). No timer: while one group is synced the next one gathers. */
#include "store/sqlite/writer.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include <errno.h>

enum { IDLE_MS = 1000 };

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
        writer_checkpoint(w, false);
    if (w->tight && state_has_room(&w->store->store))
        w->tight = w->given = !reserve_take(w->store->path);
    if (!atomic_load(&w->store->down))
        return;
    if (writer_begin(w, NULL, &e) && conn_run(w->conn, "UPDATE _meta SET value = value WHERE name = 'epoch'", &e) &&
        conn_step(w->conn, "COMMIT", &e))
        state_note(w->store, NULL);
    else
        writer_rollback(w);
}

static void serve(struct writer *w, struct job *group)
{
    int64_t began = clock_monotonic();

#ifdef POSTRIDER_FAULTS
    if (writer_answers_early()) {
        writer_run_early(w, group);
        return;
    }
#endif
    writer_run(w, group);
    metric_observe(METRIC_store_commit_seconds, clock_monotonic() - began);
    metric_add(METRIC_store_groups_total, 1);
    tables_raise(&w->store->tables, w->watched);
    metric_add(METRIC_store_batches_total, (int64_t)writer_wake(group));
    if (w->careful)
        w->careful--;
    writer_checkpoint_when_long(w);
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
    sqlite3_wal_hook(c->db, writer_count_log, w);
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
