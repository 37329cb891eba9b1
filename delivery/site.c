/* delivery/site.c - which route mail takes, and the table of the places it leads to.
 *
 * A plan is made once for all flows of a place and lives as long as DNS says, within limits; it never changes: who is
 * in the middle of an attempt keeps the one that it began with (site.users), while the next is made. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include <assert.h>

#define SITE_ARENA ((size_t)1024 * 1024)
#define AGAIN_MS   1000 /* before hosts are asked for again where no fiber was left to ask */

/* ---- routes ---- */

static const struct {
    const char *text;
    enum route_way way;
} vias[] = { { "mx", ROUTE_MX }, { "relay", ROUTE_RELAY }, { "capture", ROUTE_CAPTURE }, { "hold", ROUTE_HOLD } };

static const struct {
    const char *text;
    enum route_tls tls;
} levels[] = { { "may", ROUTE_TLS_MAY },
               { "none", ROUTE_TLS_NONE },
               { "require", ROUTE_TLS_REQUIRE },
               { "verify", ROUTE_TLS_VERIFY } };

static void add_relay(struct arena *a, struct route *r)
{
    struct bytes rest = PARAM_TEXT(delivery, relay), item;
    struct bytes *hosts = arena_array(a, rest.n / 2 + 1, sizeof *hosts);

    while (rest.n) {
        bytes_cut(rest, ',', &item, &rest);
        item = bytes_trim(item);
        if (item.n)
            hosts[r->n_hosts++] = item;
    }
    r->hosts = hosts;
    if (PARAM_INT(delivery, relay_port))
        r->port = (int)PARAM_INT(delivery, relay_port);
    r->auth_user = PARAM_TEXT(delivery, relay_user);
    r->auth_secret = PARAM_TEXT(delivery, relay_secret_file);
    r->insecure_auth = PARAM_INT(delivery, relay_insecure_auth);
    r->private_net = true; /* the operator has named it */
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (bytes_equal(PARAM_TEXT(delivery, relay_tls), bytes_of(levels[i].text)))
            r->tls = levels[i].tls;
}

void engine_route(struct arena *a, struct route *out)
{
    *out = (struct route){ .port = (int)PARAM_INT(delivery, port) };
    for (size_t i = 0; i < sizeof vias / sizeof *vias; i++)
        if (bytes_equal(PARAM_TEXT(delivery, via), bytes_of(vias[i].text)))
            out->way = vias[i].way;
    if (out->way == ROUTE_RELAY)
        add_relay(a, out);
}

struct bytes engine_place(struct arena *a, const struct route *r, struct bytes domain)
{
    switch (r->way) {
    case ROUTE_RELAY:
        return arena_bytesf(a, "relay %.*s port %d tls %d user %.*s", SHOW(PARAM_TEXT(delivery, relay)), r->port,
                            (int)r->tls, SHOW(r->auth_user));
    case ROUTE_CAPTURE: return BYTES("capture");
    case ROUTE_HOLD: return BYTES("hold");
    default: return domain;
    }
}

/* ---- sites ---- */

struct bytes site_name(const struct site *s)
{
    return (struct bytes){ s->name, s->name_n };
}

const struct mx_host *site_host(const struct site *s, const struct network *address)
{
    for (size_t i = 0; i < s->plan.n; i++)
        if (network_holds(&s->plan.hosts[i].address, address))
            return &s->plan.hosts[i];
    return NULL;
}

/* For the route of now. */
static struct site *site_new(struct engine *e, struct bytes place)
{
    struct site *s = calloc(1, sizeof *s + place.n + 1);

    if (!s)
        die("out of memory: a site");
    memcpy(s->name, place.p, place.n);
    s->name_n = place.n;
    s->engine = e;
    s->arena = arena_new(SITE_ARENA);
    engine_route(s->arena, &s->route);
    HASH_ADD(hh, e->sites, name, place.n, s);
    return s;
}

static void site_free(struct site *s)
{
    assert(!s->waiting && !s->users);
    if (s->way)
        s->way->sites--;
    arena_free(&s->arena);
    free(s);
}

static void site_drop(struct site *s)
{
    HASH_DEL(s->engine->sites, s);
    s->dropped = true;
    if (!s->users)
        site_free(s);
}

void site_leave(struct site *s)
{
    assert(s->users > 0);
    if (--s->users == 0 && s->dropped)
        site_free(s);
}

void site_stale(struct site *s)
{
    s->until = 0;
}

static struct site *site_find(struct engine *e, struct bytes place)
{
    struct site *s;

    HASH_FIND(hh, e->sites, place.p, place.n, s);
    return s;
}

struct way *site_way(struct engine *e, struct bytes domain, struct arena *a)
{
    struct route route;
    struct site *s;

    engine_route(a, &route);
    s = site_find(e, engine_place(a, &route, domain));
    return s ? s->way : NULL;
}

struct site *site_ready(struct engine *e, struct bytes place)
{
    struct site *s = site_find(e, place);

    return s && s->way && clock_monotonic() < s->until ? s : NULL;
}

/* The flows go on, at that time: on `path`, or where they are. */
static void let_go(struct site *s, struct bytes path, int64_t at)
{
    while (s->waiting) {
        struct waiting *w = s->waiting;
        struct bytes flow = { w->flow, w->n };

        s->waiting = w->next;
        sched_poke(s->engine->sched, flow, path, at);
        sched_ended(s->engine->sched, flow, 1);
        free(w);
    }
}

static void ask_fiber(void *arg)
{
    struct site *s = arg;
    struct engine *e = s->engine;

    hosts_find(e, s);
    let_go(s, way_name(s->way), queue_now(e->svc));
    signal_raise(e->wake);
    engine_left(e);
}

static void wait_for(struct site *s, struct bytes flow)
{
    struct waiting *w = malloc(sizeof *w + flow.n + 1);

    if (!w)
        die("out of memory: a plan");
    w->n = flow.n;
    memcpy(w->flow, flow.p, flow.n);
    w->next = s->waiting;
    s->waiting = w;
}

void site_await(struct engine *e, struct bytes place, struct bytes flow)
{
    struct site *s = site_find(e, place);
    unsigned unusable = s ? s->unusable : 0;

    if (s && !s->way) {
        wait_for(s, flow);
        return;
    }
    if (s) /* its plan has run out */
        site_drop(s);
    s = site_new(e, place);
    s->unusable = unusable;
    wait_for(s, flow);
    if (engine_spawn(e, ask_fiber, s))
        return;
    let_go(s, NO_BYTES, queue_now(e->svc) + AGAIN_MS); /* no fiber is left */
    site_drop(s);
}

void sites_reap(struct engine *e, int64_t now)
{
    struct site *s, *next_s;

    HASH_ITER (hh, e->sites, s, next_s) {
        if (s->way && now >= s->until)
            site_drop(s);
    }
    ways_reap(e);
}

void sites_free(struct engine *e)
{
    struct site *s, *next_s;

    HASH_ITER (hh, e->sites, s, next_s) {
        while (s->waiting) {
            struct waiting *one = s->waiting;

            s->waiting = one->next;
            free(one);
        }
        s->users = 0;
        site_drop(s);
    }
}
