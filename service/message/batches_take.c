/* service/message/batches_take.c - the good messages of a batch accepted, several dozen by one commit.
 *
 * The first commit brings the batch's row, the last one its end and, under a key, the answer that is kept. In between a
 * crash leaves whole messages or none: which of them are there is seen by their ids. */
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/idempotency.h"
#include "service/core/state.h"
#include "service/message/batches_private.h"

/* A group is what one commit takes; no more than store_get_many looks for. */
#define GROUP_MOST       64
#define GROUP_RECIPIENTS 500
#define GROUP_BYTES      (4 * 1024 * 1024)
/* What a store that is busy gets to take in one. */
#define GROUP_MS 30000

struct group {
    struct batch_run *x;
    size_t from, to; /* messages */
    struct intake *intakes[GROUP_MOST];
    struct message_send_in sends[GROUP_MOST];
    struct intake_out outs[GROUP_MOST];
    struct message_row there[GROUP_MOST]; /* by a request before this one; id none: it is not */
    size_t recipients;
    int64_t bytes;
    int row_op;
};

/* ---- what is there already ---- */

static bool find_there(struct group *g, size_t n)
{
    struct id ids[GROUP_MOST];
    struct batch_run *x = g->x;

    if (!x->resumed)
        return true;
    for (size_t i = 0; i < n; i++)
        ids[i] = batch_message_id(&x->row, g->from + i);
    return store_get_many(x->call->store, &message_kind, ids, n, x->work, g->there, &x->call->err);
}

/* As it was answered, but for what has happened since. */
static bool recall(struct batch_run *x, const struct message_row *m, struct intake_out *out)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 1, .limit = GROUP_RECIPIENTS };
    struct arena *a = x->call->arena;
    struct delivery_row *rows;
    void *found;

    q.conds[0] = COND("message_id", IS, V_ID(m->id));
    q.limit = (size_t)PARAM_INT(message, recipients_max) + (size_t)PARAM_INT(message, forwards_max);
    *out = (struct intake_out){ .message_id = m->id,
                                .account_id = m->account_id,
                                .header_message_id = arena_copy(a, m->header_message_id),
                                .mode = arena_copy(a, m->mode),
                                .status = message_status(m),
                                .created_at = m->created_at,
                                .size = m->size };
    if (!store_find(x->call->store, &q, x->work, &found, &out->n_recipients, &x->call->err))
        return false;
    rows = found;
    out->recipients = arena_array(a, out->n_recipients ? out->n_recipients : 1, sizeof *out->recipients);
    for (size_t i = 0; i < out->n_recipients; i++)
        out->recipients[i] =
            (struct recipient_out){ rows[i].id, arena_copy(a, rows[i].email), arena_copy(a, rows[i].status) };
    return true;
}

/* What of an answer lies in the group's memory. */
static struct intake_out keep(struct arena *a, const struct intake_out *out)
{
    struct intake_out kept = *out;

    kept.header_message_id = arena_copy(a, out->header_message_id);
    kept.recipients = arena_array(a, out->n_recipients ? out->n_recipients : 1, sizeof *kept.recipients);
    for (size_t i = 0; i < out->n_recipients; i++) {
        kept.recipients[i] = out->recipients[i];
        kept.recipients[i].email = arena_copy(a, out->recipients[i].email);
    }
    return kept;
}

/* ---- a group ---- */

static bool is_last(const struct group *g)
{
    return g->to == g->x->in->n;
}

/* Planned, up to the batch, or rejected. */
static bool plan(struct group *g, size_t i, bool handed_in)
{
    struct batch_run *x = g->x;
    struct intake **k = &g->intakes[i - g->from];

    if (handed_in && intake_end(*k, &x->one))
        return true;
    intake_drop(k);
    return run_reject(x, i);
}

/* As it was composed when it was judged. */
static bool take_ready(struct group *g, size_t i)
{
    struct batch_run *x = g->x;
    const struct ready *r = &x->ready[i];
    struct intake **k = &g->intakes[i - g->from];

    run_next(x, x->work);
    g->recipients += r->in.n_recipients;
    g->bytes += (int64_t)r->mail.n;
    return plan(g, i, intake_begin(&x->one, &r->in, k) && intake_append(*k, &x->one, r->mail));
}

static bool take_again(struct group *g, size_t i)
{
    struct batch_run *x = g->x;
    struct message_send_in *in = &g->sends[i - g->from];
    struct sending s = { .in = in, .message = batch_message_id(&x->row, i), .batch = x->row.id, .uncounted = true };
    bool ok;

    if (!run_read(x, x->work, i, in))
        return false;
    ok = send_prepare(&x->one, &s) && send_hand_in(&x->one, &s, &g->intakes[i - g->from]);
    g->recipients += s.n;
    g->bytes += s.in->n_attachments ? GROUP_BYTES / 8 : (int64_t)(s.in->text.n + s.in->html.n);
    return plan(g, i, ok);
}

static bool take_one(struct group *g, size_t i)
{
    struct batch_run *x = g->x;
    const struct message_row *there = &g->there[i - g->from];

    if (!id_is_none(there->id)) {
        x->items[i].accepted = true;
        x->items[i].err = (struct err){ 0 };
        return recall(x, there, &x->items[i].out);
    }
    if (x->items[i].err.code)
        return true;
    return x->ready[i].mail.p ? take_ready(g, i) : take_again(g, i);
}

/* As many as one commit is to take. */
static bool gather(struct group *g)
{
    size_t most = g->x->in->n - g->from < GROUP_MOST ? g->x->in->n - g->from : GROUP_MOST;

    if (!find_there(g, most))
        return false;
    for (g->to = g->from; g->to < g->from + most && g->recipients < GROUP_RECIPIENTS && g->bytes < GROUP_BYTES;) {
        if (!take_one(g, g->to++))
            return false;
        fiber_turn();
    }
    return true;
}

/* ---- its commit ---- */

static void count(struct batch_run *x)
{
    x->row.accepted = x->row.rejected = 0;
    for (size_t i = 0; i < x->in->n; i++) {
        x->row.accepted += x->items[i].accepted;
        x->row.rejected += x->items[i].err.code != 0;
    }
}

static void end_row(struct batch_run *x)
{
    count(x);
    x->row.completed_at = clock_wall();
    x->row.slot = NO_BYTES;
}

/* The batch's own row: made with the first commit, ended with the last. */
static void add_row(struct group *g, struct batch *b)
{
    struct batch_run *x = g->x;
    struct set *sets = arena_array(x->work, 4, sizeof *sets);

    g->row_op = -1;
    if (is_last(g)) {
        end_row(x);
        run_tell(x, b);
    }
    if (!x->begun) {
        g->row_op = batch_insert(b, &batch_kind, &x->row, NULL, 0);
        return;
    }
    if (!is_last(g))
        return;
    sets[0] = SET("accepted", V_INT(x->row.accepted));
    sets[1] = SET("rejected", V_INT(x->row.rejected));
    sets[2] = SET("completed_at", V_TIME(x->row.completed_at));
    sets[3] = SET("slot", V_BYTES(NO_BYTES));
    g->row_op = batch_update(b, &batch_kind, x->row.id, NULL, 0, sets, 4);
}

static bool build(struct group *g, struct batch *b)
{
    struct batch_run *x = g->x;

    for (size_t i = g->from; i < g->to; i++) {
        struct intake *k = g->intakes[i - g->from];

        if (!k)
            continue;
        if (!intake_build(k, &x->one, b, &g->outs[i - g->from]))
            return false;
        x->items[i].accepted = true;
        x->items[i].out = g->outs[i - g->from];
    }
    return true;
}

static bool mend(struct group *g, struct batch_failure f)
{
    for (size_t i = 0; i < g->to - g->from; i++)
        if (g->intakes[i] && intake_mend(g->intakes[i], &g->x->one, f))
            return true;
    return false;
}

static bool commit_once(struct group *g, struct batch *b, struct batch_view *out)
{
    struct batch_run *x = g->x;
    struct call *one = &x->one;

    if (!is_last(g))
        return store_commit(one->store, b, one->deadline, &one->err);
    one->idempotency = x->call->idempotency;
    out->row = x->row;
    out->items = x->items;
    out->n = x->in->n;
    out->counts = batch_counts_of(x->work, x->items, x->in->n);
    return call_commit(one, b, out, x->row.id);
}

static bool commit(struct group *g, struct batch_view *out)
{
    struct batch_run *x = g->x;
    struct call *one = &x->one;
    int64_t until = clock_monotonic() + GROUP_MS;

    one->err = (struct err){ 0 };
    one->deadline = one->deadline < until ? until : one->deadline;
    for (;;) {
        struct batch *b = batch_new(x->work);

        if (!build(g, b))
            return false;
        add_row(g, b);
        if (!batch_count(b) || commit_once(g, b, out))
            return true;
        if (one->err.code == ERR_CONFLICT && batch_failure(b).operation == g->row_op)
            return err_again(one, ERR_IDEMPOTENCY_BUSY,
                             "Another request with this Idempotency-Key came first; ask again");
        if (!mend(g, batch_failure(b)))
            return false;
    }
}

/* What was answered outlives the group. */
static void finish(struct group *g)
{
    struct batch_run *x = g->x;

    x->begun = true;
    for (size_t i = g->from; i < g->to; i++) {
        if (!g->intakes[i - g->from])
            continue;
        intake_done(g->intakes[i - g->from], &x->one);
        x->items[i].out = keep(x->call->arena, &x->items[i].out);
    }
}

static bool take_group(struct group *g, struct batch_view *out)
{
    bool ok;

    arena_reset(g->x->work);
    ok = gather(g) && commit(g, out);
    if (ok)
        finish(g);
    else if (!g->x->call->err.code)
        g->x->call->err = g->x->one.err;
    for (size_t i = 0; i < GROUP_MOST; i++)
        intake_drop(&g->intakes[i]);
    g->x->in->forget(g->x->in->ctx);
    return ok && idempotency_goes_on(g->x->call);
}

bool run_take(struct batch_run *x, struct batch_view *out)
{
    struct group *g = malloc(sizeof *g);
    bool ok = true;

    if (!g)
        die("out of memory: a group of a batch");
    for (size_t from = 0; ok && from < x->in->n; from = g->to) {
        memset(g, 0, sizeof *g); /* it is too large for a stack */
        g->x = x;
        g->from = from;
        ok = take_group(g, out);
    }
    free(g);
    return ok;
}
