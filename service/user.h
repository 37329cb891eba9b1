/* service/user.h - users (who read mail) and their addresses. A path may name a user by id or by address. */
#ifndef SERVICE_USER_H
#define SERVICE_USER_H
#include "service/call.h"

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
enum {
    USER_SET_NAME = 1,
    USER_SET_PASSWORD = 2,
    USER_SET_QUOTA = 4,
    USER_SET_DISABLED = 8,
    USER_SET_SAVE_SENT = 16,
    USER_SET_SEND_AS = 32,
    USER_SET_METADATA = 64,
    USER_SET_ENCRYPTION = 128
};
struct user_change {
    unsigned set; /* which of the members below are given */
    struct bytes name, password, encryption;
    int64_t quota;
    bool disabled, save_sent;
    const struct bytes *send_as; /* "a@b" or "@b" */
    size_t n_send_as;
    struct bytes metadata; /* JSON object or NO_BYTES for null; already merged by the caller (RFC 7396) */
};
struct user_create_in {
    struct bytes address;
    struct user_change change;
};
bool user_create(struct call *c, const struct user_create_in *in, struct user_row *out); /* with its six mailboxes */
struct user_get_in {
    struct bytes id;
};
bool user_get(struct call *c, const struct user_get_in *in, struct user_row *out);
struct user_update_in {
    struct bytes id;
    struct user_change change;
};
bool user_update(struct call *c, const struct user_update_in *in, struct user_row *out);
struct user_delete_in {
    struct bytes id;
    bool erase;
}; /* ERR_IN_USE with mail unless erase */
/* For service/: a user of the account acted in by id or address, whatever the scopes. ERR_MISSING. */
bool user_of_account(struct call *c, struct bytes id, struct user_row *out);
/* Likewise the row of an address as it is written, of any account. ERR_MISSING. */
bool address_by_text(struct call *c, struct bytes text, struct address_row *out);
bool user_delete(struct call *c, const struct user_delete_in *in, void *out);

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
struct address_create_in {
    struct bytes address, user_id;
};
bool address_create(struct call *c, const struct address_create_in *in, struct address_row *out);
struct address_get_in {
    struct bytes id;
};
bool address_get(struct call *c, const struct address_get_in *in, struct address_row *out);
struct address_update_in {
    struct bytes id;
    struct bytes user_id; /* a new target */
};
bool address_update(struct call *c, const struct address_update_in *in, struct address_row *out);
struct address_delete_in {
    struct bytes id;
}; /* ERR_IN_USE for a primary one */
bool address_delete(struct call *c, const struct address_delete_in *in, void *out);
#endif
