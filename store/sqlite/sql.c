/* store/sqlite/sql.c - text and values of statements.
 *
 * Values are always bound, names come from our own tables: no text of a client is ever part of a statement. Only the
 * constants of a partial index are written out, because SQLite compares those by their text. */
#include "store/sqlite/sqlite.h"
#include <assert.h>

/* ---- text ---- */

void sql_name(struct buf *sql, const char *name)
{
    buf_addf(sql, "\"%s\"", name);
}

void sql_index_name(struct buf *sql, const struct kind *k, const struct index *x)
{
    buf_addf(sql, "\"%s__%s\"", k->name, x->name);
}

static void sql_literal(struct buf *sql, const char *text)
{
    buf_addc(sql, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_addc(sql, '\'');
        buf_addc(sql, *text);
    }
    buf_addc(sql, '\'');
}

/* Constants and not parameters: SQLite sees that a partial index holds the rows only in constants. Not as a list: for
 * IN SQLite builds a temporary tree of it at every insert, 13 inserts more for each delivery. */
void sql_when(struct buf *sql, const struct kind *k, const struct index *x)
{
    if (!x->values) {
        sql_name(sql, x->when);
        buf_adds(sql, field_for(k, x->when, NULL)->type == FIELD_INT ? " <> 0" : " IS NOT NULL");
        return;
    }
    for (size_t i = 0; x->values[i]; i++) {
        buf_adds(sql, i ? " OR " : "(");
        sql_name(sql, x->when);
        buf_adds(sql, " = ");
        sql_literal(sql, x->values[i]);
    }
    buf_addc(sql, ')');
}

/* Lists are padded to a few sizes with their last value, so that few shapes come up. */
size_t sql_list_room(size_t n)
{
    size_t room = 4;

    assert(n <= LIST_MAX);
    while (room < n)
        room *= 2;
    return n ? room : 0;
}

static void sql_list(struct buf *sql, const struct field *f, const struct cond *c)
{
    size_t room = sql_list_room(c->n_list);
    bool null = false;

    for (size_t i = 0; i < c->n_list; i++)
        null = null || value_is_null(&c->list[i]);
    buf_addc(sql, '(');
    sql_name(sql, f->name);
    buf_adds(sql, " IN (");
    for (size_t i = 0; i < room; i++)
        buf_adds(sql, i ? ",?" : "?");
    buf_addc(sql, ')');
    if (null) {
        buf_adds(sql, " OR ");
        sql_name(sql, f->name);
        buf_adds(sql, " IS NULL");
    }
    buf_addc(sql, ')');
}

void sql_cond(struct buf *sql, const struct field *f, const struct cond *c)
{
    static const char *const with_value[] = { " = ?", " IS NOT ?", " < ?", " <= ?", " > ?", " >= ?", "" };
    static const char *const with_null[] = { " IS NULL", " IS NOT NULL", " < ?", " <= ?", " > ?", " >= ?", "" };

    if (c->compare == ONE_OF) {
        sql_list(sql, f, c);
        return;
    }
    sql_name(sql, f->name);
    buf_adds(sql, value_is_null(&c->value) ? with_null[c->compare] : with_value[c->compare]);
}

void sql_columns(struct buf *sql, const struct kind *k, uint64_t fields)
{
    bool first = true;

    for (size_t i = 0; i < k->n_fields; i++) {
        if (!(fields >> i & 1))
            continue;
        if (!first)
            buf_addc(sql, ',');
        sql_name(sql, k->fields[i].name);
        first = false;
    }
}

/* ---- values ---- */

int bind_value(sqlite3_stmt *q, int at, const struct value *v)
{
    if (value_is_null(v)) {
        sqlite3_bind_null(q, at);
        return at + 1;
    }
    switch (v->type) {
    case FIELD_ID: sqlite3_bind_blob(q, at, v->id.b, sizeof v->id.b, SQLITE_STATIC); break;
    case FIELD_TEXT:
    case FIELD_JSON: sqlite3_bind_text64(q, at, v->bytes.p, v->bytes.n, SQLITE_STATIC, SQLITE_UTF8); break;
    case FIELD_BYTES: sqlite3_bind_blob64(q, at, v->bytes.p, v->bytes.n, SQLITE_STATIC); break;
    case FIELD_BOOL: sqlite3_bind_int64(q, at, v->number != 0); break;
    case FIELD_INT:
    case FIELD_TIME: sqlite3_bind_int64(q, at, v->number); break;
    }
    return at + 1;
}

int bind_cond(sqlite3_stmt *q, int at, const struct cond *c)
{
    if (c->compare == ONE_OF) {
        size_t room = sql_list_room(c->n_list);

        for (size_t i = 0; i < room; i++)
            at = bind_value(q, at, &c->list[i < c->n_list ? i : c->n_list - 1]);
        return at;
    }
    if ((c->compare == IS || c->compare == IS_NOT) && value_is_null(&c->value))
        return at;
    return bind_value(q, at, &c->value);
}

void bind_row(sqlite3_stmt *q, const struct kind *k, const void *row)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        struct value v = value_of(f, row);

        /* SQLite borrows the bytes until the step, so an id is bound where it lies, not from `v`. */
        if (f->type == FIELD_ID && !value_is_null(&v))
            sqlite3_bind_blob(q, (int)i + 1, (const char *)row + f->offset, sizeof v.id.b, SQLITE_STATIC);
        else
            bind_value(q, (int)i + 1, &v);
    }
}

static bool read_bytes(sqlite3_stmt *q, int column, struct arena *a, struct bytes *out, struct err *e)
{
    const void *p = sqlite3_column_type(q, column) == SQLITE_NULL ? NULL : sqlite3_column_blob(q, column);
    size_t n = (size_t)sqlite3_column_bytes(q, column);
    char *copy;

    if (sqlite3_column_type(q, column) == SQLITE_NULL)
        return true;
    copy = arena_try(a, n + 1);
    if (!copy)
        return arena_refused(a, "The answer of the store", e);
    if (n && !p)
        return err_set(e, ERR_BUSY, "sqlite: out of memory");
    if (n)
        memcpy(copy, p, n);
    *out = (struct bytes){ copy, n };
    return true;
}

static bool read_field(sqlite3_stmt *q, int column, const struct field *f, struct arena *a, void *row, struct err *e)
{
    struct value v = { .type = f->type };

    switch (f->type) {
    case FIELD_ID:
        if (sqlite3_column_bytes(q, column) == (int)sizeof v.id.b)
            memcpy(v.id.b, sqlite3_column_blob(q, column), sizeof v.id.b);
        break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON:
        if (!read_bytes(q, column, a, &v.bytes, e))
            return false;
        break;
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_TIME: v.number = sqlite3_column_int64(q, column); break;
    }
    value_put(f, row, &v);
    return true;
}

bool read_row(sqlite3_stmt *q, int column, const struct kind *k, uint64_t fields, struct arena *a, void *row,
              struct err *e)
{
    for (size_t i = 0; i < k->n_fields; i++)
        if ((fields >> i & 1) && !read_field(q, column++, &k->fields[i], a, row, e))
            return false;
    return true;
}

uint64_t fields_named(const struct kind *k, const char *const *names)
{
    uint64_t fields = 0;

    assert(k->n_fields <= 64);
    for (; names && *names; names++)
        fields |= (uint64_t)1 << (field_for(k, *names, NULL) - k->fields);
    return fields ? fields : ALL_FIELDS;
}
