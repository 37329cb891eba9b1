/* service/queue/delivery_show.c - a delivery as it is shown: its status of the moment, and why it waits.
 *
 * The reasons are looked for from the nearest: it is held; something is suspended; the path to its hosts is shut; its
 * next attempt is later; it is due, and others are before it. Nothing of that is written in its row. */
#include "base/json.h"
#include "service/core/state.h"
#include "service/queue/delivery.h"
#include "service/queue/ending.h"
#include "service/queue/flow.h"
#include "service/queue/queue.h"
#include "service/queue/suspension.h"

/* What is in force while a page is made. */
struct in_force {
    struct call *call;
    struct suspension *list;
    size_t n;
    int64_t now;
};

static struct in_force in_force(struct call *c)
{
    struct in_force x = { .call = c, .now = store_now(c->store) };

    suspensions_copy(c->svc, c->arena, &x.list, &x.n);
    return x;
}

static bool has_tags(const struct in_force *x, struct id account)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].scope == SUSPEND_TAG && id_equal(x->list[i].account, account))
            return true;
    return false;
}

static const struct suspension *suspended_here(const struct in_force *x, const struct delivery_row *d)
{
    for (size_t i = 0; i < x->n; i++)
        if (id_is_none(x->list[i].id) && x->list[i].scope == SUSPEND_ACCOUNT &&
            id_equal(x->list[i].account, d->account_id))
            return &x->list[i];
    return NULL;
}

/* The one that keeps it, as far as its own row, its message and its path tell. */
static const struct suspension *suspended(const struct in_force *x, const struct delivery_row *d)
{
    struct suspend_query q = { .site = d->site, .account = d->account_id, .source = BYTES("default") };
    struct flow_name f;
    struct message_row m;
    struct err ignored = { 0 };
    const struct suspension *s;
    bool there;

    if (!x->n)
        return NULL;
    if (!d->flow.p) /* what is delivered here is stopped by its account alone */
        return suspended_here(x, d);
    if (flow_read(d->flow, &f) && f.stream.n > 1)
        q.stream = arena_bytesf(x->call->arena, "%s_%.*s", stream_kind.prefix, SHOW(f.stream));
    if (has_tags(x, d->account_id) &&
        store_look(x->call->store, &message_kind, d->message_id, x->call->arena, &m, &there, &ignored) && there)
        q.tags = m.tags;
    s = suspension_match(x->list, x->n, &q, x->now);
    return s && !s->slow ? s : NULL;
}

/* A path that is not open keeps what is due. */
static bool is_shut(struct bytes path)
{
    struct bytes state = json_part(path, "state");

    return state.p && !bytes_equal(state, BYTES("\"open\"")) && !bytes_equal(state, BYTES("\"probe\""));
}

/* Why it is not done yet, and until when. `path`: JSON, or NO_BYTES. */
static struct bytes waiting_of(const struct in_force *x, const struct delivery_row *d, struct bytes path)
{
    bool held = bytes_equal(d->status, BYTES("held"));
    const struct suspension *s = suspended(x, d);
    int64_t next = d->send_at ? d->send_at : d->due_at;
    bool shut = !held && !s && next <= x->now && is_shut(path);
    struct bytes json;
    struct buf out;
    struct jw w;

    if (d->final_at || d->lease_until > x->now)
        return NO_BYTES;
    next = held || next <= x->now ? 0 : next;
    buf_init(&out, 8192);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "reason",
                held                ? BYTES("held")
                : delivery_waits(d) ? BYTES("scheduled")
                : s                 ? BYTES("suspended")
                : shut              ? BYTES("path")
                : next              ? BYTES("retry")
                                    : BYTES("turn"));
    if (shut)
        jw_key_raw(&w, "until", json_part(path, "until"));
    else
        jw_key_time(&w, "until", s ? s->expires_at : next);
    jw_key_text(&w, "text", s ? s->reason : d->held_why);
    jw_key_id(&w, "suspension_id", "sus", s ? s->id : d->held_by);
    jw_object_end(&w);
    json = arena_copy(x->call->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

/* The sender sees the entry only once it is there, and one time of the next attempt: local work's, or that of mail that
 * leaves. */
static void show(const struct in_force *x, const struct delivery_row *row, struct bytes path, struct delivery_view *out)
{
    struct delivery_row *d = &out->row;

    *out = (struct delivery_view){ .row = *row, .waiting = waiting_of(x, row, path) };
    if (d->flow.p && d->lease_until > x->now) /* nothing is written for it: a lease that ends says so */
        d->status = BYTES("sending");
    if (!d->due_at)
        d->due_at = d->send_at;
    if (!bytes_equal(d->status, BYTES("delivered")))
        d->entry_id = NO_ID;
}

/* The states of the paths of all that wait, by one question. */
static struct bytes *paths_of(struct call *c, const struct delivery_row *rows, size_t n)
{
    struct bytes *sites = arena_array(c->arena, n ? n : 1, sizeof *sites);
    struct bytes *paths = arena_array(c->arena, n ? n : 1, sizeof *paths);
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        sites[i] = rows[i].flow.p ? rows[i].site : BYTES("");
        any = any || rows[i].flow.p;
    }
    if (any)
        queue_paths(c->svc, sites, n, c->arena, paths);
    return paths;
}

struct delivery_view *delivery_show_all(struct call *c, const struct delivery_row *rows, size_t n)
{
    struct delivery_view *out = arena_array(c->arena, n ? n : 1, sizeof *out);
    struct bytes *paths = paths_of(c, rows, n);
    struct in_force x = in_force(c);

    for (size_t i = 0; i < n; i++)
        show(&x, &rows[i], paths[i], &out[i]);
    return out;
}

void delivery_show(struct call *c, const struct delivery_row *row, struct delivery_view *out)
{
    *out = *delivery_show_all(c, row, 1);
}
