/* service/queue/ending.c - deliveries ended in a batch, whoever ends them.
 *
 * Each delivery is its own operation with its own condition, and its number is remembered: when the batch is refused,
 * the number that failed tells which delivery was somebody else's already, or which message or body is gone, and that
 * one is left out of the next try. The counters of a message are raised by differences, never set, so that batches
 * which end other deliveries of it at the same time add up. */
#include "service/queue/ending.h"
#include "base/crypt.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include "service/queue/play.h"

/* ---- one delivery ---- */

struct cond *delivery_unchanged(const struct delivery_row *was, struct arena *a)
{
    struct cond *same = arena_array(a, DELIVERY_UNCHANGED, sizeof *same);

    same[0] = COND("token", IS, V_INT(was->token));
    same[1] = COND("status", IS, V_TEXT(was->status));
    same[2] = COND("lease_until", IS, V_TIME(was->lease_until));
    return same;
}

bool delivery_waits(const struct delivery_row *d)
{
    return d->send_at && !d->flow.p && !d->final_at;
}

int64_t delivery_begun(const struct delivery_row *d, const struct message_row *m)
{
    return m->scheduled_at > d->created_at ? m->scheduled_at : d->created_at;
}

static size_t add_hold(const struct ending *e, const struct delivery_row *after, struct set *sets)
{
    size_t n = 0;

    if (!e->row->held_at && !after->held_at)
        return 0;
    sets[n++] = SET("held_at", V_TIME(after->held_at));
    sets[n++] = SET("held_by", V_ID(e->suspension));
    sets[n++] = SET("held_why", V_TEXT(after->held_at ? e->reason : NO_BYTES));
    sets[n++] = SET("expires_at", V_TIME(after->expires_at));
    return n;
}

#define SETS_MOST 22

static size_t sets_of(const struct ending *e, const struct delivery_row *after, int64_t now, struct set *sets)
{
    size_t n = 0;

    sets[n++] = SET("status", V_TEXT(after->status));
    sets[n++] = SET("due_at", V_TIME(after->due_at));
    sets[n++] = SET("lease_until", V_TIME(0));
    if (e->verdict.attempt) {
        sets[n++] = SET("attempts", V_INT(after->attempts));
        sets[n++] = SET("last", V_JSON(after->last));
    }
    if (after->blocks != e->row->blocks) {
        sets[n++] = SET("blocks", V_INT(after->blocks));
        sets[n++] = SET("first_block_at", V_TIME(after->first_block_at));
    }
    if (e->failures)
        sets[n++] = SET("failures", V_INT(e->failures));
    if (e->source)
        sets[n++] = SET("source_id", V_ID(*e->source));
    if (e->warns)
        sets[n++] = SET("warned", V_TIME(now));
    n += add_hold(e, after, sets + n);
    if (e->row->flow.p || e->flow.p || e->row->send_at) {
        sets[n++] = SET("flow", V_TEXT(after->flow));
        sets[n++] = SET("send_at", V_TIME(after->send_at));
    }
    if (!after->final_at)
        return n;
    sets[n++] = SET("final_at", V_TIME(after->final_at));
    sets[n++] = SET("keep_until", V_TIME(after->keep_until));
    sets[n++] = SET("wrapped_key", V_BYTES(NO_BYTES));
    sets[n++] = SET("wrap", V_TEXT(NO_BYTES));
    sets[n++] = SET("entry_id", V_ID(after->entry_id));
    return n;
}

/* The sender is not shown the entry of another account. *told: as the event shows it. */
static int add_row(const struct endings *list, const struct ending *e, struct batch *b, struct arena *a, int64_t now,
                   struct delivery_row *told)
{
    struct set *sets = arena_array(a, SETS_MOST, sizeof *sets);
    size_t n_conds = list->unleased ? DELIVERY_UNCHANGED : DELIVERY_UNCHANGED - 1;

    *told = *e->row;
    if (e->flow.p)
        told->flow = e->flow;
    outcome_apply(told, &e->verdict, now, a);
    if (told->final_at && !id_is_none(e->guest))
        told->entry_id = NO_ID;
    if (!e->verdict.attempt)
        told->last = NO_BYTES;
    return batch_update(b, &delivery_kind, e->row->id, delivery_unchanged(e->row, a), n_conds, sets,
                        sets_of(e, told, now, sets));
}

/* From where it stood to where it stands, once. */
static void count(struct message_row *sum, const struct ending *e)
{
    *(bytes_equal(e->row->status, BYTES("held")) ? &sum->n_held : &sum->n_open) -= 1;
    outcome_count(sum, e->verdict.outcome, 1);
}

/* Who acted, and why. */
static struct bytes more_of(const struct ending *e, struct arena *a)
{
    struct bytes more;
    struct buf out;
    struct jw w;

    if (!e->reason.p && !e->author.p && !e->transcript)
        return NO_BYTES;
    buf_init(&out, 8192);
    jw_init(&w, &out);
    jw_object(&w);
    if (e->transcript)
        jw_key_id(&w, "transcript_id", "trs", e->transcript->id);
    if (e->reason.p || e->author.p) {
        jw_key_text(&w, "reason", e->reason);
        jw_key_text(&w, "author", e->author);
    }
    if (!id_is_none(e->suspension))
        jw_key_id(&w, "suspension_id", "sus", e->suspension);
    jw_object_end(&w);
    more = arena_copy(a, bytes_head(bytes_from(buf_bytes(&out), 1), out.n - 2));
    buf_clear(&out);
    return more;
}

static void add(struct batch *b, struct arena *a, const struct hearer *who, struct event_row *row)
{
    if (who->bundle && bundle_add(who->bundle, row, a))
        return;
    if (who->bundle)
        bundle_begin(who->bundle, row);
    batch_insert(b, &event_kind, row, NULL, 0);
}

static void tell(struct batch *b, struct arena *a, const struct hearer *who, const struct delivery_row *d,
                 const char *type, int64_t now)
{
    add(b, a, who, event_make(a, who->message, d, type, who->more, now));
}

/* What the addresses of sandbox.test do with it. */
static void tell_played(struct batch *b, struct arena *a, const struct hearer *who, const struct delivery_row *d,
                        int64_t now)
{
    struct event_row *row;
    struct bytes data;
    const char *type = play_follows(d->email, &data);

    if (!type)
        return;
    row = event_make(a, who->message, d, type, who->more, now);
    if (data.p)
        row->data = data;
    add(b, a, who, row);
}

void ending_tell(struct batch *b, struct arena *a, const struct hearer *own, const struct delivery_row *d,
                 enum outcome o, const struct hearer *guest, struct id guest_domain, int64_t now)
{
    bool came_in = bytes_equal(own->message->direction, BYTES("inbound")) && o == OUTCOME_DELIVERED;
    struct delivery_row visitor = { .email = d->email, .user_id = d->user_id, .domain_id = guest_domain };

    if (!outcome_row(o)->event)
        return;
    tell(b, a, own, d, came_in ? "email.received" : outcome_row(o)->event, now);
    if (guest && o == OUTCOME_DELIVERED) /* the delivery itself is not theirs to see */
        tell(b, a, guest, &visitor, "email.received", now);
    if (o == OUTCOME_DELIVERED)
        tell_played(b, a, own, d, now);
}

/* Deferrals after which the sender is told of the delay. */
#define DELAYED_AFTER 3

static void tell_more(const struct ending *e, struct batch *b, struct arena *a, const struct message_row *m,
                      const struct delivery_row *told, struct bytes more, int64_t now)
{
    if (bytes_equal(e->row->status, BYTES("held")) && e->verdict.outcome == OUTCOME_QUEUED)
        event_record_more(b, a, m, told, "email.released", more, now);
    if (e->ambiguous)
        event_record(b, a, m, told, "email.ambiguous", now);
    if (told->flow.p && e->verdict.outcome == OUTCOME_DEFERRED && told->attempts == DELAYED_AFTER)
        event_record(b, a, m, told, "email.delayed", now);
}

static void add_one(struct endings *list, struct ending *e, struct batch *b, struct arena *a, int64_t now)
{
    const struct message_row *m = list->message;
    struct message_row guest = { .account_id = e->guest, .mode = m->mode }, sum = { 0 };
    struct hearer own = { .message = m }, other = { .message = &guest };
    bool has_guest = !id_is_none(e->guest);
    struct delivery_row told;

    if (!id_is_none(e->suspension)) /* what that has held is released at its end: not a row too late */
        e->require_op = batch_require(b, &suspension_kind, e->suspension, NULL, 0);
    e->op = add_row(list, e, b, a, now, &told);
    if (has_guest) {
        guest.id = message_id_for(m->body_id, e->guest);
        count(&sum, e);
        if (!e->guest_gone)
            e->guest_op = outcome_add(b, a, guest.id, &sum);
    }
    own.more = more_of(e, a);
    if (e->transcript)
        batch_insert(b, &transcript_kind, e->transcript, NULL, 0);
    ending_tell(b, a, &own, &told, e->verdict.outcome, has_guest ? &other : NULL, e->guest_domain, now);
    tell_more(e, b, a, m, &told, own.more, now);
    if (e->suppresses)
        suppression_add(b, a, e->suppresses);
}

/* ---- the message ---- */

struct id message_id_for(struct id body, struct id account)
{
    uint8_t hash[CRYPT_HASH];
    char both[2 * sizeof body.b];

    memcpy(both, body.b, sizeof body.b);
    memcpy(both + sizeof body.b, account.b, sizeof account.b);
    crypt_hash((struct bytes){ both, sizeof both }, hash);
    return id_of_hash_at(hash, id_time(body)); /* keeps its time */
}

struct message_row message_stand_in(const struct delivery_row *d)
{
    return (
        struct message_row){ .id = d->message_id, .account_id = d->account_id, .body_id = d->body_id, .mode = d->mode };
}

bool message_of(struct service *svc, const struct delivery_row *d, struct arena *a, struct message_row *m, bool *gone,
                struct err *e)
{
    bool there;

    if (!store_look(svc->store, &message_kind, d->message_id, a, m, &there, e))
        return false;
    *gone = !there;
    if (!there)
        *m = message_stand_in(d);
    return true;
}

void message_erase(struct batch *b, struct arena *a, const struct message_row *row)
{
    struct set *gone = arena_array(a, 4, sizeof *gone);
    struct cond *kept = arena_alloc(a, sizeof *kept);

    *kept = COND("wrapped_key", IS_NOT, V_BYTES(NO_BYTES));
    gone[0] = SET("wrapped_key", V_BYTES(NO_BYTES));
    gone[1] = SET("wrap", V_TEXT(NO_BYTES));
    gone[2] = SET("subject", V_BYTES(NO_BYTES));
    gone[3] = SET("content_until", V_TIME(0));
    batch_update(b, &message_kind, row->id, kept, 1, gone, 4);
    body_mark(b, row->body_id, a);
}

/* Is nothing left to do for the message? Where two batches end at once, the sweep sees it. */
static bool ends_it(const struct message_row *m, const struct message_row *sum)
{
    return m->n_open + sum->n_open == 0 && m->n_held + sum->n_held == 0;
}

static void add_message(struct endings *list, const struct message_row *sum, bool left_out, struct batch *b,
                        struct arena *a)
{
    const struct message_row *m = list->message;

    if (!list->message_gone)
        list->count_op = outcome_add(b, a, m->id, sum);
    if (list->body_gone)
        return;
    if (!list->message_gone && m->no_store && m->wrapped_key.p && ends_it(m, sum)) {
        list->erase_op = (int)batch_count(b);
        message_erase(b, a, m);
        list->mark_op = list->erase_op + 1;
    } else if (left_out) {
        list->mark_op = (int)batch_count(b);
        body_mark(b, m->body_id, a);
    }
}

/* Its way to the body ends, and no entry is another one. */
static bool leaves_body(const struct ending *e)
{
    bool filed = e->verdict.outcome == OUTCOME_DELIVERED && bytes_equal(e->row->kind, BYTES("local"));

    return outcome_is_final(e->verdict.outcome) && !filed;
}

void endings_add(struct endings *list, struct batch *b, struct arena *a, int64_t now)
{
    struct message_row sum = { 0 };
    bool left_out = false, any = false;

    list->count_op = list->erase_op = list->mark_op = -1;
    for (size_t i = 0; i < list->n; i++) {
        struct ending *e = &list->each[i];

        e->op = e->guest_op = e->require_op = -1;
        if (e->lost)
            continue;
        count(&sum, e);
        add_one(list, e, b, a, now);
        left_out = left_out || leaves_body(e);
        any = true;
    }
    if (any)
        add_message(list, &sum, left_out, b, a);
}

bool endings_mend(struct endings *list, struct batch_failure f)
{
    if (f.operation < 0)
        return false;
    for (size_t i = 0; i < list->n; i++) {
        if (f.operation == list->each[i].op)
            return list->each[i].lost = true;
        if (f.operation == list->each[i].guest_op)
            return list->each[i].guest_gone = true;
        if (f.operation == list->each[i].require_op) {
            list->each[i].suspension = NO_ID;
            list->each[i].verdict = verdict_of(CAUSE_RELEASED, 0);
            return true;
        }
    }
    if (f.operation == list->count_op)
        return list->message_gone = true;
    if (f.operation == list->erase_op || f.operation == list->mark_op)
        return list->body_gone = true; /* or erased meanwhile */
    return false;
}
