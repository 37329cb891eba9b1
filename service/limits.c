#include "service/limits.h"
#include "service/service_private.h"
#define uthash_fatal(message) die("out of memory: limits")
#include <uthash.h>

#define NAME_MOST 128

/* GCRA: `full_at` is when the name has its whole allowance again; each taking moves it on by its share of the window.
 */
struct counted {
    UT_hash_handle hh;
    int64_t full_at; /* microseconds, monotonic */
    size_t n;
    char name[NAME_MOST];
};

struct limits {
    pthread_mutex_t mutex;
    struct counted *all;
};

struct limits *limits_new(void)
{
    struct limits *l = calloc(1, sizeof *l);

    if (!l)
        die("out of memory: limits");
    pthread_mutex_init(&l->mutex, NULL);
    return l;
}

static void forget(struct limits *l, struct counted *c)
{
    HASH_DEL(l->all, c);
    free(c);
}

void limits_free(struct limits **l)
{
    struct counted *c, *next;

    if (!*l)
        return;
    HASH_ITER (hh, (*l)->all, c, next)
        forget(*l, c);
    pthread_mutex_destroy(&(*l)->mutex);
    free(*l);
    *l = NULL;
}

/* Looks at a few of the oldest names only: whoever makes room must not walk the whole table. */
static void make_room(struct limits *l)
{
    struct counted *best = l->all, *c = l->all;

    for (int i = 0; c && i < 16; i++, c = c->hh.next)
        if (c->full_at < best->full_at)
            best = c;
    if (best)
        forget(l, best);
}

static struct counted *find(struct limits *l, struct bytes name)
{
    struct counted *c;

    HASH_FIND(hh, l->all, name.p, name.n, c);
    if (c)
        return c;
    while (l->all && HASH_COUNT(l->all) >= (unsigned)PARAM_INT(limits, names))
        make_room(l);
    if (!(c = calloc(1, sizeof *c)))
        die("out of memory: limits");
    c->n = name.n;
    memcpy(c->name, name.p, name.n);
    HASH_ADD(hh, l->all, name, c->n, c);
    return c;
}

bool limits_take(struct limits *l, struct bytes name, int64_t n, int64_t most, int64_t window_ms, int64_t *wait_ms)
{
    int64_t now = clock_monotonic() * 1000, window = window_ms * 1000, after;
    struct counted *c;

    pthread_mutex_lock(&l->mutex);
    c = find(l, bytes_head(name, NAME_MOST));
    after = (c->full_at > now ? c->full_at : now) + n * (window / most);
    *wait_ms = after - now > window ? (after - now - window) / 1000 + 1 : 0;
    if (*wait_ms == 0)
        c->full_at = after;
    pthread_mutex_unlock(&l->mutex);
    return *wait_ms == 0;
}

bool limits_recipients(struct call *c, int64_t n)
{
    int64_t most = PARAM_INT(limits, user_recipients_per_hour), wait;
    char name[ID_TEXT + 1];

    if (most == 0 || !c->who || c->who->kind != WHO_USER)
        return true;
    if (limits_take(c->svc->limits, id_format("usr", c->who->id, name), n, most, INT64_C(3600000), &wait))
        return true;
    return err_set(&c->err, ERR_RATE, "More than %lld recipients in an hour; try again in %lld s", (long long)most,
                   (long long)(wait / 1000 + 1));
}
