/* service/identity/key.h - API keys: random, stored hashed, shown once. A key grants only scopes and domains its maker
 * has. */
#ifndef SERVICE_KEY_H
#define SERVICE_KEY_H
#include "service/core/scope.h"

struct key_list_in {
    struct page page;
};
struct key_list_out {
    struct key_row *rows;
    size_t n;
    struct page_out page;
};
bool key_list(struct call *c, const struct key_list_in *in, struct key_list_out *out);
/* domain_ids: a JSON list of ids or names, allowed_ips: of addresses or networks; none: all. */
struct key_create_in {
    struct key_row given;
    uint64_t named; /* of key_members */
};
struct key_create_out {
    struct key_row row;
    struct bytes secret;
};
bool key_create(struct call *c, const struct key_create_in *in, struct key_create_out *out);
struct key_get_in {
    struct bytes id;
};
bool key_get(struct call *c, const struct key_get_in *in, struct key_row *out);
struct key_update_in {
    struct bytes id;
    struct key_row given;
    uint64_t named;
};
bool key_update(struct call *c, const struct key_update_in *in, struct key_row *out);
struct key_delete_in {
    struct bytes id;
};
bool key_delete(struct call *c, const struct key_delete_in *in, void *out);
#endif
