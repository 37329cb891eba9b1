/* service/queue/slice.c - the batch that ends claimed deliveries of one message: see slice.h.
 *
 * A batch is built, and built anew without what it failed by: a mailbox that is full or gone, a delivery that was
 * cancelled meanwhile, a row that is no more there. So one of them never keeps the others. Each try learns one thing,
 * hence tries are bounded. How many deliveries fit is bounded in bytes, as each brings the texts of the message
 * again. */
#include "service/queue/slice.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "service/body/filing.h"
#include "service/core/state.h"
#include "service/message/intake_private.h"
#include "service/message/message_private.h"
#include "service/queue/outcome.h"
#include "service/queue/play.h"

/* Rows, values and copies that ending one delivery takes, beside the texts that are counted. */
#define ONE_MEMORY 8192
/* Failures of our own after which a delivery is held, and the pause after each before it is tried again. */
#define FAILURES_MAX 3
#define PAUSE_MS     1000

/* One delivery, and what is learnt about it from batch to batch. */
struct part {
    const struct delivery_row *row;
    enum outcome outcome;
    struct directory_user user; /* of whom it is filed; id none otherwise */
    struct filed filed;         /* first -1: not filed by the batch */
    bool shares;                /* its entry is there already, or another part files it */
    bool lost;                  /* no longer ours */
    bool guest_gone;            /* the other account's message is no more */
    int end_op, guest_op;       /* operations of the batch, -1: none */
};

struct slice {
    struct service *svc;
    struct arena *arena;
    struct call call; /* for the directory */
    struct message_row message;
    struct crypt_key content;
    struct part *parts;
    size_t n;
    bool message_gone, body_gone;
    int count_op, erase_op, mark_op;
};

/* ---- what becomes of each ---- */

static bool is_local(const struct delivery_row *d)
{
    return bytes_equal(d->kind, BYTES("local"));
}

static bool decide_local(struct slice *s, struct part *p)
{
    if (directory_user(&s->call, p->row->user_id, &p->user)) {
        p->outcome = p->user.disabled ? OUTCOME_MISSING : OUTCOME_DELIVERED;
        return true;
    }
    p->outcome = OUTCOME_MISSING;
    return call_was_missing(&s->call);
}

/* What the attempt that is due now comes to. */
static bool decide(struct slice *s, struct part *p, bool readable)
{
    const struct delivery_row *d = p->row;

    if (is_local(d) && d->expires_at <= clock_wall())
        p->outcome = OUTCOME_EXPIRED;
    else if (!readable)
        p->outcome = OUTCOME_GONE;
    else if (is_local(d))
        return decide_local(s, p);
    else
        p->outcome = play_next(d->email);
    return true;
}

/* Of several parts with one entry the first files it. */
static void mark_shared(struct slice *s, size_t i)
{
    for (size_t j = 0; j < i && !s->parts[i].shares; j++)
        s->parts[i].shares = id_equal(s->parts[i].row->entry_id, s->parts[j].row->entry_id) && !s->parts[j].lost;
}

/* How many of them one batch may take: each brings the texts of the message again. */
static size_t most_parts(const struct slice *s, size_t n)
{
    size_t each = ONE_MEMORY + s->message.summary.n + s->message.trace.n + s->message.tags.n + s->message.metadata.n;
    size_t most = (size_t)PARAM_INT(delivery, slice_memory) / each;

    return most < 1 ? 1 : most < n ? most : n;
}

static bool decide_all(struct slice *s, const struct delivery_row *rows, size_t n, bool readable)
{
    size_t most = (size_t)PARAM_INT(delivery, slice_memory), from = arena_used(s->arena);

    n = most_parts(s, n);
    for (s->n = 0; s->n < n && (s->n == 0 || arena_used(s->arena) - from < most); s->n++) {
        s->parts[s->n] = (struct part){ .row = &rows[s->n] };
        if (!decide(s, &s->parts[s->n], readable))
            return false;
        mark_shared(s, s->n);
    }
    return true;
}

/* The key of the content, from any delivery that still has it. False: gone, or sealed with a key that is not ours. */
static bool open_content(struct slice *s, const struct delivery_row *rows, size_t n)
{
    struct err ignored = { 0 };

    for (size_t i = 0; i < n; i++)
        if (seal_open_server(s->svc, rows[i].id, rows[i].wrapped_key, rows[i].wrap, &s->content, &ignored))
            return true;
    return false;
}

static bool load(struct slice *s, const struct delivery_row *row, struct err *e)
{
    bool there;

    if (!store_look(s->svc->store, &message_kind, row->message_id, s->arena, &s->message, &there, e))
        return false;
    s->message_gone = !there;
    if (!there) /* what an event wants to know of it */
        s->message = (struct message_row){
            .id = row->message_id, .account_id = row->account_id, .body_id = row->body_id, .mode = row->mode
        };
    return true;
}

/* ---- the batch ---- */

/* Whose message counts the delivery too. A row of an older build does not say; its user does. */
static struct id guest_of(const struct slice *s, const struct part *p)
{
    if (!id_is_none(p->row->guest_id) || id_is_none(p->user.id) || id_equal(p->user.account_id, s->message.account_id))
        return p->row->guest_id;
    return p->user.account_id;
}

static bool file(struct slice *s, struct batch *b, struct part *p, struct err *e)
{
    const struct message_row *m = &s->message;
    bool own = id_equal(p->user.account_id, m->account_id);
    struct filing f = { .user = &p->user,
                        .mailbox_id = p->user.inbox_id,
                        .entry_id = p->row->entry_id,
                        .message_id = own ? m->id : message_id_for(m->body_id, p->user.account_id),
                        .body_id = m->body_id,
                        .content = &s->content,
                        .trace = filing_trace(m->envelope_from, m->trace, s->arena),
                        .summary = m->summary,
                        .body_size = m->size - (int64_t)m->trace.n,
                        .sent_at = m->sent_at,
                        .received_at = m->created_at,
                        .header_8bit = m->header_8bit };

    return filing_add(s->svc, b, s->arena, &f, &p->filed, e);
}

static bool is_filed(const struct part *p)
{
    return p->outcome == OUTCOME_DELIVERED && is_local(p->row) && !id_is_none(p->row->entry_id);
}

static const char *event_of(const struct slice *s, const struct part *p)
{
    return bytes_equal(s->message.direction, BYTES("inbound")) && p->outcome == OUTCOME_DELIVERED
               ? "email.received"
               : outcome_row(p->outcome)->event;
}

/* On condition that it is ours, and was not cancelled meanwhile. */
static int update_delivery(struct batch *b, struct arena *a, const struct delivery_row *was, struct set *sets, size_t n)
{
    struct cond *ours = arena_array(a, 2, sizeof *ours);

    ours[0] = COND("token", IS, V_INT(was->token));
    ours[1] = COND("status", IS, V_TEXT(was->status));
    return batch_update(b, &delivery_kind, was->id, ours, 2, sets, n);
}

static void end_delivery(struct slice *s, struct batch *b, struct part *p, int64_t now)
{
    struct delivery_row *after = arena_alloc(s->arena, sizeof *after);
    struct set *sets = arena_array(s->arena, 10, sizeof *sets);

    *after = *p->row;
    outcome_apply(after, p->outcome, now, s->arena);
    if (p->outcome != OUTCOME_DELIVERED || !id_is_none(guest_of(s, p)))
        after->entry_id = NO_ID;
    sets[0] = SET("status", V_TEXT(after->status));
    sets[1] = SET("attempts", V_INT(after->attempts));
    sets[2] = SET("last", V_JSON(after->last));
    sets[3] = SET("due_at", V_TIME(after->due_at));
    sets[4] = SET("lease_until", V_TIME(0));
    sets[5] = SET("final_at", V_TIME(after->final_at));
    sets[6] = SET("keep_until", V_TIME(after->keep_until));
    sets[7] = SET("wrapped_key", V_BYTES(NO_BYTES));
    sets[8] = SET("wrap", V_TEXT(NO_BYTES));
    sets[9] = SET("entry_id", V_ID(after->entry_id));
    p->end_op = update_delivery(b, s->arena, p->row, sets, 10);
    event_record(b, s->arena, &s->message, after, event_of(s, p), now);
}

/* From where it stood to where it stands, once. */
static void count(struct message_row *sum, const struct part *p)
{
    *(bytes_equal(p->row->status, BYTES("held")) ? &sum->n_held : &sum->n_open) -= 1;
    outcome_count(sum, p->outcome, 1);
}

/* The other account's message and timeline follow. */
static void tell_guest(struct slice *s, struct batch *b, struct part *p, int64_t now)
{
    struct message_row *theirs, sum = { 0 };
    struct id account = guest_of(s, p);
    struct delivery_row *visitor;

    if (id_is_none(account))
        return;
    theirs = arena_alloc(s->arena, sizeof *theirs);
    theirs->id = message_id_for(s->message.body_id, account);
    theirs->account_id = account;
    count(&sum, p);
    if (!p->guest_gone)
        p->guest_op = outcome_add(b, s->arena, theirs->id, &sum);
    if (p->outcome != OUTCOME_DELIVERED)
        return;
    visitor = arena_alloc(s->arena, sizeof *visitor); /* the delivery itself is not theirs to see */
    visitor->email = p->row->email;
    visitor->domain_id = p->user.domain_id;
    event_record(b, s->arena, theirs, visitor, "email.received", now);
}

/* Is nothing left to do for the message? Where two slices end at once, the sweep sees it. */
static bool ends_it(const struct slice *s, const struct message_row *sum)
{
    return s->message.n_open + sum->n_open == 0 && s->message.n_held + sum->n_held == 0;
}

static void end_message(struct slice *s, struct batch *b, const struct message_row *sum, bool left_out)
{
    if (!s->message_gone)
        s->count_op = outcome_add(b, s->arena, s->message.id, sum);
    if (s->body_gone)
        return;
    if (!s->message_gone && s->message.no_store && s->message.wrapped_key.p && ends_it(s, sum)) {
        s->erase_op = (int)batch_count(b);
        message_erase(b, s->arena, &s->message);
        s->mark_op = s->erase_op + 1;
    } else if (left_out) {
        s->mark_op = (int)batch_count(b);
        body_mark(b, s->message.body_id, s->arena);
    }
}

static bool build(struct slice *s, struct batch *b, struct err *e)
{
    struct message_row sum = { 0 };
    int64_t now = clock_wall();
    bool left_out = false;

    s->count_op = s->erase_op = s->mark_op = -1;
    for (size_t i = 0; i < s->n; i++) {
        struct part *p = &s->parts[i];

        p->filed.first = p->end_op = p->guest_op = -1;
        if (!p->lost && is_filed(p) && !p->shares && !file(s, b, p, e))
            return false;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct part *p = &s->parts[i];

        if (p->lost)
            continue;
        count(&sum, p);
        end_delivery(s, b, p, now);
        tell_guest(s, b, p, now);
        left_out = left_out || p->outcome != OUTCOME_DELIVERED || !is_local(p->row);
    }
    if (batch_count(b))
        end_message(s, b, &sum, left_out);
    return true;
}

/* ---- what a refused batch says ---- */

/* The part is out, or its mailbox is. Those that shared its entry look for another that files it. */
static void mend_filing(struct slice *s, struct part *p, enum batch_fault fault)
{
    if (fault == FAULT_UNIQUE) { /* the entry is there: an earlier recipient has the same mailbox */
        for (size_t i = 0; i < s->n; i++)
            if (id_equal(s->parts[i].row->entry_id, p->row->entry_id))
                s->parts[i].shares = true;
        return;
    }
    for (size_t i = 0; i < s->n; i++)
        if (is_filed(&s->parts[i]) && id_equal(s->parts[i].row->entry_id, p->row->entry_id))
            s->parts[i].outcome = fault == FAULT_BOUND ? OUTCOME_FULL : OUTCOME_MISSING;
}

static void mend_lost(struct slice *s, struct part *p)
{
    p->lost = true;
    for (size_t i = 0; i < s->n && p->filed.first >= 0; i++)
        if (!s->parts[i].lost && s->parts[i].shares && id_equal(s->parts[i].row->entry_id, p->row->entry_id)) {
            s->parts[i].shares = false;
            return;
        }
}

/* Learns from a refused batch; false when it says nothing of what we know. */
static bool mend(struct slice *s, struct batch_failure f)
{
    for (size_t i = 0; i < s->n; i++) {
        struct part *p = &s->parts[i];

        if (p->filed.first >= 0 && f.operation >= p->filed.first && f.operation < p->filed.first + FILING_OPS)
            return mend_filing(s, p, f.fault), true;
        if (f.operation == p->end_op)
            return mend_lost(s, p), true;
        if (f.operation == p->guest_op)
            return p->guest_gone = true;
    }
    if (f.operation == s->count_op)
        return s->message_gone = true;
    if (f.operation == s->erase_op || f.operation == s->mark_op)
        return s->body_gone = true; /* or erased meanwhile */
    return false;
}

static void spread(struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct part *p = &s->parts[i];
        if (p->lost)
            continue;
        if (p->filed.first >= 0)
            directory_add_used(s->svc, p->user.id, p->filed.row->size);
        log_info("delivery", LOG_BYTES("id", id_text(s->arena, delivery_kind.prefix, p->row->id)),
                 LOG_BYTES("message", id_text(s->arena, message_kind.prefix, p->row->message_id)),
                 LOG_BYTES("rcpt", p->row->email), LOG_TEXT("result", outcome_row(p->outcome)->status));
    }
}

/* Each try learns one thing of one part, or of the message. */
static bool commit(struct slice *s, struct err *e)
{
    struct arena_mark clean = arena_mark(s->arena);

    for (size_t tries = 4 * s->n + 4; tries > 0; tries--) {
        struct batch *b;

        *e = (struct err){ 0 };
        arena_rewind(s->arena, clean);
        b = batch_new(s->arena);
        if (!build(s, b, e))
            return false;
        if (!batch_count(b)) /* others were faster with all of them */
            return true;
        if (store_commit(s->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e)) {
            spread(s);
            return true;
        }
        if (e->code != ERR_CONFLICT || !mend(s, batch_failure(b)))
            return false;
    }
    return false;
}

bool slice_end(struct service *svc, struct arena *a, const struct delivery_row *rows, size_t n, size_t *done,
               struct err *e)
{
    struct slice s = { .svc = svc, .arena = a, .parts = arena_array(a, n, sizeof *s.parts) };
    bool ok;

    *done = n;
    call_init(&s.call, svc, a, "due");
    if (!load(&s, &rows[0], e))
        return false;
    ok = decide_all(&s, rows, n, !s.message_gone && open_content(&s, rows, n));
    *done = s.n ? s.n : 1;
    if (ok)
        ok = commit(&s, e);
    else
        *e = s.call.err;
    crypt_wipe(&s.content, sizeof s.content);
    return ok;
}

/* ---- what fails again and again ---- */

static void hold(struct batch *b, struct arena *a, const struct delivery_row *row, struct set *sets, size_t n,
                 int64_t now)
{
    struct message_row of = { .id = row->message_id, .account_id = row->account_id, .mode = row->mode }, sum = { 0 };
    struct delivery_row *after = arena_alloc(a, sizeof *after);

    *after = *row;
    outcome_apply(after, OUTCOME_HELD, now, a);
    sets[n++] = SET("status", V_TEXT(after->status));
    sets[n++] = SET("last", V_JSON(after->last));
    sets[n++] = SET("due_at", V_TIME(after->due_at));
    update_delivery(b, a, row, sets, n);
    sum.n_open = -1;
    sum.n_held = 1;
    outcome_add(b, a, row->message_id, &sum);
    if (!id_is_none(row->guest_id))
        outcome_add(b, a, message_id_for(row->body_id, row->guest_id), &sum);
    event_record(b, a, &of, after, outcome_row(OUTCOME_HELD)->event, now);
}

bool slice_failed(struct service *svc, struct arena *a, const struct delivery_row *row, bool *held, struct err *e)
{
    bool again = bytes_equal(row->status, BYTES("held")); /* its time is over, and not even that can be written down */
    struct set *sets = arena_array(a, 6, sizeof *sets);
    struct batch *b = batch_new(a);
    int64_t now = clock_wall();

    *held = !again && row->failures + 1 >= FAILURES_MAX;
    sets[0] = SET("failures", V_INT(row->failures + 1));
    sets[1] = SET("lease_until", V_TIME(0));
    sets[2] = SET("due_at", V_TIME(now + PAUSE_MS * (row->failures + 1)));
    if (*held)
        hold(b, a, row, sets, 2, now);
    else
        update_delivery(b, a, row, sets, 3);
    return store_commit(svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e);
}
