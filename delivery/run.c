/* delivery/run.c - a fiber for each slot that a flow was given: its transactions one after the other, on one connection
 * as long as that lasts.
 *
 * The outcome of a message is durable before the next dot on the connection: at most one outcome a connection is not
 * written down when we die. What has not begun when the way shuts, or we stop, goes back as if it had not been claimed.
 */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"

#define TURN_ARENA ((size_t)16 * 1024 * 1024)

void claimed_leave(struct claimed **c)
{
    if (--(*c)->users == 0) {
        arena_free(&(*c)->arena);
        free(*c);
    }
    *c = NULL;
}

static struct turn *turn_new(struct run *r, const struct transaction *x)
{
    struct arena *a = arena_new(TURN_ARENA);
    struct turn *t = arena_alloc(a, sizeof *t);

    *t = (struct turn){ .engine = r->engine, .run = r, .site = r->site, .way = r->way, .arena = a, .n = x->n };
    t->tls = x->works[0]->message->require_tls ? ROUTE_TLS_VERIFY : r->site->route.tls;
    t->fates = arena_array(a, t->n, sizeof *t->fates);
    for (size_t i = 0; i < t->n; i++)
        t->fates[i].work = x->works[i];
    return t;
}

static void run_one(struct run *r, struct turn *t, struct conn **conn)
{
    t->conn = *conn;
    if (engine_stops(r->engine) || way_is_shut(r->way)) {
        for (size_t i = 0; i < t->n; i++)
            t->fates[i].unsent = true;
    } else {
        script_begin(&r->script, clock_monotonic());
        turn_make(t);
    }
    turn_take_back(t);
    *conn = t->conn;
}

#ifdef POSTRIDER_FAULTS
/* The control of tests: with POSTRIDER_TEST_DOT=early nobody waits for an outcome before the next dot, and it takes a
 * while. */
static void settle_beside(void *arg)
{
    struct turn *t = arg;
    struct engine *e = t->engine;
    struct claimed *claimed = t->run->claimed;
    struct site *s = t->site;
    struct arena *a = t->arena;

    fiber_sleep_until(clock_monotonic() + 2000);
    turn_settle(t);
    arena_free(&a);
    site_leave(s);
    claimed_leave(&claimed);
    engine_left(e);
}

static bool settles_beside(struct turn *t)
{
    const char *dot = getenv("POSTRIDER_TEST_DOT");

    if (!dot || strcmp(dot, "early") != 0 || !engine_spawn(t->engine, settle_beside, t))
        return false;
    t->run->claimed->users++;
    t->site->users++;
    return true;
}
#else
static bool settles_beside(struct turn *t)
{
    (void)t;
    return false;
}
#endif

/* The next one is there early where it may be told of early. */
static void run_all(struct run *r, struct conn **conn)
{
    struct turn *next = NULL;

    for (size_t i = 0; i < r->n; i++) {
        struct turn *t = next ? next : turn_new(r, &r->list[i]);
        struct arena *a = t->arena; /* where it lies */
        bool full = bytes_equal(PARAM_TEXT(delivery, pipeline), BYTES("full"));

        next = t->next = full && i + 1 < r->n ? turn_new(r, &r->list[i + 1]) : NULL;
        run_one(r, t, conn);
        if (settles_beside(t))
            continue;
        turn_settle(t);
        arena_free(&a);
    }
}

void run_main(void *arg)
{
    struct run *r = arg;
    struct engine *e = r->engine;
    struct claimed *claimed = r->claimed; /* where the run lies, too */
    struct conn *conn = NULL;

    script_init(&r->script);
    way_tell(e, r->way, PATH_BEGUN); /* busy until the outcome is durable, too: only then is the slot free */
    run_all(r, &conn);
    script_clear(&r->script);
    way_tell(e, r->way, PATH_ENDED);
    if (conn)
        conn_keep(e, conn);
    way_update(e, r->way);
    sched_ended(e->sched, bytes_of(r->flow), 1);
    site_leave(r->site);
    claimed_leave(&claimed);
    signal_raise(e->wake);
    engine_left(e);
}
