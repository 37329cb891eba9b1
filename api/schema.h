/* api/schema.h - checks JSON against the schemas of openapi/postrider.yaml: our own subset of JSON Schema, made into C
 * tables by openapi/generate.py. It finds every fault at once and notes each with its JSON pointer (RFC 6901) in the
 * call. Types are exact: no text is taken for a number. Pure but for the call's faults; safe on a worker thread. */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H
#include "openapi_tables.h"
#include "service/core/call.h"
#include <json-c/linkhash.h>

enum json_types {
    JSON_NULL = 1,
    JSON_BOOL = 2,
    JSON_INT = 4,
    JSON_NUMBER = 8,
    JSON_STRING = 16,
    JSON_ARRAY = 32,
    JSON_OBJECT = 64
};

enum schema_format {
    FORMAT_NONE,
#define X(name) FORMAT_##name,
    FORMAT_LIST(X)
#undef X
        FORMATS
};

/* How a text is checked beyond its length; the table of them is in api/formats.c. */
struct format {
    bool (*right)(struct bytes text, struct arena *a);
    const char *code, *message;
};
const struct format *schema_format(enum schema_format f);

struct schema;
struct schema_property {
    const char *name; /* NULL ends a table */
    const struct schema *schema;
    bool required;
};
struct schema {
    bool any;       /* whatever JSON there is, to any depth; nothing else is said */
    unsigned types; /* of enum json_types */
    enum schema_format format;
    int64_t least, most;          /* integers */
    size_t size_least, size_most; /* characters of a text, items, members; size_most 0: no limit */
    size_t name_least, name_most; /* characters of a member's name; name_most 0: no limit */
    const char *const *choices;   /* NULL-terminated, or NULL: any */
    const struct schema_property *properties;
    const struct schema *others; /* of members not named in properties; NULL: there may be none */
    const struct schema *items;
    const struct schema *const *one_of; /* NULL-terminated; picked by the type of the value */
};

/* json_read for what schema_check will look at: of an array one item more than there may be, nothing of what the schema
 * does not know. So what a tree holds is bounded by the contract, and not by what a client sends. */
bool schema_read(const struct schema *s, struct bytes text, size_t values_max, struct json_object **out, struct err *e);
/* Notes what is wrong with `value` (NULL: null) in the call. */
void schema_check(struct call *c, const struct schema *s, struct json_object *value);
/* Query parameters (a=1&b=2, still encoded) as an object of the types their schemas say; unknown and doubled ones and
 * texts that are no number or boolean are faults, the rest is left to schema_check. */
struct json_object *schema_query(struct call *c, const struct schema_property *known, struct bytes query);
/* %XX and, in a query, + for a blank. False for a broken escape, NUL, or invalid UTF-8. */
bool percent_decode(struct bytes text, bool plus, struct arena *a, struct bytes *out);
#endif
