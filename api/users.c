/* Users, and the addresses that lead to them. */
#include "api/request.h"
#include "service/box/user_whole.h"
#include "service/identity/address.h"

bool api_user_list(struct request *r)
{
    const struct user_list_in in = { .page = query_page(r), .domain = query_text(r, "domain") };
    struct user_list_out out = { 0 };

    return user_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &user_members, out.rows, out.n, sizeof *out.rows);
}

bool api_user_create(struct request *r)
{
    struct user_create_in in = { 0 };
    struct user_row out;

    in.change.named = body_members(r, &user_members, &in.change);
    answer_kept(r, HTTP_CREATED, &user_members);
    return user_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &user_members, &out);
}

bool api_user_get(struct request *r)
{
    const struct user_get_in in = { .id = r->parameter[0] };
    struct user_row out;

    return user_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &user_members, &out);
}

bool api_user_update(struct request *r)
{
    struct user_update_in in = { .id = r->parameter[0] };
    struct user_row out;

    in.change.named = body_members(r, &user_members, &in.change);
    return user_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &user_members, &out);
}

bool api_user_delete(struct request *r)
{
    const struct user_delete_in in = { .id = r->parameter[0], .erase = query_bool(r, "erase") };

    return user_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- addresses ---- */

bool api_address_list(struct request *r)
{
    const struct address_list_in in = { .page = query_page(r), .user = query_text(r, "user") };
    struct address_list_out out = { 0 };

    return address_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &address_members, out.rows, out.n, sizeof *out.rows);
}

bool api_address_create(struct request *r)
{
    struct address_create_in in = { 0 };
    struct address_row out;

    in.change.named = body_members(r, &address_members, &in.change);
    answer_kept(r, HTTP_CREATED, &address_members);
    return address_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &address_members, &out);
}

bool api_address_get(struct request *r)
{
    const struct address_get_in in = { .id = r->parameter[0] };
    struct address_row out;

    return address_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &address_members, &out);
}

bool api_address_update(struct request *r)
{
    struct address_update_in in = { .id = r->parameter[0] };
    struct address_row out;

    in.change.named = body_members(r, &address_members, &in.change);
    return address_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &address_members, &out);
}

bool api_address_delete(struct request *r)
{
    const struct address_delete_in in = { .id = r->parameter[0] };

    return address_delete(&r->call, &in, NULL) && answer_done(r);
}
