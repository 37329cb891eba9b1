/* store/sqlite/log_check.h - is what an unclean end left still whole?
 *
 * SQLite itself takes the log (the WAL) up to its first frame that does not fit, and a log that is not there for none:
 * after a crash that is right for its torn end, and silently loses mail when the file was deleted, or damaged before
 * its end. So the log is read before SQLite does, and two numbers are compared: one in the database, raised by the
 * first group behind each checkpoint, and one in the file "<database>-mark", written after that group is durable and
 * removed before a clean end. A database without its log that is behind its mark has lost what was in it. (SQLite's
 * file format, section 4: https://sqlite.org/fileformat2.html#walformat) */
#ifndef STORE_SQLITE_LOG_CHECK_H
#define STORE_SQLITE_LOG_CHECK_H
#include "base/err.h"
#include <stdint.h>

/* Before it is opened, and without a change. ERR_INVALID says what is lost and what to do. With `accept_loss` it is not
 * refused, but database and log are copied beside themselves, as "….lost-TIME", before SQLite cuts off what it cannot
 * read; ERR_STORAGE_FULL when that fails. Nothing is there yet: true. */
bool log_check(const char *path, bool accept_loss, struct err *e);

/* Writes the mark. It is not synced, and that it cannot be written is no fault: less is noticed then. */
void log_mark(const char *path, int64_t number);
void log_unmark(const char *path);
#endif
