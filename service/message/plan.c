/* service/message/plan.c - what becomes of each recipient: see intake_private.h.
 *
 * First every recipient gets an outcome, then rows follow from the outcomes, then the batch is built from the rows
 * (plan_rows.c). So when the batch fails by one recipient (a mailbox is full, a user has gone) only that outcome
 * changes and the rest is made anew. Each account that takes part, a party, has a message row of its own; of mail that
 * is sent the sender's has the deliveries. */
#include "base/params.h"
#include "service/core/state.h"
#include "service/identity/domain_records.h"
#include "service/message/intake_private.h"
#include "service/queue/ending.h"
#include "service/queue/play.h"

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

bool intake_is_outbound(const struct intake *k)
{
    return k->in.source == SOURCE_API || k->in.source == SOURCE_SUBMISSION;
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
    bool own = first && intake_is_outbound(k);

    *row = (struct message_row){ .id = first ? k->message_id : message_id_for(body_id(k->body), account),
                                 .account_id = account,
                                 .body_id = body_id(k->body),
                                 .request_id = c->request,
                                 .header_message_id = k->summary.header_message_id,
                                 .direction = own ? BYTES("outbound") : BYTES("inbound"),
                                 .source = bytes_of(sources[k->in.source]),
                                 .mode = intake_mode(k, c),
                                 .envelope_from = k->in.envelope_from,
                                 .trace = k->trace,
                                 .auth = k->origin.json,
                                 .junk = k->origin.junk,
                                 .dsn = dsn_json(k),
                                 .size = body_size(k->body) + (int64_t)k->trace.n,
                                 .created_at = k->now,
                                 .body_8bit = k->body_8bit,
                                 .foreign_dkim = k->foreign_dkim,
                                 .needs_utf8 = k->needs_utf8,
                                 .to_sign = first && k->sign.hold,
                                 .longest_line = k->longest_line,
                                 .expires_at = intake_begins(k) + PARAM_INT(message, keep) };
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
    row->scheduled_at = row->release_at = k->in.scheduled_at;
    row->priority = k->in.priority;
    row->expires_after = k->in.expires_after;
    row->batch_id = k->in.batch_id;
    row->stream_id = k->in.stream_id;
    row->topic = k->in.topic;
    row->unsubscribes = k->in.unsubscribes;
    row->tracking = k->in.tracking;
    row->template_id = k->in.template_id;
    row->template_version = k->in.template_version;
    row->undated = k->undated;
    row->save_to_sent = k->in.save_to_sent;
    if (c->who && c->who->kind == WHO_KEY)
        row->key_id = c->who->id;
    if (c->who && c->who->kind == WHO_USER)
        row->user_id = c->who->id;
}

/* The row that is there, as it is from now on. */
static void party_again(const struct intake *k, struct message_row *row)
{
    *row = *k->again.message;
    row->trace = k->trace;
    row->size = body_size(k->body) + (int64_t)k->trace.n;
    row->to_sign = k->sign.hold;
    row->needs_utf8 = k->needs_utf8;
    row->release_at = 0;
    row->expires_at = k->now + PARAM_INT(message, keep);
}

static size_t party_of(struct intake *k, struct call *c, struct plan *p, struct id account)
{
    for (size_t i = 0; i < p->n_parties; i++)
        if (id_equal(p->parties[i].row.account_id, account))
            return i;
    if (p->n_parties == 0 && k->again.message)
        party_again(k, &p->parties[0].row);
    else
        party_row(k, c, account, p->n_parties == 0, &p->parties[p->n_parties].row);
    return p->n_parties++;
}

/* ---- who is suppressed ---- */

/* Applications keep to the account's list, users write to whom they like. */
static bool keeps_to_list(const struct intake *k, const struct call *c)
{
    return intake_is_outbound(k) && !intake_waits(k) && c->who && !c->who->test &&
           (c->who->kind == WHO_KEY || c->who->kind == WHO_SOCKET);
}

/* Elsewhere all of the list counts; here what somebody has said by a link in such a mail. */
static bool is_asked(const struct intake *k, const struct recipient *r)
{
    return r->kind == RECIPIENT_REMOTE ||
           (k->in.unsubscribes && (r->kind == RECIPIENT_LOCAL || r->kind == RECIPIENT_FORWARD));
}

static bool is_heeded(const struct recipient *r, const struct suppression_row *row)
{
    return !id_is_none(row->id) && (r->kind == RECIPIENT_REMOTE || row->strength == SUPPRESSED_UNSUBSCRIBE);
}

/* One look for all of them; where there are none, none. */
static bool find_suppressed(struct intake *k, struct call *c, struct plan *p)
{
    const struct suppression_scope scope = { c->account, k->in.stream_id, k->in.topic, k->in.bypass };
    struct suppression_row *rows;
    struct target **of;
    struct bytes *emails;
    size_t n = 0;

    if (!keeps_to_list(k, c))
        return true;
    of = arena_array(k->arena, k->in.n_recipients, sizeof *of);
    emails = arena_array(k->arena, k->in.n_recipients, sizeof *emails);
    for (size_t i = 0; i < k->in.n_recipients; i++)
        if (is_asked(k, &k->in.recipients[i])) {
            of[n] = &p->targets[i];
            emails[n++] = k->in.recipients[i].email;
        }
    if (!n)
        return true;
    rows = arena_array(k->arena, n, sizeof *rows);
    if (!suppression_find(c->svc, k->arena, &scope, emails, n, rows, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (is_heeded(of[i]->recipient, &rows[i]))
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

/* Nobody can be refused any more once the mail was accepted. */
static bool plan_remote(struct intake *k, struct call *c, struct target *t)
{
    if (k->untrusted.p && !t->from && !k->again.message)
        return domain_unverified(c, k->untrusted);
    decide(k, t,
           k->untrusted.p && t->from ? CAUSE_UNVERIFIED
           : k->untrusted.p          ? CAUSE_UNTRUSTED
           : k->sign.hold            ? CAUSE_UNSIGNED
                                     : CAUSE_LEAVES);
    return true;
}

/* Who it is, and whether it can have the mail, is looked at when that begins; whether it could leave, now, too. */
static bool plan_waiting(struct intake *k, struct call *c, struct target *t)
{
    if (t->recipient->kind == RECIPIENT_REMOTE && intake_is_live(k, c) && k->untrusted.p)
        return domain_unverified(c, k->untrusted);
    decide(k, t, CAUSE_WAITS);
    return true;
}

static bool plan_target(struct intake *k, struct call *c, struct target *t, struct seen *seen, size_t *boxes)
{
    const struct recipient *r = t->recipient;
    bool test = c->who && c->who->test;
    enum cause cause;

    if (t->refused != CAUSES)
        decide(k, t, t->refused);
    else if (k->disowned)
        decide(k, t, CAUSE_NO_SENDER);
    else if (intake_waits(k))
        return plan_waiting(k, c, t);
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
    else if (r->kind == RECIPIENT_REMOTE && intake_is_live(k, c))
        return plan_remote(k, c, t);
    else
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

    d->id = t->was ? t->was->id : id_new();
    d->body_id = body_id(k->body);
    d->user_id = t->user.id;
    d->email = t->recipient->email;
    d->kind = t->recipient->kind == RECIPIENT_LOCAL || t->recipient->kind == RECIPIENT_FORWARD ? BYTES("local")
                                                                                               : BYTES("remote");
    d->via = t->from ? t->from->recipient->email : NO_BYTES;
    d->site = bytes_from(d->email, bytes_find_last(d->email, '@') + 1);
    d->part = part_of(d->site);
    d->dsn = t->recipient->dsn;
    d->created_at = t->was ? t->was->created_at : k->now;
    d->expires_at = intake_begins(k) + tried;
}

/* Whose Sent gets a copy: the user who submitted, or the one an API send named. */
static bool plan_sent(struct intake *k, struct call *c, struct plan *p)
{
    struct address address;

    if (intake_waits(k) || k->disowned || (c->who && c->who->test))
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
    struct id account = intake_waits(k) ? NO_ID : account_of(t);

    t->party = id_is_none(account) ? 0 : party_of(k, c, p, account);
    t->owner = intake_is_outbound(k) && !t->from ? 0 : t->party;
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
    if (intake_is_outbound(k) || k->in.source == SOURCE_SYSTEM)
        party_of(k, c, p, c->account);
    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        if (t->recipient->kind == RECIPIENT_RETURNED && !intake_waits(k) && !plan_returned(k, c, t))
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
