/* service/identity/domain.h - domains: a name exists once (ERR_CONFLICT); a path may name it by id or by name. */
#ifndef SERVICE_DOMAIN_H
#define SERVICE_DOMAIN_H
#include "service/core/call.h"

/* What is shown of a domain. */
struct domain_view {
    struct domain_row row;
    const struct dkim_row *dkim; /* its keys, the oldest first (dkim.h) */
    size_t n_dkim;
    /* By domain_records.h: */
    struct bytes records; /* JSON: what it publishes, and how each record stands */
    int64_t verified_at;  /* 0 while it has lost its records, and mail leaves for it until: */
    int64_t sends_until;
};

struct domain_list_in {
    struct page page;
};
struct domain_list_out {
    struct domain_view *rows;
    size_t n;
    struct page_out page;
};
bool domain_list(struct call *c, const struct domain_list_in *in, struct domain_list_out *out);
struct domain_create_in {
    struct domain_row given;
    uint64_t named; /* of domain_members */
};
bool domain_create(struct call *c, const struct domain_create_in *in, struct domain_view *out);
struct domain_get_in {
    struct bytes id;
};
bool domain_get(struct call *c, const struct domain_get_in *in, struct domain_view *out);
struct domain_update_in {
    struct bytes id;
    struct domain_row given;
    uint64_t named;
};
bool domain_update(struct call *c, const struct domain_update_in *in, struct domain_view *out);
struct domain_delete_in {
    struct bytes id;
}; /* ERR_IN_USE while it has addresses */
bool domain_delete(struct call *c, const struct domain_delete_in *in, void *out);
struct domain_verify_in {
    struct bytes id;
    bool force;
}; /* force needs operator, and asks nobody; otherwise the DNS is asked now */
bool domain_verify(struct call *c, const struct domain_verify_in *in, struct domain_view *out);
struct domain_dkim_import_in {
    struct bytes id;
    struct bytes selector, private_key; /* PEM, or an Ed25519 seed: dkim_key_read */
};
/* A key that was made elsewhere. It signs at once where the active one of its algorithm was never seen in the DNS, in
 * whose place it comes; else once it has been seen. ERR_CONFLICT: the selector is taken. */
bool domain_dkim_import(struct call *c, const struct domain_dkim_import_in *in, struct domain_view *out);

struct domain_dkim_rotate_in {
    struct bytes id;
};
/* The next keys, to be published; where they are there already, nothing. They sign once they were seen. */
bool domain_dkim_rotate(struct call *c, const struct domain_dkim_rotate_in *in, struct domain_view *out);

/* For service/: a domain of the account acted in, by id or name, whatever the scopes. ERR_MISSING. */
bool domain_of_account(struct call *c, struct bytes id, struct domain_row *out);
/* The same for an operation on domains: with the scope, and of those that the credential reaches. */
bool domain_reached(struct call *c, struct bytes id, struct domain_row *out);
/* out->row is there: the rest of what is shown of it. */
bool domain_show(struct call *c, struct domain_view *out);
#endif
