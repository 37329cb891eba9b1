/* Commands that come as lines, and replies that leave as such. */
#include "net/line.h"
#include "net_test.h"
#include <stdio.h>
#include <string.h>

static const struct stream_options small = { .in_max = 64, .out_max = 256 };
static const size_t steps[] = { 0, 1, 3, 7 };

static const struct {
    const char *sent;
    size_t n;
    const char *want; /* a word a line: a command, or "short" or "long" for one that was refused */
} commands[] = {
#define SENT(text) text, sizeof(text) - 1
    { SENT("NOOP\r\nQUIT\r\n"), "<NOOP> <QUIT> closed" },
    { SENT("\r\n"), "<> closed" },
    { SENT("a\tb\xc3\xa4\r\n"), "<a\tb\xc3\xa4> closed" },
    { SENT("NOOP\nQUIT\r\nRSET\r\n"), "short <RSET> closed" },
    { SENT("a\rb\r\nRSET\r\n"), "short <RSET> closed" },
    { SENT("a\0b\r\nRSET\r\n"), "short <RSET> closed" },
    { SENT("\r\r\nRSET\r\n"), "short <RSET> closed" },
    { SENT("123456789012345678901\r\nRSET\r\n"), "long <RSET> closed" },
    { SENT("123456789012345678\r\nRSET"), "<123456789012345678> closed" },
    { SENT("NOOP\nQUIT"), "short closed" }, /* answered before its end came */
    { SENT("123456789012345678901"), "closed" },
};

static bool note_refused(void *log, bool too_long, const char *text)
{
    assert_non_null(text);
    buf_adds(log, too_long ? "long " : "short ");
    return true;
}

static void note_lost(void *log, const struct err *why)
{
    buf_adds(log, why->code == ERR_CLOSED ? "closed" : why->code == ERR_TOO_LARGE ? "junk" : "?");
}

static const struct line_manners noting = { note_refused, note_lost };

static void read_commands(struct stream *s, struct buf *log)
{
    struct bytes line;
    enum step read;

    while ((read = line_next(s, 20, &noting, log, &line)) != STEP_END)
        if (read == STEP_DONE)
            buf_addf(log, "<%.*s> ", SHOW(line));
        else
            assert_null(line.p);
}

/* A line is whole or it is none, however it arrives; what was refused brings no second command. */
static void commands_are_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * (sizeof commands / sizeof *commands); i++) {
        struct bytes sent = { commands[i / 4].sent, commands[i / 4].n };
        struct buf out, log;
        struct stream *s;

        buf_init(&out, 1000);
        buf_init(&log, 1000);
        s = stream_memory(sent, steps[i % 4], &out, &small);
        read_commands(s, &log);
        if (!bytes_equal(buf_bytes(&log), bytes_of(commands[i / 4].want)))
            fail_msg("row %zu: \"%.*s\"", i / 4, SHOW(buf_bytes(&log)));
        stream_free(&s);
        buf_clear(&log);
        buf_clear(&out);
    }
}

/* Who never ends a line is not read for ever. */
static void junk_has_an_end(void **state)
{
    struct buf out, log, sent;
    struct stream *s;

    (void)state;
    buf_init(&out, 1000);
    buf_init(&log, 1000);
    buf_init(&sent, 2 << 20);
    while (sent.n < (1 << 20) + 4096)
        buf_adds(&sent, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    buf_adds(&sent, "\r\nNOOP\r\n");
    s = stream_memory(buf_bytes(&sent), 0, &out, &small);
    read_commands(s, &log);
    assert_true(bytes_equal(buf_bytes(&log), BYTES("junk")));
    stream_free(&s);
    buf_clear(&sent);
    buf_clear(&log);
    buf_clear(&out);
}

__attribute__((format(printf, 4, 5))) static bool write_line(struct stream *s, bool utf8, const char *status,
                                                             const char *format, ...)
{
    va_list args;
    bool ok;

    va_start(args, format);
    ok = line_write(s, utf8, status, format, args);
    va_end(args);
    return ok;
}

/* What is echoed cannot end the line, or begin another; a reply has 512 octets at the most. */
static void replies_are_lines(void **state)
{
    static const struct {
        bool utf8;
        const char *status, *text, *want;
    } rows[] = {
        { false, "250 ", "Ok", "250 Ok\r\n" },
        { false, "", "", "\r\n" },
        { false, "+OK ", "a\r\n-ERR b\x7f\t",
          "+OK a?"
          "?-ERR b?"
          "?\r\n" },
        { false, "250 ", "\xc3\xa4",
          "250 ?"
          "?\r\n" },
        { true, "250 ", "\xc3\xa4", "250 \xc3\xa4\r\n" },
    };
    char text[1000];
    struct err e;
    struct buf out;
    struct stream *s;

    (void)state;
    buf_init(&out, 10000);
    s = stream_memory(NO_BYTES, 0, &out, &small);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&out);
        assert_true(write_line(s, rows[i].utf8, rows[i].status, "%s", rows[i].text) && stream_flush(s, &e));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(rows[i].want)));
    }
    buf_reset(&out);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_true(write_line(s, false, "250 ", "%s", text) && stream_flush(s, &e));
    assert_true(out.n <= 512 && out.n > 500 && bytes_ends(buf_bytes(&out), BYTES("a\r\n")));
    stream_free(&s);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_lines),
        cmocka_unit_test(junk_has_an_end),
        cmocka_unit_test(replies_are_lines),
    };

    params_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
