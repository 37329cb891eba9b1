/* service/identity/auth_turn.c - start-time fair queueing over networks, with ranks.
 *
 * Whoever waits lies on its own stack in one list, so waiting allocates nothing but the network's row. The list is
 * walked for each turn: it is at most auth.argon2_waiting long, and a turn is 11 ms of work. The mutex is not held
 * while somebody waits or hashes. */
#include "service/identity/auth_turn.h"
#include "net/wait.h"
#include "service/core/state.h"
#include <assert.h>
#define uthash_fatal(message) die("out of memory: turns")
#include <uthash.h>

#define FROM_MOST  64
#define OPEN_EVERY 4 /* of so many turns one is given without regard to standing */

/* A network some of whose logins wait. */
struct from {
    UT_hash_handle hh;
    int64_t waiting;
    uint64_t last; /* the place of its last one */
    size_t n;
    char name[FROM_MOST];
};

/* On the stack of who waits. Its place is the round in which its network's turn comes: the n-th that a network asks for
 * at once waits for the n-th round (start-time fair queueing), however early it came. */
struct waiting {
    struct waiter waiter;
    struct waiting *previous, *next; /* in the order in which they came */
    struct from *from;
    uint64_t place;
    enum standing standing;
    bool refused;
};

struct turns {
    const struct turn_rule *rule;
    pthread_mutex_t mutex;
    struct from *networks;
    struct waiting *first, *last;
    int64_t waiting, running;
    uint64_t round, given;
};

struct turns *turns_new(const struct turn_rule *rule)
{
    struct turns *t = calloc(1, sizeof *t);

    if (!t)
        die("out of memory: turns");
    t->rule = rule;
    pthread_mutex_init(&t->mutex, NULL);
    return t;
}

void turns_free(struct turns **t)
{
    if (!*t)
        return;
    assert(!(*t)->first);
    pthread_mutex_destroy(&(*t)->mutex);
    free(*t);
    *t = NULL;
}

/* ---- the queue: under the mutex ---- */

static struct from *from_find(struct turns *t, struct bytes name)
{
    struct from *f;

    name = name.n ? bytes_head(name, FROM_MOST) : BYTES("-"); /* the unix socket has none */
    HASH_FIND(hh, t->networks, name.p, name.n, f);
    if (f)
        return f;
    if (!(f = calloc(1, sizeof *f)))
        die("out of memory: turns");
    f->last = t->round;
    f->n = name.n;
    memcpy(f->name, name.p, name.n);
    HASH_ADD(hh, t->networks, name, f->n, f);
    return f;
}

static void forget_idle(struct turns *t, struct from *f)
{
    if (f->waiting)
        return;
    HASH_DEL(t->networks, f);
    free(f);
}

static void enter(struct turns *t, struct waiting *w)
{
    struct from *f = w->from;

    f->last = (f->last > t->round ? f->last : t->round) + 1;
    w->place = f->last;
    w->previous = t->last;
    *(t->last ? &t->last->next : &t->first) = w;
    t->last = w;
    f->waiting++;
    t->waiting++;
    metric_add(t->rule->gauge, 1);
}

static void leave(struct turns *t, struct waiting *w)
{
    *(w->previous ? &w->previous->next : &t->first) = w->next;
    *(w->next ? &w->next->previous : &t->last) = w->previous;
    w->from->waiting--;
    t->waiting--;
    metric_add(t->rule->gauge, -1);
    forget_idle(t, w->from);
}

static bool goes_before(const struct waiting *a, const struct waiting *b, bool open)
{
    if (!open && a->standing != b->standing)
        return a->standing > b->standing;
    return a->place < b->place;
}

static struct waiting *choose(struct turns *t)
{
    bool open = ++t->given % OPEN_EVERY == 0;
    struct waiting *best = t->first;

    for (struct waiting *w = best; w; w = w->next)
        if (goes_before(w, best, open))
            best = w;
    return best;
}

/* The last of those with the least standing; of one network, or of all. */
static struct waiting *least(struct turns *t, const struct from *of)
{
    struct waiting *worst = NULL;

    for (struct waiting *w = t->last; w; w = w->previous)
        if ((!of || w->from == of) && (!worst || w->standing < worst->standing))
            worst = w;
    return worst;
}

/* Who makes room for w; NULL: nobody, w itself has to go. */
static struct waiting *yields(struct turns *t, const struct waiting *w)
{
    struct from *most = w->from;
    struct waiting *worst;

    for (struct from *f = t->networks; f; f = f->hh.next)
        most = f->waiting > most->waiting ? f : most;
    worst = least(t, most);
    if (w->from->waiting + 1 < most->waiting)
        return worst;
    if (!worst || worst->standing >= w->standing)
        worst = least(t, NULL);
    return worst && worst->standing < w->standing ? worst : NULL;
}

static bool make_room(struct turns *t, const struct waiting *w)
{
    struct waiting *out;

    if (t->waiting < param_int(t->rule->waiting))
        return true;
    out = yields(t, w);
    if (!out)
        return false;
    leave(t, out);
    out->refused = true;
    waiter_wake(&out->waiter);
    return true;
}

/* ---- turns ---- */

static void turn_begin(struct turns *t)
{
    while (t->first && t->running < param_int(t->rule->parallel)) {
        struct waiting *w = choose(t);

        t->round = w->place > t->round ? w->place : t->round;
        leave(t, w);
        t->running++;
        waiter_wake(&w->waiter);
    }
}

bool turn_take(struct turns *t, struct bytes from, enum standing standing, struct err *e)
{
    struct waiting w = { .standing = standing };
    bool room;

    waiter_init(&w.waiter);
    pthread_mutex_lock(&t->mutex);
    w.from = from_find(t, from);
    room = make_room(t, &w);
    if (room)
        enter(t, &w);
    else
        forget_idle(t, w.from);
    turn_begin(t);
    pthread_mutex_unlock(&t->mutex);
    if (!room)
        return err_set(e, ERR_BUSY, "%s", t->rule->busy);
    waiter_wait(&w.waiter);
    return !w.refused || err_set(e, ERR_BUSY, "%s", t->rule->busy);
}

void turn_give(struct turns *t)
{
    pthread_mutex_lock(&t->mutex);
    t->running--;
    turn_begin(t);
    pthread_mutex_unlock(&t->mutex);
}
