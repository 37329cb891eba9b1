/* base/json.c - reading JSON: json-c makes the tree, but is never the judge.
 *
 * json_check (json_scan.c) has already refused all that json-c would let pass or silently change, so there is one
 * answer to what valid JSON is. json_part reads without a tree, and therefore only what struct jw wrote: no blanks, no
 * doubled keys. */
#include "base/json.h"
#include <json-c/json_tokener.h>

/* A number at the top has no end of its own; a blank behind it ends it. */
static struct json_object *parse(struct json_tokener *t, struct bytes text)
{
    struct json_object *tree = json_tokener_parse_ex(t, text.p, (int)text.n);

    if (json_tokener_get_error(t) == json_tokener_continue)
        tree = json_tokener_parse_ex(t, " ", 1);
    return tree;
}

bool json_read(struct bytes text, struct json_object **out, struct err *e)
{
    return json_read_most(text, SIZE_MAX, out, e);
}

bool json_read_most(struct bytes text, size_t values_max, struct json_object **out, struct err *e)
{
    struct json_tokener *t = NULL;
    struct json_object *tree = NULL;
    enum json_tokener_error error = json_tokener_success;

    if (!json_check(text, values_max, e))
        return false;
    t = json_tokener_new_ex(JSON_DEPTH_MAX + 1); /* it counts the scalar inside the innermost array too */
    if (!t)
        die("out of memory: a JSON tokener");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    tree = parse(t, bytes_trim(text));
    error = json_tokener_get_error(t);
    json_tokener_free(t);
    if (error != json_tokener_success) /* the scan is stricter; if it once is not, this is no reason to crash */
        return err_set(e, ERR_BAD_JSON, "Invalid JSON: %s", json_tokener_error_desc(error));
    *out = tree;
    return true;
}

struct json_object *json_member(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member))
        return NULL;
    return member;
}

static struct bytes text_of(struct json_object *o)
{
    if (!json_object_is_type(o, json_type_string))
        return NO_BYTES;
    return (struct bytes){ json_object_get_string(o), (size_t)json_object_get_string_len(o) };
}

struct bytes json_text(struct json_object *object, const char *name)
{
    return text_of(json_member(object, name));
}

struct bytes *json_texts(struct arena *a, struct json_object *array, size_t *n)
{
    struct bytes *texts = NULL;

    *n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    texts = arena_array(a, *n, sizeof *texts);
    for (size_t i = 0; i < *n; i++)
        texts[i] = arena_copy(a, text_of(json_object_array_get_idx(array, i)));
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
