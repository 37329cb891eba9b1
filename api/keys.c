#include "api/request.h"
#include "service/identity/key.h"

bool api_key_list(struct request *r)
{
    const struct key_list_in in = { .page = query_page(r) };
    struct key_list_out out = { 0 };

    return key_list(&r->call, &in, &out) && answer_list(r, &out.page, &key_members, out.rows, out.n, sizeof *out.rows);
}

bool api_key_create(struct request *r)
{
    struct key_create_in in = { 0 };
    struct key_create_out out;

    in.named = body_members(r, &key_members, &in.given);
    answer_kept(r, HTTP_CREATED, &key_members);
    return key_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &key_created_members, &out);
}

bool api_key_get(struct request *r)
{
    const struct key_get_in in = { .id = r->parameter[0] };
    struct key_row out;

    return key_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &key_members, &out);
}

bool api_key_update(struct request *r)
{
    struct key_update_in in = { .id = r->parameter[0] };
    struct key_row out;

    in.named = body_members(r, &key_members, &in.given);
    return key_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &key_members, &out);
}

bool api_key_delete(struct request *r)
{
    const struct key_delete_in in = { .id = r->parameter[0] };

    return key_delete(&r->call, &in, NULL) && answer_done(r);
}
