/* service/queue/act.c - acts by hand: see act.h. But for a retry, which moves a time and tells nobody, each is an
 * ending. */
#include "service/queue/act.h"
#include "service/core/state.h"
#include "service/queue/due.h"
#include "service/queue/queue.h"

static const struct {
    const char *name;
    enum cause cause; /* not of a retry */
} rows[] = {
    [ACT_RETRY] = { "retry", CAUSE_WAITS },
    [ACT_HOLD] = { "hold", CAUSE_HELD },
    [ACT_RELEASE] = { "release", CAUSE_RELEASED },
    [ACT_BOUNCE] = { "bounce", CAUSE_BY_HAND },
};

bool act_read(struct bytes name, enum act *out)
{
    for (enum act a = 0; a < ACTS; a++)
        if (bytes_equal(name, bytes_of(rows[a].name))) {
            *out = a;
            return true;
        }
    return false;
}

static bool is_due(const struct delivery_row *d, int64_t now)
{
    return (d->send_at ? d->send_at : d->due_at) <= now;
}

enum act_fit act_judge(enum act act, const struct delivery_row *d, int64_t now)
{
    bool held = bytes_equal(d->status, BYTES("held"));

    if (d->final_at)
        return ACT_OVER;
    if (d->lease_until > now)
        return ACT_IN_FLIGHT;
    if (delivery_waits(d) && act != ACT_BOUNCE)
        return ACT_WAITS;
    if (act == ACT_RETRY && held)
        return ACT_HELD;
    if ((act == ACT_HOLD && held) || (act == ACT_RELEASE && !held) || (act == ACT_RETRY && is_due(d, now)))
        return ACT_SO_ALREADY;
    return ACT_FITS;
}

/* ---- in a batch ---- */

void acts_begin(struct acts *x, const struct order *o, const struct message_row *m, struct arena *a, size_t most)
{
    *x = (struct acts){ .order = o, .list = { .message = m, .unleased = true } };
    x->list.each = arena_array(a, most ? most : 1, sizeof *x->list.each);
}

/* Does it wait for the engine, or for local work? What sandbox.test plays is no mail that leaves. */
static bool leaves(const struct delivery_row *d)
{
    return bytes_equal(d->kind, BYTES("remote")) && !bytes_equal(d->site, BYTES("sandbox.test"));
}

/* Who ended it, and why, as it is told to the sender. */
static struct verdict verdict_on(const struct order *o, struct arena *a)
{
    struct verdict v = verdict_of(rows[o->act].cause, 0);
    struct attempt *said;

    if (!v.attempt || !o->reason.n)
        return v;
    said = arena_alloc(a, sizeof *said);
    *said = *v.attempt;
    said->text = arena_bytesf(a, "%.*s: %.*s", SHOW(v.attempt->text), SHOW(o->reason));
    v.attempt = said;
    return v;
}

void acts_take(struct acts *x, const struct delivery_row *row, struct arena *a)
{
    struct ending *e = &x->list.each[x->list.n++];

    *e = (struct ending){ .row = row,
                          .verdict = verdict_on(x->order, a),
                          .guest = row->guest_id,
                          .ambiguous = row->lease_until != 0,
                          .reason = x->order->reason,
                          .author = x->order->author,
                          .suspension = x->order->act == ACT_HOLD ? x->order->suspension : NO_ID };
    if (x->order->act == ACT_RELEASE && leaves(row))
        e->flow =
            queue_flow(a, row->site,
                       queue_class(x->list.message->priority, row->expires_at - delivery_begun(row, x->list.message)),
                       row->account_id, x->list.message->stream_id);
}

/* The lease that ran out stays to be seen: the next claim tells of it. */
static void add_retry(struct ending *e, struct batch *b, struct arena *a, int64_t now)
{
    struct set *due = arena_alloc(a, sizeof *due);

    *due = SET(e->row->flow.p ? "send_at" : "due_at", V_TIME(now));
    e->guest_op = e->require_op = -1;
    e->op = batch_update(b, &delivery_kind, e->row->id, delivery_unchanged(e->row, a), DELIVERY_UNCHANGED, due, 1);
}

bool acts_ready(struct service *svc, struct acts *x, struct err *e)
{
    return x->order->act != ACT_BOUNCE || !x->list.n || report_begin(svc, &x->list, NO_BYTES, &x->report, e);
}

bool acts_add(struct acts *x, struct batch *b, struct arena *a, int64_t now, struct err *e)
{
    if (x->order->act != ACT_RETRY) {
        endings_add(&x->list, b, a, now);
        return report_add(x->report, b, e);
    }
    x->list.count_op = x->list.erase_op = x->list.mark_op = -1;
    for (size_t i = 0; i < x->list.n; i++) {
        struct ending *one = &x->list.each[i];

        one->op = one->guest_op = one->require_op = -1;
        if (!one->lost)
            add_retry(one, b, a, now);
    }
    return true;
}

bool acts_mend(struct acts *x, struct batch_failure f)
{
    return endings_mend(&x->list, f) || report_mend(x->report, f);
}

void acts_end(struct acts *x)
{
    report_drop(&x->report);
}

size_t acts_lost(const struct acts *x)
{
    size_t n = 0;

    for (size_t i = 0; i < x->list.n; i++)
        n += x->list.each[i].lost;
    return n;
}

void acts_tell(struct service *svc, struct acts *x)
{
    int64_t now = store_now(svc->store);

    report_done(x->report);
    if (x->order->act != ACT_RETRY && x->order->act != ACT_RELEASE)
        return;
    for (size_t i = 0; i < x->list.n; i++) {
        const struct ending *e = &x->list.each[i];

        if (!e->lost && (e->flow.p || e->row->flow.p))
            queue_poke(svc, e->flow.p ? e->flow : e->row->flow, now);
    }
    due_poke(svc);
}
