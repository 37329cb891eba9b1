/* api/follow.c - events as they come: an answer that does not end (Server-Sent Events, WHATWG HTML 9.2).
 *
 * The connection's fiber reads what is new, writes it, and waits for more in short slices, so that it sees soon that
 * its client hung up (api/lines.c cuts the stream then), that the key was taken away or that the server stops. The id
 * is the place in the feed and comes with the last event of a group: a client that comes back with it misses nothing
 * and sees nothing twice. Who does not read for event.patience is dropped, and loses only the connection. */
#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/params.h"

#define GROUP    20  /* events read at once */
#define SLICE_MS 250 /* how soon the end of the client, the key or the server is noticed */

static bool put(struct request *r, struct err *e)
{
    stream_deadline(r->x->line->stream, clock_monotonic() + PARAM_INT(event, patience));
    if (!exchange_write(r->x, buf_bytes(&r->out), e) || !stream_flush(r->x->line->stream, e))
        return false;
    buf_reset(&r->out);
    return true;
}

static void add_place(struct request *r)
{
    buf_addf(&r->out, "id: %.*s\n", SHOW(buf_bytes(&r->place)));
}

static bool put_events(struct request *r, const struct event_list_out *found, struct err *e)
{
    struct jw w;

    for (size_t i = 0; i < found->n; i++) {
        if (i + 1 == found->n)
            add_place(r);
        buf_addf(&r->out, "event: %.*s\ndata: ", SHOW(found->rows[i].type));
        jw_init(&w, &r->out);
        members_write(&w, &event_members, &found->rows[i]);
        buf_adds(&r->out, "\n\n");
        if (!put(r, e))
            return false;
    }
    return true;
}

/* Reads a group and writes it; *more: there may be more at once. */
static bool group(struct request *r, bool *more, struct err *e)
{
    struct arena_mark mark = arena_mark(r->call.arena);
    struct bytes place = arena_copy(r->call.arena, buf_bytes(&r->place));
    struct event_list_out found;

    if (!event_follow(&r->call, query_text(r, "type"), &place, GROUP, &found) ||
        !arena_check(r->call.arena, &r->call.err)) {
        *e = r->call.err;
        return false;
    }
    buf_reset(&r->place);
    buf_add(&r->place, place);
    *more = found.page.has_more;
    if (!put_events(r, &found, e))
        return false;
    arena_rewind(r->call.arena, mark);
    return true;
}

/* Until something is new, or a sign of life is due. False when the answer is to end. */
static bool await(struct request *r, uint64_t seen, struct err *e)
{
    int64_t until = clock_monotonic() + PARAM_INT(event, keep_alive), now;

    for (;;) {
        if (stream_fd(r->x->line->stream) < 0)
            return err_set(e, ERR_CLOSED, "The client went away");
        if (!auth_current(&r->call)) {
            *e = r->call.err;
            return false;
        }
        now = clock_monotonic();
        if (follower_count(r->follower) != seen || atomic_load(&r->x->api->stopping) || net_stopping())
            return true;
        if (now >= until) {
            add_place(r); /* alone it is no event, and moves the place on */
            buf_adds(&r->out, ":\n\n");
            return put(r, e);
        }
        follower_wait(r->follower, seen, now + SLICE_MS < until ? now + SLICE_MS : until);
    }
}

static bool follow_send(struct request *r, struct err *e)
{
    bool good = true, more = true;

    line_works(r->x->line, true);
    if (r->from_end)
        buf_adds(&r->out, "event: reset\ndata: {}\n\n");
    buf_adds(&r->out, "event: hello\ndata: {\"version\":\"" POSTRIDER_VERSION "\"}\n\n");
    good = put(r, e);
    while (good && !atomic_load(&r->x->api->stopping) && !net_stopping()) {
        uint64_t seen = follower_count(r->follower); /* before the look, so that nothing between is slept through */

        r->call.deadline = clock_monotonic() + PARAM_INT(api, call_deadline);
        good = group(r, &more, e) && (more || await(r, seen, e));
    }
    line_works(r->x->line, false);
    return good;
}

/* The place to begin at. One that the client came back with and that is none here (the store is another) is told. */
static bool follow_begin(struct request *r)
{
    struct bytes place = r->last_event.p ? r->last_event : query_text(r, "after");
    struct call *c = &r->call;
    struct event_list_out found;

    buf_init(&r->place, WATCH_CURSOR_MAX);
    if (place.p) {
        struct bytes tried = place;

        if (event_follow(c, NO_BYTES, &tried, 1, &found)) {
            buf_add(&r->place, place);
            return true;
        }
        if (c->err.code != ERR_INVALID || !r->last_event.p)
            return false;
        c->err = (struct err){ 0 };
        r->from_end = true;
    }
    if (!event_follow_end(c, &place))
        return false;
    buf_add(&r->place, place);
    return true;
}

bool follow_answer(struct request *r)
{
    if (query_text(r, "before").p)
        call_fault(&r->call, "/before", "conflicting", "What is followed is read forwards only");
    if (!call_check(&r->call) || !follower_open(&r->call, &r->follower) || !follow_begin(r))
        return false;
    r->status = HTTP_OK;
    r->type = "text/event-stream";
    r->goes_on = follow_send;
    return true;
}
