/* api/templates.c - templates, layouts and partials over HTTP, and what a template says. Drafts, layouts and partials
 * have versions that changes may be on condition of (ETag, If-Match). A rendering may be long, and lies in the call's
 * arena. */
#include "api/request.h"
#include "api/send.h"
#include "service/core/precondition.h"
#include "service/message/template_test.h"
#include "service/template/layout.h"
#include "service/template/partial.h"
#include "service/template/rendering.h"
#include "service/template/template.h"

static bool answer_template(struct request *r, int status, const struct template_row *row)
{
    r->etag = precondition_tag(r->call.arena, row->version);
    return answer_object(r, status, &template_members, row);
}

bool api_template_list(struct request *r)
{
    const struct template_list_in in = { .page = query_page(r) };
    struct template_list_out out = { 0 };

    return template_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &template_members, out.rows, out.n, sizeof *out.rows);
}

bool api_template_create(struct request *r)
{
    struct template_create_in in = { 0 };
    struct template_row out;

    in.named = body_members(r, &template_members, &in.given);
    answer_kept(r, HTTP_CREATED, &template_members);
    return template_create(&r->call, &in, &out) && answer_template(r, HTTP_CREATED, &out);
}

bool api_template_get(struct request *r)
{
    const struct template_get_in in = { .id = r->parameter[0], .version = query_text(r, "version") };
    struct template_row out;

    return template_get(&r->call, &in, &out) && answer_template(r, HTTP_OK, &out);
}

bool api_template_update(struct request *r)
{
    struct template_update_in in = { .id = r->parameter[0] };
    struct template_row out;

    in.named = body_members(r, &template_members, &in.given);
    in.given.if_match = r->if_match;
    return template_update(&r->call, &in, &out) && answer_template(r, HTTP_OK, &out);
}

bool api_template_delete(struct request *r)
{
    const struct template_delete_in in = { .id = r->parameter[0], .if_match = r->if_match };

    return template_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- versions ---- */

bool api_template_publish(struct request *r)
{
    const struct template_publish_in in = { .id = r->parameter[0] };
    struct template_row out;

    answer_kept(r, HTTP_OK, &template_members);
    return template_publish(&r->call, &in, &out) && answer_template(r, HTTP_OK, &out);
}

bool api_template_version_list(struct request *r)
{
    const struct template_version_list_in in = { .id = r->parameter[0], .page = query_page(r) };
    struct template_version_list_out out = { 0 };

    return template_version_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &template_version_members, out.rows, out.n, sizeof *out.rows);
}

bool api_template_version_get(struct request *r)
{
    const struct template_version_get_in in = { .id = r->parameter[0], .version = r->parameter[1] };
    struct template_version_row out;

    return template_version_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &template_version_full_members, &out);
}

bool api_template_version_restore(struct request *r)
{
    const struct template_version_get_in in = { .id = r->parameter[0], .version = r->parameter[1] };
    struct template_row out;

    answer_kept(r, HTTP_OK, &template_members);
    return template_version_restore(&r->call, &in, &out) && answer_template(r, HTTP_OK, &out);
}

bool api_template_duplicate(struct request *r)
{
    const struct template_duplicate_in in = { .id = r->parameter[0],
                                              .alias = body_text(r, "alias"),
                                              .name = body_text(r, "name") };
    struct template_row out;

    answer_kept(r, HTTP_CREATED, &template_members);
    return template_duplicate(&r->call, &in, &out) && answer_template(r, HTTP_CREATED, &out);
}

/* ---- renderings ---- */

/* A number, or a word. */
static struct bytes body_version(const struct request *r)
{
    struct json_object *value = json_member(r->body, "version");

    if (!value || json_object_is_type(value, json_type_string))
        return body_text(r, "version");
    return arena_bytesf(r->call.arena, "%lld", (long long)json_object_get_int64(value));
}

bool api_rendering_create(struct request *r)
{
    const struct rendering_create_in in = { .id = r->parameter[0],
                                            .version = body_version(r),
                                            .variables = json_member(r->body, "variables") };
    struct rendering *out = arena_alloc(r->call.arena, sizeof *out);

    answer_kept(r, HTTP_OK, &rendering_members);
    return rendering_create(&r->call, &in, out) && answer_object(r, HTTP_OK, &rendering_members, out);
}

/* Of the members of a template those that the contract lets through; `variables` are values here. */
bool api_rendering_try(struct request *r)
{
    struct rendering_try_in in = { .variables = json_member(r->body, "variables") };
    struct rendering *out = arena_alloc(r->call.arena, sizeof *out);

    in.named = body_members(r, &template_members, &in.given) & ~members_named(&template_members, "variables");
    answer_kept(r, HTTP_OK, &rendering_members);
    return rendering_try(&r->call, &in, out) && answer_object(r, HTTP_OK, &rendering_members, out);
}

bool api_template_test(struct request *r)
{
    struct message_send_in send = { .from = { .pointer = NULL } };
    struct template_test_in in = { .id = r->parameter[0], .variables = json_member(r->body, "variables") };
    struct intake_out out = { 0 };

    answer_kept(r, HTTP_ACCEPTED, &accepted_members);
    if (!send_read_body(r, &send) || !call_check(&r->call))
        return false;
    in.to = send.to;
    in.n_to = send.n_to;
    in.from = send.from;
    return template_test(&r->call, &in, &out) && answer_object(r, HTTP_ACCEPTED, &accepted_members, &out);
}

/* ---- layouts ---- */

static bool answer_layout(struct request *r, int status, const struct layout_row *row)
{
    r->etag = precondition_tag(r->call.arena, row->version);
    return answer_object(r, status, &layout_members, row);
}

bool api_layout_list(struct request *r)
{
    const struct layout_list_in in = { .page = query_page(r) };
    struct layout_list_out out = { 0 };

    return layout_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &layout_members, out.rows, out.n, sizeof *out.rows);
}

bool api_layout_create(struct request *r)
{
    struct layout_create_in in = { 0 };
    struct layout_row out;

    in.named = body_members(r, &layout_members, &in.given);
    answer_kept(r, HTTP_CREATED, &layout_members);
    return layout_create(&r->call, &in, &out) && answer_layout(r, HTTP_CREATED, &out);
}

bool api_layout_get(struct request *r)
{
    const struct layout_get_in in = { .id = r->parameter[0] };
    struct layout_row out;

    return layout_get(&r->call, &in, &out) && answer_layout(r, HTTP_OK, &out);
}

bool api_layout_update(struct request *r)
{
    struct layout_update_in in = { .id = r->parameter[0], .if_match = r->if_match };
    struct layout_row out;

    in.named = body_members(r, &layout_members, &in.given);
    return layout_update(&r->call, &in, &out) && answer_layout(r, HTTP_OK, &out);
}

bool api_layout_delete(struct request *r)
{
    const struct layout_delete_in in = { .id = r->parameter[0], .if_match = r->if_match };

    return layout_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- partials ---- */

static bool answer_partial(struct request *r, const struct partial_row *row)
{
    r->etag = precondition_tag(r->call.arena, row->version);
    return answer_object(r, HTTP_OK, &partial_members, row);
}

bool api_partial_list(struct request *r)
{
    const struct partial_list_in in = { .page = query_page(r) };
    struct partial_list_out out = { 0 };

    return partial_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &partial_members, out.rows, out.n, sizeof *out.rows);
}

bool api_partial_get(struct request *r)
{
    const struct partial_get_in in = { .name = r->parameter[0] };
    struct partial_row out;

    return partial_get(&r->call, &in, &out) && answer_partial(r, &out);
}

bool api_partial_put(struct request *r)
{
    const struct partial_put_in in = {
        .name = r->parameter[0], .html = body_text(r, "html"), .text = body_text(r, "text"), .if_match = r->if_match
    };
    struct partial_row out;

    return partial_put(&r->call, &in, &out) && answer_partial(r, &out);
}

bool api_partial_delete(struct request *r)
{
    const struct partial_delete_in in = { .name = r->parameter[0], .if_match = r->if_match };

    return partial_delete(&r->call, &in, NULL) && answer_done(r);
}
