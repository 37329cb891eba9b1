/* service/message/plan_rows.c - the rows that follow from the outcomes, and the one batch that says so: see plan.c.
 *
 * plan_finish may run again after an outcome has changed, so counters begin at zero and whatever an earlier run wrapped
 * or sealed is made anew. The batch holds the body first and each party's message before what refers to it; the number
 * of an operation says whose it was when the batch is refused. */
#include "base/params.h"
#include "service/core/state.h"
#include "service/message/intake_private.h"
#include "service/queue/ending.h"
#include "service/queue/queue.h"
#include "service/queue/routing.h"

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
    if (intake_is_outbound(k))
        return own->domain_id;
    return id_is_none(t->user.id) ? t->recipient->domain_id : t->user.domain_id;
}

/* A route may take it for the message's own sake: then it lies apart from the start. */
static struct bytes flow_of(struct intake *k, struct call *c, const struct delivery_row *d, const struct message_row *m)
{
    struct bytes flow =
        queue_flow(k->arena, d->site, queue_class(m->priority, d->expires_at - k->now), m->account_id, m->stream_id);
    struct routes *routes = routes_now(c->svc);

    if (routes)
        flow = routes_flow(routes, m, flow, k->arena);
    routes_leave(&routes);
    return flow;
}

/* For another server. */
static bool leaves(const struct intake *k, const struct target *t)
{
    return !intake_waits(k) && t->recipient->kind == RECIPIENT_REMOTE &&
           (t->verdict.outcome == OUTCOME_QUEUED || t->verdict.outcome == OUTCOME_HELD);
}

static void finish_delivery(struct intake *k, struct call *c, struct plan *p, struct target *t)
{
    struct delivery_row *d = &t->delivery;
    struct message_row *own = &owner(p, t)->row, *box = &p->parties[t->party].row;
    enum outcome outcome = t->verdict.outcome;

    d->account_id = own->account_id;
    d->message_id = own->id;
    d->mode = own->mode;
    if (leaves(k, t))
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
    if (intake_waits(k)) { /* see delivery_waits */
        d->due_at = 0;
        d->send_at = k->in.scheduled_at;
    }
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
    row->content_until = intake_begins(k) + (row->no_store ? 0 : PARAM_INT(message, keep_content));
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
    if (intake_is_outbound(k))
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
                        .auth = m->auth,
                        .summary = k->summary_sealed,
                        .header_message_id = k->summary.header_message_id,
                        .thread_root = k->summary.thread_root,
                        .body_size = body_size(k->body),
                        .sent_at = k->summary.sent_at,
                        .received_at = k->now,
                        .header_8bit = k->header_8bit };

    if (m->junk && !filing_junk(c->svc, k->arena, t->user.id, &f.mailbox_id, &c->err))
        return false;
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

/* Of a mail from another server: what came of looking where it comes from. */
static struct bytes told_origin(struct intake *k)
{
    return k->origin.json.p ? arena_bytesf(k->arena, "\"auth\":%.*s,\"junk\":%s", SHOW(k->origin.json),
                                           k->origin.junk ? "true" : "false")
                            : NO_BYTES;
}

/* The first event of each account; what else it hears of this batch is gathered in its row. */
static void build_party(struct intake *k, struct party *party, struct batch *b)
{
    struct event_row *accepted = event_make(k->arena, &party->row, NULL, "email.accepted", told_origin(k), k->now);

    batch_insert(b, &message_kind, &party->row, NULL, 0);
    bundle_begin(&party->told, accepted);
    batch_insert(b, &event_kind, accepted, NULL, 0);
    if (party->row.release_at)
        bundle_add(&party->told, event_scheduled(k->arena, &party->row, k->now), k->arena);
}

static void build_parties(struct intake *k, struct plan *p, struct batch *b)
{
    for (size_t i = 0; i < p->n_parties; i++)
        if (i == 0 && k->again.message)
            again_message(k, &p->parties[0], b);
        else
            build_party(k, &p->parties[i], b);
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
    if (k->again.message) /* what waited for it does not any more */
        body_mark(b, body_id(k->body), k->arena);
    else if (p->keeps)
        body_put(k->body, b, k->arena);
    build_parties(k, p, b);
    build_tags(k, &p->parties[0].row, b);
    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        if (t->returned) {
            returned_add(t->returned, b, k->arena, k->now);
            continue;
        }
        if (t->filed && !build_entry(k, c, p, t, b))
            return false;
        if (t->was)
            again_delivery(k, t, delivery_as_kept(k, t), b);
        else
            batch_insert(b, &delivery_kind, delivery_as_kept(k, t), NULL, 0);
        build_events(k, p, t, b);
    }
    return build_sent(k, c, p, b);
}
