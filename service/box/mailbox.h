/* service/box/mailbox.h - a user's mailboxes. Six with a role are made with the user and cannot be deleted or renamed.
 * A credential with mail:read / mail:write reaches the mailboxes of its account's users (an audit event `mail.read` is
 * left), a user their own. */
#ifndef SERVICE_MAILBOX_H
#define SERVICE_MAILBOX_H
#include "service/core/call.h"

struct mailbox_list_in {
    struct bytes user;
    struct page page;
}; /* user: id or address */
struct mailbox_list_out {
    struct mailbox_row *rows;
    size_t n;
    struct page_out page;
};
bool mailbox_list(struct call *c, const struct mailbox_list_in *in, struct mailbox_list_out *out);
struct mailbox_create_in {
    struct bytes user; /* id or address */
    struct mailbox_row given;
};
bool mailbox_create(struct call *c, const struct mailbox_create_in *in, struct mailbox_row *out);
struct mailbox_get_in {
    struct bytes id;
};
bool mailbox_get(struct call *c, const struct mailbox_get_in *in, struct mailbox_row *out);
struct mailbox_update_in {
    struct bytes id;
    struct mailbox_row given; /* name, parent_id */
    uint64_t named;           /* of mailbox_members */
};
bool mailbox_update(struct call *c, const struct mailbox_update_in *in, struct mailbox_row *out);
struct mailbox_delete_in {
    struct bytes id;
}; /* ERR_IN_USE with entries, children or a role */
bool mailbox_delete(struct call *c, const struct mailbox_delete_in *in, void *out);
/* What makes a name unique within its parent, whatever its case: the value of `slot`. */
struct bytes mailbox_slot(struct id parent, struct bytes name, struct arena *a);
#endif
