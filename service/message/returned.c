/* service/message/returned.c - the addresses that mail comes back to, and the batch that says what it told: see
 * returned.h.
 *
 * Each change is on condition that the delivery still stands as it was read, so two reports of one failure bounce it
 * once; what is refused by that is left out of the next try. */
#include "base/clock.h"
#include "service/core/state.h"
#include "service/identity/stream_day.h"
#include "service/message/postmaster.h"
#include "service/message/returned_private.h"
#include "service/queue/return_path.h"

#define FEEDBACK "fbl" /* the address without a token that feedback loops are given */

/* ---- addresses ---- */

static bool absent(struct call *c, const struct recipient *to)
{
    return err_set(&c->err, ERR_MISSING, "No such user <%.*s>", SHOW(to->email));
}

/* What is no token may be the address for feedback loops, or the postmaster, who is somebody in every domain (RFC 5321
 * 4.5.1); where the domain has mailboxes, too, it is an address like any other. */
static bool without_token(struct call *c, const struct address *address, const struct return_domain *d,
                          struct bytes domain, struct recipient *out, bool *taken)
{
    struct directory_domain found;
    bool ours;

    if (bytes_equal_nocase(address->local, BYTES(FEEDBACK)))
        return true;
    ours = directory_domain(c, d->below.p ? d->below : domain, &found);
    if (!ours && !call_was_missing(c))
        return false;
    if (ours && !d->below.p) {
        *out = (struct recipient){ 0 };
        *taken = false;
        return true;
    }
    return postmaster_is(address) ? postmaster_find(c, ours ? &found : NULL, 0, out) : absent(c, out);
}

bool returned_check(struct call *c, const struct address *address, struct bytes domain, struct recipient *out,
                    bool *taken)
{
    struct return_domain d;
    enum token_use use;

    *taken = false;
    if (!return_domain_find(c, domain, &d))
        return false;
    if (!d.is)
        return true;
    *taken = true;
    if (!address_normalize(address, true, c->arena, &out->email, &c->err))
        return false;
    out->kind = RECIPIENT_RETURNED;
    out->account_id = c->svc->operator_account;
    switch (return_path_read(c->svc, address->local, domain, clock_wall(), &out->token, &use)) {
    case TOKEN_GOOD: return (out->proven = !c->who) || absent(c, out);
    case TOKEN_NONE: return without_token(c, address, &d, domain, out, taken);
    default: return absent(c, out);
    }
}

/* ---- the batch ---- */

static void add_bounce(struct returned *x, struct told *t, struct batch *b, struct arena *a, int64_t now)
{
    struct verdict v = { .outcome = OUTCOME_BOUNCED, .attempt = &t->attempt };
    struct message_row sum = { 0 };
    struct delivery_row *after = arena_alloc(a, sizeof *after);
    struct cond *was = arena_alloc(a, sizeof *was);
    struct set *sets = arena_array(a, 3, sizeof *sets);

    *after = *t->row;
    after->status = bytes_of(outcome_row(v.outcome)->status);
    after->last = attempt_json(&t->attempt, now, a);
    *was = COND("status", IS, V_TEXT(t->row->status));
    sets[0] = SET("status", V_TEXT(after->status));
    sets[1] = SET("last", V_JSON(after->last));
    sets[2] = SET("final_at", V_TIME(now));
    t->op = (int)batch_count(b);
    batch_update(b, &delivery_kind, t->row->id, was, 1, sets, 3);
    outcome_count(&sum, OUTCOME_DELIVERED, -1);
    outcome_count(&sum, OUTCOME_BOUNCED, 1);
    if (!x->message_gone)
        t->count_op = outcome_add(b, a, x->message.id, &sum);
    event_record_more(b, a, &x->message, after, outcome_row(v.outcome)->event, x->more, now);
}

static void add_delay(const struct returned *x, const struct told *t, struct batch *b, struct arena *a, int64_t now)
{
    struct delivery_row *after = arena_alloc(a, sizeof *after);

    *after = *t->row;
    after->last = attempt_json(&t->attempt, now, a);
    event_record_more(b, a, &x->message, after, "email.delayed", x->more, now);
}

/* Of mail of a stream, and proven: a stranger's word pauses nothing. */
static bool is_counted(const struct returned *x)
{
    return x->proven && !x->message_gone && !id_is_none(x->message.stream_id);
}

void returned_done(struct returned *x, struct call *c)
{
    struct err before = c->err;
    bool complained = false;

    for (size_t i = 0; i < x->n; i++)
        complained = complained || (x->each[i].says == SAYS_COMPLAINED && x->each[i].row && !x->each[i].lost);
    if (!complained || !is_counted(x))
        return;
    if (!stream_day_judge(c, &x->message)) /* the next complaint asks again */
        log_warn("streams", LOG_TEXT("error", c->err.message), LOG_TEXT("where", c->err.where));
    c->err = before;
}

static void add_complaint(const struct returned *x, struct told *t, struct batch *b, struct arena *a, int64_t now)
{
    struct delivery_row *row = arena_alloc(a, sizeof *row);
    struct cond *first = arena_alloc(a, sizeof *first);
    struct set *at = arena_alloc(a, sizeof *at);

    if (t->row) {
        *first = COND("complained_at", IS, V_TIME(0));
        *at = SET("complained_at", V_TIME(now));
        t->op = (int)batch_count(b);
        batch_update(b, &delivery_kind, t->row->id, first, 1, at, 1);
        if (is_counted(x))
            stream_day_complain(b, a, &x->message);
        *row = *t->row;
        row->last = NO_BYTES;
    }
    event_record_more(b, a, &x->message, t->row ? row : NULL, "email.complained", x->more, now);
}

void returned_add(struct returned *x, struct batch *b, struct arena *a, int64_t now)
{
    for (size_t i = 0; i < x->n; i++) {
        struct told *t = &x->each[i];

        t->op = t->count_op = -1;
        if (t->lost)
            continue;
        if (x->message_gone)
            x->message = message_stand_in(t->row);
        if (t->suppresses)
            suppression_add(b, a, t->suppresses);
        switch (t->says) {
        case SAYS_BOUNCED: add_bounce(x, t, b, a, now); break;
        case SAYS_DELAYED: add_delay(x, t, b, a, now); break;
        case SAYS_COMPLAINED: add_complaint(x, t, b, a, now); break;
        }
    }
}

void returned_endings(const struct returned *x, struct arena *a, struct endings *out)
{
    *out = (struct endings){ .message = &x->message, .each = arena_array(a, x->n ? x->n : 1, sizeof *out->each) };
    for (size_t i = 0; i < x->n; i++) {
        const struct told *t = &x->each[i];

        if (!t->lost && t->says == SAYS_BOUNCED)
            out->each[out->n++] =
                (struct ending){ .row = t->row, .verdict = { .outcome = OUTCOME_BOUNCED, .attempt = &t->attempt } };
    }
}

bool returned_mend(struct returned *x, struct batch_failure f)
{
    if (!x || f.operation < 0)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        if (f.operation == x->each[i].op)
            return x->each[i].lost = true;
        if (f.operation == x->each[i].count_op)
            return x->message_gone = true;
    }
    return false;
}
