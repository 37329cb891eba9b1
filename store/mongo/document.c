/* store/mongo/document.c - rows as documents, and conditions as filters.
 *
 * A null is a field that is absent: a new text, time or id needs no rewrite of old rows, and partial indexes hold what
 * they should. But a row that an older build wrote has no 0 and no false either, and reads as both. Every filter has to
 * find it as if it had: that is why there is `$in: [0, null]`, and "not the opposite" instead of a comparison. */
#include "store/mongo/mongo.h"
#include <assert.h>

const char *document_name(const struct kind *k, const struct field *f)
{
    return f == k->fields ? "_id" : f->name;
}

/* ---- writing values ---- */

static void append_binary(bson_t *doc, const char *name, const void *p, size_t n)
{
    bool fits = n <= UINT32_MAX && bson_append_binary(doc, name, -1, BSON_SUBTYPE_BINARY, p, (uint32_t)n);

    assert(fits); /* STORE_CHUNK and the callers' limits are far below */
}

static void append_text(bson_t *doc, const char *name, struct bytes text)
{
    bool fits = text.n <= INT32_MAX && bson_append_utf8(doc, name, -1, text.p, (int)text.n);

    assert(fits);
}

void document_id(bson_t *doc, const char *name, struct id id)
{
    append_binary(doc, name, id.b, sizeof id.b);
}

void document_value(bson_t *doc, const char *name, const struct value *v)
{
    if (value_is_null(v)) {
        bson_append_null(doc, name, -1);
        return;
    }
    switch (v->type) {
    case FIELD_ID: document_id(doc, name, v->id); break;
    case FIELD_BYTES: append_binary(doc, name, v->bytes.p, v->bytes.n); break;
    case FIELD_TEXT:
    case FIELD_JSON: append_text(doc, name, v->bytes); break;
    case FIELD_INT: bson_append_int64(doc, name, -1, v->number); break;
    case FIELD_BOOL: bson_append_bool(doc, name, -1, v->number != 0); break;
    case FIELD_TIME: bson_append_date_time(doc, name, -1, v->number); break;
    }
}

void document_row(bson_t *doc, const struct kind *k, const void *row)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        struct value v = value_of(&k->fields[i], row);

        if (!value_is_null(&v))
            document_value(doc, document_name(k, &k->fields[i]), &v);
    }
}

/* ---- reading ---- */

bool document_read_id(const bson_iter_t *at, struct id *id)
{
    const uint8_t *p = NULL;
    uint32_t n = 0;

    if (BSON_ITER_HOLDS_BINARY(at))
        bson_iter_binary(at, NULL, &n, &p);
    if (n != sizeof id->b)
        return false;
    memcpy(id->b, p, sizeof id->b);
    return true;
}

static bool borrow(const bson_iter_t *at, enum field_type type, struct bytes *out)
{
    uint32_t n = 0;

    if (type == FIELD_BYTES && BSON_ITER_HOLDS_BINARY(at)) {
        const uint8_t *p = NULL;

        bson_iter_binary(at, NULL, &n, &p);
        *out = (struct bytes){ (const char *)p, n };
        return true;
    }
    if (type == FIELD_BYTES || !BSON_ITER_HOLDS_UTF8(at))
        return false;
    out->p = bson_iter_utf8(at, &n);
    out->n = n;
    return true;
}

/* With a NUL behind, as arena_copy. */
static bool copy(struct bytes in, struct arena *a, struct bytes *out)
{
    char *p = arena_try(a, in.n + 1);

    if (!p)
        return false;
    if (in.n)
        memcpy(p, in.p, in.n);
    *out = (struct bytes){ p, in.n };
    return true;
}

enum got { GOT, WRONG, NO_ARENA };

static enum got read_value(const bson_iter_t *at, struct arena *a, struct value *v)
{
    struct bytes view;

    if (BSON_ITER_HOLDS_NULL(at))
        return GOT;
    switch (v->type) {
    case FIELD_ID: return document_read_id(at, &v->id) ? GOT : WRONG;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON:
        if (!borrow(at, v->type, &view))
            return WRONG;
        return copy(view, a, &v->bytes) ? GOT : NO_ARENA;
    case FIELD_INT: v->number = bson_iter_as_int64(at); return BSON_ITER_HOLDS_INT(at) ? GOT : WRONG;
    case FIELD_BOOL: v->number = bson_iter_as_bool(at); return BSON_ITER_HOLDS_BOOL(at) ? GOT : WRONG;
    case FIELD_TIME:
        if (!BSON_ITER_HOLDS_DATE_TIME(at))
            return WRONG;
        v->number = bson_iter_date_time(at);
        return GOT;
    }
    return WRONG;
}

/* Documents hold their fields mostly in the kind's order: the search goes on where the last one ended. */
static size_t find_field(const struct kind *k, const char *name, size_t from)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        size_t at = (from + i) % k->n_fields;

        if (strcmp(name, document_name(k, &k->fields[at])) == 0)
            return at;
    }
    return k->n_fields;
}

bool document_to_row(const bson_t *doc, const struct kind *k, uint64_t fields, struct arena *a, void *row,
                     struct err *e)
{
    bson_iter_t at;
    size_t next = 0;

    if (!bson_iter_init(&at, doc))
        return err_set(e, ERR_INTERNAL, "%s: a document that is none", k->name);
    while (bson_iter_next(&at)) {
        size_t i = find_field(k, bson_iter_key(&at), next);
        struct value v;

        if (i == k->n_fields || !(fields >> i & 1))
            continue;
        next = i + 1;
        v = (struct value){ .type = k->fields[i].type };
        switch (read_value(&at, a, &v)) {
        case GOT: value_put(&k->fields[i], row, &v); break;
        case WRONG: return err_set(e, ERR_INTERNAL, "%s.%s: a value of a wrong type", k->name, k->fields[i].name);
        case NO_ARENA: return arena_refused(a, "The answer of the store", e);
        }
    }
    return true;
}

uint64_t document_fields(const struct kind *k, const char *const *names)
{
    uint64_t fields = names ? 0 : ALL_FIELDS;

    for (; names && *names; names++)
        fields |= (uint64_t)1 << (field_for(k, *names, NULL) - k->fields);
    return fields;
}

void document_projection(bson_t *opts, const struct kind *k, uint64_t fields)
{
    bson_t p;

    if (fields == ALL_FIELDS)
        return;
    bson_append_document_begin(opts, "projection", -1, &p);
    bson_append_bool(&p, "_id", -1, fields & 1);
    for (size_t i = 1; i < k->n_fields; i++)
        if (fields >> i & 1)
            bson_append_bool(&p, k->fields[i].name, -1, true);
    bson_append_document_end(opts, &p);
}

/* ---- filters ---- */

void filter_begin(struct filter *f)
{
    f->n = 0;
    f->empty = false;
    bson_init(&f->doc);
    bson_append_array_begin(&f->doc, "$and", -1, &f->list);
}

bson_t *filter_item(struct filter *f, bson_t *item)
{
    char room[16];
    const char *key;
    size_t n = bson_uint32_to_string(f->n++, &key, room, sizeof room);

    bson_append_document_begin(&f->list, key, (int)n, item);
    return item;
}

void filter_item_end(struct filter *f, bson_t *item)
{
    bson_append_document_end(&f->list, item);
}

/* An empty $and is refused. */
void filter_end(struct filter *f)
{
    bson_t all;

    if (!f->n)
        filter_item_end(f, filter_item(f, &all));
    bson_append_array_end(&f->doc, &f->list);
}

/* A row of before the field was made reads as 0 or false. */
static bool is_absent_too(const struct value *v)
{
    return (v->type == FIELD_INT || v->type == FIELD_BOOL) && v->number == 0;
}

static void append_in(bson_t *doc, const char *op, const struct value *list, size_t n)
{
    bson_t array;
    char room[16];
    const char *key;
    bool absent = false;

    bson_append_array_begin(doc, op, -1, &array);
    for (size_t i = 0; i < n; i++) {
        bson_uint32_to_string((uint32_t)i, &key, room, sizeof room);
        document_value(&array, key, &list[i]);
        absent = absent || is_absent_too(&list[i]);
    }
    bson_uint32_to_string((uint32_t)n, &key, room, sizeof room);
    if (absent)
        bson_append_null(&array, key, -1);
    bson_append_array_end(doc, &array);
}

static const char *const operators[] = { [IS] = "$eq",    [IS_NOT] = "$ne",    [BELOW] = "$lt", [AT_MOST] = "$lte",
                                         [ABOVE] = "$gt", [AT_LEAST] = "$gte", [ONE_OF] = "$in" };
static const char *const opposites[] = { [BELOW] = "$gte", [AT_MOST] = "$gt", [ABOVE] = "$lte", [AT_LEAST] = "$lt" };

/* Is 0 on that side? Then so are rows without the field. */
static bool holds_for_zero(const struct cond *c)
{
    int64_t n = c->value.number;

    if (c->value.type != FIELD_INT && c->value.type != FIELD_BOOL)
        return false;
    switch (c->compare) {
    case BELOW: return 0 < n;
    case AT_MOST: return 0 <= n;
    case ABOVE: return 0 > n;
    case AT_LEAST: return 0 >= n;
    case IS:
    case IS_NOT:
    case ONE_OF: break;
    }
    return false;
}

/* "Not the opposite" holds for what is not there, and is still one range of an index. */
static void append_not(bson_t *test, const struct cond *c)
{
    bson_t not ;

    bson_append_document_begin(test, "$not", -1, &not );
    document_value(&not, opposites[c->compare], &c->value);
    bson_append_document_end(test, &not );
}

void filter_cond(struct filter *f, const struct kind *k, const struct field *field, const struct cond *c)
{
    bson_t item, test;
    bool ordered = c->compare != IS && c->compare != IS_NOT && c->compare != ONE_OF;

    if ((ordered && value_is_null(&c->value)) || (c->compare == ONE_OF && !c->n_list)) {
        f->empty = true; /* nothing is before or behind null, or one of none */
        return;
    }
    filter_item(f, &item);
    bson_append_document_begin(&item, document_name(k, field), -1, &test);
    if (c->compare == ONE_OF)
        append_in(&test, "$in", c->list, c->n_list);
    else if (!ordered && is_absent_too(&c->value))
        append_in(&test, c->compare == IS ? "$in" : "$nin", &c->value, 1);
    else if (ordered && holds_for_zero(c))
        append_not(&test, c);
    else
        document_value(&test, operators[c->compare], &c->value);
    bson_append_document_end(&item, &test);
    filter_item_end(f, &item);
}

/* ---- partial indexes ---- */

/* name: { op: true } */
static void append_exists(bson_t *doc, const char *name)
{
    bson_t test;

    bson_append_document_begin(doc, name, -1, &test);
    bson_append_bool(&test, "$exists", -1, true);
    bson_append_document_end(doc, &test);
}

static void append_when_values(bson_t *doc, const struct index *x)
{
    bson_t test, array;
    char room[16];
    const char *key;

    bson_append_document_begin(doc, x->when, -1, &test);
    bson_append_array_begin(&test, "$in", -1, &array);
    for (uint32_t i = 0; x->values[i]; i++) {
        bson_uint32_to_string(i, &key, room, sizeof room);
        bson_append_utf8(&array, key, -1, x->values[i], -1);
    }
    bson_append_array_end(&test, &array);
    bson_append_document_end(doc, &test);
}

/* A number that is not zero. */
static void append_when_number(bson_t *doc, const char *name)
{
    static const char *const sides[] = { "$lt", "$gt" };
    bson_t either, item, test;

    bson_append_array_begin(doc, "$or", -1, &either);
    for (int i = 0; i < 2; i++) {
        bson_append_document_begin(&either, i ? "1" : "0", 1, &item);
        bson_append_document_begin(&item, name, -1, &test);
        bson_append_int64(&test, sides[i], -1, 0);
        bson_append_document_end(&item, &test);
        bson_append_document_end(&either, &item);
    }
    bson_append_array_end(doc, &either);
}

static void append_when(bson_t *doc, const struct kind *k, const struct index *x)
{
    if (x->values)
        append_when_values(doc, x);
    else if (field_for(k, x->when, NULL)->type == FIELD_INT)
        append_when_number(doc, x->when);
    else
        append_exists(doc, x->when);
}

void filter_when(struct filter *f, const struct kind *k, const struct index *x)
{
    bson_t item;

    if (!x || !x->when)
        return;
    append_when(filter_item(f, &item), k, x);
    filter_item_end(f, &item);
}

bool document_partial(bson_t *doc, const struct kind *k, const struct index *x)
{
    bool partial = x->when != NULL;

    if (x->when)
        append_when(doc, k, x);
    for (size_t i = 0; x->unique && i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = field_for(k, x->fields[i], NULL);

        if (!field_may_be_null(k, f) || (x->when && strcmp(x->when, f->name) == 0))
            continue;
        append_exists(doc, f->name);
        partial = true;
    }
    return partial;
}
