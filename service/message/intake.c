/* service/message/intake.c - a mail as it arrives, and the loop that accepts it: see intake.h.
 *
 * The header is held until it is whole, because it is checked and changed; the body goes by in pieces, with other
 * fibers in between. Memory is charged to the door's budget before it is used. A batch that met a full mailbox or a
 * user who has gone is built again without it where the caller is told by recipient (API); SMTP hears it as the mail's
 * refusal. */
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/structure.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/stream.h"
#include "service/identity/stream_day.h"
#include "service/message/intake_private.h"
#include "service/queue/due.h"
#include "service/queue/queue.h"
#include <assert.h>

/* What one intake may hold beside its body: the rows of the batch, which recipients lengthen; and while the mail comes
 * its MIME parts. Of a mail whose parts do not fit, the first are told apart. */
#define INTAKE_ARENA ((size_t)16 * 1024 * 1024)
#define PARTS_ARENA  ((size_t)512 * 1024)
/* What a large body's writer holds: body.h. */
#define LARGE_MEMORY (2 * BODY_FRAME + (size_t)64 * 1024)
/* Memory is taken from the door's budget in such pieces. */
#define CHARGE ((size_t)64 * 1024)
/* What a store that is busy gets to take in a chunk or the whole: the session that brings it may be much older. */
#define STORE_MS 30000
/* Bytes handled before the other fibers of the loop may get a turn. */
#define TURN ((size_t)64 * 1024)

/* What an application submits is of its account's default stream. */
static bool find_stream(struct intake *k, struct call *c)
{
    struct stream_row stream;

    if (k->in.source != SOURCE_SUBMISSION || !c->who || c->who->kind != WHO_KEY)
        return true;
    if (!stream_known(c, NO_BYTES, &stream))
        return false;
    k->in.stream_id = stream.id;
    k->in.stream = arena_copy(k->arena, stream.slug);
    if (!k->in.expires_after)
        k->in.expires_after = stream.expires_after;
    return true;
}

bool intake_begin(struct call *c, const struct intake_in *in, struct intake **out)
{
    struct intake *k;

    assert(in->n_recipients > 0);
    if (in->expected > PARAM_INT(message, size_max))
        return err_set(&c->err, ERR_TOO_LARGE, "The message is larger than %lld bytes",
                       (long long)PARAM_INT(message, size_max));
    if (!service_accepts(c->svc, &c->err))
        return false;
    k = calloc(1, sizeof *k);
    if (!k)
        die("out of memory");
    k->in = *in;
    k->budget = in->source == SOURCE_API || in->source == SOURCE_SYSTEM ? &budget_api : &budget_smtp;
    k->arena = arena_new_in(k->budget, INTAKE_ARENA);
    k->parts = arena_new_in(k->budget, PARTS_ARENA);
    k->in.envelope_from = address_to_ascii(in->envelope_from, k->arena);
    k->body = body_begin(c->svc);
    k->mime = structure_begin(k->parts);
    k->size_max = PARAM_INT(message, size_max);
    k->now = clock_wall();
    k->message_id = id_is_none(in->message_id) ? id_new() : in->message_id;
    buf_init(&k->head, (size_t)PARAM_INT(message, header_max) + 4);
    *out = k;
    intake_origin_begin(k, c);
    return find_stream(k, c);
}

void intake_drop(struct intake **k)
{
    if (!*k)
        return;
    report_drop(&(*k)->report);
    body_free(&(*k)->body);
    buf_clear(&(*k)->head);
    buf_clear(&(*k)->rewritten);
    intake_sign_drop(*k);
    intake_origin_drop(*k);
    arena_free(&(*k)->arena);
    arena_free(&(*k)->parts);
    budget_give((*k)->budget, (*k)->charged);
    free(*k);
    *k = NULL;
}

/* What the header's buffer and the body's writer hold is counted ahead of what they are about to. */
static bool charge(struct intake *k, struct call *c, size_t more)
{
    size_t body = (size_t)body_size(k->body) + more;
    size_t want = k->head.cap + k->rewritten.cap + (body > BODY_INLINE ? LARGE_MEMORY : body);

    if (want <= k->charged)
        return true;
    want += CHARGE - want % CHARGE;
    if (!budget_take(k->budget, want - k->charged))
        return err_set(&c->err, ERR_MEMORY, "The memory of %s is used up", k->budget->name);
    k->charged = want;
    return true;
}

static void end_line(struct intake *k, int64_t length)
{
    if (length > k->longest_line)
        k->longest_line = length;
    k->line = 0;
}

static void measure(struct intake *k, struct bytes piece)
{
    if (k->in_body && !k->body_8bit)
        k->body_8bit = has_8bit(piece);
    while (piece.n) {
        size_t at = bytes_find(piece, '\n');

        k->line += (int64_t)at;
        if (at < piece.n)
            end_line(k, k->line - 1); /* CR */
        piece = bytes_from(piece, at < piece.n ? at + 1 : at);
    }
}

/* Bytes as they are kept. */
static bool bytes_keep(struct intake *k, struct call *c, struct bytes bytes)
{
    while (bytes.n) {
        struct bytes piece = bytes_head(bytes, TURN);
        if (memchr(piece.p, 0, piece.n))
            return err_set(&c->err, ERR_INVALID, "A NUL byte in the message");
        if (!charge(k, c, piece.n))
            return false;
        measure(k, piece);
        if (k->in_body) {
            intake_sign_body(k, piece);
            intake_origin_body(k, piece);
        }
        if (!arena_full(k->parts))
            mime_feed(k->mime, piece);
        if (!body_write(k->body, piece, clock_monotonic() + STORE_MS, &c->err))
            return false;
        bytes = bytes_from(bytes, piece.n);
        fiber_turn();
    }
    if (body_size(k->body) <= k->size_max)
        return true;
    return err_set(&c->err, ERR_TOO_LARGE, "The message is larger than %lld bytes", (long long)k->size_max);
}

static bool end_header(struct intake *k, struct call *c, struct bytes head)
{
    struct bytes kept;
    bool ok;

    k->head_done = true;
    intake_origin_header(k, head);
    ok = intake_header(k, c, head, &kept) && arena_check(k->arena, &c->err);
    if (k->rewritten.n)
        buf_clear(&k->head);
    ok = ok && intake_sign_header(k, c, kept) && bytes_keep(k, c, kept);
    k->in_body = true;
    buf_clear(&k->head); /* what others hold of it they have copied */
    buf_clear(&k->rewritten);
    return ok;
}

static bool append_head(struct intake *k, struct call *c, struct bytes chunk)
{
    char begun[HEADER_NAME_MAX]; /* of the line that ends the header, where it came in two pieces */
    size_t had = k->head.n, end, n;

    if (!charge(k, c, chunk.n))
        return false;
    buf_add(&k->head, chunk);
    if (!header_whole(&k->head_scan, buf_bytes(&k->head), &end))
        return !k->head.overflowed || err_set(&c->err, ERR_HEADERS_TOO_LARGE, "The header is larger than %lld bytes",
                                              (long long)PARAM_INT(message, header_max));
    n = end < had ? had - end : 0;
    assert(n <= sizeof begun);
    if (n)
        memcpy(begun, k->head.p + end, n);
    return end_header(k, c, bytes_head(buf_bytes(&k->head), end)) && bytes_keep(k, c, (struct bytes){ begun, n }) &&
           bytes_keep(k, c, bytes_from(chunk, end > had ? end - had : 0));
}

bool intake_append(struct intake *k, struct call *c, struct bytes chunk)
{
    return k->head_done ? bytes_keep(k, c, chunk) : append_head(k, c, chunk);
}

bool intake_is_lenient(const struct intake *k, const struct target *t)
{
    return k->in.source == SOURCE_API || k->in.source == SOURCE_SYSTEM || t->from;
}

static bool mend_sent(struct plan *p, struct batch_failure f)
{
    if (!p->sent_copy || f.operation < p->sent_op || f.operation >= p->sent_op + FILING_OPS)
        return false;
    p->sent_copy = false;
    return true;
}

/* A bound was passed or a user went since the recipients were checked: that one delivery is born bounced. */
static bool mend_target(const struct intake *k, struct plan *p, struct batch_failure f)
{
    struct verdict bounced = verdict_of(f.fault == FAULT_BOUND ? CAUSE_MAILBOX_FULL : CAUSE_NO_USER, k->now);

    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        if (!t->filed || !intake_is_lenient(k, t) || f.operation < t->first_op ||
            f.operation >= t->first_op + FILING_OPS)
            continue;
        for (size_t j = i; j < p->n; j++)
            if (j == i || (p->targets[j].shares && id_equal(p->targets[j].user.id, t->user.id))) {
                p->targets[j].verdict = bounced;
                p->targets[j].filed = false;
            }
        return true;
    }
    return false;
}

static bool mend_returned(struct plan *p, struct batch_failure f)
{
    for (size_t i = 0; i < p->n; i++)
        if (returned_mend(p->targets[i].returned, f))
            return true;
    return false;
}

static bool explain(struct call *c, const struct intake *k, struct batch_failure f)
{
    if (f.fault == FAULT_BOUND)
        return err_set(&c->err, ERR_MAILBOX_FULL, "A mailbox is full");
    if (f.fault == FAULT_CONDITION ||
        f.fault == FAULT_MISSING) /* a full disk takes chunks away, too: then it is told */
        return service_accepts(c->svc, &c->err) &&
               err_set(&c->err, ERR_BUSY, "The mail of %lld bytes could not be kept: what it rests on has changed",
                       (long long)body_size(k->body));
    return false;
}

static bool is_ours(const struct intake *k, struct batch_failure f)
{
    return f.operation >= k->first_op && f.operation < k->end_op;
}

bool intake_mend(struct intake *k, struct call *c, struct batch_failure f)
{
    if (c->err.code != ERR_CONFLICT || !is_ours(k, f))
        return false;
    if (k->tries-- > 0 && (mend_sent(&k->plan, f) || report_mend(k->report, f) || mend_returned(&k->plan, f) ||
                           mend_target(k, &k->plan, f))) {
        c->err = (struct err){ 0 };
        arena_rewind(k->arena, k->planned);
        return true;
    }
    return explain(c, k, f);
}

bool intake_waits(const struct intake *k)
{
    return k->in.scheduled_at && !k->again.message;
}

int64_t intake_begins(const struct intake *k)
{
    return intake_waits(k) ? k->in.scheduled_at : k->now;
}

struct bytes intake_mode(const struct intake *k, const struct call *c)
{
    if (k->again.message)
        return k->again.message->mode;
    if (c->who && c->who->test)
        return BYTES("test");
    return service_is_live(c->svc) ? BYTES("live") : BYTES("sandbox");
}

bool intake_is_live(const struct intake *k, const struct call *c)
{
    return k->again.message ? bytes_equal(k->again.message->mode, BYTES("live")) : service_is_live(c->svc);
}

static bool status_is(const struct message_row *row, const char *status)
{
    return bytes_equal(message_status(row), bytes_of(status));
}

static void tell(const struct intake *k, struct call *c, struct intake_out *out)
{
    const struct plan *p = &k->plan;
    const struct message_row *row = &p->parties[0].row;

    *out = (struct intake_out){ .message_id = row->id,
                                .account_id = c->account,
                                .header_message_id = arena_copy(c->arena, row->header_message_id),
                                .mode = row->mode,
                                .status = message_status(row),
                                .created_at = row->created_at,
                                .size = row->size,
                                .n_recipients = k->in.n_recipients };
    out->recipients = arena_array(c->arena, out->n_recipients, sizeof *out->recipients);
    for (size_t i = 0; i < out->n_recipients; i++)
        out->recipients[i] = (struct recipient_out){ .delivery_id = p->targets[i].delivery.id,
                                                     .email = arena_copy(c->arena, p->targets[i].recipient->email),
                                                     .status = outcome_answer(p->targets[i].verdict.outcome) };
}

bool intake_end(struct intake *k, struct call *c)
{
    int64_t least = clock_monotonic() + STORE_MS;

    if (c->deadline < least)
        c->deadline = least;
    if (!k->head_done && !end_header(k, c, buf_bytes(&k->head)))
        return false;
    end_line(k, k->line);
    k->index = mime_end(k->mime);
    if (!body_finish(k->body, c->deadline, &c->err))
        return false;
    intake_describe(k);
    if (!auth_current(c)) /* it may have taken an hour to come */
        return false;
    return intake_origin(k, c) && intake_sign(k, c) && intake_plan(k, c);
}

bool intake_plan(struct intake *k, struct call *c)
{
    if (!plan_accept(k, c, &k->plan))
        return false;
    k->tries = k->plan.n + 2;
    k->planned = arena_mark(k->arena);
    return true;
}

bool intake_build(struct intake *k, struct call *c, struct batch *b, struct intake_out *out)
{
    bool ok;

    k->first_op = (int)batch_count(b);
    plan_finish(k, c, &k->plan);
    ok = plan_build(k, c, &k->plan, b) && plan_report(k, c, &k->plan, b);
    k->end_op = (int)batch_count(b);
    if (ok)
        tell(k, c, out);
    return ok && arena_check(k->arena, &c->err);
}

/* What others keep in memory: quotas, metrics, work that is due. */
/* For the stream's day: what leaves of it. */
static void count_mails(const struct intake *k, struct call *c)
{
    const struct plan *p = &k->plan;
    int64_t n = 0;

    if (id_is_none(p->parties[0].row.stream_id))
        return;
    for (size_t i = 0; i < p->n; i++)
        n += p->targets[i].delivery.flow.p != NULL;
    if (n)
        stream_counts_add(c->svc, &p->parties[0].row, n);
}

void intake_done(struct intake *k, struct call *c)
{
    const struct plan *p = &k->plan;

    body_kept(k->body);
    report_done(k->report);
    for (size_t i = 0; i < p->n; i++)
        if (p->targets[i].filed)
            directory_add_used(c->svc, p->targets[i].user.id, p->targets[i].size);
    if (p->sent_copy)
        directory_add_used(c->svc, p->sender.id, p->sent_size);
    if (!k->again.message)
        metric_add(METRIC_messages_accepted_total, 1);
    for (size_t i = 0; i < p->n; i++)
        if (p->targets[i].returned)
            returned_done(p->targets[i].returned, c);
    count_mails(k, c);
    if (status_is(&p->parties[0].row, "queued"))
        due_poke(c->svc);
    for (size_t i = 0; i < p->n; i++)
        if (p->targets[i].delivery.flow.p)
            queue_poke(c->svc, p->targets[i].delivery.flow, p->targets[i].delivery.send_at);
}

static bool accept(struct intake *k, struct call *c, struct intake_out *out)
{
    if (!intake_end(k, c))
        return false;
    for (;;) { /* each failure takes one recipient, or the copy for Sent, out of the next batch: so it ends */
        struct batch *b = batch_new(k->arena); /* it may have thousands of operations */

        if (!intake_build(k, c, b, out))
            return false;
        if (!batch_count(b) ||
            call_commit(c, b, out, out->message_id)) /* of what came back there may be nothing to say */
            break;
        if (!intake_mend(k, c, batch_failure(b)))
            return false;
    }
    intake_done(k, c);
    return true;
}

bool intake_commit(struct intake **k, struct call *c, struct intake_out *out)
{
    bool ok = accept(*k, c, out);

    intake_drop(k);
    return ok;
}
