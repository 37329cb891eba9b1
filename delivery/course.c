/* delivery/course.c - which way mail takes: the routes of accounts and operator, and behind them the one of the
 * parameters. Mail of one flow goes one way, unless a route looks at the message itself (its sender, a tag): such mail
 * has a flow of its own (service/queue/flow.h), to which it is moved when the routes have changed. */
#include "base/params.h"
#include "delivery/engine_private.h"
#include "delivery/hash.h"

static void add_relay(struct arena *a, struct mail_route *r)
{
    struct bytes rest = PARAM_TEXT(delivery, relay), item;
    struct bytes *hosts = arena_array(a, rest.n / 2 + 1, sizeof *hosts);

    while (rest.n) {
        bytes_cut(rest, ',', &item, &rest);
        item = bytes_trim(item);
        if (item.n)
            hosts[r->n_hosts++] = item;
    }
    r->hosts = hosts;
    r->port = (int)PARAM_INT(delivery, relay_port);
    r->auth_user = PARAM_TEXT(delivery, relay_user);
    r->auth_file = PARAM_TEXT(delivery, relay_secret_file);
    r->insecure_auth = PARAM_INT(delivery, relay_insecure_auth);
    r->private_net = true; /* the operator has named it */
    route_tls_read(PARAM_TEXT(delivery, relay_tls), &r->tls);
}

/* Where no row matches. */
static void route_of_parameters(struct arena *a, struct mail_route *out)
{
    *out = (struct mail_route){ 0 };
    route_way_read(PARAM_TEXT(delivery, via), &out->way);
    if (out->way == ROUTE_RELAY)
        add_relay(a, out);
}

/* Rows: their id, and the version, so that a change leads to another place. */
static struct bytes place_of(struct arena *a, const struct mail_route *r, struct bytes domain)
{
    char id[ID_TEXT + 1];

    if (!id_is_none(r->id))
        return arena_bytesf(a, "%.*s%s%.*s.%lld", SHOW(domain), domain.n ? " " : "", SHOW(id_format("rte", r->id, id)),
                            (long long)r->version);
    switch (r->way) {
    case ROUTE_RELAY:
        return arena_bytesf(a, "relay %.*s port %d tls %d user %.*s", SHOW(PARAM_TEXT(delivery, relay)), r->port,
                            (int)r->tls, SHOW(r->auth_user));
    case ROUTE_CAPTURE: return BYTES("capture");
    case ROUTE_HOLD: return BYTES("hold");
    default: return domain;
    }
}

static void settle_on(const struct mail_route *r, const struct route_query *q, struct arena *a, struct course *out)
{
    if (r)
        out->route = *r;
    else
        route_of_parameters(a, &out->route);
    if (!out->route.port)
        out->route.port = (int)PARAM_INT(delivery, port);
    if (out->route.way == ROUTE_RELAY && out->route.port == PORT_SUBMISSIONS && out->route.tls != ROUTE_TLS_VERIFY)
        out->route.tls = ROUTE_TLS_REQUIRE;
    out->domain = out->route.way == ROUTE_MX ? q->domain : NO_BYTES;
    out->place = place_of(a, &out->route, out->domain);
}

uint64_t course_default(void)
{
    uint64_t hash = hash_text((uint64_t)PARAM_INT(delivery, relay_port), PARAM_TEXT(delivery, via));

    hash = hash_text(hash, PARAM_TEXT(delivery, relay));
    hash = hash_text(hash, PARAM_TEXT(delivery, relay_user));
    return hash_text(hash, PARAM_TEXT(delivery, relay_tls));
}

bool course_of_flow(const struct routes *r, struct bytes flow, struct arena *a, struct course *out)
{
    const struct mail_route *found = NULL;
    struct route_query q;
    struct flow_name name;
    struct id id;

    if (!flow_read(flow, &name) || !route_query_of(r, NULL, flow, a, &q))
        return false;
    if (name.route.p && id_parse("", name.route, &id))
        found = routes_by_id(r, q.account, id);
    settle_on(found ? found : routes_of_flow(r, &q), &q, a, out);
    return true;
}

bool course_of_domain(const struct routes *r, struct bytes domain, struct arena *a, struct course *out)
{
    struct route_query q = { .domain = domain, .class = QUEUE_NORMAL };

    settle_on(routes_of_flow(r, &q), &q, a, out);
    return true;
}

bool course_of_work(const struct routes *r, const struct work *w, struct arena *a, struct course *out)
{
    struct route_query q;

    if (!route_query_of(r, w->message, w->row.flow, a, &q))
        return false;
    settle_on(routes_find(r, &q), &q, a, out);
    return true;
}
