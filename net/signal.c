#include "base/clock.h"
#include "net/loop.h"

struct waiting {
    struct waiter waiter;
    struct waiting *next, **from; /* from: what points here; NULL when taken out */
};

struct signal {
    pthread_mutex_t lock;
    _Atomic uint64_t count;
    struct waiting *first;
};

struct signal *signal_new(void)
{
    struct signal *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory");
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void signal_free(struct signal **s)
{
    if (!*s)
        return;
    pthread_mutex_destroy(&(*s)->lock);
    free(*s);
    *s = NULL;
}

uint64_t signal_count(const struct signal *s)
{
    return atomic_load(&s->count);
}

static void take_out(struct waiting *w)
{
    *w->from = w->next;
    if (w->next)
        w->next->from = w->from;
    w->from = NULL;
}

/* Wakes under the lock: whoever gives up meanwhile finds itself either in the list or woken. */
void signal_raise(struct signal *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&s->count, 1);
    while (s->first) {
        struct waiting *w = s->first;

        take_out(w);
        waiter_wake(&w->waiter);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool join(struct signal *s, uint64_t seen, struct waiting *w)
{
    bool joined;

    pthread_mutex_lock(&s->lock);
    joined = atomic_load(&s->count) == seen;
    if (joined) {
        w->next = s->first;
        w->from = &s->first;
        if (w->next)
            w->next->from = &w->next;
        s->first = w;
    }
    pthread_mutex_unlock(&s->lock);
    return joined;
}

bool signal_wait(struct signal *s, uint64_t seen, int64_t deadline)
{
    struct waiting w;

    if (atomic_load(&s->count) != seen)
        return true;
    waiter_init(&w.waiter);
    if (!join(s, seen, &w) || waiter_wait_until(&w.waiter, deadline, PARK_ENDS_AT_STOP))
        return true;
    pthread_mutex_lock(&s->lock);
    if (w.from)
        take_out(&w);
    pthread_mutex_unlock(&s->lock);
    return atomic_load(&s->count) != seen;
}
