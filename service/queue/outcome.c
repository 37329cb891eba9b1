/* service/queue/outcome.c - the ways a delivery can stand, as a table, and what follows from each.
 *
 * Status, event and counter come from one row, so they cannot disagree. A message's status is not
 * kept: it is made of its counters, which batches only add to. */
#include "service/queue/outcome.h"
#include "base/clock.h"
#include "base/params.h"
#include <assert.h>

static const struct outcome_row rows[] = {
    [OUTCOME_QUEUED] = { "queued", NULL, "n_open" },
    [OUTCOME_DELIVERED] = { "delivered", "email.delivered", "n_delivered" },
    [OUTCOME_CAPTURED] = { "captured", "email.captured", "n_captured" },
    [OUTCOME_BOUNCED] = { "bounced", "email.bounced", "n_failed" },
    [OUTCOME_DEFERRED] = { "deferred", "email.deferred", "n_open" },
    [OUTCOME_EXPIRED] = { "expired", "email.expired", "n_failed" },
    [OUTCOME_CANCELLED] = { "cancelled", "email.cancelled", "n_cancelled" },
    [OUTCOME_FAILED] = { "failed", "email.failed", "n_failed" },
    [OUTCOME_HELD] = { "held", "email.held", "n_held" },
    [OUTCOME_SUPPRESSED] = { "suppressed", "email.suppressed", "n_failed" },
};

const struct outcome_row *outcome_row(enum outcome o)
{
    assert(o < OUTCOMES);
    return &rows[o];
}

bool outcome_is_final(enum outcome o)
{
    return o != OUTCOME_QUEUED && o != OUTCOME_DEFERRED && o != OUTCOME_HELD;
}

void outcome_count(struct message_row *m, enum outcome o, int64_t n)
{
    const struct field *f = kind_field(&message_kind, outcome_row(o)->counter);

    *(int64_t *)((char *)m + f->offset) += n;
}

int outcome_add(struct batch *b, struct arena *a, struct id message, const struct message_row *sum)
{
    const struct {
        const char *name;
        int64_t n;
    } all[] = { { "n_open", sum->n_open },         { "n_held", sum->n_held },     { "n_delivered", sum->n_delivered },
                { "n_captured", sum->n_captured }, { "n_failed", sum->n_failed }, { "n_cancelled", sum->n_cancelled } };
    struct set *sets = arena_array(a, sizeof all / sizeof *all, sizeof *sets);
    size_t n = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].n)
            sets[n++] = ADD(all[i].name, all[i].n);
    return n ? batch_update(b, &message_kind, message, NULL, 0, sets, n) : -1;
}

struct bytes message_status(const struct message_row *m)
{
    bool arrived = m->n_delivered || m->n_captured;

    if (m->n_open)
        return m->release_at ? BYTES("scheduled") : BYTES("queued");
    if (m->n_held)
        return BYTES("held");
    if (arrived && !m->n_failed && !m->n_cancelled)
        return m->n_delivered ? BYTES("delivered") : BYTES("captured");
    if (arrived)
        return BYTES("partial");
    return m->n_cancelled && !m->n_failed ? BYTES("cancelled") : BYTES("failed");
}

struct bytes outcome_answer(enum outcome o)
{
    return outcome_is_final(o) ? bytes_of(outcome_row(o)->status) : BYTES("queued");
}

/* When it is looked at again. Mail that leaves is no local work, and has a time of its own. */
static void set_times(struct delivery_row *d, const struct verdict *v, int64_t now)
{
    bool final = outcome_is_final(v->outcome), leaves = d->flow.p != NULL;
    int64_t next;

    d->final_at = final ? now : 0;
    d->keep_until = final ? now + PARAM_INT(message, keep) : 0;
    d->due_at = d->send_at = d->lease_until = 0;
    if (d->held_at) /* its time stood still meanwhile */
        d->expires_at += v->outcome == OUTCOME_QUEUED && now > d->held_at ? now - d->held_at : 0;
    d->held_at = v->outcome == OUTCOME_HELD ? now : 0;
    next = v->outcome == OUTCOME_QUEUED ? now : v->next_at < d->expires_at ? v->next_at : d->expires_at;
    if (final || (leaves && v->outcome == OUTCOME_HELD))
        d->flow = NO_BYTES;
    else if (leaves)
        d->send_at = next;
    else /* what is held: until somebody ends it, or its time does */
        d->due_at = v->outcome == OUTCOME_HELD ? d->expires_at : next;
}

/* A 4xx is put off by its code, whatever it is about. */
static void count_block(struct delivery_row *d, const struct attempt *t, int64_t now)
{
    if (t->code / 100 != 5 || !bytes_equal(t->permanence, BYTES("block")))
        return;
    d->blocks++;
    if (!d->first_block_at)
        d->first_block_at = now;
}

void outcome_apply(struct delivery_row *d, const struct verdict *v, int64_t now, struct arena *a)
{
    d->status = bytes_of(outcome_row(v->outcome)->status);
    if (v->attempt) {
        d->attempts += v->outcome != OUTCOME_EXPIRED && !v->by_hand;
        d->last = attempt_json(v->attempt, now, a);
        if (v->outcome == OUTCOME_DEFERRED)
            count_block(d, v->attempt, now);
    }
    set_times(d, v, now);
    if (!outcome_is_final(v->outcome))
        return;
    d->wrapped_key = d->wrap = NO_BYTES;
    if (v->outcome != OUTCOME_DELIVERED)
        d->entry_id = NO_ID;
}

/* {"attempt":1,"at":…,…,"next_at":…}: the attempt's number, what `last` holds, and when a deferred one is tried again;
 * and what else there is to say. */
static struct bytes event_data(const struct delivery_row *d, struct bytes more, struct arena *a)
{
    char next[CLOCK_TEXT + 32] = "", at[CLOCK_TEXT];
    int64_t when;

    if (!d || !d->last.p)
        return more.p ? arena_bytesf(a, "{%.*s}", SHOW(more)) : NO_BYTES;
    when = d->send_at ? d->send_at : d->due_at;
    if (when && bytes_equal(d->status, bytes_of(rows[OUTCOME_DEFERRED].status)))
        snprintf(next, sizeof next, ",\"next_at\":\"%.*s\"", SHOW(clock_rfc3339(when, at)));
    return arena_bytesf(a, "{\"attempt\":%lld,%.*s%s%s%.*s}", (long long)d->attempts,
                        SHOW(bytes_head(bytes_from(d->last, 1), d->last.n - 2)), next, more.p ? "," : "", SHOW(more));
}

struct event_row *event_make(struct arena *a, const struct message_row *m, const struct delivery_row *d,
                             const char *type, struct bytes more, int64_t now)
{
    struct event_row *row = arena_alloc(a, sizeof *row);

    row->id = id_new();
    row->account_id = m->account_id;
    row->message_id = m->id;
    row->type = bytes_of(type);
    row->mode = m->mode;
    row->at = now;
    row->tags = m->tags;
    row->metadata = m->metadata;
    row->data = event_data(d, more, a);
    row->expires_at = now + PARAM_INT(event, keep);
    row->domain_id = d ? d->domain_id : m->domain_id;
    if (d) {
        row->delivery_id = d->id;
        row->email = d->email;
        row->user_id = d->user_id;
    }
    return row;
}

struct event_row *event_scheduled(struct arena *a, const struct message_row *m, int64_t now)
{
    char at[CLOCK_TEXT];

    return event_make(a, m, NULL, "email.scheduled",
                      arena_bytesf(a, "\"scheduled_at\":\"%.*s\"", SHOW(clock_rfc3339(m->scheduled_at, at))), now);
}

void event_record(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                  const char *type, int64_t now)
{
    event_record_more(b, a, m, d, type, NO_BYTES, now);
}

void event_record_more(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                       const char *type, struct bytes more, int64_t now)
{
    batch_insert(b, &event_kind, event_make(a, m, d, type, more, now), NULL, 0);
}
