/* A group's way into the database, whatever happens on it.
 *
 * A group that met another process's transaction tries again a few times, after a short pause of random length: the
 * other begins its next at once, and who paused longer each time would never find the row free. Then it is cut in
 * halves, so that the batches which cannot pass hold up few others; one alone goes back to the queue. One that met no
 * primary waits for the next: it has not been committed for sure. After the commit was sent, only its answer says what
 * became of it: it is sent again until there is one, and when the server knows nothing of the transaction any more, the
 * lane's mark tells. Jobs whose deadline passes meanwhile end as ERR_BUSY. */
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <assert.h>
#include <sodium.h>

enum {
    CAREFUL = 16,
    PAUSE_US = 50000,
    CONFLICT_TRIES = 8,
    AGAIN_TRIES = 2,
    CONFLICT_PAUSE_US = 500,
    CONFLICT_PAUSE_MOST_US = 4000
};

/* ---- ends of jobs ---- */

static size_t count_live(const struct job *jobs)
{
    size_t n = 0;

    for (; jobs; jobs = jobs->next)
        n += !jobs->ended;
    return n;
}

static void wake_all(struct job *jobs)
{
    size_t n = 0;

    while (jobs) {
        struct job *j = jobs;

        jobs = j->next; /* after the wake the job is its caller's again */
        n += j->ok;
        waiter_wake(&j->waiter);
    }
    metric_add(METRIC_store_batches_total, (int64_t)n);
}

static void fail_all(struct job *jobs, const struct err *e)
{
    for (struct job *j = jobs; j; j = j->next)
        if (!j->ended) {
            j->ok = false;
            j->err = *e;
        }
    wake_all(jobs);
}

/* Ends those whose time is over; the others stay in the list. */
static void fail_late(struct job **jobs, const struct err *e)
{
    int64_t now = clock_monotonic();

    while (*jobs) {
        struct job *j = *jobs;

        if (j->deadline > now) {
            jobs = &j->next;
            continue;
        }
        *jobs = j->next;
        j->next = NULL;
        fail_all(j, e);
    }
}

/* Of the group, of what waits behind it, and of the queue. */
static void end_late(struct committer *c, struct job **jobs, const struct err *e)
{
    fail_late(jobs, e);
    for (size_t i = 0; i < c->n_behind; i++)
        fail_late(&c->behind[i], e);
    committers_end_late(c->store, e);
}

static struct job *cut_half(struct job *jobs)
{
    struct job *second;

    for (size_t n = (count_live(jobs) + 1) / 2; n > 1 || jobs->ended; jobs = jobs->next)
        n -= !jobs->ended;
    second = jobs->next;
    jobs->next = NULL;
    return second;
}

/* ---- one transaction ---- */

enum outcome {
    PASSED,
    OTHERS, /* one has ended: the others again */
    FEWER,  /* a conflict: fewer at a time */
    LATER,  /* not committed: when there is a primary, and what is known of the lane is true */
    NOBODY, /* nobody is left who waits */
};

bool committer_begin(struct committer *c, struct err *e)
{
    mongoc_session_opt_t *opts = mongoc_session_opts_new();
    bson_error_t why;

    mongoc_session_opts_set_causal_consistency(opts, false);
    c->session = mongoc_client_start_session(c->client, opts, &why);
    mongoc_session_opts_destroy(opts);
    return c->session || mongo_err(c->store, &why, e);
}

static bool is_lazy(const struct job *jobs)
{
    for (; jobs; jobs = jobs->next)
        if (!jobs->ended && !jobs->batch->lazy)
            return false;
    return true;
}

/* A commit that a majority has, journaled, covers what its snapshot saw and came before it in the oplog: groups that
 * were lazy too. */
static bool transaction_begin(struct committer *c, bool lazy, bson_error_t *why)
{
    mongoc_transaction_opt_t *opts = mongoc_transaction_opts_new();
    mongoc_read_concern_t *snapshot = mongoc_read_concern_new();
    bool ok;

    mongoc_read_concern_set_level(snapshot, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
    mongoc_transaction_opts_set_read_concern(opts, snapshot);
    mongoc_transaction_opts_set_write_concern(opts, lazy ? c->store->lazy : c->store->majority);
    ok = mongoc_client_session_start_transaction(c->session, opts, why);
    mongoc_read_concern_destroy(snapshot);
    mongoc_transaction_opts_destroy(opts);
    return ok;
}

/* Ends what the server may still hold open of it: its rows, and the mark, would be nobody's for a minute. A commit that
 * is under way is waited for. */
static void end_open(struct committer *c)
{
    bson_t *command = BCON_NEW("killSessions", "[", BCON_DOCUMENT(mongoc_client_session_get_lsid(c->session)), "]");
    bson_error_t why;
    struct err ignored; /* whoever comes next finds out what it left */

    if (!mongoc_client_command_simple(c->client, "admin", command, NULL, NULL, &why))
        mongo_err(c->store, &why, &ignored);
    bson_destroy(command);
}

static enum outcome by_mark(struct committer *c, struct err *e)
{
    enum committed there;

    end_open(c);
    if (!lane_committed(c->store, c->client, &c->lane, &there, e))
        return LATER; /* not known yet: asked again */
    switch (there) {
    case COMMITTED_YES: return PASSED;
    case COMMITTED_NO: return FEWER;
    case COMMITTED_UNKNOWN: break;
    }
    err_set(e, ERR_BUSY, "what became of a commit cannot be found out any more");
    return NOBODY;
}

/* Sends the commit until its outcome is known, or nobody waits for it any longer. */
static enum outcome settle(struct committer *c, struct job **jobs, struct err *e)
{
    bool lost = false; /* the server knows nothing of it any more */

    for (;;) {
        bson_t reply;
        bson_error_t why;
        bool ok = !lost && mongoc_client_session_commit_transaction(c->session, &reply, &why);
        enum outcome out;

        if (ok) {
            bson_destroy(&reply);
            return PASSED;
        }
        if (!lost) {
            mongo_err(c->store, &why, e);
            lost = !mongoc_error_has_label(&reply, "UnknownTransactionCommitResult");
            bson_destroy(&reply);
        }
        c->lane.known = false;
        out = lost ? by_mark(c, e) : LATER;
        if (out == NOBODY)
            fail_all(*jobs, e), *jobs = NULL;
        if (out != LATER)
            return out;
        end_late(c, jobs, e);
        if (!*jobs) {
            end_open(c);
            return NOBODY;
        }
        usleep(PAUSE_US);
    }
}

static enum outcome after_write(enum applied applied)
{
    switch (applied) {
    case REFUSED: return OTHERS;
    case CONFLICT: return FEWER;
    case LANE_LOST:
    case AWAY:
    case APPLIED: break;
    }
    return LATER;
}

static uint64_t tables_raised(const struct committer *c)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < c->store->tables.n; i++)
        if (c->seq[i] != c->lane.seq[i])
            bits |= (uint64_t)1 << i;
    return bits;
}

static void passed(struct committer *c)
{
    uint64_t raised = tables_raised(c);

    memcpy(c->lane.seq, c->seq, c->store->tables.n * sizeof *c->seq);
    c->lane.group++;
    c->lane.known = true;
    mongo_note(c->store, NULL);
    tables_raise(&c->store->tables, raised);
}

static bool is_of_chunks(const struct job *jobs)
{
    for (; jobs; jobs = jobs->next)
        for (size_t i = 0; !jobs->ended && i < jobs->batch->n; i++)
            if (jobs->batch->ops[i].type != OP_BLOB_PUT)
                return false;
    return true;
}

static enum outcome attempt(struct committer *c, struct job **jobs, struct err *e)
{
    bson_error_t why;
    enum applied applied;
    enum outcome out;

    if (!lane_ready(c->store, c->client, &c->lane, e))
        return LATER;
    if (is_lazy(*jobs) && is_of_chunks(*jobs) && mongo_put_chunks(c->store, c->client, *jobs))
        return PASSED;
    if (!transaction_begin(c, is_lazy(*jobs), &why)) {
        mongo_err(c->store, &why, e);
        return LATER;
    }
    arena_reset(c->arena);
    applied = group_write(c->store, c->client, c->session, &c->lane, c->seq, c->arena, *jobs, c->careful > 0, e);
    if (applied == APPLIED) {
        out = settle(c, jobs, e);
        if (out == PASSED)
            passed(c);
    } else {
        mongoc_client_session_abort_transaction(c->session, &why); /* what is left open ends by itself */
        if (applied == LANE_LOST) { /* taken by another, or raised by a group of ours that no majority has yet */
            c->lane.known = false;
            err_set(e, ERR_BUSY, "mongodb: the lane is not as the majority knows it");
        }
        out = after_write(applied);
    }
    return out;
}

/* ---- until all have ended ---- */

/* How long jobs are held for a primary to come: an election. Once it is known that there is none, they fail at once. */
static bool is_worth_waiting(struct committer *c, const struct job *jobs, int64_t since)
{
    int64_t now = clock_monotonic(), down = atomic_load(&c->store->down_since);
    bool any = false;

    if (atomic_load(&c->store->down) && down < since)
        since = down;
    for (; jobs; jobs = jobs->next)
        any = any || jobs->deadline > now;
    return any && now - since < PARAM_INT(store, away_wait);
}

static void commit_jobs(struct committer *c, struct job *jobs);

static void commit_halves(struct committer *c, struct job *first)
{
    assert(c->n_behind < COMMITTER_HALVES);
    c->behind[c->n_behind++] = cut_half(first);
    commit_jobs(c, first);
    commit_jobs(c, c->behind[--c->n_behind]);
}

/* The one that lives; those that have ended do so now. */
static void put_back(struct committer *c, struct job *jobs, const struct err *e)
{
    struct job **at = &jobs, *live;

    while ((*at)->ended)
        at = &(*at)->next;
    live = *at;
    *at = live->next;
    wake_all(jobs);
    committers_put_back(c->store, live, e);
}

/* True when the jobs were dealt with; false: the same again. */
static bool run_fewer(struct committer *c, struct job **jobs, int tries, struct err *e)
{
    bool met = e->code == ERR_BUSY;
    bool often = tries > (*jobs && (*jobs)->again ? AGAIN_TRIES : CONFLICT_TRIES);

    metric_add(METRIC_store_conflicts_total, 1);
    if (count_live(*jobs) > 1 && (!met || often)) {
        commit_halves(c, *jobs);
        return true;
    }
    if (met)
        end_late(c, jobs, e);
    else if (*jobs)
        fail_all(*jobs, e), *jobs = NULL; /* the batch itself cannot be */
    if (!*jobs)
        return true;
    if (often && count_live(*jobs) == 1) {
        put_back(c, *jobs, e);
        return true;
    }
    usleep(CONFLICT_PAUSE_US + randombytes_uniform(CONFLICT_PAUSE_MOST_US));
    return false;
}

static void commit_jobs(struct committer *c, struct job *jobs)
{
    int64_t since = clock_monotonic();
    int tries = 0;

    while (jobs) {
        struct err e = { 0 };

        switch (attempt(c, &jobs, &e)) {
        case PASSED: wake_all(jobs); return;
        case NOBODY: return;
        case OTHERS: c->careful = CAREFUL; break;
        case FEWER:
            if (run_fewer(c, &jobs, ++tries, &e))
                return;
            break;
        case LATER:
            end_late(c, &jobs, &e);
            if (!is_worth_waiting(c, jobs, since)) {
                fail_all(jobs, &e);
                return;
            }
            usleep(PAUSE_US);
            break;
        }
    }
}

void committer_run(struct committer *c, struct job *jobs)
{
    int64_t began = clock_monotonic();

    commit_jobs(c, jobs);
    metric_observe(METRIC_store_commit_seconds, clock_monotonic() - began);
    metric_add(METRIC_store_groups_total, 1);
    if (c->careful)
        c->careful--;
}
