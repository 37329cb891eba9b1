/* service/message/message_private.h - what the files about messages share. */
#ifndef SERVICE_MESSAGE_PRIVATE_H
#define SERVICE_MESSAGE_PRIVATE_H
#include "service/box/summary.h"
#include "service/message/message.h"
#include "service/queue/outcome.h"

/* message/rfc822 through the API. */
bool send_raw(struct call *c, const struct message_send_in *in, struct intake_out *out);
/* One recipient of an API send; a fault at `where` when it is no address. */
bool send_recipient(struct call *c, const struct address *address, const char *where, struct recipient *out);
/* An address that is named again (as deliveries keep it: domain without case, users of ours as the directory finds
 * them) is the same recipient: the list becomes that of different ones, in order. Its new length. */
size_t send_unique(struct call *c, struct recipient *list, size_t n);
/* Source and Received line of what comes by HTTP. */
void send_received(struct call *c, struct intake_in *k);

/* What a mail that answers `given` (one of our ids, or a Message-ID) says in In-Reply-To and References; NO_BYTES when
 * the parent has no id that could stand there (RFC 5322 3.6.4), a fault at /in_reply_to for what is neither. False when
 * the store failed. */
struct thread {
    bool found;
    struct bytes in_reply_to, references;
};
bool thread_find(struct call *c, struct bytes given, struct thread *out);

/* A message of the account by id; test keys see test mail only. */
bool message_find(struct call *c, struct bytes id, struct message_row *out);
/* One that was sent: mail that came in is its recipients', and nobody else erases or cancels it. */
bool message_find_sent(struct call *c, struct bytes id, struct message_row *out);
void message_show(struct call *c, const struct message_row *row, struct message_view *out);
#endif
