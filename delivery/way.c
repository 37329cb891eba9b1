/* delivery/way.c - the paths to groups of hosts, as the engine has them: their windows as the order of flows hears of
 * them, and what happens when hosts are back. The order hears of a window only when it is another one than it was told;
 * all of it is of the engine's one loop, so nothing is locked. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "delivery/hash.h"
#include <assert.h>

#define SUSPEND_MS  300000
#define TAUGHT_MS   600000
#define REMEMBER_MS 600000 /* failures of a way that nobody takes for the moment */
#define KEPT_MAX    10000  /* ways that are kept for what they have taught */

struct bytes way_name(const struct way *w)
{
    return (struct bytes){ w->name, w->name_n };
}

static struct way *way_find(struct engine *e, struct bytes name)
{
    struct way *w;

    HASH_FIND(hh, e->ways, name.p, name.n, w);
    return w;
}

struct way *way_get(struct engine *e, struct bytes name)
{
    struct way *w = way_find(e, name);

    if (w)
        return w;
    w = calloc(1, sizeof *w + name.n + 1);
    if (!w)
        die("out of memory: a way");
    memcpy(w->name, name.p, name.n);
    w->name_n = name.n;
    w->told = -1;
    path_init(&w->path, (int)PARAM_INT(delivery, path_max), hash_text(0, name));
    w->path.pauses = e->dead_for.n ? &e->dead_for : NULL;
    HASH_ADD(hh, e->ways, name, name.n, w);
    way_inherit(e, w);
    stops_way(e, w);
    return w;
}

/* How many transactions may run: while no connection may begin, no more than connections are there. */
static int window_of(struct way *w, int64_t now)
{
    bool sleeps = now < w->sleep_until && PARAM_INT(delivery, path_rate);
    int window = now < w->shut_until || w->stopped || sleeps ? 0 : path_window(&w->path, now);

    if (w->cap && window > w->cap)
        window = w->cap;
    if (path_may_connect(&w->path, now) || w->path.open >= window)
        return window;
    return w->path.open;
}

void way_update(struct engine *e, struct way *w)
{
    int window = window_of(w, clock_monotonic());

    if (window == w->told)
        return;
    w->told = window;
    sched_window(e->sched, way_name(w), window);
    signal_raise(e->wake);
}

void way_tell(struct engine *e, struct way *w, enum path_event event)
{
    enum path_state before = w->path.state;

    if (event == PATH_NOTHING)
        return;
    if (event == PATH_FAILED || event == PATH_ALL_FAILED)
        w->failed_at = clock_monotonic();
    path_event(&w->path, event, clock_monotonic());
    if (w->path.state != before)
        log_info("delivery", LOG_BYTES("path", way_name(w)), LOG_TEXT("state", path_state_text(w->path.state)));
    way_update(e, w);
}

void way_sleep(struct engine *e, struct way *w, int64_t until)
{
    w->sleep_until = until;
    way_update(e, w);
}

void way_quiet(struct engine *e, struct way *w, int64_t until)
{
    if (w->path.quiet < until)
        w->path.quiet = until;
    way_update(e, w);
}

bool way_is_shut(struct way *w)
{
    int64_t now = clock_monotonic();

    return now < w->shut_until || w->stopped || path_window(&w->path, now) == 0;
}

void way_suspend(struct engine *e, struct way *w, const struct mail_route *r, struct bytes why)
{
    w->shut_until = clock_monotonic() + SUSPEND_MS;
    log_error("delivery", LOG_BYTES("path", way_name(w)), LOG_TEXT("state", "suspended"),
              LOG_TEXT("reason", id_is_none(r->id) ? "the login is refused: see delivery.relay_user and "
                                                     "delivery.relay_secret_file"
                                                   : "the login is refused: see username and password of the route"),
              LOG_BYTES("text", why));
    way_update(e, w);
}

void way_learn(struct way *w, size_t recipients)
{
    size_t known = way_taught(w);

    w->taught = known && known < recipients ? known : recipients;
    w->taught_until = clock_monotonic() + TAUGHT_MS;
}

size_t way_taught(const struct way *w)
{
    return clock_monotonic() < w->taught_until ? w->taught : 0;
}

bool way_resume(struct engine *e, struct bytes name)
{
    struct way *w = way_find(e, name);

    if (!w || (w->path.state == PATH_OPEN && !w->path.failures))
        return false;
    way_tell(e, w, PATH_RESUMED);
    return true;
}

void ways_count(const struct engine *e)
{
    int64_t now = clock_monotonic(), states[] = { [PATH_OPEN] = 0, [PATH_DEAD] = 0, [PATH_PROBE] = 0 }, shut = 0,
            open = 0;

    for (const struct way *w = e->ways; w; w = w->hh.next) {
        shut += now < w->shut_until;
        states[w->path.state] += now >= w->shut_until;
        open += w->path.open;
    }
    metric_set(METRIC_delivery_paths_open, states[PATH_OPEN]);
    metric_set(METRIC_delivery_paths_dead, states[PATH_DEAD]);
    metric_set(METRIC_delivery_paths_probe, states[PATH_PROBE]);
    metric_set(METRIC_delivery_paths_shut, shut);
    metric_set(METRIC_delivery_connections, open);
}

/* The lane of sched's stays, open: a flow that still lies there is picked once more, and has its hosts asked for. */
static void way_forget(struct engine *e, struct way *w)
{
    if (w->told < 1)
        sched_window(e->sched, way_name(w), 1);
    if (w->noted)
        way_forgotten(e, w);
    assert(e->ways && w->hh.tbl);
    HASH_DEL(e->ways, w);
    free(w);
}

/* Its sites were stale as its hosts failed: what is shut is remembered until that is over, and failures that do not
 * make it dead yet are counted on by who comes next. So is what it has taught, while there are not too many. */
static bool is_worth_keeping(struct engine *e, const struct way *w, int64_t now)
{
    bool used = w->sites || w->idle || w->path.open || w->path.busy,
         known = way_taught(w) || (w->path.failures && now - w->failed_at < REMEMBER_MS);

    return used || w->path.state != PATH_OPEN || now < w->shut_until || now < w->path.quiet ||
           (known && HASH_COUNT(e->ways) <= KEPT_MAX);
}

void ways_reap(struct engine *e)
{
    int64_t now = clock_monotonic();
    struct way *w, *next_w;

    HASH_ITER (hh, e->ways, w, next_w) {
        if (!is_worth_keeping(e, w, now))
            way_forget(e, w);
    }
}

/* ---- hosts that are back ---- */

/* What waits for a host that was away need not wait for its own time. */
struct hastening {
    struct engine *e;
    struct id account; /* of a route that is one account's */
    size_t n;
    char site[];
};

static void hasten_fiber(void *arg)
{
    struct hastening *h = arg;
    struct bytes site = { h->site, h->n };
    struct err why = { 0 };
    size_t n = 0;

    if (!queue_hasten(h->e->svc, h->n ? site : NO_BYTES, h->account, &n, &why))
        log_warn("delivery", LOG_TEXT("result", "not hastened"), LOG_TEXT("reason", why.message));
    if (n)
        h->e->next_scan = 0;
    signal_raise(h->e->wake);
    engine_left(h->e);
    free(h);
}

void site_hasten(struct site *s)
{
    size_t n = s->domain.n;
    struct hastening *h = malloc(sizeof *h + n + 1);

    if (!h)
        die("out of memory: a site");
    h->e = s->engine;
    h->account = s->route.account;
    h->n = n;
    if (n)
        memcpy(h->site, s->domain.p, n);
    if (!engine_spawn(h->e, hasten_fiber, h))
        free(h);
}

static void hasten(struct engine *e, struct way *w)
{
    for (struct site *s = e->sites; s; s = s->hh.next)
        if (s->way == w)
            site_hasten(s);
}

void ways_look(struct engine *e)
{
    for (struct way *w = e->ways; w; w = w->hh.next) {
        way_update(e, w);
        if (path_revived(&w->path))
            hasten(e, w);
    }
}

void ways_free(struct engine *e)
{
    struct way *w, *next_w;

    HASH_ITER (hh, e->ways, w, next_w) {
        HASH_DEL(e->ways, w);
        free(w);
    }
}
