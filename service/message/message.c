/* service/message/message.c - messages as their account sees them, and what may be done to one.
 *
 * Every change demands what it was judged by: a delivery that has ended meanwhile makes the batch fail, and it is
 * looked at again. The counters of a message are only added to, in the batch that changes a delivery, so they need no
 * look. Erasing takes the wrapped key away and marks the body; the bytes go with the sweep, when nobody else can read
 * them. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/body/content.h"
#include "service/body/filing.h"
#include "service/core/idempotency.h"
#include "service/core/member.h"
#include "service/message/intake_private.h"
#include "service/message/message_private.h"

/* Deliveries of one message that are looked at in one go. */
#define DELIVERIES_MAX 2000
/* Times a cancel looks again at what changed under it. */
#define CANCEL_TRIES 5

bool message_find(struct call *c, struct bytes id, struct message_row *out)
{
    struct id key;

    if (!id_parse(message_kind.prefix, id, &key))
        return err_set(&c->err, ERR_MISSING, "No such message");
    if (!store_get(c->store, &message_kind, key, c->arena, out, &c->err))
        return false;
    if (!call_sees(c, out->account_id, out->mode, out->domain_id))
        return err_set(&c->err, ERR_MISSING, "No such message");
    return true;
}

/* Inbound mail is read through its entry: the message shows an envelope, and needs `operator`. */
static bool find_for(struct call *c, struct bytes id, unsigned scope, struct message_row *out)
{
    if (!call_may(c, scope) || !message_find(c, id, out))
        return false;
    return bytes_equal(out->direction, BYTES("outbound")) || call_may(c, SCOPE_OPERATOR);
}

/* ---- the members ---- */

static void show_content(struct jw *w, const void *row)
{
    jw_text(w, ((const struct message_view *)row)->content_kept ? BYTES("kept") : BYTES("gone"));
}

static const struct member message_list_[] = {
    MEMBER(ID, message_row, id, .prefix = "msg", .column = true),
    MEMBER(ID, message_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, message_row, header_message_id),
    MEMBER(TEXT, message_row, direction),
    MEMBER(TEXT, message_row, source),
    MEMBER(TEXT, message_row, mode),
    MEMBER(TEXT, message_view, status, .column = true),
    MEMBER(JSON, message_view, from, .column = true),
    MEMBER(JSON, message_view, reply_to, .otherwise = "[]"),
    MEMBER(JSON, message_view, to, .otherwise = "[]", .column = true),
    MEMBER(JSON, message_view, cc, .otherwise = "[]"),
    MEMBER(JSON, message_view, bcc, .otherwise = "[]"),
    MEMBER(TEXT, message_row, envelope_from),
    MEMBER(TEXT, message_view, subject, .column = true),
    MEMBER(JSON, message_row, tags, .otherwise = "[]"),
    MEMBER(JSON, message_row, metadata, .otherwise = "{}"),
    MEMBER(INT, message_row, size),
    { .name = "content", .type = MEMBER_OWN, .show = show_content },
    MEMBER(TIME, message_row, content_until),
    MEMBER(ID, message_row, key_id, .prefix = "key"),
    MEMBER(ID, message_row, user_id, .prefix = "usr"),
    MEMBER(ID, message_row, request_id, .prefix = "req"),
    MEMBER(TIME, message_row, created_at, .column = true),
};
MEMBERS(message, .object = "message", .path = "/v1/messages/", .kind = &message_kind);

/* ---- one message ---- */

/* `people` is one JSON object with these members, and may be large: its parts are shown as they stand. */
static void show_people(struct bytes people, struct message_view *out)
{
    out->from = json_part(people, "from");
    out->reply_to = json_part(people, "reply_to");
    out->to = json_part(people, "to");
    out->cc = json_part(people, "cc");
    out->bcc = json_part(people, "bcc");
}

void message_show(struct call *c, const struct message_row *row, struct message_view *out)
{
    struct crypt_key content;
    struct err gone = { 0 };

    *out = (struct message_view){ .row = *row, .status = message_status(row) };
    show_people(row->people, out);
    if (!row->wrapped_key.p || !seal_open_server(c->svc, row->id, row->wrapped_key, row->wrap, &content, &gone))
        return;
    out->content_kept = true;
    out->subject = seal_open_text(&content, row->body_id, row->subject, c->arena);
    crypt_wipe(&content, sizeof content);
}

bool message_get(struct call *c, const struct message_get_in *in, struct message_view *out)
{
    struct message_row row;

    if (!find_for(c, in->id, SCOPE_MESSAGES_READ, &row))
        return false;
    message_show(c, &row, out);
    return true;
}

bool message_raw(struct call *c, const struct message_raw_in *in, struct content_out *out)
{
    struct message_row row;
    struct crypt_key content;
    bool ok;

    if (!find_for(c, in->id, SCOPE_MESSAGES_READ, &row) ||
        !seal_open_server(c->svc, row.id, row.wrapped_key, row.wrap, &content, &c->err))
        return false;
    ok = content_open(c, row.body_id, &content, row.trace, out);
    crypt_wipe(&content, sizeof content);
    return ok;
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

/* Mail that came in is its recipients': nobody else erases or cancels it. */
static bool find_sent(struct call *c, struct bytes id, struct message_row *out)
{
    return message_find(c, id, out) &&
           (bytes_equal(out->direction, BYTES("outbound")) || err_set(&c->err, ERR_MISSING, "No such message"));
}

bool message_delete(struct call *c, const struct message_delete_in *in, void *out)
{
    struct message_row row;
    struct batch *b;

    (void)out;
    if (!call_may(c, SCOPE_SEND) || !find_sent(c, in->id, &row))
        return false;
    if (row.n_open || row.n_held)
        return err_set(&c->err, ERR_IN_USE, "The message is still being delivered; cancel it first");
    if (!row.wrapped_key.p)
        return true;
    b = batch_new(c->arena);
    message_erase(b, c->arena, &row);
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    return c->err.code == ERR_CONFLICT && err_set(&c->err, ERR_BUSY, "The message has just changed");
}

/* ---- cancel ---- */

static void cancel_one(struct call *c, struct batch *b, const struct message_row *m, const struct delivery_row *d)
{
    struct cond *same = arena_array(c->arena, 2, sizeof *same);
    struct set *sets = arena_array(c->arena, 8, sizeof *sets);
    struct delivery_row *after = arena_alloc(c->arena, sizeof *after);
    int64_t now = clock_wall();

    *after = *d;
    outcome_apply(after, OUTCOME_CANCELLED, now, c->arena);
    same[0] = COND("status", IS, V_TEXT(d->status));
    same[1] = COND("token", IS, V_INT(d->token));
    sets[0] = SET("status", V_TEXT(after->status));
    sets[1] = SET("due_at", V_TIME(0));
    sets[2] = SET("lease_until", V_TIME(0));
    sets[3] = SET("final_at", V_TIME(now));
    sets[4] = SET("keep_until", V_TIME(after->keep_until));
    sets[5] = SET("wrapped_key", V_BYTES(NO_BYTES));
    sets[6] = SET("wrap", V_TEXT(NO_BYTES));
    sets[7] = SET("entry_id", V_ID(NO_ID));
    batch_update(b, &delivery_kind, d->id, same, 2, sets, 8);
    after->last = NO_BYTES;
    event_record(b, c->arena, m, after, outcome_row(OUTCOME_CANCELLED)->event, now);
}

static bool load_open(struct call *c, const struct message_row *m, struct delivery_row **rows, size_t *n)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2, .limit = DELIVERIES_MAX };
    struct value open[] = { V_TEXT(BYTES("queued")), V_TEXT(BYTES("deferred")), V_TEXT(BYTES("held")) };
    void *found;

    q.conds[0] = COND("message_id", IS, V_ID(m->id));
    q.conds[1] = COND_ONE_OF("status", open, 3);
    if (!store_find(c->store, &q, c->arena, &found, n, &c->err))
        return false;
    *rows = found;
    return true;
}

static void count_one(struct message_row *sum, const struct delivery_row *d)
{
    *(bytes_equal(d->status, BYTES("held")) ? &sum->n_held : &sum->n_open) -= 1;
    sum->n_cancelled++;
}

/* The messages of other accounts that count some of them too. One that is gone by now counts nothing. */
static bool tell_guests(struct call *c, struct batch *b, const struct message_row *m, const struct delivery_row *rows,
                        size_t n)
{
    for (size_t i = 0, j; i < n; i++) {
        struct message_row sum = { 0 }, theirs;
        struct id guest = rows[i].guest_id, id;
        bool there;

        for (j = 0; j < i && !id_equal(rows[j].guest_id, guest); j++)
            continue;
        if (id_is_none(guest) || j < i)
            continue;
        for (j = i; j < n; j++)
            if (id_equal(rows[j].guest_id, guest))
                count_one(&sum, &rows[j]);
        id = message_id_for(m->body_id, guest);
        if (!store_look(c->store, &message_kind, id, c->arena, &theirs, &there, &c->err))
            return false;
        if (there)
            outcome_add(b, c->arena, id, &sum);
    }
    return true;
}

/* All that is open in one batch. ERR_CONFLICT when a delivery was done meanwhile. */
static bool cancel_once(struct call *c, const struct message_row *m)
{
    struct batch *b = batch_new(c->arena);
    struct message_row sum = { 0 };
    struct delivery_row *rows;
    size_t n;

    if (!load_open(c, m, &rows, &n))
        return false;
    if (n == 0)
        return err_set(&c->err, ERR_NOT_CANCELLABLE, "Nothing of the message is queued, deferred or held");
    for (size_t i = 0; i < n; i++) {
        cancel_one(c, b, m, &rows[i]);
        count_one(&sum, &rows[i]);
    }
    outcome_add(b, c->arena, m->id, &sum);
    if (!tell_guests(c, b, m, rows, n))
        return false;
    if (m->no_store && m->wrapped_key.p && m->n_open + sum.n_open == 0 && m->n_held + sum.n_held == 0)
        message_erase(b, c->arena, m);
    else
        body_mark(b, m->body_id, c->arena);
    return call_commit(c, b, NULL, m->id);
}

bool message_cancel(struct call *c, const struct message_cancel_in *in, struct message_view *out)
{
    struct message_row row;
    struct id again;
    bool done = false;

    if (!call_may(c, SCOPE_SEND))
        return false;
    if (idempotency_again(c, &again)) {
        if (!message_find(c, id_text(c->arena, message_kind.prefix, again), &row))
            return false;
        message_show(c, &row, out);
        return true;
    }
    for (int tries = 0; !done && tries < CANCEL_TRIES; tries++) {
        c->err = (struct err){ 0 };
        done = find_sent(c, in->id, &row) && cancel_once(c, &row);
        if (!done && c->err.code != ERR_CONFLICT)
            return false;
    }
    if (!done || !store_get(c->store, &message_kind, row.id, c->arena, &row, &c->err))
        return false;
    message_show(c, &row, out);
    return true;
}
