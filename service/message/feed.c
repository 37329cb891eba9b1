/* service/message/feed.c - who follows is woken.
 *
 * One reader a node follows the feed of events, as long as somebody waits for them, and raises the signal of each
 * account of which there is something new. What it hands on is that, and no rows: a follower reads its own part from
 * its own place, so a slow one holds nothing of others back and nothing in memory, and nothing is lost when the reader
 * has to begin anew: it then takes the feed's end first and wakes everybody, who look for themselves. */
#include "service/message/feed.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"
#include "net/wait.h"
#include "service/core/state.h"
#include <pthread.h>

#define BUCKETS  1024
#define ROUND_MS 500 /* one wait of the reader: how soon it notices that nobody follows */
#define RETRY_MS 1000
#define ROWS     500
#define ARENA    ((size_t)64 * 1024 * 1024)

/* One account that is followed; lives as long as it has followers. */
struct followed {
    struct followed *next;
    struct id account;
    struct signal *signal;
    unsigned followers;
};

struct feed {
    pthread_mutex_t lock;
    struct followed *buckets[BUCKETS];
    int64_t followers;
    struct signal *wanted; /* raised by the first follower */
};

struct follower {
    struct feed *feed;
    struct followed *of;
};

struct feed *feed_new(void)
{
    struct feed *f = calloc(1, sizeof *f);

    if (!f)
        die("out of memory: the feed");
    pthread_mutex_init(&f->lock, NULL);
    f->wanted = signal_new();
    return f;
}

void feed_free(struct feed **f)
{
    if (!*f)
        return;
    signal_free(&(*f)->wanted);
    pthread_mutex_destroy(&(*f)->lock);
    free(*f);
    *f = NULL;
}

/* ---- followers ---- */

static struct followed **place_of(struct feed *f, struct id account)
{
    struct followed **at = &f->buckets[(account.b[14] << 8 | account.b[15]) % BUCKETS];

    while (*at && !id_equal((*at)->account, account))
        at = &(*at)->next;
    return at;
}

static struct followed *followed_add(struct feed *f, struct id account)
{
    struct followed **at = place_of(f, account);

    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            die("out of memory: a follower");
        (*at)->account = account;
        (*at)->signal = signal_new();
    }
    (*at)->followers++;
    return *at;
}

bool follower_open(struct call *c, struct follower **out)
{
    struct feed *f = c->svc->feed;
    struct follower *w = calloc(1, sizeof *w);

    if (!w)
        die("out of memory: a follower");
    if (!call_may(c, SCOPE_MESSAGES_READ)) {
        free(w);
        return false;
    }
    pthread_mutex_lock(&f->lock);
    if (f->followers < PARAM_INT(event, followers_max)) {
        f->followers++;
        *w = (struct follower){ f, followed_add(f, c->account) };
    }
    pthread_mutex_unlock(&f->lock);
    if (!w->of) {
        free(w);
        return err_set(&c->err, ERR_BUSY, "Too many follow events already");
    }
    metric_add(METRIC_event_followers, 1);
    signal_raise(f->wanted);
    *out = w;
    return true;
}

void follower_close(struct follower **follower)
{
    struct follower *w = *follower;
    struct followed **at, *gone = NULL;

    if (!w)
        return;
    pthread_mutex_lock(&w->feed->lock);
    w->feed->followers--;
    at = place_of(w->feed, w->of->account);
    if (--w->of->followers == 0) {
        gone = *at;
        *at = gone->next;
    }
    pthread_mutex_unlock(&w->feed->lock);
    if (gone) {
        signal_free(&gone->signal);
        free(gone);
    }
    metric_add(METRIC_event_followers, -1);
    free(w);
    *follower = NULL;
}

uint64_t follower_count(const struct follower *w)
{
    return signal_count(w->of->signal);
}

bool follower_wait(struct follower *w, uint64_t seen, int64_t until)
{
    return signal_wait(w->of->signal, seen, until);
}

/* ---- the reader ---- */

static bool is_wanted(struct feed *f)
{
    bool wanted;

    pthread_mutex_lock(&f->lock);
    wanted = f->followers > 0;
    pthread_mutex_unlock(&f->lock);
    return wanted;
}

static void wake_all(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct followed *at = f->buckets[i]; at; at = at->next)
            signal_raise(at->signal);
    pthread_mutex_unlock(&f->lock);
}

static void wake(struct feed *f, const struct event_row *rows, size_t n)
{
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        struct followed *at = *place_of(f, rows[i].account_id);

        if (at && (i == 0 || !id_equal(rows[i].account_id, rows[i - 1].account_id)))
            signal_raise(at->signal);
    }
    pthread_mutex_unlock(&f->lock);
}

static bool read_on(struct service *svc, struct buf *place, struct arena *a, struct err *e)
{
    struct bytes next;
    void *rows = NULL;
    size_t n = 0;

    if (!place->n) {
        if (!store_watch_end(svc->store, &event_kind, a, &next, e))
            return false;
        wake_all(svc->feed);
    } else {
        if (!store_watch(svc->store, &event_kind, buf_bytes(place), ROWS, clock_monotonic() + ROUND_MS, a, &rows, &n,
                         &next, e))
            return false;
        wake(svc->feed, rows, n);
    }
    buf_reset(place);
    buf_add(place, next);
    return true;
}

void feed_run(struct service *svc)
{
    struct arena *a = arena_new(ARENA);
    struct buf place;

    buf_init(&place, WATCH_CURSOR_MAX);
    while (!atomic_load(&svc->stopping) && !net_stopping()) {
        uint64_t seen = signal_count(svc->feed->wanted);
        struct err e = { 0 };

        arena_reset(a);
        if (!is_wanted(svc->feed)) {
            buf_reset(&place);
            signal_wait(svc->feed->wanted, seen, clock_monotonic() + ROUND_MS);
        } else if (!read_on(svc, &place, a, &e)) {
            buf_reset(&place);
            log_debug("feed", LOG_TEXT("result", "begins anew"), LOG_TEXT("reason", e.message));
            service_sleep(svc, RETRY_MS);
        }
    }
    buf_clear(&place);
    arena_free(&a);
}

void feed_poke(struct service *svc)
{
    signal_raise(svc->feed->wanted);
}
