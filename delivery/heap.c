/* delivery/heap.c - see heap.h. */
#include "delivery/heap.h"
#include "base/err.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void put(struct heap *h, struct heap_node *node, size_t i)
{
    h->list[i] = node;
    node->at = i + 1;
}

/* Finds node's place from the hole at i. */
static void settle(struct heap *h, struct heap_node *node, size_t i)
{
    while (i > 0 && before(node, h->list[(i - 1) / 2])) {
        put(h, h->list[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    for (size_t child = 2 * i + 1; child < h->n; child = 2 * i + 1) {
        if (child + 1 < h->n && before(h->list[child + 1], h->list[child]))
            child++;
        if (!before(h->list[child], node))
            break;
        put(h, h->list[child], i);
        i = child;
    }
    put(h, node, i);
}

void heap_add(struct heap *h, struct heap_node *node, int64_t key)
{
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 4;
        h->list = realloc(h->list, h->room * sizeof(struct heap_node *));
        if (!h->list)
            die("out of memory: what waits");
    }
    node->key = key;
    node->order = h->order++;
    h->n++;
    settle(h, node, h->n - 1);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    size_t i = node->at;

    if (i == 0)
        return;
    node->at = 0;
    h->n--;
    if (i - 1 < h->n)
        settle(h, h->list[h->n], i - 1);
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->n ? h->list[0] : NULL;
}

void heap_clear(struct heap *h)
{
    free(h->list);
    *h = (struct heap){ 0 };
}
