/* delivery/turn.c - one attempt of one transaction: hosts one after the other, until every recipient has a verdict.
 *
 * A host that cannot be reached, breaks off before the dot or lacks what the message needs is no verdict while there is
 * another. TLS that fails is tried once more without its ticket, then with the other hosts, then the same host in
 * clear, all in the same attempt, so that nobody waits for it. Five connections and five minutes is all that an attempt
 * may cost. What is said to a host that was found is in transact.c. */
#include "base/clock.h"
#include "delivery/engine_private.h"

#define CONNECTS_MAX 5
#define ATTEMPT_MS   300000

/* ---- hosts ---- */

static void add_candidate(struct turn *t, struct candidate c)
{
    if (t->n_candidates < t->room)
        t->candidates[t->n_candidates++] = c;
}

/* Those that were ill a moment ago come last. */
static void list_hosts(struct turn *t)
{
    const struct mx_plan *p = &t->site->plan;
    int64_t now = clock_monotonic();

    t->room = 3 * p->n + 1;
    t->candidates = arena_array(t->arena, t->room, sizeof *t->candidates);
    for (int ill = 0; ill < 2; ill++)
        for (size_t i = 0; i < p->n; i++)
            if (path_host_sick(&t->way->path, &p->hosts[i].address, now) == (ill == 1))
                add_candidate(t, (struct candidate){ .host = &p->hosts[i] });
}

bool turn_may_try(const struct turn *t)
{
    return t->host < t->n_candidates && t->connects < CONNECTS_MAX && clock_monotonic() < t->until;
}

static bool is_opportunistic(const struct turn *t)
{
    return t->tls == ROUTE_TLS_MAY && !t->way->tls_required && !t->judged;
}

/* Another way round: true when there is one. */
static bool without_tls(struct turn *t, const struct candidate *c, const struct answer *x, const struct tls_result *tls)
{
    if (x->at != STEP_STARTTLS || !is_opportunistic(t) || c->in_clear)
        return false;
    if (tls->offered && !c->again) {
        t->candidates[--t->host].again = true; /* the ticket is forgotten by now */
        return true;
    }
    tls_avoid(t->engine, &c->host->address, t->site->route.port);
    add_candidate(t, (struct candidate){ .host = c->host, .in_clear = true });
    return true;
}

/* What the open recipients have of a host that could not be used. */
static void host_failed(struct turn *t, const struct candidate *c, const struct answer *x, bool loops)
{
    bool last = !turn_may_try(t), refused = false;
    enum path_event event = PATH_NOTHING;

    t->now = queue_now(t->engine->svc);
    path_host_failed(&t->way->path, &c->host->address, clock_monotonic());
    t->v6_failed = t->v6_failed || !network_is_ipv4(&c->host->address);
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            fate_judge(t, &t->fates[i], x, c->host, last, loops);
            event = t->fates[i].judgement.event;
            refused = refused || t->fates[i].judgement.suspend_route;
        }
    way_tell(t->engine, t->way, event);
    if (refused)
        way_suspend(t->engine, t->way, &t->site->route, x->reply.text);
    if (last)
        site_stale(t->site);
}

static bool any_open(const struct turn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open)
            return true;
    return false;
}

static void try_host(struct turn *t)
{
    struct candidate c = t->candidates[t->host++];
    const struct mail_route *r = &t->site->route;
    struct demand d = { .host = c.host, .port = r->port, .tls = t->tls, .in_clear = c.in_clear, .route = r };
    struct tls_result tls = { 0 };
    struct answer x;
    bool loops;

    d.script = &t->run->script;
    if (t->way->tls_required && d.tls == ROUTE_TLS_MAY)
        d.tls = ROUTE_TLS_REQUIRE;
    if (d.tls == ROUTE_TLS_MAY && tls_is_avoided(t->engine, &c.host->address, r->port))
        d.in_clear = true;
    t->connects++;
    t->conn = conn_make(t->engine, t->way, &d, t->until, &x, &tls, &loops, t->arena);
    if (t->conn) {
        path_host_worked(&t->way->path, &c.host->address);
        family_worked(t->engine, t->site, &c.host->address, t->v6_failed);
        return;
    }
    if (x.what == ANSWER_STOPPED || engine_stops(t->engine))
        fates_unsent(t);
    else if (!without_tls(t, &c, &x, &tls))
        host_failed(t, &c, &x, loops);
}

/* A connection on which the next transaction may be sent; NULL: none is to be had, and all is said. */
static bool find_conn(struct turn *t)
{
    if (t->conn && !conn_is_usable(t->way, t->conn))
        conn_end(t->engine, &t->conn);
    if (t->conn && !conn_satisfies(t->site, t->tls, t->conn)) { /* of the mail before, which asked for less */
        conn_keep(t->engine, t->conn);
        t->conn = NULL;
    }
    if (!t->conn && !t->connects)
        t->conn = conn_take(t->engine, t->site, t->tls);
    while (!t->conn && any_open(t)) {
        if (engine_stops(t->engine))
            fates_unsent(t);
        else if (turn_may_try(t))
            try_host(t);
        else
            return false;
    }
    return t->conn != NULL;
}

/* Accepted while no key opened, and not held any more. */
static bool sign_first(struct turn *t)
{
    struct err err = { 0 };

    if (!t->fates[0].work->message->to_sign || outgo_sign(t, &err))
        return true;
    turn_no_content(t, &err);
    return false;
}

static void try_hosts(struct turn *t)
{
    turn_read_needs(t);
    if (!sign_first(t))
        return;
    list_hosts(t);
    while (any_open(t) && find_conn(t))
        turn_send(t);
    if (t->refusal) /* the last host broke off, and another one had refused */
        fates_refused(t);
    fates_last(t);
    fates_unsent(t);
}

bool turn_is_past(const struct turn *t)
{
    return t->fates[0].work->row.expires_at <= queue_now(t->engine->svc);
}

void turn_make(struct turn *t)
{
    t->began = clock_monotonic();
    t->at = clock_wall();
    t->until = t->began + ATTEMPT_MS;
    for (size_t i = 0; i < t->n; i++)
        t->fates[i].open = true;
    if (turn_is_past(t))
        fates_expired(t);
    else if (t->fates[0].work->message_gone) /* its sender is not known any more */
        fates_end(t, VERDICT_CONTENT_GONE);
    else if (stops_turn(t))
        return;
    else if (t->site->route.way == ROUTE_CAPTURE)
        fates_outcome(t, OUTCOME_CAPTURED);
    else if (t->site->route.way == ROUTE_HOLD)
        fates_outcome(t, OUTCOME_HELD);
    else if (t->site->deferred)
        fates_unsent(t);
    else if (t->site->plan.verdict != MX_OK)
        fates_plan(t);
    else
        try_hosts(t);
}
