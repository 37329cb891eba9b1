/* service/queue/route.h - routes as rows: which mail leaves by which way. What they mean is mail_route.h's, and the
 * engine asks routing.h.
 *
 * Rows of the operator's account hold for all accounts, behind their own. What opens the inside of our network or says
 * a password in clear (private, insecure_auth), and what tells mail by how it came (source), is the operator's to set:
 * a route that has it is changed by nobody else. A tenant's relay has one of the ports of mail. The password is sealed
 * and never shown; who sends it elsewhere (hosts, lookup, port, username) gives it anew. A change may be on condition
 * of a version: precondition.h. */
#ifndef SERVICE_ROUTE_H
#define SERVICE_ROUTE_H
#include "service/queue/queue.h"

#define ROUTE_HOSTS_MAX 10

struct route_change {
    struct route_row row;
    struct bytes password;
    struct bytes if_match;
};

struct route_list_in {
    struct page page;
};
struct route_list_out {
    struct route_row *rows;
    size_t n;
    struct page_out page;
};
bool route_list(struct call *c, const struct route_list_in *in, struct route_list_out *out);
struct route_create_in {
    struct route_change given;
    uint64_t named; /* of route_members */
};
/* At most delivery.routes_max an account: ERR_INVALID. */
bool route_create(struct call *c, const struct route_create_in *in, struct route_row *out);
struct route_get_in {
    struct bytes id;
};
bool route_get(struct call *c, const struct route_get_in *in, struct route_row *out);
struct route_update_in {
    struct bytes id;
    struct route_change given;
    uint64_t named;
}; /* ERR_PRECONDITION */
bool route_update(struct call *c, const struct route_update_in *in, struct route_row *out);
struct route_delete_in {
    struct bytes id, if_match;
}; /* ERR_PRECONDITION */
bool route_delete(struct call *c, const struct route_delete_in *in, void *out);

/* What would become of a mail now, and why. */
struct route_explain_in {
    struct bytes to, from, tag; /* from and tag may be NO_BYTES */
};
struct route_explain_out {
    struct bytes to, from, tag;
    /* The route, where it is the account's own or an operator asks. */
    struct route_row row;
    bool shown;
    const char *type, *tls; /* "local" and NULL where the domain is ours: no route is asked for */
    struct bytes why, tls_why;
    bool known; /* `outlook` is filled in */
    struct outlook outlook;
    bool limits_shown, hosts_shown;
    struct bytes source, source_why, return_path, return_path_why;
};
bool route_explain(struct call *c, const struct route_explain_in *in, struct route_explain_out *out);

/* The password of a row; NO_BYTES when this server's key does not open it. */
struct bytes route_password(const struct service *svc, struct id row, struct bytes sealed, struct arena *a);
#endif
