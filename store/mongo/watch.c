/* Who waits for rows of the feed is woken by our own commits, and for those of other processes by a
 * look at the lanes every LOOK_MS, where each group leaves its mark. Looking only wakes: rows are read by the feed's
 * own index (feed.c), so a look that failed has lost nothing.
 *
 * A change stream would wake sooner, but a server finds its events by reading every transaction of the oplog whole,
 * bodies and all: 47 us of its time for each mail and each process that listens, a sixth of what a mail costs. A look
 * costs 0.2 ms, whatever the load. */
#include "store/mongo/mongo.h"
#include <errno.h>

enum { LOOK_MS = 100 };

struct watcher {
    struct mongo_store *store;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;
    int64_t *seen, *now; /* by table: the sum over all lanes, which never falls */
};

static bool add_lane(void *arg, const struct lane_row *row)
{
    struct watcher *w = arg;

    for (size_t i = 0; i < w->store->tables.n; i++)
        w->now[i] += row->seq[i];
    return true;
}

static void look(struct watcher *w, mongoc_client_t *c)
{
    struct mongo_store *s = w->store;
    struct err e;

    memset(w->now, 0, s->tables.n * sizeof *w->now);
    if (!lanes_read(s, c, &(struct lanes){ .each = add_lane, .arg = w }, &e))
        return;
    for (size_t i = 0; i < s->tables.n; i++) {
        if (w->now[i] != w->seen[i])
            tables_raise(&s->tables, (uint64_t)1 << i);
        w->seen[i] = w->now[i];
    }
}

/* False when it is to end, which it is told at once. */
static bool wait(struct watcher *w)
{
    int64_t until = clock_monotonic() + LOOK_MS;
    bool stop;

    pthread_mutex_lock(&w->mutex);
    while (!w->stop && clock_cond_wait(&w->wake, &w->mutex, until))
        ;
    stop = w->stop;
    pthread_mutex_unlock(&w->mutex);
    return !stop;
}

static void *run(void *arg)
{
    struct watcher *w = arg;
    mongoc_client_t *c = mongo_client(w->store);

    do
        look(w, c);
    while (wait(w));
    mongo_client_back(w->store, c);
    return NULL;
}

static void watcher_free(struct watcher *w)
{
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->wake);
    free(w->seen);
    free(w->now);
    free(w);
}

bool watcher_start(struct mongo_store *s, struct err *e)
{
    struct watcher *w = calloc(1, sizeof *w);

    if (!w || !(w->seen = calloc(s->tables.n + 1, sizeof *w->seen)) ||
        !(w->now = calloc(s->tables.n + 1, sizeof *w->now)))
        die("out of memory: the watcher");
    w->store = s;
    pthread_mutex_init(&w->mutex, NULL);
    clock_cond_init(&w->wake);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        watcher_free(w);
        return err_set(e, ERR_BUSY, "cannot start the store's watcher: %s", strerror(errno));
    }
    pthread_setname_np(w->thread, "store-watcher");
    s->watcher = w;
    return true;
}

void watcher_stop(struct mongo_store *s)
{
    if (!s->watcher)
        return;
    pthread_mutex_lock(&s->watcher->mutex);
    s->watcher->stop = true;
    pthread_cond_signal(&s->watcher->wake);
    pthread_mutex_unlock(&s->watcher->mutex);
    pthread_join(s->watcher->thread, NULL);
    watcher_free(s->watcher);
    s->watcher = NULL;
}
