/* The scan and json-c must agree: what json_check takes, json_read takes, and what is written back from the tree is
 * taken again and comes out the same a second time. */
#include "base/json.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_tree(struct json_object *tree, struct buf *out)
{
    struct jw w;

    buf_init(out, 16 << 20);
    jw_init(&w, out);
    jw_tree(&w, tree);
}

static void comes_back(struct json_object *tree)
{
    struct json_object *again = NULL;
    struct buf first, second;
    struct err e = { 0 };

    write_tree(tree, &first);
    assert(!first.overflowed && json_read(buf_bytes(&first), &again, &e));
    write_tree(again, &second);
    assert(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    json_object_put(again);
    buf_clear(&first);
    buf_clear(&second);
}

static void text_is_written_valid(struct bytes text)
{
    struct buf out;
    struct jw w;
    struct err e = { 0 };

    buf_init(&out, 16 << 20);
    jw_init(&w, &out);
    jw_text(&w, text.p ? text : BYTES(""));
    assert(!out.overflowed && json_check(buf_bytes(&out), SIZE_MAX, &e));
    buf_clear(&out);
}

static bool some_members(const void *in, struct bytes name, const void **shape)
{
    *shape = name.n % 3 ? in : NULL;
    return name.n % 5 != 4;
}

static bool some_items(const void *in, size_t index, const void **shape)
{
    *shape = in;
    return index < 3;
}

/* A part of the tree is no reason to judge the text otherwise. */
static void a_part_is_read(struct bytes text, bool good)
{
    struct json_shape shape = { "", some_members, some_items };
    struct json_object *tree = NULL;
    struct err e = { 0 };

    assert(json_read_shape(text, SIZE_MAX, &shape, &tree, &e) == good);
    if (good)
        comes_back(tree);
    json_object_put(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = { (const char *)data, size };
    struct json_object *tree = NULL;
    struct err e = { 0 };
    bool scanned = json_check(text, SIZE_MAX, &e);

    assert(scanned == json_read(text, &tree, &e));
    if (scanned)
        comes_back(tree);
    json_object_put(tree);
    a_part_is_read(text, scanned);
    text_is_written_valid(text);
    return 0;
}
