/* service/identity/account.h - tenants. Only an operator makes, changes and lists them. */
#ifndef SERVICE_ACCOUNT_H
#define SERVICE_ACCOUNT_H
#include "service/identity/key.h"

struct account_list_in {
    struct page page;
};
struct account_list_out {
    struct account_row *rows;
    size_t n;
    struct page_out page;
};
bool account_list(struct call *c, const struct account_list_in *in, struct account_list_out *out);
struct account_create_in {
    struct account_row given;
};
struct account_create_out {
    struct account_row row;
    struct key_create_out key;
}; /* key: every scope of SCOPE_TENANT */
bool account_create(struct call *c, const struct account_create_in *in, struct account_create_out *out);
struct account_get_in {
    struct bytes id;
};
bool account_get(struct call *c, const struct account_get_in *in, struct account_row *out);
struct account_update_in {
    struct bytes id;
    struct account_row given;
    uint64_t named; /* of account_members */
};
bool account_update(struct call *c, const struct account_update_in *in, struct account_row *out);
struct account_delete_in {
    struct bytes id;
}; /* ERR_IN_USE while it owns domains; never the operator's */
bool account_delete(struct call *c, const struct account_delete_in *in, void *out);
#endif
