/* service/keep/sync.h - derived values put right: what could be counted again, and is kept beside for speed.
 *
 *     account.domains, domain.addresses and dkim_keys,
 *     user.addresses                                       how many there are
 *     mailbox.total, unseen, bytes                         of its entries
 *     mailbox.uid_next, modseq                             above those of its entries: only raised
 *     user.modseq, uid_validity                            those of no mailbox are higher: only raised
 *     user.used                                            bytes of the entries in all mailboxes of the user
 *     message.n_open … n_cancelled                         deliveries of the message by where they stand
 *
 * It may run beside servers: what is off is looked at twice, and put right on condition that nothing of what it was
 * counted from has changed since; what keeps changing is left, and counted in `busy`. A server's cache of what users
 * have used follows within the time that it keeps it.
 *
 * Deliveries may expire before their message: a final count that is higher than the deliveries that are left is taken
 * for wrong only in the first hour of a message, the shortest time that deliveries are kept. Of mail between two
 * accounts of one server, the receiver's message counts what is open and delivered; what failed is not seen from there.
 *
 * Blocks; one plain thread. */
#ifndef SERVICE_SYNC_H
#define SERVICE_SYNC_H
#include "service/core/kinds.h"

struct sync_found {
    const char *kind;
    struct bytes id;   /* as the API writes it */
    struct bytes name; /* for people; may be NO_BYTES */
    const char *field;
    int64_t was, is;
};

struct sync_options {
    bool dry_run;                                            /* only says what is off */
    void (*found)(void *arg, const struct sync_found *what); /* called for each value, after it was put right */
    void *arg;
};

struct sync_report {
    int64_t rows; /* looked at: accounts, domains, users, messages */
    int64_t off;  /* values */
    int64_t busy; /* rows that kept changing: not known */
};

/* Opens the store, which must be there and be no unfinished copy; `alone` as in struct store_options. */
bool sync_url(const char *url, bool alone, const struct sync_options *o, struct sync_report *out, struct err *e);
bool sync_run(struct store *st, const struct sync_options *o, struct sync_report *out, struct err *e);
#endif
