/* service/queue/delivery.h - one recipient of one message: the queue itself. */
#ifndef SERVICE_DELIVERY_H
#define SERVICE_DELIVERY_H
#include "service/core/call.h"

struct delivery_list_in {
    struct page page;
    struct bytes status, domain, email, message_id;
};
struct delivery_list_out {
    struct delivery_row *rows;
    size_t n;
    struct page_out page;
};
bool delivery_list(struct call *c, const struct delivery_list_in *in, struct delivery_list_out *out);
struct delivery_get_in {
    struct bytes id;
};
bool delivery_get(struct call *c, const struct delivery_get_in *in, struct delivery_row *out);

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
