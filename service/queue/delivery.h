/* service/queue/delivery.h - one recipient of one message: the queue itself. */
#ifndef SERVICE_DELIVERY_H
#define SERVICE_DELIVERY_H
#include "service/core/call.h"

/* As it is shown: with the status `sending` under a live lease, and why it waits. */
struct delivery_view {
    struct delivery_row row;
    struct bytes waiting; /* JSON {reason, until, text, suspension_id}; NO_BYTES: it does not wait */
};

struct delivery_list_in {
    struct page page;
    struct bytes status, domain, email, message_id;
};
struct delivery_list_out {
    struct delivery_view *rows;
    size_t n;
    struct page_out page;
};
bool delivery_list(struct call *c, const struct delivery_list_in *in, struct delivery_list_out *out);
struct delivery_get_in {
    struct bytes id;
};
bool delivery_get(struct call *c, const struct delivery_get_in *in, struct delivery_view *out);

/* What is done by hand with one that is not over: the rules are in act.h. ERR_IN_FLIGHT while it is being delivered,
 * ERR_CONFLICT when it is over, or held. */
struct delivery_act_in {
    struct bytes id, reason;
};
bool delivery_retry(struct call *c, const struct delivery_act_in *in, struct delivery_view *out);
bool delivery_hold(struct call *c, const struct delivery_act_in *in, struct delivery_view *out);
bool delivery_release(struct call *c, const struct delivery_act_in *in, struct delivery_view *out);
bool delivery_bounce(struct call *c, const struct delivery_act_in *in, struct delivery_view *out);

/* Inside service/: as it is kept, if the call may see it; and rows as they are shown. */
bool delivery_find(struct call *c, struct bytes id, struct delivery_row *out);
void delivery_show(struct call *c, const struct delivery_row *row, struct delivery_view *out);
struct delivery_view *delivery_show_all(struct call *c, const struct delivery_row *rows, size_t n);

/* Events of one delivery; service/message/event.h has those of a message and of the account. */
struct event_list_in {
    struct page page;
    struct bytes id;
    struct bytes type;
    bool follow;
};
struct event_list_out {
    struct event_row *rows;
    size_t n;
    struct page_out page;
};
bool delivery_event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out);
/* A page of events as q finds their rows, each event by itself (bundle.h). */
bool event_page(struct call *c, struct query *q, const struct page *page, struct event_list_out *out);
#endif
