#include "net/timers.h"
#include "base/err.h"

static void place(struct timers *t, size_t i, struct timer *one)
{
    t->heap[i] = one;
    one->place = i;
}

static void rise(struct timers *t, size_t i, struct timer *one)
{
    for (; i > 1 && t->heap[i / 2]->at > one->at; i /= 2)
        place(t, i, t->heap[i / 2]);
    place(t, i, one);
}

static void sink(struct timers *t, size_t i, struct timer *one)
{
    for (size_t child; (child = 2 * i) <= t->n; i = child) {
        if (child < t->n && t->heap[child + 1]->at < t->heap[child]->at)
            child++;
        if (t->heap[child]->at >= one->at)
            break;
        place(t, i, t->heap[child]);
    }
    place(t, i, one);
}

static void grow(struct timers *t)
{
    size_t cap = t->cap ? 2 * t->cap : 64;
    struct timer **heap = realloc(t->heap, cap * sizeof *heap);

    if (!heap)
        die("out of memory");
    t->heap = heap;
    t->cap = cap;
}

void timers_clear(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){ 0 };
}

void timers_set(struct timers *t, struct timer *one, int64_t at)
{
    /* The heap begins at 1, so that the children of i are 2 * i and 2 * i + 1. */
    if (t->n + 2 > t->cap)
        grow(t);
    one->at = at;
    rise(t, ++t->n, one);
}

void timers_remove(struct timers *t, struct timer *one)
{
    size_t i = one->place;
    struct timer *last;

    if (!i)
        return;
    one->place = 0;
    last = t->heap[t->n--];
    if (last == one)
        return;
    if (i > 1 && t->heap[i / 2]->at > last->at)
        rise(t, i, last);
    else
        sink(t, i, last);
}

struct timer *timers_first(const struct timers *t)
{
    return t->n ? t->heap[1] : NULL;
}
