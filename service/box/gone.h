/* service/box/gone.h - the only way out of a mailbox: entries that are deleted or moved away.
 *
 *     gone_begin(&g, b, a, &place, most);        the first operation of its batch
 *     gone_entry(&g, &row);                      for each, best in the order of their uids
 *     gone_end(&g);
 * What is gone leaves no row to be asked, so the batch leaves one of the kind `change` with the uids (what RFC 7162
 * calls VANISHED) and the ids (RFC 8620: destroyed, but for those that were moved). They are kept for box.gone_keep;
 * the sweep then raises the user's gone_floor, below which nobody can be told what went.
 *
 * uids: each as its distance from the one before (the first from 0) modulo 2^32, in groups of 7 bits, low ones first,
 * the top bit set where more follow (LEB128): one byte for most, when they rise. */
#ifndef SERVICE_GONE_H
#define SERVICE_GONE_H
#include "service/core/kinds.h"

struct gone_place {
    struct id account_id, user_id, mailbox_id;
};

struct gone {
    struct batch *batch;
    struct arena *arena;
    struct change_row *row;
    struct set *user; /* of the first operation: what it takes off is known at the end */
    char *uids, *ids;
    int64_t last_uid;
    size_t n_uids, most;
    int modseq;
    int64_t unseen, bytes;
};

void gone_begin(struct gone *g, struct batch *b, struct arena *a, const struct gone_place *at, size_t most);
/* Deletes it on condition that it is as it was read, and marks its body. */
void gone_entry(struct gone *g, const struct entry_row *row);
/* What the mailbox and the user have less. */
void gone_end(struct gone *g);

/* An entry leaves its mailbox for another one of the user: the row alone. The slot is modseq_raise's. */
void gone_moved(struct batch *b, struct arena *a, const struct entry_row *row, int modseq);
/* An empty mailbox that is deleted. */
void gone_mailbox(struct batch *b, struct arena *a, const struct mailbox_row *row, int modseq);
#endif
