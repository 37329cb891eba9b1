/* delivery/sched_pick.c - whose turn it is.
 *
 * Shares are kept by what was served: each flow has a measure, its cost so far, and whoever has had least goes
 * next; classes likewise above them. That is deficit round robin without rounds: the shares are the same, a debt is
 * paid by waiting until the others have had as much, and finding the next one does not depend on how many are in debt.
 * Who comes anew starts where the others are, so that having been idle is worth nothing. */
#include "delivery/sched_inner.h"

/* Lanes looked at in one call for somebody else than an account that has its share, and flows in one lane. */
enum { LOOK_LANES = 256, LOOK_FLOWS = 16 };
#define SCALE 65536

static const int class_weights[CLASSES] = { 8, 4, 1 };

int lane_room(const struct lane *l, int class)
{
    int all = l->running[CLASS_H] + l->running[CLASS_N] + l->running[CLASS_L], room = l->window - all;
    int others = l->window - (l->window >= 3) - (all - l->running[CLASS_H]); /* one is kept for h */

    if (class != CLASS_H && others < room)
        room = others;
    return room > 0 ? room : 0;
}

void lane_update(struct sched *s, struct lane *l)
{
    bool can = false;

    for (int c = 0; c < CLASSES; c++)
        can |= l->class[c].ready.n && lane_room(l, c);
    if (can == (l->next != NULL))
        return;
    if (can) {
        struct lane *head = s->ring ? s->ring : l;

        l->next = head; /* last in turn: before the head */
        l->prev = s->ring ? head->prev : l;
        l->prev->next = l;
        head->prev = l;
        s->ring = head;
        s->in_ring++;
        return;
    }
    if (s->ring == l)
        s->ring = l->next == l ? NULL : l->next;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = NULL;
    s->in_ring--;
}

void flow_charge(struct flow *f, int64_t cost)
{
    f->served += cost;
    f->lane->class[f->class].served += cost * SCALE / class_weights[f->class];
}

void flow_ready(struct sched *s, struct flow *f)
{
    struct lane *l = f->lane;

    if (l->class[f->class].served < l->served && !l->class[f->class].ready.n)
        l->class[f->class].served = l->served;
    if (f->served < l->class[f->class].floor)
        f->served = l->class[f->class].floor;
    f->state = FLOW_READY;
    heap_add(&l->class[f->class].ready, &f->node, f->served);
    s->ready++;
    f->account->ready++;
    lane_update(s, l);
}

void flow_unready(struct sched *s, struct flow *f)
{
    heap_remove(&f->lane->class[f->class].ready, &f->node);
    s->ready--;
    f->account->ready--;
    lane_update(s, f->lane);
}

static void wake(struct sched *s, int64_t now)
{
    struct heap_node *top;

    while ((top = heap_top(&s->timers)) && top->key <= now) {
        heap_remove(&s->timers, top);
        flow_ready(s, (struct flow *)top);
    }
}

/* What an account may still take while others wait. Whoever is alone has no share to keep. */
static int account_room(const struct sched *s, const struct account *a)
{
    int share = (int)((int64_t)s->limits.connections_max * s->limits.account_share / 100);

    if (a->ready == s->ready)
        return INT32_MAX;
    return share < 1 ? 1 - a->running : share - a->running;
}

/* The first flow in order whose account has room; past LOOK_FLOWS nobody. Those passed over stay where they were. */
static struct flow *first_allowed(const struct sched *s, struct heap *ready, bool fair)
{
    struct heap_node *aside[LOOK_FLOWS], *found = NULL;
    int n = 0;

    while (n < LOOK_FLOWS && (found = heap_top(ready)) && fair &&
           account_room(s, ((struct flow *)found)->account) <= 0) {
        heap_remove(ready, found);
        aside[n++] = found;
        found = NULL;
    }
    for (int i = 0; i < n; i++)
        heap_add(ready, aside[i], aside[i]->key);
    return (struct flow *)found;
}

static struct flow *choose(const struct sched *s, struct lane *l, bool fair)
{
    struct flow *best = NULL;

    for (int c = 0; c < CLASSES; c++) {
        struct flow *f = l->class[c].ready.n && lane_room(l, c) ? first_allowed(s, &l->class[c].ready, fair) : NULL;

        if (f && (!best || l->class[c].served < l->class[best->class].served))
            best = f;
    }
    return best;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* A turn: SCHED_TURN, or all there is room for when nobody else waits here. */
static int turn_of(const struct sched *s, const struct flow *f, bool fair)
{
    const struct lane *l = f->lane;
    size_t waiting = l->class[CLASS_H].ready.n + l->class[CLASS_N].ready.n + l->class[CLASS_L].ready.n;
    int slots = least(lane_room(l, f->class), s->limits.connections_max - s->running);

    if (waiting > 1)
        slots = least(slots, SCHED_TURN);
    return fair ? least(slots, account_room(s, f->account)) : slots;
}

static void give(struct sched *s, struct flow *f, int slots, struct pick *out)
{
    struct lane *l = f->lane;

    *out = (struct pick){ { f->name, f->name_n }, { l->name, l->name_n }, slots };
    l->served = l->class[f->class].served;
    l->class[f->class].floor = f->served;
    f->granted = slots;
    f->running += slots;
    l->running[f->class] += slots;
    f->account->running += slots;
    s->running += slots;
    flow_charge(f, slots);
    f->send_at = 0;
    flow_unready(s, f);
    f->state = FLOW_PICKED;
}

/* One round, lane by lane, until all are full or as many as `lanes` in a row gave nothing. */
static size_t pass(struct sched *s, bool fair, size_t lanes, struct pick *out, size_t most)
{
    size_t n = 0, nothing = 0;

    while (n < most && s->ring && s->running < s->limits.connections_max && nothing < lanes && nothing < s->in_ring) {
        struct lane *l = s->ring;
        struct flow *f = choose(s, l, fair);

        s->ring = l->next;
        if (f)
            give(s, f, turn_of(s, f, fair), &out[n++]);
        nothing = f ? 0 : nothing + 1;
    }
    return n;
}

size_t sched_pick(struct sched *s, int64_t now, struct pick *out, size_t most)
{
    size_t n = 0;

    wake(s, now);
    n = pass(s, true, LOOK_LANES, out, most);
    return n + pass(s, false, s->in_ring, out + n, most - n);
}
