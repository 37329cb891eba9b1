/* store/sqlite/log_vfs.c - few large writes to the log in place of many small ones.
 *
 * Everything but the log goes straight to the VFS below, and so does every call that could see the difference: the
 * gathered bytes are written first. What could not be written is kept, so an error is told again and never passed
 * over. */
#include "store/sqlite/log_vfs.h"
#include "base/err.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct log_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
    sqlite3_int64 start;
    int used;
    bool put_off; /* syncs, unless the log's own header is among what was written */
    bool begun_anew;
    char *gathered;
};

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct log_file *)f)->real;
}

static int flush(sqlite3_file *f)
{
    struct log_file *log = (struct log_file *)f;
    int rc;

    if (!log->used)
        return SQLITE_OK;
    rc = log->real->pMethods->xWrite(log->real, log->gathered, log->used, log->start);
    if (rc == SQLITE_OK)
        log->used = 0;
    return rc;
}

static int l_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)f;

    log->begun_anew = log->begun_anew || at == 0;
    if (log->used && (at != log->start + log->used || n > LOG_GATHER - log->used)) {
        int rc = flush(f);

        if (rc != SQLITE_OK)
            return rc;
    }
    if (n > LOG_GATHER)
        return real(f)->pMethods->xWrite(real(f), data, n, at);
    if (!log->used)
        log->start = at;
    memcpy(log->gathered + log->used, data, (size_t)n);
    log->used += n;
    return SQLITE_OK;
}

static int l_close(sqlite3_file *f)
{
    struct log_file *log = (struct log_file *)f;
    int rc = flush(f), closed = real(f)->pMethods->xClose(real(f));

    sqlite3_free(log->gathered);
    log->gathered = NULL;
    return rc == SQLITE_OK ? closed : rc;
}

static int l_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    int rc = flush(f);

    return rc == SQLITE_OK ? real(f)->pMethods->xRead(real(f), out, n, at) : rc;
}

static int l_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = flush(f);

    return rc == SQLITE_OK ? real(f)->pMethods->xTruncate(real(f), size) : rc;
}

static int l_sync(sqlite3_file *f, int flags)
{
    struct log_file *log = (struct log_file *)f;
    int rc = flush(f);

    if (rc != SQLITE_OK || (log->put_off && !log->begun_anew))
        return rc;
    rc = real(f)->pMethods->xSync(real(f), flags);
    log->begun_anew = log->begun_anew && rc != SQLITE_OK;
    return rc;
}

static int l_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int rc = flush(f);

    return rc == SQLITE_OK ? real(f)->pMethods->xFileSize(real(f), size) : rc;
}

static int l_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int l_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int l_check(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int l_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int l_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int l_traits(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

/* Version 1: shared memory and mapping belong to the database's own file. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = l_close,
    .xRead = l_read,
    .xWrite = l_write,
    .xTruncate = l_truncate,
    .xSync = l_sync,
    .xFileSize = l_size,
    .xLock = l_lock,
    .xUnlock = l_unlock,
    .xCheckReservedLock = l_check,
    .xFileControl = l_control,
    .xSectorSize = l_sector,
    .xDeviceCharacteristics = l_traits,
};

/* NULL for a connection without this VFS. */
static struct log_file *log_of(struct sqlite3 *db)
{
    sqlite3_file *f = NULL;
    bool ours =
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) == SQLITE_OK && f && f->pMethods == &methods;

    return ours ? (struct log_file *)f : NULL;
}

void log_vfs_sync(struct sqlite3 *db, bool really)
{
    struct log_file *log = log_of(db);

    if (log)
        log->put_off = !really;
}

void log_vfs_forget(struct sqlite3 *db)
{
    struct log_file *log = log_of(db);

    if (log)
        log->used = 0;
}

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    sqlite3_vfs *under = v->pAppData;
    struct log_file *log = (struct log_file *)f;
    int rc;

    if (!(flags & SQLITE_OPEN_WAL))
        return under->xOpen(under, name, f, flags, out_flags);
    *log = (struct log_file){ .real = (sqlite3_file *)(void *)(log + 1), .gathered = sqlite3_malloc(LOG_GATHER) };
    if (!log->gathered)
        return SQLITE_NOMEM;
    log->real->pMethods = NULL;
    rc = under->xOpen(under, name, log->real, flags, out_flags);
    if (rc == SQLITE_OK)
        log->base.pMethods = &methods;
    else
        sqlite3_free(log->gathered);
    return rc;
}

/* One for each VFS below; registered for good. */
static sqlite3_vfs *over(sqlite3_vfs *under)
{
    char *name = sqlite3_mprintf("postrider-log-%s", under->zName);
    sqlite3_vfs *vfs = name ? sqlite3_vfs_find(name) : NULL;

    if (vfs) {
        sqlite3_free(name);
        return vfs;
    }
    vfs = malloc(sizeof *vfs);
    if (!name || !vfs)
        die("out of memory: a VFS");
    *vfs = *under;
    vfs->pNext = NULL;
    vfs->zName = name;
    vfs->szOsFile = (int)sizeof(struct log_file) + under->szOsFile;
    vfs->pAppData = under;
    vfs->xOpen = v_open;
    if (sqlite3_vfs_register(vfs, 0) != SQLITE_OK)
        die("SQLite takes no VFS");
    return vfs;
}

const char *log_vfs_name(const char *under)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    sqlite3_vfs *vfs, *below = sqlite3_vfs_find(under);

    if (!below)
        die("SQLite has no VFS");
    pthread_mutex_lock(&mutex);
    vfs = over(below);
    pthread_mutex_unlock(&mutex);
    return vfs->zName;
}
