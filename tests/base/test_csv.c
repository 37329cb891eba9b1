/* base/csv.h: what programs write as CSV, cut anywhere; what we write comes back as it was. */
#include "check.h"

#include "tests/base/csv_pieces.h"

#define RECORD_MAX 40

/* Cells are shown with '|' behind each, records with '/' behind each, a fault as '!' and its number. */
static void show(const struct csv *c, struct buf *out)
{
    if (c->fault)
        buf_addf(out, "!%d", c->fault);
    for (size_t i = 0; !c->fault && i < c->n; i++)
        buf_addf(out, "%.*s|", SHOW(csv_cell(c, i)));
    buf_addc(out, '/');
}

static const struct {
    const char *in, *want;
} rows[] = {
    { "a,b\r\nc,d\r\n", "a|b|/c|d|/" },
    { "a,b\nc,d", "a|b|/c|d|/" },
    { "a,b\rc,d\r", "a|b|/c|d|/" },
    { "\xEF\xBB\xBF"
      "a,b\r\n",
      "a|b|/" },
    { "\xEF\xBB\xBF", "" },
    { "\xEF\xBB", "!4/" },
    { "a\r\n\xEF\xBB\xBF"
      "b\r\n",
      "a|/\xEF\xBB\xBF"
      "b|/" }, /* a mark at the beginning alone */
    { "", "" },
    { "\r\n\r\na\r\n\r\n", "//a|//" }, /* blank lines are counted */
    { "a,\r\n,b\r\n,\r\n", "a||/|b|/||/" },
    { "\"a\",\"b\"\r\n", "a|b|/" },
    { "\"a,b\",\"c\r\nd\",\"e\"\"f\"\r\n", "a,b|c\r\nd|e\"f|/" },
    { "\"\"\r\n\"\",\r\n\"\"\"\"\r\n", "|/||/\"|/" },
    { "a\"b,c\"\r\n", "a\"b|c\"|/" },      /* a quote within a bare cell is text */
    { "\"a\"b,c\r\nd\r\n", "!1/d|/" },     /* behind a closing quote it is not */
    { "\"a\"\r\n\"b\r\nc\r\n", "a|/!1/" }, /* nobody closes it */
    { "\"0123456789012345678901234567890123456789\r\nb\r\nc\r\n", "!2/b|/c|/" },
    { "\"01234567890123456789012345678901\r\n01234567890\r\nc\r\n", "!2/c|/" }, /* ends at its next line end */
    { "0123456789012345678901234567890123456789,\r\nb\r\n", "0123456789012345678901234567890123456789||/b|/" },
    { "\xC3\xA9,\xE4\xB8\xAD\r\n", "\xC3\xA9|\xE4\xB8\xAD|/" },
    { "\xC3,\xA9\r\nb\r\n", "!4/b|/" }, /* half a character in each cell */
    { "a\xFF\r\nb\r\n", "!4/b|/" },
    { " a , b \r\n", " a | b |/" },
    { "a\r\r\nb", "a|//b|/" },
};

static void records_come_out_wherever_pieces_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step < 9; step++) {
            struct csv c;
            struct buf out;

            buf_init(&out, 4096);
            csv_init(&c, ',', RECORD_MAX);
            csv_read_pieces(&c, bytes_of(rows[i].in), step, show, &out);
            if (!bytes_equal(buf_bytes(&out), bytes_of(rows[i].want)))
                fail_msg("row %zu by %zu: \"%.*s\"", i, step, SHOW(buf_bytes(&out)));
            csv_clear(&c);
            buf_clear(&out);
        }
}

/* The rest is the same from wherever a record has ended. */
static void reading_goes_on_behind_any_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes in = bytes_of(rows[i].in), piece = in;
        struct csv whole;
        struct buf before;
        size_t used;

        csv_init(&whole, ',', RECORD_MAX);
        buf_init(&before, 4096);
        while (csv_next(&whole, piece, &used) == CSV_RECORD) {
            struct csv rest;
            struct buf all;

            piece = bytes_from(piece, used);
            show(&whole, &before);
            buf_init(&all, 4096);
            buf_add(&all, buf_bytes(&before));
            csv_init(&rest, ',', RECORD_MAX);
            csv_seek(&rest, whole.at, whole.row);
            csv_read_pieces(&rest, in, 3, show, &all);
            if (!bytes_equal(buf_bytes(&all), bytes_of(rows[i].want)))
                fail_msg("row %zu from %lld: \"%.*s\"", i, (long long)whole.at, SHOW(buf_bytes(&all)));
            csv_clear(&rest);
            buf_clear(&all);
        }
        csv_clear(&whole);
        buf_clear(&before);
    }
}

static void too_many_cells_are_a_fault(void **state)
{
    struct csv c;
    char line[2 * CSV_CELLS + 2];
    size_t used;

    (void)state;
    memset(line, ',', sizeof line);
    csv_init(&c, ',', 4096);
    line[CSV_CELLS - 1] = '\n';
    assert_int_equal(csv_next(&c, (struct bytes){ line, CSV_CELLS }, &used), CSV_RECORD);
    assert_int_equal(c.fault, CSV_FINE);
    assert_int_equal(c.n, CSV_CELLS);
    line[CSV_CELLS - 1] = ',';
    line[CSV_CELLS] = '\n';
    assert_int_equal(csv_next(&c, (struct bytes){ line, CSV_CELLS + 1 }, &used), CSV_RECORD);
    assert_int_equal(c.fault, CSV_COLUMNS);
    csv_clear(&c);
}

static void the_separator_is_told_by_the_first_line(void **state)
{
    (void)state;
    assert_int_equal(csv_separator(BYTES("email,reason\n;;;;")), ',');
    assert_int_equal(csv_separator(BYTES("email;reason\r\n")), ';');
    assert_int_equal(csv_separator(BYTES("email\treason\n")), '\t');
    assert_int_equal(csv_separator(BYTES("\"a;b;c\",d\n")), ',');
    assert_int_equal(csv_separator(BYTES("email")), ',');
}

static const struct {
    const char *cell, *written;
} cells[] = {
    { "a", "a" },
    { "", "" },
    { "a,b", "\"a,b\"" },
    { "a;b", "\"a;b\"" },
    { "say \"x\"", "\"say \"\"x\"\"\"" },
    { "two\r\nlines", "\"two\r\nlines\"" },
    { " a", "\" a\"" },
    { "=1+1", "'=1+1" },
    { "+a@b.test", "'+a@b.test" },
    { "-x", "'-x" },
    { "@x", "'@x" },
    { "\t=x", "\"'\t=x\"" },
    { "=a,b", "\"'=a,b\"" },
    { "'=a", "''=a" }, /* or it would come back as another */
    { "'a", "'a" },
    { "''", "''" },
    { "a=b", "a=b" },
};

static void cells_come_back_and_are_no_formulas(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct buf out;
        struct csv c;
        size_t used;

        buf_init(&out, 4096);
        csv_add(&out, bytes_of(cells[i].cell));
        assert_bytes(buf_bytes(&out), bytes_of(cells[i].written));
        buf_adds(&out, ",\r\n");
        csv_init(&c, ',', 4096);
        assert_int_equal(csv_next(&c, buf_bytes(&out), &used), CSV_RECORD);
        assert_int_equal(c.n, 2);
        assert_bytes(csv_plain(csv_cell(&c, 0)), bytes_of(cells[i].cell));
        csv_clear(&c);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_wherever_pieces_are_cut),
        cmocka_unit_test(reading_goes_on_behind_any_record),
        cmocka_unit_test(too_many_cells_are_a_fault),
        cmocka_unit_test(the_separator_is_told_by_the_first_line),
        cmocka_unit_test(cells_come_back_and_are_no_formulas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
