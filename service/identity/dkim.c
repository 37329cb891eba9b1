/* service/identity/dkim.c - keys of domains as rows: made, listed, moved on.
 *
 * What others publish by (selector, record) stands beside the sealed private half, so that nobody has to open a key to
 * show or to check it. domain.dkim_keys counts them and stands in for a lock, as domain.addresses does: a key comes
 * into no domain that is deleted at the same moment, and two nodes do not both make the first pair. */
#include "service/identity/dkim.h"
#include "service/core/secrets.h"
#include <assert.h>
#include <time.h>

#define DOMAINS_MOST 100 /* of one list: a page */
#define KEYS_MOST    100 /* of one domain: the highest value of dkim.keys_max */

static const char *const statuses[] = {
    [DKIM_NEXT] = "next", [DKIM_ACTIVE] = "active", [DKIM_RETIRING] = "retiring", [DKIM_REVOKED] = "revoked"
};

bool dkim_is(const struct dkim_row *row, enum dkim_status status)
{
    return bytes_equal(row->status, bytes_of(statuses[status]));
}

struct bytes dkim_record_name(struct arena *a, const struct dkim_row *row, struct bytes domain)
{
    return arena_bytesf(a, "%.*s._domainkey.%.*s", SHOW(row->selector), SHOW(domain));
}

struct bytes dkim_record_text(struct arena *a, const struct dkim_row *row)
{
    return dkim_is(row, DKIM_REVOKED) ? arena_bytesf(a, "v=DKIM1; k=%.*s; p=", SHOW(row->algorithm)) : row->record;
}

/* ---- lists ---- */

static int by_age(const void *a, const void *b)
{
    const struct dkim_row *x = a, *y = b;
    int order = id_compare(x->domain_id, y->domain_id);

    return order ? order : id_compare(x->id, y->id);
}

bool dkim_list(struct call *c, const struct id *domains, size_t n, const struct dkim_row **rows, size_t *n_rows)
{
    static const char *const only[] = { "id",      "account_id", "domain_id",  "selector",   "algorithm",
                                        "status",  "record",     "bits",       "imported",   "created_at",
                                        "seen_at", "active_at",  "retired_at", "revoked_at", NULL };
    struct value *ids = arena_array(c->arena, n ? n : 1, sizeof *ids);
    struct query q = { .kind = &dkim_kind, .index = "domain", .n_conds = 1, .only = only };
    void *found = NULL;

    assert(n <= DOMAINS_MOST);
    *rows = NULL;
    *n_rows = 0;
    for (size_t i = 0; i < n; i++)
        ids[i] = V_ID(domains[i]);
    q.conds[0] = COND_ONE_OF("domain_id", ids, n);
    q.limit = n * KEYS_MOST;
    if (n && !store_find(c->store, &q, c->arena, &found, n_rows, &c->err))
        return false;
    if (*n_rows)
        qsort(found, *n_rows, sizeof **rows, by_age);
    *rows = found;
    return true;
}

/* ---- new keys ---- */

/* What people see of when it was made, and four characters by which it is another one each time. */
static struct bytes new_selector(struct arena *a, int64_t now, enum dkim_algorithm algorithm, const char unique[4])
{
    time_t seconds = (time_t)(now / 1000);
    struct tm t;

    gmtime_r(&seconds, &t);
    return arena_bytesf(a, "pr%02d%02d-%.4s-%s", t.tm_year % 100, t.tm_mon + 1, unique,
                        algorithm == DKIM_RSA ? "rsa" : "ed");
}

void dkim_fill(const struct service *svc, struct arena *a, const struct dkim_key *key, struct dkim_row *row)
{
    struct buf text;

    row->algorithm = bytes_of(dkim_algorithm_name(dkim_key_algorithm(key)));
    row->bits = dkim_key_bits(key);
    buf_init(&text, DKIM_KEY_TEXT_MAX);
    dkim_key_record(key, &text);
    row->record = arena_copy(a, buf_bytes(&text));
    buf_reset(&text);
    dkim_key_write(key, &text);
    row->private_key = secret_seal(svc, row->id, buf_bytes(&text), a);
    row->wrap = bytes_of(svc->wrap_name);
    crypt_wipe(text.p, text.n);
    buf_clear(&text);
}

void dkim_become(struct dkim_row *row, enum dkim_status status, int64_t now)
{
    row->status = bytes_of(statuses[status]);
    row->active_at = status == DKIM_ACTIVE ? now : 0;
}

struct pair_job {
    const struct service *svc;
    struct arena *arena;
    struct dkim_row *rows;
    struct err err;
    bool ok;
};

static void pair_work(void *arg)
{
    static const enum dkim_algorithm kinds[] = { DKIM_RSA, DKIM_ED25519 };
    struct pair_job *job = arg;

    job->ok = true;
    for (size_t i = 0; i < 2 && job->ok; i++) {
        struct dkim_key *key = NULL;

        job->ok = dkim_key_new(kinds[i], &key, &job->err);
        if (job->ok)
            dkim_fill(job->svc, job->arena, key, &job->rows[i]);
        dkim_key_free(&key);
    }
}

bool dkim_pair(struct call *c, const struct domain_row *domain, enum dkim_status status, struct dkim_row out[2])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32 that are not taken for one another */
    struct pair_job job = { .svc = c->svc, .arena = c->arena, .rows = out };
    int64_t now = clock_wall();
    uint8_t random[4];
    char unique[4];

    crypt_random(random, sizeof random);
    for (size_t i = 0; i < sizeof unique; i++)
        unique[i] = letters[random[i] % 32];
    for (size_t i = 0; i < 2; i++) {
        out[i] = (struct dkim_row){ .id = id_new(),
                                    .account_id = domain->account_id,
                                    .domain_id = domain->id,
                                    .selector = new_selector(c->arena, now, i ? DKIM_ED25519 : DKIM_RSA, unique),
                                    .created_at = now };
        dkim_become(&out[i], status, now);
    }
    if (!offload(POOL_CPU, pair_work, &job, &c->err))
        return false;
    if (!job.ok)
        c->err = job.err;
    return job.ok;
}

/* ---- changes ---- */

static void add_if(struct batch *b, struct arena *a, const struct dkim_row *rows, size_t n, const struct cond *only_if)
{
    struct set *more = arena_alloc(a, sizeof *more);

    *more = ADD_BOUND("dkim_keys", (int64_t)n, NULL, PARAM_INT(dkim, keys_max));
    batch_update(b, &domain_kind, rows[0].domain_id, only_if, only_if ? 1 : 0, more, 1);
    for (size_t i = 0; i < n; i++)
        batch_insert(b, &dkim_kind, &rows[i], NULL, 0);
}

void dkim_add(struct batch *b, struct arena *a, const struct dkim_row *rows, size_t n)
{
    add_if(b, a, rows, n, NULL);
}

bool dkim_refused(struct call *c, const struct batch *b, bool *again)
{
    if (c->err.code == ERR_CONFLICT && batch_failure(b).fault == FAULT_BOUND)
        return err_again(c, ERR_CONFLICT, "A domain has %lld keys at most", (long long)PARAM_INT(dkim, keys_max));
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

static struct cond *as_read(struct arena *a, const struct dkim_row *row)
{
    struct cond *same = arena_alloc(a, sizeof *same);

    *same = COND("status", IS, V_TEXT(row->status));
    return same;
}

void dkim_seen(struct batch *b, struct arena *a, const struct dkim_row *row, int64_t now)
{
    struct set *seen = arena_alloc(a, sizeof *seen);

    *seen = SET("seen_at", V_TIME(now));
    batch_update(b, &dkim_kind, row->id, as_read(a, row), 1, seen, 1);
}

void dkim_move(struct batch *b, struct arena *a, const struct dkim_row *row, enum dkim_status to, int64_t now)
{
    static const char *const times[] = {
        [DKIM_ACTIVE] = "active_at", [DKIM_RETIRING] = "retired_at", [DKIM_REVOKED] = "revoked_at"
    };
    struct set *sets = arena_array(a, 4, sizeof *sets);
    size_t n = 0;

    assert(to != DKIM_NEXT);
    sets[n++] = SET("status", V_TEXT(bytes_of(statuses[to])));
    sets[n++] = SET(times[to], V_TIME(now));
    if (to == DKIM_REVOKED) {
        sets[n++] = SET("private_key", V_BYTES(NO_BYTES));
        sets[n++] = SET("wrap", V_TEXT(NO_BYTES));
    }
    batch_update(b, &dkim_kind, row->id, as_read(a, row), 1, sets, n);
}

void dkim_succeed(struct batch *b, struct arena *a, const struct dkim_row *rows, size_t n, const struct dkim_row *next,
                  int64_t now)
{
    for (size_t i = 0; i < n; i++)
        if (id_equal(rows[i].domain_id, next->domain_id) && bytes_equal(rows[i].algorithm, next->algorithm) &&
            dkim_is(&rows[i], DKIM_ACTIVE))
            dkim_move(b, a, &rows[i], DKIM_RETIRING, now);
    dkim_move(b, a, next, DKIM_ACTIVE, now);
}

void dkim_remove(struct batch *b, struct arena *a, const struct dkim_row *row)
{
    struct set *less = arena_alloc(a, sizeof *less);

    *less = ADD("dkim_keys", -1);
    batch_delete(b, &dkim_kind, row->id, as_read(a, row), 1);
    batch_update(b, &domain_kind, row->domain_id, NULL, 0, less, 1);
}

/* ---- the first pair ---- */

static bool make_first(struct call *c, const struct domain_row *domain)
{
    struct batch *b = batch_new(c->arena);
    struct dkim_row *pair = arena_array(c->arena, 2, sizeof *pair);
    const struct cond none = COND("dkim_keys", IS, V_INT(0));

    if (!dkim_pair(c, domain, DKIM_ACTIVE, pair))
        return false;
    add_if(b, c->arena, pair, 2, &none);
    if (store_commit(c->store, b, c->deadline, &c->err)) {
        dkim_changed(c->svc);
        return true;
    }
    if (c->err.code != ERR_CONFLICT)
        return false;
    c->err = (struct err){ 0 }; /* another node was faster, or the domain is gone */
    return true;
}

bool dkim_ensure(struct call *c, const struct domain_row *domain, const struct dkim_row **rows, size_t *n_rows)
{
    if (!dkim_list(c, &domain->id, 1, rows, n_rows))
        return false;
    return *n_rows || (make_first(c, domain) && dkim_list(c, &domain->id, 1, rows, n_rows));
}

/* ---- opening ---- */

bool dkim_open(const struct service *svc, const struct dkim_row *row, struct dkim_key **out, struct err *e)
{
    struct buf text;
    bool ok;

    *out = NULL;
    if (!row->private_key.p)
        return err_set(e, ERR_GONE, "The DKIM key %.*s is revoked", SHOW(row->selector));
    buf_init(&text, DKIM_KEY_TEXT_MAX);
    ok = secret_open(svc, row->id, row->private_key, row->wrap, &text, e) && dkim_key_read(buf_bytes(&text), out, e);
    if (text.n)
        crypt_wipe(text.p, text.n);
    buf_clear(&text);
    return ok;
}
