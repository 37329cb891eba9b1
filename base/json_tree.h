/* base/json_tree.h - inside base/json: json-c's tree, made while the text is scanned: one pass and one copy of each
 * text. json-c's own reader took four times as long as the scan, and twice the memory for a long text. */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H
#include "base/json.h"

struct json_tree {
    struct json_object *root, *open[JSON_DEPTH_MAX];
    int depth;
    struct buf key; /* of the next member, with a NUL behind it */
};

/* json_check with a tree, which may be NULL, and what goes into it (NULL: all). After false it is half made. */
bool json_scan(struct bytes text, size_t values_max, const struct json_shape *shape, struct json_tree *tree,
               struct err *e);

void json_tree_key(struct json_tree *t, struct bytes name); /* no other member has it */
void json_tree_add(struct json_tree *t, struct json_object *value);
void json_tree_string(struct json_tree *t, struct bytes text);
void json_tree_open(struct json_tree *t, bool object);
void json_tree_close(struct json_tree *t);
#endif
