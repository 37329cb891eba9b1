/* service/queue/queue_view.h - what waits to leave, site by site (a site is a recipient domain).
 *
 * Sites are found by skipping along the index of flows, one look-up each, so that a page costs the same however much
 * waits. Rows are counted up to a number (queue_view.c): beyond it a depth is "at least", and `exact` is false; what
 * was oldest, and the last error, are then of the rows that were looked at. Held mail has no flow, and is not in it:
 * GET /v1/deliveries?status=held. The operator sees all, a tenant what is its own: of a page that passes many sites of
 * others it may see few, or none, with has_more.
 *
 * The state of a path is of the engine, and asked of it where it runs in this process; other nodes know what it wrote
 * down of paths that are not open. */
#ifndef SERVICE_QUEUE_VIEW_H
#define SERVICE_QUEUE_VIEW_H
#include "service/core/call.h"

struct queue_site {
    struct bytes site;
    int64_t high, normal, bulk; /* rows of each class */
    bool exact;
    int64_t oldest_at, next_at;
    struct bytes last_error;  /* JSON, as `last` of a delivery; NO_BYTES: none was met */
    struct bytes path;        /* JSON; NO_BYTES: nothing is known of it */
    struct bytes suspensions; /* JSON list of ids */
};

struct queue_list_in {
    struct page page;
};
struct queue_list_out {
    struct queue_site *rows;
    size_t n;
    struct page_out page;
};
/* In the order of names. */
bool queue_list(struct call *c, const struct queue_list_in *in, struct queue_list_out *out);
struct queue_get_in {
    struct bytes site;
};
/* ERR_MISSING: nothing waits for it. */
bool queue_get(struct call *c, const struct queue_get_in *in, struct queue_site *out);
#endif
