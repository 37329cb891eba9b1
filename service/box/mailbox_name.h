/* service/box/mailbox_name.h - how mailboxes may be called.
 *
 * A name is a step of a path in IMAP, and is compared there byte by byte: so it has no '/' (the separator), no '#' at
 * its start (namespaces, RFC 9051 section 5.1.2), no control characters and no blanks at its ends, and is kept in one
 * form, NFC (RFC 5198 section 3). */
#ifndef SERVICE_MAILBOX_NAME_H
#define SERVICE_MAILBOX_NAME_H
#include "service/core/call.h"

/* Notes what is wrong with the name a request gives; *name is it as it is kept. */
void mailbox_name_check(struct call *c, struct bytes *name);
/* The nearest one that may be, for a name of before this rule: '-' for what may not be in it. `number` above 1 makes
 * it another one, "Work (2)". */
struct bytes mailbox_name_mend(struct bytes name, int number, struct arena *a);
#endif
