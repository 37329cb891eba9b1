/* api/previews.c - POST /v1/previews: a send is read, and not sent; and how it looks. */
#include "api/request.h"
#include "api/send.h"
#include "service/message/preview.h"

bool api_preview_view(struct request *r)
{
    const struct preview_view_in in = { .id = r->parameter[0] };
    struct preview_view_out out;

    if (!preview_view(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    r->type = "text/html; charset=utf-8";
    r->policy = "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; sandbox";
    buf_add(&r->out, out.html);
    return true;
}

bool api_preview_create(struct request *r)
{
    struct message_send_in in = { 0 };
    struct preview_out out;

    answer_kept(r, HTTP_OK, &preview_members);
    return send_read_body(r, &in) && preview_create(&r->call, &in, &out) &&
           answer_object(r, HTTP_OK, &preview_members, &out);
}
