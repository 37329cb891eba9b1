/* delivery/sched.c - the tables: which flows, accounts and paths are known, and what changes when something becomes
 * due, is moved, claimed or ends. A flow is in one place at a time (enum flow_state); whoever takes it out of one puts
 * it into another. */
#include "delivery/sched_inner.h"
#include <assert.h>
#include <stddef.h>

struct sched *sched_new(const struct sched_limits *limits)
{
    struct sched *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: flows");
    s->limits = *limits;
    return s;
}

void sched_limit(struct sched *s, const struct sched_limits *limits)
{
    s->limits = *limits;
}

/* Of one of the structs that end in their name. */
static void *named_new(size_t size, struct bytes name)
{
    char *p = calloc(1, size + name.n);

    if (!p)
        die("out of memory: flows");
    if (name.n)
        memcpy(p + size, name.p, name.n);
    return p;
}

static int class_of(char c)
{
    return c == 'h' ? CLASS_H : c == 'n' ? CLASS_N : CLASS_L;
}

static struct flow *flow_find(const struct sched *s, struct bytes name)
{
    struct flow *f = NULL;

    HASH_FIND(hh, s->flows, name.p, name.n, f);
    return f;
}

static struct account *account_of(struct sched *s, struct bytes name)
{
    struct account *a = NULL;

    HASH_FIND(hh, s->accounts, name.p, name.n, a);
    if (a)
        return a;
    a = named_new(sizeof *a, name);
    a->name_n = name.n;
    HASH_ADD_KEYPTR(hh, s->accounts, a->name, a->name_n, a);
    return a;
}

static struct lane *lane_of(struct sched *s, struct bytes name)
{
    struct lane *l = NULL;

    if (!name.p)
        name = BYTES("");
    HASH_FIND(hh, s->lanes, name.p, name.n, l);
    if (l)
        return l;
    l = named_new(sizeof *l, name);
    l->name_n = name.n;
    HASH_ADD_KEYPTR(hh, s->lanes, l->name, l->name_n, l);
    return l;
}

static void lane_forget(struct sched *s, struct lane *l)
{
    if (l->flows || l->window)
        return;
    for (int c = 0; c < CLASSES; c++)
        heap_clear(&l->class[c].ready);
    assert(s->lanes && l->hh.tbl);
    HASH_DELETE(hh, s->lanes, l);
    free(l);
}

static struct flow *flow_new(struct sched *s, struct bytes name, const struct flow_name *parts, struct bytes path)
{
    struct flow *f = named_new(sizeof *f, name);

    f->name_n = name.n;
    f->class = class_of(parts->class);
    f->account = account_of(s, parts->account);
    f->account->flows++;
    f->lane = lane_of(s, path);
    f->lane->flows++;
    HASH_ADD_KEYPTR(hh, s->flows, f->name, f->name_n, f);
    return f;
}

/* Takes a flow that waits out of where it waits. */
static void stop_waiting(struct sched *s, struct flow *f)
{
    if (f->state == FLOW_TIMED)
        heap_remove(&s->timers, &f->node);
    else if (f->state == FLOW_READY)
        flow_unready(s, f);
    f->state = FLOW_IDLE;
}

static void wait_for(struct sched *s, struct flow *f, int64_t send_at)
{
    f->send_at = send_at;
    f->state = f->to && f->running ? FLOW_MOVING : FLOW_TIMED;
    if (f->state == FLOW_TIMED)
        heap_add(&s->timers, &f->node, send_at);
}

static void flow_free(struct sched *s, struct flow *f)
{
    struct account *a = f->account;

    stop_waiting(s, f);
    HASH_DELETE(hh, s->flows, f);
    if (f->to) {
        f->to->flows--;
        lane_forget(s, f->to);
    }
    f->lane->flows--;
    lane_forget(s, f->lane);
    if (--a->flows == 0) {
        HASH_DELETE(hh, s->accounts, a);
        free(a);
    }
    free(f);
}

/* Nothing of it waits or runs: it is forgotten. */
static void flow_look(struct sched *s, struct flow *f)
{
    if (f->state == FLOW_IDLE && !f->send_at && !f->running)
        flow_free(s, f);
}

/* Into its new lane once nothing runs on the old one, where it is counted. */
static void arrive(struct sched *s, struct flow *f)
{
    struct lane *old = f->lane;

    if (!f->to || f->running || f->state == FLOW_PICKED)
        return;
    stop_waiting(s, f);
    f->lane = f->to;
    f->to = NULL;
    f->served = 0;
    old->flows--;
    lane_forget(s, old);
    if (f->send_at)
        wait_for(s, f, f->send_at);
}

static void move_to(struct sched *s, struct flow *f, struct bytes path)
{
    struct lane *to = lane_of(s, path), *was = f->to;

    to->flows++;
    if (was) {
        was->flows--;
        f->to = NULL;
        lane_forget(s, was);
    }
    if (to == f->lane) {
        to->flows--;
        if (f->state == FLOW_MOVING)
            wait_for(s, f, f->send_at);
        return;
    }
    f->to = to;
    if (f->running && f->state != FLOW_PICKED && f->send_at) {
        stop_waiting(s, f);
        wait_for(s, f, f->send_at);
    }
    arrive(s, f);
}

bool sched_poke(struct sched *s, struct bytes flow, struct bytes path, int64_t send_at)
{
    struct flow *f = flow_find(s, flow);
    struct flow_name parts;

    if (!f && (HASH_COUNT(s->flows) >= s->limits.flows_max || !flow_read(flow, &parts)))
        return false;
    if (!f)
        f = flow_new(s, flow, &parts, path);
    if (f->state == FLOW_READY || (f->send_at && f->send_at <= send_at))
        send_at = f->send_at;
    if (f->state == FLOW_TIMED && send_at != f->send_at)
        stop_waiting(s, f);
    f->send_at = send_at;
    if (f->state == FLOW_IDLE)
        wait_for(s, f, send_at);
    if (path.p)
        move_to(s, f, path);
    return true;
}

void sched_move(struct sched *s, struct bytes flow, struct bytes path)
{
    struct flow *f = flow_find(s, flow);

    if (f)
        move_to(s, f, path);
}

void sched_unsettle(struct sched *s)
{
    struct flow *f, *next;

    HASH_ITER (hh, s->flows, f, next) {
        if (f->lane->name_n && f->lane->window == 0)
            move_to(s, f, BYTES(""));
    }
}

void sched_window(struct sched *s, struct bytes path, int window)
{
    struct lane *l = lane_of(s, path);

    l->window = window > 0 ? window : 0;
    lane_update(s, l);
    lane_forget(s, l);
}

static void release(struct sched *s, struct flow *f, int n)
{
    assert(n >= 0 && n <= f->running);
    f->running -= n;
    f->lane->running[f->class] -= n;
    f->account->running -= n;
    s->running -= n;
    lane_update(s, f->lane);
}

void sched_claimed(struct sched *s, struct bytes flow, int begun, int64_t cost, int64_t next_at)
{
    struct flow *f = flow_find(s, flow);

    assert(f && f->state == FLOW_PICKED && begun >= 0 && begun <= f->granted);
    flow_charge(f, (begun ? cost : 0) - f->granted);
    release(s, f, f->granted - begun);
    f->granted = 0;
    f->state = FLOW_IDLE;
    if (next_at && (!f->send_at || next_at < f->send_at)) /* it may have been poked meanwhile */
        f->send_at = next_at;
    if (f->send_at)
        wait_for(s, f, f->send_at);
    arrive(s, f);
    flow_look(s, f);
}

void sched_ended(struct sched *s, struct bytes flow, int n)
{
    struct flow *f = flow_find(s, flow);

    assert(f);
    release(s, f, n);
    arrive(s, f);
    flow_look(s, f);
}

int64_t sched_cost(size_t recipients, int64_t bytes)
{
    return (int64_t)recipients + bytes / SCHED_COST_BYTES;
}

int64_t sched_next(const struct sched *s)
{
    const struct heap_node *top = heap_top(&s->timers);

    return top ? top->key : 0;
}

int64_t sched_oldest(const struct sched *s)
{
    int64_t oldest = 0;

    for (const struct flow *f = s->flows; f; f = f->hh.next)
        if (f->send_at && (!oldest || f->send_at < oldest))
            oldest = f->send_at;
    return oldest;
}

void sched_counts(const struct sched *s, struct sched_counts *out)
{
    *out = (struct sched_counts){ HASH_COUNT(s->flows), HASH_COUNT(s->lanes), s->ready, s->running };
}

/* Whole tables at once: nobody is to be found any more. */
static void free_tables(struct sched *s)
{
    struct flow *f = s->flows, *next_flow;
    struct account *a = s->accounts, *next_account;
    struct lane *l = s->lanes, *next_lane;

    HASH_CLEAR(hh, s->flows);
    HASH_CLEAR(hh, s->accounts);
    HASH_CLEAR(hh, s->lanes);
    for (; f; f = next_flow) {
        next_flow = f->hh.next;
        free(f);
    }
    for (; a; a = next_account) {
        next_account = a->hh.next;
        free(a);
    }
    for (; l; l = next_lane) {
        next_lane = l->hh.next;
        for (int c = 0; c < CLASSES; c++)
            heap_clear(&l->class[c].ready);
        free(l);
    }
}

void sched_free(struct sched **s)
{
    if (!*s)
        return;
    free_tables(*s);
    heap_clear(&(*s)->timers);
    free(*s);
    *s = NULL;
}
