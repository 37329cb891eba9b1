/* service/identity/directory.h - whose is this domain, whose is this address: what every RCPT asks.
 *
 * Answers come from memory (directory.cache_entries, at most 1 s old: changes by other nodes); a change of a domain,
 * address, user or account by this process ends them at once (directory_changed). What is not there is remembered too.
 * Any thread or fiber; results lie in c->arena. */
#ifndef SERVICE_DIRECTORY_H
#define SERVICE_DIRECTORY_H
#include "mail/address.h"
#include "service/core/call.h"

struct directory_domain {
    struct id id, account_id;
    struct bytes name, catch_all; /* catch_all: an address or NO_BYTES */
    bool inbound;                 /* has mailboxes here: domain.inbound is "mailboxes" */
    bool verified;                /* mail may leave for it, and come from other accounts: domain_is_trusted */
    bool return_path;             /* reports come back by rp.NAME */
};

enum directory_how { FOUND_EXACT, FOUND_TAG, FOUND_CATCH_ALL };

struct directory_user {
    struct id id, account_id, domain_id;
    struct bytes address; /* the primary one */
    int64_t quota, used;  /* used: see directory_add_used */
    bool disabled;        /* the user or the account: no login, no mail */
    uint64_t password;    /* mark of the password's hash: changes with it */
    bool save_sent;
    struct bytes user_key, user_key_wrap, send_as;
    struct bytes index_key, index_key_wrap; /* NO_BYTES: the user has none */
    struct id inbox_id, sent_id;            /* role mailboxes live as long as their user */
    enum directory_how how; /* of directory_find: by the address itself, without its +tag, or by catch-all */
    bool forwards;          /* of directory_find: the address is sent on, too */
};

/* An address whose mail is sent on. */
struct directory_forward {
    struct id account_id, domain_id; /* of the address */
    struct id user_id;               /* who gets it, too; none: nobody */
    struct bytes to;                 /* JSON list of addresses */
};

/* A domain of ours by name in any form. ERR_MISSING; ERR_SYNTAX for what is no domain. */
bool directory_domain(struct call *c, struct bytes name, struct directory_domain *out);
/* Who gets mail for this address: the address itself, then without +tag, then the domain's catch-all. ERR_MISSING.
 * `inbound` and `disabled` are the caller's to judge. */
bool directory_find(struct call *c, const struct address *address, struct directory_user *out);
bool directory_user(struct call *c, struct id user_id, struct directory_user *out);
/* Where mail for the address is sent on to, found as directory_find does, which knows only users. ERR_MISSING: nowhere.
 */
bool directory_forward(struct call *c, const struct address *address, struct directory_forward *out);
/* An address as deliveries keep theirs, to look for it; what is none stays as it is. False when the store failed. */
bool directory_email(struct call *c, struct bytes text, struct bytes *out);

/* As directory_user.password; 0 without a password. */
uint64_t directory_password_mark(struct bytes password_hash);

/* After a commit that changed a domain, address, user (not its `used`) or account. */
void directory_changed(struct service *svc);
/* After a commit that raised or lowered a user's `used`, so that the cached one keeps up. */
void directory_add_used(struct service *svc, struct id user_id, int64_t n);

struct directory *directory_new(void);
void directory_free(struct directory **d);
#endif
