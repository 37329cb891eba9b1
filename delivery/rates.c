/* delivery/rates.c - how much may begin in a time: messages of a path, an account, a stream, and connections of a path,
 * by the limits that all nodes share (service/core/limits.h).
 *
 * Rates, those of suspensions too, are taken before a claim, so that nothing is claimed that has to wait; what the
 * claim then did not find is kept here as credit and taken first by the next one. So never more leaves than was taken,
 * and what was taken is not lost. Without a rate nothing is asked. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "delivery/hash.h"
#include "service/core/limits.h"

#define MINUTE_MS   60000
#define SECOND_MS   1000
#define AWAY_MS     1000 /* the store is away: closed, and asked again then */
#define ASK_MS      5000 /* no longer: the rate may be another one by then */
#define DEADLINE_MS 5000
#define CREDITS_MAX 20000
#define CREDIT_MOST 1024 /* of one name */
#define RATE_NAME   120
#define RATE_ARENA  ((size_t)256 * 1024)

struct credit {
    UT_hash_handle hh;
    size_t n;
    size_t name_n;
    char name[];
};

static struct credit *credit_find(struct engine *e, struct bytes name)
{
    struct credit *c;

    HASH_FIND(hh, e->taken, name.p, name.n, c);
    return c;
}

static void credit_forget(struct engine *e, struct credit *c)
{
    HASH_DEL(e->taken, c);
    free(c);
}

void rates_free(struct engine *e)
{
    while (e->taken)
        credit_forget(e, e->taken);
}

static void credit_give(struct engine *e, struct bytes name, size_t n)
{
    struct credit *c = n ? credit_find(e, name) : NULL;

    if (!n)
        return;
    if (!c) {
        if (HASH_COUNT(e->taken) >= CREDITS_MAX)
            credit_forget(e, e->taken); /* the oldest: it is lost, and that is all */
        c = calloc(1, sizeof *c + name.n);
        if (!c)
            die("out of memory: rates");
        memcpy(c->name, name.p, name.n);
        c->name_n = name.n;
        HASH_ADD(hh, e->taken, name, c->name_n, c);
    }
    c->n = c->n + n < CREDIT_MOST ? c->n + n : CREDIT_MOST;
}

static size_t credit_take(struct engine *e, struct bytes name, size_t most)
{
    struct credit *c = credit_find(e, name);
    size_t n = c ? c->n < most ? c->n : most : 0;

    if (!c)
        return 0;
    c->n -= n;
    if (!c->n)
        credit_forget(e, c);
    return n;
}

void rate_return(struct engine *e, struct bytes name)
{
    credit_give(e, name, 1);
}

/* ---- one name ---- */

/* As many of `most` as there are; *wait_ms says when more, where none is. */
static size_t take(struct engine *e, const struct limit *l, size_t most, struct arena *a, int64_t *wait_ms)
{
    size_t n = credit_take(e, l->name, most), want = most - n;
    struct call c;

    call_init(&c, e->svc, a, "delivery");
    c.deadline = clock_monotonic() + DEADLINE_MS;
    for (*wait_ms = 0; want > 0; want /= 2) {
        int64_t wait;

        c.err = (struct err){ 0 };
        if (!limits_take(&c, l, (int64_t)want, &wait))
            wait = AWAY_MS;
        if (!wait)
            return n + want;
        *wait_ms = wait;
        if (c.err.code)
            break;
    }
    return n;
}

int64_t rate_take(struct engine *e, const struct limit *l, struct arena *a)
{
    int64_t wait_ms;

    (void)take(e, l, 1, a, &wait_ms);
    return wait_ms;
}

/* A name of the limit: a long one by its hash. */
static struct bytes name_of(struct arena *a, const char *of, struct bytes name)
{
    if (name.n <= RATE_NAME - 16)
        return arena_bytesf(a, "%s/%.*s", of, SHOW(name));
    return arena_bytesf(a, "%s/%.*s %016llx", of, SHOW(bytes_head(name, RATE_NAME / 2)),
                        (unsigned long long)hash_text(0, name));
}

/* What the stream itself allows in a second; 0: as much as there is. */
static int64_t pace_of(const struct engine *e, struct bytes stream)
{
    for (size_t i = 0; i < e->n_paces; i++)
        if (bytes_equal(e->paces[i].stream, stream))
            return e->paces[i].per_second;
    return 0;
}

/* The rates in force of a flow on a way; how many. */
static size_t limits_of(const struct engine *e, const struct flow_name *f, const struct way *w, struct arena *a,
                        struct limit *out)
{
    int64_t most[RATES] = { [RATE_PATH] = PARAM_INT(delivery, path_rate),
                            [RATE_ACCOUNT] = PARAM_INT(delivery, account_rate),
                            [RATE_STREAM] = PARAM_INT(delivery, stream_rate),
                            [RATE_PACE] = pace_of(e, f->stream) };
    size_t n = 0;

    if (most[RATE_PATH])
        out[n++] = (struct limit){ name_of(a, "path", way_name(w)), most[RATE_PATH], MINUTE_MS };
    if (most[RATE_ACCOUNT])
        out[n++] = (struct limit){ name_of(a, "account", f->account), most[RATE_ACCOUNT], MINUTE_MS };
    if (most[RATE_STREAM] && !bytes_equal(f->stream, BYTES("-")))
        out[n++] = (struct limit){ name_of(a, "stream", f->stream), most[RATE_STREAM], MINUTE_MS };
    if (most[RATE_PACE])
        out[n++] = (struct limit){ name_of(a, "pace", f->stream), most[RATE_PACE], SECOND_MS };
    return n;
}

/* ---- messages ---- */

size_t rates_take(struct engine *e, struct bytes flow, struct way *w, size_t most, struct arena *a, int64_t *until)
{
    struct limit limits[RATES];
    struct flow_name f;
    size_t n = flow_read(flow, &f) ? limits_of(e, &f, w, a, limits) : 0, got[RATES], least = most;
    int64_t wait;

    for (size_t i = 0; i < n && least > 0; i++) {
        got[i] = take(e, &limits[i], least, a, &wait);
        if (!got[i]) {
            *until = queue_now(e->svc) + (wait < ASK_MS ? wait : ASK_MS);
            if (i == 0 && PARAM_INT(delivery, path_rate)) /* all of the path sleeps */
                way_sleep(e, w, clock_monotonic() + wait);
        }
        least = got[i];
        for (size_t j = 0; j < i; j++) { /* those before it took too many */
            credit_give(e, limits[j].name, got[j] - least);
            got[j] = least;
        }
    }
    return least;
}

void rates_return(struct engine *e, struct bytes flow, struct way *w, size_t n, struct arena *a)
{
    struct limit limits[RATES];
    struct flow_name f;
    size_t n_limits = n && flow_read(flow, &f) ? limits_of(e, &f, w, a, limits) : 0;

    for (size_t i = 0; i < n_limits; i++)
        credit_give(e, limits[i].name, n);
}

/* ---- connections ---- */

bool rates_connect(struct engine *e, struct way *w)
{
    int64_t most = PARAM_INT(delivery, path_connect_rate), wait;
    struct arena *a;
    struct limit l;

    if (!most)
        return true;
    a = arena_new(RATE_ARENA);
    l = (struct limit){ name_of(a, "connect", way_name(w)), most, MINUTE_MS };
    wait = rate_take(e, &l, a);
    if (wait)
        way_quiet(e, w, clock_monotonic() + wait);
    arena_free(&a);
    return wait == 0;
}
