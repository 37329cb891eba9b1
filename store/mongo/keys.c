/* Unique keys among the rows of a group.
 *
 * A row that was read, and whose key a batch may change or free, says from the start which key it holds: so a batch
 * that takes a key before another gives it up fails, and one behind it passes, as in one table. What comes out is
 * unique among the group's rows; whether a row outside the group has a key, only the database knows. */
#include "store/mongo/mongo.h"

struct unique_entry {
    const struct index *index;
    struct row_state *state;
    struct unique_entry *next;
};

static uint64_t bit(const struct kind *k, const char *name)
{
    return (uint64_t)1 << (kind_field(k, name) - k->fields);
}

static uint64_t index_fields(const struct kind *k, const struct index *x)
{
    uint64_t fields = x->when ? bit(k, x->when) : 0;

    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++)
        fields |= bit(k, x->fields[i]);
    return fields;
}

uint64_t keys_fields(const struct kind *k)
{
    uint64_t fields = 0;

    for (size_t i = 0; i < k->n_indexes; i++)
        if (k->indexes[i].unique)
            fields |= index_fields(k, &k->indexes[i]);
    return fields;
}

/* ---- one key ---- */

static bool when_holds(const struct kind *k, const struct index *x, const void *row)
{
    struct value v = value_of(kind_field(k, x->when), row);

    if (!x->values)
        return v.type == FIELD_INT ? v.number != 0 : !value_is_null(&v);
    for (size_t i = 0; x->values[i]; i++)
        if (bytes_equal(v.bytes, bytes_of(x->values[i])))
            return true;
    return false;
}

bool key_is_held(const struct kind *k, const struct index *x, const void *row)
{
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        struct value v = value_of(kind_field(k, x->fields[i]), row);

        if (value_is_null(&v))
            return false;
    }
    return !x->when || when_holds(k, x, row);
}

bool key_is_same(const struct kind *k, const struct index *x, const void *a, const void *b)
{
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = kind_field(k, x->fields[i]);
        struct value va = value_of(f, a), vb = value_of(f, b);

        if (value_compare(&va, &vb) != 0)
            return false;
    }
    return true;
}

static size_t key_hash(const struct kind *k, const struct index *x, const void *row)
{
    size_t h = (size_t)(uintptr_t)x;

    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        struct value v = value_of(kind_field(k, x->fields[i]), row);

        if (v.bytes.p)
            h = group_hash(v.bytes.p, v.bytes.n, h);
        else if (v.type == FIELD_ID)
            h = group_hash(v.id.b, sizeof v.id.b, h);
        else
            h = group_hash(&v.number, sizeof v.number, h);
    }
    return h;
}

/* ---- the group's keys ---- */

static void add_entry(struct group *g, const struct index *x, struct row_state *s)
{
    struct unique_entry *entry = arena_alloc(g->arena, sizeof *entry),
                        **bucket = &g->keys[key_hash(s->kind, x, s->row) & g->mask];

    *entry = (struct unique_entry){ x, s, *bucket };
    *bucket = entry;
}

static void note_keys(struct group *g, struct row_state *s)
{
    const struct kind *k = s->kind;
    uint64_t fields = keys_fields(k);

    if (!fields || (s->need & fields) != fields)
        return;
    s->before = memcpy(arena_alloc(g->arena, k->size), s->row, k->size);
    for (size_t i = 0; i < k->n_indexes; i++)
        if (k->indexes[i].unique && key_is_held(k, &k->indexes[i], s->row))
            add_entry(g, &k->indexes[i], s);
}

void keys_read(struct group *g)
{
    for (struct row_state *s = g->rows; s; s = s->in_group)
        if (s->was)
            note_keys(g, s);
}

static bool holds_now(const struct row_state *s, const struct index *x, const void *key)
{
    return s->is && key_is_held(s->kind, x, s->row) && key_is_same(s->kind, x, s->row, key);
}

static bool held_before(const struct row_state *s, const struct index *x, const void *key)
{
    return s->before && key_is_held(s->kind, x, s->before) && key_is_same(s->kind, x, s->before, key);
}

static bool take_key(struct group *g, const struct index *x, struct row_state *s)
{
    struct unique_entry *entry;

    if (!key_is_held(s->kind, x, s->row))
        return true;
    for (entry = g->keys[key_hash(s->kind, x, s->row) & g->mask]; entry; entry = entry->next) {
        if (entry->index != x || entry->state == s)
            continue;
        if (holds_now(entry->state, x, s->row))
            return false;
        entry->state->yields = entry->state->yields || held_before(entry->state, x, s->row);
    }
    add_entry(g, x, s);
    return true;
}

bool keys_take(struct group *g, struct row_state *s, uint64_t changed, struct job *j, size_t op)
{
    const struct kind *k = s->kind;

    if (!(changed & keys_fields(k)))
        return true;
    s->by = j;
    s->by_op = op;
    for (size_t i = 0; i < k->n_indexes; i++) {
        const struct index *x = &k->indexes[i];

        if (x->unique && (changed & index_fields(k, x)) && !take_key(g, x, s))
            return batch_fails(j->batch, op, FAULT_UNIQUE, x->name, &j->err);
    }
    return true;
}

/* Of each key that the row held and holds no longer, a field that may be null: null, the index lets the row go. */
uint64_t keys_yielded(const struct row_state *s)
{
    const struct kind *k = s->kind;
    uint64_t fields = 0;

    for (size_t i = 0; s->yields && i < k->n_indexes; i++) {
        const struct index *x = &k->indexes[i];

        if (!x->unique || !key_is_held(k, x, s->before) || holds_now(s, x, s->before))
            continue;
        for (size_t j = 0; j < INDEX_FIELDS && x->fields[j]; j++)
            if (field_may_be_null(k, kind_field(k, x->fields[j]))) {
                fields |= bit(k, x->fields[j]);
                break;
            }
    }
    return fields;
}
