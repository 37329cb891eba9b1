/* service/message/message_cancel.c - ends what is open of a message that was sent, in slices, so that a message of any
 * number of recipients costs a bounded batch at a time. What is being delivered at the moment is under a lease, and
 * left: its outcome is somebody else's to write down. The idempotency row commits with the last slice: a cancel that
 * was cut off goes on where it stood when it is asked again. */
#include "base/clock.h"
#include "service/core/idempotency.h"
#include "service/message/message_private.h"
#include "service/queue/ending.h"
#include <assert.h>

/* Deliveries of one batch: each brings the texts of the message again, in its event. */
#define SLICE 200

/* A cursor of the index by message: two ids, as text. */
#define CURSOR_MOST 512

struct cancel {
    struct call *call;
    struct bytes id; /* as it was asked for */
    struct message_row message;
    char cursor[CURSOR_MOST]; /* behind the last slice */
    struct bytes after;
    bool last;  /* slice */
    bool quiet; /* a part of something larger: no answer is kept */
    size_t cancelled, busy;
};

static void go_behind(struct cancel *k, struct bytes cursor)
{
    assert(cursor.n <= sizeof k->cursor);
    memcpy(k->cursor, cursor.p, cursor.n);
    k->after = (struct bytes){ k->cursor, cursor.n };
}

/* The next open ones. One more than a slice is looked for, to know which is the last. */
static bool load(struct cancel *k, struct delivery_row **rows, size_t *n)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2, .limit = SLICE + 1 };
    struct value open[] = { V_TEXT(BYTES("queued")), V_TEXT(BYTES("deferred")), V_TEXT(BYTES("held")) };
    struct call *c = k->call;
    void *found;

    q.conds[0] = COND("message_id", IS, V_ID(k->message.id));
    q.conds[1] = COND_ONE_OF("status", open, 3);
    q.after = k->after;
    if (!store_find(c->store, &q, c->arena, &found, n, &c->err))
        return false;
    *rows = found;
    k->last = *n <= SLICE;
    if (!k->last) {
        *n = SLICE;
        go_behind(k, store_cursor(&q, &(*rows)[SLICE - 1], c->arena));
    }
    return true;
}

/* What nobody is working on. */
static void choose(struct cancel *k, const struct delivery_row *rows, size_t n, struct endings *list)
{
    int64_t now = store_now(k->call->store);

    list->each = arena_array(k->call->arena, n ? n : 1, sizeof *list->each);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].lease_until > now)
            k->busy++;
        else
            list->each[list->n++] = (struct ending){ .row = &rows[i],
                                                     .verdict = verdict_of(CAUSE_CANCELLED, now),
                                                     .guest = rows[i].guest_id };
    }
}

static size_t count_lost(const struct endings *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += list->each[i].lost;
    return n;
}

static bool commit_once(struct cancel *k, struct batch *b, size_t ended)
{
    struct call *c = k->call;

    if (k->last && k->cancelled + ended && !k->quiet)
        return call_commit(c, b, NULL, k->message.id);
    return !batch_count(b) || (arena_check(c->arena, &c->err) && store_commit(c->store, b, c->deadline, &c->err));
}

static bool commit(struct cancel *k, struct endings *list)
{
    for (;;) {
        struct batch *b = batch_new(k->call->arena);
        size_t lost = count_lost(list);

        k->call->err = (struct err){ 0 };
        endings_add(list, b, k->call->arena, clock_wall());
        if (commit_once(k, b, list->n - lost)) {
            k->cancelled += list->n - lost;
            k->busy += lost;
            return true;
        }
        if (k->call->err.code != ERR_CONFLICT || !endings_mend(list, batch_failure(b)))
            return false;
    }
}

static bool cancel_slice(struct cancel *k)
{
    struct endings list = { .message = &k->message, .unleased = true };
    struct delivery_row *rows;
    size_t n;

    if (!message_find_sent(k->call, k->id, &k->message) || !load(k, &rows, &n))
        return false;
    choose(k, rows, n, &list);
    return commit(k, &list);
}

static bool cancel_all(struct cancel *k)
{
    struct arena_mark before = arena_mark(k->call->arena);

    do {
        arena_rewind(k->call->arena, before);
        if (!cancel_slice(k))
            return false;
    } while (!k->last);
    if (k->cancelled || k->quiet)
        return true;
    return err_set(&k->call->err, ERR_NOT_CANCELLABLE,
                   k->busy ? "What is open of the message is being delivered at this moment"
                           : "Nothing of the message is queued, deferred or held");
}

bool message_cancel_quietly(struct call *c, struct id id, size_t *cancelled, size_t *busy)
{
    struct cancel k = { .call = c, .id = id_text(c->arena, message_kind.prefix, id), .quiet = true };
    bool ok = cancel_all(&k);

    *cancelled += k.cancelled;
    *busy += k.busy;
    return ok;
}

bool message_cancel(struct call *c, const struct message_cancel_in *in, struct message_view *out)
{
    struct cancel k = { .call = c, .id = in->id };
    struct message_row row;
    struct id again;

    if (!call_may(c, SCOPE_SEND))
        return false;
    if (idempotency_again(c, &again)) {
        if (!message_find(c, id_text(c->arena, message_kind.prefix, again), &row))
            return false;
    } else if (!cancel_all(&k) || !store_get(c->store, &message_kind, k.message.id, c->arena, &row, &c->err)) {
        return false;
    }
    message_show(c, &row, out);
    return true;
}
