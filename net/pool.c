/* net/pool.c - worker threads, shared out among those for whom they work.
 *
 * Each owner (fiber_for) has a lane, a queue of waiting jobs, and the lanes take turns: of two owners one with a
 * hundred jobs and one with a single one the latter waits for one job at most. The share of pool.owner_share keeps
 * workers free for whoever comes while one owner's jobs run. Lane 0 is of work that is nobody's (mail from strangers,
 * our own), and has no share. Owners are told apart by a hash: two may meet in a lane, and then share it. */
#include "base/params.h"
#include "net/loop.h"

enum { LANES = 64 }; /* bits of pool_state.waits */

struct job {
    void (*work)(void *arg);
    void *arg;
    struct job *next;
    unsigned lane;
    struct waiter done;
};

struct lane {
    struct job *first, *last;
    unsigned waiting, running;
};

struct pool_state {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct lane lanes[LANES];
    uint64_t waits;   /* a bit for each lane with jobs */
    unsigned turn;    /* the lane that is asked first */
    unsigned waiting; /* jobs */
    unsigned idle;    /* workers */
    bool ending;
    pthread_t *threads;
    unsigned threads_n;
};

struct worker_start {
    struct pool_state *pool;
    int number;
};

static struct pool_state pools[] = {
    [POOL_STORE] = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER },
    [POOL_CPU] = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER },
};
static const char *const names[] = { [POOL_STORE] = "store", [POOL_CPU] = "cpu" };
static _Thread_local int worker_number = -1;

int offload_worker(void)
{
    return worker_number;
}

/* ---- lanes; the lock is held ---- */

static unsigned lane_of(const struct fiber *f)
{
    return f->owner ? 1 + (unsigned)(f->owner % (LANES - 1)) : 0;
}

/* One owner's part of `all`: at least one, and of several never all. */
static unsigned share_of(unsigned all)
{
    unsigned share = (unsigned)((uint64_t)all * (uint64_t)PARAM_INT(pool, owner_share) / 100);

    if (share >= all && all > 1)
        share = all - 1;
    return share ? share : 1;
}

static void lane_add(struct pool_state *p, struct job *job)
{
    struct lane *l = &p->lanes[job->lane];

    if (l->first)
        l->last->next = job;
    else
        l->first = job;
    l->last = job;
    l->waiting++;
    p->waits |= UINT64_C(1) << job->lane;
    p->waiting++;
}

static struct job *lane_take(struct pool_state *p, unsigned i)
{
    struct lane *l = &p->lanes[i];
    struct job *job = l->first;

    l->first = job->next;
    if (!l->first)
        p->waits &= ~(UINT64_C(1) << i);
    l->running++;
    l->waiting--;
    p->waiting--;
    p->turn = (i + 1) % LANES;
    return job;
}

/* The next lane in turn that may have one more worker. `waits` from the lane whose turn it is, around. */
static struct job *next_job(struct pool_state *p)
{
    unsigned share = share_of(p->threads_n);

    for (uint64_t rest = p->waits, ahead; rest;) {
        unsigned i;

        ahead = rest & (UINT64_MAX << p->turn);
        i = (unsigned)__builtin_ctzll(ahead ? ahead : rest);
        if (i == 0 || p->lanes[i].running < share)
            return lane_take(p, i);
        rest &= ~(UINT64_C(1) << i);
    }
    return NULL;
}

/* ---- workers ---- */

/* The next job, or NULL when the pool ends: then what waits is done first, whoever's it is. `done`: the job before. */
static struct job *job_take(struct pool_state *p, const struct job *done, unsigned lane)
{
    struct job *job;

    pthread_mutex_lock(&p->lock);
    if (done)
        p->lanes[lane].running--;
    while (!(job = next_job(p)) && !(p->ending && !p->waits)) {
        p->idle++;
        pthread_cond_wait(&p->more, &p->lock);
        p->idle--;
    }
    if (p->ending)
        pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *worker(void *arg)
{
    struct worker_start *start = arg;
    struct pool_state *p = start->pool;
    unsigned lane = 0;
    char name[16];

    worker_number = start->number;
    snprintf(name, sizeof name, "%s-%d", names[p - pools], worker_number);
    pthread_setname_np(pthread_self(), name); /* as `top -H` shows it */
    free(start);
    for (struct job *job = job_take(p, NULL, 0); job; job = job_take(p, job, lane)) {
        lane = job->lane; /* the job is its owner's again once it is woken */
        job->work(job->arg);
        waiter_wake(&job->done);
    }
    return NULL;
}

static bool put(struct pool_state *p, struct job *job, unsigned most)
{
    bool fits, wake = false;

    pthread_mutex_lock(&p->lock);
    fits = p->waiting < most && p->threads_n > 0 && (job->lane == 0 || p->lanes[job->lane].waiting < share_of(most));
    if (fits) {
        lane_add(p, job);
        wake = p->idle > 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (wake)
        pthread_cond_signal(&p->more);
    return fits;
}

bool offload(enum pool pool, void (*work)(void *arg), void *arg, struct err *e)
{
    struct job job = { .work = work, .arg = arg };
    int64_t most = pool == POOL_STORE ? PARAM_INT(pool, store_queue) : PARAM_INT(pool, cpu_queue);

    if (!fiber_self()) {
        work(arg);
        return true;
    }
    job.lane = lane_of(fiber_self());
    waiter_init(&job.done);
    if (!put(&pools[pool], &job, (unsigned)most))
        return err_set(e, ERR_BUSY, "more than %lld jobs wait for the %s pool", (long long)most, names[pool]);
    waiter_wait(&job.done);
    return true;
}

static bool pool_start(struct pool_state *p, unsigned workers, struct err *e)
{
    p->ending = false;
    p->threads = calloc(workers ? workers : 1, sizeof *p->threads);
    if (!p->threads)
        die("out of memory");
    for (p->threads_n = 0; p->threads_n < workers; p->threads_n++) {
        struct worker_start *start = malloc(sizeof *start);

        if (!start)
            die("out of memory");
        *start = (struct worker_start){ .pool = p, .number = (int)p->threads_n };
        if (pthread_create(&p->threads[p->threads_n], NULL, worker, start) == 0)
            continue;
        free(start);
        return err_set(e, ERR_INTERNAL, "cannot start a worker thread");
    }
    return true;
}

bool pools_start(const struct net_options *o, struct err *e)
{
    return pool_start(&pools[POOL_STORE], o->store_workers ? o->store_workers : 1, e) &&
           pool_start(&pools[POOL_CPU], o->cpu_workers ? o->cpu_workers : 1, e);
}

void pools_stop(void)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        struct pool_state *p = &pools[i];

        pthread_mutex_lock(&p->lock);
        p->ending = true;
        pthread_cond_broadcast(&p->more);
        pthread_mutex_unlock(&p->lock);
        for (unsigned k = 0; k < p->threads_n; k++)
            pthread_join(p->threads[k], NULL);
        free(p->threads);
        p->threads = NULL;
        p->threads_n = 0;
    }
}
