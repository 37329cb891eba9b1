#include "service/message/release_ahead.h"
#include "service/core/state.h"
#include "service/queue/ending.h"

/* Those that wait of one message come together, in the order of their ids, as if it had been asked for alone. */
static void hand_out(const struct message_row *rows, size_t n, struct delivery_row *all, size_t n_all, struct arena *a,
                     struct release_ahead *out)
{
    for (size_t i = 0; i < n; i++) {
        struct delivery_row *mine = arena_array(a, (size_t)rows[i].n_open + 1, sizeof *mine);

        out[i].waiting = mine;
        for (size_t k = 0; k < n_all && out[i].n < (size_t)rows[i].n_open; k++)
            if (id_equal(all[k].message_id, rows[i].id) && delivery_waits(&all[k]))
                mine[out[i].n++] = all[k];
    }
}

/* Where there are too many each message is asked for by itself. */
static bool read_waiting(struct service *svc, const struct message_row *rows, size_t n, struct arena *a,
                         struct release_ahead *out, struct err *e)
{
    struct value ids[RELEASE_TOGETHER];
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2 };
    int64_t open = 0;
    void *found;
    size_t all;

    for (size_t i = 0; i < n; i++) {
        ids[i] = V_ID(rows[i].id);
        open += rows[i].n_open;
    }
    if (open > WAITING_MOST)
        return true;
    q.conds[0] = COND_ONE_OF("message_id", ids, n);
    q.conds[1] = COND("status", IS, V_TEXT(BYTES("queued")));
    q.limit = WAITING_MOST;
    if (!store_find(svc->store, &q, a, &found, &all, e))
        return false;
    hand_out(rows, n, found, all, a, out);
    return true;
}

static bool read_bodies(struct service *svc, const struct message_row *rows, size_t n, struct arena *a,
                        struct release_ahead *out, struct err *e)
{
    struct body_row *bodies = arena_array(a, n, sizeof *bodies);
    struct id ids[RELEASE_TOGETHER];

    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].body_id;
    if (!store_get_many(svc->store, &body_kind, ids, n, a, bodies, e))
        return false;
    for (size_t i = 0; i < n; i++)
        out[i].body = &bodies[i];
    return true;
}

/* Most are of one account, or of few. */
static bool read_accounts(struct service *svc, const struct message_row *rows, size_t n, struct arena *a,
                          struct release_ahead *out, struct err *e)
{
    struct account_row *accounts = arena_array(a, n, sizeof *accounts);
    struct id ids[RELEASE_TOGETHER];
    size_t of[RELEASE_TOGETHER], n_ids = 0;

    for (size_t i = 0; i < n; i++) {
        for (of[i] = 0; of[i] < n_ids && !id_equal(ids[of[i]], rows[i].account_id); of[i]++)
            ;
        if (of[i] == n_ids)
            ids[n_ids++] = rows[i].account_id;
    }
    if (!store_get_many(svc->store, &account_kind, ids, n_ids, a, accounts, e))
        return false;
    for (size_t i = 0; i < n; i++)
        out[i].disabled = accounts[of[i]].disabled;
    return true;
}

bool release_ahead(struct service *svc, const struct message_row *rows, size_t n, struct arena *a,
                   struct release_ahead *out, struct err *e)
{
    return read_waiting(svc, rows, n, a, out, e) && read_bodies(svc, rows, n, a, out, e) &&
           read_accounts(svc, rows, n, a, out, e);
}
