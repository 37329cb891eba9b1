/* service/queue/poke.c - a table of flows that were poked lately. One that comes again within a second waits in it
 * until that is over, since what the row before told of may be gone by then; all that is due is written in one batch.
 */
#include "service/queue/poke.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/queue/flow.h"
#define uthash_fatal(message) die("out of memory: pokes")
#include <uthash.h>

#define EVERY_MS     1000  /* a flow at most */
#define POKES_MAX    20000 /* flows known; the others are found by the scan */
#define POKES_BATCH  500
#define POKE_KEEP_MS 60000
#define GATHER_MS    10
#define PAUSE_MS     1000 /* while nothing waits, and after a failure */
#define COMMIT_MS    5000
#define POKES_ARENA  ((size_t)4 * 1024 * 1024)
#define WATCH_ROWS   500

struct poke {
    UT_hash_handle hh;
    int64_t send_at;
    int64_t next; /* monotonic: not before that */
    bool waits;
    size_t n;
    char flow[];
};

struct pokes {
    pthread_mutex_t mutex;
    struct poke *all; /* in the order they came */
    struct signal *wake;
};

struct pokes *pokes_new(void)
{
    struct pokes *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory: pokes");
    pthread_mutex_init(&p->mutex, NULL);
    p->wake = signal_new();
    return p;
}

static void forget(struct pokes *p, struct poke *one)
{
    HASH_DEL(p->all, one);
    free(one);
}

void pokes_free(struct pokes **out)
{
    struct pokes *p = *out;

    if (!p)
        return;
    while (p->all)
        forget(p, p->all);
    signal_free(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    *out = NULL;
}

static struct poke *add(struct pokes *p, struct bytes flow)
{
    struct poke *one;

    if (HASH_COUNT(p->all) >= POKES_MAX)
        return NULL;
    one = calloc(1, sizeof *one + flow.n);
    if (!one)
        die("out of memory: pokes");
    one->n = flow.n;
    memcpy(one->flow, flow.p, flow.n);
    HASH_ADD(hh, p->all, flow, one->n, one);
    return one;
}

void poke_other(struct service *svc, struct bytes flow, int64_t send_at)
{
    struct pokes *p = svc->pokes;
    struct poke *one;

    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    HASH_FIND(hh, p->all, flow.p, flow.n, one);
    if (!one)
        one = add(p, flow);
    if (one) {
        one->send_at = one->waits && one->send_at < send_at ? one->send_at : send_at;
        one->waits = true;
    }
    pthread_mutex_unlock(&p->mutex);
    signal_raise(p->wake);
}

/* Those that may be written now, and when the next one may be; what was quiet for a second is forgotten. */
static size_t take_due(struct pokes *p, struct arena *a, struct poke_row *rows, int64_t wall, int64_t *next)
{
    int64_t now = clock_monotonic();
    struct poke *one, *after;
    size_t n = 0;

    *next = now + PAUSE_MS;
    pthread_mutex_lock(&p->mutex);
    HASH_ITER (hh, p->all, one, after) {
        if (now < one->next || n == POKES_BATCH) {
            *next = one->waits && one->next < *next ? one->next : *next;
            continue;
        }
        if (!one->waits) {
            forget(p, one);
            continue;
        }
        rows[n++] = (struct poke_row){ .id = id_new(),
                                       .flow = arena_copy(a, (struct bytes){ one->flow, one->n }),
                                       .send_at = one->send_at,
                                       .expires_at = wall + POKE_KEEP_MS };
        one->waits = false;
        one->next = now + EVERY_MS;
    }
    pthread_mutex_unlock(&p->mutex);
    return n;
}

static void write_some(struct service *svc, struct arena *a, int64_t *next)
{
    struct poke_row *rows = arena_array(a, POKES_BATCH, sizeof *rows);
    size_t n = take_due(svc->pokes, a, rows, store_now(svc->store), next);
    struct batch *b = batch_new(a);
    struct err e = { 0 };

    for (size_t i = 0; i < n; i++)
        batch_insert(b, &poke_kind, &rows[i], NULL, 0);
    if (!n || store_commit(svc->store, b, clock_monotonic() + COMMIT_MS, &e))
        return;
    log_warn("queue", LOG_TEXT("result", "not poked"), LOG_TEXT("error", e.message)); /* the scan finds them */
    *next = clock_monotonic() + PAUSE_MS;
}

void pokes_run(struct service *svc)
{
    struct arena *a = arena_new(POKES_ARENA);

    while (!atomic_load(&svc->stopping) && !net_stopping()) {
        uint64_t seen = signal_count(svc->pokes->wake);
        int64_t next;

        arena_reset(a);
        write_some(svc, a, &next);
        if (signal_wait(svc->pokes->wake, seen, next))
            fiber_sleep_until(clock_monotonic() + GATHER_MS); /* more may come */
    }
    arena_free(&a);
}

void pokes_end(struct service *svc)
{
    if (svc->pokes)
        signal_raise(svc->pokes->wake);
}

/* ---- who sends ---- */

bool poke_begin(struct service *svc, struct buf *cursor, struct err *e)
{
    struct arena *a = arena_new(POKES_ARENA);
    struct bytes end;
    bool ok = store_watch_end(svc->store, &poke_kind, a, &end, e);

    buf_reset(cursor);
    if (ok)
        buf_add(cursor, end);
    arena_free(&a);
    return ok;
}

bool poke_wait(struct service *svc, struct buf *cursor, int64_t deadline,
               void (*heard)(void *ctx, struct bytes flow, int64_t send_at), void *ctx, struct err *e)
{
    struct arena *a = arena_new(POKES_ARENA);
    struct poke_row *rows;
    struct bytes next;
    void *found;
    size_t n;
    bool ok = store_watch(svc->store, &poke_kind, buf_bytes(cursor), WATCH_ROWS, deadline, a, &found, &n, &next, e);

    rows = found;
    for (size_t i = 0; ok && i < n; i++)
        heard(ctx, rows[i].flow, rows[i].send_at);
    if (ok) {
        buf_reset(cursor);
        buf_add(cursor, next);
    }
    arena_free(&a);
    return ok;
}
