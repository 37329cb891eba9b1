/* store/batch.c - a batch as its caller builds it, and as engines judge it.
 *
 * Names are looked up when an operation is added: a field that does not exist, or of another type, ends the program
 * where it was written, not in an engine's thread. An engine that could not apply an operation asks batch_judge for the
 * reason, with the row as it is; the order of the answers (missing, condition, bound) is the same everywhere. */
#include "store/batch.h"
#include "store/value.h"
#include <assert.h>

enum { OP_WEIGHT = 128 }; /* what an operation costs beside its bytes */

struct batch *batch_new(struct arena *a)
{
    struct batch *b = arena_alloc(a, sizeof *b);

    b->arena = a;
    b->failure.operation = -1;
    return b;
}

int batch_slot(struct batch *b)
{
    assert(b->n_slots < BATCH_SLOTS);
    if (b->n_slots == b->cap_slots) {
        b->cap_slots = b->cap_slots ? b->cap_slots * 2 : 8;
        b->slots = arena_more(b->arena, b->slots, b->n_slots, b->cap_slots, sizeof *b->slots);
    }
    return (int)b->n_slots++;
}

static struct op *add(struct batch *b, enum op_type type, const struct kind *k, struct id id)
{
    struct op *op;

    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 8;
        b->ops = arena_more(b->arena, b->ops, b->n, b->cap, sizeof *b->ops);
    }
    op = &b->ops[b->n++];
    op->type = type;
    op->kind = k;
    op->id = id;
    b->weight += OP_WEIGHT;
    return op;
}

static void name_conds(struct batch *b, struct op *op, const struct cond *conds, size_t n)
{
    assert(n <= OP_CONDS);
    op->conds = conds;
    op->n_conds = n;
    if (n)
        op->cond_fields = arena_array(b->arena, n, sizeof *op->cond_fields);
    for (size_t i = 0; i < n; i++)
        op->cond_fields[i] = cond_field(op->kind, &conds[i]);
}

static void name_sets(struct batch *b, struct op *op, const struct set *sets, size_t n)
{
    assert(n <= OP_SETS);
    op->sets = sets;
    op->n_sets = n;
    if (n)
        op->set_fields = arena_array(b->arena, n, sizeof *op->set_fields);
    for (size_t i = 0; i < n; i++) {
        const struct set *s = &sets[i];

        op->set_fields[i] = field_for(op->kind, s->field, s->how == SET_VALUE ? &s->value : NULL);
        assert(s->slot < (int)b->n_slots && (s->how != SET_FROM_SLOT || s->slot >= 0));
        if (s->how == SET_ADD)
            assert(op->set_fields[i]->type == FIELD_INT);
        if (s->bound_field)
            field_for(op->kind, s->bound_field, &V_INT(0));
        b->weight += s->value.bytes.n;
    }
}

static int number_of(const struct batch *b)
{
    return (int)b->n - 1;
}

static void weigh_row(struct batch *b, const struct kind *k, const void *row)
{
    for (size_t i = 0; i < k->n_fields; i++)
        b->weight += value_of(&k->fields[i], row).bytes.n;
}

int batch_insert(struct batch *b, const struct kind *k, const void *row, const struct set *sets, size_t n_sets)
{
    struct value id = value_of(&k->fields[0], row);
    struct op *op = add(b, OP_INSERT, k, id.id);

    assert(!value_is_null(&id));
    op->row = row;
    name_sets(b, op, sets, n_sets);
    for (size_t i = 0; i < n_sets; i++)
        assert(sets[i].how != SET_ADD);
    weigh_row(b, k, row);
    return number_of(b);
}

int batch_update(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds,
                 const struct set *sets, size_t n_sets)
{
    /* Without sets it is a look that counts as a write. Rows of a feed never change: a reader has passed them. */
    struct op *op = add(b, n_sets ? OP_UPDATE : OP_REQUIRE, k, id);

    assert(!k->watched);
    name_conds(b, op, conds, n_conds);
    name_sets(b, op, sets, n_sets);
    return number_of(b);
}

int batch_raise(struct batch *b, const struct kind *k, const void *row, const struct cond *alive,
                const struct set *sets, size_t n_sets)
{
    struct op *op = add(b, OP_RAISE, k, value_of(&k->fields[0], row).id);

    assert(!k->watched && n_sets && !id_is_none(op->id));
    for (size_t i = 0; i < k->n_indexes; i++)
        assert(!k->indexes[i].unique);
    op->row = row;
    name_conds(b, op, alive, alive ? 1 : 0);
    name_sets(b, op, sets, n_sets);
    for (size_t i = 0; i < n_sets; i++)
        assert(sets[i].how != SET_FROM_SLOT);
    weigh_row(b, k, row);
    return number_of(b);
}

int batch_delete(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds)
{
    name_conds(b, add(b, OP_DELETE, k, id), conds, n_conds);
    return number_of(b);
}

int batch_require(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds)
{
    name_conds(b, add(b, OP_REQUIRE, k, id), conds, n_conds);
    return number_of(b);
}

int batch_blob_put(struct batch *b, struct id id, unsigned n, struct bytes bytes)
{
    struct op *op = add(b, OP_BLOB_PUT, NULL, id);

    assert(bytes.p && bytes.n <= STORE_CHUNK);
    op->chunk = n;
    op->bytes = bytes;
    b->weight += bytes.n;
    return number_of(b);
}

int batch_blob_delete(struct batch *b, struct id id)
{
    add(b, OP_BLOB_DELETE, NULL, id);
    return number_of(b);
}

int batch_blob_require(struct batch *b, struct id id, unsigned n, int64_t mark)
{
    struct op *op = add(b, OP_BLOB_REQUIRE, NULL, id);

    op->chunk = n;
    op->mark = mark;
    return number_of(b);
}

void batch_lazy(struct batch *b)
{
    b->lazy = true;
}

size_t batch_count(const struct batch *b)
{
    return b->n;
}

size_t batch_weight(const struct batch *b)
{
    return b->weight;
}

int64_t batch_slot_value(const struct batch *b, int slot)
{
    assert(slot >= 0 && (size_t)slot < b->n_slots);
    return b->slots[slot];
}

struct batch_failure batch_failure(const struct batch *b)
{
    return b->failure;
}

int64_t batch_from_slot(const struct batch *b, const struct set *s)
{
    return b->slots[s->slot] + s->value.number;
}

void batch_forget(struct batch *b)
{
    if (b->n_slots)
        memset(b->slots, 0, b->n_slots * sizeof *b->slots);
    b->failure = (struct batch_failure){ .operation = -1 };
}

bool batch_fails(struct batch *b, size_t i, enum batch_fault fault, const char *name, struct err *e)
{
    static const char *const why[] = { "nothing", "a condition does not hold", "already taken", "over its bound",
                                       "is not there" };
    const struct kind *k = b->ops[i].kind;

    b->failure = (struct batch_failure){ .operation = (int)i, .fault = fault, .name = name };
    return err_set(e, ERR_CONFLICT, "%s%s%s: %s", k ? k->name : "blob", name ? "." : "", name ? name : "", why[fault]);
}

static int64_t number_in(const struct kind *k, const char *name, const void *row)
{
    return value_of(kind_field(k, name), row).number;
}

static int64_t bound_of(const struct op *op, const struct set *s, const void *row)
{
    return s->bound + (s->bound_field ? number_in(op->kind, s->bound_field, row) : 0);
}

bool batch_begins(struct batch *b, size_t i, struct err *e)
{
    const struct op *op = &b->ops[i];

    b->failure = (struct batch_failure){ .operation = -1 };
    for (size_t j = 0; j < op->n_sets; j++) {
        const struct set *s = &op->sets[j];
        int64_t value = value_of(op->set_fields[j], op->row).number;

        if (s->bounded && value > bound_of(op, s, op->row))
            return batch_fails(b, i, FAULT_BOUND, op->set_fields[j]->name, e);
        if (s->slot >= 0)
            b->slots[s->slot] = value;
    }
    return true;
}

bool batch_judge(struct batch *b, size_t i, const void *row, struct err *e)
{
    const struct op *op = &b->ops[i];

    if (!row)
        return batch_fails(b, i, FAULT_MISSING, "id", e);
    for (size_t j = 0; j < op->n_conds; j++)
        if (!cond_holds(op->cond_fields[j], &op->conds[j], row))
            return batch_fails(b, i, FAULT_CONDITION, op->cond_fields[j]->name, e);
    for (size_t j = 0; j < op->n_sets; j++) {
        const struct set *s = &op->sets[j];
        int64_t value = number_in(op->kind, s->field, row) + s->value.number;

        if (s->bounded && (value < 0 ? 0 : value) > bound_of(op, s, row))
            return batch_fails(b, i, FAULT_BOUND, op->set_fields[j]->name, e);
    }
    return err_set(e, ERR_INTERNAL, "%s: an operation failed without a reason", op->kind->name);
}
