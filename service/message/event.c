/* service/message/event.c - the timeline: of one message, and of the whole account in order of commit.
 *
 * Following reads the account's own part of the feed by its index, so it costs what the account has and not what others
 * have. A place exists only behind the last row of a look; one that found more than fits is made again, shorter, rather
 * than show a row twice. A row of several events may fill the page with some of them: the place is then behind it, and
 * names the last that was given. (Before it would not do: another lane of MongoDB may have put a row there by then, or
 * the sweep have taken this one.) After FOLLOW_LOOK rows that may not be seen the answer says how far it came. */
#include "service/message/event.h"
#include "base/metrics.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/message/message_private.h"
#include "service/queue/bundle.h"

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

    if (!call_may(c, SCOPE_MESSAGES_READ) || !message_find(c, in->id, &m))
        return false;
    q.conds[0] = COND("message_id", IS, V_ID(m.id));
    if (in->type.p)
        q.conds[q.n_conds++] = COND("type", IS, V_TEXT(in->type));
    return event_page(c, &q, &in->page, out);
}

static bool visible(const struct call *c, const struct event_row *row)
{
    return call_sees(c, row->account_id, row->mode, row->domain_id);
}

/* ---- what is new ---- */

static bool fits(const struct call *c, const struct event_row *event, struct bytes type)
{
    return visible(c, event) && (!type.p || bytes_equal(event->type, type));
}

/* One who follows, for one answer. */
struct follow {
    struct call *call;
    struct bytes type;
    size_t limit;
    struct event_list_out *out;
    struct event_row *parts; /* room for what one row shows */
    /* Behind what is given: a cursor of the feed, and of the row before it the last event that was given, when there
     * was no room for all of them. */
    struct bytes cursor;
    struct id given;
};

static size_t room(const struct follow *f)
{
    return f->limit - f->out->n;
}

/* One look at the account's own part of the feed, however much there is of others. */
static bool look(struct follow *f, size_t limit, struct event_row **rows, size_t *n, struct bytes *next)
{
    struct call *c = f->call;
    const struct watch w = {
        .kind = &event_kind, .index = "feed", .value = V_ID(c->account), .after = f->cursor, .limit = limit
    };
    void *found = NULL;
    bool ok = store_watch_part(c->store, &w, c->arena, &found, n, next, &c->err);

    metric_add(METRIC_event_looks_total, 1);
    *rows = found;
    return ok;
}

/* How many of the rows come before the page is full and one more event would fit. The last of them may fit in part. */
static size_t before_full(const struct follow *f, const struct event_row *rows, size_t n)
{
    size_t at = 0, left = room(f);

    for (bool over = false; at < n && !over; at++) {
        size_t parts = event_expand(&rows[at], f->parts), fit = 0;

        for (size_t i = 0; i < parts; i++)
            fit += fits(f->call, &f->parts[i], f->type);
        if (fit && !left)
            break;
        over = fit > left;
        left -= over ? left : fit;
    }
    return at;
}

/* The next rows, as many as may be handed out: a place can only be had behind the last row of a look, so one that found
 * too many is made again, shorter. */
static bool look_some(struct follow *f, struct event_row **rows, size_t *n, struct bytes *next)
{
    struct call *c = f->call;
    bool picks = f->type.p || c->who->test || c->who->n_domain_ids;
    size_t most = picks && room(f) < FOLLOW_CHUNK ? FOLLOW_CHUNK : room(f), before;

    for (;;) {
        struct arena_mark mark = arena_mark(c->arena);

        if (!look(f, most, rows, n, next))
            return false;
        before = before_full(f, *rows, *n);
        if (before == *n)
            return true;
        most = before;
        arena_rewind(c->arena, mark);
    }
}

/* Hands out what fits of a row behind `given`, and remembers how far it came when that is not all. */
static void give(struct follow *f, const struct event_row *row)
{
    size_t n = event_expand(row, f->parts);
    struct id given = f->given;

    f->given = NO_ID;
    for (size_t i = 0; i < n; i++) {
        const struct event_row *event = &f->parts[i];

        if (id_compare(event->id, given) <= 0 || !fits(f->call, event, f->type))
            continue;
        if (!room(f)) {
            f->given = f->out->rows[f->out->n - 1].id;
            return;
        }
        f->out->rows[f->out->n++] = *event;
    }
}

/* What the page before had no room for. The cursor may be none of this store: that is to be told before anything. */
static bool give_rest(struct follow *f)
{
    struct call *c = f->call;
    struct event_row row, *ignored;
    struct bytes next;
    size_t n;
    bool there;

    if (id_is_none(f->given))
        return true;
    if (!look(f, 1, &ignored, &n, &next) ||
        !store_look(c->store, &event_kind, shown_row(f->given), c->arena, &row, &there, &c->err))
        return false;
    if (there)
        give(f, &row);
    else
        f->given = NO_ID;
    return true;
}

/* A place is the cursor; with something left of the row before it also a dot and the last id that was given. */
static bool place_read(struct follow *f, struct bytes place)
{
    struct bytes id;

    f->cursor = place;
    f->given = NO_ID;
    return !bytes_cut(place, '.', &f->cursor, &id) || id_parse("", id, &f->given) ||
           err_set(&f->call->err, ERR_INVALID, "Not a place in the feed of events");
}

static struct bytes place_write(const struct follow *f)
{
    if (id_is_none(f->given))
        return f->cursor;
    return arena_bytesf(f->call->arena, "%.*s.%.*s", SHOW(f->cursor), SHOW(id_text(f->call->arena, "", f->given)));
}

bool event_follow(struct call *c, struct bytes type, struct bytes *place, size_t limit, struct event_list_out *out)
{
    struct follow f = { .call = c, .type = type, .limit = limit, .out = out };
    struct event_row *found;
    size_t looked = 0, n = 1;
    struct bytes next;

    f.parts = arena_array(c->arena, BUNDLE_MOST, sizeof *f.parts);
    out->rows = arena_array(c->arena, limit, sizeof *out->rows);
    out->n = 0;
    if (!place_read(&f, *place) || !give_rest(&f))
        return false;
    while (room(&f) && looked < FOLLOW_LOOK && n > 0) {
        if (!look_some(&f, &found, &n, &next))
            return false;
        f.cursor = next;
        for (size_t i = 0; i < n; i++)
            give(&f, &found[i]);
        looked += n;
    }
    *place = place_write(&f);
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

    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (in->follow)
        return follow(c, in, out);
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (in->type.p)
        q.conds[q.n_conds++] = COND("type", IS, V_TEXT(in->type));
    query_seen(c, &q);
    return event_page(c, &q, &in->page, out);
}

/* The row of an event, or the one that it is kept in. */
static bool find_row(struct call *c, struct id id, struct event_row *out)
{
    bool there;

    if (!store_look(c->store, &event_kind, id, c->arena, out, &there, &c->err))
        return false;
    return there || store_get(c->store, &event_kind, shown_row(id), c->arena, out, &c->err);
}

bool event_get(struct call *c, const struct event_get_in *in, struct event_row *out)
{
    struct event_row *parts = arena_array(c->arena, BUNDLE_MOST, sizeof *parts), row;
    struct id id;
    size_t n;

    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (!id_parse(event_kind.prefix, in->id, &id))
        return err_set(&c->err, ERR_MISSING, "No such event");
    if (!find_row(c, id, &row))
        return false;
    n = event_expand(&row, parts);
    for (size_t i = 0; i < n; i++)
        if (id_equal(parts[i].id, id) && visible(c, &parts[i])) {
            *out = parts[i];
            return true;
        }
    return err_set(&c->err, ERR_MISSING, "No such event");
}
