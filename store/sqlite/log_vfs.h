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

/* SQLite's VFS for Unix takes less than 128 KiB at once. */
#define LOG_GATHER (120 * 1024)

/* The name of the one over the VFS called `under` (NULL: SQLite's default). Any thread. */
const char *log_vfs_name(const char *under);
#endif
