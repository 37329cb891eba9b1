/* service/box/me.h - who asks, and what is theirs: GET /v1/me for any credential. */
#ifndef SERVICE_ME_H
#define SERVICE_ME_H
#include "service/core/call.h"

struct me_out {
    struct bytes id; /* of the key or user; NO_BYTES for the socket */
    struct id account_id;
    struct bytes kind, name, mode;
    unsigned scopes;
    struct mailbox_row *mailboxes;
    size_t n_mailboxes;
};
bool me_get(struct call *c, const void *in, struct me_out *out);
#endif
