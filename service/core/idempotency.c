/* service/core/idempotency.c - one execution for each key, also when nodes die.
 *
 * Two things keep a second request away. A lock says that the first still runs, and ends by itself. What decides is the
 * row: its slot is unique and it commits with what the request made, so of two that both believe they hold the lock one
 * fails as a whole. Answers are kept sealed, bound to their slot. */
#include "service/core/idempotency.h"
#include "service/core/state.h"

#define KEY_MOST    255
#define RUN_MS      60000                     /* how long a request may run before another with its key is let in */
#define ANSWER_MOST ((size_t)2 * 1024 * 1024) /* of a thousand mails that were taken at once */
#define SWEEP_ROWS  1000

struct bytes idempotency_hash(struct call *c, struct bytes canonical)
{
    uint8_t *out = arena_alloc(c->arena, CRYPT_HASH);

    crypt_keyed_hash(&c->svc->idempotency_key, canonical, out);
    return (struct bytes){ (char *)out, CRYPT_HASH };
}

/* One place for each credential, account acted in, route and key. Keyed, so that the store tells nobody which keys were
 * used. */
static struct bytes slot_of(struct call *c, const struct idempotency *i)
{
    struct buf text;
    struct bytes slot;

    buf_init(&text, 64 * 1024);
    buf_add(&text, (struct bytes){ (const char *)c->who->id.b, sizeof c->who->id.b });
    buf_add(&text, (struct bytes){ (const char *)c->account.b, sizeof c->account.b });
    buf_addf(&text, "%.*s\n", SHOW(i->route));
    buf_add(&text, i->key);
    slot = idempotency_hash(c, buf_bytes(&text));
    buf_clear(&text);
    return slot;
}

static struct bytes lock_name(struct call *c, struct bytes slot)
{
    char hex[CRYPT_HASH_HEX + 1];

    return arena_bytesf(c->arena, "idempotency:%.*s", SHOW(crypt_hex(slot, hex)));
}

static bool key_ok(struct call *c, struct bytes key)
{
    bool ok = key.n >= 1 && key.n <= KEY_MOST;

    for (size_t i = 0; ok && i < key.n; i++)
        ok = key.p[i] >= ' ' && key.p[i] <= '~';
    return ok || err_set(&c->err, ERR_INVALID, "Idempotency-Key has 1 to %d printable ASCII characters", KEY_MOST);
}

/* ---- what is kept ---- */

static bool open_answer(struct call *c, const struct idempotency_row *row, struct bytes *out)
{
    struct buf text;
    bool ok;

    *out = NO_BYTES;
    if (!row->answer.p)
        return true;
    buf_init(&text, ANSWER_MOST);
    ok = crypt_open(&c->svc->answer_key, row->answer, row->slot, &text);
    if (ok)
        *out = text.n ? arena_copy(c->arena, buf_bytes(&text)) : BYTES("");
    buf_clear(&text);
    return ok || err_set(&c->err, ERR_INTERNAL, "A kept answer does not open");
}

static bool replay(struct call *c, struct idempotency *i, const struct idempotency_row *row)
{
    if (!crypt_equal(row->body_hash, i->body_hash))
        return err_set(&c->err, ERR_IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used with another request");
    if (!open_answer(c, row, &i->answer))
        return false;
    i->status = (int)row->status;
    i->location = row->location;
    i->ref = row->ref;
    i->replayed = true;
    return true;
}

/* True when there is nothing (any more) under the slot; otherwise *row is filled. */
static bool row_find(struct call *c, struct bytes slot, struct idempotency_row *row, bool *there)
{
    struct value v = V_BYTES(slot);
    struct err why = { 0 };

    *there = store_get_by(c->store, &idempotency_kind, "slot", &v, 1, c->arena, row, &why);
    if (*there || why.code == ERR_MISSING)
        return true;
    c->err = why;
    return false;
}

/* A row past its time must not stand in the way of the new one. */
static bool expire(struct call *c, const struct idempotency_row *row)
{
    struct batch *b = batch_new(c->arena);
    struct err why = { 0 };

    batch_delete(b, &idempotency_kind, row->id, NULL, 0);
    if (store_commit(c->store, b, c->deadline, &why) || why.code == ERR_CONFLICT)
        return true;
    c->err = why;
    return false;
}

/* ---- a request ---- */

static bool look(struct call *c, struct idempotency *i)
{
    struct idempotency_row row = { 0 };
    bool there;

    if (!row_find(c, i->slot, &row, &there))
        return false;
    if (!there)
        return true;
    return row.expires_at <= store_now(c->store) ? expire(c, &row) : replay(c, i, &row);
}

bool idempotency_begin(struct call *c)
{
    struct idempotency *i = c->idempotency;
    struct err why = { 0 };

    if (!i || !i->key.p)
        return true;
    if (!key_ok(c, i->key))
        return false;
    i->slot = slot_of(c, i);
    if (!store_lock(c->store, lock_name(c, i->slot), RUN_MS, &i->lock_token, &why)) {
        i->lock_token = 0;
        if (why.code == ERR_IN_USE)
            return err_set(&c->err, ERR_IDEMPOTENCY_BUSY, "A request with this Idempotency-Key is still running");
        c->err = why;
        return false;
    }
    if (!look(c, i)) {
        idempotency_end(c);
        return false;
    }
    return true;
}

bool idempotency_again(const struct call *c, struct id *ref)
{
    *ref = c->idempotency && c->idempotency->replayed ? c->idempotency->ref : NO_ID;
    return !id_is_none(*ref);
}

bool idempotency_goes_on(struct call *c)
{
    struct idempotency *i = c->idempotency;
    struct err why = { 0 };

    if (!i || !i->lock_token || store_lock_renew(c->store, lock_name(c, i->slot), i->lock_token, RUN_MS, &why))
        return true;
    if (why.code == ERR_IN_USE)
        return err_set(&c->err, ERR_IDEMPOTENCY_BUSY, "Another request with this Idempotency-Key goes on with it");
    c->err = why;
    return false;
}

void idempotency_end(struct call *c)
{
    struct idempotency *i = c->idempotency;

    if (!i || !i->lock_token)
        return;
    store_unlock(c->store, lock_name(c, i->slot), i->lock_token);
    i->lock_token = 0;
}

/* ---- commits ---- */

static bool seal_answer(struct call *c, struct idempotency *i, struct idempotency_row *row, const void *out)
{
    struct buf text, sealed;
    bool ok;

    buf_init(&text, ANSWER_MOST);
    buf_init(&sealed, ANSWER_MOST + CRYPT_SEAL_EXTRA);
    ok = i->render(i->ctx, out, &text, &row->location) && !text.overflowed &&
         crypt_seal(&c->svc->answer_key, buf_bytes(&text), row->slot, &sealed);
    if (ok)
        row->answer = arena_copy(c->arena, buf_bytes(&sealed));
    buf_clear(&text);
    buf_clear(&sealed);
    return ok || err_set(&c->err, ERR_INTERNAL, "The answer cannot be kept");
}

bool idempotency_add(struct call *c, struct batch *b, const void *out, struct id ref)
{
    struct idempotency *i = c->idempotency;
    int64_t now = store_now(c->store);

    i->row = arena_alloc(c->arena, sizeof *i->row);
    *i->row = (struct idempotency_row){
        .id = id_new(),
        .account_id = c->account,
        .slot = i->slot,
        .body_hash = i->body_hash,
        .status = i->status ? i->status : 200,
        .ref = ref,
        .expires_at = (i->kept_from > now ? i->kept_from : now) + PARAM_INT(idempotency, keep),
        .created_at = now,
    };
    if (out && i->render && !seal_answer(c, i, i->row, out))
        return false;
    i->operation = batch_insert(b, &idempotency_kind, i->row, NULL, 0);
    return true;
}

bool idempotency_lost(struct call *c, const struct batch *b)
{
    struct batch_failure f = batch_failure(b);

    if (c->err.code != ERR_CONFLICT || f.operation != c->idempotency->operation)
        return false;
    c->err = (struct err){ 0 };
    err_set(&c->err, ERR_IDEMPOTENCY_BUSY, "Another request with this Idempotency-Key came first; ask again");
    return true;
}

/* SWEEP_ROWS at most. */
static bool sweep_slice(struct service *svc, struct arena *a, size_t *n, struct err *e)
{
    static const char *const only[] = { "id", "expires_at", NULL };
    struct query q = { .kind = &idempotency_kind, .index = "expires", .limit = SWEEP_ROWS, .only = only, .n_conds = 1 };
    struct batch *b = batch_new(a);
    struct idempotency_row *rows;

    q.conds[0] = COND("expires_at", AT_MOST, V_TIME(store_now(svc->store)));
    if (!store_find(svc->store, &q, a, (void **)&rows, n, e))
        return false;
    for (size_t i = 0; i < *n; i++)
        batch_delete(b, &idempotency_kind, rows[i].id, NULL, 0);
    return *n == 0 || store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e);
}

bool idempotency_sweep(struct service *svc, size_t *n, struct err *e)
{
    struct arena *a = arena_new(16 * 1024 * 1024);
    size_t slice = 0;
    bool ok;

    *n = 0;
    do {
        arena_reset(a);
        ok = sweep_slice(svc, a, &slice, e);
        *n += ok ? slice : 0;
    } while (ok && slice == SWEEP_ROWS && !atomic_load(&svc->stopping));
    arena_free(&a);
    return ok;
}
