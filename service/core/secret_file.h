/* service/core/secret_file.h - the small files of the data folder that only its owner may read: server.key, node.id,
 * admin.key, and the ready file, which names it. Blocking; at start only. Errors are ERR_INVALID and say what to do. */
#ifndef SERVICE_SECRET_FILE_H
#define SERVICE_SECRET_FILE_H
#include "base/arena.h"
#include "base/err.h"

#define SECRET_FILE_MAX 4096

/* The folder exists (it is made when it is not), is a folder, 0700 and ours. */
bool secret_folder(const char *path, struct err *e);
/* *found false, without an error, when there is none. A file that others may read or write is refused. */
bool secret_read(const char *path, struct arena *a, struct bytes *out, bool *found, struct err *e);
/* Replaces the file whole, 0600, for the owner of its folder, and makes it durable before it returns. */
bool secret_write(const char *path, struct bytes text, struct err *e);
#endif
