/* service/identity/stream.c - streams as rows: made, changed, paused and removed. Whoever knows them by heart (sends,
 * the engine) hears of each change by a nudge; the number of streams is counted in the account, so that two that are
 * made at once do not pass the most. */
#include "service/core/member.h"
#include "service/core/nudge.h"
#include "service/core/path_name.h"
#include "service/core/state.h"
#include "service/identity/stream_private.h"

#define NAME_MOST   200
#define EXPIRES_MIN 60
#define EXPIRES_MAX (30 * 86400)

#define DEFAULT_SLUG BYTES("transactional")
#define TAKEN        "Another stream of the account has this slug"

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such stream");
}

struct id stream_default_id(struct id account)
{
    return account;
}

bool stream_is_broadcast(const struct stream_row *row)
{
    return bytes_equal(row->kind, BYTES("broadcast"));
}

static bool is_default(const struct stream_row *row)
{
    return id_equal(row->id, stream_default_id(row->account_id));
}

/* ---- found, or made ---- */

static struct stream_row fresh(const struct call *c, struct id id)
{
    return (struct stream_row){ .id = id,
                                .account_id = c->account,
                                .kind = BYTES("transactional"),
                                .unsubscribe = BYTES("none"),
                                .created_at = clock_wall() };
}

/* Of two that make it at once the second finds it there. */
static bool make_default(struct call *c, struct stream_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = fresh(c, stream_default_id(c->account));
    out->name = out->slug = DEFAULT_SLUG;
    out->created_at = id_time(c->account);
    batch_insert(b, &stream_kind, out, NULL, 0);
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    if (c->err.code != ERR_CONFLICT)
        return false;
    c->err = (struct err){ 0 };
    return store_get(c->store, &stream_kind, out->id, c->arena, out, &c->err);
}

static bool find_default(struct call *c, struct stream_row *out)
{
    bool there;

    return store_look(c->store, &stream_kind, stream_default_id(c->account), c->arena, out, &there, &c->err) &&
           (there || make_default(c, out));
}

bool stream_read(struct call *c, struct bytes name, struct stream_row *out)
{
    const struct value values[] = { V_ID(c->account), V_TEXT(name) };
    struct id id;

    if (!find_default(c, out))
        return false;
    if (!name.p || bytes_equal(name, out->slug))
        return true;
    if (!id_parse(stream_kind.prefix, name, &id))
        return store_get_by(c->store, &stream_kind, "slug", values, 2, c->arena, out, &c->err) ||
               (call_was_missing(c) && missing(c));
    return id_equal(id, out->id) || (store_get(c->store, &stream_kind, id, c->arena, out, &c->err) &&
                                     (id_equal(out->account_id, c->account) || missing(c)));
}

/* A stream is the whole account's. */
static bool may(struct call *c)
{
    return call_may(c, SCOPE_STREAMS) &&
           (c->reads || !c->who->n_domain_ids ||
            err_set(&c->err, ERR_SCOPE, "A key that is bound to domains changes no streams"));
}

bool stream_find(struct call *c, struct bytes name, void *out)
{
    return may(c) && stream_read(c, name, out);
}

/* ---- the members ---- */

static bool rule_slug(struct call *c, const void *given, void *row)
{
    struct bytes slug = ((const struct stream_row *)given)->slug;

    ((struct stream_row *)row)->slug = slug;
    if (!path_name_ok(slug, stream_kind.prefix))
        call_fault(c, "/slug", "invalid_slug", PATH_NAME_RULE);
    return true;
}

static bool rule_kind(struct call *c, const void *given, void *row)
{
    struct bytes kind = ((const struct stream_row *)given)->kind;

    ((struct stream_row *)row)->kind = kind;
    if (!bytes_equal(kind, BYTES("transactional")) && !bytes_equal(kind, BYTES("broadcast")))
        call_fault(c, "/kind", "invalid_value", "transactional or broadcast");
    return true;
}

static bool rule_unsubscribe(struct call *c, const void *given, void *row)
{
    struct bytes how = ((const struct stream_row *)given)->unsubscribe;

    ((struct stream_row *)row)->unsubscribe = how;
    if (!bytes_equal(how, BYTES("none")) && !bytes_equal(how, BYTES("one_click")))
        call_fault(c, "/unsubscribe", "invalid_value", "none or one_click");
    return true;
}

static bool is_in(struct json_object *given, const char *name, struct bytes word)
{
    struct bytes all = json_text(given, name);

    return bytes_equal(all, word) || bytes_equal(all, BYTES("both"));
}

struct stream_tracking stream_tracking_of(const struct stream_row *row)
{
    struct stream_tracking out = { 0 };
    struct json_object *given = NULL;
    struct err ignored = { 0 };

    if (!row->tracking.p || !json_read(row->tracking, &given, &ignored))
        return out;
    out.opens = json_object_get_boolean(json_member(given, "opens"));
    out.clicks_html = is_in(given, "clicks", BYTES("html"));
    out.clicks_text = is_in(given, "clicks", BYTES("text"));
    json_object_put(given);
    return out;
}

static struct bytes tracking_json(struct call *c, const struct stream_tracking *t)
{
    return arena_bytesf(c->arena, "{\"opens\":%s,\"clicks\":\"%s\"}", t->opens ? "true" : "false",
                        t->clicks_html && t->clicks_text ? "both"
                        : t->clicks_html                 ? "html"
                        : t->clicks_text                 ? "text"
                                                         : "none");
}

/* What is not named of it stays (RFC 7396). */
static bool rule_tracking(struct call *c, const void *given, void *out)
{
    struct bytes text = ((const struct stream_row *)given)->tracking;
    struct stream_row *row = out;
    struct stream_tracking t = stream_tracking_of(row);
    struct json_object *named = NULL;

    if (!text.p) {
        row->tracking = NO_BYTES;
        return true;
    }
    if (!json_read(text, &named, &c->err))
        return false;
    if (json_object_object_get_ex(named, "opens", NULL))
        t.opens = json_object_get_boolean(json_member(named, "opens"));
    if (json_object_object_get_ex(named, "clicks", NULL)) {
        t.clicks_html = is_in(named, "clicks", BYTES("html"));
        t.clicks_text = is_in(named, "clicks", BYTES("text"));
    }
    json_object_put(named);
    row->tracking = tracking_json(c, &t);
    return true;
}

/* There are no pools yet. */
static bool rule_pool(struct call *c, const void *given, void *row)
{
    struct id pool = ((const struct stream_row *)given)->pool_id;

    ((struct stream_row *)row)->pool_id = pool;
    if (!id_is_none(pool))
        call_fault(c, "/pool_id", "not_found", "No such pool");
    return true;
}

static bool rule_expires_after(struct call *c, const void *given, void *row)
{
    int64_t seconds = ((const struct stream_row *)given)->expires_after;

    ((struct stream_row *)row)->expires_after = seconds;
    if (seconds && (seconds < EXPIRES_MIN || seconds > EXPIRES_MAX))
        call_fault(c, "/expires_after", "out_of_range", "%d to %d seconds", EXPIRES_MIN, EXPIRES_MAX);
    return true;
}

static void show_number(struct jw *w, int64_t n)
{
    if (n)
        jw_int(w, n);
    else
        jw_null(w);
}

static void show_pace(struct jw *w, const void *row)
{
    show_number(w, ((const struct stream_row *)row)->recipients_per_second);
}

static bool rule_pace(struct call *c, const void *given, void *row)
{
    (void)c;
    ((struct stream_row *)row)->recipients_per_second = ((const struct stream_row *)given)->recipients_per_second;
    return true;
}

static void read_pace(struct json_object *value, struct arena *a, void *given)
{
    (void)a;
    ((struct stream_row *)given)->recipients_per_second = json_object_get_int64(value);
}

static void show_expires_after(struct jw *w, const void *row)
{
    show_number(w, ((const struct stream_row *)row)->expires_after);
}

static void read_expires_after(struct json_object *value, struct arena *a, void *given)
{
    (void)a;
    ((struct stream_row *)given)->expires_after = json_object_get_int64(value);
}

static void show_default(struct jw *w, const void *row)
{
    jw_bool(w, is_default(row));
}

static void show_paused(struct jw *w, const void *row)
{
    jw_bool(w, ((const struct stream_row *)row)->paused_at != 0);
}

static const struct member stream_list_[] = {
    MEMBER(ID, stream_row, id, .prefix = "str", .column = true),
    MEMBER(ID, stream_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, stream_row, name, .given = MADE | CHANGED, .most = NAME_MOST),
    MEMBER(TEXT, stream_row, slug, .given = MADE | CHANGED, .rule = rule_slug, .column = true),
    MEMBER(TEXT, stream_row, kind, .given = MADE, .rule = rule_kind, .column = true),
    { .name = "default", .type = MEMBER_OWN, .show = show_default },
    MEMBER(JSON, stream_row, tracking, .given = MADE | CHANGED, .rule = rule_tracking, .merged = true,
           .otherwise = "{\"opens\":false,\"clicks\":\"none\"}"),
    MEMBER(TEXT, stream_row, unsubscribe, .given = MADE | CHANGED, .rule = rule_unsubscribe, .column = true),
    MEMBER(ID, stream_row, pool_id, .prefix = "pol", .given = MADE | CHANGED, .rule = rule_pool),
    MEMBER(OWN, stream_row, recipients_per_second, .given = MADE | CHANGED, .rule = rule_pace, .show = show_pace,
           .read = read_pace),
    MEMBER(OWN, stream_row, expires_after, .given = MADE | CHANGED, .rule = rule_expires_after,
           .show = show_expires_after, .read = read_expires_after),
    { .name = "paused", .type = MEMBER_OWN, .show = show_paused, .column = true },
    MEMBER(TIME, stream_row, created_at),
};
MEMBERS(stream, .object = "stream", .path = "/v1/streams/", .kind = &stream_kind);

/* A broadcast without a way out is none. */
static bool check_whole(struct call *c, const struct stream_row *row)
{
    if (!row->slug.p)
        call_fault(c, "/slug", "required", "A stream has a slug");
    if (stream_is_broadcast(row) && !bytes_equal(row->unsubscribe, BYTES("one_click")))
        call_fault(c, "/unsubscribe", "not_allowed", "Who gets a broadcast can unsubscribe: one_click");
    return call_check(c);
}

/* ---- the resource ---- */

bool stream_list(struct call *c, const struct stream_list_in *in, struct stream_list_out *out)
{
    struct query q = { .kind = &stream_kind, .index = "account", .n_conds = 1 };
    struct stream_row first;

    *out = (struct stream_list_out){ 0 };
    if (!may(c) || !find_default(c, &first))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool stream_get(struct call *c, const struct stream_get_in *in, struct stream_row *out)
{
    return stream_find(c, in->id, out);
}

static void count_in(struct call *c, struct batch *b, int64_t n)
{
    struct set *sets = arena_alloc(c->arena, sizeof *sets);

    *sets = n > 0 ? ADD_BOUND("streams", n, NULL, PARAM_INT(stream, streams_max) - 1) : ADD("streams", n);
    batch_update(b, &account_kind, c->account, NULL, 0, sets, 1);
}

static void nudge(struct call *c, struct batch *b)
{
    nudge_add(b, c->arena, &stream_kind);
}

static bool changed(struct call *c, bool ok)
{
    if (ok)
        streams_changed(c->svc);
    return ok;
}

/* What two streams must not share, or that there are too many: told as a fault. */
static bool refused(struct call *c, const struct batch *b)
{
    enum batch_fault fault = batch_failure(b).fault;

    if (c->err.code != ERR_CONFLICT)
        return false;
    if (fault == FAULT_UNIQUE)
        return err_again(c, ERR_CONFLICT, TAKEN);
    if (fault != FAULT_BOUND)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "", "limit_reached", "An account has at most %lld streams",
               (long long)PARAM_INT(stream, streams_max));
    return call_check(c);
}

bool stream_create(struct call *c, const struct stream_create_in *in, struct stream_row *out)
{
    struct batch *b = batch_new(c->arena);
    struct stream_row first;

    if (!may(c) || !find_default(c, &first))
        return false;
    *out = fresh(c, id_new());
    if (bytes_equal(in->given.kind, BYTES("broadcast")))
        out->unsubscribe = BYTES("one_click");
    if (!members_apply(c, &stream_members, &in->given, in->named, out) || !check_whole(c, out))
        return false;
    if (!out->name.n)
        out->name = out->slug;
    batch_insert(b, &stream_kind, out, NULL, 0);
    count_in(c, b, 1);
    nudge(c, b);
    return changed(c, call_commit(c, b, out, out->id) || refused(c, b));
}

static bool finish(struct call *c, const void *given, uint64_t named, void *row)
{
    (void)given;
    (void)named;
    return check_whole(c, row);
}

bool stream_update(struct call *c, const struct stream_update_in *in, struct stream_row *out)
{
    struct patch patch = { .members = &stream_members,
                           .given = &in->given,
                           .named = in->named,
                           .id = in->id,
                           .find = stream_find,
                           .finish = finish,
                           .also = nudge };

    return changed(c,
                   members_patch(c, &patch, out) || (c->err.code == ERR_CONFLICT && err_again(c, ERR_CONFLICT, TAKEN)));
}

bool stream_delete(struct call *c, const struct stream_delete_in *in, void *out)
{
    const struct cond going = COND("paused_at", IS, V_TIME(0));
    struct batch *b = batch_new(c->arena);
    struct stream_row row;

    (void)out;
    if (!stream_find(c, in->id, &row))
        return false;
    if (is_default(&row))
        return err_set(&c->err, ERR_IN_USE, "The default stream stays");
    if (row.paused_at)
        return err_set(&c->err, ERR_IN_USE, "It is paused, and mail of it may wait: resume it first");
    batch_delete(b, &stream_kind, row.id, &going, 1);
    count_in(c, b, -1);
    nudge(c, b);
    return changed(c, call_commit(c, b, NULL, row.id));
}
