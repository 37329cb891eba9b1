/* service/queue/outcome.c - the ways a delivery can stand, as a table, and what follows from each.
 *
 * Status, event, counter and the `last` attempt come from one row, so they cannot disagree. A message's status is not
 * kept: it is made of its counters, which batches only add to. */
#include "service/queue/outcome.h"
#include "base/params.h"
#include <assert.h>

static const struct outcome_row rows[] = {
    [OUTCOME_QUEUED] = { "queued", NULL, "n_open", 0, NULL, NULL, NULL, NULL },
    [OUTCOME_DELIVERED] = { "delivered", "email.delivered", "n_delivered", 250, "2.0.0", "Delivered", NULL, NULL },
    [OUTCOME_CAPTURED] = { "captured", "email.captured", "n_captured", 250, "2.0.0",
                           "Captured: this server is in sandbox mode and sent nothing", "sandbox", NULL },
    [OUTCOME_MISSING] = { "bounced", "email.bounced", "n_failed", 550, "5.1.1", "No such user", "unknown_user",
                          "permanent" },
    [OUTCOME_FULL] = { "bounced", "email.bounced", "n_failed", 552, "5.2.2", "Mailbox full", "mailbox_full",
                       "permanent" },
    [OUTCOME_REFUSED] = { "bounced", "email.bounced", "n_failed", 550, "5.1.1", "Played by sandbox.test: no such user",
                          "unknown_user", "permanent" },
    [OUTCOME_DEFERRED] = { "deferred", "email.deferred", "n_open", 451, "4.7.1",
                           "Played by sandbox.test: try again later", "temporary", "temporary" },
    [OUTCOME_EXPIRED] = { "expired", "email.expired", "n_failed", 451, "4.4.7", "Delivery time expired", "expired",
                          "permanent" },
    [OUTCOME_CANCELLED] = { "cancelled", "email.cancelled", "n_cancelled", 0, NULL, NULL, NULL, NULL },
    [OUTCOME_GONE] = { "failed", "email.failed", "n_failed", 550, "5.3.0", "The content is no longer kept",
                       "content_gone", "permanent" },
    [OUTCOME_HELD] = { "held", "email.held", "n_held", 451, "4.3.0", "Set aside: the server could not file it",
                       "internal", "temporary" },
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
        return BYTES("queued");
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

/* `last` as the API shows it: what no network was asked about is null. */
static struct bytes last_json(enum outcome o, int64_t now, struct arena *a)
{
    const struct outcome_row *row = outcome_row(o);
    struct buf out;
    struct jw w;
    struct bytes json;

    if (!row->code)
        return NO_BYTES;
    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_time(&w, "at", now);
    jw_key_text(&w, "mx", NO_BYTES);
    jw_key_text(&w, "ip", NO_BYTES);
    jw_key_text(&w, "tls", NO_BYTES);
    jw_key_text(&w, "command", NO_BYTES);
    jw_key_int(&w, "code", row->code);
    jw_key_text(&w, "enhanced", bytes_of(row->enhanced));
    jw_key_text(&w, "text", bytes_of(row->text));
    jw_key_text(&w, "cause", bytes_of(row->cause));
    jw_key_text(&w, "permanence", bytes_of(row->permanence));
    jw_object_end(&w);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

void outcome_apply(struct delivery_row *d, enum outcome o, int64_t now, struct arena *a)
{
    bool final = outcome_is_final(o), tried = outcome_row(o)->code && o != OUTCOME_EXPIRED;

    d->status = bytes_of(outcome_row(o)->status);
    d->attempts += tried;
    if (outcome_row(o)->code)
        d->last = last_json(o, now, a);
    d->final_at = final ? now : 0;
    d->keep_until = final ? now + PARAM_INT(message, keep) : 0;
    d->due_at = final ? 0 : now;
    if (o == OUTCOME_HELD) /* until somebody ends it, or its time does */
        d->due_at = d->expires_at;
    if (o == OUTCOME_DEFERRED)
        d->due_at = d->expires_at < now + PLAY_PAUSE_MS ? d->expires_at : now + PLAY_PAUSE_MS;
    if (final)
        d->wrapped_key = d->wrap = NO_BYTES;
}

/* {"attempt":1,"at":…,…}: the attempt's number and what `last` holds. */
static struct bytes event_data(const struct delivery_row *d, struct arena *a)
{
    if (!d || !d->last.p)
        return NO_BYTES;
    return arena_bytesf(a, "{\"attempt\":%lld,%.*s", (long long)d->attempts, SHOW(bytes_from(d->last, 1)));
}

void event_record(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                  const char *type, int64_t now)
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
    row->data = event_data(d, a);
    row->expires_at = now + PARAM_INT(event, keep);
    row->domain_id = d ? d->domain_id : m->domain_id;
    if (d) {
        row->delivery_id = d->id;
        row->email = d->email;
    }
    batch_insert(b, &event_kind, row, NULL, 0);
}
