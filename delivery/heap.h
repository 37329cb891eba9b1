/* delivery/heap.h - what has the least key, of nodes that lie in the caller's structs (one heap at a time for each).
 * Equal keys come out in the order they went in. Adding allocates; out of memory ends the program. */
#ifndef DELIVERY_HEAP_H
#define DELIVERY_HEAP_H
#include "base/bytes.h"

struct heap_node {
    int64_t key;
    uint64_t order; /* inside */
    size_t at;      /* inside: its place + 1; 0: it is in no heap */
};

struct heap {
    struct heap_node **list;
    size_t n, room;
    uint64_t order;
};

void heap_add(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* nothing when it is in none */
struct heap_node *heap_top(const struct heap *h);         /* NULL: it is empty */
void heap_clear(struct heap *h);                          /* the list, not the nodes */
#endif
