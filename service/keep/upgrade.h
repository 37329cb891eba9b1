/* service/keep/upgrade.h - work on rows that an older build wrote, once for each store, before it is served.
 *
 * Steps are numbered, and the last one done is kept in the row of the kind `upgrade`. A step walks the store, and may
 * be begun again at any time: it changes what it has not changed yet, on condition that nobody else has; so of several
 * nodes that start together each may do some of it. New fields alone need none (older rows read as 0 or null).
 *
 * With MongoDB a build of before may go on beside this one for a while. What it writes then is served like all else,
 * but it does not count changes by the user's number: `postrider sync` raises that once the last of them has ended. A
 * mailbox that it gives a name which is none any more keeps that until somebody renames it, and the mails of a user
 * that it makes are of no thread. */
#ifndef SERVICE_UPGRADE_H
#define SERVICE_UPGRADE_H
#include "service/core/state.h"

/* Blocks. Quick when nothing is to do. */
bool upgrade_run(struct service *svc, struct err *e);
#endif
