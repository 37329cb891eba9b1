/* base/json.c - reading JSON: json-c makes the tree, but is never the judge.
 *
 * json_check (json_scan.c) has already refused all that json-c would let pass or silently change, so there is one
 * answer to what valid JSON is. json_part reads without a tree, and therefore only what struct jw wrote: no blanks, no
 * doubled keys. */
#include "base/json_tree.h"

bool json_read(struct bytes text, struct json_object **out, struct err *e)
{
    return json_read_shape(text, SIZE_MAX, NULL, out, e);
}

bool json_read_most(struct bytes text, size_t values_max, struct json_object **out, struct err *e)
{
    return json_read_shape(text, values_max, NULL, out, e);
}

bool json_read_shape(struct bytes text, size_t values_max, const struct json_shape *shape, struct json_object **out,
                     struct err *e)
{
    struct json_tree tree = { 0 };
    bool good = json_scan(text, values_max, shape, &tree, e);

    buf_clear(&tree.key);
    if (good)
        *out = tree.root;
    else
        json_object_put(tree.root);
    return good;
}

struct json_object *json_member(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member))
        return NULL;
    return member;
}

struct bytes json_bytes(struct json_object *o)
{
    if (!json_object_is_type(o, json_type_string))
        return NO_BYTES;
    return (struct bytes){ json_object_get_string(o), (size_t)json_object_get_string_len(o) };
}

struct bytes json_text(struct json_object *object, const char *name)
{
    return json_bytes(json_member(object, name));
}

struct bytes *json_texts(struct arena *a, struct json_object *array, size_t *n)
{
    struct bytes *texts = NULL;

    *n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    texts = arena_array(a, *n, sizeof *texts);
    for (size_t i = 0; i < *n; i++)
        texts[i] = arena_copy(a, json_bytes(json_object_array_get_idx(array, i)));
    return texts;
}

/* Behind the value that begins at `i`: at the next comma or bracket of its own level. */
static size_t value_end(struct bytes text, size_t i)
{
    int depth = 0;

    for (bool quoted = false; i < text.n; i++) {
        char ch = text.p[i];

        if (quoted && ch == '\\')
            i++;
        else if (ch == '"')
            quoted = !quoted;
        else if (!quoted && (ch == '{' || ch == '['))
            depth++;
        else if (!quoted && depth == 0 && (ch == ',' || ch == '}' || ch == ']'))
            break;
        else if (!quoted && (ch == '}' || ch == ']'))
            depth--;
    }
    return i;
}

struct bytes json_part(struct bytes object, const char *name)
{
    struct bytes want = bytes_of(name);

    for (size_t i = 1; i < object.n && object.p[i] == '"';) {
        size_t key = i + 1, colon = key, end;

        while (colon + 1 < object.n && (object.p[colon] != '"' || object.p[colon + 1] != ':'))
            colon += object.p[colon] == '\\' ? 2 : 1;
        end = value_end(object, colon + 2);
        if (colon - key == want.n && memcmp(object.p + key, want.p, want.n) == 0) {
            struct bytes value = { object.p + colon + 2, end - colon - 2 };

            return bytes_equal(value, BYTES("null")) ? NO_BYTES : value;
        }
        i = end + 1;
    }
    return NO_BYTES;
}
