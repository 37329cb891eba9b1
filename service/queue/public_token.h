/* service/queue/public_token.h - what stands behind a link of ours in a mail: which mail it was, and what the link is
 * for.
 *
 *     struct public_token t = { .kind = PUBLIC_CLICK, .account = m->account_id, .message = m->id, .text = url };
 *     public_token_write(svc, &t, &out);                               "…/t/c/" is before it
 *     if (public_token_take(c, PUBLIC_CLICK, in->token, &t)) …         of the same account's mail, for sure
 * A token is sealed (XChaCha20-Poly1305) under a key made of the server's: who has one reads no id, address or URL in
 * it, cannot make another, and learns nothing of the next. It begins with its version and the number of its key, and is
 * base64url. What it says outlives the rows that it speaks of: nothing is looked up to read one. */
#ifndef SERVICE_PUBLIC_TOKEN_H
#define SERVICE_PUBLIC_TOKEN_H
#include "service/core/call.h"

enum public_kind { PUBLIC_UNSUBSCRIBE = 1, PUBLIC_OPEN, PUBLIC_CLICK, PUBLIC_KINDS };

struct public_token {
    enum public_kind kind;
    bool several; /* the mail has several recipients, and nobody knows which of them has it */
    struct id account, message;
    struct bytes text; /* the kind's own, at most PUBLIC_TEXT_MOST bytes: where a click leads to, say */
};

#define PUBLIC_TEXT_MOST 8192

void public_token_write(const struct service *svc, const struct public_token *t, struct buf *out);
/* False: it is none of ours, or not of this kind. Pure; the text lies in the arena. */
bool public_token_read(const struct service *svc, enum public_kind kind, struct bytes token, struct arena *a,
                       struct public_token *out);
/* For whoever comes with one: ERR_MISSING for what is no token, ERR_RATE for a network that goes on showing such,
 * ERR_GONE while the account is disabled. A token that is good is never held up. */
bool public_token_take(struct call *c, enum public_kind kind, struct bytes token, struct public_token *out);
#endif
