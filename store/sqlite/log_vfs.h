/* store/sqlite/log_vfs.h - a VFS for the connection that writes: what it writes to the log leaves in few calls.
 *
 * SQLite writes each page of its log with two calls, one for 24 bytes; a mail is about ten pages. The file that this
 * VFS opens for the log gathers what follows on without a gap, up to LOG_GATHER bytes, and writes it before it is
 * synced, read, measured or closed. All other files are the VFS's below.
 *
 * Only for synchronous=FULL: there every commit is synced before readers, who have files of their own, are told of its
 * pages. An error of a gathered write shows at the sync (or at the next write), which fails the commit just the same;
 * what could not be written stays and is tried again before anything else is. */
#ifndef STORE_SQLITE_LOG_VFS_H
#define STORE_SQLITE_LOG_VFS_H
#include <stdbool.h>

/* SQLite's VFS for Unix takes less than 128 KiB at once. */
#define LOG_GATHER (120 * 1024)

/* Are the log's next syncs done (as always, unless it is said otherwise), or do they only write what was gathered, for
 * a commit that need not be durable? A log that has just begun anew is synced in any case: pages of before behind the
 * beginning of a new one would be taken for its own. Of a connection without this VFS nothing changes. */
struct sqlite3;
void log_vfs_sync(struct sqlite3 *db, bool really);
/* After a rollback: what was gathered belongs to nothing (each commit leaves nothing gathered), and on a full disk it
 * would be in the way of all that is read and written behind it. */
void log_vfs_forget(struct sqlite3 *db);

/* The name of the one over the VFS called `under` (NULL: SQLite's default). Any thread. */
const char *log_vfs_name(const char *under);
#endif
