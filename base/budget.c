#include "base/budget.h"

struct budget budget_process = { .name = "process", .most = PARAM_server_memory_max };
struct budget budget_api = { .name = "api", .above = &budget_process, .most = PARAM_api_memory_max };
struct budget budget_smtp = { .name = "smtp", .above = &budget_process, .most = PARAM_smtp_memory_max };
struct budget budget_pop3 = { .name = "pop3", .above = &budget_process, .most = PARAM_pop3_memory_max };

/* Added first and looked at then: two that race for the last bytes may both be refused, but never both be let in. */
bool budget_take(struct budget *b, size_t n)
{
    int64_t after;

    if (!b)
        return true;
    after = atomic_fetch_add_explicit(&b->used, (int64_t)n, memory_order_relaxed) + (int64_t)n;
    if (after <= param_int(b->most) && budget_take(b->above, n))
        return true;
    atomic_fetch_sub_explicit(&b->used, (int64_t)n, memory_order_relaxed);
    return false;
}

void budget_force(struct budget *b, size_t n)
{
    for (; b; b = b->above)
        atomic_fetch_add_explicit(&b->used, (int64_t)n, memory_order_relaxed);
}

void budget_give(struct budget *b, size_t n)
{
    for (; b; b = b->above)
        atomic_fetch_sub_explicit(&b->used, (int64_t)n, memory_order_relaxed);
}

int64_t budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}
