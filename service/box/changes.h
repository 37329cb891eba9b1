/* service/box/changes.h - what changed in a mailbox since a client last asked (RFC 7162's CHANGEDSINCE and VANISHED,
 * RFC 8620 section 5.2): how a copy of it is kept up to date.
 *
 * A copy begins with the mailbox's modseq, then takes all its entries, then asks for the changes since that number, and
 * from then on since the number that each answer gave. What is created or updated is put into the copy under its id,
 * whether that is there or not, and what vanished is taken out. An answer never misses a change up to its number,
 * whoever changes what meanwhile; what changed behind it may be in it already, and comes again. */
#ifndef SERVICE_CHANGES_H
#define SERVICE_CHANGES_H
#include "service/box/entry.h"

struct mailbox_changes_in {
    struct bytes id;
    int64_t since; /* below 0: not given */
    int limit;     /* 0: the standard one */
};
struct mailbox_changes_out {
    int64_t modseq;             /* ask since this next */
    struct entry_view *created; /* came into this mailbox since, by a delivery or a move */
    struct entry_view *updated; /* changed in it */
    struct bytes *vanished;     /* ids of entries that left it, in no order; also of some that were never told */
    size_t n_created, n_updated, n_vanished;
    bool has_more;
};
/* At most `limit` entries, and what vanished meanwhile; but one batch is never cut in two, so what it changed at once
 * may be more. ERR_STATE_TOO_OLD: what left since then is no longer known (box.gone_keep), or the number is none that
 * this user has reached (a backup was restored): the client lists the mailbox anew. */
bool mailbox_changes(struct call *c, const struct mailbox_changes_in *in, struct mailbox_changes_out *out);
#endif
