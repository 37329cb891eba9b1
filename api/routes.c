/* api/routes.c - routes over HTTP, with the versions that changes may be on condition of, and what explain says. An
 * answer of explain is written here by hand: it is no row, and each part says why it is so. */
#include "api/request.h"
#include "service/core/precondition.h"
#include "service/queue/route.h"

static bool answer_route(struct request *r, int status, const struct route_row *row)
{
    r->etag = precondition_tag(r->call.arena, row->version);
    return answer_object(r, status, &route_members, row);
}

bool api_route_list(struct request *r)
{
    const struct route_list_in in = { .page = query_page(r) };
    struct route_list_out out = { 0 };

    return route_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &route_members, out.rows, out.n, sizeof *out.rows);
}

/* ---- explain ---- */

static void write_hosts(struct jw *w, const struct route_explain_out *out)
{
    const struct outlook *o = &out->outlook;

    jw_key(w, "mx");
    jw_object(w);
    jw_key_text(w, "verdict", bytes_of(out->known ? o->verdict : NULL));
    jw_key(w, "hosts");
    jw_array(w);
    for (size_t i = 0; out->hosts_shown && i < o->n_hosts; i++) {
        jw_object(w);
        jw_key_text(w, "name", o->hosts[i].name);
        jw_key_text(w, "ip", o->hosts[i].ip);
        jw_key_int(w, "preference", o->hosts[i].preference);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_key_text(w, "why", out->known && o->why.n && out->hosts_shown ? o->why : NO_BYTES);
    jw_object_end(w);
}

static void write_limits(struct jw *w, const struct route_explain_out *out)
{
    const struct outlook *o = &out->outlook;

    jw_key(w, "limits");
    if (!out->limits_shown) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key_text(w, "path", o->path);
    jw_key_text(w, "state", bytes_of(o->state));
    jw_key_time(w, "until", o->until);
    jw_key_int(w, "window", o->window);
    jw_key_int(w, "connections", o->connections);
    jw_key_int(w, "connections_max", o->connections_max);
    jw_key_int(w, "per_connection", o->per_connection);
    jw_object_end(w);
}

static void write_because(struct jw *w, const char *name, const char *what, struct bytes value, struct bytes why)
{
    jw_key(w, name);
    jw_object(w);
    jw_key_text(w, what, value);
    jw_key_text(w, "why", why);
    jw_object_end(w);
}

static void write_explained(struct jw *w, const struct route_explain_out *out)
{
    jw_object(w);
    jw_key_text(w, "object", BYTES("route_explanation"));
    jw_key_text(w, "to", out->to);
    jw_key_text(w, "from", out->from);
    jw_key_text(w, "tag", out->tag);
    jw_key_text(w, "type", bytes_of(out->type));
    jw_key_text(w, "why", out->why);
    jw_key(w, "route");
    if (out->shown)
        members_write(w, &route_members, &out->row);
    else
        jw_null(w);
    write_because(w, "source", "name", out->source, out->source_why);
    write_hosts(w, out);
    write_because(w, "tls", "policy", bytes_of(out->tls), out->tls_why);
    write_limits(w, out);
    write_because(w, "return_path", "address", out->return_path, out->return_path_why);
    jw_object_end(w);
}

bool api_route_explain(struct request *r)
{
    const struct route_explain_in in = { .to = query_text(r, "to"),
                                         .from = query_text(r, "from"),
                                         .tag = query_text(r, "tag") };
    struct route_explain_out out;
    struct jw w;

    if (!route_explain(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    jw_init(&w, &r->out);
    write_explained(&w, &out);
    return true;
}

/* ---- changes ---- */

bool api_route_create(struct request *r)
{
    struct route_create_in in = { 0 };
    struct route_row out;

    in.named = body_members(r, &route_members, &in.given);
    answer_kept(r, HTTP_CREATED, &route_members);
    return route_create(&r->call, &in, &out) && answer_route(r, HTTP_CREATED, &out);
}

bool api_route_get(struct request *r)
{
    const struct route_get_in in = { .id = r->parameter[0] };
    struct route_row out;

    return route_get(&r->call, &in, &out) && answer_route(r, HTTP_OK, &out);
}

bool api_route_update(struct request *r)
{
    struct route_update_in in = { .id = r->parameter[0] };
    struct route_row out;

    in.named = body_members(r, &route_members, &in.given);
    in.given.if_match = r->if_match;
    return route_update(&r->call, &in, &out) && answer_route(r, HTTP_OK, &out);
}

bool api_route_delete(struct request *r)
{
    const struct route_delete_in in = { .id = r->parameter[0], .if_match = r->if_match };

    return route_delete(&r->call, &in, NULL) && answer_done(r);
}
