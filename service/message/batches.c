/* service/message/batches.c - batches as they are shown, found, listed and cancelled; they are made in
 * batches_create.c. Nothing is counted as messages go on: a batch has a thousand at most, and how these stand is looked
 * at when somebody asks. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/idempotency.h"
#include "service/core/list.h"
#include "service/core/member.h"
#include "service/message/batches_private.h"
#include "service/queue/outcome.h"

/* ---- the members ---- */

static void show_mode(struct jw *w, const void *row)
{
    jw_text(w, ((const struct batch_row *)row)->permissive ? BYTES("permissive") : BYTES("strict"));
}

static void show_status(struct jw *w, const void *row)
{
    jw_text(w, ((const struct batch_row *)row)->completed_at ? BYTES("complete") : BYTES("incomplete"));
}

static const struct member batch_list_[] = {
    MEMBER(ID, batch_row, id, .prefix = "bat", .column = true),
    MEMBER(ID, batch_row, account_id, .prefix = "acc"),
    { .name = "mode", .type = MEMBER_OWN, .show = show_mode, .column = true },
    { .name = "status", .type = MEMBER_OWN, .show = show_status, .column = true },
    MEMBER(INT, batch_row, total, .column = true),
    MEMBER(INT, batch_row, accepted, .column = true),
    MEMBER(INT, batch_row, rejected, .column = true),
    MEMBER(JSON, batch_view, counts, .otherwise = "{}"),
    MEMBER(ID, batch_row, key_id, .prefix = "key"),
    MEMBER(ID, batch_row, request_id, .prefix = "req"),
    MEMBER(TIME, batch_row, created_at, .column = true),
    MEMBER(TIME, batch_row, completed_at),
};
MEMBERS(batch, .object = "batch", .path = "/v1/batches/", .kind = &batch_kind);

static void show_error(struct jw *w, const struct batch_item *item)
{
    const struct err_row *row = err_row(item->err.code);

    jw_object(w);
    jw_key_text(w, "code", bytes_of(row->api));
    jw_key_int(w, "status", row->http);
    jw_key_text(w, "detail", bytes_of(err_told(&item->err)));
    jw_key(w, "errors");
    faults_show(w, item->faults, item->n_faults);
    jw_object_end(w);
}

static void show_data(struct jw *w, const void *row)
{
    const struct batch_view *v = row;

    jw_array(w);
    for (size_t i = 0; i < v->n; i++) {
        jw_object(w);
        jw_key_int(w, "index", (int64_t)i);
        jw_key_text(w, "status", v->items[i].accepted ? BYTES("accepted") : BYTES("rejected"));
        jw_key(w, v->items[i].accepted ? "message" : "error");
        if (v->items[i].accepted)
            members_write(w, &accepted_members, &v->items[i].out);
        else
            show_error(w, &v->items[i]);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member batch_created_list_[] = {
    { .name = "data", .type = MEMBER_OWN, .show = show_data },
};
MEMBERS(batch_created, .object = "batch", .path = "/v1/batches/", .base = &batch_members);

/* ---- counts ---- */

static const char *const statuses[] = { "scheduled", "queued", "held",     "delivered",
                                        "partial",   "failed", "captured", "cancelled" };
#define STATUSES (sizeof statuses / sizeof *statuses)

static void count(int64_t *n, struct bytes status)
{
    for (size_t i = 0; i < STATUSES; i++)
        n[i] += bytes_equal(status, bytes_of(statuses[i]));
}

static struct bytes counts_json(struct arena *a, const int64_t *n)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 1024);
    jw_init(&w, &out);
    jw_object(&w);
    for (size_t i = 0; i < STATUSES; i++)
        jw_key_int(&w, statuses[i], n[i]);
    jw_object_end(&w);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

struct bytes batch_counts_of(struct arena *a, const struct batch_item *items, size_t n)
{
    int64_t counts[STATUSES] = { 0 };

    for (size_t i = 0; i < n; i++)
        if (items[i].accepted)
            count(counts, items[i].out.status);
    return counts_json(a, counts);
}

/* ---- its messages ---- */

static bool find(struct call *c, struct bytes id, struct batch_row *out)
{
    struct id key;
    bool there = false;

    if (!id_parse(batch_kind.prefix, id, &key))
        return err_set(&c->err, ERR_MISSING, "No such batch");
    if (!store_look(c->store, &batch_kind, key, c->arena, out, &there, &c->err))
        return false;
    if (!there || !id_equal(out->account_id, c->account) || (c->who->test && !out->test) ||
        (c->who->n_domain_ids && !id_equal(out->key_id, c->who->id))) /* it may have others' domains in it */
        return err_set(&c->err, ERR_MISSING, "No such batch");
    return true;
}

/* All of them, narrow. */
static bool load(struct call *c, struct id batch, struct message_row **rows, size_t *n)
{
    static const char *const only[] = { "id",          "batch_id",   "release_at", "n_open",      "n_held",
                                        "n_delivered", "n_captured", "n_failed",   "n_cancelled", NULL };
    struct query q = { .kind = &message_kind, .index = "batch", .n_conds = 1, .only = only };
    void *found;

    q.limit = (size_t)PARAM_INT(batch, messages_max);
    q.conds[0] = COND("batch_id", IS, V_ID(batch));
    if (!store_find(c->store, &q, c->arena, &found, n, &c->err))
        return false;
    *rows = found;
    return true;
}

static bool show(struct call *c, struct batch_view *out)
{
    int64_t counts[STATUSES] = { 0 };
    struct message_row *rows;
    size_t n;

    if (!load(c, out->row.id, &rows, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        count(counts, message_status(&rows[i]));
    out->counts = counts_json(c->arena, counts);
    if (!out->row.completed_at)
        out->row.accepted = (int64_t)n;
    return true;
}

bool batch_get(struct call *c, const struct batch_get_in *in, struct batch_view *out)
{
    *out = (struct batch_view){ 0 };
    return call_may(c, SCOPE_MESSAGES_READ) && find(c, in->id, &out->row) && show(c, out);
}

bool batch_list(struct call *c, const struct batch_list_in *in, struct batch_list_out *out)
{
    struct query q = { .kind = &batch_kind, .index = "account", .n_conds = 1 };
    struct batch_row *rows;
    void *found = NULL;

    *out = (struct batch_list_out){ 0 };
    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (c->who->test)
        q.conds[q.n_conds++] = COND("test", IS, V_BOOL(true));
    if (c->who->n_domain_ids)
        q.conds[q.n_conds++] = COND("key_id", IS, V_ID(c->who->id));
    if (!call_list(c, &q, &in->page, &found, &out->n, &out->page))
        return false;
    rows = found;
    out->rows = arena_array(c->arena, out->n ? out->n : 1, sizeof *out->rows);
    for (size_t i = 0; i < out->n; i++) {
        out->rows[i] = (struct batch_view){ .row = rows[i] };
        if (!show(c, &out->rows[i]))
            return false;
    }
    return true;
}

bool batch_message_list(struct call *c, const struct batch_message_list_in *in, struct message_list_out *out)
{
    struct query q = { .kind = &message_kind, .index = "batch", .n_conds = 1 };
    struct batch_row row;
    void *rows = NULL;

    *out = (struct message_list_out){ 0 };
    if (!call_may(c, SCOPE_MESSAGES_READ) || !find(c, in->id, &row))
        return false;
    q.conds[0] = COND("batch_id", IS, V_ID(row.id));
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = arena_array(c->arena, out->n ? out->n : 1, sizeof *out->rows);
    for (size_t i = 0; i < out->n; i++)
        message_show(c, (const struct message_row *)rows + i, &out->rows[i]);
    return true;
}

/* ---- cancelled ---- */

/* What is not over; *any: something is cancelled by now. */
static bool cancel_all(struct call *c, const struct batch_row *row, size_t *busy, bool *any)
{
    size_t cancelled = 0, n;
    struct message_row *rows;

    *busy = 0;
    *any = false;
    if (!load(c, row->id, &rows, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        *any = *any || rows[i].n_cancelled;
        if ((rows[i].n_open || rows[i].n_held) && !message_cancel_quietly(c, rows[i].id, &cancelled, busy))
            return false;
        fiber_turn();
    }
    *any = *any || cancelled;
    return true;
}

static bool cancel(struct call *c, const struct batch_row *row)
{
    bool keyed = c->idempotency && c->idempotency->key.p, any;
    size_t busy;

    if (!cancel_all(c, row, &busy, &any))
        return false;
    if (!any)
        return err_set(&c->err, ERR_NOT_CANCELLABLE,
                       busy ? "What is open of the batch is being delivered at this moment"
                            : "Nothing of the batch is scheduled, queued, deferred or held");
    return !keyed || call_commit(c, batch_new(c->arena), NULL, row->id);
}

bool batch_cancel(struct call *c, const struct batch_cancel_in *in, struct batch_view *out)
{
    struct bytes id = in->id;
    struct id again;

    *out = (struct batch_view){ 0 };
    if (!call_may(c, SCOPE_SEND))
        return false;
    if (idempotency_again(c, &again))
        return find(c, id_text(c->arena, batch_kind.prefix, again), &out->row) && show(c, out);
    return find(c, id, &out->row) && cancel(c, &out->row) && show(c, out);
}
