/* tests/delivery/pieces.h - a text as a source of content (delivery/content.h) that comes in pieces of a given size.
 * Tests and fuzzers use it, so there is no cmocka in it. */
#ifndef TESTS_DELIVERY_PIECES_H
#define TESTS_DELIVERY_PIECES_H
#include "delivery/content.h"

struct pieces {
    struct bytes text;
    size_t size, at; /* of a piece; where the next begins */
};

static inline bool next_piece(void *ctx, struct bytes *piece, struct err *e)
{
    struct pieces *p = ctx;

    (void)e;
    *piece = bytes_head(bytes_from(p->text, p->at), p->size);
    p->at += piece->n;
    return true;
}

static inline bool from_start(void *ctx, struct err *e)
{
    struct pieces *p = ctx;

    (void)e;
    p->at = 0;
    return true;
}

/* The next piece of a source whose content has gone. */
static inline bool broken(void *ctx, struct bytes *piece, struct err *e)
{
    (void)ctx;
    (void)piece;
    return err_set(e, ERR_GONE, "gone");
}
#endif
