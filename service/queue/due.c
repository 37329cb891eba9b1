/* service/queue/due.c - the fiber that claims what is due.
 *
 * Claimed rows are sorted by message and ended slice by slice (slice.c). A failure has one of two causes. When the
 * store is away, or memory is short, nothing is done: the lease runs out and the rows come again, on whichever node.
 * When the store answers and the work fails, each row is tried alone, and what still fails is set aside, so that it
 * never keeps others. */
#include "service/queue/due.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/queue/ending.h"
#include "service/queue/mail_private.h"
#include "service/queue/queue.h"
#include "service/queue/slice.h"
#include "service/queue/suppression_import.h"
#include "service/queue/suspension.h"

#define ROUND_ARENA ((size_t)16 * 1024 * 1024) /* the claimed rows */
#define SLICE_ARENA ((size_t)64 * 1024 * 1024) /* a message, its mailboxes and what is written; anew for each slice */
/* Without a poke, how long until due work is looked for again. */
#define PAUSE_MS    1000
#define DISABLED_MS 60000

static int by_message(const void *a, const void *b)
{
    const struct delivery_row *x = a, *y = b;
    int order = id_compare(x->message_id, y->message_id);

    return order ? order : id_compare(x->id, y->id);
}

/* Is it the store that fails, or memory that others hold, and not the work? */
static bool is_away(const struct err *e)
{
    return e->code == ERR_BUSY || e->code == ERR_MEMORY || e->code == ERR_QUEUE_FULL || e->code == ERR_STORAGE_FULL ||
           e->code == ERR_CLOSED;
}

static void tell(struct arena *a, const struct delivery_row *row, size_t n, const char *result, const struct err *why)
{
    log_error("due", LOG_BYTES("message", id_text(a, message_kind.prefix, row->message_id)),
              LOG_BYTES("delivery", id_text(a, delivery_kind.prefix, row->id)), LOG_INT("deliveries", n),
              LOG_TEXT("result", result), LOG_TEXT("error", why->message), LOG_TEXT("where", why->where));
}

/* One delivery that could not be ended although the store answers. */
static void set_aside(struct service *svc, struct arena *a, const struct delivery_row *row, const struct err *why)
{
    struct err e = { 0 };
    bool held = false;

    arena_reset(a);
    if (!slice_failed(svc, a, row, &held, &e)) {
        tell(a, row, 1, "failed", &e); /* its lease ends by itself */
        return;
    }
    metric_add(METRIC_deliveries_held_total, held);
    tell(a, row, 1, held ? "held" : "failed", why);
}

/* What fails together is tried one by one, so that one keeps no others. */
static void do_each(struct service *svc, struct arena *a, const struct delivery_row *rows, size_t n)
{
    for (size_t i = 0, done; i < n; i++) {
        struct err why = { 0 };

        arena_reset(a);
        if (slice_end(svc, a, &rows[i], 1, &done, &why))
            continue;
        if (is_away(&why))
            tell(a, &rows[i], 1, "failed", &why);
        else
            set_aside(svc, a, &rows[i], &why);
    }
}

static size_t of_one_message(const struct delivery_row *rows, size_t n)
{
    size_t most = (size_t)PARAM_INT(accept, local_max), length = 1;

    while (length < most && length < n && id_equal(rows[0].message_id, rows[length].message_id))
        length++;
    return length;
}

/* An account that is disabled stops its queue: it is looked at again a while later. */
static bool put_off(struct service *svc, struct arena *a, const struct delivery_row *row, struct err *e)
{
    const struct set sets[] = { SET("due_at", V_TIME(store_now(svc->store) + DISABLED_MS)),
                                SET("lease_until", V_TIME(0)) };
    struct batch *b = batch_new(a);

    batch_update(b, &delivery_kind, row->id, delivery_unchanged(row, a), DELIVERY_UNCHANGED, sets, 2);
    return store_commit(svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 4, e);
}

/* Those of others come first; *n of them. */
static void drop_disabled(struct service *svc, struct delivery_row *rows, size_t *n)
{
    struct arena *a = arena_new(SLICE_ARENA);
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++) {
        struct err why = { 0 };

        if (!suspensions_disabled(svc, rows[i].account_id)) {
            rows[kept++] = rows[i];
            continue;
        }
        arena_reset(a);
        if (!put_off(svc, a, &rows[i], &why) && why.code != ERR_CONFLICT)
            tell(a, &rows[i], 1, "failed", &why); /* its lease ends by itself */
    }
    *n = kept;
    arena_free(&a);
}

/* What fails because the store does keeps its lease, and falls due again when that ends; the others go on. */
static bool do_claimed(struct service *svc, struct delivery_row *rows, size_t n, struct err *e)
{
    struct arena *a = arena_new(SLICE_ARENA);
    bool ok = true;

    drop_disabled(svc, rows, &n);
    qsort(rows, n, sizeof *rows, by_message);
    for (size_t i = 0, done; i < n; i += done) {
        struct err why = { 0 };

        arena_reset(a);
        if (slice_end(svc, a, &rows[i], of_one_message(&rows[i], n - i), &done, &why))
            continue;
        if (is_away(&why)) {
            tell(a, &rows[i], done, "failed", &why);
            *e = why;
            ok = false;
        } else {
            do_each(svc, a, &rows[i], done);
        }
    }
    arena_free(&a);
    return ok;
}

static struct claim local_work(int64_t lease_ms)
{
    struct claim claim = { .query = { .kind = &delivery_kind, .index = "due", .n_conds = 1 },
                           .due = "due_at",
                           CLAIMED_BY,
                           .lapsed = "lapsed",
                           .lease_ms = lease_ms };

    claim.query.limit = (size_t)PARAM_INT(delivery, claim);
    claim.query.conds[0] = COND("due_at", IS_NOT, V_TIME(0));
    return claim;
}

bool due_begin(struct service *svc, struct err *e)
{
    struct claim claim = local_work(LEASE_MOST_MS);

    return store_end_leases(svc->store, &claim, e) && queue_begin(svc, e) && suppression_import_begin(svc, e);
}

bool due_round(struct service *svc, size_t *n, struct err *e)
{
    struct claim claim = local_work(PARAM_INT(delivery, lease));
    struct arena *a = arena_new(ROUND_ARENA);
    void *rows = NULL;
    bool ok;

    *n = 0;
    ok = store_claim(svc->store, &claim, a, &rows, n, e) && (*n == 0 || do_claimed(svc, rows, *n, e));
    arena_free(&a);
    return ok;
}

/* ---- background ---- */

void due_poke(struct service *svc)
{
    if (svc->mail)
        signal_raise(svc->mail->poked);
}

static void due_fiber(struct service *svc)
{
    while (!svc->stopping) {
        uint64_t seen = signal_count(svc->mail->poked);
        struct err e = { 0 };
        size_t n = 0;

        if (!due_round(svc, &n, &e))
            service_sleep(svc, PAUSE_MS);
        else if (n == 0)
            signal_wait(svc->mail->poked, seen, clock_monotonic() + PAUSE_MS);
    }
}

bool due_start(struct service *svc, struct err *e)
{
    svc->mail = calloc(1, sizeof *svc->mail);
    if (!svc->mail)
        die("out of memory");
    svc->mail->poked = signal_new();
    svc->mail->imports = signal_new();
    return service_spawn(svc, due_fiber, e) && suppression_import_start(svc, e);
}

void due_stop(struct service *svc)
{
    if (!svc->mail)
        return;
    signal_free(&svc->mail->poked);
    signal_free(&svc->mail->imports);
    free(svc->mail);
    svc->mail = NULL;
}
