/* base/json_tree.c - values into the innermost open array or object. */
#include "base/json_tree.h"

void json_tree_key(struct json_tree *t, struct bytes name)
{
    if (!t->key.max)
        buf_init(&t->key, INT32_MAX);
    buf_reset(&t->key);
    buf_add(&t->key, name);
    buf_addc(&t->key, '\0');
}

void json_tree_add(struct json_tree *t, struct json_object *value)
{
    struct json_object *in = t->depth ? t->open[t->depth - 1] : NULL;
    int failed = 0;

    if (!in)
        t->root = value;
    else if (json_object_is_type(in, json_type_object))
        failed = json_object_object_add_ex(in, t->key.p, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
    else
        failed = json_object_array_add(in, value);
    if (failed)
        die("out of memory: a JSON tree");
}

void json_tree_string(struct json_tree *t, struct bytes text)
{
    struct json_object *value = json_object_new_string_len(text.n ? text.p : "", (int)text.n);

    if (!value)
        die("out of memory: a JSON text of %zu bytes", text.n);
    json_tree_add(t, value);
}

void json_tree_open(struct json_tree *t, bool object)
{
    struct json_object *level = object ? json_object_new_object() : json_object_new_array();

    if (!level)
        die("out of memory: a JSON tree");
    json_tree_add(t, level);
    t->open[t->depth++] = level;
}

void json_tree_close(struct json_tree *t)
{
    t->depth--;
}
