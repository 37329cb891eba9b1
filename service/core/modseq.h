/* service/core/modseq.h - the number of a user's changes (RFC 7162, RFC 8620 section 5.1).
 *
 *     int modseq = modseq_raise(b, a, user.id);       before all else in a batch that changes a mailbox or an entry
 *     sets[n++] = FROM_SLOT("modseq", modseq, 0);     in every such mailbox and entry
 * One number a user, so that it orders the changes of all their mailboxes; a batch's changes have one and the same.
 * Mailboxes and entries hold that of their last change, and never a higher one than their user. Raised first, it also
 * puts the batches of one user in order: who has read up to a number has missed nothing below it. */
#ifndef SERVICE_MODSEQ_H
#define SERVICE_MODSEQ_H
#include "service/core/kinds.h"

/* Adds the raise; the slot that will hold the new number. Where the batch changes more of the user's row, its update
 * holds ADD_SLOT("modseq", 1, slot) instead. */
int modseq_raise(struct batch *b, struct arena *a, struct id user);
#endif
