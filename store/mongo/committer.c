/* The queue before the committers.
 *
 * Callers hang their job on the queue and sleep; each of a few committers takes what waits, commits it in one
 * transaction (transaction.c) and wakes them. Two transactions that write one row abort one another, and a mailbox's
 * counters are written by every mail to it. So a job names the rows that its batch changes or looks at, and a committer
 * takes only jobs whose rows are in no other open group of the process, oldest first: what an older job waits for, a
 * younger one does not take before it. Rows are told apart by a hash; two of one hash wait for each other without
 * need, which does no harm.
 *
 * A group's price hardly grows with its length. So while one group is open the next gathers, and another committer sets
 * out beside it only when MANY wait, or one has waited for LONG_MS: because the open group is slow, or its outcome
 * cannot be learnt for minutes. With 64 callers MANY = 64 gave 4,366 mails a second at 246 us, 32 gave 5,302 at 287,
 * and 8 gave 5,412 at 337.
 *
 * A job whose row another process holds is put back, and tried from time to time, alone: a process that was killed
 * holds its rows for many seconds, and as many jobs as there are committers would keep all others waiting. */
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <errno.h>

enum { SLOTS = 1 << 16, LOOK = 4096, ARENA_MAX = INT32_MAX, MANY = 32, LONG_MS = 20, AGAIN_MS = 20 };

struct worker {
    struct committers *all;
    struct committer committer;
    pthread_t thread;
    uint8_t number; /* from 1 */
    uint16_t *slots;
    size_t n_slots, cap;
    bool tries_again; /* this time a job that was put back has its turn */
};

struct committers {
    struct mongo_store *store;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job *first, **last;
    size_t bytes, n_jobs; /* of the queue */
    size_t open;          /* groups under way */
    bool stop;
    struct signal *room; /* raised when the queue got shorter and somebody waits for that */
    atomic_int waiting;
    uint8_t owner[SLOTS];   /* number of the worker whose open group has the row, 0: none */
    uint32_t wanted[SLOTS]; /* of which look an older job waits for it */
    uint32_t look;
    struct worker *workers;
    size_t n, started;
};

/* ---- rows of a job ---- */

static uint16_t slot_of(const struct op *op)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < sizeof op->id.b; i++)
        h = (h ^ op->id.b[i]) * 16777619u;
    return (uint16_t)(h ^ h >> 16);
}

/* A row that is inserted is nobody else's yet. */
static void name_slots(struct job *j)
{
    const struct batch *b = j->batch;

    j->slots = arena_array(b->arena, b->n, sizeof *j->slots);
    for (size_t i = 0; i < b->n; i++)
        if (b->ops[i].type != OP_INSERT)
            j->slots[j->n_slots++] = slot_of(&b->ops[i]);
}

static bool may_take(const struct committers *all, const struct job *j, uint8_t who)
{
    for (size_t i = 0; i < j->n_slots; i++) {
        uint16_t slot = j->slots[i];

        if ((all->owner[slot] && all->owner[slot] != who) || all->wanted[slot] == all->look)
            return false;
    }
    return true;
}

static void leave(struct committers *all, const struct job *j)
{
    for (size_t i = 0; i < j->n_slots; i++)
        all->wanted[j->slots[i]] = all->look;
}

static void job_take(struct worker *w, const struct job *j)
{
    if (w->n_slots + j->n_slots > w->cap) {
        w->cap = (w->n_slots + j->n_slots) * 2;
        w->slots = realloc(w->slots, w->cap * sizeof *w->slots);
        if (!w->slots)
            die("out of memory: rows of a group");
    }
    for (size_t i = 0; i < j->n_slots; i++) {
        w->all->owner[j->slots[i]] = w->number;
        w->slots[w->n_slots++] = j->slots[i];
    }
}

static void next_look(struct committers *all)
{
    if (++all->look == 0) {
        memset(all->wanted, 0, sizeof all->wanted);
        all->look = 1;
    }
}

/* One that was put back would hinder others in its group: it goes alone, every other time. */
static bool is_its_turn(const struct worker *w, const struct job *j, const struct job *group)
{
    return !j->again || (w->tries_again && !group && clock_monotonic() >= j->again);
}

/* What may be taken now, oldest first, at most a group; NULL when all that waits has to. */
static struct job *cut_group(struct worker *w)
{
    struct committers *all = w->all;
    int64_t bytes = PARAM_INT(store, group_bytes), n = PARAM_INT(store, group_batches), looked = 0;
    struct job *group = NULL, **end = &group, **at = &all->first;

    next_look(all);
    w->tries_again = !w->tries_again;
    while (*at && n > 0 && looked++ < LOOK) {
        struct job *j = *at;
        bool fits = !group || (int64_t)j->weight <= bytes;

        if (!fits || !is_its_turn(w, j, group) || !may_take(all, j, w->number)) {
            leave(all, j);
            at = &j->next;
            continue;
        }
        *at = j->next;
        job_take(w, j);
        bytes -= (int64_t)j->weight;
        all->bytes -= j->weight;
        all->n_jobs--;
        n = j->again ? 0 : n - 1;
        *end = j;
        end = &j->next;
    }
    *end = NULL;
    for (all->last = at; *all->last; all->last = &(*all->last)->next)
        ;
    return group;
}

/* ---- jobs that wait in vain ---- */

static bool is_late(const struct mongo_store *s, const struct job *j, int64_t now)
{
    return j->deadline <= now || (atomic_load(&s->down) && now - j->queued > PARAM_INT(store, away_wait));
}

/* With the mutex held. */
static struct job *cut_late(struct committers *all)
{
    struct job **at = &all->first, *late = NULL;
    int64_t now = clock_monotonic();

    while (*at) {
        struct job *j = *at;

        if (!is_late(all->store, j, now)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        all->bytes -= j->weight;
        all->n_jobs--;
        j->next = late;
        late = j;
    }
    all->last = at;
    return late;
}

static void end_jobs(struct committers *all, struct job *late, const struct err *e)
{
    if (late && atomic_load(&all->waiting))
        signal_raise(all->room);
    while (late) {
        struct job *j = late;

        late = j->next;
        j->ok = false;
        if (!j->again)
            j->err = *e;
        waiter_wake(&j->waiter);
    }
}

void committers_end_late(struct mongo_store *s, const struct err *e)
{
    struct committers *all = s->committers;
    struct job *late;

    pthread_mutex_lock(&all->mutex);
    late = cut_late(all);
    pthread_mutex_unlock(&all->mutex);
    end_jobs(all, late, e);
}

void committers_put_back(struct mongo_store *s, struct job *j, const struct err *e)
{
    struct committers *all = s->committers;

    j->next = NULL;
    j->err = *e;
    j->again = clock_monotonic() + AGAIN_MS;
    pthread_mutex_lock(&all->mutex);
    *all->last = j;
    all->last = &j->next;
    all->bytes += j->weight;
    all->n_jobs++;
    pthread_mutex_unlock(&all->mutex);
}

/* ---- the threads ---- */

static void give_back(struct worker *w)
{
    struct committers *all = w->all;

    pthread_mutex_lock(&all->mutex);
    for (size_t i = 0; i < w->n_slots; i++)
        all->owner[w->slots[i]] = 0;
    w->n_slots = 0;
    all->open--;
    if (all->first || all->stop)
        pthread_cond_broadcast(&all->work);
    pthread_mutex_unlock(&all->mutex);
}

static bool is_time(const struct committers *all)
{
    return all->first &&
           (!all->open || all->n_jobs >= MANY || all->stop || clock_monotonic() - all->first->queued >= LONG_MS);
}

/* With the mutex held. */
static void end_passed(struct committers *all)
{
    struct err e;
    struct job *late = cut_late(all);

    if (!late)
        return;
    pthread_mutex_unlock(&all->mutex);
    err_set(&e, ERR_BUSY, "mongodb: rows that are to be written are in use");
    end_jobs(all, late, &e);
    pthread_mutex_lock(&all->mutex);
}

/* Of jobs that wait beside an open group, somebody looks after the time they may wait. */
static void wait_work(struct committers *all)
{
    if (all->first)
        clock_cond_wait(&all->work, &all->mutex, clock_monotonic() + LONG_MS);
    else
        pthread_cond_wait(&all->work, &all->mutex);
    end_passed(all);
}

static struct job *wait_group(struct worker *w)
{
    struct committers *all = w->all;
    struct job *group = NULL;

    pthread_mutex_lock(&all->mutex);
    while (!(is_time(all) && (group = cut_group(w))) && !(all->stop && !all->first))
        wait_work(all);
    all->open += group != NULL;
    if (group && all->first) /* maybe another committer can take what is left */
        pthread_cond_signal(&all->work);
    pthread_mutex_unlock(&all->mutex);
    if (atomic_load(&all->waiting))
        signal_raise(all->room);
    return group;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    struct job *group;

    while ((group = wait_group(w))) {
        committer_run(&w->committer, group);
        give_back(w);
    }
    return NULL;
}

/* ---- callers ---- */

static bool enqueue(struct committers *all, struct job *j)
{
    bool room;

    pthread_mutex_lock(&all->mutex);
    room = !all->bytes || (int64_t)(all->bytes + j->weight) <= PARAM_INT(store, queue_bytes);
    if (room) {
        *all->last = j;
        all->last = &j->next;
        all->bytes += j->weight;
        all->n_jobs++;
        pthread_cond_signal(&all->work);
    }
    pthread_mutex_unlock(&all->mutex);
    return room;
}

static bool enqueue_in_time(struct committers *all, struct job *j)
{
    bool queued = enqueue(all, j), in_time = true;

    if (queued)
        return true;
    atomic_fetch_add(&all->waiting, 1);
    while (!queued && in_time) {
        uint64_t seen = signal_count(all->room);

        queued = enqueue(all, j);
        if (!queued)
            in_time = signal_wait(all->room, seen, j->deadline);
    }
    atomic_fetch_sub(&all->waiting, 1);
    return queued;
}

/* From here on the job is the committer's until it wakes us: there is no giving up, since the batch may be in a
 * commit. The committer itself gives up at the deadline. */
bool mongo_commit_begin(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e)
{
    struct job *j = arena_alloc(b->arena, sizeof *j);

    *j = (struct job){ .batch = b, .weight = b->weight, .deadline = deadline, .queued = clock_monotonic() };
    name_slots(j);
    waiter_init(&j->waiter);
    *job = j;
    return enqueue_in_time(((struct mongo_store *)st)->committers, j) ||
           err_set(e, ERR_QUEUE_FULL, "more than store.queue_bytes wait to be written");
}

bool mongo_commit_end(void *job, struct err *e)
{
    struct job *j = job;

    waiter_wait(&j->waiter);
    if (!j->ok)
        *e = j->err;
    return j->ok;
}

bool mongo_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    void *job;

    return mongo_commit_begin(st, b, deadline, &job, e) && mongo_commit_end(job, e);
}

/* ---- start and stop ---- */

static bool start_worker(struct committers *all, size_t i, struct err *e)
{
    struct mongo_store *s = all->store;
    struct worker *w = &all->workers[i];
    char room[16];
    const char *key;

    w->all = all;
    w->number = (uint8_t)(i + 1);
    w->committer.store = s;
    w->committer.client = mongo_client(s);
    w->committer.arena = arena_new(ARENA_MAX);
    w->committer.lane.seq = calloc(s->tables.n + 1, sizeof *w->committer.lane.seq);
    w->committer.seq = calloc(s->tables.n + 1, sizeof *w->committer.seq);
    if (!w->committer.lane.seq || !w->committer.seq)
        die("out of memory: a committer");
    if (!committer_begin(&w->committer, e))
        return false;
    bson_uint32_to_string((uint32_t)i, &key, room, sizeof room);
    bson_append_document(&s->sessions, key, -1, mongoc_client_session_get_lsid(w->committer.session));
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        return err_set(e, ERR_BUSY, "cannot start a committer: %s", strerror(errno));
    pthread_setname_np(w->thread, "store-committer");
    all->started++;
    return true;
}

bool committers_start(struct mongo_store *s, struct err *e)
{
    struct committers *all = calloc(1, sizeof *all);
    bool ok = true;

    if (!all)
        die("out of memory: the committers");
    all->store = s;
    all->n = s->alone ? 1 : (size_t)PARAM_INT(store, committers);
    all->workers = calloc(all->n, sizeof *all->workers);
    if (!all->workers)
        die("out of memory: the committers");
    all->last = &all->first;
    all->room = signal_new();
    pthread_mutex_init(&all->mutex, NULL);
    clock_cond_init(&all->work);
    s->committers = all;
    for (size_t i = 0; ok && i < all->n; i++)
        ok = start_worker(all, i, e);
    return ok;
}

static void end_worker(struct mongo_store *s, struct worker *w)
{
    if (w->committer.session)
        mongoc_client_session_destroy(w->committer.session);
    if (w->committer.client)
        mongo_client_back(s, w->committer.client);
    arena_free(&w->committer.arena);
    free(w->committer.lane.seq);
    free(w->committer.seq);
    free(w->slots);
}

void committers_stop(struct mongo_store *s)
{
    struct committers *all = s->committers;

    if (!all)
        return;
    pthread_mutex_lock(&all->mutex);
    all->stop = true;
    pthread_cond_broadcast(&all->work);
    pthread_mutex_unlock(&all->mutex);
    for (size_t i = 0; i < all->started; i++)
        pthread_join(all->workers[i].thread, NULL);
    for (size_t i = 0; i < all->n; i++)
        end_worker(s, &all->workers[i]);
    signal_free(&all->room);
    pthread_mutex_destroy(&all->mutex);
    pthread_cond_destroy(&all->work);
    free(all->workers);
    free(all);
    s->committers = NULL;
}
