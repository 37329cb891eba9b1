#include "service/message/template_test.h"
#include "service/template/template.h"

bool template_test(struct call *c, const struct template_test_in *in, struct intake_out *out)
{
    struct message_send_in send = { .from = in->from, .to = in->to, .n_to = in->n_to };
    struct json_object *sample = NULL;
    struct template_row row;
    bool good;

    if (!template_may(c) || !template_find(c, in->id, &row))
        return false;
    if (!in->variables && row.sample.p && !json_read(row.sample, &sample, &c->err))
        return false;
    send.template = (struct send_template){
        .name = in->id, .version = BYTES("draft"), .variables = in->variables ? in->variables : sample, .drafts = true
    };
    good = message_send(c, &send, out);
    json_object_put(sample);
    return good;
}
