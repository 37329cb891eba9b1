/* api/schema.c - the check against the tables made of the contract.
 *
 * It calls itself as deep as the schema and the JSON go, which json_read has bounded. The place of a value is a chain
 * on the stack and becomes a text only for a fault. Of a oneOf the JSON type alone decides, so that faults speak of one
 * schema. */
#include "api/schema.h"

/* Where the check stands, innermost first; it becomes a pointer only when there is a fault. */
struct place {
    const struct place *outer;
    struct bytes name;
    size_t index; /* of an item, when name is NO_BYTES */
};

static void check(struct call *c, const struct schema *s, struct json_object *value, const struct place *at);

static void pointer_write(struct buf *out, const struct place *at)
{
    if (!at)
        return;
    pointer_write(out, at->outer);
    buf_addc(out, '/');
    if (!at->name.p) {
        buf_addf(out, "%zu", at->index);
        return;
    }
    for (size_t i = 0; i < at->name.n; i++) {
        if (at->name.p[i] == '~')
            buf_adds(out, "~0");
        else if (at->name.p[i] == '/')
            buf_adds(out, "~1");
        else
            buf_addc(out, at->name.p[i]);
    }
}

static void fault(struct call *c, const struct place *at, const char *code, const char *message)
{
    struct buf pointer;

    buf_init(&pointer, 1024); /* a longer one is cut: it names a member that the client made up */
    pointer_write(&pointer, at);
    buf_addc(&pointer, '\0');
    if (pointer.overflowed)
        pointer.p[pointer.n - 1] = '\0';
    call_fault(c, pointer.p, code, "%s", message);
    buf_clear(&pointer);
}

static unsigned type_of(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null: return JSON_NULL;
    case json_type_boolean: return JSON_BOOL;
    case json_type_int: return JSON_INT;
    case json_type_double: return JSON_NUMBER;
    case json_type_string: return JSON_STRING;
    case json_type_array: return JSON_ARRAY;
    case json_type_object: return JSON_OBJECT;
    }
    return 0;
}

static const char *types_text(unsigned types, struct arena *a)
{
    static const struct {
        unsigned type;
        const char *name;
    } names[] = { { JSON_STRING, "a string" }, { JSON_BOOL, "true or false" }, { JSON_INT, "an integer" },
                  { JSON_ARRAY, "an array" },  { JSON_OBJECT, "an object" },   { JSON_NULL, "null" } };
    const char *text = "";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (types & names[i].type)
            text = *text ? arena_printf(a, "%s or %s", text, names[i].name) : names[i].name;
    return arena_printf(a, "Must be %s", text);
}

static size_t characters(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

/* True when the size fits; `what` is "characters", "items" or "members". */
static bool size_fits(struct call *c, const struct schema *s, size_t n, const char *what, const struct place *at)
{
    if (n < s->size_least)
        fault(c, at, "too_short", arena_printf(c->arena, "Must have at least %zu %s", s->size_least, what));
    else if (s->size_most && n > s->size_most)
        fault(c, at, "too_long", arena_printf(c->arena, "Must have at most %zu %s", s->size_most, what));
    else
        return true;
    return false;
}

static void check_text(struct call *c, const struct schema *s, struct json_object *value, const struct place *at)
{
    struct bytes text = { json_object_get_string(value), (size_t)json_object_get_string_len(value) };
    const struct format *format = schema_format(s->format);
    const char *all = "";

    if (s->choices) {
        for (const char *const *choice = s->choices; *choice; choice++) {
            if (bytes_equal(text, bytes_of(*choice)))
                return;
            all = *all ? arena_printf(c->arena, "%s, %s", all, *choice) : *choice;
        }
        fault(c, at, "invalid_choice", arena_printf(c->arena, "Must be one of: %s", all));
        return;
    }
    if ((s->size_least || s->size_most) && !size_fits(c, s, characters(text), "characters", at))
        return;
    if (format && !format->right(text, c->arena))
        fault(c, at, format->code, format->message);
}

static const struct schema_property *property_find(const struct schema_property *rows, struct bytes name)
{
    for (; rows && rows->name; rows++)
        if (bytes_equal(name, bytes_of(rows->name)))
            return rows;
    return NULL;
}

static void check_member(struct call *c, const struct schema *s, struct bytes name, struct json_object *value,
                         const struct place *at)
{
    const struct schema_property *property = property_find(s->properties, name);
    const struct place here = { at, name.n ? name : BYTES(""), 0 };
    size_t n = characters(name);

    if (property)
        check(c, property->schema, value, &here);
    else if (!s->others)
        fault(c, &here, "unknown_field", "There is no such field");
    else if (n < s->name_least || (s->name_most && n > s->name_most))
        fault(c, &here, "invalid_name",
              arena_printf(c->arena, "A name has %zu to %zu characters", s->name_least, s->name_most));
    else
        check(c, s->others, value, &here);
}

static void check_object(struct call *c, const struct schema *s, struct json_object *object, const struct place *at)
{
    if (!size_fits(c, s, (size_t)json_object_object_length(object), "members", at))
        return;
    json_object_object_foreach(object, name, value) check_member(c, s, bytes_of(name), value, at);
    for (const struct schema_property *p = s->properties; p && p->name; p++) {
        const struct place here = { at, bytes_of(p->name), 0 };

        if (p->required && !json_object_object_get_ex(object, p->name, NULL))
            fault(c, &here, "required", "This field is required");
    }
}

static void check_array(struct call *c, const struct schema *s, struct json_object *array, const struct place *at)
{
    size_t n = json_object_array_length(array);

    if (!size_fits(c, s, n, "items", at))
        return;
    for (size_t i = 0; i < n && s->items; i++) {
        const struct place here = { at, NO_BYTES, i };

        check(c, s->items, json_object_array_get_idx(array, i), &here);
    }
}

static void check_int(struct call *c, const struct schema *s, struct json_object *value, const struct place *at)
{
    int64_t n = json_object_get_int64(value);

    if (n < s->least || n > s->most)
        fault(c, at, "out_of_range",
              arena_printf(c->arena, "Must be from %lld to %lld", (long long)s->least, (long long)s->most));
}

static void check(struct call *c, const struct schema *s, struct json_object *value, const struct place *at)
{
    unsigned type = type_of(value);

    if (s->any)
        return;
    if (!(s->types & type)) {
        fault(c, at, "invalid_type", types_text(s->types, c->arena));
        return;
    }
    for (const struct schema *const *one = s->one_of; one && *one; one++)
        if ((*one)->types & type) {
            check(c, *one, value, at);
            return;
        }
    switch (type) {
    case JSON_STRING: check_text(c, s, value, at); break;
    case JSON_INT: check_int(c, s, value, at); break;
    case JSON_ARRAY: check_array(c, s, value, at); break;
    case JSON_OBJECT: check_object(c, s, value, at); break;
    default: break;
    }
}

/* ---- what of a body is made a tree ---- */

/* The variant for a value of a type; NULL when it may not be one. */
static const struct schema *variant(const struct schema *s, unsigned type)
{
    const struct schema *const *one = s ? s->one_of : NULL;

    while (one && *one && !((*one)->types & type))
        one++;
    if (s && s->any)
        return s;
    if (one)
        return variant(*one, type);
    return s && s->types & type ? s : NULL;
}

/* A name that nobody knows is a fault whatever stands behind it. */
static bool member_wanted(const void *in, struct bytes name, const void **shape)
{
    const struct schema *s = variant(in, JSON_OBJECT);
    const struct schema_property *property = s ? property_find(s->properties, name) : NULL;

    *shape = property ? property->schema : s && s->any ? s : s ? s->others : NULL;
    return s != NULL;
}

/* One more than may be there, so that the check sees it. */
static bool item_wanted(const void *in, size_t index, const void **shape)
{
    const struct schema *s = variant(in, JSON_ARRAY);

    *shape = s && s->any ? s : s ? s->items : NULL;
    return s && (!s->size_most || index <= s->size_most);
}

bool schema_read(const struct schema *s, struct bytes text, size_t values_max, struct json_object **out, struct err *e)
{
    struct json_shape shape = { s, member_wanted, item_wanted };

    return json_read_shape(text, values_max, &shape, out, e);
}

void schema_check(struct call *c, const struct schema *s, struct json_object *value)
{
    check(c, s, value, NULL);
}

/* ---- query parameters ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(struct bytes text, bool plus, struct arena *a, struct bytes *out)
{
    char *p = arena_alloc(a, text.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '%') {
            int high = i + 2 < text.n ? hex(text.p[i + 1]) : -1, low = high < 0 ? -1 : hex(text.p[i + 2]);

            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (!c)
            return false;
        p[n++] = c;
    }
    *out = (struct bytes){ p, n };
    return bytes_is_utf8(*out);
}

/* The value as the type its schema wants; NULL after a fault. */
static struct json_object *typed(struct call *c, const struct schema *s, struct bytes text, const struct place *at)
{
    int64_t n = 0;

    if (s->types & JSON_STRING)
        return json_object_new_string_len(text.p, (int)text.n);
    if (s->types & JSON_INT && bytes_to_int(text, &n) && text.p[0] != '+')
        return json_object_new_int64(n);
    if (s->types & JSON_BOOL && bytes_equal(text, BYTES("true")))
        return json_object_new_boolean(true);
    if (s->types & JSON_BOOL && bytes_equal(text, BYTES("false")))
        return json_object_new_boolean(false);
    fault(c, at, "invalid_type", types_text(s->types, c->arena));
    return NULL;
}

static void query_array(struct call *c, const struct schema_property *known, struct json_object *query,
                        struct bytes text)
{
    struct json_object *array = json_member(query, known->name);
    const struct place at = { NULL, bytes_of(known->name), 0 };
    struct json_object *item = typed(c, known->schema->items, text, &at);

    if (!array) {
        array = json_object_new_array();
        json_object_object_add(query, known->name, array);
    }
    if (item)
        json_object_array_add(array, item);
}

static void query_one(struct call *c, const struct schema_property *rows, struct bytes pair, struct json_object *query)
{
    struct bytes name = NO_BYTES, text = NO_BYTES;
    const struct schema_property *known;
    struct json_object *value;

    bytes_cut(pair, '=', &name, &text);
    if (!percent_decode(name, true, c->arena, &name) || !percent_decode(text, true, c->arena, &text)) {
        call_fault(c, "", "invalid_encoding", "A query parameter is not well encoded");
        return;
    }
    const struct place at = { NULL, name.n ? name : BYTES(""), 0 };
    known = property_find(rows, name);
    if (!known) {
        fault(c, &at, "unknown_parameter", "There is no such query parameter");
    } else if (known->schema->types & JSON_ARRAY) {
        query_array(c, known, query, text);
    } else if (json_object_object_get_ex(query, known->name, NULL)) {
        fault(c, &at, "duplicate_parameter", "Given more than once");
    } else {
        value = typed(c, known->schema, text, &at);
        if (value)
            json_object_object_add(query, known->name, value);
    }
}

struct json_object *schema_query(struct call *c, const struct schema_property *known, struct bytes query)
{
    struct json_object *object = json_object_new_object();
    struct bytes pair = NO_BYTES;

    while (query.n) {
        bytes_cut(query, '&', &pair, &query);
        if (pair.n)
            query_one(c, known, pair, object);
    }
    json_object_object_foreach(object, name, value)
    {
        const struct place at = { NULL, bytes_of(name), 0 };

        check(c, property_find(known, bytes_of(name))->schema, value, &at);
    }
    return object;
}
