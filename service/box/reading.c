/* service/box/reading.c - the turns of large mails: those of logins, with other parameters and among accounts. */
#include "service/box/reading.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include "service/core/state.h"
#include "service/identity/auth_turn.h"

struct turns *readings_new(void)
{
    static const struct turn_rule rule = { .parallel = PARAM_entry_large_parallel,
                                           .waiting = PARAM_entry_large_waiting,
                                           .gauge = METRIC_entry_large_waiting,
                                           .busy = "Too many large mails are read at once" };

    return turns_new(&rule);
}

bool reading_begin(struct call *c, int64_t size)
{
    char from[ID_TEXT + 1];

    if (size <= READING_SMALL || c->reading)
        return true;
    if (!turn_take(c->svc->readings, id_format("acc", c->account, from), STANDING_STRANGER, &c->err))
        return false;
    c->reading = true;
    if (clock_monotonic() < c->deadline && !atomic_load(&c->svc->stopping)) /* then many may still wait */
        return true;
    return err_set(&c->err, ERR_BUSY, "Too many large mails are read at once");
}

void reading_end(struct call *c)
{
    if (c->reading)
        turn_give(c->svc->readings);
    c->reading = false;
}
