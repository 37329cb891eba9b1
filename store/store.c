/* store/store.c - what is the same for both engines: arguments judged, cursors read, and the way to a thread that may
 * block.
 *
 * Reads go to a store worker as one job (`send`), and refuse an arena that is full before and after. Commits, claims
 * and locks go to the engine at once: those have queues and threads of their own, in which callers of all fibers
 * meet. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/fiber.h"
#include "net/wait.h"
#include "store/engine.h"
#include <assert.h>

#define COUNT(x)         (sizeof(x) / sizeof *(x))
#define END_LEASES_ARENA ((size_t)16 * 1024 * 1024)

static const struct engine *const engines[] = { &engine_sqlite, &engine_mongo };

/* What a read needs on its way to a store worker; each run function uses its part. */
struct errand {
    struct store *st;
    const struct kind *kind;
    const struct id *ids;
    size_t n;
    unsigned chunk;
    const struct unique_key *key;
    const struct plan *plan;
    const struct blob_chunk *after;
    const struct watch *watch;
    struct bytes *place;
    struct arena *arena;
    void *row;
    struct rows *rows;
    struct bytes *bytes;
    bool ok;
    struct err *e;
};

/* What was read into an arena that is full is not used, nor is anything read for one that was full before. */
static bool send(struct errand *r, void (*run)(void *arg))
{
    return offload(POOL_STORE, run, r, r->e) && r->ok && (!r->arena || arena_check(r->arena, r->e));
}

/* ---- opening ---- */

static const struct engine *engine_for(struct bytes scheme)
{
    for (size_t i = 0; i < COUNT(engines); i++)
        for (size_t j = 0; j < COUNT(engines[i]->schemes); j++)
            if (engines[i]->schemes[j] && bytes_equal(scheme, bytes_of(engines[i]->schemes[j])))
                return engines[i];
    return NULL;
}

static bool find_engine(const char *url, const struct engine **out, struct bytes *place, struct err *e)
{
    struct bytes scheme;

    *out = bytes_cut(bytes_of(url), ':', &scheme, place) ? engine_for(scheme) : NULL;
    return (*out && place->n) ||
           err_set(e, ERR_INVALID, "not a store: use sqlite:PATH or mongodb://HOST/DATABASE?replicaSet=NAME");
}

bool store_is_shared(const char *url)
{
    const struct engine *engine;
    struct bytes place;
    struct err ignored = { 0 };

    return find_engine(url, &engine, &place, &ignored) && engine->shared;
}

bool store_probe(const char *url, char *found, size_t n, struct err *e)
{
    const struct engine *engine;
    struct bytes place;

    return find_engine(url, &engine, &place, e) && engine->probe(url, place, found, n, e);
}

/* The host begins behind the last '@'. One behind the first '?' may be of an option or of a password with both signs in
 * it: then nothing is shown. */
void store_url_show(const char *url, char out[STORE_SHOWN])
{
    const char *start = strstr(url, "://"), *query = strchr(url, '?'), *at = strrchr(url, '@');

    if (!start) {
        snprintf(out, STORE_SHOWN, "%s", url);
        return;
    }
    start += 3;
    if (at && query && at > query)
        snprintf(out, STORE_SHOWN, "%.*s***", (int)(start - url), url);
    else
        snprintf(out, STORE_SHOWN, "%.*s%s%.*s", (int)(start - url), url, at ? "***@" : "",
                 query ? (int)(query - (at ? at + 1 : start)) : STORE_SHOWN, at ? at + 1 : start);
}

bool store_open(const struct store_options *o, struct store **out, struct err *e)
{
    struct bytes place;
    const struct engine *engine;

    *out = NULL;
    if (!find_engine(o->url, &engine, &place, e))
        return false;
    for (const struct kind *const *k = o->kinds; *k; k++)
        kind_check(*k);
    if (!engine->open(o, place, out, e))
        return false;
    (*out)->engine = engine;
    (*out)->node = o->node;
    (*out)->kinds = o->kinds;
    return true;
}

void store_close(struct store **st)
{
    if (*st)
        (*st)->engine->close(*st);
    *st = NULL;
}

int64_t store_now(struct store *st)
{
    return st->engine->now(st);
}

void engine_tell(const struct err *e, bool was_down)
{
    if (e)
        metric_add(METRIC_store_failures_total, 1);
    if (e && !was_down)
        log_error("store", LOG_TEXT("state", "down"), LOG_TEXT("error", e->message), LOG_TEXT("where", e->where));
    else if (!e && was_down)
        log_info("store", LOG_TEXT("state", "up"));
}

bool store_has_room(struct store *st)
{
    return st->engine->has_room(st);
}

bool store_is_up(struct store *st, struct err *why)
{
    return st->engine->is_up(st, why);
}

/* ---- writing ---- */

struct commit {
    struct store *store;
    void *job; /* the engine's; NULL: there was nothing to do */
};

static bool ready(struct batch *b, struct err *e)
{
    for (size_t i = 0; b->lazy && i < b->n; i++)
        assert(!b->ops[i].kind || !b->ops[i].kind->watched);
    batch_forget(b);
    return arena_check(b->arena, e); /* or half of what was to be kept */
}

bool store_commit_begin(struct store *st, struct batch *b, int64_t deadline, struct commit **out, struct err *e)
{
    struct commit *c = arena_alloc(b->arena, sizeof *c);

    *out = NULL;
    if (!ready(b, e))
        return false;
    c->store = st;
    if (b->n && !st->engine->commit_begin(st, b, deadline, &c->job, e))
        return false;
    *out = c;
    return true;
}

bool store_commit_end(struct commit **c, struct err *e)
{
    struct commit *ends = *c;

    *c = NULL;
    return !ends->job || ends->store->engine->commit_end(ends->job, e);
}

bool store_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    return ready(b, e) && (b->n == 0 || st->engine->commit(st, b, deadline, e));
}

int64_t store_lazy_mark(struct store *st)
{
    return st->engine->lazy_mark ? st->engine->lazy_mark(st) : 0;
}

/* ---- reading ---- */

static void run_get(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->get(r->st, r->kind, r->ids, r->n, r->arena, r->row, r->e);
}

bool store_get_many(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
                    struct err *e)
{
    struct errand r = { .st = st, .kind = k, .ids = ids, .n = n, .arena = a, .row = rows, .e = e };

    assert(n <= 64);
    memset(rows, 0, n * k->size);
    return send(&r, run_get);
}

bool store_look(struct store *st, const struct kind *k, struct id id, struct arena *a, void *row, bool *there,
                struct err *e)
{
    struct value found;

    *there = false;
    if (!store_get_many(st, k, &id, 1, a, row, e))
        return false;
    found = value_of(&k->fields[0], row);
    *there = !value_is_null(&found);
    return true;
}

bool store_get(struct store *st, const struct kind *k, struct id id, struct arena *a, void *row, struct err *e)
{
    bool there;

    return store_look(st, k, id, a, row, &there, e) && (there || err_set(e, ERR_MISSING, "No such %s", k->name));
}

static void run_get_by(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->get_by(r->st, r->key, r->arena, r->row, r->e);
}

bool store_get_by(struct store *st, const struct kind *k, const char *index, const struct value *values, size_t n,
                  struct arena *a, void *row, struct err *e)
{
    struct unique_key key = { k, kind_index(k, index), values, n };
    struct errand r = { .st = st, .key = &key, .arena = a, .row = row, .e = e };

    if (!key.index || !key.index->unique || n > INDEX_FIELDS || (n < INDEX_FIELDS && key.index->fields[n]))
        return err_set(e, ERR_INTERNAL, "%s.%s: no unique index over %zu fields", k->name, index, n);
    for (size_t i = 0; i < n; i++) {
        if (!key.index->fields[i])
            return err_set(e, ERR_INTERNAL, "%s.%s: too many values", k->name, index);
        field_for(k, key.index->fields[i], &values[i]);
    }
    memset(row, 0, k->size);
    return send(&r, run_get_by);
}

static void run_find(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->find(r->st, r->plan, r->arena, r->rows, r->e);
}

bool store_find_some(struct store *st, const struct query *q, size_t bytes, struct arena *a, void **rows, size_t *n,
                     bool *cut, struct err *e)
{
    struct plan p;
    struct rows found = { 0 };
    struct errand r = { .st = st, .plan = &p, .arena = a, .rows = &found, .e = e };

    if (!plan_make(q, a, &p, e))
        return false;
    p.bytes = bytes;
    if (!send(&r, run_find))
        return false;
    *rows = found.row;
    *n = found.n;
    *cut = found.cut;
    return true;
}

bool store_find(struct store *st, const struct query *q, struct arena *a, void **rows, size_t *n, struct err *e)
{
    bool cut;

    return store_find_some(st, q, 0, a, rows, n, &cut, e);
}

static void run_blob_get(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->blob_get(r->st, *r->ids, r->chunk, r->arena, r->bytes, r->e);
}

bool store_blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e)
{
    struct errand r = { .st = st, .ids = &id, .chunk = n, .arena = a, .bytes = out, .e = e };

    return send(&r, run_blob_get);
}

/* ---- claims and locks ---- */

bool store_claim(struct store *st, const struct claim *c, struct arena *a, void **rows, size_t *n, struct err *e)
{
    struct plan p;
    struct rows found = { 0 };

    field_for(c->query.kind, c->due, &V_TIME(0));
    field_for(c->query.kind, c->lease, &V_TIME(0));
    field_for(c->query.kind, c->token, &V_INT(0));
    field_for(c->query.kind, c->holder, &V_ID(NO_ID));
    if (c->lapsed)
        field_for(c->query.kind, c->lapsed, &V_TIME(0));
    if (!plan_make(&c->query, a, &p, e) || !arena_check(a, e) || !st->engine->claim(st, c, &p, a, &found, e))
        return false;
    *rows = found.row;
    *n = found.n;
    return true;
}

/* A few at a time; *found of them. */
static bool end_some(struct store *st, const struct claim *c, struct arena *a, size_t *found, struct err *e)
{
    const struct kind *k = c->query.kind;
    const struct field *token = kind_field(k, c->token);
    struct query q = c->query;
    struct batch *b = batch_new(a);
    struct set *sets = arena_array(a, 2, sizeof *sets);
    int64_t now = store_now(st);
    void *rows;

    q.conds[q.n_conds++] = COND(c->due, ABOVE, V_TIME(now));
    q.conds[q.n_conds++] = COND(c->due, AT_MOST, V_TIME(now + c->lease_ms));
    q.conds[q.n_conds++] = COND(c->holder, IS, V_ID(st->node));
    q.conds[q.n_conds++] = COND(c->lease, IS_NOT, V_TIME(0));
    q.only = (const char *const[]){ "id", c->token, NULL };
    sets[0] = SET(c->due, V_TIME(now));
    sets[1] = SET(c->lease, V_TIME(c->lapsed ? now : 0)); /* the next claim is to know of it */
    if (!store_find(st, &q, a, &rows, found, e))
        return false;
    for (size_t i = 0; i < *found; i++) {
        const void *row = (const char *)rows + i * k->size;
        struct cond *same = arena_alloc(a, sizeof *same);

        *same = COND(c->token, IS, value_of(token, row));
        batch_update(b, k, value_of(&k->fields[0], row).id, same, 1, sets, 2);
    }
    return store_commit(st, b, clock_monotonic() + c->lease_ms, e);
}

bool store_end_leases(struct store *st, const struct claim *c, struct err *e)
{
    struct arena *a = arena_new(END_LEASES_ARENA);
    size_t found;
    bool ok;

    assert(c->query.n_conds + 4 <= QUERY_CONDS);
    do {
        arena_reset(a);
        ok = end_some(st, c, a, &found, e);
    } while (ok && found == c->query.limit);
    arena_free(&a);
    return ok;
}

bool store_lock(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e)
{
    return st->engine->lock(st, name, ttl_ms, token, e);
}

bool store_lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e)
{
    return st->engine->lock_renew(st, name, token, ttl_ms, e);
}

void store_unlock(struct store *st, struct bytes name, int64_t token)
{
    st->engine->unlock(st, name, token);
}

void store_end_earlier(struct store *st)
{
    if (st->engine->end_earlier)
        st->engine->end_earlier(st);
}

/* ---- watch ---- */

static void run_watch(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->watch_read(r->st, r->watch, r->place, r->arena, r->rows, r->e);
}

bool store_watch(struct store *st, const struct kind *k, struct bytes after, size_t limit, int64_t deadline,
                 struct arena *a, void **rows, size_t *n, struct bytes *next, struct err *e)
{
    struct bytes place;
    struct rows found = { 0 };
    const struct watch all = { .kind = k, .limit = limit };
    struct errand r = { .st = st, .watch = &all, .place = &place, .arena = a, .rows = &found, .e = e };
    struct signal *signal = st->engine->watch_signal(st, k);

    if (!watch_cursor_read(k, st->identity, after, a, &place))
        return err_set(e, ERR_INVALID, "not a place in the feed of %s", k->name);
    for (;;) {
        uint64_t seen = signal_count(signal); /* before the look, so that no commit between is slept through */

        if (!send(&r, run_watch))
            return false;
        if (found.n || atomic_load(&st->ending) || clock_monotonic() >= deadline ||
            !signal_wait(signal, seen, deadline))
            break;
    }
    *rows = found.row;
    *n = found.n;
    *next = watch_cursor(k, st->identity, place, a);
    return true;
}

void store_end_waits(struct store *st)
{
    atomic_store(&st->ending, true);
    for (const struct kind *const *k = st->kinds; *k; k++)
        if ((*k)->watched)
            signal_raise(st->engine->watch_signal(st, *k));
}

bool store_watch_part(struct store *st, const struct watch *w, struct arena *a, void **rows, size_t *n,
                      struct bytes *next, struct err *e)
{
    const struct index *x = kind_index(w->kind, w->index);
    struct bytes place;
    struct rows found = { 0 };
    struct errand r = { .st = st, .watch = w, .place = &place, .arena = a, .rows = &found, .e = e };

    if (!x || !x->feed)
        return err_set(e, ERR_INTERNAL, "kind %s has no feed by %s", w->kind->name, w->index);
    field_for(w->kind, x->fields[0], &w->value);
    if (!watch_cursor_read(w->kind, st->identity, w->after, a, &place))
        return err_set(e, ERR_INVALID, "not a place in the feed of %s", w->kind->name);
    if (!send(&r, run_watch))
        return false;
    *rows = found.row;
    *n = found.n;
    *next = watch_cursor(w->kind, st->identity, place, a);
    return true;
}

static void run_watch_end(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->watch_end(r->st, r->kind, r->arena, r->place, r->e);
}

bool store_watch_end(struct store *st, const struct kind *k, struct arena *a, struct bytes *cursor, struct err *e)
{
    struct bytes place = NO_BYTES;
    struct errand r = { .st = st, .kind = k, .place = &place, .arena = a, .e = e };

    if (!send(&r, run_watch_end))
        return false;
    *cursor = watch_cursor(k, st->identity, place, a);
    return true;
}

/* ---- the whole store ---- */

int64_t store_identity(const struct store *st)
{
    return st->identity;
}

static void run_knows_all(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->knows_all(r->st, r->e);
}

bool store_knows_all(struct store *st, struct err *e)
{
    struct errand r = { .st = st, .e = e };

    return send(&r, run_knows_all);
}

static void run_blob_walk(void *arg)
{
    struct errand *r = arg;

    r->ok = r->st->engine->blob_walk(r->st, r->after, r->n, r->arena, r->rows, r->e);
}

bool store_blob_walk(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a,
                     struct blob_chunk **chunks, size_t *n, struct err *e)
{
    struct rows found = { 0 };
    struct errand r = { .st = st, .after = after, .n = limit, .arena = a, .rows = &found, .e = e };

    if (!send(&r, run_blob_walk))
        return false;
    *chunks = found.row;
    *n = found.n;
    return true;
}
