#include "api/shapes.h"
#include "service/key.h"

static unsigned scopes_read(const struct request *r)
{
    struct json_object *list = json_member(r->body, "scopes");
    size_t n = list ? json_object_array_length(list) : 0;
    unsigned scopes = 0;

    for (size_t i = 0; i < n; i++)
        scopes |= scope_of(bytes_of(json_object_get_string(json_object_array_get_idx(list, i))));
    return scopes;
}

static struct key_change change_read(struct request *r)
{
    struct key_change change = {
        .name = body_text(r, "name"),
        .scopes = scopes_read(r),
        .expires_at = body_time(r, "expires_at"),
    };

    change.domain_ids = body_texts(r, "domain_ids", &change.n_domain_ids);
    change.allowed_ips = body_texts(r, "allowed_ips", &change.n_allowed_ips);
    change.set = (body_has(r, "name") ? KEY_SET_NAME : 0) | (body_has(r, "scopes") ? KEY_SET_SCOPES : 0) |
                 (body_has(r, "domain_ids") ? KEY_SET_DOMAINS : 0) | (body_has(r, "allowed_ips") ? KEY_SET_IPS : 0) |
                 (body_has(r, "expires_at") ? KEY_SET_EXPIRES : 0);
    return change;
}

bool api_key_list(struct request *r)
{
    const struct key_list_in in = { .page = query_page(r) };
    struct key_list_out out = { 0 };

    return key_list(&r->call, &in, &out) && answer_list(r, &out.page, &key_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_key_create(struct request *r)
{
    const struct key_create_in in = { .test = bytes_equal(body_text(r, "mode"), BYTES("test")),
                                      .change = change_read(r) };
    struct key_create_out out;

    answer_kept(r, HTTP_CREATED, &key_kept_shape);
    return key_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &key_created_shape, &out);
}

bool api_key_get(struct request *r)
{
    const struct key_get_in in = { .id = r->parameter[0] };
    struct key_row out;

    return key_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &key_shape, &out);
}

bool api_key_update(struct request *r)
{
    const struct key_update_in in = { .id = r->parameter[0], .change = change_read(r) };
    struct key_row out;

    return key_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &key_shape, &out);
}

bool api_key_delete(struct request *r)
{
    const struct key_delete_in in = { .id = r->parameter[0] };

    return key_delete(&r->call, &in, NULL) && answer_done(r);
}
