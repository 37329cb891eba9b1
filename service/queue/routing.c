/* service/queue/routing.c - snapshots of all routes, sorted (mail_route.h). Whoever holds one keeps it; the next one is
 * made beside it by whoever first finds it old.
 */
#include "service/queue/routing.h"
#include "service/core/state.h"

#define RETRY_MS     1000
#define ROUTES_ARENA ((size_t)256 * 1024 * 1024)
#define ROUTES_PAGE  500

struct routes {
    struct arena *arena;
    struct mail_route *all;
    size_t n;
    uint64_t version; /* the changes that are in it */
    size_t users;     /* under the mutex; the table's own included */
    pthread_mutex_t *mutex;
};

struct routing {
    pthread_mutex_t mutex;
    struct fiber_mutex *lane; /* of who reads */
    struct routes *now;       /* NULL: not read yet */
    uint64_t changes;         /* that were heard of */
    int64_t retry_at;         /* it could not be read: not before that */
};

static struct routes *routes_new(struct routing *r)
{
    struct routes *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: routes");
    s->arena = arena_new(ROUTES_ARENA);
    s->mutex = &r->mutex;
    s->users = 1;
    return s;
}

struct routing *routing_new(void)
{
    struct routing *r = calloc(1, sizeof *r);

    if (!r)
        die("out of memory: routes");
    pthread_mutex_init(&r->mutex, NULL);
    r->lane = fiber_mutex_new();
    r->changes = 1;
    return r;
}

void routes_leave(struct routes **r)
{
    struct routes *s = *r;
    bool last;

    *r = NULL;
    if (!s)
        return;
    pthread_mutex_lock(s->mutex);
    last = --s->users == 0;
    pthread_mutex_unlock(s->mutex);
    if (!last)
        return;
    arena_free(&s->arena);
    free(s);
}

void routing_free(struct routing **out)
{
    struct routing *r = *out;

    if (!r)
        return;
    routes_leave(&r->now);
    fiber_mutex_free(&r->lane);
    pthread_mutex_destroy(&r->mutex);
    free(r);
    *out = NULL;
}

/* ---- reading ---- */

static void read_hosts(struct bytes json, struct arena *a, struct mail_route *out)
{
    struct json_object *list = NULL;
    struct err ignored = { 0 };

    if (json.p && json_read(json, &list, &ignored))
        out->hosts = json_texts(a, list, &out->n_hosts);
    json_object_put(list);
}

static void read_row(const struct service *svc, const struct route_row *row, struct arena *a, struct mail_route *out)
{
    *out = (struct mail_route){ .id = row->id,
                                .account = row->account_id,
                                .position = row->position,
                                .version = row->version,
                                .domain = row->domain,
                                .sender_domain = row->sender_domain,
                                .tag = row->tag,
                                .source = row->source,
                                .class = queue_class_read(row->class),
                                .port = (int)row->port,
                                .mx_lookup = bytes_equal(row->lookup, BYTES("mx")),
                                .insecure_auth = row->insecure_auth,
                                .auth_user = row->username,
                                .auth_sealed = row->secret,
                                .private_net = row->private };
    if (id_equal(row->account_id, svc->operator_account))
        out->account = NO_ID;
    route_way_read(row->type, &out->way);
    route_tls_read(row->tls, &out->tls);
    read_hosts(row->hosts, a, out);
}

static void add_rows(struct service *svc, struct routes *s, const struct route_row *rows, size_t n)
{
    struct mail_route *all = arena_array(s->arena, s->n + n + 1, sizeof *all);

    if (s->n)
        memcpy(all, s->all, s->n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        read_row(svc, &rows[i], s->arena, &all[s->n + i]);
    s->all = all;
    s->n += n;
}

static bool read_all(struct service *svc, struct routes *s, struct err *e)
{
    struct query q = { .kind = &route_kind, .limit = ROUTES_PAGE };
    struct route_row *rows = NULL;
    size_t n = ROUTES_PAGE;
    void *found;

    while (n == ROUTES_PAGE) {
        if (!store_find(svc->store, &q, s->arena, &found, &n, e))
            return false;
        rows = found;
        add_rows(svc, s, rows, n);
        if (n)
            q.after = store_cursor(&q, &rows[n - 1], s->arena);
    }
    mail_routes_sort(s->all, s->n);
    return arena_check(s->arena, e);
}

/* ---- what is known ---- */

static bool is_to_be_read(struct routing *r)
{
    bool yes;

    pthread_mutex_lock(&r->mutex);
    yes = (!r->now || r->now->version != r->changes) && clock_monotonic() >= r->retry_at;
    pthread_mutex_unlock(&r->mutex);
    return yes;
}

static void read_anew(struct service *svc, struct routing *r)
{
    struct routes *old = routes_new(r), *next = old;
    struct err why = { 0 };
    bool ok;

    pthread_mutex_lock(&r->mutex);
    next->version = r->changes;
    pthread_mutex_unlock(&r->mutex);
    ok = read_all(svc, next, &why);
    if (!ok)
        log_warn("routes", LOG_TEXT("result", "not read"), LOG_TEXT("error", why.message),
                 LOG_TEXT("where", why.where));
    pthread_mutex_lock(&r->mutex);
    if (ok) {
        old = r->now;
        r->now = next;
    } else if (next->version == r->changes) {
        r->retry_at = clock_monotonic() + RETRY_MS;
    }
    pthread_mutex_unlock(&r->mutex);
    routes_leave(&old);
}

struct routes *routes_now(struct service *svc)
{
    struct routing *r = svc->routing;
    struct routes *s;

    if (is_to_be_read(r)) {
        fiber_mutex_lock(r->lane);
        if (is_to_be_read(r)) /* whoever was before us may have read it */
            read_anew(svc, r);
        fiber_mutex_unlock(r->lane);
    }
    pthread_mutex_lock(&r->mutex);
    s = r->now;
    if (s)
        s->users++;
    pthread_mutex_unlock(&r->mutex);
    return s;
}

void routing_changed(struct service *svc)
{
    struct routing *r = svc->routing;

    pthread_mutex_lock(&r->mutex);
    r->changes++;
    r->retry_at = 0;
    pthread_mutex_unlock(&r->mutex);
}

/* ---- looking ---- */

uint64_t routes_version(const struct routes *r)
{
    return r->version;
}

const struct mail_route *routes_find(const struct routes *r, const struct route_query *q)
{
    return mail_route_find(r->all, r->n, q);
}

const struct mail_route *routes_of_flow(const struct routes *r, const struct route_query *q)
{
    return mail_route_of_flow(r->all, r->n, q);
}

const struct mail_route *routes_by_id(const struct routes *r, struct id account, struct id id)
{
    return mail_route_by_id(r->all, r->n, account, id);
}

bool routes_ask_message(const struct routes *r, struct id account)
{
    return mail_routes_ask_message(r->all, r->n, account);
}

/* ---- a message ---- */

/* Of the author; of what has none in its row (it came in, and goes on) the envelope's. */
static struct bytes sender_domain(const struct message_row *m, struct arena *a)
{
    struct json_object *tree = NULL;
    struct err ignored = { 0 };
    struct bytes email = NO_BYTES;

    if (m->people.p && json_read(m->people, &tree, &ignored))
        email = arena_copy(a, json_text(json_member(tree, "from"), "email"));
    json_object_put(tree);
    if (!email.n)
        email = m->envelope_from;
    return arena_lower(a, bytes_from(email, bytes_find_last(email, '@') + 1));
}

static void read_tags(const struct message_row *m, struct arena *a, struct route_query *out)
{
    struct json_object *list = NULL;
    struct err ignored = { 0 };
    struct bytes *tags;
    size_t n;

    if (!m->tags.p || !json_read(m->tags, &list, &ignored))
        return;
    n = json_object_array_length(list);
    tags = arena_array(a, n ? n : 1, sizeof *tags);
    for (size_t i = 0; i < n; i++) {
        struct json_object *tag = json_object_array_get_idx(list, i);

        tags[i] = arena_bytesf(a, "%.*s=%.*s", SHOW(json_text(tag, "name")), SHOW(json_text(tag, "value")));
    }
    json_object_put(list);
    out->tags = tags;
    out->n_tags = n;
}

static bool read_flow(struct bytes flow, struct route_query *out, struct flow_name *name)
{
    if (!flow_read(flow, name))
        return false;
    *out = (struct route_query){ .domain = name->site, .class = name->class };
    return id_parse("", name->account, &out->account);
}

bool route_query_of(const struct routes *r, const struct message_row *m, struct bytes flow, struct arena *a,
                    struct route_query *out)
{
    struct flow_name name;

    if (!read_flow(flow, out, &name))
        return false;
    if (!m || !routes_ask_message(r, out->account))
        return true;
    out->source = m->source;
    out->sender_domain = sender_domain(m, a);
    read_tags(m, a, out);
    return true;
}

struct bytes routes_flow(const struct routes *r, const struct message_row *m, struct bytes flow, struct arena *a)
{
    const struct mail_route *found;
    struct route_query q;

    if (!route_query_of(r, m, flow, a, &q))
        return flow;
    found = routes_find(r, &q);
    return flow_by(a, flow, found && mail_route_asks_message(found) ? found->id : NO_ID);
}
