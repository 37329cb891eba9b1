/* net/http_client.h - the one HTTP client: webhooks, policies, reports, everything we fetch or post elsewhere.
 *
 *     struct http_ask ask = { .method = "POST", .url = url, .body = json, .answer_max = 65536, .deadline = soon,
 *                             .allow = may_be_reached, .ctx = rules };
 *     if (!http_client_ask(&ask, arena, &answer, e))
 *         answer.failure says why
 *
 * The URL is somebody else's, so it cannot choose where we go: names are resolved here by net/dns.h, every address is
 * shown to `allow` before it is used, and libcurl is given the address and no name to look up. What is really connected
 * to is shown again before anything is sent, so neither a name that resolves otherwise the next time (DNS rebinding)
 * nor a kept connection is a way around. IPv4-mapped addresses are the IPv4 addresses they are. http and https only; no
 * proxy, no cookies, no user names in URLs, no environment, no decompression, host names as A-labels. HTTPS is verified
 * as by TLS_BY_NAME (net/tls_client.h).
 *
 * Connections are kept and used again (http_client.idle), at most http_client.per_host to an address and port; a
 * request that finds them taken waits, within its deadline. libcurl runs on loop 0, whoever asks sleeps: from a fiber
 * or a plain thread. RFC 9110, 9112. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H
#include "net/tls_client.h"

#define HTTP_FAILURES(X)                                                                                               \
    X(NONE, "none")                                                                                                    \
    X(URL, "not a URL that we ask")                                                                                    \
    X(NAME, "no such host")                                                                                            \
    X(DNS, "the name could not be resolved")                                                                           \
    X(DENIED, "an address that must not be asked")                                                                     \
    X(CONNECT, "no connection")                                                                                        \
    X(TLS, "TLS failed")                                                                                               \
    X(TIMEOUT, "no whole answer in time")                                                                              \
    X(TOO_LARGE, "answer too large")                                                                                   \
    X(REDIRECT, "redirected too often, or out of HTTPS")                                                               \
    X(PROTOCOL, "answer not well formed, or cut off")                                                                  \
    X(BUSY, "too many requests are open")                                                                              \
    X(STOPPED, "the server is stopping")

enum http_failure {
#define X(name, text) HTTP_FAILED_##name,
    HTTP_FAILURES(X)
#undef X
};

struct http_client_field {
    struct bytes name, value;
};

struct http_ask {
    const char *method;
    struct bytes url;
    const struct http_client_field *fields; /* ours besides Host, User-Agent, Accept, Content-Length */
    size_t n_fields;
    struct bytes body;  /* NO_BYTES: none */
    size_t answer_max;  /* of the body; its header has http_client.header_max */
    int64_t deadline;   /* for all of it */
    unsigned redirects; /* that are followed, of GET and HEAD, never from https to http; 0: a 3xx is the answer */
    /* May this address be connected to? Also called on a loop thread: it must not wait. */
    bool (*allow)(void *ctx, const struct network *address, uint16_t port);
    void *ctx;
};

struct http_answer {
    enum http_failure failure;
    enum tls_failure tls; /* of HTTP_FAILED_TLS */
    int status;
    struct bytes body; /* in the arena, as is all of this */
    struct http_client_field *fields;
    size_t n_fields;
    struct bytes url; /* that answered */
    struct network address;
    unsigned redirects;
    bool reused; /* a kept connection */
};

/* After net_start and dns_start, not on a loop thread; there is one. `tls` is borrowed until http_client_stop. */
bool http_client_start(struct tls_client *tls, struct err *e);
void http_client_stop(void); /* before or after net_stop; who waits gets HTTP_FAILED_STOPPED */

/* Any status is an answer. False: `failure` tells; ERR_TIMEOUT, ERR_TOO_LARGE, ERR_INVALID (the URL, a field),
 * ERR_CLOSED (we stop), else ERR_BUSY. */
bool http_client_ask(const struct http_ask *in, struct arena *a, struct http_answer *out, struct err *e);
/* The first of a name, compared without case; NO_BYTES: none. */
struct bytes http_answer_field(const struct http_answer *answer, struct bytes name);
const char *http_failure_text(enum http_failure f);
#endif
