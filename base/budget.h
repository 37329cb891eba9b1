/* base/budget.h - how much memory may be in use at once: for each door, and for all of them together.
 *
 *     if (!budget_take(&budget_smtp, n))     452, 503: others hold it; nothing was taken
 *     ...
 *     budget_give(&budget_smtp, n);
 *
 * What clients make us hold is counted: arenas made with arena_new_in, and whatever else takes from a budget by itself.
 * A budget has a maximum (a parameter, read anew each time) and the budget above it, which is charged too: what one
 * door may hold, and what the process may. What is small and of a fixed size (a session's struct, a fiber's stack) is
 * bounded by the number of sessions instead. Any thread; lock-free. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H
#include "base/params.h"
#include <stdatomic.h>

struct budget {
    const char *name;     /* "smtp" */
    struct budget *above; /* NULL: the process's own */
    enum param most;
    _Atomic int64_t used;
};

extern struct budget budget_process, budget_api, budget_smtp, budget_pop3;

/* False when this or one above would pass its maximum. */
bool budget_take(struct budget *b, size_t n);
/* Takes in any case: what must be held for a moment to end in good order. */
void budget_force(struct budget *b, size_t n);
void budget_give(struct budget *b, size_t n);
int64_t budget_used(const struct budget *b);
#endif
