/* service/identity/domain_check.c - the DNS asked for one domain, and the one batch that says what came of it.
 *
 * Asking comes first and takes seconds; then the row is read again and judged by the answers, on condition that it is
 * as it was read, so that two checks at once make one event. Names of the domain itself are asked of its servers; names
 * of others, which it only mentions, of the resolver. */
#include "service/identity/domain_check.h"
#include "net/dns_direct.h"
#include "service/core/lookup.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/dkim.h"
#include "service/identity/domain_keys.h"
#include "service/identity/domain_records.h"

enum { ROUNDS_MAX = 16 };

#define NEW_FOR_MS     ((int64_t)7 * 24 * 3600 * 1000)
#define ANSWERS_MOST   ((size_t)32 * 1024 * 1024)
#define EVENT_TEXT_MAX ((size_t)300 * 1024)

static atomic_int under_way;

/* ---- asking ---- */

static void ask(struct arena *a, struct dns_direct *direct, struct bytes domain, int64_t deadline, struct lookup *q)
{
    struct dns_answer answer;
    bool cached;

    if (dns_is_below(q->name, domain))
        dns_direct_ask(direct, q->name, lookup_dns_type(q->type), deadline, &answer, &cached);
    else
        dns_ask(a, q->name, lookup_dns_type(q->type), deadline, &answer);
    lookup_note(a, &answer, q);
}

/* Rounds, until whoever judges wants to know nothing more. */
static void ask_all(struct call *c, const struct domain_view *v, struct lookups *book)
{
    const struct dns_direct_options o = { .port = (uint16_t)PARAM_INT(dns, port),
                                          .deny = PARAM_TEXT(delivery, deny),
                                          .allow = PARAM_TEXT(delivery, allow),
                                          .wait = PARAM_INT(dns, server_wait) };
    struct arena *a = book->arena;
    struct dns_direct *direct = dns_direct_new(a, &o);
    int64_t now = clock_monotonic(), most = (c->deadline - now) * 3 / 4; /* what comes of it is to be kept, too */
    int64_t deadline = now + (most < PARAM_INT(domain, check_timeout) ? most : PARAM_INT(domain, check_timeout));
    struct publish_out *out = arena_alloc(a, sizeof *out);
    size_t asked = 0;

    for (int i = 0; i < ROUNDS_MAX && !arena_full(a); i++) {
        domain_judge(a, v, book, out);
        if (asked == book->n)
            return;
        for (; asked < book->n && !arena_full(a); asked++)
            ask(a, direct, v->row.name, deadline, &book->list[asked]);
    }
}

/* ---- what follows ---- */

void domain_event(struct call *c, struct batch *b, const struct domain_view *v, const char *type)
{
    struct event_row *row = arena_alloc(c->arena, sizeof *row);
    struct buf text;
    struct jw w;

    *row = (struct event_row){ .id = id_new(),
                               .account_id = v->row.account_id,
                               .domain_id = v->row.id,
                               .type = bytes_of(type),
                               .mode = BYTES("live"),
                               .at = clock_wall() };
    row->expires_at = row->at + PARAM_INT(event, keep);
    buf_init(&text, EVENT_TEXT_MAX);
    jw_init(&w, &text);
    jw_object(&w);
    jw_key_id(&w, "domain_id", domain_kind.prefix, v->row.id);
    jw_key_text(&w, "domain", v->row.name);
    jw_key_time(&w, "sends_until", v->sends_until);
    jw_key_raw(&w, "records", v->records);
    jw_object_end(&w);
    row->data = arena_copy(c->arena, buf_bytes(&text));
    buf_clear(&text);
    batch_insert(b, &event_kind, row, NULL, 0);
}

struct checking {
    struct domain_view *v;
    struct lookups book;
    struct publish_out *out;
};

static int64_t spread(int64_t every)
{
    uint16_t random;

    crypt_random(&random, sizeof random);
    return every * 9 / 10 + every / 5 * random / UINT16_MAX;
}

static void plan_next(struct domain_view *v)
{
    struct domain_row *row = &v->row;
    bool soon = row->lost_at || (!row->verified_at && row->checked_at < row->created_at + NEW_FOR_MS) ||
                domain_keys_wait(v, row->checked_at);

    row->check_at = row->checked_at + spread(soon ? PARAM_INT(domain, check_soon) : PARAM_INT(domain, check_every));
}

/* The event's name; NULL: nothing changed. */
static const char *judge_row(struct domain_row *row, const struct publish_out *out)
{
    int64_t now = row->checked_at;

    if (out->proof == PUBLISH_PROVED && (!row->verified_at || row->lost_at)) {
        if (!domain_is_trusted(row))
            row->verified_at = now;
        row->lost_at = 0;
        row->proof = BYTES("dns");
        return "domain.verified";
    }
    if (out->proof == PUBLISH_DISPROVED && row->verified_at && !row->lost_at && bytes_equal(row->proof, BYTES("dns"))) {
        row->lost_at = now;
        return "domain.unverified";
    }
    return NULL;
}

static void log_change(const struct domain_row *row, const char *type)
{
    if (row->lost_at)
        log_warn(
            "domain", LOG_BYTES("name", row->name), LOG_TEXT("event", type),
            LOG_TEXT("result", "its records are gone from the DNS: mail stops leaving when domain.grace has passed"));
    else
        log_info("domain", LOG_BYTES("name", row->name), LOG_TEXT("event", type));
}

static void write_row(struct call *c, struct batch *b, const struct domain_row *before, const struct domain_row *row)
{
    struct cond *same = arena_array(c->arena, 3, sizeof *same);
    struct set *sets = arena_array(c->arena, 7, sizeof *sets);

    same[0] = COND("verified_at", IS, V_TIME(before->verified_at));
    same[1] = COND("lost_at", IS, V_TIME(before->lost_at));
    same[2] = COND("proof", IS, V_TEXT(before->proof));
    sets[0] = SET("verified_at", V_TIME(row->verified_at));
    sets[1] = SET("lost_at", V_TIME(row->lost_at));
    sets[2] = SET("proof", V_TEXT(row->proof));
    sets[3] = SET("seen", V_JSON(row->seen));
    sets[4] = SET("checked_at", V_TIME(row->checked_at));
    sets[5] = SET("check_at", V_TIME(row->check_at));
    sets[6] = SET("return_path", V_BOOL(row->return_path));
    batch_update(b, &domain_kind, row->id, same, 3, sets, 7);
}

/* The row as it is now, judged by what was heard. */
static bool settle_once(struct call *c, void *arg, bool *again)
{
    struct checking *w = arg;
    struct domain_view *v = w->v;
    struct batch *b = batch_new(c->arena);
    struct domain_row before;
    const char *type;

    if (!store_get(c->store, &domain_kind, v->row.id, c->arena, &before, &c->err) ||
        !dkim_ensure(c, &before, &v->dkim, &v->n_dkim))
        return false;
    v->row = before;
    v->row.checked_at = clock_wall();
    v->row.seen = lookups_write(&w->book, c->arena);
    domain_judge(c->arena, v, &w->book, w->out);
    v->row.return_path = w->out->return_path;
    type = judge_row(&v->row, w->out);
    domain_keys_follow(c, b, w->out, v);
    plan_next(v);
    write_row(c, b, &before, &v->row);
    if (!domain_records(c, v))
        return false;
    if (type)
        domain_event(c, b, v, type);
    if (!call_commit(c, b, v, v->row.id)) {
        *again = c->err.code == ERR_CONFLICT;
        return false;
    }
    if (type)
        log_change(&v->row, type);
    return true;
}

/* What strangers answer has memory of its own, so that the request's holds what is made of it. */
static bool check(struct call *c, struct domain_view *v)
{
    struct checking w = { .v = v, .out = arena_alloc(c->arena, sizeof *w.out) };
    struct arena *a = arena_new(ANSWERS_MOST);
    bool ok;

    lookups_init(&w.book, a);
    ask_all(c, v, &w.book);
    ok = arena_check(a, &c->err) && retry_run(c, id_text(c->arena, domain_kind.prefix, v->row.id), settle_once, &w);
    if (ok) {
        directory_changed(c->svc);
        dkim_changed(c->svc);
    }
    arena_free(&a);
    return ok;
}

bool domain_check(struct call *c, struct domain_view *v)
{
    bool ok;

    if (atomic_fetch_add(&under_way, 1) >= PARAM_INT(domain, checks_max)) {
        atomic_fetch_sub(&under_way, 1);
        return err_set(&c->err, ERR_BUSY, "Too many domains are being checked");
    }
    ok = check(c, v);
    atomic_fetch_sub(&under_way, 1);
    return ok;
}
