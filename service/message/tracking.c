#include "service/message/tracking.h"
#include "service/core/state.h"
#include "service/message/tracked.h"

static void note(struct call *c, const struct public_token *t, const struct tracking_reader *reader)
{
    const struct hit hit = { .kind = t->kind,
                             .several = t->several,
                             .ahead = reader->ahead,
                             .account = t->account,
                             .message = t->message,
                             .at = clock_wall(),
                             .url = t->text,
                             .agent = reader->agent,
                             .address = c->client_ip };

    if (!reader->only_looks)
        tracked_note(c->svc, &hit);
}

bool tracking_open(struct call *c, const struct tracking_open_in *in, void *out)
{
    struct public_token t;

    (void)out;
    if (!public_token_take(c, PUBLIC_OPEN, in->token, &t))
        return false;
    note(c, &t, &in->reader);
    return true;
}

bool tracking_click(struct call *c, const struct tracking_click_in *in, struct tracking_click_out *out)
{
    struct public_token t;

    if (!public_token_take(c, PUBLIC_CLICK, in->token, &t))
        return false;
    note(c, &t, &in->reader);
    out->url = t.text;
    return true;
}
