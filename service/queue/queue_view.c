/* service/queue/queue_view.c - the queue as people see it: see queue_view.h.
 *
 * A flow is "site/class/account/stream", so all of a site, of a class, or of an account in a class is one range of the
 * index, and the place behind it is its name with the next sign ('0' follows '/'). What is read is narrow and bounded;
 * a chunk's memory is given back before the next. */
#include "service/queue/queue_view.h"
#include "base/clock.h"
#include "base/json.h"
#include "mail/address.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/queue/queue.h"
#include "service/queue/suspension.h"

#define COUNT_PAGE  20000 /* rows that a page counts, shared among its sites */
#define COUNT_CHUNK 1000
#define ERRORS_LOOK 20  /* rows looked at from either end for the last error */
#define SITES_LOOK  300 /* sites passed over for a page of a tenant's */
#define PAGE        20
#define PAGE_MOST   100

struct view {
    struct call *call;
    char account[ID_TEXT + 1]; /* of a tenant; empty: all */
    size_t budget;             /* rows to be counted of a site */
    struct suspension *stops;
    size_t n_stops;
};

/* ---- ranges ---- */

struct range {
    struct bytes from, to; /* flow >= from, flow < to */
};

static struct range range_of_class(const struct view *v, struct bytes site, char class)
{
    struct arena *a = v->call->arena;

    if (!*v->account)
        return (struct range){ arena_bytesf(a, "%.*s/%c/", SHOW(site), class),
                               arena_bytesf(a, "%.*s/%c0", SHOW(site), class) };
    return (struct range){ arena_bytesf(a, "%.*s/%c/%s/", SHOW(site), class, v->account),
                           arena_bytesf(a, "%.*s/%c/%s0", SHOW(site), class, v->account) };
}

static struct query query_of(struct range r, const char *const *only, size_t limit)
{
    struct query q = { .kind = &delivery_kind, .index = "flow", .n_conds = 2, .limit = limit, .only = only };

    q.conds[0] = COND("flow", AT_LEAST, V_TEXT(r.from));
    q.conds[1] = COND("flow", BELOW, V_TEXT(r.to));
    return q;
}

/* The next site of any account, behind or before `at`; *site NO_BYTES: there is none. */
static bool next_site(struct view *v, struct bytes at, bool up, struct bytes *site)
{
    static const char *const only[] = { "id", "flow", "send_at", NULL };
    struct query q = { .kind = &delivery_kind, .index = "flow", .n_conds = 1, .limit = 1, .only = only };
    struct arena *a = v->call->arena;
    struct delivery_row *rows;
    void *found;
    size_t n;

    q.conds[0] = !at.p ? COND("flow", IS_NOT, V_TEXT(NO_BYTES))
                 : up  ? COND("flow", BELOW, V_TEXT(arena_bytesf(a, "%.*s/", SHOW(at))))
                       : COND("flow", AT_LEAST, V_TEXT(arena_bytesf(a, "%.*s0", SHOW(at))));
    q.descending = up;
    *site = NO_BYTES;
    if (!store_find(v->call->store, &q, a, &found, &n, &v->call->err))
        return false;
    rows = found;
    if (n)
        *site = bytes_head(rows[0].flow, bytes_find(rows[0].flow, '/'));
    return true;
}

/* ---- one site ---- */

static void note_row(struct queue_site *s, const struct delivery_row *d)
{
    int64_t at = id_time(d->id); /* when it was accepted, as far as the index tells */

    if (!s->oldest_at || at < s->oldest_at)
        s->oldest_at = at;
    if (!s->next_at || d->send_at < s->next_at)
        s->next_at = d->send_at;
}

/* Counts a class, within what is left of the budget. */
static bool count_class(struct view *v, struct queue_site *s, char class, int64_t *count, size_t *left)
{
    static const char *const only[] = { "id", "flow", "send_at", NULL };
    struct call *c = v->call;
    struct query q = query_of(range_of_class(v, s->site, class), only, COUNT_CHUNK);
    struct buf place;
    size_t n = COUNT_CHUNK;
    bool ok = true;

    buf_init(&place, 8192);
    while (ok && n == COUNT_CHUNK && *left) {
        struct arena_mark clean = arena_mark(c->arena);
        void *found = NULL;

        q.limit = *left < COUNT_CHUNK ? *left : COUNT_CHUNK;
        q.after = place.n ? buf_bytes(&place) : NO_BYTES;
        ok = store_find(c->store, &q, c->arena, &found, &n, &c->err);
        for (size_t i = 0; ok && i < n; i++)
            note_row(s, (const struct delivery_row *)found + i);
        if (ok && n) {
            buf_reset(&place);
            buf_add(&place, store_cursor(&q, (const struct delivery_row *)found + n - 1, c->arena));
            *count += (int64_t)n;
            *left -= n;
        }
        n = ok && n == q.limit ? COUNT_CHUNK : 0;
        arena_rewind(c->arena, clean);
    }
    buf_clear(&place);
    return ok;
}

/* The latest of what some rows of the class say, from either end: new mail stands before what is put off. */
static bool find_error(struct view *v, struct queue_site *s, char class, bool descending)
{
    static const char *const only[] = { "id", "flow", "send_at", "status", "last", NULL };
    struct query q = query_of(range_of_class(v, s->site, class), only, ERRORS_LOOK);
    struct delivery_row *rows;
    void *found;
    size_t n;

    q.descending = descending;
    if (!store_find(v->call->store, &q, v->call->arena, &found, &n, &v->call->err))
        return false;
    rows = found;
    for (size_t i = 0; i < n; i++) {
        struct bytes at = json_part(rows[i].last, "at"), known = json_part(s->last_error, "at");

        if (bytes_equal(rows[i].status, BYTES("deferred")) && at.p && (!known.p || bytes_compare(at, known) > 0))
            s->last_error = rows[i].last;
    }
    return true;
}

static void add_suspensions(struct view *v, struct queue_site *s)
{
    struct suspend_query q = { .site = s->site, .source = BYTES("default") };
    struct buf out;
    struct jw w;

    buf_init(&out, 65536);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < v->n_stops; i++)
        if (suspension_matches(&v->stops[i], &q))
            jw_id(&w, "sus", v->stops[i].id);
    jw_array_end(&w);
    s->suspensions = out.overflowed ? BYTES("[]") : arena_copy(v->call->arena, buf_bytes(&out));
    buf_clear(&out);
}

/* False for an error; s->high and the others are 0 when nothing waits. */
static bool summarize(struct view *v, struct bytes site, struct queue_site *s)
{
    size_t left = v->budget;
    bool ok;

    *s = (struct queue_site){ .site = site };
    ok = count_class(v, s, QUEUE_HURRIED, &s->high, &left) && count_class(v, s, QUEUE_NORMAL, &s->normal, &left) &&
         count_class(v, s, QUEUE_BULK, &s->bulk, &left);
    s->exact = left > 0;
    for (int i = 0; ok && i < 6 && s->high + s->normal + s->bulk; i++)
        ok = find_error(v, s, "hnl"[i / 2], i % 2);
    if (ok)
        add_suspensions(v, s);
    return ok;
}

static bool is_empty(const struct queue_site *s)
{
    return s->high + s->normal + s->bulk == 0;
}

/* A tenant's own, by three look-ups and not by counting. */
static bool has_rows(struct view *v, struct bytes site, bool *yes)
{
    static const char *const only[] = { "id", "flow", "send_at", NULL };

    *yes = !*v->account;
    for (int i = 0; !*yes && i < 3; i++) {
        struct query q = query_of(range_of_class(v, site, "hnl"[i]), only, 1);
        void *found;
        size_t n;

        if (!store_find(v->call->store, &q, v->call->arena, &found, &n, &v->call->err))
            return false;
        *yes = n > 0;
    }
    return true;
}

/* ---- paths ---- */

static void add_paths(struct view *v, struct queue_site *rows, size_t n)
{
    struct call *c = v->call;
    struct bytes *sites = arena_array(c->arena, n ? n : 1, sizeof *sites);
    struct bytes *paths = arena_array(c->arena, n ? n : 1, sizeof *paths);

    for (size_t i = 0; i < n; i++)
        sites[i] = rows[i].site;
    queue_paths(c->svc, sites, n, c->arena, paths);
    for (size_t i = 0; i < n; i++)
        rows[i].path = paths[i];
}

/* ---- the API ---- */

static void show_depth(struct jw *w, const void *row)
{
    const struct queue_site *s = row;

    jw_object(w);
    jw_key_int(w, "total", s->high + s->normal + s->bulk);
    jw_key_int(w, "high", s->high);
    jw_key_int(w, "normal", s->normal);
    jw_key_int(w, "bulk", s->bulk);
    jw_key_bool(w, "exact", s->exact);
    jw_object_end(w);
}

static const struct member queue_site_list_[] = {
    { .name = "id", .type = MEMBER_TEXT, .offset = offsetof(struct queue_site, site) },
    MEMBER(TEXT, queue_site, site, .column = true),
    { .name = "depth", .type = MEMBER_OWN, .show = show_depth, .column = true },
    MEMBER(TIME, queue_site, oldest_at, .column = true),
    MEMBER(TIME, queue_site, next_at, .column = true),
    MEMBER(JSON, queue_site, last_error),
    MEMBER(JSON, queue_site, path),
    MEMBER(JSON, queue_site, suspensions, .column = true),
};
MEMBERS(queue_site, .object = "queue_site", .path = "/v1/queue/");

static bool view_begin(struct call *c, struct view *v)
{
    *v = (struct view){ .call = c, .budget = COUNT_PAGE };
    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (c->who->test || c->who->n_domain_ids)
        return err_set(&c->err, ERR_SCOPE, "A test key, or one that is bound to domains, does not see the queue");
    if (!call_oversees(c))
        id_format("", c->account, v->account);
    suspensions_copy(c->svc, c->arena, &v->stops, &v->n_stops);
    return true;
}

static void turn(struct queue_site *rows, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct queue_site spare = rows[i];

        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = spare;
    }
}

/* Fills the page; *at: the last site that was looked at, *end: there is none behind it. */
static bool collect(struct view *v, struct queue_list_out *out, size_t limit, bool up, struct bytes *at, bool *end)
{
    size_t looks = 0;

    *end = false;
    while (out->n < limit && looks++ < SITES_LOOK) {
        struct queue_site *s = &out->rows[out->n];
        struct bytes site;
        bool some;

        if (!next_site(v, *at, up, &site))
            return false;
        *end = !site.p;
        if (*end)
            return true;
        *at = site;
        if (!has_rows(v, site, &some) || (some && !summarize(v, site, s)))
            return false;
        out->n += some && !is_empty(s);
    }
    return true;
}

/* Is there more behind a page that is full? One look-up tells; of a tenant's it may be others'. */
static bool more_behind(struct view *v, struct bytes at, bool up, bool *more)
{
    struct bytes site;

    if (!next_site(v, at, up, &site))
        return false;
    *more = site.p != NULL;
    return true;
}

bool queue_list(struct call *c, const struct queue_list_in *in, struct queue_list_out *out)
{
    size_t limit = in->page.limit ? (size_t)in->page.limit : PAGE;
    bool up = in->page.before.p, end, more = false;
    struct bytes at = up ? in->page.before : in->page.after;
    struct view v;

    *out = (struct queue_list_out){ 0 };
    if (!view_begin(c, &v))
        return false;
    if (in->page.after.p && in->page.before.p)
        call_fault(c, "/before", "conflicting", "Only one of after and before can be given");
    if (limit > PAGE_MOST)
        call_fault(c, "/limit", "out_of_range", "limit is from 1 to %d", PAGE_MOST);
    if (!call_check(c))
        return false;
    v.budget = COUNT_PAGE / limit;
    out->rows = arena_array(c->arena, limit + 1, sizeof *out->rows);
    if (!collect(&v, out, limit, up, &at, &end) || (!end && !more_behind(&v, at, up, &more)))
        return false;
    if (up)
        turn(out->rows, out->n);
    out->page.has_more = up ? out->n > 0 : more;
    if (up ? out->n > 0 : more)
        out->page.next = up ? out->rows[out->n - 1].site : at;
    if (up ? more : in->page.after.p && out->n)
        out->page.previous = up ? at : out->rows[0].site;
    add_paths(&v, out->rows, out->n);
    return true;
}

bool queue_get(struct call *c, const struct queue_get_in *in, struct queue_site *out)
{
    struct err ignored = { 0 };
    struct bytes site;
    struct view v;

    if (!view_begin(c, &v))
        return false;
    if (!domain_normalize(in->site, c->arena, &site, &ignored))
        site = in->site;
    if (!summarize(&v, site, out))
        return false;
    if (is_empty(out))
        return err_set(&c->err, ERR_MISSING, "Nothing waits for it");
    add_paths(&v, out, 1);
    return true;
}
