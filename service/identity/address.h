/* service/identity/address.h - further addresses, whose mail a user gets, other addresses get (a forward), or both. A
 * path may name one by id or by itself. */
#ifndef SERVICE_ADDRESS_H
#define SERVICE_ADDRESS_H
#include "service/core/call.h"

/* For service/: the row of an address as it is written, of any account, whatever the scopes. ERR_MISSING. */
bool address_by_text(struct call *c, struct bytes text, struct address_row *out);

struct address_list_in {
    struct page page;
    struct bytes user; /* filter: id or address */
};
struct address_list_out {
    struct address_row *rows;
    size_t n;
    struct page_out page;
};
bool address_list(struct call *c, const struct address_list_in *in, struct address_list_out *out);
/* Where its mail goes: to a user (id or address), on to other addresses, or both. */
struct address_target {
    bool forwards;
    struct bytes user;      /* NO_BYTES: nobody here, of a forward */
    struct bytes addresses; /* JSON list, of a forward; NO_BYTES: not given */
};
#define FORWARD_MOST 20 /* addresses that one is sent on to */
struct address_change {
    struct address_row row;
    struct address_target target;
    uint64_t named; /* of address_members */
};
struct address_create_in {
    struct address_change change;
};
bool address_create(struct call *c, const struct address_create_in *in, struct address_row *out);
struct address_get_in {
    struct bytes id;
};
bool address_get(struct call *c, const struct address_get_in *in, struct address_row *out);
struct address_update_in {
    struct bytes id;
    struct address_change change;
};
bool address_update(struct call *c, const struct address_update_in *in, struct address_row *out);
struct address_delete_in {
    struct bytes id;
}; /* ERR_IN_USE for a primary one */
bool address_delete(struct call *c, const struct address_delete_in *in, void *out);
#endif
