/* service/queue/queue_finish.c - how attempts to other servers end, and what is past its time: see queue.h.
 *
 * The batch is that of ending.h. What it cannot be written by is the store's state, which passes, or one delivery,
 * which is found by halves. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "service/core/state.h"
#include "service/queue/ending.h"
#include "service/queue/queue_private.h"
#include "service/queue/transcript.h"

/* The same lines are kept once. */
static const struct transcript_row *transcript_of(struct service *svc, struct arena *a, const struct done *d,
                                                  const struct transcript_row **first)
{
    const struct transcript_row *row;

    if (!d->transcript.p || d->work->lost || d->written)
        return NULL;
    row = transcript_make(svc, a, &d->work->row, d->transcript, *first);
    *first = *first ? *first : row;
    return row;
}

static bool finish(struct service *svc, struct arena *a, struct done *each, size_t n, struct err *e)
{
    struct arena_mark clean = arena_mark(a);
    struct ending *ends = arena_array(a, n, sizeof *ends);
    struct endings list = { .message = each[0].work->message, .each = ends, .n = n };
    const struct transcript_row *first = NULL;
    bool ok;

    list.message_gone = each[0].work->message_gone;
    for (size_t i = 0; i < n; i++)
        ends[i] = (struct ending){ .row = &each[i].work->row,
                                   .verdict = each[i].verdict,
                                   .guest = each[i].work->row.guest_id,
                                   .ambiguous = each[i].ambiguous,
                                   .source = each[i].source,
                                   .suspension = each[i].suspension,
                                   .reason = each[i].reason,
                                   .transcript = transcript_of(svc, a, &each[i], &first),
                                   .lost = each[i].work->lost || each[i].written };
    ok = queue_find_suppressed(svc, a, each, ends, n, e) &&
         endings_commit(svc, &list, a, clock_monotonic() + PARAM_INT(delivery, lease) / 4, e);
    for (size_t i = 0; ok && i < n; i++) {
        each[i].work->lost = ends[i].lost && !each[i].written;
        each[i].written = !each[i].work->lost;
    }
    arena_rewind(a, clean);
    return ok;
}

/* The store's state, not what it was asked: it may take the same another time. */
bool queue_passes(enum err_code code)
{
    return code == ERR_BUSY || code == ERR_QUEUE_FULL || code == ERR_STORAGE_FULL || code == ERR_TIMEOUT ||
           code == ERR_CLOSED;
}

static void give_up(struct arena *a, struct done *d, const struct err *e)
{
    d->work->lost = true;
    log_error("delivery", LOG_BYTES("id", id_text(a, delivery_kind.prefix, d->work->row.id)),
              LOG_TEXT("result", "cannot be written down"), LOG_TEXT("error", e->message), LOG_TEXT("where", e->where));
}

bool queue_finish(struct service *svc, struct arena *a, struct done *each, size_t n, struct err *e)
{
    if (finish(svc, a, each, n, e))
        return true;
    if (queue_passes(e->code))
        return false;
    if (n == 1)
        give_up(a, each, e);
    *e = (struct err){ 0 };
    return n == 1 || (queue_finish(svc, a, each, n / 2, e) && queue_finish(svc, a, each + n / 2, n - n / 2, e));
}

/* ---- what need not wait ---- */

#define HASTEN_ROWS  500
#define HASTEN_ARENA ((size_t)16 * 1024 * 1024)

static void hasten_query(struct bytes site, struct id account, struct arena *a, struct query *q)
{
    static const char *const only[] = { "id",          "flow", "send_at",    "token", "status",
                                        "lease_until", "last", "account_id", NULL };

    *q = (struct query){ .kind = &delivery_kind, .index = "flow", .limit = HASTEN_ROWS, .only = only };
    if (!id_is_none(account))
        q->conds[q->n_conds++] = COND("account_id", IS, V_ID(account));
    if (!site.p) {
        q->conds[q->n_conds++] = COND("flow", IS_NOT, V_TEXT(NO_BYTES));
        return;
    }
    q->conds[q->n_conds++] = COND("flow", AT_LEAST, V_TEXT(arena_bytesf(a, "%.*s/", SHOW(site))));
    q->conds[q->n_conds++] = COND("flow", BELOW, V_TEXT(arena_bytesf(a, "%.*s0", SHOW(site)))); /* '0' follows '/' */
}

static bool waits_for_network(const struct delivery_row *d, int64_t now)
{
    struct bytes cause = json_part(d->last, "cause");

    return d->send_at > now && d->lease_until <= now && bytes_equal(d->status, BYTES("deferred")) &&
           (bytes_equal(cause, BYTES("\"network\"")) || bytes_equal(cause, BYTES("\"dns\"")));
}

/* One that is claimed or ended meanwhile fails its batch: the others of the slice keep their times. */
static bool hasten_slice(struct service *svc, struct arena *a, const struct delivery_row *rows, size_t n, size_t *done,
                         struct err *e)
{
    int64_t now = store_now(svc->store), until = clock_monotonic() + PARAM_INT(delivery, lease) / 4;
    struct batch *b = batch_new(a);

    for (size_t i = 0; i < n; i++) {
        struct cond *same = arena_array(a, 2, sizeof *same);
        struct set *due = arena_alloc(a, sizeof *due);

        if (!waits_for_network(&rows[i], now))
            continue;
        same[0] = COND("token", IS, V_INT(rows[i].token));
        same[1] = COND("send_at", IS, V_TIME(rows[i].send_at));
        *due = SET("send_at", V_TIME(now));
        batch_update(b, &delivery_kind, rows[i].id, same, 2, due, 1);
    }
    if (!batch_count(b))
        return true;
    if (store_commit(svc->store, b, until, e))
        *done += batch_count(b);
    else if (e->code == ERR_CONFLICT)
        *e = (struct err){ 0 };
    return e->code == 0;
}

bool queue_hasten(struct service *svc, struct bytes site, struct id account, size_t *n, struct err *e)
{
    struct arena *a = arena_new(HASTEN_ARENA), *places = arena_new(HASTEN_ARENA);
    struct query q;
    size_t found = HASTEN_ROWS;
    bool ok = true;

    *n = 0;
    hasten_query(site, account, places, &q);
    while (ok && found == HASTEN_ROWS) {
        struct delivery_row *rows = NULL;
        void *list;

        arena_reset(a);
        ok = store_find(svc->store, &q, a, &list, &found, e);
        rows = list;
        ok = ok && hasten_slice(svc, a, rows, found, n, e);
        if (ok && found)
            q.after = store_cursor(&q, &rows[found - 1], places);
    }
    arena_free(&a);
    arena_free(&places);
    return ok;
}

/* ---- what is past its time ---- */

static bool find_past(struct service *svc, struct arena *a, struct delivery_row **rows, size_t *n, struct err *e)
{
    struct query q = { .kind = &delivery_kind, .index = "expiry", .n_conds = 2 };
    void *found;

    q.limit = (size_t)PARAM_INT(sweep, slice);
    q.conds[0] = COND("expires_at", AT_MOST, V_TIME(store_now(svc->store)));
    q.conds[1] = COND("flow", IS_NOT, V_TEXT(NO_BYTES));
    if (!store_find(svc->store, &q, a, &found, n, e))
        return false;
    *rows = found;
    return true;
}

bool queue_lacked_tls(const struct delivery_row *d)
{
    return bytes_equal(json_part(d->last, "cause"), BYTES("\"tls\""));
}

/* On condition that nobody has begun with it meanwhile: what is under way ends by its own outcome. */
static bool expire_one(struct service *svc, struct arena *a, const struct delivery_row *row, bool *done, struct err *e)
{
    struct message_row m = { 0 };
    enum cause cause = queue_lacked_tls(row) ? CAUSE_NO_TLS : CAUSE_TIME_OVER;
    struct ending end = { .row = row, .verdict = verdict_of(cause, clock_wall()), .guest = row->guest_id };
    struct endings list = { .message = &m, .each = &end, .n = 1, .unleased = true };

    if (!message_of(svc, row, a, &m, &list.message_gone, e) ||
        !endings_commit(svc, &list, a, clock_monotonic() + PARAM_INT(delivery, lease) / 4, e))
        return false;
    *done = !end.lost;
    if (*done)
        log_info("delivery", LOG_BYTES("id", id_text(a, delivery_kind.prefix, row->id)),
                 LOG_BYTES("message", id_text(a, message_kind.prefix, row->message_id)), LOG_BYTES("rcpt", row->email),
                 LOG_TEXT("result", "expired"));
    return true;
}

#define EXPIRE_ARENA ((size_t)64 * 1024 * 1024)

bool queue_expire(struct service *svc, size_t *n, struct err *e)
{
    struct arena *a = arena_new(EXPIRE_ARENA), *one = arena_new(EXPIRE_ARENA);
    struct delivery_row *rows = NULL;
    size_t found = 0;
    int64_t now = store_now(svc->store);
    bool ok = find_past(svc, a, &rows, &found, e), done;

    *n = 0;
    for (size_t i = 0; ok && i < found; i++) {
        arena_reset(one);
        if (rows[i].lease_until > now)
            continue;
        ok = expire_one(svc, one, &rows[i], &done, e);
        *n += ok && done;
    }
    arena_free(&a);
    arena_free(&one);
    return ok;
}
