/* api/send.h - inside api/: a send as its JSON says, for all operations that take one. */
#ifndef API_SEND_H
#define API_SEND_H
#include "service/message/message.h"

struct send_reading {
    struct call *call;
    struct json_object *body; /* as the schema MessageSend has it; its texts are borrowed */
};
/* Faults are noted in the call. Any thread. */
void send_read(const struct send_reading *r, struct message_send_in *in);
struct request;
/* The body of the request, on a worker where it is large; the faults are noted, and no error. */
bool send_read_body(struct request *r, struct message_send_in *in);
#endif
