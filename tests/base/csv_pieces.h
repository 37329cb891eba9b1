/* tests/base/csv_pieces.h - a CSV file read in pieces, for the test and the fuzzer of base/csv.h. */
#ifndef TESTS_BASE_CSV_PIECES_H
#define TESTS_BASE_CSV_PIECES_H
#include "base/csv.h"
#include <assert.h>

typedef void csv_show_fn(const struct csv *c, struct buf *out);

/* Shows every record of `in` from c->at on, in pieces of `step` bytes, each of which is used up. */
static inline void csv_read_pieces(struct csv *c, struct bytes in, size_t step, csv_show_fn *show, struct buf *out)
{
    size_t at = (size_t)c->at, used;

    while (at < in.n) {
        struct bytes piece = bytes_head(bytes_from(in, at), step);

        while (csv_next(c, piece, &used) == CSV_RECORD) {
            show(c, out);
            piece = bytes_from(piece, used);
            at += used;
        }
        assert(used == piece.n);
        at += used;
    }
    if (csv_end(c) == CSV_RECORD)
        show(c, out);
    assert(c->at <= (int64_t)in.n);
}
#endif
