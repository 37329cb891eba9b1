/* store/sqlite/fault_vfs.c - a disk that fails or forgets, under SQLite's own VFS.
 *
 * "forget" keeps in memory what was written and not synced: so killing the process loses what a power cut would lose,
 * and the crash tests need no virtual machine. A shadow is shared by all who open the file, since they must see one
 * another's writes. Without POSTRIDER_FAULTS nothing of it is built. */
#ifdef POSTRIDER_FAULTS
#include "store/sqlite/fault_vfs.h"
#include "base/bytes.h"
#include "base/err.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* ---- when to fail ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static enum fault fault;
static int every, left, calls;
static bool chosen, forgetting;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void fault_vfs_set(enum fault f, int n, int times)
{
    pthread_mutex_lock(&mutex);
    fault = f;
    every = n;
    left = times ? times : -1;
    calls = 0;
    pthread_mutex_unlock(&mutex);
}

int fault_vfs_calls(void)
{
    int n;

    pthread_mutex_lock(&mutex);
    n = calls;
    pthread_mutex_unlock(&mutex);
    return n;
}

/* The SQLite error that this call ends with, or SQLITE_OK. */
static int strike(int io_error)
{
    int rc = SQLITE_OK;

    pthread_mutex_lock(&mutex);
    calls++;
    if (fault != FAULT_OFF && left != 0 && calls % every == 0) {
        rc = fault == FAULT_FULL ? SQLITE_FULL : io_error;
        left -= left > 0;
    }
    pthread_mutex_unlock(&mutex);
    return rc;
}

/* ---- what the process sees of a file, and what of it the disk has ---- */

enum { BLOCK = 4096 };

struct shadow {
    struct shadow *next;
    char *path, *data;
    bool *unsynced; /* a block each */
    sqlite3_int64 size, cap;
    bool cut; /* the file is longer on disk */
    int users;
};

static struct shadow *shadows;

struct file {
    sqlite3_file base;
    sqlite3_file *real;
    struct shadow *shadow; /* NULL: straight through */
};

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static void grow(struct shadow *s, sqlite3_int64 size)
{
    sqlite3_int64 cap = s->cap ? s->cap : 1 << 20;

    while (cap < size)
        cap *= 2;
    if (cap != s->cap) {
        s->data = realloc(s->data, (size_t)cap);
        s->unsynced = realloc(s->unsynced, (size_t)(cap / BLOCK));
        if (!s->data || !s->unsynced)
            die("out of memory: a shadow");
        memset(s->data + s->cap, 0, (size_t)(cap - s->cap));
        memset(s->unsynced + s->cap / BLOCK, 0, (size_t)((cap - s->cap) / BLOCK));
        s->cap = cap;
    }
    if (size > s->size)
        s->size = size;
}

static struct shadow *shadow_take(const char *path, sqlite3_file *file)
{
    struct shadow *s = shadows;
    sqlite3_int64 size = 0;

    while (s && strcmp(s->path, path) != 0)
        s = s->next;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s || !(s->path = strdup(path)))
            die("out of memory: a shadow");
        file->pMethods->xFileSize(file, &size);
        grow(s, size);
        if (size)
            file->pMethods->xRead(file, s->data, (int)size, 0);
        s->next = shadows;
        shadows = s;
    }
    s->users++;
    return s;
}

/* A clean end of the process keeps what the system has: so does the last close. */
static int flush(struct shadow *s, sqlite3_file *file)
{
    int rc = SQLITE_OK;

    if (s->cut)
        rc = file->pMethods->xTruncate(file, s->size);
    s->cut = false;
    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < s->size; at += BLOCK) {
        if (!s->unsynced[at / BLOCK])
            continue;
        rc = file->pMethods->xWrite(file, s->data + at, (int)(s->size - at < BLOCK ? s->size - at : BLOCK), at);
        s->unsynced[at / BLOCK] = false;
    }
    return rc;
}

static void shadow_give(struct shadow *s, sqlite3_file *file)
{
    struct shadow **at = &shadows;

    if (--s->users)
        return;
    flush(s, file);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s->path);
    free(s->data);
    free(s->unsynced);
    free(s);
}

/* ---- the methods of a file ---- */

static int f_close(sqlite3_file *f)
{
    struct file *file = (struct file *)f;
    int rc;

    pthread_mutex_lock(&mutex);
    if (file->shadow)
        shadow_give(file->shadow, file->real);
    pthread_mutex_unlock(&mutex);
    rc = file->real->pMethods->xClose(file->real);
    sqlite3_free(file->real);
    return rc;
}

static int f_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    struct shadow *s = ((struct file *)f)->shadow;
    sqlite3_int64 there;

    if (!s)
        return real(f)->pMethods->xRead(real(f), out, n, at);
    pthread_mutex_lock(&mutex);
    there = s->size - at < 0 ? 0 : s->size - at < n ? s->size - at : n;
    memset(out, 0, (size_t)n);
    if (there)
        memcpy(out, s->data + at, (size_t)there);
    pthread_mutex_unlock(&mutex);
    return there < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int f_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    struct shadow *s = ((struct file *)f)->shadow;
    int rc = strike(SQLITE_IOERR_WRITE);

    if (rc != SQLITE_OK)
        return rc;
    if (!s)
        return real(f)->pMethods->xWrite(real(f), data, n, at);
    pthread_mutex_lock(&mutex);
    grow(s, at + n);
    memcpy(s->data + at, data, (size_t)n);
    for (sqlite3_int64 b = at / BLOCK; b <= (at + n - 1) / BLOCK; b++)
        s->unsynced[b] = true;
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct shadow *s = ((struct file *)f)->shadow;

    if (!s)
        return real(f)->pMethods->xTruncate(real(f), size);
    pthread_mutex_lock(&mutex);
    if (size < s->size) {
        memset(s->data + size, 0, (size_t)(s->size - size));
        s->size = size;
        s->cut = true;
    }
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

static int f_sync(sqlite3_file *f, int flags)
{
    struct shadow *s = ((struct file *)f)->shadow;
    int rc = strike(SQLITE_IOERR_FSYNC);

    if (rc == SQLITE_OK && s) {
        pthread_mutex_lock(&mutex);
        rc = flush(s, real(f));
        pthread_mutex_unlock(&mutex);
    }
    return rc == SQLITE_OK ? real(f)->pMethods->xSync(real(f), flags) : rc;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct shadow *s = ((struct file *)f)->shadow;

    if (!s)
        return real(f)->pMethods->xFileSize(real(f), size);
    pthread_mutex_lock(&mutex);
    *size = s->size;
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

static int f_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int f_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int f_check(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE)
        return SQLITE_OK; /* they would make the file longer behind the shadow's back */
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int f_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int f_traits(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int f_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_check,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_traits,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

/* ---- the VFS ---- */

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    sqlite3_vfs *under = v->pAppData;
    struct file *file = (struct file *)f;
    bool kept = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
    int rc;

    *file = (struct file){ 0 };
    file->real = sqlite3_malloc(under->szOsFile);
    if (!file->real)
        return SQLITE_NOMEM;
    memset(file->real, 0, (size_t)under->szOsFile);
    rc = under->xOpen(under, name, file->real, flags, out_flags);
    if (rc != SQLITE_OK) {
        sqlite3_free(file->real);
        return rc;
    }
    pthread_mutex_lock(&mutex);
    if (forgetting && kept)
        file->shadow = shadow_take(name, file->real);
    pthread_mutex_unlock(&mutex);
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static void set_up(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *under = sqlite3_vfs_find(NULL);
    struct bytes env = bytes_of(getenv("POSTRIDER_TEST_VFS")), what, n = NO_BYTES;
    int64_t number = 0;

    vfs = *under;
    vfs.pNext = NULL;
    vfs.zName = "postrider-fault";
    vfs.szOsFile = sizeof(struct file);
    vfs.pAppData = under;
    vfs.xOpen = v_open;
    sqlite3_vfs_register(&vfs, 0);
    if (!env.p)
        return;
    bytes_cut(env, ':', &what, &n);
    if (bytes_equal(what, BYTES("forget")))
        forgetting = true;
    else if (!bytes_to_int(n, &number) || number < 1 || number > 1000000)
        die("POSTRIDER_TEST_VFS: forget, full:N or io:N");
    else
        fault_vfs_set(bytes_equal(what, BYTES("full")) ? FAULT_FULL : FAULT_IO, (int)number, 0);
    chosen = true;
}

const char *fault_vfs_name(void)
{
    pthread_once(&once, set_up);
    return chosen ? "postrider-fault" : NULL;
}

void fault_vfs_use(bool forget)
{
    pthread_once(&once, set_up);
    chosen = true;
    forgetting = forget;
}
#else
typedef int fault_vfs_is_not_built; /* a unit must not be empty */
#endif
