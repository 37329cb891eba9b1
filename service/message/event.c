/* service/message/event.c - the timeline: of one message, and of the whole account in order of commit. */
#include "base/clock.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/message/message_private.h"
#include "service/queue/delivery.h"

/* Rows of other accounts that one request steps over before it answers with what it has. */
#define FOLLOW_LOOK 2000

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

/* Rows as they were committed, oldest first; `next` is always there, so that a follower can come back. */
static bool follow(struct call *c, const struct event_list_in *in, struct event_list_out *out)
{
    size_t limit = in->page.limit ? (size_t)in->page.limit : 20, looked = 0, n = 1;
    struct bytes cursor = in->page.after;
    void *found;

    if (in->page.before.p)
        call_fault(c, "/before", "conflicting", "What is followed is read forwards only");
    if (!call_check(c))
        return false;
    if (limit > 100)
        limit = 100;
    out->rows = arena_array(c->arena, limit, sizeof *out->rows);
    out->n = 0;
    while (out->n < limit && looked < FOLLOW_LOOK && n > 0) {
        if (!store_watch(c->store, &event_kind, cursor, limit - out->n, clock_monotonic(), c->arena, &found, &n,
                         &cursor, &c->err))
            return false;
        for (size_t i = 0; i < n; i++)
            if (visible(c, (struct event_row *)found + i) &&
                (!in->type.p || bytes_equal(((struct event_row *)found)[i].type, in->type)))
                out->rows[out->n++] = ((struct event_row *)found)[i];
        looked += n;
    }
    out->page = (struct page_out){ .has_more = n > 0, .next = cursor };
    return true;
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
