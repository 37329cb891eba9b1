/* The batches of a group, judged in memory.
 *
 * The rows that operations name have been read (apply.c); batches are applied to them one after the other, as SQLite
 * would in its tables, and what comes out is written in one go: however many batches raise a mailbox's counters, it is
 * one update. So slots and bounds are worked out here. A batch that fails is taken back, row by row. */
#include "store/mongo/mongo.h"

/* What a job changed, to be put back from the newest on. */
struct undo {
    struct undo *next;
    struct row_state *state, old;
    void *row;
    struct chunk_state *chunk, old_chunk;
};

/* ---- rows by id ---- */

size_t group_hash(const void *p, size_t n, size_t h)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
    return h ^ h >> 29;
}

struct row_state *group_row(const struct group *g, const struct kind *k, struct id id)
{
    struct row_state *s = g->buckets[group_hash(id.b, sizeof id.b, 0) & g->mask];

    while (s && !(s->kind == k && id_equal(s->id, id)))
        s = s->in_bucket;
    return s;
}

static struct row_state *name_row(struct group *g, const struct kind *k, struct id id)
{
    struct row_state *s = group_row(g, k, id), **bucket, ***end;

    if (s)
        return s;
    s = arena_alloc(g->arena, sizeof *s);
    s->kind = k;
    s->id = id;
    s->row = arena_alloc(g->arena, k->size);
    bucket = &g->buckets[group_hash(id.b, sizeof id.b, 0) & g->mask];
    s->in_bucket = *bucket;
    *bucket = s;
    *g->last_row = s;
    g->last_row = &s->in_group;
    end = &g->table_end[table_number(&g->store->tables, k)];
    **end = s;
    *end = &s->in_table;
    return s;
}

static struct chunk_state *name_chunk(struct group *g, const uint8_t key[BLOB_KEY])
{
    struct chunk_state **bucket = &g->chunk_buckets[group_hash(key, BLOB_KEY, 0) & g->mask], *s = *bucket;

    while (s && memcmp(s->key, key, BLOB_KEY) != 0)
        s = s->in_bucket;
    if (s)
        return s;
    s = arena_alloc(g->arena, sizeof *s);
    memcpy(s->key, key, BLOB_KEY);
    s->in_bucket = *bucket;
    *bucket = s;
    *g->last_chunk = s;
    g->last_chunk = &s->in_group;
    return s;
}

/* ---- what is to be read ---- */

static uint64_t bit(const struct kind *k, const struct field *f)
{
    return (uint64_t)1 << (f - k->fields);
}

static uint64_t fields_needed(const struct op *op)
{
    const struct kind *k = op->kind;
    uint64_t need = op->type == OP_DELETE ? 1 | keys_fields(k) : 1;

    for (size_t i = 0; i < op->n_conds; i++)
        need |= bit(k, op->cond_fields[i]);
    for (size_t i = 0; i < op->n_sets; i++) {
        if (keys_fields(k) & bit(k, op->set_fields[i]))
            need |= keys_fields(k);
        if (op->sets[i].how == SET_ADD)
            need |= bit(k, op->set_fields[i]);
        if (op->sets[i].bound_field)
            need |= bit(k, kind_field(k, op->sets[i].bound_field));
    }
    return need;
}

static void name_op(struct group *g, const struct op *op)
{
    uint8_t key[BLOB_KEY];

    switch (op->type) {
    case OP_INSERT: name_row(g, op->kind, op->id); break;
    case OP_UPDATE:
    case OP_RAISE:
    case OP_DELETE:
    case OP_REQUIRE: name_row(g, op->kind, op->id)->need |= fields_needed(op); break;
    case OP_BLOB_PUT:
        blob_key(op->id, op->chunk, key);
        name_chunk(g, key);
        break;
    case OP_BLOB_DELETE:
    case OP_BLOB_REQUIRE: break;
    }
}

static void name_needed(struct group *g, struct job *j, const struct op *op)
{
    struct needed *n = arena_alloc(g->arena, sizeof *n);

    *n = (struct needed){ .job = j, .id = op->id, .n = op->chunk, .next = g->needed };
    g->needed = n;
}

static void name_job(struct group *g, struct job *j)
{
    for (size_t i = 0; i < j->batch->n; i++) {
        name_op(g, &j->batch->ops[i]);
        if (j->batch->ops[i].type == OP_BLOB_REQUIRE)
            name_needed(g, j, &j->batch->ops[i]);
    }
}

static size_t count_ops(const struct job *jobs)
{
    size_t n = 0;

    for (; jobs; jobs = jobs->next)
        n += jobs->ended ? 0 : jobs->batch->n;
    return n;
}

void group_begin(struct group *g, struct mongo_store *s, struct arena *a, struct job *jobs)
{
    size_t ops = count_ops(jobs), buckets = 64;

    while (buckets < 2 * ops)
        buckets *= 2;
    *g = (struct group){ .store = s, .arena = a, .mask = buckets - 1, .last_row = &g->rows, .last_chunk = &g->chunks };
    g->buckets = arena_array(a, buckets, sizeof *g->buckets);
    g->chunk_buckets = arena_array(a, buckets, sizeof *g->chunk_buckets);
    g->keys = arena_array(a, buckets, sizeof *g->keys);
    g->by_table = arena_array(a, s->tables.n, sizeof *g->by_table);
    g->table_end = arena_array(a, s->tables.n, sizeof *g->table_end);
    for (size_t i = 0; i < s->tables.n; i++)
        g->table_end[i] = &g->by_table[i];
    for (struct job *j = jobs; j; j = j->next)
        if (!j->ended)
            name_job(g, j);
}

/* ---- taking back ---- */

static void remember(struct group *g, struct row_state *s)
{
    struct undo *u = arena_alloc(g->arena, sizeof *u);

    u->state = s;
    u->old = *s;
    u->row = arena_alloc(g->arena, s->kind->size);
    memcpy(u->row, s->row, s->kind->size);
    u->next = g->undo;
    g->undo = u;
}

static void remember_chunk(struct group *g, struct chunk_state *s)
{
    struct undo *u = arena_alloc(g->arena, sizeof *u);

    u->chunk = s;
    u->old_chunk = *s;
    u->next = g->undo;
    g->undo = u;
}

/* The lists that a state hangs in have grown since: only what it says goes back. */
static void put_back(const struct undo *u)
{
    if (u->state) {
        memcpy(u->state->row, u->row, u->state->kind->size);
        u->state->dirty = u->old.dirty;
        u->state->is = u->old.is;
        u->state->held = u->old.held;
        u->state->replaced = u->old.replaced;
        u->state->by = u->old.by;
        u->state->by_op = u->old.by_op;
    }
    if (u->chunk) {
        u->chunk->bytes = u->old_chunk.bytes;
        u->chunk->is = u->old_chunk.is;
        u->chunk->put = u->old_chunk.put;
    }
}

/* ---- one operation ---- */

static void set_number(const struct field *f, void *row, int64_t n)
{
    value_put(f, row, &(struct value){ .type = f->type, .number = n });
}

static int64_t added(int64_t n, int64_t by)
{
    int64_t sum;

    if (__builtin_add_overflow(n, by, &sum))
        return by > 0 ? INT64_MAX : 0;
    return sum < 0 ? 0 : sum;
}

/* A sum that may end where it began would be written without being a write: such a row is held. */
static uint64_t apply_sets(struct batch *b, const struct op *op, void *row, bool *held)
{
    uint64_t changed = 0;

    for (size_t i = 0; i < op->n_sets; i++) {
        const struct set *s = &op->sets[i];
        const struct field *f = op->set_fields[i];
        int64_t n;

        changed |= bit(op->kind, f);
        switch (s->how) {
        case SET_VALUE: value_put(f, row, &s->value); break;
        case SET_FROM_SLOT: set_number(f, row, batch_from_slot(b, s)); break;
        case SET_ADD:
            n = added(value_of(f, row).number, s->value.number);
            *held = *held || s->value.number <= 0;
            set_number(f, row, n);
            if (s->slot >= 0)
                b->slots[s->slot] = n;
            break;
        }
    }
    return changed;
}

static void put_row(struct group *g, struct row_state *s, struct job *j, size_t i)
{
    remember(g, s);
    memcpy(s->row, j->batch->ops[i].row, s->kind->size);
    s->is = true;
    s->replaced = s->was;
    s->dirty = ALL_FIELDS;
    s->by = j;
    s->by_op = i;
}

static bool insert(struct group *g, struct job *j, size_t i)
{
    const struct op *op = &j->batch->ops[i];
    struct row_state *s = group_row(g, op->kind, op->id);

    if (s->is)
        return batch_fails(j->batch, i, FAULT_UNIQUE, "id", &j->err);
    put_row(g, s, j, i);
    apply_sets(j->batch, op, s->row, &s->held);
    return keys_take(g, s, ALL_FIELDS, j, i);
}

static bool conditions_hold(const struct op *op, const void *row)
{
    for (size_t i = 0; i < op->n_conds; i++)
        if (!cond_holds(op->cond_fields[i], &op->conds[i], row))
            return false;
    return true;
}

static bool holds(const struct op *op, const void *row)
{
    if (!conditions_hold(op, row))
        return false;
    for (size_t i = 0; i < op->n_sets; i++) {
        const struct set *s = &op->sets[i];
        int64_t most = s->bound + (s->bound_field ? value_of(kind_field(op->kind, s->bound_field), row).number : 0);

        if (s->bounded && added(value_of(op->set_fields[i], row).number, s->value.number) > most)
            return false;
    }
    return true;
}

static bool has_bound(const struct op *op)
{
    for (size_t i = 0; i < op->n_sets; i++)
        if (op->sets[i].bounded)
            return true;
    return false;
}

static bool change(struct group *g, struct job *j, size_t i)
{
    const struct op *op = &j->batch->ops[i];
    struct row_state *s = group_row(g, op->kind, op->id);
    uint64_t changed;

    if (!s->is || !holds(op, s->row))
        return batch_judge(j->batch, i, s->is ? s->row : NULL, &j->err);
    remember(g, s);
    s->held = s->held || op->n_conds || op->type == OP_REQUIRE || has_bound(op);
    if (op->type == OP_DELETE)
        s->is = false;
    if (op->type == OP_DELETE || op->type == OP_REQUIRE)
        return true;
    changed = apply_sets(j->batch, op, s->row, &s->held);
    s->dirty |= changed;
    return keys_take(g, s, changed, j, i);
}

static bool raise_row(struct group *g, struct job *j, size_t i)
{
    const struct op *op = &j->batch->ops[i];
    struct row_state *s = group_row(g, op->kind, op->id);

    if (s->is && conditions_hold(op, s->row))
        return change(g, j, i);
    if (!batch_begins(j->batch, i, &j->err))
        return false;
    put_row(g, s, j, i);
    return true;
}

static bool put_chunk(struct group *g, struct job *j, size_t i)
{
    const struct op *op = &j->batch->ops[i];
    uint8_t key[BLOB_KEY];
    struct chunk_state *s;

    blob_key(op->id, op->chunk, key);
    s = name_chunk(g, key);
    if (s->is)
        return bytes_equal(s->bytes, op->bytes) || batch_fails(j->batch, i, FAULT_UNIQUE, "chunk", &j->err);
    remember_chunk(g, s);
    s->is = s->put = true;
    s->bytes = op->bytes;
    return true;
}

/* Gone are the chunks that the group knows of now, and all others in the database before any is put. */
static bool erase(struct group *g, const struct op *op)
{
    struct erased *x = arena_alloc(g->arena, sizeof *x);

    for (struct chunk_state *s = g->chunks; s; s = s->in_group)
        if (s->is && memcmp(s->key, op->id.b, sizeof op->id.b) == 0) {
            remember_chunk(g, s);
            s->is = false;
        }
    *x = (struct erased){ op->id, g->erased };
    g->erased = x;
    return true;
}

static bool require_chunks(struct group *g, struct job *j, size_t i)
{
    const struct op *op = &j->batch->ops[i];
    const struct needed *n = g->needed;

    while (!(n->job == j && n->n == op->chunk && id_equal(n->id, op->id)))
        n = n->next;
    return n->there || batch_fails(j->batch, i, FAULT_MISSING, "chunk", &j->err);
}

static bool apply_op(struct group *g, struct job *j, size_t i)
{
    switch (j->batch->ops[i].type) {
    case OP_INSERT: return insert(g, j, i);
    case OP_RAISE: return raise_row(g, j, i);
    case OP_UPDATE:
    case OP_DELETE:
    case OP_REQUIRE: return change(g, j, i);
    case OP_BLOB_PUT: return put_chunk(g, j, i);
    case OP_BLOB_DELETE: return erase(g, &j->batch->ops[i]);
    case OP_BLOB_REQUIRE: return require_chunks(g, j, i);
    }
    return false;
}

bool group_apply(struct group *g, struct job *j)
{
    struct erased *erased = g->erased;
    bool ok = true;

    batch_forget(j->batch);
    g->undo = NULL;
    for (size_t i = 0; ok && i < j->batch->n; i++)
        ok = apply_op(g, j, i);
    for (struct undo *u = ok ? NULL : g->undo; u; u = u->next)
        put_back(u);
    if (!ok)
        g->erased = erased;
    return ok;
}
