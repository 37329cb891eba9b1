#include "base/params.h"
#include "net/loop.h"

struct job {
    void (*work)(void *arg);
    void *arg;
    struct job *next;
    struct waiter done;
};

struct pool_state {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, *last;
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

/* The next job, or NULL when the pool ends. */
static struct job *take(struct pool_state *p)
{
    struct job *job;

    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->ending) {
        p->idle++;
        pthread_cond_wait(&p->more, &p->lock);
        p->idle--;
    }
    job = p->first;
    if (job) {
        p->first = job->next;
        p->waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *worker(void *arg)
{
    struct worker_start *start = arg;
    struct pool_state *p = start->pool;
    char name[16];

    worker_number = start->number;
    snprintf(name, sizeof name, "%s-%d", names[p - pools], worker_number);
    pthread_setname_np(pthread_self(), name); /* as `top -H` shows it */
    free(start);
    for (struct job *job; (job = take(p));) {
        job->work(job->arg);
        waiter_wake(&job->done);
    }
    return NULL;
}

static bool put(struct pool_state *p, struct job *job, unsigned most)
{
    bool fits, wake = false;

    pthread_mutex_lock(&p->lock);
    fits = p->waiting < most && p->threads_n > 0;
    if (fits) {
        if (p->first)
            p->last->next = job;
        else
            p->first = job;
        p->last = job;
        p->waiting++;
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
