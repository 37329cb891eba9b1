/* base/csv.h - tables as text (RFC 4180), read as they come and written.
 *
 *     struct csv c;
 *     csv_init(&c, csv_separator(first bytes), record_max);
 *     for each piece of input:
 *         while ((r = csv_next(&c, piece, &used)) == CSV_RECORD)      piece = behind `used`
 *             csv_cell(&c, i), c.fault                                 valid until the next call
 *     csv_end(&c)                                  the last record, when no line end follows it
 *     csv_clear(&c);
 *
 * What programs write is taken: a byte order mark, lines that end in CRLF, LF or CR, commas, semicolons or tabs, quoted
 * cells with line ends and doubled quotes in them, a quote within a bare cell. A record that is not well formed is one
 * with a fault, and reading goes on behind its line; one that is longer than record_max ends at its next line end,
 * quoted or not, so a quote that nobody closes costs that much and not the rest of the file. After a record
 * `c.at` is the offset behind it: a reader that is begun there anew (csv_seek) goes on as if it had not stopped.
 *
 * Cells that a spreadsheet would take for a formula get an apostrophe when they are written, which csv_plain takes off.
 * Not shared between threads. */
#ifndef BASE_CSV_H
#define BASE_CSV_H
#include "base/bytes.h"

#define CSV_CELLS 64 /* of a record; more are a fault */

enum csv_fault {
    CSV_FINE,
    CSV_QUOTES,  /* text behind a closing quote, or none that closes */
    CSV_LENGTH,  /* longer than record_max */
    CSV_COLUMNS, /* more than CSV_CELLS */
    CSV_TEXT     /* no UTF-8, or NUL */
};
const char *csv_fault_text(enum csv_fault f);

enum csv_state { CSV_AT_START, CSV_BARE, CSV_QUOTED, CSV_QUOTE_SEEN, CSV_SKIPPING, CSV_CR_SEEN };

struct csv {
    int64_t at;           /* offset behind the last record */
    int64_t row;          /* of that record, blank ones counted; the first is 1 */
    size_t n;             /* its cells; 0: a blank line */
    enum csv_fault fault; /* of it; its cells are then not to be used */
    /* the reader's own */
    char separator;
    enum csv_state state;
    struct buf text;
    size_t ends[CSV_CELLS];
    size_t length; /* bytes of the record so far */
    size_t mark;   /* of the byte order mark: bytes seen of it */
    bool given, quoted;
};

enum csv_result { CSV_MORE, CSV_RECORD };

/* What stands between the cells of the first line: ',', ';' or a tab, whichever is there most often. */
char csv_separator(struct bytes head);
void csv_init(struct csv *c, char separator, size_t record_max);
void csv_seek(struct csv *c, int64_t at, int64_t row); /* the input goes on there: behind a record */
void csv_clear(struct csv *c);
/* *used bytes of `in` were taken: all of it with CSV_MORE. */
enum csv_result csv_next(struct csv *c, struct bytes in, size_t *used);
/* No more comes: CSV_RECORD when something is left. */
enum csv_result csv_end(struct csv *c);
struct bytes csv_cell(const struct csv *c, size_t i); /* empty behind the last one */

/* Without the apostrophe that keeps a cell from being a formula. */
struct bytes csv_plain(struct bytes cell);
/* A cell as it is written, NO_BYTES an empty one; the caller puts commas and CRLF between. */
void csv_add(struct buf *out, struct bytes cell);
#endif
