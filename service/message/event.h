/* service/message/event.h - the timeline: what happened to mail. */
#ifndef SERVICE_EVENT_H
#define SERVICE_EVENT_H
#include "service/queue/delivery.h"

/* Of one message. */
bool message_event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out);
/* Of the whole account; in order of commit when `follow`: ?after= then takes the cursor of the watch. */
bool event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out);
struct event_get_in {
    struct bytes id;
};
bool event_get(struct call *c, const struct event_get_in *in, struct event_row *out);
#endif
