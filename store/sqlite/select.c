/* store/sqlite/select.c - reads, each on a connection of a store worker.
 *
 * Statements are found by their shape and only made for a new one. INDEXED BY names the index, so SQLite fails where it
 * would otherwise scan. Several passes of one query are one read transaction and see one state; a claim's passes run in
 * the writer's. */
#include "store/sqlite/sqlite.h"

static void shape_fields(struct shape *s, uint64_t fields)
{
    for (int i = 0; i < 64; i += 8)
        shape_add(s, (unsigned)(fields >> i) & 0xff);
}

static void sql_select(struct buf *sql, const struct kind *k, uint64_t fields)
{
    buf_adds(sql, "SELECT ");
    sql_columns(sql, k, fields);
    buf_adds(sql, " FROM ");
    sql_name(sql, k->name);
}

/* One row or none. */
static bool step_one(struct conn *c, sqlite3_stmt *q, const struct kind *k, uint64_t fields, struct arena *a, void *row,
                     bool *found, struct err *e)
{
    bool ok = true;
    int rc = sqlite3_step(q);

    *found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        ok = read_row(q, 0, k, fields, a, row, e);
    else if (rc != SQLITE_DONE)
        ok = conn_err(c, e);
    sqlite3_reset(q);
    return ok;
}

bool select_get(struct conn *c, const struct kind *k, struct id id, uint64_t fields, struct arena *a, void *row,
                bool *found, struct err *e)
{
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;

    shape_begin(&shape, 'g', k);
    shape_fields(&shape, fields);
    q = statement_find(c, &shape);
    if (!q) {
        buf_init(&sql, SQL_MAX);
        sql_select(&sql, k, fields);
        buf_adds(&sql, " WHERE \"id\" = ?");
        q = statement_build(c, &shape, &sql, e);
    }
    if (!q)
        return false;
    sqlite3_bind_blob(q, 1, id.b, sizeof id.b, SQLITE_STATIC);
    return step_one(c, q, k, fields, a, row, found, e);
}

static void key_conds(const struct unique_key *key, struct cond *conds, const struct field **fields)
{
    for (size_t i = 0; i < key->n; i++) {
        conds[i] = COND(key->index->fields[i], IS, key->values[i]);
        fields[i] = kind_field(key->kind, key->index->fields[i]);
    }
}

static void sql_conds(struct buf *sql, const struct cond *conds, const struct field *const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_adds(sql, i ? " AND " : " WHERE ");
        sql_cond(sql, fields[i], &conds[i]);
    }
}

bool select_by(struct conn *c, const struct unique_key *key, struct arena *a, void *row, struct err *e)
{
    const struct kind *k = key->kind;
    struct cond conds[INDEX_FIELDS];
    const struct field *fields[INDEX_FIELDS];
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;
    bool found;
    int at = 1;

    key_conds(key, conds, fields);
    shape_begin(&shape, 'u', k);
    shape_add(&shape, (unsigned)(key->index - k->indexes));
    for (size_t i = 0; i < key->n; i++)
        shape_cond(&shape, k, fields[i], &conds[i]);
    q = statement_find(c, &shape);
    if (!q) {
        buf_init(&sql, SQL_MAX);
        sql_select(&sql, k, ALL_FIELDS);
        sql_conds(&sql, conds, fields, key->n);
        if (key->index->when) {
            buf_adds(&sql, " AND ");
            sql_when(&sql, k, key->index);
        }
        buf_adds(&sql, " LIMIT 1");
        q = statement_build(c, &shape, &sql, e);
    }
    if (!q)
        return false;
    for (size_t i = 0; i < key->n; i++)
        at = bind_cond(q, at, &conds[i]);
    return step_one(c, q, k, ALL_FIELDS, a, row, &found, e) &&
           (found || err_set(e, ERR_MISSING, "No such %s", k->name));
}

/* ---- find ---- */

static bool step_all(struct conn *c, sqlite3_stmt *q, struct gather *g, uint64_t fields, struct arena *a, struct err *e)
{
    bool ok = true;
    int rc;

    while (ok && !gather_enough(g, a) && (rc = sqlite3_step(q)) != SQLITE_DONE)
        ok = rc == SQLITE_ROW ? read_row(q, 0, g->kind, fields, a, gather_add(g), e) : conn_err(c, e);
    sqlite3_reset(q);
    return ok;
}

static void pass_shape(struct shape *s, const struct plan *p, const struct pass *pass, const struct claimable *claim,
                       uint64_t fields)
{
    const struct kind *k = p->query->kind;

    shape_begin(s, claim ? 'c' : 'f', k);
    shape_add(s, p->index ? (unsigned)(p->index - k->indexes) : UINT8_MAX);
    shape_add(s, (unsigned)pass->order_from << 1 | p->query->descending);
    shape_fields(s, fields);
    for (size_t i = 0; i < pass->n; i++)
        shape_cond(s, k, pass->fields[i], &pass->conds[i]);
    if (claim)
        shape_add(s, (unsigned)(kind_field(k, claim->claim->lease) - k->fields));
}

/* Free: no lease, or one that ran out. */
static void sql_claimable(struct buf *sql, const struct claimable *claim, bool first)
{
    buf_adds(sql, first ? " WHERE (" : " AND (");
    sql_name(sql, claim->claim->lease);
    buf_adds(sql, " IS NULL OR ");
    sql_name(sql, claim->claim->lease);
    buf_adds(sql, " <= ?)");
}

static void sql_order(struct buf *sql, const struct plan *p, size_t from)
{
    for (size_t i = from; i < p->n_order; i++) {
        buf_adds(sql, i == from ? " ORDER BY " : ", ");
        sql_name(sql, p->order[i]->name);
        if (p->query->descending)
            buf_adds(sql, " DESC");
    }
}

static sqlite3_stmt *pass_prepare(struct conn *c, const struct shape *shape, const struct plan *p,
                                  const struct pass *pass, const struct claimable *claim, uint64_t fields,
                                  struct err *e)
{
    const struct kind *k = p->query->kind;
    struct buf sql;

    buf_init(&sql, SQL_MAX);
    sql_select(&sql, k, fields);
    if (p->index) {
        /* Where the index does not serve, SQLite refuses the statement rather than scan. */
        buf_adds(&sql, " INDEXED BY ");
        sql_index_name(&sql, k, p->index);
    }
    sql_conds(&sql, pass->conds, pass->fields, pass->n);
    if (p->index && p->index->when) {
        buf_adds(&sql, " AND "); /* a condition implies it, so there is one before */
        sql_when(&sql, k, p->index);
    }
    if (claim)
        sql_claimable(&sql, claim, pass->n == 0);
    sql_order(&sql, p, pass->order_from);
    buf_adds(&sql, " LIMIT ?");
    return statement_build(c, shape, &sql, e);
}

static uint64_t field_bit(const struct kind *k, const char *name)
{
    return (uint64_t)1 << (kind_field(k, name) - k->fields);
}

static bool run_pass(struct conn *c, const struct plan *p, const struct pass *pass, const struct claimable *claim,
                     struct gather *g, struct arena *a, struct err *e)
{
    uint64_t fields = fields_named(p->query->kind, p->query->only);
    struct shape shape;
    sqlite3_stmt *q;
    int at = 1;

    if (claim) /* what the claim replaces */
        fields |= field_bit(p->query->kind, claim->claim->due) | field_bit(p->query->kind, claim->claim->lease);
    pass_shape(&shape, p, pass, claim, fields);
    q = statement_find(c, &shape);
    if (!q)
        q = pass_prepare(c, &shape, p, pass, claim, fields, e);
    if (!q)
        return false;
    for (size_t i = 0; i < pass->n; i++)
        at = bind_cond(q, at, &pass->conds[i]);
    if (claim)
        sqlite3_bind_int64(q, at++, claim->now);
    sqlite3_bind_int64(q, at, (int64_t)(p->query->limit - g->n));
    return step_all(c, q, g, fields, a, e);
}

static void add_due(const struct claimable *claim, struct pass *pass)
{
    const struct kind *k = claim->claim->query.kind;

    pass->fields[pass->n] = kind_field(k, claim->claim->due);
    pass->conds[pass->n++] = COND(claim->claim->due, AT_MOST, V_TIME(claim->now));
}

void read_end(struct conn *c)
{
    struct err ignored;

    if (!conn_step(c, "COMMIT", &ignored)) /* it wrote nothing: nothing can be lost */
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Several passes are one read transaction, so that they see one state. A claim runs in the writer's. */
bool select_plan(struct conn *c, const struct plan *p, const struct claimable *claim, struct arena *a, struct rows *out,
                 struct err *e)
{
    struct gather g;
    struct pass pass;
    bool several = plan_passes(p) > 1, ok = true;

    if (p->query->limit > INT32_MAX)
        return err_set(e, ERR_INTERNAL, "a limit of %zu rows", p->query->limit);
    if (several && !conn_step(c, "BEGIN", e))
        return false;
    gather_begin(&g, p, a);
    for (size_t i = 0; ok && g.n < p->query->limit && !g.cut && plan_pass(p, i, &pass); i++) {
        if (claim)
            add_due(claim, &pass);
        ok = pass.empty || run_pass(c, p, &pass, claim, &g, a, e);
    }
    if (several && !sqlite3_get_autocommit(c->db))
        read_end(c);
    return gather_end(&g, ok, a, out, e);
}

/* ---- watch and blobs ---- */

bool select_watch_end(struct conn *c, const struct kind *k, int64_t *seq, struct err *e)
{
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;
    bool ok;

    shape_begin(&shape, 'e', k);
    q = statement_find(c, &shape);
    if (!q) {
        buf_init(&sql, SQL_MAX);
        buf_addf(&sql, "SELECT coalesce(max(\"_seq\"), 0) FROM \"%s\"", k->name);
        q = statement_build(c, &shape, &sql, e);
    }
    if (!q)
        return false;
    ok = sqlite3_step(q) == SQLITE_ROW || conn_err(c, e);
    if (ok)
        *seq = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return ok;
}

static sqlite3_stmt *watch_statement(struct conn *c, const struct kind *k, const struct index *x, struct err *e)
{
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;

    shape_begin(&shape, 'w', k);
    shape_add(&shape, x ? (unsigned)(x - k->indexes) : UINT8_MAX);
    q = statement_find(c, &shape);
    if (q)
        return q;
    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, "SELECT \"_seq\",");
    sql_columns(&sql, k, ALL_FIELDS);
    buf_adds(&sql, " FROM ");
    sql_name(&sql, k->name);
    if (x) {
        buf_adds(&sql, " INDEXED BY ");
        sql_index_name(&sql, k, x);
    }
    buf_adds(&sql, " WHERE \"_seq\" > ?1 AND \"_seq\" <= ?2");
    if (x) {
        buf_adds(&sql, " AND ");
        sql_name(&sql, x->fields[0]);
        buf_adds(&sql, " = ?4");
    }
    buf_adds(&sql, " ORDER BY \"_seq\" LIMIT ?3");
    return statement_build(c, &shape, &sql, e);
}

/* What is committed later has a higher number than all that is there: so the end is asked first, and where no more rows
 * are found, all has been read up to it. */
bool select_watch(struct conn *c, const struct watch *w, int64_t *seq, struct arena *a, struct rows *out, struct err *e)
{
    const struct index *x = w->index ? kind_index(w->kind, w->index) : NULL;
    struct gather g = { .kind = w->kind };
    int64_t end = *seq;
    sqlite3_stmt *q;
    int rc = SQLITE_ROW;
    bool ok = true;

    if (!select_watch_end(c, w->kind, &end, e) || !(q = watch_statement(c, w->kind, x, e)))
        return false;
    sqlite3_bind_int64(q, 1, *seq);
    sqlite3_bind_int64(q, 2, end);
    sqlite3_bind_int64(q, 3, w->limit > INT32_MAX ? INT32_MAX : (int64_t)w->limit);
    if (x)
        bind_value(q, 4, &w->value);
    while (ok && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        *seq = sqlite3_column_int64(q, 0);
        ok = read_row(q, 1, w->kind, ALL_FIELDS, a, gather_add(&g), e);
    }
    if (ok && rc != SQLITE_DONE)
        ok = conn_err(c, e);
    sqlite3_reset(q);
    if (ok && g.n < w->limit && end > *seq)
        *seq = end;
    return gather_end(&g, ok, a, out, e);
}

bool select_blob(struct conn *c, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e)
{
    static const struct field chunk[] = { { "bytes", FIELD_BYTES, 0 } };
    static const struct kind blob = { .name = "_blob", .size = sizeof(struct bytes), .fields = chunk, .n_fields = 1 };
    struct shape shape;
    sqlite3_stmt *q;
    bool found;

    shape_begin(&shape, 'b', &blob);
    q = statement_find(c, &shape);
    if (!q)
        q = statement_add(c, &shape, "SELECT bytes FROM _blob WHERE id = ? AND n = ?", e);
    if (!q)
        return false;
    *out = NO_BYTES;
    sqlite3_bind_blob(q, 1, id.b, sizeof id.b, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, n);
    return step_one(c, q, &blob, ALL_FIELDS, a, out, &found, e) && (found || err_set(e, ERR_MISSING, "No such chunk"));
}

bool select_blobs(struct conn *c, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                  struct err *e)
{
    static const struct field fields[] = { FIELD(ID, blob_chunk, id), FIELD(INT, blob_chunk, n),
                                           FIELD(BYTES, blob_chunk, bytes) };
    static const struct kind all = {
        .name = "_blob", .size = sizeof(struct blob_chunk), .fields = fields, .n_fields = 3
    };
    static const struct blob_chunk first = { .n = -1 };
    struct gather g = { .kind = &all };
    struct shape shape;
    sqlite3_stmt *q;

    after = after ? after : &first;
    shape_begin(&shape, 'B', &all);
    q = statement_find(c, &shape);
    if (!q)
        q = statement_add(c, &shape, "SELECT id, n, bytes FROM _blob WHERE (id, n) > (?, ?) ORDER BY id, n LIMIT ?", e);
    if (!q)
        return false;
    sqlite3_bind_blob(q, 1, after->id.b, sizeof after->id.b, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, after->n);
    sqlite3_bind_int64(q, 3, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    return gather_end(&g, step_all(c, q, &g, ALL_FIELDS, a, e), a, out, e);
}
