/* store/kind.h - what is kept, described once.
 *
 * A `struct kind` is a table of fields and indexes over a C struct; engines make the SQLite table or the MongoDB
 * collection from it. Rows are plain structs whose members have the C type of their field:
 *
 *     FIELD_ID    struct id       all zero = null
 *     FIELD_TEXT  struct bytes    UTF-8 without NUL; p == NULL = null
 *     FIELD_BYTES struct bytes    p == NULL = null
 *     FIELD_JSON  struct bytes    one JSON text, only read back whole
 *     FIELD_INT   int64_t
 *     FIELD_BOOL  bool
 *     FIELD_TIME  int64_t         wall milliseconds, 0 = null
 *
 * BYTES and JSON have no order (engines differ in it): BYTES may be in a unique index and be looked up by it, but no
 * list is in their order, and no condition says BELOW or ABOVE.
 *
 * Field 0 is always { "id", FIELD_ID } and the key. A new field may be added behind the others at any time (older rows
 * read as null, 0, false); fields that a build does not know are kept as they are, also while it runs beside one that
 * does. An index is never defined anew under its old name. A number that is new orders a list rightly only once no
 * older build writes rows without it. The sum of all kinds is the schema; SCHEMA_VERSION counts its versions. */
#ifndef STORE_KIND_H
#define STORE_KIND_H
#include "base/id.h"

enum field_type { FIELD_ID, FIELD_TEXT, FIELD_BYTES, FIELD_JSON, FIELD_INT, FIELD_BOOL, FIELD_TIME };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
};

#define INDEX_FIELDS 5
/* A unique index takes rows with a null in a field as different. `when`: the index holds only rows in which the field
 * `when` (TEXT or INT or TIME) is one of `values` (TEXT) or not null/zero (values NULL). */
struct index {
    const char *name;
    bool unique;
    const char *fields[INDEX_FIELDS]; /* in order; the id is the tie-break of all that are not unique */
    const char *when;
    const char *const *values; /* NULL-terminated */
    bool feed;                 /* of a watched kind, over one field: in order of commit, for store_watch_part alone */
};

struct kind {
    const char *name;   /* "message": table and collection */
    const char *prefix; /* of its ids: "msg" */
    size_t size;        /* of the row struct */
    const struct field *fields;
    size_t n_fields;
    const struct index *indexes;
    size_t n_indexes;
    bool watched; /* insert-only, read in order of commit by store_watch */
    bool large;   /* rows of tens of KiB */
    bool wide;    /* rows of which few fit a page: these and large ones SQLite keeps beside the tree of their ids */
};

#define FIELD(type_, struct_, member)                                                                                  \
    {                                                                                                                  \
#member, FIELD_##type_, offsetof(struct struct_, member)                                                       \
    }

/* Asserts what is said here: types of indexed fields, no more than 64 fields. */
void kind_check(const struct kind *k);
const struct field *kind_field(const struct kind *k, const char *name); /* NULL when there is none */
const struct index *kind_index(const struct kind *k, const char *name); /* "id" is built in: NULL, use the key */
#endif
