#include "service/message/tracking.h"
#include "service/queue/public_token.h"

bool tracking_open(struct call *c, const struct tracking_open_in *in, void *out)
{
    struct public_token t;

    (void)out;
    return public_token_take(c, PUBLIC_OPEN, in->token, &t);
}

bool tracking_click(struct call *c, const struct tracking_click_in *in, struct tracking_click_out *out)
{
    struct public_token t;

    if (!public_token_take(c, PUBLIC_CLICK, in->token, &t))
        return false;
    out->url = t.text;
    return true;
}
