#include "service/core/follow.h"
#include "service/core/state.h"

#define FOLLOW_RETRY_MS 1000
#define FOLLOW_ROWS     100

static bool from_now(struct service *svc, const struct following *f, struct buf *cursor, struct arena *a, struct err *e)
{
    struct bytes end;

    if (!store_watch_end(svc->store, f->kind, a, &end, e) || !f->all(svc, e))
        return false;
    buf_add(cursor, end);
    return true;
}

/* One wait; the cursor outlives the arena. */
static bool once(struct service *svc, const struct following *f, struct buf *cursor, struct arena *a, struct err *e)
{
    int64_t deadline = clock_monotonic() + f->wait_ms;
    struct bytes next;
    void *rows;
    size_t n;

    if (!cursor->n && !from_now(svc, f, cursor, a, e))
        return false;
    if (!store_watch(svc->store, f->kind, buf_bytes(cursor), FOLLOW_ROWS, deadline, a, &rows, &n, &next, e) ||
        !f->rows(svc, rows, n, a, e))
        return false;
    buf_reset(cursor);
    buf_add(cursor, next);
    return true;
}

void follow(struct service *svc, const struct following *f)
{
    struct arena *a = arena_new(f->arena);
    struct buf cursor;

    buf_init(&cursor, WATCH_CURSOR_MAX);
    while (!atomic_load(&svc->stopping) && !net_stopping()) {
        struct err e = { 0 };

        arena_reset(a);
        if (once(svc, f, &cursor, a, &e))
            continue;
        if (e.code != ERR_BUSY)
            buf_reset(&cursor); /* the feed does not know the place: begin anew */
        if (!service_sleep(svc, FOLLOW_RETRY_MS))
            break;
    }
    buf_clear(&cursor);
    arena_free(&a);
}
