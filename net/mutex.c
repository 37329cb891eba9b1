#include "net/fiber.h"
#include "net/wait.h"
#include <assert.h>

struct turn {
    struct waiter waiter;
    struct turn *next;
};

struct fiber_mutex {
    pthread_mutex_t guard; /* held for a few instructions, never over a wait */
    bool held;
    struct turn *first, *last;
};

struct fiber_mutex *fiber_mutex_new(void)
{
    struct fiber_mutex *m = calloc(1, sizeof *m);

    if (!m)
        die("out of memory");
    pthread_mutex_init(&m->guard, NULL);
    return m;
}

void fiber_mutex_free(struct fiber_mutex **m)
{
    if (!*m)
        return;
    assert(!(*m)->held);
    pthread_mutex_destroy(&(*m)->guard);
    free(*m);
    *m = NULL;
}

void fiber_mutex_lock(struct fiber_mutex *m)
{
    struct turn turn = { .next = NULL };
    bool mine;

    pthread_mutex_lock(&m->guard);
    mine = !m->held;
    if (mine) {
        m->held = true;
    } else {
        waiter_init(&turn.waiter);
        if (m->first)
            m->last->next = &turn;
        else
            m->first = &turn;
        m->last = &turn;
    }
    pthread_mutex_unlock(&m->guard);
    if (!mine)
        waiter_wait(&turn.waiter);
}

/* It goes to who waits longest without being free in between. */
void fiber_mutex_unlock(struct fiber_mutex *m)
{
    struct turn *next;

    pthread_mutex_lock(&m->guard);
    assert(m->held);
    next = m->first;
    if (next)
        m->first = next->next;
    else
        m->held = false;
    pthread_mutex_unlock(&m->guard);
    if (next)
        waiter_wake(&next->waiter);
}
