/* service/queue/ending_commit.c - see endings_commit. */
#include "base/clock.h"
#include "service/core/state.h"
#include "service/queue/report.h"

/* Each refusal teaches one thing, so the tries are bounded by what there is to learn: two things of a delivery, three
 * of the message, one of the report. */
static bool commit_with(struct service *svc, struct endings *list, struct report *r, struct arena *a, int64_t until,
                        struct err *e)
{
    struct arena_mark clean = arena_mark(a);

    for (size_t tries = 2 * list->n + 5; tries > 0; tries--) {
        struct batch *b;

        *e = (struct err){ 0 };
        arena_rewind(a, clean);
        b = batch_new(a);
        endings_add(list, b, a, clock_wall());
        if (!report_add(r, b, e))
            return false;
        if (!batch_count(b))
            return true;
        if (store_commit(svc->store, b, until, e)) {
            report_done(r);
            return true;
        }
        if (e->code != ERR_CONFLICT || !(endings_mend(list, batch_failure(b)) || report_mend(r, batch_failure(b))))
            return false;
    }
    return false;
}

bool endings_commit(struct service *svc, struct endings *list, struct arena *a, int64_t until, struct err *e)
{
    struct report *r;
    bool ok = report_begin(svc, list, NO_BYTES, &r, e) && commit_with(svc, list, r, a, until, e);

    report_drop(&r);
    return ok;
}
