/* store/sqlite/conn.c - a connection: how it is opened, and what its errors mean.
 *
 * One thread at a time uses it, so SQLite takes no locks of its own. One writes (writer.c), the others are read-only by
 * pragma, so that no mistake of ours can write past the queue. A damaged database is told with what to do about it;
 * what may go away by itself is ERR_BUSY. */
#include "base/params.h"
#include "store/sqlite/log_vfs.h"
#include "store/sqlite/sqlite.h"
#include <errno.h>

/* capture(n, value): the new value of the n-th assignment, seen while the row is written: no second read, no RETURNING.
 */
static void capture(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    struct conn *c = sqlite3_user_data(ctx);
    int at = sqlite3_value_int(args[0]);

    (void)n;
    if (at >= 0 && at < OP_SETS)
        c->captured[at] = sqlite3_value_int64(args[1]);
    sqlite3_result_value(ctx, args[1]);
}

static enum err_code code_of(int rc, int system)
{
    switch (rc & 0xff) {
    case SQLITE_FULL: return ERR_STORAGE_FULL;
    case SQLITE_IOERR: return system == ENOSPC || system == EDQUOT ? ERR_STORAGE_FULL : ERR_BUSY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT: return ERR_BUSY;
    default: return ERR_INTERNAL;
    }
}

bool conn_error(struct conn *c, struct err *e, const char *where)
{
    int rc = sqlite3_extended_errcode(c->db);
    const char *file = sqlite3_db_filename(c->db, "main");

    if ((rc & 0xff) == SQLITE_NOMEM)
        die("out of memory: sqlite");
    if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
        return err_fill(e, ERR_INTERNAL, where, "The database %s is damaged (%s): restore it from a backup",
                        file ? file : "", sqlite3_errmsg(c->db));
    return err_fill(e, code_of(rc, sqlite3_system_errno(c->db)), where, "sqlite: %s (%d)", sqlite3_errmsg(c->db), rc);
}

bool conn_run(struct conn *c, const char *sql, struct err *e)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK || conn_err(c, e);
}

bool conn_step(struct conn *c, const char *sql, struct err *e)
{
    struct shape shape;
    sqlite3_stmt *q;
    bool ok;

    shape_begin(&shape, 'x', NULL);
    for (const char *s = sql; *s; s++)
        shape_add(&shape, (uint8_t)*s);
    q = statement_find(c, &shape);
    if (!q)
        q = statement_add(c, &shape, sql, e);
    if (!q)
        return false;
    ok = sqlite3_step(q) == SQLITE_DONE || conn_err(c, e);
    sqlite3_reset(q);
    return ok;
}

bool conn_int(struct conn *c, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *q = NULL;
    bool ok = sqlite3_prepare_v2(c->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW;

    if (ok)
        *out = sqlite3_column_int64(q, 0);
    else
        conn_err(c, e);
    sqlite3_finalize(q);
    return ok;
}

bool conn_is_synchronous(void)
{
#ifdef POSTRIDER_FAULTS
    /* The control of the crash tests: a server that lies about durability. */
    const char *want = getenv("POSTRIDER_TEST_SYNCHRONOUS");

    return !want || strcmp(want, "off") != 0;
#else
    return true;
#endif
}

static const char *synchronous(void)
{
    return conn_is_synchronous() ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF";
}

/* No mmap: an I/O error under it is a SIGBUS, not an error. secure_delete FAST zeroes what is deleted where that costs
 * no extra page. The writer checkpoints by itself (writer.c). */
static bool set_up(struct conn *c, bool writes, struct err *e)
{
    char cache[64];
    int64_t kib = writes ? PARAM_INT(store, write_cache) / 1024 : PARAM_INT(store, read_cache) / 1024;

    snprintf(cache, sizeof cache, "PRAGMA cache_size=-%lld", (long long)kib);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, 1000);
    return sqlite3_create_function(c->db, "capture", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, c, capture, NULL, NULL) ==
               SQLITE_OK &&
           conn_run(c, cache, e) && conn_run(c, synchronous(), e) && conn_run(c, "PRAGMA secure_delete=FAST", e) &&
           conn_run(c, "PRAGMA temp_store=MEMORY", e) && conn_run(c, "PRAGMA trusted_schema=OFF", e) &&
           (!writes || conn_run(c, "PRAGMA wal_autocheckpoint=0", e)) &&
           (writes || conn_run(c, "PRAGMA query_only=1", e));
}

/* Else SQLite counts every allocation of the process under one lock. A process that has used SQLite before goes on as
 * it did. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    page_cache_set();
}

bool conn_open(const char *path, bool writes, struct conn *c, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *vfs = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_CREATE : 0);

    pthread_once(&once, configure);
#ifdef POSTRIDER_FAULTS
    vfs = fault_vfs_name();
#endif
    if (writes && conn_is_synchronous())
        vfs = log_vfs_name(vfs);
    *c = (struct conn){ 0 };
    if (sqlite3_open_v2(path, &c->db, flags, vfs) == SQLITE_OK && set_up(c, writes, e))
        return true;
    if (!c->db)
        die("out of memory: sqlite");
    conn_err(c, e);
    conn_close(c);
    return false;
}

void conn_close(struct conn *c)
{
    statements_clear(c);
    sqlite3_close(c->db);
    c->db = NULL;
}
