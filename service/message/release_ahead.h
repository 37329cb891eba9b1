/* service/message/release_ahead.h - inside service/message/: what is read at once for all messages that one claim
 * begins, since a question each would cost more than the messages do. */
#ifndef SERVICE_RELEASE_AHEAD_H
#define SERVICE_RELEASE_AHEAD_H
#include "service/core/call.h"

#define RELEASE_TOGETHER 64   /* messages of one claim */
#define WAITING_MOST     4096 /* deliveries of one message; message.recipients_max is lower */

struct release_ahead {
    const struct delivery_row *waiting; /* that wait for its time, or NULL: not read */
    size_t n;
    const struct body_row *body; /* id none: it is no more */
    bool disabled;               /* its account */
};

/* Of n messages, at most RELEASE_TOGETHER, into the arena. */
bool release_ahead(struct service *svc, const struct message_row *rows, size_t n, struct arena *a,
                   struct release_ahead *out, struct err *e);
#endif
