/* store/value.c - fields of row structs, by their tables.
 *
 * The order here is the order of the engines: null first, numbers by size, text by its bytes. Memory is read by memcpy,
 * as a row may lie anywhere. A name or type that does not fit is our own mistake and ends the program. */
#include "store/value.h"

bool value_is_null(const struct value *v)
{
    switch (v->type) {
    case FIELD_ID: return id_is_none(v->id);
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON: return !v->bytes.p;
    case FIELD_TIME: return v->number == 0;
    case FIELD_INT:
    case FIELD_BOOL: break;
    }
    return false;
}

struct value value_of(const struct field *f, const void *row)
{
    struct value v = { .type = f->type };
    const char *at = (const char *)row + f->offset;
    bool yes;

    switch (f->type) {
    case FIELD_ID: memcpy(&v.id, at, sizeof v.id); break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON: memcpy(&v.bytes, at, sizeof v.bytes); break;
    case FIELD_INT:
    case FIELD_TIME: memcpy(&v.number, at, sizeof v.number); break;
    case FIELD_BOOL:
        memcpy(&yes, at, sizeof yes);
        v.number = yes;
        break;
    }
    return v;
}

void value_put(const struct field *f, void *row, const struct value *v)
{
    char *at = (char *)row + f->offset;
    bool yes = v->number != 0;

    switch (f->type) {
    case FIELD_ID: memcpy(at, &v->id, sizeof v->id); break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON: memcpy(at, &v->bytes, sizeof v->bytes); break;
    case FIELD_INT:
    case FIELD_TIME: memcpy(at, &v->number, sizeof v->number); break;
    case FIELD_BOOL: memcpy(at, &yes, sizeof yes); break;
    }
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int value_compare(const struct value *a, const struct value *b)
{
    bool no_a = value_is_null(a), no_b = value_is_null(b);

    if (no_a || no_b)
        return (int)no_b - (int)no_a;
    switch (a->type) {
    case FIELD_ID: return memcmp(a->id.b, b->id.b, sizeof a->id.b);
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON: return bytes_compare(a->bytes, b->bytes);
    case FIELD_INT:
    case FIELD_TIME: break;
    case FIELD_BOOL: return compare_numbers(a->number != 0, b->number != 0);
    }
    return compare_numbers(a->number, b->number);
}

bool field_may_be_null(const struct kind *k, const struct field *f)
{
    return f != k->fields && f->type != FIELD_INT && f->type != FIELD_BOOL;
}

bool field_has_order(const struct field *f)
{
    return f->type != FIELD_BYTES && f->type != FIELD_JSON;
}

static bool is_one_of(const struct cond *c, const struct value *v)
{
    for (size_t i = 0; i < c->n_list; i++)
        if (value_compare(v, &c->list[i]) == 0)
            return true;
    return false;
}

bool cond_holds(const struct field *f, const struct cond *c, const void *row)
{
    struct value v = value_of(f, row);
    int order;

    if (c->compare == ONE_OF)
        return is_one_of(c, &v);
    order = value_compare(&v, &c->value);
    if (c->compare == IS)
        return order == 0;
    if (c->compare == IS_NOT)
        return order != 0;
    if (value_is_null(&v) || value_is_null(&c->value))
        return false;
    switch (c->compare) {
    case BELOW: return order < 0;
    case AT_MOST: return order <= 0;
    case ABOVE: return order > 0;
    case AT_LEAST: return order >= 0;
    case IS:
    case IS_NOT:
    case ONE_OF: break;
    }
    return false;
}

const struct field *field_for(const struct kind *k, const char *name, const struct value *v)
{
    const struct field *f = kind_field(k, name);

    if (!f)
        die("store: kind %s has no field %s", k->name, name);
    if (v && v->type != f->type)
        die("store: %s.%s is of type %d, not %d", k->name, name, (int)f->type, (int)v->type);
    return f;
}

const struct field *cond_field(const struct kind *k, const struct cond *c)
{
    const struct field *f = field_for(k, c->field, c->compare == ONE_OF ? NULL : &c->value);

    if (c->compare != IS && c->compare != IS_NOT && c->compare != ONE_OF && !field_has_order(f))
        die("store: %s.%s has no order", k->name, c->field);
    for (size_t i = 0; c->compare == ONE_OF && i < c->n_list; i++)
        field_for(k, c->field, &c->list[i]);
    return f;
}
