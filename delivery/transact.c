/* delivery/transact.c - a mail on a connection: what it needs against what the host offers, for whom it is sent, and
 * what came of that. Recipients that are too many for one transaction go in the next, at once.
 *
 * With delivery.pipeline=full the envelope of the run's next mail is said behind the dot of this one (RFC 2920 3.1):
 * the host works on it while our outcome becomes durable. It binds us to nothing: where it must not go when its turn
 * comes, the answers are heard and it is taken back. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/queue/return_path.h"

#define LEAST_LEASE 30000 /* a dot is sent under a lease that lasts so long, or a fourth of what leases have */

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

void turn_read_needs(struct turn *t)
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

/* One transaction as it is said. */
struct spoken {
    struct envelope envelope;
    struct manner how;
    size_t *which; /* of the fates */
    size_t n;
};

static size_t count_open(const struct turn *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->fates[i].open;
    return n;
}

static void choose(struct turn *t, struct spoken *x)
{
    size_t most = offer_recipients(client_offer(t->conn->client), (size_t)PARAM_INT(delivery, recipients_max),
                                   way_taught(t->way));

    x->which = arena_array(t->arena, t->n, sizeof *x->which);
    for (size_t i = 0; i < t->n && x->n < most; i++)
        if (t->fates[i].open)
            x->which[x->n++] = i;
}

static void address(struct turn *t, const struct spoken *x, struct offer_rcpt *to)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct delivery_row *d = &t->fates[x->which[i]].work->row;

        to[i] = (struct offer_rcpt){ .email = d->email };
        if (client_offer(t->conn->client)->dsn) {
            to[i].notify = member(t->arena, d->dsn, "notify");
            to[i].orcpt = member(t->arena, d->dsn, "orcpt");
        }
    }
}

static struct bytes sender_of(const struct turn *t, const struct spoken *x)
{
    const struct work *w = t->fates[x->which[0]].work;

    return return_path_write(t->engine->svc, w->message, &w->row, x->n > 1, t->arena);
}

/* For those who are open. The content comes later. */
static struct spoken *speak(struct turn *t, const struct manner *how)
{
    struct spoken *x = arena_alloc(t->arena, sizeof *x);
    struct offer_rcpt *to;

    *x = (struct spoken){ .how = *how };
    choose(t, x);
    to = arena_array(t->arena, x->n, sizeof *to);
    address(t, x, to);
    t->sender = sender_of(t, x);
    x->envelope = (struct envelope){ .sender = t->sender, .needs = &t->needs, .how = &x->how, .to = to, .n = x->n };
    x->envelope.chunked = PARAM_INT(delivery, chunking) && client_offer(t->conn->client)->chunking;
    return x;
}

/* The most that the path is told of one transaction. */
static enum path_event worse(enum path_event a, enum path_event b)
{
    static const int rank[] = { [PATH_NOTHING] = 0, [PATH_VERDICT] = 1, [PATH_FAILED] = 2, [PATH_ALL_FAILED] = 3,
                                [PATH_SLOW] = 4,    [PATH_CROWDED] = 5, [PATH_OPENED] = 0, [PATH_CLOSED] = 0,
                                [PATH_BEGUN] = 0,   [PATH_ENDED] = 0,   [PATH_RESUMED] = 0 };

    return rank[b] > rank[a] ? b : a;
}

/* "Enough" (RFC 5321 4.5.3.1.10) is a number where all who came later had to wait and nothing else is said of them:
 * 4.3.1 is about a disk, and some hosts part recipients by other things. 0: it is none. */
static size_t taken_at_most(const struct answer *each, size_t n)
{
    size_t taken = 0, waits = 0;

    for (size_t i = 0; i < n; i++) {
        struct bytes said = each[i].reply.enhanced;
        bool taker = each[i].at != STEP_RCPT;

        if (taker && waits)
            return 0;
        taken += taker;
        waits += each[i].what == ANSWER_WAITS && (!said.n || bytes_ends(said, BYTES(".5.3")));
    }
    return waits ? taken : 0;
}

static void judge_all(struct turn *t, const struct answer *each, const size_t *which, size_t n)
{
    const struct mx_host *h = site_host(t->site, &t->conn->address);
    enum path_event event = PATH_NOTHING;
    const struct err *why = client_err(t->conn->client);
    size_t enough = taken_at_most(each, n);
    bool close = false, settled = false;

    t->now = queue_now(t->engine->svc);
    if (enough)
        way_learn(t->way, enough);
    for (size_t i = 0; i < n; i++) {
        struct fate *f = &t->fates[which[i]];

        if (each[i].what == ANSWER_STOPPED || (each[i].what == ANSWER_CONTENT && why->code != ERR_INVALID)) {
            f->unsent = true;
            f->open = false;
            close = true;
            continue;
        }
        t->judged = t->judged || each[i].what == ANSWER_REPLY;
        settled = fate_judge(t, f, &each[i], h, !turn_may_try(t), false) || settled;
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
void turn_no_content(struct turn *t, const struct err *why)
{
    if (why->code == ERR_UNSIGNED)
        fates_end(t, VERDICT_UNSIGNED);
    else if (why->code == ERR_GONE || why->code == ERR_MISSING || why->code == ERR_SEALED)
        fates_end(t, VERDICT_CONTENT_GONE);
    else
        fates_unsent(t);
}

/* `last`: there is no other host. */
static enum offer_result negotiate(const struct turn *t, struct manner *how, bool last)
{
    struct terms terms = { .eight_bit = eight_bit(), .last = last, .verified = t->conn->security == IN_TLS_VERIFIED };

    return offer_negotiate(client_offer(t->conn->client), &t->needs, &terms, how);
}

/* What is said behind the dot of another mail: only what may be said without another look at it. */
static const struct envelope *follow(void *ctx)
{
    struct turn *t = ctx, *next = t->next;
    struct manner how;

    if (!next || engine_stops(t->engine) || way_is_shut(t->way) || !conn_may_follow(t->way, t->conn) ||
        !conn_satisfies(next->site, next->tls, t->conn) || turn_is_past(next) || next->fates[0].work->message_gone ||
        next->fates[0].work->message->to_sign)
        return NULL;
    for (size_t i = 0; i < next->n; i++)
        next->fates[i].open = true;
    next->conn = t->conn;
    turn_read_needs(next);
    if (negotiate(next, &how, false) == OFFER_OK && !how.convert)
        next->spoken = speak(next, &how);
    next->conn = NULL;
    return next->spoken ? &next->spoken->envelope : NULL;
}

static bool has_said(const struct turn *t)
{
    return t->spoken && t->conn && client_has_said(t->conn->client) == &t->spoken->envelope;
}

void turn_take_back(struct turn *t)
{
    if (!has_said(t))
        return;
    if (engine_stops(t->engine)) /* nobody waits for its answers */
        conn_end(t->engine, &t->conn);
    else
        client_take_back(t->conn->client);
}

/* Said before the host had answered to the mail before, and it takes no more on this connection: as if nothing had been
 * said. */
static bool is_goodbye(const struct answer *x)
{
    return x->at == STEP_MAIL && (x->what != ANSWER_REPLY || x->reply.code == 421);
}

static void note_reuse(struct turn *t)
{
    if (!t->run->script.head.n)
        script_add(&t->run->script, SCRIPT_NOTE,
                   arena_bytesf(t->arena, "the connection to %s (%.*s) is used again", t->conn->ip, SHOW(t->conn->mx)),
                   clock_monotonic());
}

/* A suspension may have come while the host was found and greeted. */
static void transact(struct turn *t, const struct manner *how)
{
    struct outgo *text = arena_alloc(t->arena, sizeof *text);
    struct client *c = t->conn->client;
    bool said = has_said(t);
    struct spoken *x;
    struct answer *each;
    struct err err = { 0 };

    if (stops_turn(t))
        return;
    if (client_has_said(c) && !said) { /* of the next mail, and this one has recipients left */
        client_take_back(c);
        return;
    }
    x = said ? t->spoken : speak(t, how);
    if (!outgo_begin(text, t, x->envelope.chunked, &err)) {
        turn_no_content(t, &err);
        return;
    }
    each = arena_array(t->arena, x->n, sizeof *each);
    x->envelope.content = (struct source_of){ outgo_next, text };
    x->envelope.may_finish = may_finish;
    x->envelope.follow = t->next && x->n == count_open(t) ? follow : NULL;
    x->envelope.ctx = t;
    stream_drains(client_stream(c), false);
    client_arena(c, t->arena);
    note_reuse(t);
    client_script(c, &t->run->script);
    client_send(c, &x->envelope, each);
    client_arena(c, t->conn->arena);
    client_script(c, NULL);
    stream_drains(client_stream(c), true);
    outgo_end(text);
    if (said && is_goodbye(&each[0]))
        conn_end(t->engine, &t->conn);
    else
        judge_all(t, each, x->which, x->n);
}

/* Is passed over, or has said the last word. */
static void lacks(struct turn *t, enum offer_refusal what)
{
    t->refusal = what;
    if (!turn_may_try(t))
        fates_refused(t);
    turn_take_back(t);
    conn_keep(t->engine, t->conn);
    t->conn = NULL;
    t->connects += t->connects == 0; /* a pooled one: the hosts come next */
}

/* What the host offers, against what the message needs. */
void turn_send(struct turn *t)
{
    struct manner how;
    struct err err = { 0 };
    enum offer_result result = negotiate(t, &how, !turn_may_try(t));

    if (result == OFFER_OK && how.convert) {
        switch (outgo_convert(t, &err)) {
        case CONVERT_FAILED: turn_no_content(t, &err); return;
        case CONVERT_IMPOSSIBLE: t->needs.convertible = false; break;
        case CONVERT_OK: break;
        }
        result = negotiate(t, &how, !turn_may_try(t));
    }
    if (result == OFFER_OK)
        transact(t, &how);
    else
        lacks(t, how.refusal);
}
