/* store/sqlite/apply.c - one batch into the writer's transaction, operation after operation.
 *
 * Conditions and bounds stand in the WHERE of the write itself, so the usual case is one statement. Only when it
 * touched no row is the row read to say why. New values of raised fields are caught by capture() while they are
 * written. How a batch failed tells the writer whether anything has to be undone (writer.c). */
#include "store/sqlite/sqlite.h"

/* How one operation ended. */
enum done { DONE, FAULTY, FAILED };

/* ---- insert ---- */

static sqlite3_stmt *insert_statement(struct conn *c, const struct op *op, struct err *e)
{
    const struct kind *k = op->kind;
    bool replaces = op->type == OP_RAISE;
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;

    shape_begin(&shape, replaces ? 'r' : 'i', k);
    q = statement_find(c, &shape);
    if (q)
        return q;
    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, replaces ? "INSERT OR REPLACE INTO " : "INSERT INTO ");
    sql_name(&sql, k->name);
    buf_adds(&sql, " (");
    sql_columns(&sql, k, ALL_FIELDS);
    buf_adds(&sql, ") VALUES (");
    for (size_t i = 0; i < k->n_fields; i++)
        buf_adds(&sql, i ? ",?" : "?");
    buf_addc(&sql, ')');
    return statement_build(c, &shape, &sql, e);
}

/* "UNIQUE constraint failed: table.a, table.b" names the columns of the index. */
static bool is_index(const struct kind *k, const struct index *x, const char *columns)
{
    struct buf want;
    bool same;

    buf_init(&want, 1024);
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++)
        buf_addf(&want, "%s%s.%s", i ? ", " : "", k->name, x->fields[i]);
    same = bytes_equal(buf_bytes(&want), bytes_of(columns));
    buf_clear(&want);
    return same;
}

static const char *taken_index(struct conn *c, const struct kind *k)
{
    const char *message = sqlite3_errmsg(c->db), *colon = strstr(message, ": ");

    for (size_t i = 0; colon && i < k->n_indexes; i++)
        if (k->indexes[i].unique && is_index(k, &k->indexes[i], colon + 2))
            return k->indexes[i].name;
    return "id";
}

static bool is_taken(struct conn *c)
{
    int rc = sqlite3_extended_errcode(c->db);

    return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID;
}

/* A write has been stepped: sort out why it failed, if it did. */
static enum done wrote(struct conn *c, struct batch *b, size_t i, int rc, struct err *e)
{
    if (rc == SQLITE_DONE)
        return DONE;
    if (is_taken(c)) {
        batch_fails(b, i, FAULT_UNIQUE, taken_index(c, b->ops[i].kind), e);
        return FAULTY;
    }
    conn_err(c, e);
    return FAILED;
}

static enum done insert(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    const struct op *op = &b->ops[i];
    sqlite3_stmt *q = insert_statement(c, op, e);
    enum done done;

    if (!q)
        return FAILED;
    bind_row(q, op->kind, op->row);
    for (size_t j = 0; op->type == OP_INSERT && j < op->n_sets; j++) {
        int at = (int)(op->set_fields[j] - op->kind->fields) + 1;

        if (op->sets[j].how == SET_FROM_SLOT)
            sqlite3_bind_int64(q, at, batch_from_slot(b, &op->sets[j]));
        else
            bind_value(q, at, &op->sets[j].value);
    }
    done = wrote(c, b, i, sqlite3_step(q), e);
    sqlite3_reset(q);
    return done == DONE && op->kind->watched && !sequence_inserted(c, op->kind, e) ? FAILED : done;
}

/* ---- update, raise, delete, require ---- */

static bool is_update(const struct op *op)
{
    return op->type == OP_UPDATE || op->type == OP_RAISE;
}

static void op_shape(struct shape *s, const struct op *op)
{
    const struct kind *k = op->kind;

    shape_begin(s, is_update(op) ? 'U' : op->type == OP_DELETE ? 'D' : 'R', k);
    shape_add(s, (unsigned)op->n_sets);
    for (size_t i = 0; i < op->n_sets; i++) {
        const struct set *set = &op->sets[i];

        shape_add(s, (unsigned)(op->set_fields[i] - k->fields));
        shape_add(s, (unsigned)set->how << 2 | (unsigned)set->bounded << 1 | (set->slot >= 0));
        if (set->bounded)
            shape_add(s, set->bound_field ? (unsigned)(kind_field(k, set->bound_field) - k->fields) : UINT8_MAX);
    }
    for (size_t i = 0; i < op->n_conds; i++)
        shape_cond(s, k, op->cond_fields[i], &op->conds[i]);
}

static void sql_set(struct buf *sql, size_t i, const struct set *s)
{
    sql_name(sql, s->field);
    if (s->how != SET_ADD) {
        buf_adds(sql, " = ?");
        return;
    }
    if (s->slot >= 0)
        buf_addf(sql, " = capture(%zu, max(0, \"%s\" + ?))", i, s->field);
    else
        buf_addf(sql, " = max(0, \"%s\" + ?)", s->field);
}

static void sql_bound(struct buf *sql, const struct set *s)
{
    buf_addf(sql, " AND max(0, \"%s\" + ?) <= ", s->field);
    if (s->bound_field)
        buf_addf(sql, "\"%s\" + ", s->bound_field);
    buf_addc(sql, '?');
}

static void sql_op(struct buf *sql, const struct op *op)
{
    buf_adds(sql, is_update(op) ? "UPDATE " : op->type == OP_DELETE ? "DELETE FROM " : "SELECT 1 FROM ");
    sql_name(sql, op->kind->name);
    for (size_t i = 0; i < op->n_sets; i++) {
        buf_adds(sql, i ? ", " : " SET ");
        sql_set(sql, i, &op->sets[i]);
    }
    buf_adds(sql, " WHERE \"id\" = ?");
    for (size_t i = 0; i < op->n_conds; i++) {
        buf_adds(sql, " AND ");
        sql_cond(sql, op->cond_fields[i], &op->conds[i]);
    }
    for (size_t i = 0; i < op->n_sets; i++)
        if (op->sets[i].bounded)
            sql_bound(sql, &op->sets[i]);
}

static void bind_op(sqlite3_stmt *q, const struct batch *b, const struct op *op)
{
    int at = 1;

    for (size_t i = 0; i < op->n_sets; i++) {
        if (op->sets[i].how == SET_FROM_SLOT)
            sqlite3_bind_int64(q, at++, batch_from_slot(b, &op->sets[i]));
        else
            at = bind_value(q, at, &op->sets[i].value);
    }
    sqlite3_bind_blob(q, at++, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    for (size_t i = 0; i < op->n_conds; i++)
        at = bind_cond(q, at, &op->conds[i]);
    for (size_t i = 0; i < op->n_sets; i++) {
        if (!op->sets[i].bounded)
            continue;
        sqlite3_bind_int64(q, at++, op->sets[i].value.number);
        sqlite3_bind_int64(q, at++, op->sets[i].bound);
    }
}

static uint64_t bit(const struct kind *k, const struct field *f)
{
    return (uint64_t)1 << (f - k->fields);
}

/* Nothing was touched: read what is there and say why. */
static enum done judge(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    const struct op *op = &b->ops[i];
    void *row = arena_alloc(b->arena, op->kind->size);
    uint64_t fields = 1;
    bool found;

    for (size_t j = 0; j < op->n_conds; j++)
        fields |= bit(op->kind, op->cond_fields[j]);
    for (size_t j = 0; j < op->n_sets; j++)
        if (op->sets[j].bounded) {
            fields |= bit(op->kind, op->set_fields[j]);
            if (op->sets[j].bound_field)
                fields |= bit(op->kind, kind_field(op->kind, op->sets[j].bound_field));
        }
    if (!select_get(c, op->kind, op->id, fields, b->arena, row, &found, e))
        return FAILED;
    batch_judge(b, i, found ? row : NULL, e);
    return FAULTY;
}

static void take_slots(struct conn *c, struct batch *b, const struct op *op)
{
    for (size_t i = 0; i < op->n_sets; i++)
        if (op->sets[i].how == SET_ADD && op->sets[i].slot >= 0)
            b->slots[op->sets[i].slot] = c->captured[i];
}

static enum done change(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    const struct op *op = &b->ops[i];
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;
    enum done done;
    int rc;

    op_shape(&shape, op);
    q = statement_find(c, &shape);
    if (!q) {
        buf_init(&sql, SQL_MAX);
        sql_op(&sql, op);
        q = statement_build(c, &shape, &sql, e);
    }
    if (!q || (op->type == OP_DELETE && op->kind->watched && !sequence_deletes(c, op->kind, e)))
        return FAILED;
    bind_op(q, b, op);
    rc = sqlite3_step(q);
    done = wrote(c, b, i, rc == SQLITE_ROW ? SQLITE_DONE : rc, e);
    sqlite3_reset(q);
    if (done != DONE)
        return done;
    if (op->type == OP_REQUIRE ? rc != SQLITE_ROW : sqlite3_changes(c->db) == 0)
        return judge(c, b, i, e);
    take_slots(c, b, op);
    return DONE;
}

/* Nearly always the row is there: then it is one update. */
static enum done raise_row(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    struct err why = { 0 };
    enum done done = change(c, b, i, &why);

    if (done == FAULTY && batch_failure(b).fault != FAULT_BOUND)
        return batch_begins(b, i, e) ? insert(c, b, i, e) : FAULTY;
    if (done != DONE)
        *e = why;
    return done;
}

/* ---- blobs ---- */

static sqlite3_stmt *fixed(struct conn *c, char op, const char *sql, struct err *e)
{
    struct shape shape;
    sqlite3_stmt *q;

    shape_begin(&shape, op, NULL);
    q = statement_find(c, &shape);
    return q ? q : statement_add(c, &shape, sql, e);
}

/* The number that a statement answers with, -1 on failure. */
static int64_t ask_number(struct conn *c, sqlite3_stmt *q, struct err *e)
{
    int64_t n = -1;

    if (sqlite3_step(q) == SQLITE_ROW)
        n = sqlite3_column_int64(q, 0);
    else
        conn_err(c, e);
    sqlite3_reset(q);
    return n;
}

/* 1 when the chunk is there with these bytes, 0 when with others, -1 on failure. */
static int64_t chunk_same(struct conn *c, const struct op *op, struct err *e)
{
    sqlite3_stmt *q = fixed(c, 's', "SELECT bytes = ? FROM _blob WHERE id = ? AND n = ?", e);

    if (!q)
        return -1;
    sqlite3_bind_blob64(q, 1, op->bytes.p, op->bytes.n, SQLITE_STATIC);
    sqlite3_bind_blob(q, 2, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, op->chunk);
    return ask_number(c, q, e);
}

static enum done blob_put(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    const struct op *op = &b->ops[i];
    sqlite3_stmt *q = fixed(c, 'p', "INSERT INTO _blob (id, n, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", e);
    int64_t same;
    int rc;

    if (!q)
        return FAILED;
    sqlite3_bind_blob(q, 1, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, op->chunk);
    sqlite3_bind_blob64(q, 3, op->bytes.p, op->bytes.n, SQLITE_STATIC);
    rc = sqlite3_step(q);
    if (rc != SQLITE_DONE)
        conn_err(c, e);
    sqlite3_reset(q);
    if (rc != SQLITE_DONE)
        return FAILED;
    if (sqlite3_changes(c->db) > 0)
        return DONE;
    same = chunk_same(c, op, e);
    if (same == 0)
        batch_fails(b, i, FAULT_UNIQUE, "chunk", e);
    return same < 0 ? FAILED : same ? DONE : FAULTY;
}

static enum done blob_delete(struct conn *c, struct batch *b, size_t i, struct err *e)
{
    sqlite3_stmt *q = fixed(c, 'd', "DELETE FROM _blob WHERE id = ?", e);
    enum done done = DONE;

    if (!q)
        return FAILED;
    sqlite3_bind_blob(q, 1, b->ops[i].id.b, sizeof b->ops[i].id.b, SQLITE_STATIC);
    if (sqlite3_step(q) != SQLITE_DONE) {
        conn_err(c, e);
        done = FAILED;
    }
    sqlite3_reset(q);
    return done;
}

/* Sees keys of an index only. */
static enum done blob_require(struct conn *c, struct batch *b, size_t i, int64_t lost, struct err *e)
{
    const struct op *op = &b->ops[i];
    sqlite3_stmt *q = fixed(c, 'n', "SELECT count(*) FROM _blob WHERE id = ? AND n < ?", e);
    int64_t n;

    if (!q)
        return FAILED;
    sqlite3_bind_blob(q, 1, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, op->chunk);
    n = ask_number(c, q, e);
    if (n >= 0 && (n != op->chunk || lost != op->mark))
        batch_fails(b, i, FAULT_MISSING, "chunk", e);
    return n < 0 ? FAILED : n == op->chunk && lost == op->mark ? DONE : FAULTY;
}

/* ---- a batch ---- */

static enum done apply_op(struct conn *c, struct batch *b, size_t i, int64_t lost, struct err *e)
{
    switch (b->ops[i].type) {
    case OP_INSERT: return insert(c, b, i, e);
    case OP_RAISE: return raise_row(c, b, i, e);
    case OP_UPDATE:
    case OP_DELETE:
    case OP_REQUIRE: return change(c, b, i, e);
    case OP_BLOB_PUT: return blob_put(c, b, i, e);
    case OP_BLOB_DELETE: return blob_delete(c, b, i, e);
    case OP_BLOB_REQUIRE: return blob_require(c, b, i, lost, e);
    }
    return FAILED;
}

enum applied apply_batch(struct conn *c, struct batch *b, int64_t lost, struct err *e)
{
    bool changed = false;

    batch_forget(b);
    for (size_t i = 0; i < b->n; i++) {
        enum done done = apply_op(c, b, i, lost, e);

        if (done == FAILED)
            return BROKEN;
        if (done == FAULTY) /* the failing statement itself was undone by SQLite */
            return changed ? REFUSED : REFUSED_CLEAN;
        changed = changed || (b->ops[i].type != OP_REQUIRE && b->ops[i].type != OP_BLOB_REQUIRE);
    }
    return APPLIED;
}

/* ---- claims ---- */

static sqlite3_stmt *claim_statement(struct conn *c, const struct claim *claim, struct err *e)
{
    const struct kind *k = claim->query.kind;
    struct shape shape;
    struct buf sql;
    sqlite3_stmt *q;

    shape_begin(&shape, 'C', k);
    shape_add(&shape, (unsigned)(kind_field(k, claim->due) - k->fields));
    shape_add(&shape, (unsigned)(kind_field(k, claim->lease) - k->fields));
    shape_add(&shape, (unsigned)(kind_field(k, claim->token) - k->fields));
    shape_add(&shape, (unsigned)(kind_field(k, claim->holder) - k->fields));
    shape_add(&shape, claim->lapsed ? (unsigned)(kind_field(k, claim->lapsed) - k->fields) : UINT8_MAX);
    q = statement_find(c, &shape);
    if (q)
        return q;
    buf_init(&sql, SQL_MAX);
    buf_addf(&sql, "UPDATE \"%s\" SET \"%s\" = ?1, \"%s\" = ?1, \"%s\" = capture(0, max(\"%s\", ?2) + 1), \"%s\" = ?3",
             k->name, claim->due, claim->lease, claim->token, claim->token, claim->holder);
    if (claim->lapsed)
        buf_addf(&sql, ", \"%s\" = \"%s\"", claim->lapsed, claim->lease);
    buf_adds(&sql, " WHERE \"id\" = ?4");
    return statement_build(c, &shape, &sql, e);
}

/* The row keeps the due of before. */
static void note_claim(const struct claim *claim, int64_t until, int64_t token, struct id node, void *row)
{
    const struct kind *k = claim->query.kind;
    struct value before = value_of(kind_field(k, claim->lease), row);

    if (claim->lapsed)
        value_put(kind_field(k, claim->lapsed), row, &before);
    value_put(kind_field(k, claim->lease), row, &V_TIME(until));
    value_put(kind_field(k, claim->token), row, &V_INT(token));
    value_put(kind_field(k, claim->holder), row, &V_ID(node));
}

static bool claim_row(struct conn *c, const struct claim *claim, struct sqlite_store *s, int64_t until, void *row,
                      struct err *e)
{
    sqlite3_stmt *q = claim_statement(c, claim, e);
    struct value id = value_of(&claim->query.kind->fields[0], row), lease = V_TIME(until), holder = V_ID(s->node);
    bool ok;

    if (!q)
        return false;
    bind_value(q, 1, &lease);
    sqlite3_bind_int64(q, 2, s->epoch);
    bind_value(q, 3, &holder);
    bind_value(q, 4, &id);
    ok = sqlite3_step(q) == SQLITE_DONE || conn_err(c, e);
    sqlite3_reset(q);
    note_claim(claim, until, c->captured[0], s->node, row);
    return ok;
}

/* Part by part, until the whole has its limit. */
static bool select_parts(struct conn *c, const struct claimable *able, struct arena *a, struct rows *out, struct err *e)
{
    const struct claim *claim = able->claim;
    struct gather all = { .kind = claim->query.kind };
    bool ok = true;

    for (size_t i = 0; ok && i < claim_parts(claim); i++) {
        struct query q;
        struct plan part;
        struct rows rows = { 0 };

        if (!claim_part(claim, i, claim->query.limit - all.n, &q))
            continue;
        ok = plan_make(&q, a, &part, e) && select_plan(c, &part, able, a, &rows, e);
        for (size_t j = 0; j < rows.n; j++)
            memcpy(gather_add(&all), (const char *)rows.row + j * q.kind->size, q.kind->size);
    }
    return gather_end(&all, ok, a, out, e);
}

enum applied apply_claim(struct conn *c, const struct claim *claim, const struct plan *p, struct sqlite_store *s,
                         struct arena *a, struct rows *out, struct err *e)
{
    struct claimable able = { claim, clock_wall() };
    bool found = claim->each ? select_parts(c, &able, a, out, e) : select_plan(c, p, &able, a, out, e);

    if (!found)
        return e->code == ERR_TOO_LARGE ? REFUSED_CLEAN : BROKEN;
    for (size_t i = 0; i < out->n; i++)
        if (!claim_row(c, claim, s, able.now + claim->lease_ms, (char *)out->row + i * claim->query.kind->size, e))
            return BROKEN;
    return APPLIED;
}
