/* store/sqlite/fault_vfs.h - a disk that fails, for tests (builds with POSTRIDER_FAULTS).
 *
 * Sits over SQLite's own VFS and is chosen by the environment POSTRIDER_TEST_VFS before the first store is opened, or
 * by fault_vfs_set at any time:
 *
 *     full:N    every N-th write or sync fails as on a full disk
 *     io:N      every N-th write or sync fails with EIO
 *     forget    writes stay in memory until the file is synced: a kill loses what was not
 *
 * "forget" only while one process has the database open, and for files opened while it is on. Any thread. */
#ifndef STORE_SQLITE_FAULT_VFS_H
#define STORE_SQLITE_FAULT_VFS_H
#include <stdbool.h>

enum fault { FAULT_OFF, FAULT_FULL, FAULT_IO };

/* The VFS to open with: its name, or NULL for the usual one. */
const char *fault_vfs_name(void);
/* From now on every n-th write or sync fails, `times` times (0: without end). */
void fault_vfs_set(enum fault fault, int n, int times);
/* Makes fault_vfs_name answer, with or without forgetting. */
void fault_vfs_use(bool forget);
/* Writes and syncs so far. */
int fault_vfs_calls(void);
#endif
