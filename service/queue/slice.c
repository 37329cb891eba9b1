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
#include "service/queue/ending.h"
#include "service/queue/play.h"
#include "service/queue/report.h"

/* Rows, values and copies that ending one delivery takes, beside the texts that are counted. */
#define ONE_MEMORY 8192
/* Failures of our own after which a delivery is held, and the pause after each before it is tried again. */
#define FAILURES_MAX 3
#define PAUSE_MS     1000

/* The mailbox behind one delivery, and what is learnt about it from batch to batch. */
struct part {
    struct directory_user user; /* of whom it is filed; id none otherwise */
    struct filed filed;         /* first -1: not filed by the batch */
    bool shares;                /* its entry is there already, or another part files it */
};

struct slice {
    struct service *svc;
    struct arena *arena;
    struct call call; /* for the directory */
    struct message_row message;
    struct crypt_key content;
    struct part *parts;
    struct ending *ends; /* one for each part */
    struct endings list;
    size_t n;
};

/* ---- what becomes of each ---- */

static bool is_local(const struct delivery_row *d)
{
    return bytes_equal(d->kind, BYTES("local"));
}

static bool decide_local(struct slice *s, const struct delivery_row *d, struct part *p, enum cause *cause)
{
    *cause = CAUSE_NO_USER;
    if (!directory_user(&s->call, d->user_id, &p->user))
        return call_was_missing(&s->call);
    if (!p->user.disabled)
        *cause = CAUSE_FILED;
    return true;
}

/* What the attempt that is due now comes to. */
static bool decide(struct slice *s, const struct delivery_row *d, struct part *p, bool readable, enum cause *cause)
{
    if (is_local(d) && d->expires_at <= clock_wall())
        *cause = CAUSE_TIME_OVER;
    else if (!readable)
        *cause = CAUSE_CONTENT_GONE;
    else if (is_local(d))
        return decide_local(s, d, p, cause);
    else
        *cause = play_next(d->email);
    return true;
}

/* Whose message counts the delivery too. A row of an older build does not say; its user does. */
static struct id guest_of(const struct slice *s, const struct delivery_row *d, const struct part *p)
{
    if (!id_is_none(d->guest_id) || id_is_none(p->user.id) || id_equal(p->user.account_id, s->message.account_id))
        return d->guest_id;
    return p->user.account_id;
}

static bool same_entry(const struct slice *s, size_t i, size_t j)
{
    return id_equal(s->ends[i].row->entry_id, s->ends[j].row->entry_id);
}

/* Of several parts with one entry the first files it. */
static void mark_shared(struct slice *s, size_t i)
{
    for (size_t j = 0; j < i && !s->parts[i].shares; j++)
        s->parts[i].shares = same_entry(s, i, j);
}

static bool decide_one(struct slice *s, const struct delivery_row *d, size_t i, bool readable)
{
    struct part *p = &s->parts[i];
    enum cause cause;

    *p = (struct part){ 0 };
    if (!decide(s, d, p, readable, &cause))
        return false;
    s->ends[i] = (struct ending){ .row = d,
                                  .verdict = verdict_of(cause, clock_wall()),
                                  .guest = guest_of(s, d, p),
                                  .guest_domain = p->user.domain_id };
    mark_shared(s, i);
    return true;
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
    for (s->n = 0; s->n < n && (s->n == 0 || arena_used(s->arena) - from < most); s->n++)
        if (!decide_one(s, &rows[s->n], s->n, readable))
            return false;
    s->list =
        (struct endings){ .message = &s->message, .each = s->ends, .n = s->n, .message_gone = s->list.message_gone };
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

/* ---- the batch ---- */

static bool file(struct slice *s, struct batch *b, const struct delivery_row *d, struct part *p, struct err *e)
{
    const struct message_row *m = &s->message;
    bool own = id_equal(p->user.account_id, m->account_id);
    struct filing f = { .user = &p->user,
                        .mailbox_id = p->user.inbox_id,
                        .entry_id = d->entry_id,
                        .message_id = own ? m->id : message_id_for(m->body_id, p->user.account_id),
                        .body_id = m->body_id,
                        .content = &s->content,
                        .trace = filing_trace(m->envelope_from, m->trace, s->arena),
                        .auth = m->auth,
                        .summary = m->summary,
                        .header_message_id = m->header_message_id,
                        .thread_root = seal_open_text(&s->content, m->body_id, m->thread_root, s->arena),
                        .body_size = m->size - (int64_t)m->trace.n,
                        .sent_at = m->sent_at,
                        .received_at = m->created_at,
                        .header_8bit = m->header_8bit };

    return (!m->junk || filing_junk(s->svc, s->arena, p->user.id, &f.mailbox_id, e)) &&
           filing_add(s->svc, b, s->arena, &f, &p->filed, e);
}

static bool is_filed(const struct ending *e)
{
    return e->verdict.outcome == OUTCOME_DELIVERED && is_local(e->row) && !id_is_none(e->row->entry_id);
}

static bool build(struct slice *s, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct part *p = &s->parts[i];

        p->filed.first = -1;
        if (!s->ends[i].lost && is_filed(&s->ends[i]) && !p->shares && !file(s, b, s->ends[i].row, p, e))
            return false;
    }
    endings_add(&s->list, b, s->arena, clock_wall());
    return true;
}

/* ---- what a refused batch says ---- */

/* The mailbox is out: those that share its entry are, too. */
static void mend_filing(struct slice *s, size_t i, enum batch_fault fault)
{
    enum cause cause = fault == FAULT_BOUND ? CAUSE_MAILBOX_FULL : CAUSE_NO_USER;

    for (size_t j = 0; j < s->n; j++)
        if (!same_entry(s, i, j))
            continue;
        else if (fault == FAULT_UNIQUE) /* the entry is there: an earlier recipient has the same mailbox */
            s->parts[j].shares = true;
        else if (is_filed(&s->ends[j]))
            s->ends[j].verdict = verdict_of(cause, clock_wall());
}

/* One that is no longer ours was to file an entry: one of those that share it does. */
static void pass_on(struct slice *s, size_t i)
{
    if (s->parts[i].filed.first < 0)
        return;
    for (size_t j = 0; j < s->n; j++)
        if (!s->ends[j].lost && s->parts[j].shares && same_entry(s, i, j)) {
            s->parts[j].shares = false;
            return;
        }
}

/* Learns from a refused batch; false when it says nothing of what we know. */
static bool mend(struct slice *s, struct batch_failure f)
{
    for (size_t i = 0; i < s->n; i++) {
        int first = s->parts[i].filed.first;

        if (first >= 0 && f.operation >= first && f.operation < first + FILING_OPS)
            return mend_filing(s, i, f.fault), true;
    }
    if (!endings_mend(&s->list, f))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (f.operation == s->ends[i].op)
            pass_on(s, i);
    return true;
}

static void spread(struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct ending *e = &s->ends[i];

        if (e->lost)
            continue;
        if (s->parts[i].filed.first >= 0)
            directory_add_used(s->svc, s->parts[i].user.id, s->parts[i].filed.row->size);
        log_info("delivery", LOG_BYTES("id", id_text(s->arena, delivery_kind.prefix, e->row->id)),
                 LOG_BYTES("message", id_text(s->arena, message_kind.prefix, e->row->message_id)),
                 LOG_BYTES("rcpt", e->row->email), LOG_TEXT("result", outcome_row(e->verdict.outcome)->status));
    }
}

/* Each try learns one thing of one part, or of the message. */
static bool commit_with(struct slice *s, struct report *r, struct err *e)
{
    struct arena_mark clean = arena_mark(s->arena);

    for (size_t tries = 4 * s->n + 5; tries > 0; tries--) {
        struct batch *b;

        *e = (struct err){ 0 };
        arena_rewind(s->arena, clean);
        b = batch_new(s->arena);
        if (!build(s, b, e) || !report_add(r, b, e))
            return false;
        if (!batch_count(b)) /* others were faster with all of them */
            return true;
        if (store_commit(s->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e)) {
            spread(s);
            report_done(r);
            return true;
        }
        if (e->code != ERR_CONFLICT || !(mend(s, batch_failure(b)) || report_mend(r, batch_failure(b))))
            return false;
    }
    return false;
}

static bool commit(struct slice *s, struct err *e)
{
    struct report *r;
    bool ok = report_begin(s->svc, &s->list, NO_BYTES, &r, e) && commit_with(s, r, e);

    report_drop(&r);
    return ok;
}

bool slice_end(struct service *svc, struct arena *a, const struct delivery_row *rows, size_t n, size_t *done,
               struct err *e)
{
    struct slice s = {
        .svc = svc, .arena = a, .parts = arena_array(a, n, sizeof *s.parts), .ends = arena_array(a, n, sizeof *s.ends)
    };
    bool ok;

    *done = n;
    call_init(&s.call, svc, a, "due");
    if (!message_of(svc, &rows[0], s.arena, &s.message, &s.list.message_gone, e))
        return false;
    ok = decide_all(&s, rows, n, !s.list.message_gone && open_content(&s, rows, n));
    *done = s.n ? s.n : 1;
    if (ok)
        ok = commit(&s, e);
    else
        *e = s.call.err;
    crypt_wipe(&s.content, sizeof s.content);
    return ok;
}

/* ---- what fails again and again ---- */

/* Its lease ends, and it falls due again after a while. */
static void put_back(struct batch *b, struct arena *a, const struct delivery_row *row)
{
    struct cond *ours = arena_array(a, 2, sizeof *ours);
    struct set *sets = arena_array(a, 3, sizeof *sets);

    ours[0] = COND("token", IS, V_INT(row->token));
    ours[1] = COND("status", IS, V_TEXT(row->status));
    sets[0] = SET("failures", V_INT(row->failures + 1));
    sets[1] = SET("lease_until", V_TIME(0));
    sets[2] = SET("due_at", V_TIME(clock_wall() + PAUSE_MS * (row->failures + 1)));
    batch_update(b, &delivery_kind, row->id, ours, 2, sets, 3);
}

static bool hold(struct service *svc, struct arena *a, const struct delivery_row *row, struct err *e)
{
    struct message_row of = message_stand_in(row);
    struct ending end = { .row = row,
                          .verdict = verdict_of(CAUSE_STUCK, clock_wall()),
                          .guest = row->guest_id,
                          .failures = row->failures + 1 };
    struct endings list = { .message = &of, .each = &end, .n = 1 };

    return endings_commit(svc, &list, a, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e);
}

bool slice_failed(struct service *svc, struct arena *a, const struct delivery_row *row, bool *held, struct err *e)
{
    bool again = bytes_equal(row->status, BYTES("held")); /* its time is over, and not even that can be written down */
    struct batch *b = batch_new(a);

    *held = !again && row->failures + 1 >= FAILURES_MAX;
    if (*held)
        return hold(svc, a, row, e);
    put_back(b, a, row);
    return store_commit(svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e);
}
