/* service/message/event.c - the timeline: of one message, and of the whole account in order of commit.
 *
 * Following reads the account's own part of the feed by its index, so it costs what the account has and not what others
 * have. A place exists only behind the last row of a look; one that found more than fits is made again, shorter, rather
 * than show a row twice. After FOLLOW_LOOK rows that may not be seen the answer says how far it came. */
#include "service/message/event.h"
#include "base/metrics.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/message/message_private.h"

#define FOLLOW_LOOK  2000 /* rows of the account that one request steps over before it answers with what it has */
#define FOLLOW_CHUNK 100  /* of them in one look, where not all can be seen */

static const struct member event_list_[] = {
    MEMBER(ID, event_row, id, .prefix = "evt"),           MEMBER(ID, event_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, event_row, type, .column = true),        MEMBER(TIME, event_row, at, .column = true),
    MEMBER(ID, event_row, message_id, .prefix = "msg"),   MEMBER(ID, event_row, delivery_id, .prefix = "dlv"),
    MEMBER(TEXT, event_row, email, .column = true),       MEMBER(JSON, event_row, tags, .otherwise = "[]"),
    MEMBER(JSON, event_row, metadata, .otherwise = "{}"), MEMBER(JSON, event_row, data),
};
MEMBERS(event, .object = "event", .path = "/v1/events/", .kind = &event_kind);

bool message_event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out)
{
    struct query q = { .kind = &event_kind, .index = "message", .n_conds = 1 };
    struct message_row m;
    void *rows = NULL;

    if (!call_may(c, SCOPE_MESSAGES_READ) || !message_find(c, in->id, &m))
        return false;
    q.conds[0] = COND("message_id", IS, V_ID(m.id));
    if (in->type.p)
        q.conds[q.n_conds++] = COND("type", IS, V_TEXT(in->type));
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = rows;
    return true;
}

static bool visible(const struct call *c, const struct event_row *row)
{
    return call_sees(c, row->account_id, row->mode, row->domain_id);
}

/* ---- what is new ---- */

static bool fits(const struct call *c, const struct event_row *row, struct bytes type)
{
    return visible(c, row) && (!type.p || bytes_equal(row->type, type));
}

/* One look at the account's own part of the feed, however much there is of others. */
static bool look(struct call *c, struct bytes after, size_t limit, struct event_row **rows, size_t *n,
                 struct bytes *next)
{
    const struct watch w = {
        .kind = &event_kind, .index = "feed", .value = V_ID(c->account), .after = after, .limit = limit
    };
    void *found = NULL;
    bool ok = store_watch_part(c->store, &w, c->arena, &found, n, next, &c->err);

    metric_add(METRIC_event_looks_total, 1);
    *rows = found;
    return ok;
}

/* How many of the rows come before one that fits and has no room any more. */
static size_t before_full(const struct call *c, struct bytes type, const struct event_row *rows, size_t n, size_t room)
{
    size_t at = 0;

    while (at < n && (!fits(c, &rows[at], type) || room-- > 0))
        at++;
    return at;
}

/* The next rows, as many as may be handed out: a place can only be had behind the last row of a look, so one that found
 * too many is made again, shorter. Of `room` rows all have room. */
static bool look_some(struct call *c, struct bytes type, struct bytes after, size_t room, struct event_row **rows,
                      size_t *n, struct bytes *next)
{
    size_t most = type.p || c->who->test || c->who->n_domain_ids ? FOLLOW_CHUNK : room, before;

    for (;;) {
        struct arena_mark mark = arena_mark(c->arena);

        if (!look(c, after, most > room ? most : room, rows, n, next))
            return false;
        before = before_full(c, type, *rows, *n, room);
        if (before == *n)
            return true;
        most = before;
        arena_rewind(c->arena, mark);
    }
}

bool event_follow(struct call *c, struct bytes type, struct bytes *place, size_t limit, struct event_list_out *out)
{
    size_t looked = 0, n = 1;
    struct event_row *found;

    out->rows = arena_array(c->arena, limit, sizeof *out->rows);
    out->n = 0;
    while (out->n < limit && looked < FOLLOW_LOOK && n > 0) {
        if (!look_some(c, type, *place, limit - out->n, &found, &n, place))
            return false;
        for (size_t i = 0; i < n; i++)
            if (fits(c, &found[i], type))
                out->rows[out->n++] = found[i];
        looked += n;
    }
    out->page = (struct page_out){ .has_more = n > 0, .next = *place };
    return true;
}

bool event_follow_end(struct call *c, struct bytes *place)
{
    return call_may(c, SCOPE_MESSAGES_READ) && store_watch_end(c->store, &event_kind, c->arena, place, &c->err);
}

/* Rows as they were committed, oldest first; `next` is always there, so that a follower can come back. */
static bool follow(struct call *c, const struct event_list_in *in, struct event_list_out *out)
{
    size_t limit = in->page.limit ? (size_t)in->page.limit : 20;
    struct bytes place = in->page.after;

    if (in->page.before.p)
        call_fault(c, "/before", "conflicting", "What is followed is read forwards only");
    return call_check(c) && event_follow(c, in->type, &place, limit > 100 ? 100 : limit, out);
}

bool event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out)
{
    struct query q = { .kind = &event_kind, .index = "account", .n_conds = 1 };
    void *rows = NULL;

    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (in->follow)
        return follow(c, in, out);
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (in->type.p)
        q.conds[q.n_conds++] = COND("type", IS, V_TEXT(in->type));
    query_seen(c, &q);
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = rows;
    return true;
}

bool event_get(struct call *c, const struct event_get_in *in, struct event_row *out)
{
    struct id id;

    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (!id_parse(event_kind.prefix, in->id, &id))
        return err_set(&c->err, ERR_MISSING, "No such event");
    return store_get(c->store, &event_kind, id, c->arena, out, &c->err) &&
           (visible(c, out) || err_set(&c->err, ERR_MISSING, "No such event"));
}
