/* delivery/stops.c - what somebody keeps from leaving (service/queue/suspension.h), as the engine looks at it: when it
 * chooses what comes next, and again before MAIL.
 *
 * The list is a copy of this loop's own; whether it still holds is one look at a number, so the last moment before MAIL
 * costs nothing. What is stopped is not claimed: a path's window is closed, a flow waits. When a suspension ends, all
 * that had piled up behind it is due: so the path begins with one transaction at a time. */
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/core/limits.h"

#define STOPS_ARENA ((size_t)16 * 1024 * 1024)
#define PARK_MS     60000            /* how long a stopped flow is not looked at, unless something changes */
#define SOURCE      BYTES("default") /* until there are several */

static struct bytes provider_of(const struct way *w)
{
    struct bytes name = way_name(w), prefix = BYTES("provider ");

    return bytes_starts(name, prefix) ? bytes_from(name, prefix.n) : NO_BYTES;
}

static struct suspend_query query_of_way(const struct way *w)
{
    return (struct suspend_query){ .path = way_name(w), .provider = provider_of(w), .source = SOURCE };
}

/* ---- paths ---- */

void stops_way(struct engine *e, struct way *w)
{
    struct suspend_query q = query_of_way(w);
    int64_t now = e->n_stops ? queue_now(e->svc) : 0;

    w->stopped = false;
    w->cap = 0;
    for (size_t i = 0; i < e->n_stops; i++) {
        const struct suspension *s = &e->stops[i];

        if ((s->expires_at && s->expires_at <= now) || !suspension_matches(s, &q))
            continue;
        w->stopped = w->stopped || !s->slow;
        if (s->connections && (!w->cap || s->connections < w->cap))
            w->cap = (int)s->connections;
    }
}

/* What it has stopped begins narrow. */
static void ended(struct engine *e, const struct suspension *s)
{
    for (struct way *w = e->ways; w; w = w->hh.next) {
        struct suspend_query q = query_of_way(w);

        if (suspension_matches(s, &q))
            way_tell(e, w, PATH_RESUMED);
    }
    for (struct site *x = e->sites; s->scope == SUSPEND_SITE && x; x = x->hh.next) {
        struct suspend_query q = { .site = site_name(x) };

        if (x->way && x->route.way == ROUTE_MX && suspension_matches(s, &q))
            way_tell(e, x->way, PATH_RESUMED);
    }
}

static bool holds_still(const struct suspension *list, size_t n, struct id id)
{
    for (size_t i = 0; i < n; i++)
        if (id_equal(list[i].id, id))
            return true;
    return false;
}

void stops_look(struct engine *e)
{
    uint64_t version = suspensions_version(e->svc);
    struct arena *a, *old = e->stops_arena;
    const struct suspension *was = e->stops;
    size_t n_was = e->n_stops;

    if (version == e->stops_version)
        return;
    a = arena_new(STOPS_ARENA);
    e->stops_version = version;
    suspensions_copy(e->svc, a, &e->stops, &e->n_stops);
    suspensions_paces(e->svc, a, &e->paces, &e->n_paces);
    e->stops_arena = a;
    for (struct way *w = e->ways; w; w = w->hh.next)
        stops_way(e, w);
    for (size_t i = 0; i < n_was; i++)
        if (!was[i].slow && !holds_still(e->stops, e->n_stops, was[i].id))
            ended(e, &was[i]);
    for (struct way *w = e->ways; w; w = w->hh.next)
        way_update(e, w);
    arena_free(&old);
    e->next_scan = 0;
    signal_raise(e->wake);
}

void stops_free(struct engine *e)
{
    arena_free(&e->stops_arena);
}

/* ---- flows ---- */

/* The limit of a suspension that slows. */
static struct bytes limit_name(struct id by, char out[ID_TEXT + 1])
{
    return id_format("sus", by, out);
}

void stops_unused(struct engine *e, struct id by)
{
    char name[ID_TEXT + 1];

    rate_return(e, limit_name(by, name));
}

static int64_t rate_waits(struct engine *e, const struct suspension *s, struct arena *a)
{
    char name[ID_TEXT + 1];
    struct limit limit = { .name = limit_name(s->id, name), .most = s->per_minute, .window_ms = 60000 };

    return rate_take(e, &limit, a);
}

static struct suspend_query query_of_flow(const struct flow_name *f, struct arena *a)
{
    struct suspend_query q = { .site = f->site };

    (void)id_parse("", f->account, &q.account);
    if (!bytes_equal(f->stream, BYTES("-")))
        q.stream = arena_bytesf(a, "str_%.*s", SHOW(f->stream));
    return q;
}

/* On a way. */
static struct suspend_query query_of_both(const struct flow_name *f, const struct way *w, struct arena *a)
{
    struct suspend_query q = query_of_flow(f, a);

    q.path = way_name(w);
    q.provider = provider_of(w);
    q.source = SOURCE;
    return q;
}

int64_t stops_flow(struct engine *e, const struct flow_name *f, struct arena *a)
{
    int64_t now = queue_now(e->svc), until;
    const struct suspension *s;
    struct suspend_query q;

    stops_look(e);
    if (!e->n_stops)
        return 0;
    q = query_of_flow(f, a);
    s = suspension_match(e->stops, e->n_stops, &q, now);
    if (!s || s->slow)
        return 0;
    until = now + PARK_MS;
    return s->expires_at && s->expires_at < until ? s->expires_at : until;
}

bool stops_slow(struct engine *e, const struct flow_name *f, const struct way *w, struct arena *a, struct id *by,
                int64_t *until)
{
    int64_t now = queue_now(e->svc);
    const struct suspension *s;
    struct suspend_query q;

    *until = 0;
    if (!e->n_stops)
        return false;
    q = query_of_both(f, w, a);
    s = suspension_match(e->stops, e->n_stops, &q, now);
    if (!s || !s->slow || !s->per_minute)
        return false;
    *by = s->id;
    *until = rate_waits(e, s, a);
    *until = *until ? now + *until : 0;
    return true;
}

/* ---- the last moment ---- */

bool stops_turn(struct turn *t)
{
    struct engine *e = t->engine;
    const struct delivery_row *d = &t->fates[0].work->row;
    const struct suspension *s;
    struct suspend_query q;
    struct flow_name f;

    stops_look(e);
    if (!e->n_stops || !flow_read(bytes_of(t->run->flow), &f))
        return false;
    q = query_of_both(&f, t->way, t->arena);
    q.account = d->account_id;
    q.tags = t->fates[0].work->message->tags;
    s = suspension_match(e->stops, e->n_stops, &q, queue_now(e->svc));
    if (!s || s->slow)
        return false;
    if (s->scope == SUSPEND_TAG)
        fates_held(t, s);
    else
        fates_unsent(t);
    return true;
}
