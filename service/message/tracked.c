/* service/message/tracked.c - what was noted, in order.
 *
 * A round takes all that waits and puts it in order of mail, kind, link and whether a machine asked: equal ones are one
 * event (tracked_tell.c). What could not be told, since the store was away, waits again. */
#include "base/metrics.h"
#include "base/network.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/message/tracked_private.h"
#include "service/queue/own_rules.h"

#define AGENT_MOST  500
#define ROUND_ARENA ((size_t)64 * 1024 * 1024)
#define PAUSE_MS    1000

struct tracked {
    pthread_mutex_t mutex;
    struct noted *first, **last;
    size_t bytes;
    struct signal *came;
};

struct tracked *tracked_new(void)
{
    struct tracked *t = calloc(1, sizeof *t);

    if (!t)
        die("out of memory: opens and clicks");
    pthread_mutex_init(&t->mutex, NULL);
    t->last = &t->first;
    t->came = signal_new();
    return t;
}

static void end_all(struct noted *list)
{
    while (list) {
        struct noted *next = list->next;

        free(list);
        list = next;
    }
}

void tracked_free(struct tracked **t)
{
    if (!*t)
        return;
    end_all((*t)->first);
    signal_free(&(*t)->came);
    pthread_mutex_destroy(&(*t)->mutex);
    free(*t);
    *t = NULL;
}

/* ---- what comes ---- */

static struct bytes keep_text(struct bytes text, char **to)
{
    struct bytes kept = { *to, text.n };

    if (text.n)
        memcpy(*to, text.p, text.n);
    *to += text.n;
    return kept;
}

static struct noted *noted_of(const struct hit *hit, size_t *size)
{
    struct bytes agent = bytes_head(hit->agent, AGENT_MOST);
    struct noted *n;
    char *to;

    *size = sizeof *n + hit->url.n + agent.n + hit->address.n;
    n = malloc(*size);
    if (!n)
        die("out of memory: opens and clicks");
    *n = (struct noted){ .hit = *hit };
    to = n->texts;
    n->hit.url = keep_text(hit->url, &to);
    n->hit.agent = keep_text(agent, &to);
    n->hit.address = keep_text(hit->address, &to);
    return n;
}

/* At the end of what waits. False past what may wait: then it is no more. */
static bool put(struct tracked *t, struct noted *n, size_t size)
{
    bool room, first;

    pthread_mutex_lock(&t->mutex);
    room = t->bytes + size <= (size_t)PARAM_INT(tracking, pending_memory);
    first = !t->first;
    if (room) {
        t->bytes += size;
        *t->last = n;
        t->last = &n->next;
    }
    pthread_mutex_unlock(&t->mutex);
    if (!room)
        free(n);
    if (room && first)
        signal_raise(t->came);
    return room;
}

void tracked_note(struct service *svc, const struct hit *hit)
{
    size_t size;
    struct noted *n = noted_of(hit, &size);

    if (!put(svc->tracked, n, size))
        metric_add(METRIC_tracking_dropped_total, 1);
}

static struct noted *take_all(struct tracked *t)
{
    struct noted *all;

    pthread_mutex_lock(&t->mutex);
    all = t->first;
    t->first = NULL;
    t->last = &t->first;
    t->bytes = 0;
    pthread_mutex_unlock(&t->mutex);
    return all;
}

static bool waits(struct tracked *t)
{
    bool some;

    pthread_mutex_lock(&t->mutex);
    some = t->first != NULL;
    pthread_mutex_unlock(&t->mutex);
    return some;
}

/* ---- in order ---- */

static int by_event(const void *a, const void *b)
{
    const struct noted *x = *(struct noted *const *)a, *y = *(struct noted *const *)b;
    int order = id_compare(x->hit.message, y->hit.message);

    if (!order)
        order = (x->hit.kind > y->hit.kind) - (x->hit.kind < y->hit.kind);
    if (!order)
        order = bytes_compare(x->hit.url, y->hit.url);
    return order ? order : x->machine - y->machine;
}

static int by_event_and_time(const void *a, const void *b)
{
    const struct noted *x = *(struct noted *const *)a, *y = *(struct noted *const *)b;
    int order = by_event(a, b);

    return order ? order : (x->hit.at > y->hit.at) - (x->hit.at < y->hit.at);
}

static bool is_machine(const struct rules *rules, const struct hit *hit)
{
    struct network from;
    bool known = network_parse_address(hit->address, &from);

    return hit->ahead || rules_prefetcher(rules, hit->agent, known ? &from : NULL);
}

/* The first of those that are equal, in order of mails. */
static struct noted **in_order(struct service *svc, struct noted *all, struct arena *a, size_t *n)
{
    struct rule_set *rules = rules_take(svc);
    struct noted **list;
    size_t count = 0, kept = 0;

    for (struct noted *x = all; x; x = x->next)
        count++;
    list = arena_array(a, count, sizeof(struct noted *));
    for (struct noted *x = all; x; x = x->next) {
        x->machine = is_machine(rules->rules, &x->hit);
        list[kept++] = x;
    }
    rules_leave(&rules);
    qsort(list, kept, sizeof *list, by_event_and_time);
    *n = 0;
    for (size_t i = 0; i < kept; i++)
        if (!*n || by_event(&list[*n - 1], &list[i]) != 0)
            list[(*n)++] = list[i];
    return list;
}

/* Those of the mails from `from` on have not been told yet. */
static void put_back(struct tracked *t, struct noted *all, struct id from)
{
    while (all) {
        struct noted *next = all->next;

        all->next = NULL;
        if (id_compare(all->hit.message, from) < 0)
            free(all);
        else
            put(t, all, sizeof *all + all->hit.url.n + all->hit.agent.n + all->hit.address.n);
        all = next;
    }
}

bool tracked_round(struct service *svc, struct err *e)
{
    struct noted *all = take_all(svc->tracked);
    struct arena *a = arena_new(ROUND_ARENA);
    size_t n = 0, at = 0, used = 0;
    struct noted **list = in_order(svc, all, a, &n);
    bool ok = true;

    while (ok && at < n) {
        struct arena_mark mark = arena_mark(a);

        ok = tracked_tell(svc, list + at, n - at, a, &used, e);
        at += ok ? used : 0;
        arena_rewind(a, mark);
    }
    if (ok)
        end_all(all);
    else
        put_back(svc->tracked, all, list[at]->hit.message);
    arena_free(&a);
    return ok;
}

/* ---- background ---- */

static void tracked_fiber(struct service *svc)
{
    struct tracked *t = svc->tracked;
    struct err e = { 0 };

    while (!svc->stopping) {
        uint64_t seen = signal_count(t->came);

        e = (struct err){ 0 };
        if (!waits(t))
            signal_wait(t->came, seen, clock_monotonic() + 60 * PAUSE_MS);
        else if (service_sleep(svc, PARAM_INT(tracking, gather)) && !tracked_round(svc, &e))
            service_sleep(svc, PAUSE_MS);
    }
    tracked_round(svc, &e);
}

void tracked_poke(struct service *svc)
{
    signal_raise(svc->tracked->came);
}

bool tracked_start(struct service *svc, struct err *e)
{
    return service_spawn(svc, tracked_fiber, e);
}
