/* store/sqlite/statements.c - prepared statements of a connection, kept by shape: the operation, its fields and how
 * they are compared.
 *
 * Preparing costs more than running. Shapes are few (lists are padded to a few lengths for that), but a client's
 * filters multiply them, so those least recently used go past store.statements. A connection has one user, hence no
 * lock. */
#include "base/params.h"
#include "store/sqlite/sqlite.h"
#include <assert.h>

/* ---- shapes ---- */

void shape_begin(struct shape *s, char op, const struct kind *k)
{
    s->b[0] = (uint8_t)op;
    memcpy(s->b + 1, &k, sizeof k); /* kinds live as long as the store */
    s->n = 1 + sizeof k;
}

void shape_add(struct shape *s, unsigned byte)
{
    assert(s->n < SHAPE_MAX && byte <= UINT8_MAX);
    s->b[s->n++] = (uint8_t)byte;
}

void shape_cond(struct shape *s, const struct kind *k, const struct field *f, const struct cond *c)
{
    size_t room = sql_list_room(c->n_list);
    bool null = c->compare == ONE_OF ? false : value_is_null(&c->value);

    for (size_t i = 0; c->compare == ONE_OF && i < c->n_list; i++)
        null = null || value_is_null(&c->list[i]);
    shape_add(s, (unsigned)(f - k->fields));
    shape_add(s, (unsigned)c->compare << 1 | null);
    if (c->compare == ONE_OF) {
        shape_add(s, (unsigned)(room >> 8));
        shape_add(s, (unsigned)(room & 0xff));
    }
}

static uint32_t hash(const uint8_t *p, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

/* ---- the statements of a connection, by shape and by last use ---- */

static void unlink_use(struct conn *c, struct statement *s)
{
    if (s->newer)
        s->newer->older = s->older;
    else
        c->newest = s->older;
    if (s->older)
        s->older->newer = s->newer;
    else
        c->oldest = s->newer;
}

static void link_newest(struct conn *c, struct statement *s)
{
    s->newer = NULL;
    s->older = c->newest;
    if (c->newest)
        c->newest->newer = s;
    else
        c->oldest = s;
    c->newest = s;
}

static void drop(struct conn *c, struct statement *s)
{
    struct statement **at = &c->buckets[s->hash % STATEMENT_BUCKETS];

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    unlink_use(c, s);
    c->n_statements--;
    sqlite3_finalize(s->stmt);
    free(s);
}

sqlite3_stmt *statement_find(struct conn *c, const struct shape *shape)
{
    uint32_t h = hash(shape->b, shape->n);
    struct statement *s = c->buckets[h % STATEMENT_BUCKETS];

    while (s && (s->hash != h || s->n != shape->n || memcmp(s->shape, shape->b, s->n) != 0))
        s = s->next;
    if (!s)
        return NULL;
    if (s != c->newest) {
        unlink_use(c, s);
        link_newest(c, s);
    }
    return s->stmt;
}

sqlite3_stmt *statement_add(struct conn *c, const struct shape *shape, const char *sql, struct err *e)
{
    struct statement *s;
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
        conn_err(c, e);
        return NULL;
    }
    while (c->oldest && c->n_statements >= (size_t)PARAM_INT(store, statements))
        drop(c, c->oldest);
    s = malloc(sizeof *s + shape->n);
    if (!s)
        die("out of memory: a statement");
    s->hash = hash(shape->b, shape->n);
    s->n = shape->n;
    s->stmt = stmt;
    memcpy(s->shape, shape->b, shape->n);
    s->next = c->buckets[s->hash % STATEMENT_BUCKETS];
    c->buckets[s->hash % STATEMENT_BUCKETS] = s;
    link_newest(c, s);
    c->n_statements++;
    return stmt;
}

sqlite3_stmt *statement_build(struct conn *c, const struct shape *shape, struct buf *sql, struct err *e)
{
    sqlite3_stmt *q;

    buf_addc(sql, 0);
    assert(!sql->overflowed);
    q = statement_add(c, shape, sql->p, e);
    buf_clear(sql);
    return q;
}

void statements_clear(struct conn *c)
{
    while (c->oldest)
        drop(c, c->oldest);
}
