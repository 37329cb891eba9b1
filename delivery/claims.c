/* delivery/claims.c - from free slots to runs: which flows come next is delivery/sched.h's to say; their rows are
 * claimed together, made into transactions and spread over the slots.
 *
 * A flow that has no place yet, or whose place has changed, goes to the path "" first, where its hosts are asked for.
 */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"

#define CLAIM_ARENA ((size_t)64 * 1024 * 1024)
#define STEP_ARENA  ((size_t)4 * 1024 * 1024)
#define AWAY_MS     1000
#define RENEW_MOST  QUEUE_ROWS
#define RENEW_ARENA ((size_t)16 * 1024 * 1024)

struct picked {
    struct pick pick;
    struct site *site;
    struct want want;
    struct work *works; /* what was claimed of it */
    size_t n;
    struct id slow; /* the suspension that lets it send one; or none */
    size_t moved;   /* of what was claimed: took another route */
};

/* ---- leases ---- */

static void held_begin(struct engine *e, struct claimed *c, struct work *w)
{
    struct held *h = arena_alloc(c->arena, sizeof *h);

    h->work = w;
    h->prev = e->held.prev;
    h->next = &e->held;
    e->held.prev->next = h;
    e->held.prev = h;
    w->held = h;
}

void held_end(struct work *w)
{
    struct held *h = w->held;

    h->prev->next = h->next;
    h->next->prev = h->prev;
    w->held = NULL;
}

/* Rows that end meanwhile are still there: their claims live on while we look at them. */
void leases_renew(struct engine *e)
{
    struct arena *a = arena_new(RENEW_ARENA);
    struct work **works = arena_array(a, RENEW_MOST, sizeof *works);
    struct claimed **claims = arena_array(a, RENEW_MOST, sizeof *claims);
    int64_t soon = queue_now(e->svc) + PARAM_INT(delivery, lease) / 2;
    struct err why = { 0 };
    size_t n = 0;

    for (struct held *h = e->held.next; h != &e->held && n < RENEW_MOST; h = h->next)
        if (!h->work->lost && h->work->row.lease_until < soon) {
            claims[n] = h->work->keeper;
            claims[n]->users++;
            works[n++] = h->work;
        }
    if (n && !queue_renew(e->svc, a, works, n, &why))
        log_warn("delivery", LOG_TEXT("result", "leases not renewed"), LOG_TEXT("error", why.message));
    for (size_t i = 0; i < n; i++)
        claimed_leave(&claims[i]);
    arena_free(&a);
}

/* ---- runs ---- */

static bool same_transaction(const struct transaction *t, const struct work *w)
{
    return t->n < (size_t)PARAM_INT(delivery, recipients_max) &&
           id_equal(t->works[0]->row.message_id, w->row.message_id) && bytes_equal(t->works[0]->row.via, w->row.via);
}

/* Rows of one message stand together mostly: one is looked for backwards. */
static struct transaction *group(struct claimed *c, struct work *works, size_t n, size_t *n_out)
{
    struct transaction *all = arena_array(c->arena, n, sizeof *all);

    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = *n_out;

        while (j > 0 && !same_transaction(&all[j - 1], &works[i]))
            j--;
        if (!j) {
            j = ++*n_out;
            all[j - 1].works = arena_array(c->arena, n - i, sizeof(struct work *));
        }
        all[j - 1].works[all[j - 1].n++] = &works[i];
    }
    return all;
}

static bool run_begin(struct engine *e, struct claimed *c, const struct picked *p, struct transaction *all, size_t n,
                      size_t each, size_t nth)
{
    struct run *r = arena_alloc(c->arena, sizeof *r);

    *r = (struct run){ .engine = e, .claimed = c, .site = p->site, .way = p->site->way };
    r->list = arena_array(c->arena, n, sizeof *r->list);
    for (size_t i = nth; i < n; i += each)
        r->list[r->n++] = all[i];
    snprintf(r->flow, sizeof r->flow, "%.*s", SHOW(p->want.flow));
    c->users++;
    p->site->users++;
    if (engine_spawn(e, run_main, r))
        return true;
    for (size_t i = 0; i < r->n; i++) /* no fiber is left: their leases end by themselves */
        for (size_t j = 0; j < r->list[i].n; j++)
            held_end(r->list[i].works[j]);
    p->site->users--;
    c->users--;
    return false;
}

static int64_t cost_of(const struct transaction *all, size_t n)
{
    int64_t cost = 0;

    for (size_t i = 0; i < n; i++)
        cost += sched_cost(all[i].n, all[i].works[0]->message->size);
    return cost;
}

/* When more of the flow is due. It is asked for only when the claim took all there was. */
static int64_t next_of(struct engine *e, struct claimed *c, const struct picked *p)
{
    int64_t at = 0;
    struct err why = { 0 };

    if (p->n + p->moved >= p->want.most)
        return queue_now(e->svc);
    if (!queue_next(e->svc, p->want.flow, c->arena, &at, &why))
        at = queue_now(e->svc) + AWAY_MS;
    return at;
}

static void runs_begin(struct engine *e, struct claimed *c, const struct picked *p)
{
    size_t n = 0, slots = (size_t)p->pick.slots, begun = 0;
    struct transaction *all = group(c, p->works, p->n, &n);
    int64_t next = next_of(e, c, p);

    rates_return(e, p->want.flow, p->site->way, n < p->want.most ? p->want.most - n : 0, c->arena);
    for (size_t i = 0; i < p->n; i++) {
        p->works[i].keeper = c;
        held_begin(e, c, &p->works[i]);
    }
    slots = slots < n ? slots : n;
    for (size_t i = 0; i < slots; i++)
        begun += run_begin(e, c, p, all, n, slots, i);
    sched_claimed(e->sched, p->want.flow, (int)begun, cost_of(all, n), next);
}

/* ---- picks ---- */

/* Where the flow goes by now. NULL: it waits for its hosts, or moves. */
static struct site *site_of(struct engine *e, const struct routes *routes, const struct pick *p, struct arena *a)
{
    struct bytes path, flow = arena_copy(a, p->flow);
    struct flow_name name;
    struct course to;
    struct site *s;
    int64_t stopped;

    if (!course_of_flow(routes, flow, a, &to)) { /* what is no flow of ours is nobody's to send */
        sched_claimed(e->sched, p->flow, 0, 0, 0);
        return NULL;
    }
    if (flow_read(flow, &name) && (stopped = stops_flow(e, &name, a)) != 0) {
        sched_claimed(e->sched, flow, 0, 0, stopped);
        return NULL;
    }
    s = site_ready(e, to.place);
    if (!s) {
        sched_claimed(e->sched, flow, 1, 0, 0);
        site_await(e, &to, flow);
        return NULL;
    }
    path = way_name(s->way);
    if (bytes_equal(path, p->path))
        return s;
    sched_claimed(e->sched, flow, 0, 0, queue_now(e->svc));
    sched_move(e->sched, flow, path);
    return NULL;
}

/* One at a time of what is slowed down. False: none now. */
static bool slowed(struct engine *e, struct picked *p, struct arena *a)
{
    struct flow_name name;
    int64_t until;

    if (!flow_read(p->want.flow, &name) || !stops_slow(e, &name, p->site->way, a, &p->slow, &until))
        return true;
    p->want.most = 1;
    if (until)
        sched_claimed(e->sched, p->want.flow, 0, 0, until);
    return !until;
}

static size_t want_all(struct engine *e, const struct routes *routes, const struct pick *picks, size_t n,
                       struct picked *out, struct arena *a)
{
    size_t kept = 0, ahead = (size_t)PARAM_INT(delivery, ahead);

    for (size_t i = 0; i < n; i++) {
        struct site *s = site_of(e, routes, &picks[i], a);
        struct picked *p = &out[kept];

        if (!s)
            continue;
        *p = (struct picked){ .pick = picks[i], .site = s };
        p->want = (struct want){ arena_copy(a, picks[i].flow), (size_t)picks[i].slots * ahead };
        if (!slowed(e, p, a))
            continue;
        if (p->want.most > QUEUE_ROWS / QUEUE_WANTS)
            p->want.most = QUEUE_ROWS / QUEUE_WANTS;
        s->users++; /* the claim waits */
        kept++;
    }
    return kept;
}

static void spread(struct picked *all, size_t n, struct work *works, size_t n_works)
{
    for (size_t i = 0; i < n; i++)
        all[i].n = all[i].moved = 0;
    for (size_t at = 0; at < n_works; at++) {
        size_t i = 0;

        while (i < n && !bytes_equal(all[i].want.flow, works[at].row.flow))
            i++;
        if (i < n && all[i].n++ == 0)
            all[i].works = &works[at];
    }
}

/* ---- messages that the limit of the claim has cut ---- */

/* How many more recipients of its last message may come along: what was asked for are transactions, and a claim counts
 * rows. Those of one message lie together. 0: it is whole, as far as can be told without a claim of its own. */
static size_t rest_of(const struct picked *p)
{
    const struct work *last = p->n ? &p->works[p->n - 1] : NULL;
    size_t have = 0, most, open;

    if (!last || p->n < p->want.most || last->message_gone)
        return 0;
    while (have < p->n && id_equal(p->works[p->n - 1 - have].row.message_id, last->row.message_id))
        have++;
    if (have == 1 && p->n > 1) /* of a mail to many sites each has one */
        return 0;
    most = (p->want.most - (p->n - have)) * (size_t)PARAM_INT(delivery, recipients_max);
    open = last->message->n_open > 0 ? (size_t)last->message->n_open : 0;
    most = open < most ? open : most;
    return most > have ? most - have : 0;
}

/* Its text is to be sent as seldom as can be. `room`: rows that this claim may still have. */
static void complete(struct engine *e, struct claimed *c, struct picked *p, size_t *room)
{
    size_t most = rest_of(p), n = 0;
    struct work *rest = NULL, *all;
    struct err why = { 0 };

    most = most < *room ? most : *room;
    if (!most)
        return;
    if (!queue_claim_rest(e->svc, &p->works[p->n - 1], most, c->arena, &rest, &n, &why)) {
        log_warn("delivery", LOG_TEXT("result", "a mail is not claimed whole"), LOG_TEXT("error", why.message));
        return; /* what was, will be: its leases end by themselves */
    }
    *room -= n;
    if (!n)
        return;
    all = arena_array(c->arena, p->n + n, sizeof *all);
    memcpy(all, p->works, p->n * sizeof *all);
    memcpy(all + p->n, rest, n * sizeof *all);
    p->works = all;
    p->n += n;
}

/* ---- mail that takes another route than its flow ---- */

/* To the flow of its own by now, and due there when it was. */
static void move(struct engine *e, struct claimed *c, const struct routes *routes, struct work *works, size_t n)
{
    struct work **each = arena_array(c->arena, n, sizeof *each);
    struct bytes *flows = arena_array(c->arena, n, sizeof *flows);
    struct err why = { 0 };

    for (size_t i = 0; i < n; i++) {
        each[i] = &works[i];
        flows[i] = routes_flow(routes, works[i].message, works[i].row.flow, c->arena);
    }
    if (!queue_move(e->svc, c->arena, each, flows, n, &why)) { /* their leases end by themselves */
        log_warn("delivery", LOG_TEXT("result", "not moved to their route"), LOG_TEXT("error", why.message));
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!works[i].lost)
            sched_poke(e->sched, flows[i], NO_BYTES, works[i].row.send_at);
}

static bool goes_there(const struct routes *routes, const struct work *w, const struct site *s, struct arena *a)
{
    struct course to;

    return w->message_gone || !course_of_work(routes, w, a, &to) || bytes_equal(to.place, site_name(s));
}

/* The others stand behind those that go where the flow leads. */
static void sort_out(struct engine *e, struct claimed *c, const struct routes *routes, struct picked *p)
{
    struct work *mine = p->works, swap;
    size_t kept = 0;

    if (!p->n || !routes_ask_message(routes, mine->row.account_id))
        return;
    for (size_t i = 0; i < p->n; i++) {
        if (!goes_there(routes, &mine[i], p->site, c->arena))
            continue;
        swap = mine[kept];
        mine[kept++] = mine[i];
        mine[i] = swap;
    }
    p->moved = p->n - kept;
    p->n = kept;
    if (p->moved)
        move(e, c, routes, mine + kept, p->moved);
}

/* Those that have to wait for a rate wait unclaimed. How many are left. */
static size_t by_rates(struct engine *e, struct picked *all, size_t n, struct arena *a)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t until = 0;

        all[i].want.most = rates_take(e, all[i].want.flow, all[i].site->way, all[i].want.most, a, &until);
        if (all[i].want.most) {
            all[kept++] = all[i];
            continue;
        }
        if (!id_is_none(all[i].slow))
            stops_unused(e, all[i].slow);
        sched_claimed(e->sched, all[i].want.flow, 0, 0, until);
        site_leave(all[i].site);
    }
    return kept;
}

static void not_claimed(struct engine *e, const struct picked *p, struct arena *a)
{
    if (!id_is_none(p->slow))
        stops_unused(e, p->slow);
    rates_return(e, p->want.flow, p->site->way, p->want.most, a);
    sched_claimed(e->sched, p->want.flow, 0, 0, queue_now(e->svc) + AWAY_MS);
    site_leave(p->site);
}

static void begin(struct engine *e, struct claimed *c, const struct routes *routes, struct picked *p)
{
    if (routes)
        sort_out(e, c, routes, p);
    if (!id_is_none(p->slow) && !p->n)
        stops_unused(e, p->slow);
    runs_begin(e, c, p);
    site_leave(p->site);
}

/* What is whole begins first, and waits for no other claim. */
static void begin_all(struct engine *e, struct claimed *c, struct picked *all, size_t n)
{
    struct routes *routes = routes_now(e->svc);
    size_t room = QUEUE_ROWS;

    for (int cut = 0; cut < 2; cut++)
        for (size_t i = 0; i < n; i++) {
            if (!all[i].site || (cut == 0 && rest_of(&all[i])))
                continue;
            complete(e, c, &all[i], &room);
            begin(e, c, routes, &all[i]);
            all[i].site = NULL;
        }
    routes_leave(&routes);
}

static void claim(struct engine *e, struct picked *all, size_t n)
{
    struct claimed *c = calloc(1, sizeof *c);
    struct want wants[QUEUE_WANTS];
    struct work *works = NULL;
    struct err why = { 0 };
    size_t n_works = 0;

    if (!c)
        die("out of memory: a claim");
    *c = (struct claimed){ arena_new(CLAIM_ARENA), 1 };
    for (size_t i = 0; i < n; i++)
        wants[i] = all[i].want;
    if (queue_claim(e->svc, wants, n, c->arena, &works, &n_works, &why)) {
        spread(all, n, works, n_works);
        begin_all(e, c, all, n);
    } else {
        log_warn("delivery", LOG_TEXT("result", "nothing claimed"), LOG_TEXT("error", why.message));
        for (size_t i = 0; i < n; i++)
            not_claimed(e, &all[i], c->arena);
    }
    claimed_leave(&c);
}

/* A claim is a write: others are picked and claimed while it waits for the disk. */
struct claiming {
    struct engine *engine;
    struct arena *arena;
    struct picked *all;
    size_t n;
};

static void claim_fiber(void *arg)
{
    struct claiming *c = arg;
    struct engine *e = c->engine;
    struct arena *a = c->arena;

    c->n = by_rates(e, c->all, c->n, a);
    if (c->n)
        claim(e, c->all, c->n);
    arena_free(&a);
    e->claiming--;
    signal_raise(e->wake);
    engine_left(e);
}

static void claim_beside(struct engine *e, struct arena *a, struct picked *all, size_t n)
{
    struct claiming *c = arena_alloc(a, sizeof *c);

    *c = (struct claiming){ e, a, all, n };
    e->claiming++;
    if (engine_spawn(e, claim_fiber, c))
        return;
    e->claiming--;
    for (size_t i = 0; i < n; i++) {
        sched_claimed(e->sched, all[i].want.flow, 0, 0, queue_now(e->svc) + AWAY_MS);
        site_leave(all[i].site);
    }
    arena_free(&a);
}

/* What waits before a closed path is looked at anew when it may lead elsewhere by now. */
static void follow_routes(struct engine *e, const struct routes *routes)
{
    uint64_t version = routes_version(routes), otherwise = course_default();

    if (version == e->routes_version && otherwise == e->default_route)
        return;
    e->routes_version = version;
    e->default_route = otherwise;
    sched_unsettle(e->sched);
}

bool claims_step(struct engine *e)
{
    struct pick picks[QUEUE_WANTS];
    struct routes *routes = e->claiming < CLAIMS_MAX ? routes_now(e->svc) : NULL;
    struct picked *all;
    struct arena *a;
    size_t n, kept;

    if (routes)
        follow_routes(e, routes);
    n = routes ? sched_pick(e->sched, queue_now(e->svc), picks, QUEUE_WANTS) : 0;

    if (!n) {
        routes_leave(&routes);
        return false;
    }
    a = arena_new(STEP_ARENA);
    all = arena_array(a, n, sizeof *all);
    kept = want_all(e, routes, picks, n, all, a);
    routes_leave(&routes);
    if (kept)
        claim_beside(e, a, all, kept);
    else
        arena_free(&a);
    return true;
}
