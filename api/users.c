/* Users, and the addresses that lead to them. */
#include "api/shapes.h"
#include "service/user.h"

static const struct {
    const char *name;
    unsigned bit;
} members[] = {
    { "name", USER_SET_NAME },       { "password", USER_SET_PASSWORD }, { "encryption", USER_SET_ENCRYPTION },
    { "quota", USER_SET_QUOTA },     { "disabled", USER_SET_DISABLED }, { "save_sent", USER_SET_SAVE_SENT },
    { "send_as", USER_SET_SEND_AS }, { "metadata", USER_SET_METADATA },
};

static struct user_change change_read(struct request *r)
{
    struct user_change change = {
        .name = body_text(r, "name"),
        .password = body_text(r, "password"),
        .encryption = body_text(r, "encryption"),
        .quota = body_int(r, "quota"),
        .disabled = body_bool(r, "disabled"),
        .save_sent = body_bool(r, "save_sent"),
        .metadata = tree_text(r, json_member(r->body, "metadata")),
    };

    change.send_as = body_texts(r, "send_as", &change.n_send_as);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (body_has(r, members[i].name))
            change.set |= members[i].bit;
    return change;
}

bool api_user_list(struct request *r)
{
    const struct user_list_in in = { .page = query_page(r), .domain = query_text(r, "domain") };
    struct user_list_out out = { 0 };

    return user_list(&r->call, &in, &out) && answer_list(r, &out.page, &user_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_user_create(struct request *r)
{
    const struct user_create_in in = { .address = body_text(r, "address"), .change = change_read(r) };
    struct user_row out;

    answer_kept(r, HTTP_CREATED, &user_shape);
    return user_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &user_shape, &out);
}

bool api_user_get(struct request *r)
{
    const struct user_get_in in = { .id = r->parameter[0] };
    struct user_row out;

    return user_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &user_shape, &out);
}

/* JSON Merge Patch (RFC 7396) of `metadata`: names set to null go, the others are set. */
static bool metadata_merge(struct request *r, struct user_change *change)
{
    const struct user_get_in in = { .id = r->parameter[0] };
    struct json_object *patch = json_member(r->body, "metadata"), *merged = NULL;
    struct user_row now;

    if (!patch)
        return true;
    if (!user_get(&r->call, &in, &now) || (now.metadata.p && !json_read(now.metadata, &merged, &r->call.err)))
        return false;
    if (!merged)
        merged = json_object_new_object();
    json_object_object_foreach(patch, name, value)
    {
        if (value)
            json_object_object_add(merged, name, json_object_get(value));
        else
            json_object_object_del(merged, name);
    }
    change->metadata = tree_text(r, merged);
    json_object_put(merged);
    return true;
}

bool api_user_update(struct request *r)
{
    struct user_update_in in = { .id = r->parameter[0], .change = change_read(r) };
    struct user_row out;

    return metadata_merge(r, &in.change) && user_update(&r->call, &in, &out) &&
           answer_object(r, HTTP_OK, &user_shape, &out);
}

bool api_user_delete(struct request *r)
{
    const struct user_delete_in in = { .id = r->parameter[0], .erase = query_bool(r, "erase") };

    return user_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- addresses ---- */

static struct bytes target_user(const struct request *r)
{
    return json_text(json_member(r->body, "target"), "user_id");
}

bool api_address_list(struct request *r)
{
    const struct address_list_in in = { .page = query_page(r), .user = query_text(r, "user") };
    struct address_list_out out = { 0 };

    return address_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &address_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_address_create(struct request *r)
{
    const struct address_create_in in = { .address = body_text(r, "address"), .user_id = target_user(r) };
    struct address_row out;

    answer_kept(r, HTTP_CREATED, &address_shape);
    return address_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &address_shape, &out);
}

bool api_address_get(struct request *r)
{
    const struct address_get_in in = { .id = r->parameter[0] };
    struct address_row out;

    return address_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &address_shape, &out);
}

bool api_address_update(struct request *r)
{
    const struct address_update_in in = { .id = r->parameter[0], .user_id = target_user(r) };
    struct address_row out;

    return (in.user_id.p ? address_update(&r->call, &in, &out)
                         : address_get(&r->call, &(struct address_get_in){ .id = in.id }, &out)) &&
           answer_object(r, HTTP_OK, &address_shape, &out);
}

bool api_address_delete(struct request *r)
{
    const struct address_delete_in in = { .id = r->parameter[0] };

    return address_delete(&r->call, &in, NULL) && answer_done(r);
}
