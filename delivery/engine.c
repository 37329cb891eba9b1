/* delivery/engine.c - one fiber that holds the lock, hears what is new, and begins what may begin; all else runs in
 * fibers of the same loop.
 *
 * What waits is told by who makes it so: this node's accepts and finishes at once, those of others by rows that are
 * watched (service/queue/poke.h). A scan of the store, one look-up a flow, finds the rest: at the start, when something
 * was missed, and once a minute as a net. Memory is bounded by delivery.flows_max; what does not fit is found by a
 * later scan. */
#include "delivery/engine.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "delivery/engine_private.h"
#include "service/queue/outcomes.h"
#include "service/queue/path_state.h"
#include "service/queue/poke.h"
#include "service/service.h"
#include <assert.h>
#include <unistd.h>

#define LOCK_EVERY_MS  5000
#define LOCK_RETRY_MS  2000
#define SCAN_EVERY_MS  60000 /* as a net under what is heard */
#define SCAN_FLOWS     500
#define SCAN_ARENA     ((size_t)16 * 1024 * 1024)
#define RENEWALS       8 /* so often leases are looked at while they last */
#define LOOK_EVERY_MS  100
#define REAP_EVERY_MS  1000
#define COUNT_EVERY_MS 10000
#define IDLE_MS        1000
#define HEAR_MS        250 /* one wait for other nodes */
#define ARRIVALS_MAX   20000
#define STOP_LOOK_US   5000

/* ---- fibers ---- */

bool engine_spawn(struct engine *e, void (*run)(void *arg), void *arg)
{
    struct err why = { 0 };

    atomic_fetch_add(&e->fibers, 1);
    if (fiber_start(ENGINE_LOOP, run, arg, &why))
        return true;
    atomic_fetch_sub(&e->fibers, 1);
    log_warn("delivery", LOG_TEXT("result", "no fiber"), LOG_TEXT("reason", why.message));
    return false;
}

/* Last of all: engine_stop may free what it touches. */
void engine_left(struct engine *e)
{
    atomic_fetch_sub(&e->fibers, 1);
}

/* Draining comes first, and ends what waits for a peer: that is no fault of the peer's. */
bool engine_stops(const struct engine *e)
{
    return atomic_load(&e->stopping) || net_draining();
}

bool engine_may_send(struct engine *e)
{
    struct err why = { 0 };

    return e->locked && clock_monotonic() < e->lock_until && service_ready(e->svc, &why);
}

/* ---- arrivals: any thread ---- */

static bool arrived(struct outlet *o, struct bytes flow, int64_t send_at)
{
    struct engine *e = (struct engine *)(void *)o;
    struct waiting *w;

    if (!atomic_load(&e->sends))
        return false;
    w = malloc(sizeof *w + flow.n + 1);
    if (!w)
        die("out of memory: an arrival");
    w->n = flow.n;
    memcpy(w->flow, flow.p, flow.n);
    pthread_mutex_lock(&e->mutex);
    if (e->n_arrivals < ARRIVALS_MAX) {
        w->next = e->arrivals;
        w->send_at = send_at;
        e->arrivals = w;
        e->n_arrivals++;
        w = NULL;
    }
    e->missed = e->missed || w;
    pthread_mutex_unlock(&e->mutex);
    free(w);
    signal_raise(e->wake);
    return true;
}

static struct waiting *arrivals_take(struct engine *e)
{
    struct waiting *list;

    pthread_mutex_lock(&e->mutex);
    list = e->arrivals;
    e->arrivals = NULL;
    e->n_arrivals = 0;
    if (e->missed)
        e->next_scan = 0;
    e->missed = false;
    pthread_mutex_unlock(&e->mutex);
    return list;
}

static void hear(struct engine *e, bool tell)
{
    struct waiting *list = arrivals_take(e);

    while (list) {
        struct waiting *w = list;

        list = w->next;
        if (tell)
            sched_poke(e->sched, (struct bytes){ w->flow, w->n }, NO_BYTES, w->send_at);
        free(w);
    }
}

/* ---- the lock ---- */

static void lock_lost(struct engine *e, const struct err *why)
{
    e->locked = e->begun = false;
    atomic_store(&e->sends, false);
    log_warn("delivery", LOG_TEXT("result", "another node may send now"), LOG_TEXT("reason", why->message));
}

/* We hold the lock, or have just got it. */
static bool lock_hold(struct engine *e)
{
    int64_t now = clock_monotonic();
    struct err why = { 0 };
    bool ok;

    if (now < e->next_lock)
        return e->locked;
    ok = e->locked ? queue_lock_renew(e->svc, e->token, &why) : queue_lock(e->svc, &e->token, &why);
    e->next_lock = now + (ok ? LOCK_EVERY_MS : LOCK_RETRY_MS);
    if (ok) {
        e->lock_until = now + QUEUE_LOCK_MS;
        e->locked = true;
    } else if (e->locked && (why.code != ERR_BUSY || now >= e->lock_until)) {
        lock_lost(e, &why);
    }
    return e->locked;
}

/* Nothing is to leave: no lock is kept, or renewed. */
static void lock_give(struct engine *e)
{
    if (e->locked)
        queue_unlock(e->svc, e->token);
    e->locked = e->begun = false;
    atomic_store(&e->sends, false);
    e->next_lock = 0;
}

/* ---- what waits in the store ---- */

/* False: the store does not answer, or the table is full. */
static bool scan_some(struct engine *e, struct arena *a, char *after, size_t *after_n, size_t *found)
{
    struct flow_found *list;
    struct err why = { 0 };

    if (!queue_flows(e->svc, *after_n ? (struct bytes){ after, *after_n } : NO_BYTES, SCAN_FLOWS, a, &list, found,
                     &why)) {
        log_warn("delivery", LOG_TEXT("result", "flows not read"), LOG_TEXT("reason", why.message));
        return false;
    }
    for (size_t i = 0; i < *found; i++)
        if (!sched_poke(e->sched, list[i].flow, NO_BYTES, list[i].send_at))
            return false;
    if (*found) {
        *after_n = list[*found - 1].flow.n;
        memcpy(after, list[*found - 1].flow.p, *after_n);
    }
    return true;
}

static void scan(struct engine *e)
{
    struct arena *a = arena_new(SCAN_ARENA);
    char after[FLOW_MAX + 1];
    size_t n = 0, found = 0;

    e->next_scan = CLOCK_NEVER; /* what is missed meanwhile brings it forward */
    do
        arena_reset(a);
    while (!engine_stops(e) && scan_some(e, a, after, &n, &found) && found == SCAN_FLOWS);
    arena_free(&a);
    if (e->next_scan == CLOCK_NEVER)
        e->next_scan = clock_monotonic() + SCAN_EVERY_MS;
}

/* ---- the loop ---- */

static void limits_of(struct sched_limits *out)
{
    *out = (struct sched_limits){ .flows_max = (size_t)PARAM_INT(delivery, flows_max),
                                  .connections_max = (int)PARAM_INT(delivery, connections_max),
                                  .account_share = (int)PARAM_INT(delivery, account_share) };
}

/* Seconds. */
static int64_t oldest_due(const struct engine *e)
{
    int64_t at = sched_oldest(e->sched), now = queue_now(e->svc);

    return at && at < now ? (now - at) / 1000 : 0;
}

/* What changes by time, or by a parameter. */
static void look(struct engine *e, int64_t now)
{
    struct sched_limits limits;
    struct sched_counts counts;
    struct err ignored = { 0 };

    if (now < e->next_look)
        return;
    e->next_look = now + LOOK_EVERY_MS;
    limits_of(&limits);
    sched_limit(e->sched, &limits);
    sched_window(e->sched, BYTES(""), (int)PARAM_INT(delivery, plans_max));
    retry_rules_read(PARAM_TEXT(delivery, retry), &e->retry, &ignored); /* what is wrong changes nothing */
    pauses_read("delivery.dead_for", "1s", PARAM_TEXT(delivery, dead_for), &e->dead_for, &ignored);
    conn_reap(e, now);
    stops_look(e);
    unwritten_look(e, now);
    ways_look(e);
    if (e->locked)
        ways_note(e, now);
    if (now >= e->next_reap) {
        e->next_reap = now + REAP_EVERY_MS;
        sites_reap(e, now);
        ways_count(e);
    }
    if (now >= e->next_count) {
        e->next_count = now + COUNT_EVERY_MS;
        metric_set(METRIC_delivery_oldest_due_seconds, oldest_due(e));
    }
    sched_counts(e->sched, &counts);
    metric_set(METRIC_delivery_running, counts.running);
    metric_set(METRIC_delivery_flows, (int64_t)counts.flows);
    if (now >= e->next_renewal) {
        e->next_renewal = now + PARAM_INT(delivery, lease) / RENEWALS;
        leases_renew(e);
    }
}

/* ---- what other nodes took ---- */

static void heard(void *ctx, struct bytes flow, int64_t send_at)
{
    struct engine *e = ctx;

    sched_poke(e->sched, flow, NO_BYTES, send_at);
    signal_raise(e->wake);
}

/* As long as we send: one that finds us sending again goes on where it was. What is lost is found by a scan, which a
 * wait that fails brings forward. */
static void listen_fiber(void *arg)
{
    struct engine *e = arg;

    while (e->begun && !engine_stops(e)) {
        struct err why = { 0 };

        if (poke_wait(e->svc, &e->heard, clock_monotonic() + HEAR_MS, heard, e, &why))
            continue;
        e->next_scan = 0;
        if (why.code != ERR_BUSY && !poke_begin(e->svc, &e->heard, &why))
            log_warn("delivery", LOG_TEXT("result", "other nodes are not heard"), LOG_TEXT("reason", why.message));
        fiber_sleep_until(clock_monotonic() + IDLE_MS);
    }
    e->listening = false;
    engine_left(e);
}

static void listen(struct engine *e)
{
    if (e->listening || !queue_is_shared(e->svc))
        return;
    e->listening = true;
    if (!engine_spawn(e, listen_fiber, e))
        e->listening = false;
}

static bool sending_begin(struct engine *e)
{
    struct err why = { 0 };

    if (e->begun)
        return true;
    if (!ways_inherit(e, &why))
        log_warn("delivery", LOG_TEXT("result", "states of paths not taken over"), LOG_TEXT("reason", why.message));
    why = (struct err){ 0 };
    if (!outcomes_replay(e->svc, &why)) {
        log_warn("delivery", LOG_TEXT("result", "outcomes.log not read"), LOG_TEXT("reason", why.message));
        return false;
    }
    if (!e->listening && !poke_begin(e->svc, &e->heard, &why)) {
        log_warn("delivery", LOG_TEXT("result", "other nodes are not heard"), LOG_TEXT("reason", why.message));
        return false;
    }
    atomic_store(&e->sends, true); /* what arrives from now on is heard; what did before is found by the scan */
    e->begun = true;
    e->next_scan = 0;
    listen(e);
    log_info("delivery", LOG_TEXT("result", "this node sends"));
    return true;
}

/* With all claims out, one that ends wakes us: what is due meanwhile does not. */
static int64_t sleep_until(const struct engine *e, int64_t now)
{
    int64_t due = e->claiming < CLAIMS_MAX ? sched_next(e->sched) : 0,
            until = now + (e->ways || e->sites ? LOOK_EVERY_MS : IDLE_MS);

    if (due && due - queue_now(e->svc) < until - now)
        until = now + (due > queue_now(e->svc) ? due - queue_now(e->svc) : 1);
    return until;
}

static void step(struct engine *e)
{
    uint64_t seen = signal_count(e->wake);
    int64_t now = clock_monotonic();

    look(e, now);
    if (!service_is_live(e->svc))
        lock_give(e);
    else
        lock_hold(e);
    if (!e->locked || !sending_begin(e)) {
        hear(e, false);
        e->next_scan = 0;
        signal_wait(e->wake, seen, now + IDLE_MS);
        return;
    }
    hear(e, true);
    if (now >= e->next_scan)
        scan(e);
    if (!claims_step(e))
        signal_wait(e->wake, seen, sleep_until(e, now));
}

static void wind_up(struct engine *e)
{
    while (atomic_load(&e->fibers) > 1 && !net_stopping()) {
        uint64_t seen = signal_count(e->wake);

        conns_end(e);
        look(e, clock_monotonic());
        if (e->locked)
            lock_hold(e);
        if (atomic_load(&e->fibers) > 1)
            signal_wait(e->wake, seen, clock_monotonic() + LOOK_EVERY_MS);
    }
    if (!net_stopping())
        conns_end(e);
    if (e->locked && !net_stopping())
        queue_unlock(e->svc, e->token);
}

static void engine_fiber(void *arg)
{
    struct engine *e = arg;

    own_refresh(e, true);
    while (!engine_stops(e) && !net_stopping())
        step(e);
    wind_up(e);
    engine_left(e);
}

/* ---- start and end ---- */

bool engine_new(struct service *svc, struct engine **out, struct err *err)
{
    struct sched_limits limits;
    struct engine *e;

    if (service_is_live(svc) && !service_has_full_name(err))
        return false;
    e = calloc(1, sizeof *e);
    if (!e)
        die("out of memory: delivery");
    e->outlet.arrived = arrived;
    e->outlet.paths = shown_paths;
    e->outlet.explain = engine_explain;
    e->svc = svc;
    e->wake = signal_new();
    pthread_mutex_init(&e->mutex, NULL);
    e->held.prev = e->held.next = &e->held;
    e->unwritten.prev = e->unwritten.next = &e->unwritten;
    buf_init(&e->heard, WATCH_CURSOR_MAX);
    e->own = calloc(OWN_MOST, sizeof *e->own);
    e->own_names = calloc(OWN_NAMES_MOST, sizeof *e->own_names);
    limits_of(&limits);
    e->sched = sched_new(&limits);
    *out = e;
    if (e->own && e->own_names && retry_rules_read(PARAM_TEXT(delivery, retry), &e->retry, err) &&
        pauses_read("delivery.dead_for", "1s", PARAM_TEXT(delivery, dead_for), &e->dead_for, err) &&
        tls_client_new(&e->tls, err))
        return true;
    engine_free(out);
    return false;
}

bool engine_start(struct engine *e, struct err *err)
{
    atomic_fetch_add(&e->fibers, 1);
    if (!fiber_start(ENGINE_LOOP, engine_fiber, e, err)) {
        atomic_fetch_sub(&e->fibers, 1);
        return false;
    }
    queue_listen(e->svc, &e->outlet);
    return true;
}

void engine_stop(struct engine *e)
{
    int64_t until = clock_monotonic() + PARAM_INT(server, grace);

    if (!e)
        return;
    atomic_store(&e->stopping, true);
    signal_raise(e->wake);
    while (atomic_load(&e->fibers) > 0 && clock_monotonic() < until)
        usleep(STOP_LOOK_US);
    queue_listen(e->svc, NULL);
}

void engine_free(struct engine **out)
{
    struct engine *e = *out;

    if (!e)
        return;
    queue_listen(e->svc, NULL);
    hear(e, false);
    conns_free(e);
    sites_free(e);
    ways_free(e);
    stops_free(e);
    rates_free(e);
    tls_memory_free(e);
    families_free(e);
    inheritance_free(e);
    sched_free(&e->sched);
    tls_client_free(&e->tls);
    signal_free(&e->wake);
    pthread_mutex_destroy(&e->mutex);
    buf_clear(&e->heard);
    free(e->own);
    free(e->own_names);
    free(e);
    *out = NULL;
}
