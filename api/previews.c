/* api/previews.c - POST /v1/previews: a send is read, and not sent. */
#include "api/request.h"
#include "api/send.h"
#include "service/message/preview.h"

bool api_preview_create(struct request *r)
{
    struct message_send_in in = { 0 };
    struct preview_out out;

    answer_kept(r, HTTP_OK, &preview_members);
    return send_read_body(r, &in) && preview_create(&r->call, &in, &out) &&
           answer_object(r, HTTP_OK, &preview_members, &out);
}
