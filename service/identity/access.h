/* service/identity/access.h - who may reach whose mail. A user reaches their own; a key or operator with mail:read /
 * mail:write that of the account acted in, a key bound to domains that of their users, a test key none. What is not
 * theirs to see is ERR_MISSING, in the words for what is not there. */
#ifndef SERVICE_ACCESS_H
#define SERVICE_ACCESS_H
#include "service/identity/directory.h"

/* Leaves the event `mail.read` when somebody else than the user reads. */
bool access_audit(struct call *c, struct id user);
/* May it read or change mail at all? The errors of what follows, where there is nothing to ask about. */
bool access_mail(struct call *c, unsigned scope);
/* Rows by the id of a path, for whoever may. `scope`: SCOPE_MAIL_READ or SCOPE_MAIL_WRITE. */
bool access_mailbox(struct call *c, struct bytes id, unsigned scope, struct mailbox_row *out);
bool access_entry(struct call *c, struct bytes id, unsigned scope, struct entry_row *out);
/* A user by id or address; ERR_MISSING for another account's. */
bool access_user(struct call *c, struct bytes id, unsigned scope, struct directory_user *out);
#endif
