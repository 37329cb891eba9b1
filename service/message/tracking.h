/* service/message/tracking.h - links and pictures of ours in mails (public_token.h), when a reader's program comes for
 * them. Nobody logs in: whoever has the mail has the link. What comes of it is an event, a little later (tracked.h);
 * nothing is read or written while the program waits. */
#ifndef SERVICE_TRACKING_H
#define SERVICE_TRACKING_H
#include "service/core/call.h"

/* A program that asks. */
struct tracking_reader {
    struct bytes agent; /* as it names itself */
    bool ahead;         /* it says that nobody looks yet */
    bool only_looks;    /* HEAD: no event */
};
struct tracking_open_in {
    struct bytes token;
    struct tracking_reader reader;
};
bool tracking_open(struct call *c, const struct tracking_open_in *in, void *out);
struct tracking_click_in {
    struct bytes token;
    struct tracking_reader reader;
};
struct tracking_click_out {
    struct bytes url; /* where the link leads: as it was when the mail was made, http or https */
};
bool tracking_click(struct call *c, const struct tracking_click_in *in, struct tracking_click_out *out);
#endif
