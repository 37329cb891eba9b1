/* tests/service/queue_world.h - a mail world whose mail leaves: flows are claimed and attempts end as a test says, with
 * no network. Include mail_world.h too: tests/CMakeLists.txt looks for it. */
#ifndef TESTS_SERVICE_QUEUE_WORLD_H
#define TESTS_SERVICE_QUEUE_WORLD_H
#include "service/queue/outcomes.h"
#include "tests/service/mail_world.h"

static inline void go_live(void)
{
    struct err e = { 0 };

    if (!param_set(PARAM_delivery_mode, PARAM_FROM_FLAG, BYTES("live"), &e))
        fail_msg("%s", e.message);
}

static inline void change(struct world *w, struct id delivery, struct set *sets, size_t n)
{
    struct batch *b = batch_new(w->arena);

    batch_update(b, &delivery_kind, delivery, NULL, 0, sets, n);
    commit(w, b);
}

static inline struct delivery_row row_of(struct world *w, struct id id)
{
    struct delivery_row row = { 0 };
    struct err e = { 0 };

    if (!store_get(w->svc->store, &delivery_kind, id, w->arena, &row, &e))
        fail_msg("%s", e.message);
    return row;
}

static inline struct flow_found *flows(struct world *w, size_t *n)
{
    struct flow_found *list;
    struct err e = { 0 };

    if (!queue_flows(w->svc, NO_BYTES, 100, w->arena, &list, n, &e))
        fail_msg("%s", e.message);
    return list;
}

/* Up to `most` of each flow there is. */
static inline struct work *claimed(struct world *w, size_t most, size_t *n)
{
    struct want wants[QUEUE_WANTS];
    struct work *list;
    struct err e = { 0 };
    size_t n_flows;
    struct flow_found *all = flows(w, &n_flows);

    for (size_t i = 0; i < n_flows; i++)
        wants[i] = (struct want){ all[i].flow, most };
    *n = 0;
    if (n_flows && !queue_claim(w->svc, wants, n_flows, w->arena, &list, n, &e))
        fail_msg("%s", e.message);
    return n_flows ? list : NULL;
}

static inline void finish(struct world *w, struct work *all, size_t n, struct verdict v, bool ambiguous)
{
    struct done *each = arena_array(w->arena, n, sizeof *each);
    struct err e = { 0 };

    for (size_t i = 0; i < n; i++)
        each[i] = (struct done){ .work = &all[i], .verdict = v, .ambiguous = ambiguous };
    if (!queue_finish(w->svc, w->arena, each, n, &e))
        fail_msg("%s", e.message);
}

static const struct attempt taken = { .code = 250, .enhanced = BYTES_ROW("2.0.0"), .text = BYTES_ROW("OK") },
                            put_off = { .code = 451,
                                        .enhanced = BYTES_ROW("4.7.1"),
                                        .text = BYTES_ROW("Later"),
                                        .cause = BYTES_ROW("greylist"),
                                        .permanence = BYTES_ROW("temporary") };

static inline struct verdict later(int64_t at)
{
    return (struct verdict){ .outcome = OUTCOME_DEFERRED, .attempt = &put_off, .next_at = at };
}

static const struct verdict delivered = { .outcome = OUTCOME_DELIVERED, .attempt = &taken };
#endif
