/* delivery/fate.c - from an answer of the dialogue to what becomes of a recipient: the situation for delivery/verdict.h
 * is put together here, and nothing is decided. A recipient stays open until an answer settles it; one that may yet be
 * taken by another host, or in a transaction of its own, is no attempt so far and leaves no trace of one. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/queue/ending.h"

static const enum phase phases[] = {
    [STEP_CONNECT] = PHASE_CONNECT, [STEP_GREETING] = PHASE_GREETING, [STEP_HELLO] = PHASE_EHLO,
    [STEP_STARTTLS] = PHASE_TLS,    [STEP_AUTH] = PHASE_AUTH,         [STEP_MAIL] = PHASE_MAIL,
    [STEP_RCPT] = PHASE_RCPT,       [STEP_DATA] = PHASE_DATA,         [STEP_DOT] = PHASE_DOT,
    [STEP_RSET] = PHASE_MAIL,
};

static enum trouble trouble_of(const struct turn *t, const struct answer *x)
{
    switch (x->what) {
    case ANSWER_CLOSED: return x->at == STEP_CONNECT ? TROUBLE_CONNECT : TROUBLE_LOST;
    case ANSWER_TIMEOUT: return TROUBLE_TIMEOUT;
    case ANSWER_PROTOCOL: return x->reply.code ? TROUBLE_NONE : TROUBLE_GARBAGE;
    case ANSWER_TLS: return TROUBLE_TLS;
    case ANSWER_CONTENT:
        return t->conn && client_err(t->conn->client)->code == ERR_INVALID ? TROUBLE_NEWLINE : TROUBLE_LOST;
    default: return TROUBLE_NONE;
    }
}

static void describe(const struct turn *t, const struct fate *f, struct situation *out)
{
    const struct delivery_row *d = &f->work->row;

    *out = (struct situation){ .blocks = d->blocks,
                               .first_block_at = d->first_block_at,
                               .source_known = d->attempts > 0,
                               .retry = { .now = t->now,
                                          .expires_at = d->expires_at,
                                          .n = d->attempts + 1,
                                          .hash = retry_hash(d->message_id, d->site) } };
}

static struct verdict_rules rules_of(const struct turn *t)
{
    return (struct verdict_rules){ .own = t->site->rules ? t->site->rules->rules : NULL,
                                   .retry = &t->engine->retry,
                                   .block_tries = PARAM_INT(delivery, block_tries) };
}

static struct bytes command_of(const struct turn *t, const struct fate *f, enum step at)
{
    switch (at) {
    case STEP_MAIL: return arena_bytesf(t->arena, "MAIL FROM:<%.*s>", SHOW(t->sender));
    case STEP_RCPT: return arena_bytesf(t->arena, "RCPT TO:<%.*s>", SHOW(f->work->row.email));
    default: return bytes_of(step_text(at));
    }
}

static struct bytes tls_json(const struct conn *c, struct arena *a)
{
    if (!c || c->security == IN_CLEAR)
        return NO_BYTES;
    return arena_bytesf(a, "{\"version\":\"%s\",\"cipher\":\"%s\",\"policy\":\"%s\",\"verified\":%s}", c->tls.version,
                        c->tls.cipher, c->policy == ROUTE_TLS_MAY ? "opportunistic" : route_tls_text(c->policy),
                        c->tls.verified ? "true" : "false");
}

/* Where it was said, and how long it took. */
static void place(const struct turn *t, struct fate *f, const struct mx_host *h, enum step at)
{
    int64_t begun = delivery_begun(&f->work->row, f->work->message);
    struct attempt *x = &f->attempt;
    char ip[NETWORK_TEXT];

    x->at = clock_wall();
    x->command = command_of(t, f, at);
    x->source = PARAM_TEXT(server, hostname); /* there is one */
    x->tls = tls_json(t->conn, t->arena);
    x->tls_verified = t->conn && t->conn->security == IN_TLS_VERIFIED;
    x->delays.queue = t->at > begun ? t->at - begun : 0;
    x->delays.data = clock_monotonic() - t->began;
    if (t->conn) {
        x->dsn = client_offer(t->conn->client)->dsn;
        x->delays.connect = t->conn->delays.connect;
        x->delays.tls = t->conn->delays.tls;
    }
    if (!h)
        return;
    x->mx = h->name;
    x->ip = arena_copy(t->arena, network_show(&h->address, ip));
}

static void settle(struct fate *f)
{
    judgement_attempt(&f->judgement, &f->attempt);
    f->open = false;
}

bool fate_judge(struct turn *t, struct fate *f, const struct answer *x, const struct mx_host *h, bool last, bool loops)
{
    struct verdict_rules rules = rules_of(t);
    struct situation s;

    f->said = *x;
    f->said_by = h;
    describe(t, f, &s);
    s.phase = phases[x->at];
    s.trouble = loops ? TROUBLE_LOOP : trouble_of(t, x);
    s.reply = s.trouble == TROUBLE_NONE ? &x->reply : NULL;
    s.why = s.reply ? NO_BYTES : loops ? own_why(t->engine, f->work->row.site, NO_BYTES, t->arena) : x->reply.text;
    s.mx_host = h ? h->name : NO_BYTES;
    s.last_host = last;
    s.rcpt_taken = x->what == ANSWER_WAITS;
    verdict_judge(&s, &rules, &f->judgement);
    f->judgement.ambiguous = f->judgement.ambiguous || answer_is_ambiguous(x);
    if (f->judgement.next == NEXT_TRANSACTION || (f->judgement.next == NEXT_HOST && !last))
        return false;
    place(t, f, h, x->at);
    settle(f);
    return true;
}

void fates_last(struct turn *t)
{
    t->now = queue_now(t->engine->svc);
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open && t->fates[i].said_by) {
            struct answer x = t->fates[i].said;

            x.what = x.what == ANSWER_WAITS ? ANSWER_REPLY : x.what;
            fate_judge(t, &t->fates[i], &x, t->fates[i].said_by, true, false);
        }
}

void fates_end(struct turn *t, enum verdict_ours why)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            verdict_ours(why, &t->fates[i].judgement);
            settle(&t->fates[i]);
        }
}

void fates_expired(struct turn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            verdict_ours(queue_lacked_tls(&t->fates[i].work->row) ? VERDICT_NO_TLS : VERDICT_EXPIRED,
                         &t->fates[i].judgement);
            settle(&t->fates[i]);
        }
}

void fates_outcome(struct turn *t, enum outcome outcome)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            t->fates[i].judgement.outcome = outcome;
            t->fates[i].open = false;
        }
}

void fates_held(struct turn *t, const struct suspension *by)
{
    struct bytes why = by->reason.p ? arena_copy(t->arena, by->reason) : NO_BYTES;

    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            t->fates[i].held_by = by->id;
            t->fates[i].held_why = why;
        }
    fates_outcome(t, OUTCOME_HELD);
}

void fates_unsent(struct turn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            t->fates[i].unsent = true;
            t->fates[i].open = false;
        }
}

/* Hosts that never have an address are given up at the third attempt that found it so. */
static enum mx_verdict plan_verdict(const struct turn *t, const struct delivery_row *d)
{
    const struct mx_plan *p = &t->site->plan;
    bool before = bytes_equal(json_part(d->last, "enhanced"), BYTES("\"4.4.4\""));

    return p->verdict == MX_UNUSABLE && !p->partial && before && d->attempts + 1 >= MX_UNUSABLE_MAX ? MX_GIVEN_UP
                                                                                                    : p->verdict;
}

/* What DNS cannot say now is like a host that is away: one transaction finds out, the rest waits untried until it is
 * asked again, and longer each time when that goes on. */
void fates_plan(struct turn *t)
{
    struct verdict_rules rules = rules_of(t);

    t->now = queue_now(t->engine->svc);
    for (size_t i = 0; i < t->n; i++) {
        struct situation s;

        if (!t->fates[i].open)
            continue;
        describe(t, &t->fates[i], &s);
        s.last_host = true;
        verdict_of_plan(plan_verdict(t, &t->fates[i].work->row), t->site->plan.why, &s, &rules, &t->fates[i].judgement);
        settle(&t->fates[i]);
    }
    if (t->site->plan.verdict != MX_TEMPORARY)
        return;
    t->site->deferred = true;
    way_tell(t->engine, t->way, PATH_ALL_FAILED);
    way_quiet(t->engine, t->way, t->site->until);
}

void fates_refused(struct turn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].open) {
            verdict_of_refusal(t->refusal, &t->fates[i].judgement);
            settle(&t->fates[i]);
        }
}
