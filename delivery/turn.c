/* delivery/turn.c - one attempt of one transaction: hosts one after the other, until every recipient has a verdict.
 *
 * A host that cannot be reached, breaks off before the dot or lacks what the message needs is no verdict while there is
 * another. TLS that fails is tried once more without its ticket, then with the other hosts, then the same host in
 * clear, all in the same attempt, so that nobody waits for it. Five connections and five minutes is all that an attempt
 * may cost. Recipients that are too many for one transaction go in the next, at once. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/queue/return_path.h"

#define CONNECTS_MAX 5
#define ATTEMPT_MS   300000
#define LEAST_LEASE  30000 /* a dot is sent under a lease that lasts so long, or a fourth of what leases have */

/* ---- the message ---- */

static enum eight_bit eight_bit(void)
{
    struct bytes v = PARAM_TEXT(delivery, eight_bit);

    return bytes_equal(v, BYTES("send")) ? EIGHT_SEND : bytes_equal(v, BYTES("bounce")) ? EIGHT_BOUNCE : EIGHT_CONVERT;
}

/* Text of a member of our own JSON. */
static struct bytes member(struct arena *a, struct bytes json, const char *name)
{
    struct json_object *tree = NULL;
    struct err ignored = { 0 };
    struct bytes text = NO_BYTES;

    if (json.p && json_read(json, &tree, &ignored))
        text = arena_copy(a, json_text(tree, name));
    json_object_put(tree);
    return text;
}

static void read_needs(struct turn *t)
{
    const struct message_row *m = t->fates[0].work->message;

    t->needs = (struct needs){ .size = m->size + queue_mark_size(&t->fates[0].work->row),
                               .body_8bit = m->body_8bit,
                               .long_lines = m->longest_line > 998,
                               .utf8 = m->needs_utf8,
                               .convertible = !m->foreign_dkim,
                               .ret = member(t->arena, m->dsn, "ret"),
                               .envid = member(t->arena, m->dsn, "envid") };
    for (size_t i = 0; i < t->n; i++)
        t->needs.utf8 = t->needs.utf8 || !bytes_is_ascii(t->fates[i].work->row.email);
}

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

static bool may_try(const struct turn *t)
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
    bool last = !may_try(t), refused = false;
    enum path_event event = PATH_NOTHING;

    path_host_failed(&t->way->path, &c->host->address, clock_monotonic());
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
        else if (may_try(t))
            try_host(t);
        else
            return false;
    }
    return t->conn != NULL;
}

/* ---- sending ---- */

static bool may_finish(void *ctx)
{
    struct turn *t = ctx;
    int64_t now = queue_now(t->engine->svc), least = PARAM_INT(delivery, lease) / 4;

    if (least > LEAST_LEASE)
        least = LEAST_LEASE;
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].work->lost || t->fates[i].work->row.lease_until < now + least)
            return false;
    return engine_may_send(t->engine);
}

static size_t choose(struct turn *t, size_t *which)
{
    size_t most = offer_recipients(client_offer(t->conn->client), (size_t)PARAM_INT(delivery, recipients_max), 0),
           n = 0;

    for (size_t i = 0; i < t->n && n < most; i++)
        if (t->fates[i].open)
            which[n++] = i;
    return n;
}

static void address(struct turn *t, const size_t *which, size_t n, struct offer_rcpt *to)
{
    for (size_t i = 0; i < n; i++) {
        const struct delivery_row *d = &t->fates[which[i]].work->row;

        to[i] = (struct offer_rcpt){ .email = d->email };
        if (client_offer(t->conn->client)->dsn) {
            to[i].notify = member(t->arena, d->dsn, "notify");
            to[i].orcpt = member(t->arena, d->dsn, "orcpt");
        }
    }
}

/* The most that the path is told of one transaction. */
static enum path_event worse(enum path_event a, enum path_event b)
{
    static const int rank[] = { [PATH_NOTHING] = 0, [PATH_VERDICT] = 1, [PATH_FAILED] = 2, [PATH_ALL_FAILED] = 3,
                                [PATH_SLOW] = 4,    [PATH_CROWDED] = 5, [PATH_OPENED] = 0, [PATH_CLOSED] = 0,
                                [PATH_BEGUN] = 0,   [PATH_ENDED] = 0,   [PATH_RESUMED] = 0 };

    return rank[b] > rank[a] ? b : a;
}

static void judge_all(struct turn *t, const struct answer *each, const size_t *which, size_t n)
{
    const struct mx_host *h = site_host(t->site, &t->conn->address);
    enum path_event event = PATH_NOTHING;
    const struct err *why = client_err(t->conn->client);
    bool close = false, settled = false;

    for (size_t i = 0; i < n; i++) {
        struct fate *f = &t->fates[which[i]];

        if (each[i].what == ANSWER_STOPPED || (each[i].what == ANSWER_CONTENT && why->code != ERR_INVALID)) {
            f->unsent = true;
            f->open = false;
            close = true;
            continue;
        }
        t->judged = t->judged || each[i].what == ANSWER_REPLY;
        settled = fate_judge(t, f, &each[i], h, !may_try(t), false) || settled;
        event = worse(event, f->judgement.event);
        close = close || f->judgement.close;
        if (f->judgement.suspend_route)
            way_suspend(t->engine, t->way, &t->site->route, each[i].reply.text);
    }
    way_tell(t->engine, t->way, event);
    if (close || !settled) /* who has nothing for anybody is not asked again */
        conn_end(t->engine, &t->conn);
}

/* The content cannot be had: for good, or for now. */
static void no_content(struct turn *t, const struct err *why)
{
    if (why->code == ERR_UNSIGNED)
        fates_end(t, VERDICT_UNSIGNED);
    else if (why->code == ERR_GONE || why->code == ERR_MISSING || why->code == ERR_SEALED)
        fates_end(t, VERDICT_CONTENT_GONE);
    else
        fates_unsent(t);
}

static struct bytes sender_of(const struct turn *t, const size_t *which, size_t n)
{
    const struct work *w = t->fates[which[0]].work;

    return return_path_write(t->engine->svc, w->message, &w->row, n > 1, t->arena);
}

/* A suspension may have come while the host was found and greeted. */
static void transact(struct turn *t, const struct manner *how)
{
    size_t *which = arena_array(t->arena, t->n, sizeof *which), n = choose(t, which);
    struct offer_rcpt *to = arena_array(t->arena, n, sizeof *to);
    struct answer *each = arena_array(t->arena, n, sizeof *each);
    struct outgo *text = arena_alloc(t->arena, sizeof *text);
    struct envelope e = { .needs = &t->needs, .how = how, .to = to, .n = n };
    struct err err = { 0 };

    if (stops_turn(t))
        return;
    if (!outgo_begin(text, t, &err)) {
        no_content(t, &err);
        return;
    }
    address(t, which, n, to);
    t->sender = e.sender = sender_of(t, which, n);
    e.content = (struct source_of){ outgo_next, text };
    e.may_finish = may_finish;
    e.ctx = t;
    stream_drains(client_stream(t->conn->client), false);
    client_arena(t->conn->client, t->arena);
    if (!t->run->script.head.n)
        script_add(&t->run->script, SCRIPT_NOTE,
                   arena_bytesf(t->arena, "the connection to %s (%.*s) is used again", t->conn->ip, SHOW(t->conn->mx)),
                   clock_monotonic());
    client_script(t->conn->client, &t->run->script);
    client_send(t->conn->client, &e, each);
    client_arena(t->conn->client, t->conn->arena);
    client_script(t->conn->client, NULL);
    stream_drains(client_stream(t->conn->client), true);
    outgo_end(text);
    judge_all(t, each, which, n);
}

static enum offer_result negotiate(struct turn *t, struct manner *how)
{
    struct terms terms = { .eight_bit = eight_bit(),
                           .last = !may_try(t),
                           .verified = t->conn->security == IN_TLS_VERIFIED };

    return offer_negotiate(client_offer(t->conn->client), &t->needs, &terms, how);
}

/* Is passed over, or has said the last word. */
static void lacks(struct turn *t, enum offer_refusal what)
{
    t->refusal = what;
    if (!may_try(t))
        fates_refused(t);
    conn_keep(t->engine, t->conn);
    t->conn = NULL;
    t->connects += t->connects == 0; /* a pooled one: the hosts come next */
}

/* What the host offers, against what the message needs. */
static void send_here(struct turn *t)
{
    struct manner how;
    struct err err = { 0 };
    enum offer_result result = negotiate(t, &how);

    if (result == OFFER_OK && how.convert) {
        switch (outgo_convert(t, &err)) {
        case CONVERT_FAILED: no_content(t, &err); return;
        case CONVERT_IMPOSSIBLE: t->needs.convertible = false; break;
        case CONVERT_OK: break;
        }
        result = negotiate(t, &how);
    }
    if (result == OFFER_OK)
        transact(t, &how);
    else
        lacks(t, how.refusal);
}

/* Accepted while no key opened, and not held any more. */
static bool sign_first(struct turn *t)
{
    struct err err = { 0 };

    if (!t->fates[0].work->message->to_sign || outgo_sign(t, &err))
        return true;
    no_content(t, &err);
    return false;
}

static void try_hosts(struct turn *t)
{
    read_needs(t);
    if (!sign_first(t))
        return;
    list_hosts(t);
    while (any_open(t) && find_conn(t))
        send_here(t);
    if (t->refusal) /* the last host broke off, and another one had refused */
        fates_refused(t);
    fates_last(t);
    fates_unsent(t);
}

static bool is_past(const struct turn *t)
{
    return t->fates[0].work->row.expires_at <= queue_now(t->engine->svc);
}

void turn_make(struct turn *t)
{
    t->began = clock_monotonic();
    t->at = clock_wall();
    t->until = t->began + ATTEMPT_MS;
    t->tls = t->fates[0].work->message->require_tls ? ROUTE_TLS_VERIFY : t->site->route.tls;
    for (size_t i = 0; i < t->n; i++)
        t->fates[i].open = true;
    if (is_past(t))
        fates_expired(t);
    else if (t->fates[0].work->message_gone) /* its sender is not known any more */
        fates_end(t, VERDICT_CONTENT_GONE);
    else if (stops_turn(t))
        return;
    else if (t->site->route.way == ROUTE_CAPTURE)
        fates_outcome(t, OUTCOME_CAPTURED);
    else if (t->site->route.way == ROUTE_HOLD)
        fates_outcome(t, OUTCOME_HELD);
    else if (t->site->plan.verdict != MX_OK)
        fates_plan(t);
    else
        try_hosts(t);
}
