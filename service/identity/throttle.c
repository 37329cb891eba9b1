/* service/identity/throttle.c - failures of a pair: memory in front of its row.
 *
 * The mutex is held for memory only. Failures are counted here first and then sent; `sending` tells those on their way,
 * so that of several fibers none sends the same one twice, and what the store did not take stays in `missed`. A delay
 * that began here is never shortened by what a row says. */
#include "service/identity/throttle.h"
#include "service/core/kinds.h"
#include "service/core/limits.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#include "service/identity/auth_private.h"
#define uthash_fatal(message) die("out of memory: failed logins")
#include <uthash.h>

#define LOOK      16 /* pairs, for one that makes room */
#define WINDOW_MS INT64_C(3600000)

/* What this node knows of a pair. Of its failures `n` are in the row, `missed` are not (yet): `sending` of these are on
 * their way. */
struct suspect {
    UT_hash_handle hh;
    struct id id; /* of the pair's row */
    int64_t n, missed, sending;
    int64_t until, last; /* monotonic */
    bool doubt;
};

struct throttle {
    pthread_mutex_t mutex;
    struct suspect *all; /* the one that failed longest ago comes first */
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof *t);

    if (!t)
        die("out of memory: failed logins");
    pthread_mutex_init(&t->mutex, NULL);
    return t;
}

static void forget(struct throttle *t, struct suspect *s)
{
    HASH_DEL(t->all, s);
    free(s);
}

void throttle_free(struct throttle **t)
{
    struct suspect *s, *next;

    if (!*t)
        return;
    HASH_ITER (hh, (*t)->all, s, next)
        forget(*t, s);
    pthread_mutex_destroy(&(*t)->mutex);
    free(*t);
    *t = NULL;
}

static struct id pair_id(struct call *c, struct bytes user)
{
    return id_of_name(c->svc, "throttle",
                      arena_bytesf(c->arena, "%zu %.*s %.*s", c->client_net.n, SHOW(c->client_net), SHOW(user)));
}

static int64_t keep_ms(void)
{
    return 2 * PARAM_INT(auth, failure_delay_max);
}

/* How long a pair with that many failures is not heard after the last. */
static int64_t delay_after(int64_t failures)
{
    int64_t most = PARAM_INT(auth, failure_delay_max), delay = PARAM_INT(auth, failure_delay);
    int64_t n = failures - PARAM_INT(auth, failures_free) + 1;

    if (n <= 0)
        return 0;
    while (--n > 0 && delay < most)
        delay *= 2;
    return delay < most ? delay : most;
}

/* ---- memory: under the mutex ---- */

static struct suspect *suspect_find(struct throttle *t, struct id id)
{
    struct suspect *s;

    HASH_FIND(hh, t->all, &id, sizeof id, s);
    if (s && !s->sending && clock_monotonic() - s->last > keep_ms()) {
        forget(t, s);
        s = NULL;
    }
    return s;
}

/* The pair that failed longest ago, rather one of whose failures the store has all. Looks at a few only. */
static void make_room(struct throttle *t)
{
    struct suspect *best = t->all, *s = t->all;

    for (int i = 0; s && i < LOOK; i++, s = s->hh.next)
        if (best->missed && !s->missed)
            best = s;
    forget(t, best);
}

static struct suspect *find_or_make(struct throttle *t, struct id id)
{
    struct suspect *s = suspect_find(t, id);

    if (s)
        return s;
    while (t->all && HASH_COUNT(t->all) >= (unsigned)PARAM_INT(auth, throttle_names))
        make_room(t);
    if (!(s = calloc(1, sizeof *s)))
        die("out of memory: failed logins");
    s->id = id;
    s->last = clock_monotonic();
    HASH_ADD(hh, t->all, id, sizeof s->id, s);
    return s;
}

static void to_the_end(struct throttle *t, struct suspect *s)
{
    s->last = clock_monotonic();
    HASH_DEL(t->all, s);
    HASH_ADD(hh, t->all, id, sizeof s->id, s);
}

static void wait_at_least(struct suspect *s, int64_t until)
{
    if (until > s->until)
        s->until = until;
}

static struct throttle_state state_of(const struct suspect *s)
{
    int64_t wait = s ? s->until - clock_monotonic() : 0;

    return (struct throttle_state){ .wait = wait > 0 ? wait : 0, .suspect = s && (s->doubt || s->n + s->missed > 0) };
}

/* ---- rows ---- */

/* A row past its time counts as none. */
static bool read_row(struct call *c, struct id id, struct throttle_row *row)
{
    bool there;

    if (!store_look(c->store, &throttle_kind, id, c->arena, row, &there, &c->err))
        return false;
    if (!there || row->expires_at <= store_now(c->store))
        *row = (struct throttle_row){ .id = id };
    return true;
}

/* Whatever comes of it: the sweep takes a row that stays. */
static void delete_row(struct call *c, struct id id)
{
    struct batch *b = batch_new(c->arena);
    struct err ignored = { 0 };

    batch_delete(b, &throttle_kind, id, NULL, 0);
    store_commit(c->store, b, c->deadline, &ignored);
}

/* Raises the pair's row by what *row says of one that begins with these failures; a row past its time begins anew.
 * `user` (may be NULL) is marked in the same batch. */
static struct batch *write_batch(struct call *c, const struct throttle_row *row, const struct user_row *user, int *slot)
{
    struct batch *b = batch_new(c->arena);
    struct cond *counts = arena_alloc(c->arena, sizeof *counts);
    struct set *sets = arena_array(c->arena, 4, sizeof *sets);

    *slot = batch_slot(b);
    *counts = COND("expires_at", ABOVE, V_TIME(row->failed_at));
    sets[0] = ADD_SLOT("n", row->n, *slot);
    sets[1] = SET("failed_at", V_TIME(row->failed_at));
    sets[2] = SET("expires_at", V_TIME(row->expires_at));
    batch_raise(b, &throttle_kind, row, counts, sets, 3);
    if (user && user->guarded_until < row->expires_at) { /* seldom: it lasts twice as long as the row */
        sets[3] = SET("guarded_until", V_TIME(row->failed_at + 2 * keep_ms()));
        batch_update(b, &user_kind, user->id, NULL, 0, &sets[3], 1);
    }
    return b;
}

/* Adds k failures to the pair's row; *n of them are there then. */
static bool write_failures(struct call *c, struct id id, int64_t k, const struct user_row *user, int64_t *n)
{
    int64_t now = store_now(c->store);
    struct throttle_row row = { id, k, now, now + keep_ms() };
    struct err why = { 0 };
    int slot;
    struct batch *b = write_batch(c, &row, user, &slot);
    bool ok = store_commit(c->store, b, c->deadline, &why);

    if (!ok && why.code == ERR_CONFLICT && user) { /* deleted meanwhile: nothing else can be in its way */
        why = (struct err){ 0 };
        b = write_batch(c, &row, NULL, &slot);
        ok = store_commit(c->store, b, c->deadline, &why);
    }
    if (ok)
        *n = batch_slot_value(b, slot);
    else
        c->err = why;
    return ok;
}

/* ---- both ---- */

/* What a row says is taken over, but a delay that began here is never cut short. */
static struct throttle_state take_over(struct call *c, const struct throttle_row *row)
{
    struct throttle *t = c->svc->auth->throttle;
    int64_t now = store_now(c->store), age = now > row->failed_at ? now - row->failed_at : 0;
    struct throttle_state state;
    struct suspect *s;

    pthread_mutex_lock(&t->mutex);
    s = row->n ? find_or_make(t, row->id) : suspect_find(t, row->id);
    if (s) {
        s->n = row->n;
        if (row->n)
            wait_at_least(s, clock_monotonic() + delay_after(row->n + s->missed) - age);
    }
    state = state_of(s);
    pthread_mutex_unlock(&t->mutex);
    return state;
}

bool throttle_look(struct call *c, struct bytes user, bool ask, struct throttle_state *out)
{
    struct throttle *t = c->svc->auth->throttle;
    struct id id = pair_id(c, user);
    struct throttle_row row;

    pthread_mutex_lock(&t->mutex);
    *out = state_of(suspect_find(t, id));
    pthread_mutex_unlock(&t->mutex);
    if (!ask || out->wait)
        return true;
    if (!read_row(c, id, &row))
        return false;
    *out = take_over(c, &row);
    return true;
}

void throttle_doubt(struct call *c, struct bytes user)
{
    struct throttle *t = c->svc->auth->throttle;
    struct id id = pair_id(c, user);

    pthread_mutex_lock(&t->mutex);
    find_or_make(t, id)->doubt = true;
    pthread_mutex_unlock(&t->mutex);
}

/* It counts here at once; how many are to be sent along. */
static int64_t count_failure(struct throttle *t, struct id id)
{
    struct suspect *s;
    int64_t k;

    pthread_mutex_lock(&t->mutex);
    s = find_or_make(t, id);
    to_the_end(t, s);
    s->doubt = false;
    s->missed++;
    k = s->missed - s->sending;
    s->sending += k;
    wait_at_least(s, s->last + delay_after(s->n + s->missed));
    pthread_mutex_unlock(&t->mutex);
    return k;
}

/* The row has n failures, k of them ours; 0: the store did not take them. */
static void sent(struct throttle *t, struct id id, int64_t k, int64_t n)
{
    struct suspect *s;

    pthread_mutex_lock(&t->mutex);
    s = suspect_find(t, id);
    if (s && s->sending >= k) { /* otherwise it was forgotten meanwhile, and is new */
        s->sending -= k;
        s->missed -= n ? k : 0;
        s->n = n > s->n ? n : s->n;
        wait_at_least(s, s->last + delay_after(s->n + s->missed));
    }
    pthread_mutex_unlock(&t->mutex);
}

/* ---- networks ---- */

static struct limit limit_of(struct call *c)
{
    return (struct limit){ .name = arena_bytesf(c->arena, "login %.*s", SHOW(c->client_net)),
                           .most = PARAM_INT(auth, network_failures_per_hour),
                           .window_ms = WINDOW_MS };
}

bool throttle_network(struct call *c, bool ask, int64_t *wait_ms)
{
    struct limit limit = limit_of(c);

    *wait_ms = 0;
    return !limit.most || limits_look(c, &limit, ask, wait_ms);
}

/* Whether there was something left to take is seen by the next. */
static bool take_of_network(struct call *c)
{
    struct limit limit = limit_of(c);
    int64_t wait;

    return !limit.most || limits_take(c, &limit, 1, &wait);
}

bool throttle_failed(struct call *c, struct bytes user, const struct user_row *row)
{
    struct throttle *t = c->svc->auth->throttle;
    struct id id = pair_id(c, user);
    int64_t k = count_failure(t, id), n = 0;
    bool ok = write_failures(c, id, k, row, &n);

    sent(t, id, k, n);
    return ok && take_of_network(c);
}

void throttle_passed(struct call *c, struct bytes user)
{
    struct throttle *t = c->svc->auth->throttle;
    struct id id = pair_id(c, user);
    struct suspect *s;
    bool has_row;

    pthread_mutex_lock(&t->mutex);
    s = suspect_find(t, id);
    has_row = s && s->n + s->sending > 0;
    if (s)
        forget(t, s);
    pthread_mutex_unlock(&t->mutex);
    if (has_row)
        delete_row(c, id);
}
