/* delivery/route.h - which way a recipient's mail leaves: the first route that matches, the account's before the
 * operator's, each in order of position. Asked anew at every attempt, so that a change holds for what waits. Pure.
 *
 * Until routes are rows there is one, which the engine makes of the parameters (engine_route), and nothing is matched.
 */
#ifndef DELIVERY_ROUTE_H
#define DELIVERY_ROUTE_H
#include "base/id.h"

enum route_way {
    ROUTE_MX,      /* as DNS says; where no route matches too */
    ROUTE_RELAY,   /* by way of the hosts named */
    ROUTE_CAPTURE, /* kept here, as in the sandbox */
    ROUTE_HOLD,    /* until somebody releases it */
};
enum route_tls { ROUTE_TLS_MAY, ROUTE_TLS_NONE, ROUTE_TLS_REQUIRE, ROUTE_TLS_VERIFY };

/* What a recipient's delivery is, to be matched. Domains are normalized: lower case, A-labels. */
struct route_query {
    struct id account;
    struct bytes domain, sender_domain;
    const struct bytes *tags; /* "name=value" each */
    size_t n_tags;
    char class;          /* 'h', 'n', 'l' */
    struct bytes source; /* api, submission, smtp, system: how it came to us */
};

struct route {
    struct id id, account; /* account none: the operator's */
    int64_t position;
    bool disabled;
    /* All that are given must match; NO_BYTES and 0: any. A domain is "x.example" itself, "*.x.example" whatever stands
     * below it, "*" every one. */
    struct bytes domain, sender_domain, tag, source;
    char class;
    /* Where it goes. */
    enum route_way way;
    const struct bytes *hosts; /* RELAY: names or addresses, tried in this order */
    size_t n_hosts;
    int port;       /* RELAY; 0: 25 */
    bool mx_lookup; /* RELAY: MX of the host, not its address */
    enum route_tls tls;
    bool insecure_auth; /* AUTH without verified TLS */
    struct bytes auth_user, auth_secret;
    struct bytes pool;
    bool private_net; /* its hosts may lie in denied networks */
    bool chunking;
};

/* NULL: none matches. *routes may be in any order; of equal positions the older id is first. */
const struct route *route_find(const struct route *routes, size_t n, const struct route_query *q);
bool route_matches(const struct route *r, const struct route_query *q);
/* "*", "*.x.example", "x.example" against a normalized domain. */
bool route_domain_matches(struct bytes pattern, struct bytes domain);
#endif
