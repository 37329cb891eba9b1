/* The text behind DATA: what a strict reader (smtp/text.h) makes of it is what was given, and nothing stands behind its
 * end. */
#include "delivery/content.h"
#include "smtp/text.h"
#include "tests/delivery/pieces.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(void *ctx, struct bytes piece)
{
    buf_add(ctx, piece);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size > 1 ? (const char *)data + 1 : "", size > 1 ? size - 1 : 0 };
    struct pieces p = { in, size ? 1 + data[0] % 50 : 1, 0 };
    struct wire_source source = { next_piece, NULL, &p };
    struct buf sent, got;
    struct err e = { 0 };
    struct bytes piece;
    struct wire w;
    struct text t;
    int64_t measured = 0;

    buf_init(&sent, 2 * size + 16);
    buf_init(&got, size + 16);
    text_init(&t, true, SIZE_MAX / 2, take, &got);
    wire_begin(&w, NO_BYTES, source);
    do {
        if (!wire_next(&w, &piece, &e))
            break;
        buf_add(&sent, piece);
        assert(!piece.n || text_read(&t, piece) == piece.n); /* its end is ours */
    } while (piece.n);
    assert(e.code == ERR_NONE ? t.ended : !t.ended);
    assert(t.fault == TEXT_OK || t.fault == TEXT_NUL || e.code != ERR_NONE);
    if (e.code == ERR_NONE && t.fault == TEXT_OK) {
        assert(bytes_starts(buf_bytes(&got), in) && got.n <= in.n + 2);
        p.at = 0;
        assert(wire_measure(NO_BYTES, source, &measured, &e) && (size_t)measured == got.n);
    }
    buf_clear(&sent);
    buf_clear(&got);
    return 0;
}
