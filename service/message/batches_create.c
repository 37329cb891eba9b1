/* service/message/batches_create.c - a batch from its request to its answer: see batches.h. The row of one that is not
 * complete holds the slot of its Idempotency-Key, by which the same request finds it again; its id and its time make
 * the ids of the messages, so they are the same then. */
#include "base/budget.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include "service/core/idempotency.h"
#include "service/core/state.h"
#include "service/message/batches_private.h"

/* The messages of one group, as they are read and planned. */
#define WORK_ARENA ((size_t)256 * 1024 * 1024)

/* In order of their place, as their time is one. */
struct id batch_message_id(const struct batch_row *row, size_t i)
{
    uint8_t hash[CRYPT_HASH];
    char text[64];
    int n = snprintf(text, sizeof text, "%zu:", i);

    memcpy(text + n, row->id.b, sizeof row->id.b);
    crypt_hash((struct bytes){ text, (size_t)n + sizeof row->id.b }, hash);
    hash[0] = (uint8_t)(i >> 8);
    hash[1] = (uint8_t)i;
    return id_of_hash_at(hash, row->created_at);
}

static bool has_key(const struct call *c)
{
    return c->idempotency && c->idempotency->key.p;
}

static struct batch_row new_row(const struct call *c, const struct batch_create_in *in)
{
    int64_t now = clock_wall();

    return (struct batch_row){ .id = id_new(),
                               .account_id = c->account,
                               .key_id = c->who->kind == WHO_KEY ? c->who->id : NO_ID,
                               .request_id = c->request,
                               .slot = has_key(c) ? c->idempotency->slot : NO_BYTES,
                               .body_hash = has_key(c) ? c->idempotency->body_hash : NO_BYTES,
                               .permissive = in->permissive,
                               .test = c->who->test,
                               .total = (int64_t)in->n,
                               .created_at = now,
                               .expires_at = now + PARAM_INT(message, keep) };
}

/* One that is too old to go on gives its key free, as what is kept of others does. */
static bool abandon(struct call *c, const struct batch_row *row)
{
    struct batch *b = batch_new(c->arena);
    struct set gone = SET("slot", V_BYTES(NO_BYTES));

    batch_update(b, &batch_kind, row->id, NULL, 0, &gone, 1);
    return store_commit(c->store, b, c->deadline, &c->err);
}

/* What a request of the same key has begun. */
static bool find_begun(struct batch_run *x)
{
    struct call *c = x->call;
    struct batch_row row;
    struct value slot;

    if (!has_key(c))
        return true;
    slot = V_BYTES(c->idempotency->slot);
    if (!store_get_by(c->store, &batch_kind, "slot", &slot, 1, c->arena, &row, &c->err))
        return call_was_missing(c);
    if (row.created_at + PARAM_INT(idempotency, keep) <= store_now(c->store))
        return abandon(c, &row);
    if (!crypt_equal(row.body_hash, c->idempotency->body_hash))
        return err_set(&c->err, ERR_IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used with another request");
    x->row = row;
    x->resumed = x->begun = true;
    return true;
}

static bool check_count(struct call *c, const struct batch_create_in *in)
{
    size_t most = (size_t)PARAM_INT(batch, messages_max);

    if (in->n < 1 || in->n > most)
        call_fault(c, "/messages", in->n ? "too_many" : "required", "1 to %zu messages", most);
    return call_check(c);
}

bool batch_create(struct call *c, const struct batch_create_in *in, struct batch_view *out)
{
    struct batch_run x = { .call = c, .in = in };
    bool ok;

    *out = (struct batch_view){ 0 };
    if (!call_may(c, SCOPE_SEND) || !check_count(c, in) || !service_accepts(c->svc, &c->err))
        return false;
    x.row = new_row(c, in);
    x.items = arena_array(c->arena, in->n, sizeof *x.items);
    x.work = arena_new_in(&budget_api, WORK_ARENA);
    x.kept = arena_new_in(&budget_api, WORK_ARENA);
    x.ready = arena_array(c->arena, in->n, sizeof *x.ready);
    ok = find_begun(&x) && run_judge(&x) && run_take(&x, out);
    if (ok)
        out->counts = batch_counts_of(c->arena, x.items, in->n);
    arena_free(&x.work);
    arena_free(&x.kept);
    return ok;
}
