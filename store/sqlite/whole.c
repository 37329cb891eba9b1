/* What moving a whole database asks first: is it there, is it ours alone, do we know all that is in it? */
#include "store/sqlite/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- who else has it open ---- */

/* A connection in WAL mode holds SQLite's shared lock as long as it lives: these bytes of the file (its os_unix.c). */
enum { SHARED_FIRST = 0x40000002, SHARED_SIZE = 510 };

/* To be asked before we have it open ourselves: closing a file gives up all locks of the process on it. */
bool file_is_free(const char *path, struct err *e)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fcntl(fd, F_GETLK, &l) == 0;

    if (fd < 0 && errno == ENOENT)
        return true;
    if (!ok)
        err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    else if (l.l_type != F_UNLCK)
        ok = err_set(e, ERR_IN_USE, "%s is in use by process %ld: stop it first (kill %ld)", path, (long)l.l_pid,
                     (long)l.l_pid);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool file_is_filled(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && lseek(fd, 0, SEEK_END) > 0;

    if (!ok)
        err_set(e, ERR_MISSING, "%s: %s", path, fd < 0 ? strerror(errno) : "the file is empty");
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- what a newer build has added ---- */

/* A kind that an older build made and never wrote stays behind without a loss. */
static bool has_rows(struct conn *c, const char *table)
{
    sqlite3_stmt *q = NULL;
    struct buf sql;
    bool rows = true;

    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, "SELECT 1 FROM ");
    sql_name(&sql, table);
    buf_adds(&sql, " LIMIT 1");
    if (!sql.overflowed && sqlite3_prepare_v2(c->db, sql.p, (int)sql.n, &q, NULL) == SQLITE_OK)
        rows = sqlite3_step(q) != SQLITE_DONE;
    sqlite3_finalize(q);
    buf_clear(&sql);
    return rows;
}

static bool is_known(const struct sqlite_store *s, struct conn *c, const char *table, const char *column, struct err *e)
{
    const struct kind *k = table_named(&s->tables, table);

    if (k ? *column == '_' || kind_field(k, column) : !has_rows(c, table))
        return true;
    return err_set(e, ERR_INVALID, "%s holds %s%s%s, which a newer postrider made and this one does not know", s->path,
                   table, k ? "." : "", k ? column : "");
}

bool select_knows_all(struct sqlite_store *s, struct conn *c, struct err *e)
{
    static const char sql[] = "SELECT t.name, x.name FROM sqlite_master t, pragma_table_info(t.name) x WHERE t.type = "
                              "'table' AND substr(t.name, 1, 1) <> '_' AND t.name NOT LIKE 'sqlite#_%' ESCAPE '#'";
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &q, NULL);
    bool ok = rc == SQLITE_OK || conn_err(c, e);

    while (ok && (rc = sqlite3_step(q)) == SQLITE_ROW)
        ok = is_known(s, c, (const char *)sqlite3_column_text(q, 0), (const char *)sqlite3_column_text(q, 1), e);
    if (ok && rc != SQLITE_DONE)
        ok = conn_err(c, e);
    sqlite3_finalize(q);
    return ok;
}
