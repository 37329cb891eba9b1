/* Conversion: what comes out has seven bits behind its header, is as long as was said, needs no second conversion, and
 * does not depend on how the mail was cut into pieces. */
#include "delivery/convert.h"
#include "tests/delivery/pieces.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits limits = {
    .fields = { .header_value = 4096 }, .depth = 8, .parts = 50, .part_header = 4096, .top_header = 4096
};

static bool convert_all(struct bytes mail, size_t size, struct buf *out)
{
    struct arena *a = arena_new(64 << 20);
    struct pieces p = { mail, size, 0 };
    struct wire_source source = { next_piece, from_start, &p };
    struct convert_plan plan;
    struct bytes piece;
    struct convert c;
    struct err e = { 0 };
    bool ok = convert_plan(source, &limits, a, &plan, &e) == CONVERT_OK;

    buf_init(out, 16 << 20);
    if (ok) {
        from_start(&p, &e);
        convert_begin(&c, &plan, source);
        source = convert_source(&c);
        while (source.next(source.ctx, &piece, &e) && piece.n)
            buf_add(out, piece);
        convert_end(&c);
        assert((int64_t)out->n == plan.size || (int64_t)out->n + 2 == plan.size); /* with its last line end */
    }
    arena_free(&a);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes mail = { size ? (const char *)data : "", size };
    struct buf whole, cut;
    bool ok = convert_all(mail, size + 1, &whole);

    assert(convert_all(mail, 1 + size % 13, &cut) == ok);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
    if (ok)
        assert(bytes_is_ascii(buf_bytes(&whole)));
    buf_clear(&whole);
    buf_clear(&cut);
    return 0;
}
