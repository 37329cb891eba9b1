/* service/template/declared.c - declarations of variables, and values held against them.
 *
 * A value that is null is as missing as one that is not there. Types are JSON's; a whole number is a number. The name
 * unsubscribe_url is the server's own. */
#include "service/template/declared.h"
#include "base/params.h"

#define RESEND_MOST 50

static const char *const types[] = { "string", "number", "boolean", "object", "array" };

/* Is it of the type of that name? Any is, where the name is none. */
static bool is_of_type(struct json_object *value, struct bytes type)
{
    switch (json_object_get_type(value)) {
    case json_type_string: return bytes_equal(type, bytes_of(types[0])) || !type.p;
    case json_type_int:
    case json_type_double: return bytes_equal(type, bytes_of(types[1])) || !type.p;
    case json_type_boolean: return bytes_equal(type, bytes_of(types[2])) || !type.p;
    case json_type_object: return bytes_equal(type, bytes_of(types[3])) || !type.p;
    case json_type_array: return bytes_equal(type, bytes_of(types[4])) || !type.p;
    default: return true;
    }
}

static void check_one(struct call *c, struct json_object *list, size_t i)
{
    struct json_object *one = json_object_array_get_idx(list, i);
    struct bytes name = json_text(one, "name");

    if (bytes_equal(name, BYTES("unsubscribe_url")))
        call_fault(c, arena_printf(c->arena, "/variables/%zu/name", i), "reserved", "unsubscribe_url is the server's");
    if (!is_of_type(json_member(one, "default"), json_text(one, "type")))
        call_fault(c, arena_printf(c->arena, "/variables/%zu/default", i), "invalid_type", "It is no %.*s",
                   SHOW(json_text(one, "type")));
    for (size_t k = 0; k < i; k++)
        if (bytes_equal(json_text(json_object_array_get_idx(list, k), "name"), name)) {
            call_fault(c, arena_printf(c->arena, "/variables/%zu/name", i), "repeated", "This name is there already");
            break;
        }
}

bool declared_check(struct call *c, struct bytes json)
{
    struct json_object *list = NULL;

    if (!json.p)
        return true;
    if (!json_read(json, &list, &c->err))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++)
        check_one(c, list, i);
    json_object_put(list);
    return true;
}

static void check_resend(struct call *c, struct json_object *list)
{
    static const char *const reserved[] = { "FIRST_NAME", "LAST_NAME", "EMAIL", "UNSUBSCRIBE_URL", "contact", "this" };

    for (size_t i = 0; i < json_object_array_length(list); i++)
        for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++)
            if (bytes_equal(json_text(json_object_array_get_idx(list, i), "name"), bytes_of(reserved[k])))
                call_fault(c, arena_printf(c->arena, "/variables/%zu/name", i), "reserved",
                           "%s is reserved in this dialect", reserved[k]);
}

bool declared_check_dialect(struct call *c, struct bytes json, struct bytes dialect)
{
    size_t most = (size_t)PARAM_INT(template, variables_max);
    bool resend = bytes_equal(dialect, BYTES("resend"));
    struct json_object *list = NULL;

    if (resend && most > RESEND_MOST)
        most = RESEND_MOST;
    if (!json.p)
        return true;
    if (!json_read(json, &list, &c->err))
        return false;
    if (json_object_array_length(list) > most)
        call_fault(c, "/variables", "too_many", "At most %zu variables", most);
    if (resend)
        check_resend(c, list);
    json_object_put(list);
    return true;
}

static bool is_required(struct json_object *one)
{
    return json_object_get_boolean(json_member(one, "required"));
}

void declared_faults(struct call *c, struct json_object *declared, struct json_object *values, const char *prefix)
{
    size_t n = declared ? json_object_array_length(declared) : 0;

    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(declared, i);
        struct bytes name = json_text(one, "name"), type = json_text(one, "type");
        struct json_object *value = values ? json_member(values, arena_text(c->arena, name)) : NULL;
        const char *pointer = arena_printf(c->arena, "%s/%.*s", prefix, SHOW(name));

        if (!value && is_required(one) && !json_member(one, "default"))
            call_fault(c, pointer, "required", "The variable %.*s is required", SHOW(name));
        else if (value && !is_of_type(value, type))
            call_fault(c, pointer, "invalid_type", "The variable %.*s is a %.*s", SHOW(name), SHOW(type));
    }
}

size_t declared_missing(struct json_object *declared, struct json_object *values, struct bytes *list, size_t most)
{
    size_t n = declared ? json_object_array_length(declared) : 0, found = 0;

    for (size_t i = 0; i < n && found < most; i++) {
        struct json_object *one = json_object_array_get_idx(declared, i);
        const char *name = json_object_get_string(json_member(one, "name"));

        if (is_required(one) && !json_member(one, "default") && !(values && json_member(values, name)))
            list[found++] = json_text(one, "name");
    }
    return found;
}

const struct datum_member *declared_defaults(struct json_object *declared, struct json_object *values, struct arena *a)
{
    size_t n = declared ? json_object_array_length(declared) : 0;
    const struct datum_member *first = NULL;

    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(declared, i), *value = json_member(one, "default");
        struct datum_member *m;

        if (!value || (values && json_member(values, json_object_get_string(json_member(one, "name")))))
            continue;
        m = arena_alloc(a, sizeof *m);
        *m = (struct datum_member){ .name = json_text(one, "name"),
                                    .value = datum_of(value),
                                    .next = first,
                                    .length = first ? first->length + 1 : 1 };
        first = m;
    }
    return first;
}

const struct datum_member *declared_reserved(enum template_dialect dialect, struct bytes unsubscribe_url,
                                             const struct datum_member *next, struct arena *a)
{
    static const char *const of_all[] = { "unsubscribe_url", NULL }, *const of_mustachio[] = { "pm:unsubscribe", NULL },
                             *const of_resend[] = { "UNSUBSCRIBE_URL", NULL }, *const none[] = { NULL };
    const char *const *const lists[] = { of_all, dialect == TEMPLATE_MUSTACHIO ? of_mustachio
                                                 : dialect == TEMPLATE_RESEND  ? of_resend
                                                                               : none };

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const char *const *name = lists[i]; *name; name++) {
            struct datum_member *m = arena_alloc(a, sizeof *m);

            *m = (struct datum_member){ .name = bytes_of(*name),
                                        .value = unsubscribe_url.p ? datum_text(unsubscribe_url)
                                                                   : (struct datum){ .kind = DATUM_NULL },
                                        .next = next,
                                        .length = next ? next->length + 1 : 1 };
            next = m;
        }
    return next;
}
