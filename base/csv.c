/* base/csv.c - a state machine over bytes: the same records come out wherever the pieces are cut.
 *
 * A record that ends in CR is given only once the next byte is known, so that CRLF is one line end and `at` is never
 * between the two. Cells lie one after the other in one text; what a record that is too long would add is dropped, and
 * its quotes no longer count. */
#include "base/csv.h"
#include <string.h>

static const char *const faults[] = {
    [CSV_FINE] = "",
    [CSV_QUOTES] = "A cell that begins with a quote ends with one, and quotes within it are doubled",
    [CSV_LENGTH] = "The row is too long",
    [CSV_COLUMNS] = "The row has too many cells",
    [CSV_TEXT] = "The row is no UTF-8 text",
};

const char *csv_fault_text(enum csv_fault f)
{
    return faults[f];
}

char csv_separator(struct bytes head)
{
    static const char all[] = { ',', ';', '\t' };
    size_t counts[sizeof all] = { 0 }, best = 0;
    bool quoted = false;

    for (size_t i = 0; i < head.n && (quoted || (head.p[i] != '\n' && head.p[i] != '\r')); i++) {
        quoted = quoted != (head.p[i] == '"');
        for (size_t k = 0; k < sizeof all; k++)
            counts[k] += !quoted && head.p[i] == all[k];
    }
    for (size_t k = 1; k < sizeof all; k++)
        best = counts[k] > counts[best] ? k : best;
    return all[best];
}

void csv_init(struct csv *c, char separator, size_t record_max)
{
    *c = (struct csv){ .separator = separator };
    buf_init(&c->text, record_max);
}

void csv_seek(struct csv *c, int64_t at, int64_t row)
{
    c->at = at;
    c->row = row;
}

void csv_clear(struct csv *c)
{
    buf_clear(&c->text);
}

/* ---- reading ---- */

static void begin(struct csv *c)
{
    c->given = false;
    c->n = 0;
    c->fault = CSV_FINE;
    c->length = 0;
    c->state = CSV_AT_START;
    c->quoted = false;
    buf_reset(&c->text);
    c->text.overflowed = false;
}

static void fail(struct csv *c, enum csv_fault f)
{
    if (c->fault == CSV_FINE)
        c->fault = f;
}

static void end_cell(struct csv *c)
{
    if (c->n == CSV_CELLS)
        fail(c, CSV_COLUMNS);
    else
        c->ends[c->n++] = c->text.n;
    c->state = CSV_AT_START;
}

static bool is_blank(const struct csv *c)
{
    return c->n == 0 && c->text.n == 0 && !c->quoted && c->fault == CSV_FINE;
}

static enum csv_result end_record(struct csv *c)
{
    if (c->state == CSV_QUOTED)
        fail(c, CSV_QUOTES);
    if (!is_blank(c))
        end_cell(c);
    for (size_t i = 0; i < c->n; i++)
        if (!bytes_is_utf8(csv_cell(c, i)) || bytes_find(csv_cell(c, i), '\0') < csv_cell(c, i).n)
            fail(c, CSV_TEXT);
    c->at += (int64_t)c->length;
    c->row++;
    c->given = true;
    return CSV_RECORD;
}

static void put(struct csv *c, char x)
{
    buf_addc(&c->text, x);
    if (c->text.overflowed) {
        fail(c, CSV_LENGTH);
        c->state = CSV_SKIPPING;
    }
}

static void take_bare(struct csv *c, char x)
{
    if (x == c->separator) {
        end_cell(c);
    } else if (x == '"' && c->state == CSV_AT_START) {
        c->state = CSV_QUOTED;
        c->quoted = true;
    } else {
        c->state = CSV_BARE;
        put(c, x);
    }
}

static void take_behind_quote(struct csv *c, char x)
{
    if (x == c->separator) {
        end_cell(c);
    } else if (x == '"') {
        c->state = CSV_QUOTED;
        put(c, '"');
    } else {
        fail(c, CSV_QUOTES);
        c->state = CSV_SKIPPING;
    }
}

/* What is no line end. */
static void take(struct csv *c, char x)
{
    switch (c->state) {
    case CSV_AT_START:
    case CSV_BARE: take_bare(c, x); break;
    case CSV_QUOTED:
        if (x == '"')
            c->state = CSV_QUOTE_SEEN;
        else
            put(c, x);
        break;
    case CSV_QUOTE_SEEN: take_behind_quote(c, x); break;
    case CSV_SKIPPING:
    case CSV_CR_SEEN: break;
    }
}

/* A byte order mark is no part of the first cell. */
static bool is_mark(struct csv *c, char x)
{
    static const char mark[] = "\xEF\xBB\xBF";

    if (c->at || c->row || c->length != c->mark || c->mark == 3 || x != mark[c->mark])
        return false;
    c->mark++;
    c->length++;
    return true;
}

/* Bytes that began like a mark and were none are text. */
static void not_a_mark(struct csv *c)
{
    if (c->mark && c->mark < 3 && c->length == c->mark) {
        for (size_t i = 0; i < c->mark; i++)
            take(c, "\xEF\xBB\xBF"[i]);
        c->mark = 3;
    }
}

enum csv_result csv_next(struct csv *c, struct bytes in, size_t *used)
{
    if (c->given)
        begin(c);
    for (*used = 0; *used < in.n; (*used)++) {
        char x = in.p[*used];

        if (c->state == CSV_CR_SEEN) {
            c->length += x == '\n';
            *used += x == '\n';
            return end_record(c);
        }
        if (is_mark(c, x))
            continue;
        not_a_mark(c);
        c->length++;
        if (x == '\n' && c->state != CSV_QUOTED) {
            (*used)++;
            return end_record(c);
        }
        if (x == '\r' && c->state != CSV_QUOTED)
            c->state = CSV_CR_SEEN;
        else
            take(c, x);
    }
    return CSV_MORE;
}

enum csv_result csv_end(struct csv *c)
{
    if (c->given)
        begin(c);
    not_a_mark(c);
    return !is_blank(c) || c->state == CSV_CR_SEEN ? end_record(c) : CSV_MORE;
}

struct bytes csv_cell(const struct csv *c, size_t i)
{
    size_t from = i ? c->ends[i - 1] : 0;

    if (i >= c->n)
        return BYTES("");
    return c->ends[i] == from ? BYTES("") : (struct bytes){ c->text.p + from, c->ends[i] - from };
}

/* ---- formulas, writing ---- */

/* How many apostrophes stand before what would be a formula; cell.n + 1: it is none. */
static size_t shields(struct bytes cell)
{
    size_t n = 0;

    while (n < cell.n && cell.p[n] == '\'')
        n++;
    return n < cell.n && memchr("=+-@\t\r", cell.p[n], 6) ? n : cell.n + 1;
}

struct bytes csv_plain(struct bytes cell)
{
    size_t n = shields(cell);

    return n > 0 && n <= cell.n ? bytes_from(cell, 1) : cell;
}

void csv_add(struct buf *out, struct bytes cell)
{
    bool shielded = shields(cell) <= cell.n, quoted = false;

    for (size_t i = 0; i < cell.n; i++)
        quoted = quoted || memchr(",;\t\"\r\n", cell.p[i], 6);
    quoted = quoted || (cell.n && (cell.p[0] == ' ' || cell.p[cell.n - 1] == ' '));
    if (quoted)
        buf_addc(out, '"');
    if (shielded)
        buf_addc(out, '\'');
    for (size_t i = 0; i < cell.n; i++) {
        if (cell.p[i] == '"')
            buf_addc(out, '"');
        buf_addc(out, cell.p[i]);
    }
    if (quoted)
        buf_addc(out, '"');
}
