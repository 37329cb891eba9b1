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

/* ---- following (feed.h) ---- */

/* Up to `limit` events behind *place (NO_BYTES: from the oldest kept) that the caller may see, of the type when one is
 * given, in order of commit; *place moves behind what was looked at. has_more: the look ended before the feed did. */
bool event_follow(struct call *c, struct bytes type, struct bytes *place, size_t limit, struct event_list_out *out);

/* The place behind all that is there now. */
bool event_follow_end(struct call *c, struct bytes *place);
#endif
