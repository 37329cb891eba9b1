/* net/http_inner.h - inside net/: what the parts of the HTTP client share.
 * http_client.c thinks, http_request.c asks one address, http_transfer.c drives libcurl on loop 0. */
#ifndef NET_HTTP_INNER_H
#define NET_HTTP_INNER_H
#include "net/http_client.h"
#include "net/wait.h"
#include <curl/curl.h>

#define HTTP_ADDRESSES 8 /* of a host that are tried */

struct event;

/* One URL on the way to the answer. */
struct http_hop {
    struct tls_client *trusted;
    const struct http_ask *ask;
    struct arena *arena;
    CURLU *url;
    struct bytes host; /* without brackets */
    uint16_t port;
    bool https, same_origin; /* as the first URL: its fields may be sent */
    struct network addresses[HTTP_ADDRESSES];
    size_t n;
};

/* True: an answer, or a failure that another address would not mend; something may have been sent. */
bool http_hop_try(struct http_hop *h, const struct network *address, struct http_answer *out, struct err *e);
bool http_fail(struct http_answer *out, enum http_failure f, const char *more, struct err *e);

struct transfer {
    CURL *easy;
    const struct http_ask *ask;
    int64_t deadline;
    struct buf head, body;
    struct network address; /* really connected to */
    bool denied, sent;
    CURLcode code;
    bool stopped;
    /* the loop's */
    struct waiter done;
    struct event *expiry;
    struct transfer *next, *prev;
};

/* Starts and stops what drives libcurl. */
bool http_driver_start(struct err *e);
void http_driver_stop(void);
/* Carries it to its end and wakes the caller: t->code, or t->stopped. Its deadline holds while it waits for a
 * connection too, which libcurl's own does not. False: too many are open. */
bool http_transfer_run(struct transfer *t);
#endif
