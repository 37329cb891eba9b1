/* service/queue/route_explain.c - which way a mail would take now, and why: the same questions that acceptance and the
 * engine ask, answered for people. An operator's routes, and how paths to others stand, are not a tenant's to see: then
 * it is said what happens, and not where. */
#include "mail/address.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/queue/return_path.h"
#include "service/queue/route.h"
#include "service/queue/routing.h"

static bool read_address(struct call *c, const char *pointer, struct bytes text, struct bytes *email,
                         struct bytes *domain)
{
    struct address a;
    struct err why = { 0 };

    if (address_parse(text, c->arena, &a, &why) && address_normalize(&a, false, c->arena, email, &why)) {
        *domain = bytes_from(*email, bytes_find_last(*email, '@') + 1);
        return true;
    }
    return call_fault(c, pointer, "invalid_address", "%s", why.message);
}

/* As acceptance would write it. */
static bool describe(struct call *c, const struct route_explain_in *in, struct route_explain_out *out,
                     struct route_query *q)
{
    struct bytes *tag = arena_alloc(c->arena, sizeof *tag);

    *q = (struct route_query){ .account = c->account,
                               .class = queue_class(NO_BYTES, PARAM_INT(delivery, expires_after)),
                               .source = BYTES("api") };
    read_address(c, "/to", in->to, &out->to, &q->domain);
    if (in->from.p)
        read_address(c, "/from", in->from, &out->from, &q->sender_domain);
    *tag = out->tag = in->tag;
    q->tags = tag;
    q->n_tags = in->tag.p != NULL;
    return call_check(c);
}

static bool find_local(struct call *c, struct bytes domain, bool *local)
{
    struct directory_domain d;

    *local = directory_domain(c, domain, &d);
    return *local || call_was_missing(c);
}

/* ---- the parts ---- */

static bool explain_route(struct call *c, const struct mail_route *r, struct route_explain_out *out)
{
    enum route_way way = ROUTE_MX;
    enum route_tls tls = ROUTE_TLS_MAY;
    bool own = r && !id_is_none(r->account);

    if (!r) {
        route_way_read(PARAM_TEXT(delivery, via), &way);
        if (way == ROUTE_RELAY)
            route_tls_read(PARAM_TEXT(delivery, relay_tls), &tls);
        out->why = BYTES("no route matches: the settings delivery.via and delivery.relay say so");
    } else {
        way = r->way;
        tls = r->tls;
        out->why = arena_bytesf(c->arena, "the first that matches, %s, at position %lld",
                                own ? "of the account's own" : "of the operator's", (long long)r->position);
    }
    out->type = route_way_text(way);
    out->tls = route_tls_text(tls);
    out->tls_why =
        tls == ROUTE_TLS_MAY ? BYTES("nothing asks for more: TLS where it is offered") : BYTES("the route says so");
    out->shown = r && (own || call_is_operator(c));
    out->hosts_shown = way == ROUTE_MX || own || call_is_operator(c);
    return !out->shown || store_get(c->store, &route_kind, r->id, c->arena, &out->row, &c->err);
}

static void explain_path(struct call *c, const struct routes *routes, const struct mail_route *r,
                         const struct route_query *q, struct route_explain_out *out)
{
    struct bytes flow = queue_flow(c->arena, q->domain, q->class, q->account, NO_ID);

    if (r && mail_route_asks_message(r))
        flow = flow_by(c->arena, flow, r->id);
    out->known = queue_explain(c->svc, routes, flow, c->arena, c->deadline, &out->outlook);
    out->limits_shown = out->known && call_is_operator(c);
    if (out->known && out->outlook.tls_required && strcmp(out->tls, "may") == 0) {
        out->tls = "require";
        out->tls_why = BYTES("its provider is known to have it");
    }
}

/* As mail of the API leaves that names no envelope sender; each has a token of its own. */
static void explain_return_path(struct call *c, struct route_explain_out *out)
{
    struct message_row m = { .id = id_new(), .envelope_from = out->from, .token_path = true };
    struct delivery_row d = { .id = id_new(), .email = out->to };

    if (!out->from.p)
        return;
    out->return_path = return_path_write(c->svc, &m, &d, false, c->arena);
    out->return_path_why = bytes_equal(out->return_path, out->from)
                               ? BYTES("the sender's own: delivery.bounce_domain is not set")
                               : BYTES("one like it, which says which mail comes back: delivery.bounce_domain");
}

bool route_explain(struct call *c, const struct route_explain_in *in, struct route_explain_out *out)
{
    const struct mail_route *r;
    struct routes *routes;
    struct route_query q;
    bool local, ok;

    *out = (struct route_explain_out){ .type = "local",
                                       .source = PARAM_TEXT(server, hostname),
                                       .source_why = BYTES("this server has one address to send from") };
    if (!call_may(c, SCOPE_DOMAINS) || !describe(c, in, out, &q) || !find_local(c, q.domain, &local))
        return false;
    explain_return_path(c, out);
    if (local) {
        out->why = BYTES("the domain is here: the mail is filed, and takes no route");
        return true;
    }
    routes = routes_now(c->svc);
    if (!routes)
        return err_set(&c->err, ERR_BUSY, "The routes are not known yet");
    r = routes_find(routes, &q);
    ok = explain_route(c, r, out);
    if (ok)
        explain_path(c, routes, r, &q, out);
    routes_leave(&routes);
    return ok;
}
