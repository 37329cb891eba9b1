/* service/message/consumer.c - durable readers of the whole feed.
 *
 * The place is a row of its own, and moves in the batch of what was done about the events that were read, on the
 * condition that nobody moved it meanwhile. So no node has to hold a lock, and a node that dies between reading and
 * committing has done nothing: another reads the same events again. */
#include "service/message/consumer.h"
#include "base/clock.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#include "service/queue/bundle.h"

#define MAKE_MS 30000

/* It begins with what comes from now on. Another node may be making the same row: then that one is there. */
static bool make(struct service *svc, struct consumer_row *row, struct arena *a, struct err *e)
{
    struct batch *b = batch_new(a);
    struct err why = { 0 };

    if (!store_watch_end(svc->store, &event_kind, a, &row->cursor, e))
        return false;
    row->moved_at = clock_wall();
    batch_insert(b, &consumer_kind, row, NULL, 0);
    if (store_commit(svc->store, b, clock_monotonic() + MAKE_MS, &why))
        return true;
    if (why.code == ERR_CONFLICT)
        return store_get(svc->store, &consumer_kind, row->id, a, row, e);
    *e = why;
    return false;
}

/* The events of rows of the feed. */
static void expand(const struct event_row *rows, size_t n, struct arena *a, struct consumer_read *out)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        most += event_expand(&rows[i], NULL);
    out->events = arena_array(a, most, sizeof *out->events);
    for (size_t i = 0; i < n; i++)
        out->n += event_expand(&rows[i], out->events + out->n);
}

/* A place of another database is none in a copy of it: there it begins anew, for nothing may be lost. */
static bool read_events(struct service *svc, size_t limit, struct arena *a, struct consumer_read *out, struct err *e)
{
    struct err why = { 0 };
    void *rows = NULL;
    size_t n = 0;

    if (!store_watch(svc->store, &event_kind, out->row.cursor, limit, 0, a, &rows, &n, &out->next, &why)) {
        if (why.code != ERR_INVALID) {
            *e = why;
            return false;
        }
        if (!store_watch(svc->store, &event_kind, NO_BYTES, limit, 0, a, &rows, &n, &out->next, e))
            return false;
    }
    expand(rows, n, a, out);
    return true;
}

bool consumer_read(struct service *svc, struct bytes name, size_t limit, struct arena *a, struct consumer_read *out,
                   struct err *e)
{
    struct id id = id_of_name(svc, "consumer", name);
    bool there;

    *out = (struct consumer_read){ 0 };
    if (!store_look(svc->store, &consumer_kind, id, a, &out->row, &there, e))
        return false;
    if (!there) {
        out->row = (struct consumer_row){ .id = id, .name = name };
        if (!make(svc, &out->row, a, e))
            return false;
    }
    return read_events(svc, limit, a, out, e);
}

void consumer_move(struct batch *b, const struct consumer_read *r, struct arena *a)
{
    struct cond *same = arena_alloc(a, sizeof *same);
    struct set *sets = arena_array(a, 2, sizeof *sets);

    *same = COND("cursor", IS, V_TEXT(r->row.cursor));
    sets[0] = SET("cursor", V_TEXT(r->next));
    sets[1] = SET("moved_at", V_TIME(clock_wall()));
    batch_update(b, &consumer_kind, r->row.id, same, 1, sets, 2);
}
