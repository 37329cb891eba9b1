/* store/sqlite/sequence.c - the numbers of a feed: rising, and none given twice.
 *
 * SQLite gives an inserted row the number above the highest in the table, which is all that is needed as long as the
 * newest row is there. So a delete first writes down how far numbers were given, in its own transaction, and an insert
 * that was given one of before takes the next behind it. AUTOINCREMENT promises the same, but writes a row of its own
 * with every insert; tables of older builds still have it. Only the writer's connection knows of this. */
#include "store/sqlite/sqlite.h"
#include <assert.h>

/* In _meta, beside names of our own. */
#define NAME "feed %s"

static struct sequence *sequence_of(struct conn *c, const struct kind *k)
{
    for (size_t i = 0; i < c->n_sequences; i++)
        if (c->sequences[i].kind == k)
            return &c->sequences[i];
    assert(c->n_sequences < SEQUENCES);
    c->sequences[c->n_sequences] = (struct sequence){ .kind = k };
    snprintf(c->sequences[c->n_sequences].name, sizeof c->sequences->name, NAME, k->name);
    return &c->sequences[c->n_sequences++];
}

bool sequence_load(struct conn *c, const struct kind *k, struct err *e)
{
    struct sequence *s = sequence_of(c, k);
    char *sql = sqlite3_mprintf("SELECT coalesce(max(value), 0) FROM _meta WHERE name = %Q", s->name);
    bool ok = conn_int(c, sql, &s->given, e);

    sqlite3_free(sql);
    return ok;
}

static sqlite3_stmt *note_statement(struct conn *c, struct err *e)
{
    struct shape shape;
    sqlite3_stmt *q;

    shape_begin(&shape, 'N', NULL);
    q = statement_find(c, &shape);
    return q ? q
             : statement_add(c, &shape,
                             "INSERT INTO _meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "
                             "excluded.value WHERE excluded.value > value",
                             e);
}

/* What is remembered here may be too high, when the transaction comes to nothing: then numbers are left out. */
bool sequence_deletes(struct conn *c, const struct kind *k, struct err *e)
{
    struct sequence *s = sequence_of(c, k);
    sqlite3_stmt *q;
    int64_t newest;
    bool ok;

    if (!select_watch_end(c, k, &newest, e) || !(q = note_statement(c, e)))
        return false;
    s->given = newest > s->given ? newest : s->given;
    sqlite3_bind_text(q, 1, s->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, s->given);
    ok = sqlite3_step(q) == SQLITE_DONE || conn_err(c, e);
    sqlite3_reset(q);
    return ok;
}

bool sequence_inserted(struct conn *c, const struct kind *k, struct err *e)
{
    struct sequence *s = sequence_of(c, k);
    int64_t number = sqlite3_last_insert_rowid(c->db);
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;
    bool ok;

    if (number > s->given)
        return true;
    shape_begin(&shape, 'q', k);
    q = statement_find(c, &shape);
    if (!q) {
        buf_init(&sql, SQL_MAX);
        buf_addf(&sql, "UPDATE \"%s\" SET \"_seq\" = ? WHERE \"_seq\" = ?", k->name);
        q = statement_build(c, &shape, &sql, e);
    }
    if (!q)
        return false;
    sqlite3_bind_int64(q, 1, s->given + 1);
    sqlite3_bind_int64(q, 2, number);
    ok = sqlite3_step(q) == SQLITE_DONE || conn_err(c, e);
    sqlite3_reset(q);
    return ok;
}
