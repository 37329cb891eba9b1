/* service/identity/domain_watch.c - every domain checked in its turn, by one node for all.
 *
 * One after the other, so that thousands of them are no burst: a check costs some fifty questions. A domain of an older
 * build has no time for its first check, and is due at once. In the sandbox nothing leaves, so nothing is asked. */
#include "service/identity/domain_watch.h"
#include "service/identity/dkim.h"
#include "service/identity/domain_check.h"
#include "service/identity/domain_keys.h"

enum { SLICE = 20 };

#define LOCK          BYTES("domains")
#define LOCK_MS       120000
#define WATCH_ARENA   ((size_t)16 * 1024 * 1024)
#define WATCH_CALL_MS 90000
#define PUT_OFF_MS    5000

struct watching {
    struct service *svc;
    struct arena *arena;
    int64_t token;
    struct err *e;
};

static bool find_due(struct watching *w, struct cond due, struct domain_row **rows, size_t *n)
{
    static const char *const only[] = { "id", "account_id", NULL };
    struct query q = { .kind = &domain_kind, .index = "check", .n_conds = 1, .limit = SLICE, .only = only };
    void *found = NULL;

    q.conds[0] = due;
    if (!store_find(w->svc->store, &q, w->arena, &found, n, w->e))
        return false;
    *rows = found;
    return true;
}

/* Or those that always fail would be met first in every round, and nobody behind them. */
static void put_off(struct watching *w, struct id id)
{
    struct batch *b = batch_new(w->arena);
    const struct set later = SET("check_at", V_TIME(clock_wall() + PARAM_INT(domain, check_soon)));
    struct err ignored = { 0 };

    batch_update(b, &domain_kind, id, NULL, 0, &later, 1);
    store_commit(w->svc->store, b, clock_monotonic() + PUT_OFF_MS, &ignored);
}

/* What fails has its turn again later; the others go on. */
static void check_one(struct watching *w, struct arena *a, struct id id, struct id account)
{
    struct domain_view v = { 0 };
    struct call c;
    bool ok;

    call_init(&c, w->svc, a, "domains");
    c.account = account;
    c.deadline = clock_monotonic() + WATCH_CALL_MS;
    ok = store_get(c.store, &domain_kind, id, a, &v.row, &c.err) && dkim_ensure(&c, &v.row, &v.dkim, &v.n_dkim) &&
         domain_check(&c, &v);
    if (!ok)
        put_off(w, id);
    if (!ok || !domain_keys_renew(&c, &v))
        log_warn("domain", LOG_BYTES("name", v.row.name), LOG_TEXT("error", c.err.message));
}

/* *n: how many were due. False: the store is away, or the lock lost. */
static bool check_due(struct watching *w, struct cond due, size_t *n)
{
    struct arena *a = arena_new(WATCH_ARENA);
    struct domain_row *rows;
    bool ok;

    arena_reset(w->arena);
    ok = find_due(w, due, &rows, n);
    for (size_t i = 0; ok && i < *n && !w->svc->stopping; i++) {
        arena_reset(a);
        check_one(w, a, rows[i].id, rows[i].account_id);
        ok = store_lock_renew(w->svc->store, LOCK, w->token, LOCK_MS, w->e);
    }
    arena_free(&a);
    return ok;
}

static bool watch_round(struct watching *w)
{
    size_t n = 0, fresh = 0;

    do
        if (!check_due(w, COND("check_at", IS, V_TIME(0)), &fresh) ||
            !check_due(w, COND("check_at", AT_MOST, V_TIME(clock_wall())), &n))
            return false;
    while ((n == SLICE || fresh == SLICE) && !w->svc->stopping);
    return true;
}

void domain_watch(struct service *svc)
{
    struct arena *a = arena_new(WATCH_ARENA);

    while (service_sleep(svc, PARAM_INT(domain, check_pause))) {
        struct err e = { 0 };
        struct watching w = { .svc = svc, .arena = a, .e = &e };

        if (!service_is_live(svc) || !store_lock(svc->store, LOCK, LOCK_MS, &w.token, &e))
            continue;
        if (!watch_round(&w))
            log_warn("domains", LOG_TEXT("error", e.message), LOG_TEXT("where", e.where));
        store_unlock(svc->store, LOCK, w.token);
    }
    arena_free(&a);
}
