/* service/message/intake_origin.c - where a mail from another server comes from: SPF, DKIM, ARC and DMARC (mail/auth/),
 * and what follows from them.
 *
 * Signatures are hashed while the body goes by; all is judged once, when it has come, and within one deadline
 * (origin.timeout). Names are asked for ahead meanwhile, by fibers that leave nothing but answers in the resolver's
 * cache: nothing is shared with them, so a mail that is given up takes nobody with it. Who is near (loopback, trusted
 * networks, whoever logged in, a server that does not send) is not looked at. What an author's domain asks for is done,
 * unless the sender is excepted; what nobody knows is marked or put off, by a setting. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/lookup.h"
#include "service/core/state.h"
#include "service/message/intake_private.h"

enum { ROUNDS_MAX = 150, REASONS_MAX = 8, TOLD_MAX = 100 };
#define ORIGIN_ARENA ((size_t)4 * 1024 * 1024)
#define FIELDS_MAX   ((size_t)256 * 1024)

/* ---- who is looked at ---- */

static bool is_near(const struct intake *k, const struct call *c, const struct network *ip)
{
    return network_is_loopback(ip) || network_list_holds(PARAM_TEXT(smtp, trusted_networks), ip) || c->who ||
           !intake_is_live(k, c);
}

void intake_origin_begin(struct intake *k, struct call *c)
{
    struct intake_origin *o = &k->origin;

    if (k->in.source != SOURCE_SMTP || !PARAM_INT(origin, check) ||
        !network_parse_address(k->in.received.client_ip, &o->ip) ||
        (PARAM_INT(origin, exempt) && is_near(k, c, &o->ip)))
        return;
    o->wanted = true;
    o->arena = arena_new_in(k->budget, ORIGIN_ARENA);
    o->spf = (struct spf_asked){ .ip = o->ip, .host = PARAM_TEXT(server, hostname), .now = k->now };
    spf_of_mail_from(&o->spf, o->arena, k->in.received.helo, k->in.envelope_from);
    intake_ahead_spf(k);
}

void intake_origin_drop(struct intake *k)
{
    verify_end(&k->origin.verifier);
    arena_free(&k->origin.arena);
}

/* ---- as it comes ---- */

void intake_origin_header(struct intake *k, struct bytes head)
{
    struct intake_origin *o = &k->origin;
    struct verify_how how = { .now = k->now,
                              .skew = PARAM_INT(origin, clock_skew),
                              .signatures = (unsigned)PARAM_INT(origin, signatures_max) };
    struct bytes header;

    if (!o->wanted)
        return;
    header = arena_copy(o->arena, bytes_head(head, header_end(head)));
    o->verifier = verify_begin(&how, header.p ? header : BYTES(""), o->arena);
    o->author = dmarc_author(header, o->arena, &o->from, &o->author_why);
    o->several = header_count(header, "From") > 1;
    intake_ahead_keys(k);
}

void intake_origin_body(struct intake *k, struct bytes piece)
{
    if (k->origin.verifier)
        verify_feed(k->origin.verifier, piece);
}

/* ---- asking ---- */

struct asking {
    struct intake_origin *o;
    struct lookups book;
    size_t asked;
    int64_t deadline;
};

static void answer(struct asking *a)
{
    for (; a->asked < a->book.n; a->asked++)
        lookup_ask(a->o->arena, a->deadline, &a->book.list[a->asked]);
}

static void judge_dmarc(struct asking *a, const struct dmarc_asked *q)
{
    struct intake_origin *o = a->o;

    o->dmarc = (struct dmarc_verdict){ .result = o->author, .why = o->author_why, .policy = DMARC_UNSAID };
    for (int i = 0; o->author == AUTH_PASS && i < ROUNDS_MAX && !dmarc_check(q, &a->book, &o->dmarc); i++)
        answer(a);
}

/* What the author's domain asks for, before all else: the names of SPF and of signatures are the sender's choice, whose
 * servers may be slow on purpose, until no time is left and nobody knows. */
static void ask_policy(struct asking *a)
{
    const struct dmarc_asked q = { .from = a->o->from };

    judge_dmarc(a, &q);
}

static void ask_spf(struct asking *a)
{
    for (int i = 0; i < ROUNDS_MAX && !spf_check(&a->o->spf, &a->book, &a->o->spf_verdict); i++)
        answer(a);
}

struct judge_job {
    struct asking *a;
    bool done;
};

/* Verifying by RSA takes a worker's time. */
static void judge_work(void *arg)
{
    struct judge_job *job = arg;

    job->done = verify_judge(job->a->o->verifier, &job->a->book, &job->a->o->verified);
}

static bool ask_signatures(struct asking *a, struct err *e)
{
    struct judge_job job = { .a = a };

    verify_ask(a->o->verifier, &a->book);
    for (int i = 0; i < ROUNDS_MAX && !job.done; i++) {
        answer(a);
        if (!offload(POOL_CPU, judge_work, &job, e))
            return false;
    }
    return true;
}

static void ask_dmarc(struct asking *a)
{
    struct intake_origin *o = a->o;
    struct dmarc_identity *ids = arena_array(o->arena, o->verified.n_dkim + 1, sizeof *ids);
    struct dmarc_asked q = { .from = o->from, .dkim = ids, .n_dkim = o->verified.n_dkim };

    for (size_t i = 0; i < q.n_dkim; i++)
        ids[i] = (struct dmarc_identity){ o->verified.dkim[i].domain, o->verified.dkim[i].result };
    q.spf = (struct dmarc_identity){ o->spf.domain, o->spf_verdict.result };
    judge_dmarc(a, &q);
}

/* ---- what follows ---- */

/* A list or forwarder that was excepted: by its network, by the sender of the envelope where SPF passes for it, or by
 * the domain that sealed a chain which holds. Without that anybody could say that they are one. */
static bool is_excepted(const struct intake_origin *o, struct bytes sender)
{
    struct bytes one, rest = PARAM_TEXT(dmarc, exceptions);
    size_t at = bytes_find_last(sender, '@');
    bool spf = o->spf_verdict.result == AUTH_PASS && at < sender.n;
    bool arc = o->verified.arc.result == AUTH_PASS;

    while (rest.n) {
        bytes_cut(rest, ',', &one, &rest);
        one = bytes_trim(one);
        if (!one.n)
            continue;
        if (network_list_holds(one, &o->ip) || (spf && bytes_equal_nocase(one, sender)) ||
            (spf && domain_is_within(bytes_from(sender, at + 1), one)) ||
            (arc && domain_is_within(o->verified.arc.domain, one)))
            return true;
    }
    return false;
}

/* Reports that come back to us are never refused for their From: who may send one is proved by where it comes to. */
static bool all_returned(const struct intake *k)
{
    for (size_t i = 0; i < k->in.n_recipients; i++)
        if (k->in.recipients[i].kind != RECIPIENT_RETURNED || !k->in.recipients[i].proven)
            return false;
    return true;
}

static void add_reason(struct intake_origin *o, struct bytes reason)
{
    if (o->n_reasons < REASONS_MAX)
        o->reasons[o->n_reasons++] = reason;
}

static void gather_reasons(struct intake_origin *o)
{
    struct arena *a = o->arena;

    if (o->spf_verdict.why.n)
        add_reason(o, arena_bytesf(a, "spf: %.*s", SHOW(o->spf_verdict.why)));
    for (size_t i = 0; i < o->verified.n_dkim && i < 3; i++)
        if (o->verified.dkim[i].why.n)
            add_reason(o, arena_bytesf(a, "dkim: %.*s", SHOW(o->verified.dkim[i].why)));
    if (o->verified.arc.why.n)
        add_reason(o, arena_bytesf(a, "arc: %.*s", SHOW(o->verified.arc.why)));
    if (o->dmarc.why.n)
        add_reason(o, arena_bytesf(a, "dmarc: %.*s", SHOW(o->dmarc.why)));
}

static enum origin_fate decide(const struct intake *k, struct intake_origin *o)
{
    bool unknown = o->dmarc.result == AUTH_TEMPERROR;

    if (all_returned(k))
        return ORIGIN_TAKEN;
    if (o->several && PARAM_INT(dmarc, reject))
        return ORIGIN_REFUSED;
    if (unknown && bytes_equal(PARAM_TEXT(origin, dns_trouble), BYTES("defer")))
        return ORIGIN_PUT_OFF;
    if (o->dmarc.disposition == DMARC_NONE || o->dmarc.disposition == DMARC_UNSAID)
        return ORIGIN_TAKEN;
    if (is_excepted(o, k->in.envelope_from)) {
        add_reason(o, BYTES("dmarc: the sender is excepted (dmarc.exceptions)"));
        return ORIGIN_TAKEN;
    }
    return o->dmarc.disposition == DMARC_REJECT && PARAM_INT(dmarc, reject) ? ORIGIN_REFUSED : ORIGIN_JUNK;
}

/* ---- what is told ---- */

static void write_dkim(struct jw *w, const struct verified *v)
{
    jw_key(w, "dkim");
    jw_array(w);
    for (size_t i = 0; i < v->n_dkim; i++) {
        jw_object(w);
        jw_key_text(w, "domain", v->dkim[i].domain);
        jw_key_text(w, "selector", v->dkim[i].selector);
        jw_key_text(w, "result", auth_result_text(v->dkim[i].result));
        jw_object_end(w);
    }
    jw_array_end(w);
}

static struct bytes show(struct intake_origin *o, struct arena *a)
{
    struct buf out;
    struct jw w;

    buf_init(&out, FIELDS_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "spf", auth_result_text(o->spf_verdict.result));
    write_dkim(&w, &o->verified);
    jw_key_text(&w, "dmarc", auth_result_text(o->dmarc.result));
    jw_key_text(&w, "arc", auth_result_text(o->verified.arc.result));
    jw_key_int(&w, "score", 0);
    jw_key(&w, "reasons");
    jw_array(&w);
    for (size_t i = 0; i < o->n_reasons; i++)
        jw_text(&w, o->reasons[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return arena_take(a, &out);
}

/* Above Received: what programs and people see of it (RFC 8601 4, RFC 7208 9.1). */
static void put_fields(struct intake *k)
{
    struct intake_origin *o = &k->origin;
    bool helo = !k->in.envelope_from.n;
    struct auth_results r = { .host = PARAM_TEXT(server, hostname),
                              .spf = &o->spf_verdict,
                              .spf_value = helo ? k->in.received.helo : k->in.envelope_from,
                              .spf_helo = helo,
                              .signatures = &o->verified,
                              .dmarc = &o->dmarc };
    struct buf out;

    buf_init(&out, FIELDS_MAX);
    if (o->junk)
        buf_adds(&out, "X-Spam-Flag: YES\r\n");
    auth_results_write(&r, &out);
    spf_received(&o->spf, &o->spf_verdict, helo ? "helo" : "mailfrom", &out);
    if (!out.overflowed)
        k->trace = arena_bytesf(k->arena, "%.*s%.*s", SHOW(buf_bytes(&out)), SHOW(k->trace));
    buf_clear(&out);
}

static struct bytes show_refusal(const struct intake *k, struct call *c)
{
    const struct intake_origin *o = &k->origin;
    char ip[NETWORK_TEXT];
    struct buf out;
    struct jw w;

    buf_init(&out, FIELDS_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "client_ip", network_show(&o->ip, ip));
    jw_key_text(&w, "envelope_from", k->in.envelope_from);
    jw_key_text(&w, "from_domain", o->from);
    jw_key_text(&w, "reason", bytes_of(c->err.message));
    jw_key_raw(&w, "auth", o->json);
    jw_object_end(&w);
    return arena_take(k->arena, &out);
}

static bool has_heard(const struct intake *k, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (id_equal(k->in.recipients[j].account_id, k->in.recipients[i].account_id))
            return true;
    return false;
}

/* Who would have got it hears of it, once for each account. That it cannot be told refuses nothing less. */
static void tell_refusal(struct intake *k, struct call *c)
{
    struct batch *b = batch_new(k->arena);
    struct bytes data = show_refusal(k, c);
    struct err e = { 0 };

    for (size_t i = 0; i < k->in.n_recipients && i < TOLD_MAX; i++) {
        const struct recipient *r = &k->in.recipients[i];
        struct event_row *row = arena_alloc(k->arena, sizeof *row);

        if (id_is_none(r->account_id) || has_heard(k, i))
            continue;
        *row = (struct event_row){ .id = id_new(),
                                   .account_id = r->account_id,
                                   .user_id = r->user_id,
                                   .domain_id = r->domain_id,
                                   .type = BYTES("email.refused"),
                                   .email = r->email,
                                   .mode = intake_mode(k, c),
                                   .at = k->now,
                                   .data = data,
                                   .expires_at = k->now + PARAM_INT(event, keep) };
        batch_insert(b, &event_kind, row, NULL, 0);
    }
    if (batch_count(b) && !store_commit(c->store, b, c->deadline, &e))
        log_warn("origin", LOG_TEXT("result", "a refusal could not be told"), LOG_TEXT("reason", e.message));
}

static bool refuse(struct intake *k, struct call *c)
{
    const struct intake_origin *o = &k->origin;

    metric_add(METRIC_origin_refused_total, 1);
    if (o->several)
        err_set(&c->err, ERR_FORGED, "The mail has more than one From");
    else
        err_set(&c->err, ERR_FORGED, "%.*s does not let this host write in its name (DMARC)", SHOW(o->dmarc.from));
    tell_refusal(k, c);
    return false;
}

static void log_origin(const struct intake *k, const struct intake_origin *o, enum origin_fate fate)
{
    static const char *const fates[] = { "taken", "junk", "put_off", "refused" };
    char ip[NETWORK_TEXT];

    log_info("origin", LOG_BYTES("client", network_show(&o->ip, ip)), LOG_BYTES("sender", k->in.envelope_from),
             LOG_BYTES("author", o->from), LOG_TEXT("fate", fates[fate]), LOG_BYTES("auth", o->json));
}

bool intake_origin(struct intake *k, struct call *c)
{
    struct intake_origin *o = &k->origin;
    struct asking a = { .o = o, .deadline = clock_monotonic() + PARAM_INT(origin, timeout) };
    enum origin_fate fate;

    if (!o->wanted)
        return true;
    lookups_init(&a.book, o->arena);
    verify_body_end(o->verifier);
    ask_policy(&a);
    ask_spf(&a);
    if (!ask_signatures(&a, &c->err))
        return false;
    ask_dmarc(&a);
    gather_reasons(o);
    fate = decide(k, o);
    o->junk = fate == ORIGIN_JUNK;
    o->json = show(o, k->arena);
    log_origin(k, o, fate);
    if (!arena_check(o->arena, &c->err))
        return false;
    if (fate == ORIGIN_REFUSED)
        return refuse(k, c);
    if (fate == ORIGIN_PUT_OFF)
        return err_set(&c->err, ERR_UNSURE, "Nobody knows now whether %.*s wrote this: %.*s", SHOW(o->dmarc.from),
                       SHOW(o->dmarc.why));
    put_fields(k);
    return true;
}
