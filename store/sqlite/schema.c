/* store/sqlite/schema.c - tables as the kinds want them, whatever is there.
 *
 * A new build adds columns and indexes, or makes a table anew in another form, within one transaction, behind a copy of
 * the whole database that was synced before the first change: there is always a way back. A database that a newer build
 * has written is refused, since this one would not know what it must keep. `epoch` and `log` rise with each opening:
 * tokens of claims and the log's number begin there. */
#include "store/sqlite/sqlite.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

/* "PRdr": marks a database as ours. Of pages of 4, 8 and 16 KiB the smallest were the fastest for mail of usual size.
 */
#define APPLICATION "1347576946"
#define PAGE_SIZE   "4096"

static bool run_buf(struct conn *c, struct buf *sql, struct err *e)
{
    bool ok;

    buf_addc(sql, 0);
    assert(!sql->overflowed);
    ok = conn_run(c, sql->p, e);
    buf_clear(sql);
    return ok;
}

/* ---- tables and columns ---- */

static bool lies_beside(const struct kind *k)
{
    return k->watched || k->large || k->wide;
}

static const char *type_of(const struct kind *k, const struct field *f)
{
    if (f == k->fields)
        return lies_beside(k) ? "BLOB NOT NULL UNIQUE" : "BLOB NOT NULL PRIMARY KEY";
    switch (f->type) {
    case FIELD_ID:
    case FIELD_BYTES: return "BLOB";
    case FIELD_TEXT:
    case FIELD_JSON: return "TEXT";
    case FIELD_TIME: return "INTEGER";
    case FIELD_INT:
    case FIELD_BOOL: break;
    }
    return "INTEGER NOT NULL DEFAULT 0";
}

/* Small rows lie in the tree of their id; large ones do not, so that seeking in that tree stays short. */
static bool create_table(struct conn *c, const struct kind *k, struct err *e)
{
    struct buf sql;

    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "CREATE TABLE \"%s\" (%s", k->name, k->watched ? "\"_seq\" INTEGER PRIMARY KEY, " : "");
    for (size_t i = 0; i < k->n_fields; i++)
        buf_addf(&sql, "%s\"%s\" %s", i ? ", " : "", k->fields[i].name, type_of(k, &k->fields[i]));
    buf_adds(&sql, lies_beside(k) ? ")" : ") WITHOUT ROWID");
    return run_buf(c, &sql, e);
}

static bool lookup(struct conn *c, const char *sql, const char *a, const char *b, bool *there, struct err *e)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &q, NULL);

    if (rc == SQLITE_OK) {
        sqlite3_bind_text(q, 1, a, -1, SQLITE_STATIC);
        if (b)
            sqlite3_bind_text(q, 2, b, -1, SQLITE_STATIC);
        rc = sqlite3_step(q);
    }
    *there = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        conn_err(c, e);
    sqlite3_finalize(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool add_columns(struct conn *c, const struct kind *k, struct err *e)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        struct buf sql;
        bool there;

        if (!lookup(c, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", k->name, k->fields[i].name, &there, e))
            return false;
        if (there)
            continue;
        buf_init(&sql, SQL_MAX);
        buf_addf(&sql, "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s", k->name, k->fields[i].name,
                 type_of(k, &k->fields[i]));
        if (!run_buf(c, &sql, e))
            return false;
    }
    return true;
}

/* ---- tables of an older form ---- */

/* Has the table its rows in the tree of the id, or not, as the kind wants it? One with columns that this build does not
 * know stays as it is: they are kept. */
static bool wants_remaking(struct conn *c, const struct kind *k, bool *yes, struct err *e)
{
    const char *in_tree = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? AND sql LIKE '%WITHOUT ROWID'";
    int64_t columns = 0;
    bool there;
    char *sql;

    *yes = false;
    if (k->watched)
        return true;
    if (!lookup(c, in_tree, k->name, NULL, &there, e))
        return false;
    if (there != lies_beside(k))
        return true;
    sql = sqlite3_mprintf("SELECT count(*) FROM pragma_table_info(%Q)", k->name);
    *yes = conn_int(c, sql, &columns, e) && columns == (int64_t)k->n_fields;
    sqlite3_free(sql);
    return columns > 0;
}

/* Its indexes go with the old one, and are made again behind this. */
static bool remake_table(struct conn *c, const struct kind *k, struct err *e)
{
    struct buf sql;

    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "ALTER TABLE \"%s\" RENAME TO \"_old\"", k->name);
    if (!run_buf(c, &sql, e) || !create_table(c, k, e))
        return false;
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "INSERT INTO \"%s\" (", k->name);
    sql_columns(&sql, k, ALL_FIELDS);
    buf_adds(&sql, ") SELECT ");
    sql_columns(&sql, k, ALL_FIELDS);
    buf_adds(&sql, " FROM \"_old\" ORDER BY \"id\"; DROP TABLE \"_old\"");
    return run_buf(c, &sql, e);
}

static bool bring_up(struct conn *c, const struct kind *k, struct err *e)
{
    bool remake;

    return add_columns(c, k, e) && wants_remaking(c, k, &remake, e) && (!remake || remake_table(c, k, e));
}

/* ---- indexes ---- */

static void index_sql(struct buf *sql, const struct kind *k, const struct index *x)
{
    bool has_id = false;

    buf_addf(sql, "CREATE %sINDEX ", x->unique ? "UNIQUE " : "");
    sql_index_name(sql, k, x);
    buf_addf(sql, " ON \"%s\" (", k->name);
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = field_for(k, x->fields[i], NULL);

        buf_addf(sql, "%s\"%s\"", i ? ", " : "", f->name);
        has_id = has_id || f == k->fields;
    }
    if (!x->unique && !has_id && !x->feed) /* that ends in the row's number by itself */
        buf_adds(sql, ", \"id\"");
    buf_addc(sql, ')');
    if (x->when) {
        buf_adds(sql, " WHERE ");
        sql_when(sql, k, x);
    }
    buf_addc(sql, 0);
}

/* Made when it is not there, and made anew when it was defined in another way. */
static bool set_index(struct conn *c, const struct kind *k, const struct index *x, struct err *e)
{
    struct buf want, drop;
    char *name;
    bool ok, same, there;

    buf_init(&want, SQL_MAX);
    index_sql(&want, k, x);
    name = sqlite3_mprintf("%s__%s", k->name, x->name);
    ok = lookup(c, "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", name, NULL, &there, e) &&
         lookup(c, "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ? AND sql = ?", name, want.p, &same, e);
    if (ok && there && !same) {
        buf_init(&drop, SQL_MAX);
        buf_adds(&drop, "DROP INDEX ");
        sql_index_name(&drop, k, x);
        ok = run_buf(c, &drop, e);
    }
    if (ok && !same)
        ok = conn_run(c, want.p, e);
    sqlite3_free(name);
    buf_clear(&want);
    return ok;
}

/* An index that the kind no longer has costs at every write. A newer build that wants it makes it again. */
static bool drop_old_indexes(struct conn *c, const struct kind *k, struct err *e)
{
    static const char sql[] =
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL";
    size_t prefix = strlen(k->name) + 2;
    sqlite3_stmt *q = NULL;
    struct buf drop;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &q, NULL);

    buf_init(&drop, SQL_MAX);
    if (rc == SQLITE_OK)
        sqlite3_bind_text(q, 1, k->name, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(q, 0);

        if (strlen(name) > prefix && !kind_index(k, name + prefix))
            buf_addf(&drop, "DROP INDEX \"%s\";", name);
    }
    if (rc != SQLITE_OK)
        conn_err(c, e);
    sqlite3_finalize(q);
    return rc == SQLITE_OK && run_buf(c, &drop, e);
}

static bool set_kind(struct conn *c, const struct kind *k, struct err *e)
{
    bool there;

    assert(k->n_fields <= 64);
    if (!lookup(c, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", k->name, NULL, &there, e) ||
        !(there ? bring_up(c, k, e) : create_table(c, k, e)))
        return false;
    for (size_t i = 0; i < k->n_indexes; i++)
        if (!set_index(c, k, &k->indexes[i], e))
            return false;
    return drop_old_indexes(c, k, e) && (!k->watched || sequence_load(c, k, e));
}

/* ---- versions ---- */

static bool sync_path(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        err_set(e, ERR_STORAGE_FULL, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool sync_folder_of(const char *path, struct err *e)
{
    char *copy = strdup(path);
    bool ok;

    if (!copy)
        die("out of memory: a path");
    ok = sync_path(dirname(copy), e);
    free(copy);
    return ok;
}

/* To "<database>.before-N", whole and synced before the first change is made. */
static bool copy_database(struct conn *c, const char *path, int64_t version, struct err *e)
{
    char *copy = sqlite3_mprintf("%s.before-%lld", path, (long long)version);
    char *part = sqlite3_mprintf("%s.part", copy);
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", part);
    bool ok;

    unlink(part);
    ok = conn_run(c, sql, e) &&
         (chmod(part, 0600) == 0 || err_set(e, ERR_STORAGE_FULL, "%s: %s", part, strerror(errno))) &&
         sync_path(part, e) &&
         (rename(part, copy) == 0 || err_set(e, ERR_STORAGE_FULL, "%s: %s", copy, strerror(errno))) &&
         sync_folder_of(copy, e);
    if (!ok)
        unlink(part);
    sqlite3_free(sql);
    sqlite3_free(part);
    sqlite3_free(copy);
    return ok;
}

static bool check_owner(struct conn *c, const char *path, bool *fresh, struct err *e)
{
    int64_t tables, owner;

    if (!conn_int(c, "SELECT count(*) FROM sqlite_master", &tables, e) ||
        !conn_int(c, "PRAGMA application_id", &owner, e))
        return false;
    *fresh = tables == 0;
    return *fresh || owner == strtoll(APPLICATION, NULL, 10) ||
           err_set(e, ERR_INVALID, "%s is a database of another program", path);
}

static bool check_version(struct conn *c, const char *path, int schema, struct err *e)
{
    int64_t version;

    if (!conn_int(c, "SELECT coalesce(max(value), 0) FROM _meta WHERE name = 'schema'", &version, e))
        return false;
    if (version > schema)
        return err_set(
            e, ERR_INVALID,
            "%s has schema %lld, written by a newer version; this one knows up to %d. Start the newer version, or "
            "go back to the copy %s.before-%lld",
            path, (long long)version, schema, path, (long long)version);
    return version == 0 || version == schema || copy_database(c, path, version, e);
}

static bool set_all(struct sqlite_store *s, struct conn *c, int schema, struct err *e)
{
    char *sql =
        sqlite3_mprintf("INSERT INTO _meta VALUES ('schema', %d) ON CONFLICT (name) DO UPDATE SET value = %d;"
                        "INSERT INTO _meta VALUES ('epoch', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1;"
                        "INSERT INTO _meta VALUES ('log', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1;"
                        "INSERT INTO _meta VALUES ('identity', random()) ON CONFLICT (name) DO NOTHING",
                        schema, schema);
    bool ok = true;

    for (size_t i = 0; ok && i < s->tables.n; i++)
        ok = set_kind(c, s->tables.at[i].kind, e);
    ok = ok && conn_run(c, sql, e) && conn_int(c, "SELECT value FROM _meta WHERE name = 'epoch'", &s->epoch, e) &&
         conn_int(c, "SELECT value FROM _meta WHERE name = 'log'", &s->log_number, e) &&
         conn_int(c, "SELECT value FROM _meta WHERE name = 'identity'", &s->store.identity, e);
    s->epoch <<= 32;
    sqlite3_free(sql);
    return ok;
}

bool schema_open(struct sqlite_store *s, struct conn *c, int schema, struct err *e)
{
    bool fresh;

    if (!check_owner(c, s->path, &fresh, e))
        return false;
    if (fresh && !conn_run(c, "PRAGMA page_size=" PAGE_SIZE "; PRAGMA application_id=" APPLICATION, e))
        return false;
    if (!conn_run(c,
                  "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=134217728;"
                  "CREATE TABLE IF NOT EXISTS _meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
                  "CREATE TABLE IF NOT EXISTS _blob (id BLOB NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, "
                  "UNIQUE (id, n))",
                  e) ||
        !check_version(c, s->path, schema, e) || !conn_run(c, "BEGIN IMMEDIATE", e))
        return false;
    if (set_all(s, c, schema, e) && conn_run(c, "COMMIT", e))
        return sync_folder_of(s->path, e);
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}
