/* service/message/unsubscribe.h - unsubscribing by a link of ours, as mail programs and people do it (RFC 8058).
 *
 * The link is sealed (service/queue/public_token.h) and says whose it is and of what: it works as long as its server's
 * key lives, also when the mail's rows are gone. Nobody logs in, and no cookie is asked for: whoever has the mail has
 * the link. Looking at it changes nothing, since programs that look for bad links follow all of them. */
#ifndef SERVICE_UNSUBSCRIBE_H
#define SERVICE_UNSUBSCRIBE_H
#include "service/core/call.h"

/* Who, and of what: a topic, else a stream. `email` as suppressions have it. */
struct unsubscribing {
    struct id account, message, stream;
    struct bytes topic, email;
};

/* The URL; `base`: public_url_of_links. In the call's arena. */
struct bytes unsubscribe_link(struct call *c, struct bytes base, const struct unsubscribing *of);

struct unsubscribe_get_in {
    struct bytes token;
};
struct unsubscribe_out {
    struct bytes name; /* of what: the topic, or the stream's name; NO_BYTES: it is gone */
    bool done;         /* that address has unsubscribed from it */
};
/* ERR_MISSING, ERR_GONE, ERR_RATE as public_token_take. */
bool unsubscribe_get(struct call *c, const struct unsubscribe_get_in *in, struct unsubscribe_out *out);
struct unsubscribe_post_in {
    struct bytes token;
    bool one_click; /* the body says List-Unsubscribe=One-Click */
};
/* Adds the suppression, and tells `email.unsubscribed`; a second time changes nothing. Mail of a test key, and to the
 * addresses of the sandbox, is told of alone. */
bool unsubscribe_post(struct call *c, const struct unsubscribe_post_in *in, struct unsubscribe_out *out);
#endif
