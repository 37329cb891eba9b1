/* CSV as it comes: the same records whatever the pieces are, from the beginning or from behind any record; and what was
 * read comes back the same when it is written. */
#include "tests/base/csv_pieces.h"

#define RECORD_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const struct csv *c, struct buf *out)
{
    buf_addf(out, "%lld %lld %d %zu:", (long long)c->at, (long long)c->row, c->fault, c->n);
    for (size_t i = 0; i < c->n; i++) {
        buf_addf(out, "%zu ", csv_cell(c, i).n);
        buf_add(out, csv_cell(c, i));
    }
}

static void comes_back(const struct csv *c)
{
    struct buf out;
    struct csv again;
    size_t used;

    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < c->n; i++) {
        csv_add(&out, csv_cell(c, i));
        buf_adds(&out, i + 1 < c->n ? "," : "\r\n");
    }
    csv_init(&again, ',', 1 << 20);
    assert(csv_next(&again, buf_bytes(&out), &used) == CSV_RECORD && used == out.n);
    assert(again.fault == CSV_FINE && again.n == c->n);
    for (size_t i = 0; i < c->n; i++)
        assert(bytes_equal(csv_plain(csv_cell(&again, i)), csv_cell(c, i)));
    csv_clear(&again);
    buf_clear(&out);
}

static void goes_on_from(struct bytes in, int64_t at, int64_t row, struct bytes want)
{
    struct csv c;
    struct buf out;

    buf_init(&out, 1 << 24);
    csv_init(&c, csv_separator(in), RECORD_MAX);
    csv_seek(&c, at, row);
    csv_read_pieces(&c, in, 7, show, &out);
    assert(bytes_ends(want, buf_bytes(&out)));
    csv_clear(&c);
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size ? (const char *)data : "", size < 4096 ? size : 4096 }, piece = in;
    struct buf whole, bits;
    struct csv c;
    size_t used;

    buf_init(&whole, 1 << 24);
    buf_init(&bits, 1 << 24);
    csv_init(&c, csv_separator(in), RECORD_MAX);
    csv_read_pieces(&c, in, SIZE_MAX, show, &whole);
    csv_clear(&c);
    csv_init(&c, csv_separator(in), RECORD_MAX);
    csv_read_pieces(&c, in, 1, show, &bits);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&bits)));
    csv_clear(&c);
    csv_init(&c, csv_separator(in), RECORD_MAX);
    for (int n = 0; n < 16 && csv_next(&c, piece, &used) == CSV_RECORD; n++) {
        piece = bytes_from(piece, used);
        goes_on_from(in, c.at, c.row, buf_bytes(&whole));
        /* A mark at the beginning of a file is none of its text. */
        if (!c.fault && c.n && !(c.n == 1 && !csv_cell(&c, 0).n) &&
            !bytes_starts(csv_cell(&c, 0), BYTES("\xEF\xBB\xBF")))
            comes_back(&c);
    }
    csv_clear(&c);
    buf_clear(&whole);
    buf_clear(&bits);
    return 0;
}
