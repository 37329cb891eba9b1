/* service/box/snapshot.h - the list of an INBOX's messages as a POP3 session sees it, kept between sessions.
 *
 * A mail program that polls asks for the same list each time, and reading it costs a look-up a message. What a mailbox
 * holds changes only with its counters: an entry that comes takes a uid, one that goes lowers `total`. So a list is
 * good as long as uid_next, total and bytes are those that it was read under, whoever changed them on whichever node.
 * Lists of maildrop.snapshot_memory bytes are kept, those least recently used go first. Any thread; a snapshot is never
 * changed, and lives until all who hold it have let it go. */
#ifndef SERVICE_SNAPSHOT_H
#define SERVICE_SNAPSHOT_H
#include "service/box/maildrop.h"

struct snapshot;
struct snapshots;
struct mailbox_row;

struct snapshots *snapshots_new(void);
void snapshots_free(struct snapshots **s);

/* The oldest messages of the mailbox, up to `most`, by uid. Let it go with snapshot_release. */
bool snapshot_take(struct call *c, struct id mailbox, size_t most, struct snapshot **out);
size_t snapshot_count(const struct snapshot *s);
const struct maildrop_item *snapshot_items(const struct snapshot *s);
void snapshot_release(struct snapshot **s);
#endif
