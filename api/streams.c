#include "api/request.h"
#include "service/identity/stream.h"

bool api_stream_list(struct request *r)
{
    const struct stream_list_in in = { .page = query_page(r) };
    struct stream_list_out out = { 0 };

    return stream_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &stream_members, out.rows, out.n, sizeof *out.rows);
}

bool api_stream_create(struct request *r)
{
    struct stream_create_in in = { 0 };
    struct stream_row out;

    in.named = body_members(r, &stream_members, &in.given);
    answer_kept(r, HTTP_CREATED, &stream_members);
    return stream_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &stream_members, &out);
}

bool api_stream_get(struct request *r)
{
    const struct stream_get_in in = { .id = r->parameter[0] };
    struct stream_row out;

    return stream_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &stream_members, &out);
}

bool api_stream_update(struct request *r)
{
    struct stream_update_in in = { .id = r->parameter[0] };
    struct stream_row out;

    in.named = body_members(r, &stream_members, &in.given);
    return stream_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &stream_members, &out);
}

bool api_stream_delete(struct request *r)
{
    const struct stream_delete_in in = { .id = r->parameter[0] };

    return stream_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_stream_pause(struct request *r)
{
    const struct stream_pause_in in = { .id = r->parameter[0], .reason = body_text(r, "reason") };
    struct stream_row out;

    answer_kept(r, HTTP_OK, &stream_members);
    return stream_pause(&r->call, &in, &out) && answer_object(r, HTTP_OK, &stream_members, &out);
}

bool api_stream_resume(struct request *r)
{
    const struct stream_resume_in in = { .id = r->parameter[0], .reason = body_text(r, "reason") };
    struct stream_row out;

    answer_kept(r, HTTP_OK, &stream_members);
    return stream_resume(&r->call, &in, &out) && answer_object(r, HTTP_OK, &stream_members, &out);
}
