/* service/identity/user.h - users (who read mail); their addresses are in address.h. A path may name a user by id or by
 * address. */
#ifndef SERVICE_USER_H
#define SERVICE_USER_H
#include "service/core/call.h"

struct user_list_in {
    struct page page;
    struct bytes domain; /* id or name, filter */
};
struct user_list_out {
    struct user_row *rows;
    size_t n;
    struct page_out page;
};
bool user_list(struct call *c, const struct user_list_in *in, struct user_list_out *out);
/* send_as: a JSON list of "a@b" or "@b"; metadata: a JSON object, which a change merges (RFC 7396). */
struct user_change {
    struct user_row row;
    struct bytes password;
    uint64_t named; /* of user_members */
};
struct user_get_in {
    struct bytes id;
};
bool user_get(struct call *c, const struct user_get_in *in, struct user_row *out);
struct user_update_in {
    struct bytes id;
    struct user_change change;
};
bool user_update(struct call *c, const struct user_update_in *in, struct user_row *out);
/* For service/: a user of the account acted in by id or address, whatever the scopes. ERR_MISSING. */
bool user_of_account(struct call *c, struct bytes id, struct user_row *out);
#endif
