/* service/queue/mail_route.h - which way a recipient's mail leaves: the first route that matches, the account's before
 * the operator's, each in order of position. Asked anew at every attempt, so that a change holds for what waits. Pure;
 * the rows are service/queue/route.h's, and routing.h has those of now. */
#ifndef SERVICE_MAIL_ROUTE_H
#define SERVICE_MAIL_ROUTE_H
#include "base/arena.h"
#include "base/id.h"

enum route_way {
    ROUTE_MX,      /* as DNS says; where no route matches too */
    ROUTE_RELAY,   /* by way of the hosts named */
    ROUTE_CAPTURE, /* kept here, as in the sandbox */
    ROUTE_HOLD,    /* until somebody releases it */
};
enum route_tls { ROUTE_TLS_MAY, ROUTE_TLS_NONE, ROUTE_TLS_REQUIRE, ROUTE_TLS_VERIFY };

/* Their names, as rows and parameters have them; false: none of these. */
bool route_way_read(struct bytes text, enum route_way *out);
bool route_tls_read(struct bytes text, enum route_tls *out);
const char *route_way_text(enum route_way way);
const char *route_tls_text(enum route_tls tls);

#define PORT_SUBMISSIONS 465 /* TLS from the first byte (RFC 8314 3.3) */

/* What a recipient's delivery is, to be matched. Domains are normalized: lower case, A-labels. */
struct route_query {
    struct id account;
    struct bytes domain, sender_domain;
    const struct bytes *tags; /* "name=value" each */
    size_t n_tags;
    char class;          /* 'h', 'n', 'l' */
    struct bytes source; /* api, submission, smtp, system: how it came to us */
};

struct mail_route {
    struct id id, account; /* account none: the operator's. id none: of the parameters, no row */
    int64_t position, version;
    /* All that are given must match; NO_BYTES and 0: any. A domain is "x.example" itself, "*.x.example" whatever stands
     * below it, "*" every one; a tag "name=value", or "name" with any value. */
    struct bytes domain, sender_domain, tag, source;
    char class;
    /* Where it goes. */
    enum route_way way;
    const struct bytes *hosts; /* RELAY: names or addresses, tried in this order */
    size_t n_hosts;
    int port;       /* RELAY; 0: that of all */
    bool mx_lookup; /* RELAY: MX of the host, not its address */
    enum route_tls tls;
    bool insecure_auth; /* AUTH without verified TLS */
    struct bytes auth_user;
    struct bytes auth_sealed; /* the password of a row */
    struct bytes auth_file;   /* the file with that of the parameters */
    bool private_net;         /* its hosts may lie in denied networks */
};

/* The operator's, then account by account, each by position; of equal positions the older id is first. */
void mail_routes_sort(struct mail_route *routes, size_t n);
/* Of sorted ones. NULL: none matches. */
const struct mail_route *mail_route_find(const struct mail_route *routes, size_t n, const struct route_query *q);
/* The first of those that do not ask the message. */
const struct mail_route *mail_route_of_flow(const struct mail_route *routes, size_t n, const struct route_query *q);
const struct mail_route *mail_route_by_id(const struct mail_route *routes, size_t n, struct id account,
                                          struct id id); /* or the operator's */
/* Does any of the account's, or of the operator's, ask it? */
bool mail_routes_ask_message(const struct mail_route *routes, size_t n, struct id account);
bool mail_route_matches(const struct mail_route *r, const struct route_query *q);
/* Does it take all mail of a flow (site, class, account) that it matches, or does the message decide? */
bool mail_route_asks_message(const struct mail_route *r);
/* "*", "*.x.example", "x.example" against a normalized domain. */
bool mail_route_domain_matches(struct bytes pattern, struct bytes domain);
/* All of it in another arena. */
void mail_route_copy(struct arena *a, const struct mail_route *r, struct mail_route *out);
#endif
