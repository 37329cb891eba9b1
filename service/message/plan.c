/* service/message/plan.c - what becomes of each recipient, and the one batch that says so: see intake_private.h.
 *
 * First every recipient gets an outcome, then rows follow from the outcomes, then the batch is built from the rows. So
 * when the batch fails by one recipient (a mailbox is full, a user has gone) only that outcome changes and the rest is
 * made anew. Each account that takes part, a party, has a message row of its own; of mail that is sent the sender's has
 * the deliveries. */
#include "base/params.h"
#include "service/core/state.h"
#include "service/identity/domain_records.h"
#include "service/message/intake_private.h"
#include "service/queue/ending.h"
#include "service/queue/play.h"
#include "service/queue/queue.h"
#include "service/queue/routing.h"
#include <assert.h>

/* ---- which mailboxes: a table of users met so far ---- */

struct seen {
    struct target **slots;
    size_t mask;
};

static void seen_init(struct seen *s, size_t n, struct arena *a)
{
    size_t size = 8;

    while (size < 2 * n)
        size *= 2;
    s->slots = arena_array(a, size, sizeof *s->slots);
    s->mask = size - 1;
}

/* The target that met this user first: t itself, when it is new. */
static struct target *seen_first(struct seen *s, struct target *t)
{
    size_t at;

    memcpy(&at, t->user.id.b + 8, sizeof at);
    for (at &= s->mask; s->slots[at]; at = (at + 1) & s->mask)
        if (id_equal(s->slots[at]->user.id, t->user.id))
            return s->slots[at];
    s->slots[at] = t;
    return t;
}

/* ---- parties ---- */

static bool is_outbound(const struct intake *k)
{
    return k->in.source == SOURCE_API || k->in.source == SOURCE_SUBMISSION;
}

static struct bytes mode_of(const struct call *c)
{
    if (c->who && c->who->test)
        return BYTES("test");
    return service_is_live(c->svc) ? BYTES("live") : BYTES("sandbox");
}

static struct bytes dsn_json(struct intake *k)
{
    struct buf out;
    struct bytes json;
    struct jw w;

    if (!k->in.ret.p && !k->in.envid.p)
        return NO_BYTES;
    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "ret", k->in.ret);
    jw_key_text(&w, "envid", k->in.envid);
    jw_object_end(&w);
    json = arena_copy(k->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static void party_row(struct intake *k, struct call *c, struct id account, bool first, struct message_row *row)
{
    static const char *const sources[] = {
        [SOURCE_API] = "api", [SOURCE_SUBMISSION] = "submission", [SOURCE_SMTP] = "smtp", [SOURCE_SYSTEM] = "system"
    };
    bool own = first && is_outbound(k);

    *row = (struct message_row){ .id = first ? k->message_id : message_id_for(body_id(k->body), account),
                                 .account_id = account,
                                 .body_id = body_id(k->body),
                                 .request_id = c->request,
                                 .header_message_id = k->summary.header_message_id,
                                 .direction = own ? BYTES("outbound") : BYTES("inbound"),
                                 .source = bytes_of(sources[k->in.source]),
                                 .mode = mode_of(c),
                                 .envelope_from = k->in.envelope_from,
                                 .trace = k->trace,
                                 .dsn = dsn_json(k),
                                 .size = body_size(k->body) + (int64_t)k->trace.n,
                                 .created_at = k->now,
                                 .body_8bit = k->body_8bit,
                                 .foreign_dkim = k->foreign_dkim,
                                 .needs_utf8 = k->needs_utf8,
                                 .to_sign = first && k->sign.hold,
                                 .longest_line = k->longest_line,
                                 .expires_at = k->now + PARAM_INT(message, keep) };
    if (!own)
        return;
    row->domain_id = k->domain_id;
    row->people = k->people;
    row->tags = k->in.tags;
    row->metadata = k->in.metadata;
    row->no_store = k->in.no_store;
    row->bypass = k->in.bypass;
    row->dsn_wanted = k->in.dsn_wanted;
    row->token_path = k->in.token_path;
    row->require_tls = k->in.require_tls;
    if (c->who && c->who->kind == WHO_KEY)
        row->key_id = c->who->id;
    if (c->who && c->who->kind == WHO_USER)
        row->user_id = c->who->id;
}

static size_t party_of(struct intake *k, struct call *c, struct plan *p, struct id account)
{
    for (size_t i = 0; i < p->n_parties; i++)
        if (id_equal(p->parties[i].row.account_id, account))
            return i;
    party_row(k, c, account, p->n_parties == 0, &p->parties[p->n_parties].row);
    return p->n_parties++;
}

/* ---- who is suppressed ---- */

/* Applications keep to the account's list, users write to whom they like. */
static bool keeps_to_list(const struct intake *k, const struct call *c)
{
    return is_outbound(k) && c->who && !c->who->test && (c->who->kind == WHO_KEY || c->who->kind == WHO_SOCKET);
}

/* One look for all recipients elsewhere; where there are none, none. */
static bool find_suppressed(struct intake *k, struct call *c, struct plan *p)
{
    struct suppression_row *rows;
    struct target **of;
    struct bytes *emails;
    size_t n = 0;

    if (!keeps_to_list(k, c))
        return true;
    of = arena_array(k->arena, k->in.n_recipients, sizeof *of);
    emails = arena_array(k->arena, k->in.n_recipients, sizeof *emails);
    for (size_t i = 0; i < k->in.n_recipients; i++)
        if (k->in.recipients[i].kind == RECIPIENT_REMOTE) {
            of[n] = &p->targets[i];
            emails[n++] = k->in.recipients[i].email;
        }
    if (!n)
        return true;
    rows = arena_array(k->arena, n, sizeof *rows);
    if (!suppression_find(c->svc, k->arena, c->account, emails, n, k->in.bypass, rows, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!id_is_none(rows[i].id))
            of[i]->suppressed = suppression_verdict(k->arena, &rows[i]);
    return true;
}

/* ---- outcomes ---- */

/* What filing needs of the user; the rest of what was read for it may be large, and there may be many. */
static bool find_user(struct intake *k, struct call *c, struct target *t)
{
    struct arena_mark before = arena_mark(c->arena);
    bool found = directory_user(c, t->recipient->user_id, &t->user);

    if (!found)
        return false;
    t->user.user_key = arena_copy(k->arena, t->user.user_key);
    t->user.user_key_wrap = arena_copy(k->arena, t->user.user_key_wrap);
    t->user.index_key = arena_copy(k->arena, t->user.index_key);
    t->user.index_key_wrap = arena_copy(k->arena, t->user.index_key_wrap);
    t->user.address = t->user.send_as = NO_BYTES;
    arena_rewind(c->arena, before);
    return true;
}

static void decide(const struct intake *k, struct target *t, enum cause cause)
{
    t->verdict = verdict_of(cause, k->now);
}

static bool plan_mailbox(struct intake *k, struct call *c, struct target *t, struct seen *seen, size_t *boxes)
{
    struct target *first;

    if (!find_user(k, c, t)) {
        if (c->err.code != ERR_MISSING || !intake_is_lenient(k, t))
            return false;
        c->err = (struct err){ 0 };
        decide(k, t, CAUSE_NO_USER);
        return true;
    }
    first = seen_first(seen, t);
    t->shares = first != t;
    if (t->shares) {
        t->verdict = first->verdict;
        t->delivery.entry_id = first->delivery.entry_id;
        return true;
    }
    t->delivery.entry_id = id_new();
    t->filed = !k->in.file_later && (*boxes)++ < (size_t)PARAM_INT(accept, local_max);
    decide(k, t, t->filed ? CAUSE_FILED : CAUSE_WAITS);
    return true;
}

/* The size of what we compose is known only now; SMTP's was announced, and the batch's bound holds for what was not. */
static bool is_full(const struct intake *k, const struct target *t)
{
    const struct recipient *r = t->recipient;

    return r->full || (intake_is_lenient(k, t) && r->kind == RECIPIENT_LOCAL && body_size(k->body) > r->room);
}

static bool plan_target(struct intake *k, struct call *c, struct target *t, struct seen *seen, size_t *boxes)
{
    const struct recipient *r = t->recipient;
    bool test = c->who && c->who->test;
    enum cause cause;

    if (t->refused != CAUSES)
        decide(k, t, t->refused);
    else if (r->missing)
        decide(k, t, CAUSE_NO_USER);
    else if (is_full(k, t))
        decide(k, t, CAUSE_MAILBOX_FULL);
    else if (r->kind == RECIPIENT_SANDBOX)
        decide(k, t, play_first(r->email, &cause) ? cause : CAUSE_NO_USER);
    else if (test && r->kind != RECIPIENT_CAPTURED) /* reaches no mailbox */
        decide(k, t, CAUSE_FILED);
    else if (t->suppressed)
        t->verdict = *t->suppressed;
    else if (r->kind == RECIPIENT_FORWARD)
        decide(k, t, CAUSE_FORWARDED);
    else if (r->kind == RECIPIENT_LOCAL)
        return plan_mailbox(k, c, t, seen, boxes);
    else if (r->kind == RECIPIENT_REMOTE && service_is_live(c->svc)) {
        if (k->untrusted.p && !t->from)
            return domain_unverified(c, k->untrusted);
        decide(k, t, k->untrusted.p ? CAUSE_UNVERIFIED : k->sign.hold ? CAUSE_UNSIGNED : CAUSE_LEAVES);
    } else
        decide(k, t, CAUSE_SANDBOX);
    return true;
}

/* 0-255: all work of a site is one part, so that one node can keep its limits once several share the work. Today one
 * node does it all and nobody asks; it is kept with each row, since what waits then must have it already. */
static int64_t part_of(struct bytes site)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < site.n; i++)
        hash = (hash ^ (uint8_t)site.p[i]) * 16777619u;
    return (int64_t)(hash & 255u);
}

static void begin_delivery(struct intake *k, struct target *t)
{
    struct delivery_row *d = &t->delivery;
    int64_t tried = k->in.expires_after ? k->in.expires_after * 1000 : PARAM_INT(delivery, expires_after);

    d->id = id_new();
    d->body_id = body_id(k->body);
    d->user_id = t->user.id;
    d->email = t->recipient->email;
    d->kind = t->recipient->kind == RECIPIENT_LOCAL || t->recipient->kind == RECIPIENT_FORWARD ? BYTES("local")
                                                                                               : BYTES("remote");
    d->via = t->from ? t->from->recipient->email : NO_BYTES;
    d->site = bytes_from(d->email, bytes_find_last(d->email, '@') + 1);
    d->part = part_of(d->site);
    d->dsn = t->recipient->dsn;
    d->created_at = k->now;
    d->expires_at = k->now + tried;
    t->leaves = t->recipient->kind == RECIPIENT_REMOTE &&
                (t->verdict.outcome == OUTCOME_QUEUED || t->verdict.outcome == OUTCOME_HELD);
}

/* Whose Sent gets a copy: the user who submitted, or the one an API send named. */
static bool plan_sent(struct intake *k, struct call *c, struct plan *p)
{
    struct address address;

    if (c->who && c->who->test)
        return true;
    if (k->in.source == SOURCE_SUBMISSION && c->who && c->who->kind == WHO_USER) {
        if (!directory_user(c, c->who->id, &p->sender))
            return false;
        p->sent_copy = p->sender.save_sent;
    } else if (k->in.save_to_sent) {
        if (!address_parse(k->in.sent_address, k->arena, &address, &c->err) || !directory_find(c, &address, &p->sender))
            return false;
        p->sent_copy = true;
    }
    return true;
}

/* What came back is read; where nothing in it is known, it is kept for the operator. */
static bool plan_returned(struct intake *k, struct call *c, struct target *t)
{
    struct bytes text =
        arena_bytesf(k->arena, "Return-Path: <%.*s>\r\n%.*s", SHOW(k->in.envelope_from), SHOW(body_preview(k->body)));
    struct recipient *kept;

    if (!returned_read(c, t->recipient, text, k->arena, &t->returned))
        return false;
    if (t->returned)
        return true;
    kept = arena_alloc(k->arena, sizeof *kept);
    *kept = *t->recipient;
    kept->kind = RECIPIENT_CAPTURED;
    t->recipient = kept;
    return true;
}

/* The account that has the mail. What is sent on, or goes back through a forward, is its address's. */
static struct id account_of(const struct target *t)
{
    const struct recipient *r = t->recipient;

    if (!id_is_none(t->user.id))
        return t->user.account_id;
    if (r->kind != RECIPIENT_LOCAL && !id_is_none(r->account_id))
        return r->account_id;
    for (const struct target *from = t->from; from; from = from->from)
        if (!id_is_none(from->recipient->account_id))
            return from->recipient->account_id;
    return NO_ID;
}

static void choose_parties(struct intake *k, struct call *c, struct plan *p, struct target *t)
{
    struct id account = account_of(t);

    t->party = id_is_none(account) ? 0 : party_of(k, c, p, account);
    t->owner = is_outbound(k) && !t->from ? 0 : t->party;
}

bool plan_accept(struct intake *k, struct call *c, struct plan *p)
{
    struct seen seen;
    size_t boxes = 0;

    if (!plan_targets(k, c, p))
        return false;
    p->parties = arena_array(k->arena, p->n + 1, sizeof *p->parties);
    seen_init(&seen, p->n, k->arena);
    if (!find_suppressed(k, c, p))
        return false;
    if (is_outbound(k) || k->in.source == SOURCE_SYSTEM)
        party_of(k, c, p, c->account);
    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        if (t->recipient->kind == RECIPIENT_RETURNED && !plan_returned(k, c, t))
            return false;
        if (t->returned)
            continue;
        if (!plan_target(k, c, t, &seen, &boxes))
            return false;
        begin_delivery(k, t);
        choose_parties(k, c, p, t);
    }
    if (!p->n_parties) /* all of it came back: nobody has a row of it */
        party_row(k, c, c->account, true, &p->parties[0].row);
    return plan_sent(k, c, p);
}

/* ---- what follows from the outcomes ---- */

/* The account whose delivery it is: the sender's, or for mail that came in, or is sent on, the mailbox's own. */
static struct party *owner(struct plan *p, const struct target *t)
{
    return &p->parties[t->owner];
}

static struct id domain_of(const struct intake *k, const struct message_row *own, const struct target *t)
{
    if (t->from)
        return t->from->recipient->domain_id;
    if (is_outbound(k))
        return own->domain_id;
    return id_is_none(t->user.id) ? t->recipient->domain_id : t->user.domain_id;
}

/* A route may take it for the message's own sake: then it lies apart from the start. */
static struct bytes flow_of(struct intake *k, struct call *c, const struct delivery_row *d, const struct message_row *m)
{
    struct bytes flow = queue_flow(k->arena, d->site, queue_class(d->expires_at - k->now), m->account_id, NO_ID);
    struct routes *routes = routes_now(c->svc);

    if (routes)
        flow = routes_flow(routes, m, flow, k->arena);
    routes_leave(&routes);
    return flow;
}

static void finish_delivery(struct intake *k, struct call *c, struct plan *p, struct target *t)
{
    struct delivery_row *d = &t->delivery;
    struct message_row *own = &owner(p, t)->row, *box = &p->parties[t->party].row;
    enum outcome outcome = t->verdict.outcome;

    d->account_id = own->account_id;
    d->message_id = own->id;
    d->mode = own->mode;
    if (t->leaves)
        d->flow = flow_of(k, c, d, own);
    d->guest_id = NO_ID;
    d->domain_id = domain_of(k, own, t);
    d->attempts = 0;
    d->last = NO_BYTES;
    outcome_count(own, outcome, 1);
    if (own != box && (!id_is_none(d->entry_id) || t->recipient->kind == RECIPIENT_CAPTURED)) {
        outcome_count(box, outcome, 1);
        if (!outcome_is_final(outcome))
            d->guest_id = box->account_id;
    }
    outcome_apply(d, &t->verdict, k->now, k->arena);
    if (outcome_is_final(outcome))
        return;
    d->wrapped_key = seal_for_server(c->svc, body_key(k->body), d->id, k->arena);
    d->wrap = seal_wrap_name(c->svc);
}

static void zero_counters(struct message_row *row)
{
    row->n_open = row->n_held = row->n_delivered = row->n_captured = row->n_failed = row->n_cancelled = 0;
}

/* The content of a mail that was sent, or captured, stays readable for the account, unless it asked otherwise and
 * nothing is left to do. */
static void finish_content(struct intake *k, struct call *c, struct message_row *row)
{
    row->wrapped_key = row->wrap = row->subject = NO_BYTES;
    row->content_until = 0;
    if (row->no_store && row->n_open == 0)
        return;
    row->wrapped_key = seal_for_server(c->svc, body_key(k->body), row->id, k->arena);
    row->wrap = seal_wrap_name(c->svc);
    row->content_until = k->now + (row->no_store ? 0 : PARAM_INT(message, keep_content));
    if (k->summary.subject.p)
        row->subject = seal_text(body_key(k->body), row->body_id, k->summary.subject, k->arena);
}

static void finish_filing(struct intake *k, struct message_row *row, struct bytes summary)
{
    if (row->n_open == 0)
        return;
    row->summary = summary;
    row->sent_at = k->summary.sent_at;
    if (k->summary.thread_root.p)
        row->thread_root = seal_text(body_key(k->body), row->body_id, k->summary.thread_root, k->arena);
    row->header_8bit = k->header_8bit;
}

void plan_finish(struct intake *k, struct call *c, struct plan *p)
{
    struct bytes summary = seal_text(body_key(k->body), body_id(k->body), k->summary.json, k->arena);

    p->keeps = p->sent_copy;
    for (size_t i = 0; i < p->n_parties; i++)
        zero_counters(&p->parties[i].row);
    for (size_t i = 0; i < p->n; i++) {
        if (p->targets[i].returned)
            continue;
        finish_delivery(k, c, p, &p->targets[i]);
        p->keeps = p->keeps || p->targets[i].filed || !outcome_is_final(p->targets[i].verdict.outcome);
        if (p->targets[i].recipient->kind == RECIPIENT_CAPTURED) /* no mailbox has it */
            finish_content(k, c, &p->parties[p->targets[i].party].row);
    }
    for (size_t i = 0; i < p->n_parties; i++)
        finish_filing(k, &p->parties[i].row, summary);
    if (is_outbound(k))
        finish_content(k, c, &p->parties[0].row);
    for (size_t i = 0; i < p->n_parties; i++)
        p->keeps = p->keeps || p->parties[i].row.wrapped_key.p;
    k->summary_sealed = summary;
}

/* ---- the batch ---- */

static bool build_entry(struct intake *k, struct call *c, struct plan *p, struct target *t, struct batch *b)
{
    struct message_row *m = &p->parties[t->party].row;
    struct filed filed;
    struct filing f = { .user = &t->user,
                        .mailbox_id = t->user.inbox_id,
                        .entry_id = t->delivery.entry_id,
                        .message_id = m->id,
                        .body_id = body_id(k->body),
                        .content = body_key(k->body),
                        .trace = filing_trace(k->in.envelope_from, k->trace, k->arena),
                        .summary = k->summary_sealed,
                        .header_message_id = k->summary.header_message_id,
                        .thread_root = k->summary.thread_root,
                        .body_size = body_size(k->body),
                        .sent_at = k->summary.sent_at,
                        .received_at = k->now,
                        .header_8bit = k->header_8bit };

    if (!filing_add(c->svc, b, k->arena, &f, &filed, &c->err))
        return false;
    t->first_op = filed.first;
    t->size = filed.row->size;
    return true;
}

static bool build_sent(struct intake *k, struct call *c, struct plan *p, struct batch *b)
{
    struct filed filed;
    struct filing f = { .user = &p->sender,
                        .mailbox_id = p->sender.sent_id,
                        .entry_id = id_new(),
                        .message_id = p->parties[0].row.id,
                        .body_id = body_id(k->body),
                        .content = body_key(k->body),
                        .trace = k->sign.lines,
                        .summary = k->summary_sealed,
                        .header_message_id = k->summary.header_message_id,
                        .thread_root = k->summary.thread_root,
                        .body_size = body_size(k->body),
                        .flags = ENTRY_SEEN,
                        .sent_at = k->summary.sent_at,
                        .received_at = k->now,
                        .header_8bit = k->header_8bit };

    if (!p->sent_copy)
        return true;
    if (!filing_add(c->svc, b, k->arena, &f, &filed, &c->err))
        return false;
    p->sent_op = filed.first;
    p->sent_size = filed.row->size;
    return true;
}

/* A row for "name=value" and one for "name". */
static void build_tag(struct intake *k, const struct message_row *m, struct bytes label, struct batch *b)
{
    struct tag_row *row = arena_alloc(k->arena, sizeof *row);

    *row = (struct tag_row){
        .id = id_new(), .account_id = m->account_id, .message_id = m->id, .label = label, .expires_at = m->expires_at
    };
    batch_insert(b, &tag_kind, row, NULL, 0);
}

static void build_tags(struct intake *k, const struct message_row *m, struct batch *b)
{
    for (size_t i = 0; i < k->in.n_tags; i++) {
        const struct named_value *tag = &k->in.tag_list[i];
        build_tag(k, m, arena_copy(k->arena, tag->name), b);
        build_tag(k, m, arena_bytesf(k->arena, "%.*s=%.*s", SHOW(tag->name), SHOW(tag->value)), b);
    }
}

/* The first event of each account; what else it hears of this batch is gathered in its row. */
static void build_party(struct intake *k, struct party *party, struct batch *b)
{
    struct event_row *accepted = event_make(k->arena, &party->row, NULL, "email.accepted", NO_BYTES, k->now);

    batch_insert(b, &message_kind, &party->row, NULL, 0);
    bundle_begin(&party->told, accepted);
    batch_insert(b, &event_kind, accepted, NULL, 0);
}

static void build_events(struct intake *k, struct plan *p, const struct target *t, struct batch *b)
{
    struct party *own = owner(p, t), *box = &p->parties[t->party];
    struct hearer sender = { .message = &own->row, .bundle = &own->told },
                  guest = { .message = &box->row, .bundle = &box->told };

    ending_tell(b, k->arena, &sender, &t->delivery, t->verdict.outcome, own == box ? NULL : &guest, t->user.domain_id,
                k->now);
}

/* Another account's entry is not shown to the sender, once the delivery is over. */
static const struct delivery_row *delivery_as_kept(struct intake *k, const struct target *t)
{
    struct delivery_row *row;

    if (!outcome_is_final(t->verdict.outcome) || t->owner == t->party)
        return &t->delivery;
    row = arena_alloc(k->arena, sizeof *row);
    *row = t->delivery;
    row->entry_id = NO_ID;
    return row;
}

bool plan_build(struct intake *k, struct call *c, struct plan *p, struct batch *b)
{
    if (p->keeps)
        body_put(k->body, b, k->arena);
    for (size_t i = 0; i < p->n_parties; i++)
        build_party(k, &p->parties[i], b);
    build_tags(k, &p->parties[0].row, b);
    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        if (t->returned) {
            returned_add(t->returned, b, k->arena, k->now);
            continue;
        }
        if (t->filed && !build_entry(k, c, p, t, b))
            return false;
        batch_insert(b, &delivery_kind, delivery_as_kept(k, t), NULL, 0);
        build_events(k, p, t, b);
    }
    return build_sent(k, c, p, b);
}
