/* delivery/site.c - the table of the places that mail leads to.
 *
 * A plan is made once for all flows of a place and lives as long as DNS says, within limits; it never changes: who is
 * in the middle of an attempt keeps the one that it began with (site.users), while the next is made. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include <assert.h>

#define SITE_ARENA ((size_t)1024 * 1024)
#define ASKED_MS   10000
#define AGAIN_MS   1000 /* before hosts are asked for again where no fiber was left to ask */

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

static struct site *site_new(struct engine *e, const struct course *to)
{
    struct bytes place = to->place;
    struct site *s = calloc(1, sizeof *s + place.n + 1);

    if (!s)
        die("out of memory: a site");
    memcpy(s->name, place.p, place.n);
    s->name_n = place.n;
    s->engine = e;
    s->arena = arena_new_small(SITE_ARENA);
    mail_route_copy(s->arena, &to->route, &s->route);
    s->domain = arena_copy(s->arena, to->domain);
    HASH_ADD(hh, e->sites, name, place.n, s);
    return s;
}

static void site_free(struct site *s)
{
    assert(!s->waiting && !s->users);
    if (s->way)
        s->way->sites--;
    rules_leave(&s->rules);
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
    struct routes *routes = routes_now(e->svc);
    struct course to;
    struct site *s = NULL;

    if (routes && course_of_domain(routes, domain, a, &to))
        s = site_find(e, to.place);
    routes_leave(&routes);
    for (struct site *any = e->sites; !s && any; any = any->hh.next) /* some account's own way there */
        if (bytes_equal(any->domain, domain))
            s = any;
    return s ? s->way : NULL;
}

/* What was found by other rules than those of now is found anew: one look at a number, most of the time. */
static void follow_rules(struct engine *e)
{
    uint64_t version = rules_version(e->svc);

    for (struct site *s = e->sites; version != e->rules_version && s; s = s->hh.next)
        site_stale(s);
    e->rules_version = version;
}

struct site *site_ready(struct engine *e, struct bytes place)
{
    struct site *s;

    follow_rules(e);
    s = site_find(e, place);
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

void site_await(struct engine *e, const struct course *to, struct bytes flow)
{
    struct site *s = site_find(e, to->place);
    unsigned unusable = s ? s->unusable : 0;

    if (s && !s->way) {
        wait_for(s, flow);
        return;
    }
    if (s) /* its plan has run out */
        site_drop(s);
    s = site_new(e, to);
    s->unusable = unusable;
    wait_for(s, flow);
    if (engine_spawn(e, ask_fiber, s))
        return;
    let_go(s, NO_BYTES, queue_now(e->svc) + AGAIN_MS); /* no fiber is left */
    site_drop(s);
}

#define LOOK_MS 20

struct site *site_asked(struct engine *e, const struct course *to)
{
    int64_t until = clock_monotonic() + ASKED_MS;
    struct site *s;

    follow_rules(e);
    s = site_find(e, to->place);
    while (s && !s->way && clock_monotonic() < until && fiber_sleep_until(clock_monotonic() + LOOK_MS))
        s = site_find(e, to->place);
    if (s && !s->way)
        return NULL;
    if (!s || clock_monotonic() >= s->until) {
        if (s)
            site_drop(s);
        s = site_new(e, to);
        hosts_find(e, s);
        let_go(s, way_name(s->way), queue_now(e->svc));
        signal_raise(e->wake);
    }
    s->users++;
    return s;
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
