/* base/json.h - JSON in and out.
 *
 * Reading is strict (RFC 8259 and more): json_read scans the whole text and refuses duplicate keys, NaN and
 * Infinity, lone surrogates, invalid UTF-8, comments, single quotes, integers past int64, depth over JSON_DEPTH_MAX, a
 * leading byte order mark and anything after the value. json-c's tree is made as it goes. ERR_BAD_JSON names the
 * offset. Refused too, because they could not be kept: \u0000 in a key, numbers that overflow a double or are longer
 * than JSON_NUMBER_MAX, and more than JSON_KEYS_MAX keys. What is accepted is never changed; json-c keeps the text of a
 * number that is no integer and jw_tree writes it as it came. Any thread; the cost is linear in the length.
 *
 * Writing: struct jw streams into a buf; commas are its business, strings are escaped, and invalid UTF-8 in them comes
 * out as U+FFFD so that an answer is always valid JSON. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include <json-c/json_object.h>

#define JSON_DEPTH_MAX  64
#define JSON_NUMBER_MAX 128
#define JSON_KEYS_MAX   262144

/* The tree is the caller's: json_object_put. *out is NULL for the text "null". */
bool json_read(struct bytes text, struct json_object **out, struct err *e);
/* The same for a stranger's text: a tree costs some 100 to 900 bytes a value, which can be 300 times the text.
 * ERR_INVALID for more than `values_max` values, before there is a tree. */
bool json_read_most(struct bytes text, size_t values_max, struct json_object **out, struct err *e);
/* The same, and of the text, which is judged whole, only that is made a tree which whoever checks it will look at:
 * `member` and `item` are asked for each value in an object or array of the shape `in`. False: it is left out. True
 * with *shape NULL: null stands for it. */
struct json_shape {
    const void *root;
    bool (*member)(const void *in, struct bytes name, const void **shape);
    bool (*item)(const void *in, size_t index, const void **shape);
};
bool json_read_shape(struct bytes text, size_t values_max, const struct json_shape *shape, struct json_object **out,
                     struct err *e);
/* The scan alone. */
bool json_check(struct bytes text, size_t values_max, struct err *e);

/* A string as bytes (borrowed from the tree); NO_BYTES for what is none. */
struct bytes json_bytes(struct json_object *o);
/* A member of an object as bytes (borrowed from the tree); NO_BYTES when absent, null or no string. */
struct bytes json_text(struct json_object *object, const char *name);
struct json_object *json_member(struct json_object *object, const char *name); /* NULL when absent or null */
/* An array of strings as bytes in an arena; n is 0 when absent. What is no string is NO_BYTES. */
struct bytes *json_texts(struct arena *a, struct json_object *array, size_t *n);

/* The text of a member of an object as it stands in `object`, which is one that we wrote: known good, no blanks between
 * its tokens. NO_BYTES when it is absent or null. For large objects that need no tree. */
struct bytes json_part(struct bytes object, const char *name);
/* A tree as JSON text in an arena; NO_BYTES of NULL. */
struct bytes json_tree_text(struct arena *a, struct json_object *tree);

/* Levels open at once: 63. A second value at the top, a missing or a doubled key is a bug and ends the program. */
struct jw {
    struct buf *out;
    uint64_t first; /* one bit a level: nothing written there yet */
    int depth;
    bool key; /* a key waits for its value */
};

void jw_init(struct jw *w, struct buf *out);
void jw_object(struct jw *w);
void jw_object_end(struct jw *w);
void jw_array(struct jw *w);
void jw_array_end(struct jw *w);
void jw_key(struct jw *w, const char *name);
void jw_text(struct jw *w, struct bytes text); /* NO_BYTES writes null */
void jw_int(struct jw *w, int64_t n);
void jw_bool(struct jw *w, bool b);
void jw_null(struct jw *w);
void jw_time(struct jw *w, int64_t wall);                   /* 0 writes null */
void jw_id(struct jw *w, const char *prefix, struct id id); /* NO_ID writes null */
void jw_raw(struct jw *w, struct bytes json);               /* JSON that is known good; NO_BYTES writes null */
void jw_tree(struct jw *w, struct json_object *tree);
/* Key and value in one. */
void jw_key_text(struct jw *w, const char *name, struct bytes text);
void jw_key_int(struct jw *w, const char *name, int64_t n);
void jw_key_bool(struct jw *w, const char *name, bool b);
void jw_key_time(struct jw *w, const char *name, int64_t wall);
void jw_key_id(struct jw *w, const char *name, const char *prefix, struct id id);
void jw_key_raw(struct jw *w, const char *name, struct bytes json);
#endif
