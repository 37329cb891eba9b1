/* service/core/limits.c - GCRA in two places: what this node has reserved, in memory, and the row that all nodes raise.
 *
 * Memory is asked first and costs no trip. What it cannot decide goes through the name's lane, one after the other, so
 * that a hundred requests of one name reserve once and not a hundred times. The mutex is never held over a store call;
 * the lane is a fiber's lock and may be. */
#include "service/core/limits.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#define uthash_fatal(message) die("out of memory: limits")
#include <uthash.h>

#define NAME_MOST  128
#define LANES      16               /* names of one lane reserve one after the other */
#define QUICK_US   250000           /* a slice used up within this was too small */
#define SLICE_PART 32               /* of the allowance is the most reserved ahead */
#define LEFT_PART  8                /* of what is left, likewise */
#define REFUSED_US INT64_C(1000000) /* how long a refusal is remembered: a setting may change */
#define MINUTE_MS  60000

/* Amounts are microseconds of the window: n things cost n * window / most. Times are monotonic. */
struct counted {
    UT_hash_handle hh;
    int64_t held, held_at;                    /* reserved and unused, at that time: it melts */
    int64_t slice, used, sliced_at;           /* the last one ahead, in things; the amount that was in use then */
    int64_t refused, refused_until, again_at; /* so much was refused; until when that is known; when it would pass */
    size_t n;
    char name[NAME_MOST];
};

struct limits {
    pthread_mutex_t mutex;
    struct counted *all;
    struct fiber_mutex *lanes[LANES];
};

struct limits *limits_new(void)
{
    struct limits *l = calloc(1, sizeof *l);

    if (!l)
        die("out of memory: limits");
    pthread_mutex_init(&l->mutex, NULL);
    for (size_t i = 0; i < LANES; i++)
        l->lanes[i] = fiber_mutex_new();
    return l;
}

static void forget(struct limits *l, struct counted *c)
{
    HASH_DEL(l->all, c);
    free(c);
}

void limits_free(struct limits **l)
{
    struct counted *c, *next;

    if (!*l)
        return;
    HASH_ITER (hh, (*l)->all, c, next)
        forget(*l, c);
    for (size_t i = 0; i < LANES; i++)
        fiber_mutex_free(&(*l)->lanes[i]);
    pthread_mutex_destroy(&(*l)->mutex);
    free(*l);
    *l = NULL;
}

static int64_t now_us(void)
{
    return clock_monotonic() * 1000;
}

/* ---- memory: under the mutex ---- */

static int64_t held(const struct counted *c)
{
    int64_t left = c->held - (now_us() - c->held_at);

    return left > 0 ? left : 0;
}

/* Looks at a few of the oldest names only: whoever makes room must not walk the whole table. */
static void make_room(struct limits *l)
{
    struct counted *best = l->all, *c = l->all;

    for (int i = 0; c && i < 16; i++, c = c->hh.next)
        if (held(c) < held(best))
            best = c;
    if (best)
        forget(l, best);
}

static struct counted *counted_find(struct limits *l, struct bytes name)
{
    struct counted *c;

    HASH_FIND(hh, l->all, name.p, name.n, c);
    if (c)
        return c;
    while (l->all && HASH_COUNT(l->all) >= (unsigned)PARAM_INT(limits, names))
        make_room(l);
    if (!(c = calloc(1, sizeof *c)))
        die("out of memory: limits");
    c->n = name.n;
    memcpy(c->name, name.p, name.n);
    HASH_ADD(hh, l->all, name, c->n, c);
    return c;
}

/* ---- one taking ---- */

struct taking {
    struct call *c;
    struct bytes name;
    int64_t n, most, window, cost; /* cost: of one thing */
    int64_t ahead;                 /* things to be reserved with it, when there is room */
    int64_t wait;                  /* in which it would pass; 0: it did */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most_ahead(const struct taking *t, const struct counted *c)
{
    return least(t->most / SLICE_PART, (t->window - c->used) / t->cost / LEFT_PART);
}

/* Is it decided by what is known here? Otherwise *t says how much to reserve ahead. */
static bool decide_here(struct taking *t)
{
    struct limits *l = t->c->svc->limits;
    int64_t now = now_us(), left;
    struct counted *c;
    bool decided;

    pthread_mutex_lock(&l->mutex);
    c = counted_find(l, t->name);
    left = held(c);
    t->wait = t->n >= c->refused && now < c->refused_until ? c->again_at - now : 0;
    decided = t->wait > 0 || left >= t->n * t->cost;
    if (decided && t->wait <= 0) {
        c->held = left - t->n * t->cost;
        c->held_at = now;
    }
    t->ahead = now - c->sliced_at < QUICK_US ? least(2 * c->slice + 1, most_ahead(t, c)) : 0;
    pthread_mutex_unlock(&l->mutex);
    return decided;
}

static void note_reserved(struct taking *t, int64_t ahead, int64_t used)
{
    struct limits *l = t->c->svc->limits;
    struct counted *c;

    pthread_mutex_lock(&l->mutex);
    c = counted_find(l, t->name);
    c->held = held(c) + ahead * t->cost;
    c->held_at = c->sliced_at = now_us();
    c->slice = ahead;
    c->used = used;
    pthread_mutex_unlock(&l->mutex);
}

static void note_refused(struct taking *t)
{
    struct limits *l = t->c->svc->limits;
    struct counted *c;

    pthread_mutex_lock(&l->mutex);
    c = counted_find(l, t->name);
    c->refused = t->n;
    c->again_at = now_us() + t->wait;
    c->refused_until = now_us() + (t->wait < REFUSED_US ? t->wait : REFUSED_US);
    pthread_mutex_unlock(&l->mutex);
}

/* ---- the row ---- */

struct reserving {
    struct taking *t;
    struct limit_row row; /* as it is when it begins with this */
    int64_t now;          /* microseconds of the store's clock */
    int64_t ahead;
    int slot;
};

/* A row whose allowance is whole again begins anew. Raises of several nodes do not hinder one another. */
static struct batch *reserve_batch(struct reserving *r)
{
    struct taking *t = r->t;
    struct arena *a = t->c->arena;
    struct batch *b = batch_new(a);
    struct cond *spent = arena_alloc(a, sizeof *spent);
    struct set *sets = arena_array(a, 2, sizeof *sets);
    int64_t amount = (t->n + r->ahead) * t->cost;

    r->now = store_now(t->c->store) * 1000;
    r->slot = batch_slot(b);
    r->row = (struct limit_row){ .id = id_of_name(t->c->svc, "limit", t->name), .full_at = r->now + amount };
    r->row.expires_at = (r->now + t->window) / 1000 + MINUTE_MS;
    *spent = COND("full_at", AT_LEAST, V_INT(r->now));
    sets[0] = ADD_BOUND("full_at", amount, NULL, r->now + t->window);
    sets[0].slot = r->slot;
    sets[1] = SET("expires_at", V_TIME(r->row.expires_at));
    batch_raise(b, &limit_kind, &r->row, spent, sets, 2);
    return b;
}

/* A row that the clock, set back since, puts further away than a window is brought back to one. */
static bool mend_clock(struct reserving *r, const struct limit_row *old)
{
    struct call *c = r->t->c;
    struct batch *b = batch_new(c->arena);
    struct cond same = COND("full_at", IS, V_INT(old->full_at));
    struct set set = SET("full_at", V_INT(r->now + r->t->window));
    struct err why = { 0 };

    if (old->full_at <= r->now + r->t->window + MINUTE_MS * 1000)
        return true;
    batch_update(b, &limit_kind, old->id, &same, 1, &set, 1);
    if (store_commit(c->store, b, c->deadline, &why) || why.code == ERR_CONFLICT)
        return true;
    c->err = why;
    return false;
}

/* What the row says of taking n: t->wait is not above 0 when it would pass. */
static bool read_wait(struct taking *t, struct id id, int64_t now, struct limit_row *old)
{
    bool there;

    *old = (struct limit_row){ 0 };
    if (!store_look(t->c->store, &limit_kind, id, t->c->arena, old, &there, &t->c->err))
        return false;
    t->wait = least(old->full_at - now, t->window) + t->n * t->cost - t->window;
    return true;
}

/* No room for n: how long? */
static bool refused(struct reserving *r)
{
    struct taking *t = r->t;
    struct limit_row old;

    if (!read_wait(t, r->row.id, r->now, &old))
        return false;
    if (t->wait <= 0)
        t->wait = 1; /* it has become free just now: ask again */
    note_refused(t);
    return mend_clock(r, &old);
}

/* First with what is wanted ahead, then with what is needed. */
static bool reserve(struct taking *t)
{
    struct reserving r = { .t = t, .ahead = t->ahead };

    if (t->n > t->most) {
        t->wait = t->window; /* it never passes */
        return true;
    }
    for (;;) {
        struct batch *b = reserve_batch(&r);
        struct err why = { 0 };

        if (store_commit(t->c->store, b, t->c->deadline, &why)) {
            note_reserved(t, r.ahead, batch_slot_value(b, r.slot) - r.now);
            return true;
        }
        if (why.code != ERR_CONFLICT) {
            t->c->err = why;
            return false;
        }
        if (r.ahead == 0)
            return refused(&r);
        r.ahead = 0;
    }
}

static struct fiber_mutex *lane_of(const struct limits *l, struct id row)
{
    return l->lanes[row.b[0] % LANES];
}

static struct taking taking_of(struct call *c, const struct limit *limit, int64_t n)
{
    struct taking t = { .c = c, .name = bytes_head(limit->name, NAME_MOST), .n = n, .most = limit->most };

    t.window = limit->window_ms * 1000;
    t.cost = t.window / t.most;
    return t;
}

/* What is known here: that one was refused, or that some are reserved. */
static bool look_here(struct taking *t)
{
    struct limits *l = t->c->svc->limits;
    struct counted *c;
    bool known = false;

    pthread_mutex_lock(&l->mutex);
    HASH_FIND(hh, l->all, t->name.p, t->name.n, c);
    if (c && t->n >= c->refused && now_us() < c->refused_until)
        t->wait = c->again_at - now_us();
    if (c)
        known = t->wait > 0 || held(c) >= t->n * t->cost;
    pthread_mutex_unlock(&l->mutex);
    return known;
}

bool limits_look(struct call *c, const struct limit *limit, bool ask, int64_t *wait_ms)
{
    struct taking t = taking_of(c, limit, 1);
    struct limit_row row;

    if (!look_here(&t) && ask) {
        if (!read_wait(&t, id_of_name(c->svc, "limit", t.name), store_now(c->store) * 1000, &row))
            return false;
        if (t.wait > 0)
            note_refused(&t);
    }
    *wait_ms = t.wait > 0 ? t.wait / 1000 + 1 : 0;
    return true;
}

bool limits_take(struct call *c, const struct limit *limit, int64_t n, int64_t *wait_ms)
{
    struct taking t = taking_of(c, limit, n);
    struct fiber_mutex *lane;
    bool ok = true;

    if (!decide_here(&t)) {
        lane = lane_of(c->svc->limits, id_of_name(c->svc, "limit", t.name));
        fiber_mutex_lock(lane);
        if (!decide_here(&t)) /* whoever was before us may have reserved for us too */
            ok = reserve(&t);
        fiber_mutex_unlock(lane);
    }
    *wait_ms = t.wait > 0 ? t.wait / 1000 + 1 : 0;
    return ok;
}

bool limits_recipients(struct call *c, int64_t n)
{
    struct limit limit = { .most = PARAM_INT(limits, user_recipients_per_hour), .window_ms = INT64_C(3600000) };
    char name[ID_TEXT + 1];
    int64_t wait;

    if (limit.most == 0 || !c->who || c->who->kind != WHO_USER)
        return true;
    limit.name = id_format("usr", c->who->id, name);
    if (!limits_take(c, &limit, n, &wait))
        return false;
    return wait == 0 || err_set(&c->err, ERR_RATE, "More than %lld recipients in an hour; try again in %lld s",
                                (long long)limit.most, (long long)(wait / 1000 + 1));
}
