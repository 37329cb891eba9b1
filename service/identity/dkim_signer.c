/* service/identity/dkim_signer.c - a cache in front of the keys of domains, because to open and parse a pair costs
 * about as much as to sign with it.
 *
 * A signer is what was read of one domain, and is never changed; who uses one holds it while the cache may have let go
 * of it. What does not open is remembered as well. A domain asked for by many fibers at once may be read more than
 * once: the last one stays. */
#include "service/identity/dkim_signer.h"
#include "base/clock.h"
#include "service/core/state.h"
#include "service/identity/dkim.h"
#define uthash_fatal(message) die("out of memory: DKIM keys")
#include <uthash.h>

#define FRESH_MS 1000
#define TELL_MS  3600000 /* an event of a key that does not open, for each domain and process */
#define KEYS     2       /* one of each algorithm */

struct dkim_signer {
    UT_hash_handle hh;
    struct id domain;
    atomic_int holders;
    uint64_t generation;
    int64_t until;
    struct id ids[KEYS];
    struct dkim_by by[KEYS];
    struct dkim_key *keys[KEYS];
    size_t n;
    struct err why; /* a key does not open */
    int64_t told;   /* when an event said so */
    char selectors[KEYS][256];
};

struct dkim_cache {
    pthread_mutex_t mutex;
    struct dkim_signer *all; /* the one that was looked for longest ago first */
    atomic_uint_fast64_t generation;
};

struct dkim_cache *dkim_cache_new(void)
{
    struct dkim_cache *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory: DKIM keys");
    pthread_mutex_init(&k->mutex, NULL);
    return k;
}

void dkim_signer_put(struct dkim_signer **s)
{
    if (!*s)
        return;
    if (atomic_fetch_sub(&(*s)->holders, 1) == 1) {
        for (size_t i = 0; i < (*s)->n; i++)
            dkim_key_free(&(*s)->keys[i]);
        free(*s);
    }
    *s = NULL;
}

static void forget(struct dkim_cache *k, struct dkim_signer *s)
{
    HASH_DEL(k->all, s);
    dkim_signer_put(&s);
}

void dkim_cache_free(struct dkim_cache **cache)
{
    struct dkim_signer *s, *next;

    if (!*cache)
        return;
    HASH_ITER (hh, (*cache)->all, s, next)
        forget(*cache, s);
    pthread_mutex_destroy(&(*cache)->mutex);
    free(*cache);
    *cache = NULL;
}

void dkim_changed(struct service *svc)
{
    atomic_fetch_add(&svc->dkim->generation, 1);
}

const struct dkim_by *dkim_signer_by(const struct dkim_signer *s, size_t *n)
{
    *n = s->n;
    return s->by;
}

/* ---- memory ---- */

static struct dkim_signer *signer_new(struct id domain)
{
    struct dkim_signer *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: DKIM keys");
    s->domain = domain;
    atomic_init(&s->holders, 1);
    return s;
}

static struct dkim_signer *recall(struct dkim_cache *k, struct id domain, bool *fresh)
{
    struct dkim_signer *s;

    pthread_mutex_lock(&k->mutex);
    HASH_FIND(hh, k->all, domain.b, sizeof domain.b, s);
    if (s) {
        atomic_fetch_add(&s->holders, 1);
        *fresh = s->generation == atomic_load(&k->generation) && s->until > clock_monotonic();
    }
    pthread_mutex_unlock(&k->mutex);
    return s;
}

/* The cache takes its own hold. */
static void remember(struct dkim_cache *k, struct dkim_signer *s)
{
    struct dkim_signer *old;

    atomic_fetch_add(&s->holders, 1);
    pthread_mutex_lock(&k->mutex);
    HASH_FIND(hh, k->all, s->domain.b, sizeof s->domain.b, old);
    if (old)
        forget(k, old);
    while (k->all && HASH_COUNT(k->all) >= (size_t)PARAM_INT(dkim, cache))
        forget(k, k->all);
    HASH_ADD(hh, k->all, domain, sizeof s->domain, s);
    pthread_mutex_unlock(&k->mutex);
}

/* ---- reading ---- */

struct reading {
    struct call *c;
    struct dkim_row rows[KEYS];
    struct dkim_signer *made;
};

/* On a cpu worker. */
static void open_all(void *arg)
{
    struct reading *r = arg;
    struct dkim_signer *s = r->made;
    size_t n = s->n;

    for (s->n = 0; s->n < n; s->n++) {
        struct err why = { 0 };

        if (!dkim_open(r->c->svc, &r->rows[s->n], &s->keys[s->n], &why)) {
            err_set(&s->why, ERR_UNSIGNED, "The DKIM key %s cannot be opened: %s", s->selectors[s->n], why.message);
            return;
        }
        s->by[s->n] = (struct dkim_by){ s->keys[s->n], bytes_of(s->selectors[s->n]) };
    }
}

/* Of each algorithm the one that became active last. */
static size_t choose(const struct dkim_row *rows, size_t n, const struct dkim_row *out[KEYS])
{
    static const char *const algorithms[KEYS] = { "rsa", "ed25519" };
    size_t chosen = 0;

    for (size_t k = 0; k < KEYS; k++) {
        const struct dkim_row *best = NULL;

        for (size_t i = 0; i < n; i++)
            if (dkim_is(&rows[i], DKIM_ACTIVE) && bytes_equal(rows[i].algorithm, bytes_of(algorithms[k])) &&
                (!best || rows[i].active_at >= best->active_at))
                best = &rows[i];
        if (best)
            out[chosen++] = best;
    }
    return chosen;
}

static bool is_same(const struct dkim_signer *s, const struct dkim_row *const *chosen, size_t n)
{
    bool same = !s->why.code && s->n == n;

    for (size_t i = 0; i < n && same; i++)
        same = id_equal(s->ids[i], chosen[i]->id);
    return same;
}

static bool read_keys(struct reading *r, const struct dkim_row *const *chosen, size_t n)
{
    struct dkim_signer *s = r->made;
    struct call *c = r->c;

    for (s->n = 0; s->n < n; s->n++) {
        const struct dkim_row *row = chosen[s->n];

        if (!store_get(c->store, &dkim_kind, row->id, c->arena, &r->rows[s->n], &c->err))
            return call_was_missing(c) && err_set(&c->err, ERR_BUSY, "The DKIM keys of the domain change; try again");
        s->ids[s->n] = row->id;
        snprintf(s->selectors[s->n], sizeof s->selectors[s->n], "%.*s", SHOW(row->selector));
    }
    if (n == 0)
        err_set(&s->why, ERR_UNSIGNED, "The domain has no DKIM key that signs");
    return offload(POOL_CPU, open_all, r, &c->err);
}

/* What is wrong with a key is told once an hour: the next mail would say the same. */
static bool tell(struct call *c, const struct domain_row *domain, struct dkim_signer *s)
{
    struct batch *b = batch_new(c->arena);
    int64_t now = clock_wall();
    struct event_row row = { .id = id_new(),
                             .account_id = domain->account_id,
                             .domain_id = domain->id,
                             .type = BYTES("domain.dkim_failed"),
                             .mode = service_is_live(c->svc) ? BYTES("live") : BYTES("sandbox"),
                             .at = now,
                             .expires_at = now + PARAM_INT(event, keep) };
    struct buf data;
    struct jw w;
    bool ok;

    if (!s->why.code || now - s->told < TELL_MS)
        return true;
    s->told = now;
    log_warn("dkim", LOG_BYTES("domain", domain->name), LOG_TEXT("why", s->why.message));
    buf_init(&data, 2048);
    jw_init(&w, &data);
    jw_object(&w);
    jw_key_text(&w, "text", bytes_of(s->why.message));
    jw_key_text(&w, "on_failure", PARAM_TEXT(dkim, on_failure));
    jw_object_end(&w);
    row.data = buf_bytes(&data);
    batch_insert(b, &event_kind, &row, NULL, 0);
    ok = store_commit(c->store, b, c->deadline, &c->err);
    buf_clear(&data);
    return ok;
}

static void extend(struct dkim_cache *k, struct dkim_signer *s, uint64_t generation)
{
    pthread_mutex_lock(&k->mutex);
    s->generation = generation;
    s->until = clock_monotonic() + FRESH_MS;
    pthread_mutex_unlock(&k->mutex);
}

/* What was known holds on as long as the same keys are to sign. */
static bool look(struct call *c, const struct domain_row *domain, struct dkim_signer **s)
{
    uint64_t generation = atomic_load(&c->svc->dkim->generation); /* before the read, so that no change is missed */
    const struct dkim_row *chosen[KEYS];
    struct reading r = { .c = c };
    const struct dkim_row *rows;
    size_t n;

    if (!dkim_ensure(c, domain, &rows, &n))
        return false;
    n = choose(rows, n, chosen);
    if (!*s || !is_same(*s, chosen, n)) {
        r.made = signer_new(domain->id);
        r.made->told = *s ? (*s)->told : 0;
        dkim_signer_put(s);
        *s = r.made;
        if (!read_keys(&r, chosen, n) || !tell(c, domain, r.made))
            return false;
        remember(c->svc->dkim, r.made);
    }
    extend(c->svc->dkim, *s, generation);
    return true;
}

bool dkim_signer_get(struct call *c, const struct domain_row *domain, struct dkim_signer **out)
{
    bool fresh = false, ok;

    *out = recall(c->svc->dkim, domain->id, &fresh);
    ok = fresh || look(c, domain, out);
    if (ok && (*out)->why.code) {
        c->err = (*out)->why;
        ok = false;
    }
    if (!ok)
        dkim_signer_put(out);
    return ok;
}
