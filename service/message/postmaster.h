/* service/message/postmaster.h - mail for the postmaster reaches somebody: RFC 5321 4.5.1 wants it taken for every
 * domain that mail is taken for, and for <Postmaster> alone.
 *
 * A user, alias or catch-all of that address comes first (recipient.c). Otherwise: the user postmaster.address, the
 * oldest user of the domain, of the account that owns it, of the operator's account; the first of them that is not
 * disabled and has room. Is there none, the mail is captured for the operator's account, whose messages list it. */
#ifndef SERVICE_POSTMASTER_H
#define SERVICE_POSTMASTER_H
#include "service/identity/directory.h"
#include "service/message/intake.h"

/* The local part says so, in any case of letters. */
bool postmaster_is(const struct address *address);
/* Fills kind, user and room of *out. `domain` is NULL for our own name. False only when the store failed. */
bool postmaster_find(struct call *c, const struct directory_domain *domain, int64_t size, struct recipient *out);
#endif
