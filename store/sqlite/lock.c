/* store/sqlite/lock.c - locks in memory: one process has the store open, so its end is the end of all its locks.
 *
 * Tokens rise over restarts too, since they begin at the wall clock; a proof from before a restart never fits a new
 * lock. What has expired stays until its name is asked for or room is needed. */
#include "base/params.h"
#include "store/sqlite/sqlite.h"

#define BUCKETS 4096

struct held {
    struct held *next;
    int64_t token, until; /* monotonic ms */
    size_t n;
    char name[];
};

struct locks {
    pthread_mutex_t mutex;
    struct held *buckets[BUCKETS];
    int64_t n, last_token;
};

struct locks *locks_new(void)
{
    struct locks *l = calloc(1, sizeof *l);

    if (!l)
        die("out of memory: locks");
    pthread_mutex_init(&l->mutex, NULL);
    l->last_token = clock_wall() << 16; /* rises over restarts too */
    return l;
}

static void drop(struct locks *l, struct held **at)
{
    struct held *h = *at;

    *at = h->next;
    free(h);
    l->n--;
}

void locks_free(struct locks **l)
{
    if (!*l)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while ((*l)->buckets[i])
            drop(*l, &(*l)->buckets[i]);
    pthread_mutex_destroy(&(*l)->mutex);
    free(*l);
    *l = NULL;
}

static struct held **held_find(struct locks *l, struct bytes name)
{
    uint32_t h = 2166136261u;
    struct held **at;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 16777619u;
    at = &l->buckets[h % BUCKETS];
    while (*at && !bytes_equal((struct bytes){ (*at)->name, (*at)->n }, name))
        at = &(*at)->next;
    return at;
}

static void drop_expired(struct locks *l, int64_t now)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct held **at = &l->buckets[i];

        while (*at) {
            if ((*at)->until <= now)
                drop(l, at);
            else
                at = &(*at)->next;
        }
    }
}

static struct held *held_new(struct locks *l, struct bytes name)
{
    struct held *h = malloc(sizeof *h + name.n);

    if (!h)
        die("out of memory: a lock");
    h->next = NULL;
    h->n = name.n;
    memcpy(h->name, name.p, name.n);
    l->n++;
    return h;
}

static bool held_take(struct locks *l, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e)
{
    int64_t now = clock_monotonic();
    struct held **at = held_find(l, name);

    if (*at && (*at)->until > now)
        return err_set(e, ERR_IN_USE, "%.*s is in use", SHOW(name));
    if (!*at) {
        if (l->n >= PARAM_INT(store, locks_max))
            drop_expired(l, now);
        if (l->n >= PARAM_INT(store, locks_max))
            return err_set(e, ERR_BUSY, "%lld locks are held", (long long)l->n);
        at = held_find(l, name); /* its bucket may have changed */
        *at = held_new(l, name);
    }
    (*at)->token = *token = ++l->last_token;
    (*at)->until = now + ttl_ms;
    return true;
}

bool lock_take(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e)
{
    struct locks *l = ((struct sqlite_store *)st)->locks;
    bool ok;

    pthread_mutex_lock(&l->mutex);
    ok = held_take(l, name, ttl_ms, token, e);
    pthread_mutex_unlock(&l->mutex);
    return ok;
}

bool lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e)
{
    struct locks *l = ((struct sqlite_store *)st)->locks;
    int64_t now = clock_monotonic();
    struct held *h;
    bool ok;

    pthread_mutex_lock(&l->mutex);
    h = *held_find(l, name);
    ok = h && h->token == token && h->until > now;
    if (ok)
        h->until = now + ttl_ms;
    pthread_mutex_unlock(&l->mutex);
    return ok || err_set(e, ERR_IN_USE, "the lock %.*s has ended", SHOW(name));
}

void lock_end(struct store *st, struct bytes name, int64_t token)
{
    struct locks *l = ((struct sqlite_store *)st)->locks;
    struct held **at;

    pthread_mutex_lock(&l->mutex);
    at = held_find(l, name);
    if (*at && (*at)->token == token)
        drop(l, at);
    pthread_mutex_unlock(&l->mutex);
}
