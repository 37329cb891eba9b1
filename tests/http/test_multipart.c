/* Bodies of parts, whole and octet by octet: what is in them comes out the same. */
#include "http/multipart.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define H "Content-Disposition: form-data; name=a\r\n"

#define ROW(text, shown)                                                                                               \
    {                                                                                                                  \
        BYTES_ROW(text), shown                                                                                         \
    }
/* Of each part its header in <>, its bytes, and a "|"; "." is the end of all, "!" what is no such body, "?" one that
 * goes on. */
static const struct {
    struct bytes in;
    const char *want;
} rows[] = {
    ROW("--b\r\n" H "\r\nx\r\n--b--\r\n", "<" H ">x|."),
    ROW("--b\r\n" H "\r\nx\r\n--b--", "<" H ">x|."),
    ROW("--b\r\n" H "\r\n\r\n--b--\r\n\r\n", "<" H ">|."),
    ROW("--b  \t\r\n" H "\r\nx\r\n--b \r\n" H "X: y\r\n\r\ny\r\n--b--", "<" H ">x|<" H "X: y\r\n>y|."),
    ROW("--b\r\n" H "\r\n\r\n\r\n--b--", "<" H ">\r\n|."),
    ROW("--b\r\n" H "\r\n--b--\r\n--b--", "<" H ">--b--|."), /* no line end before it: content */
    ROW("--b\r\n" H "\r\na\r\n-\r\n--\r\n--a\r\n--b--", "<" H ">a\r\n-\r\n--\r\n--a|."),
    ROW("--b\r\n" H "\r\nx\n--b\n--b--\r\n--b--", "<" H ">x\n--b\n--b--|."), /* LF alone ends no line */
    ROW("--b\r\n" H "\r\nx\r\r\n--b--", "<" H ">x\r|."),
    ROW("--b\r\n" H "\r\nx\r\n--bc\r\n", "<" H ">x|!"), /* RFC 2046 5.1.1: no content may begin so */
    ROW("--b\r\n" H "\r\nx\r\n--b", "<" H ">x|?"),
    ROW("--b\r\n" H "\r\nx\r\n--b-", "<" H ">x|?"),
    ROW("--b\r\n" H "\r\nx", "<" H ">x?"),
    ROW("--b\r\n" H "\r\n\r\n--", "<" H ">?"),
    ROW("--b\r\n" H, "?"),
    ROW("--b", "?"),
    ROW("", "?"),
    ROW("--b--", "."),
    ROW("x--b\r\n" H "\r\nx\r\n--b--", "!"),
    ROW("\r\n--b\r\n" H "\r\nx\r\n--b--", "!"), /* nothing stands before the first */
    ROW("--c\r\n" H "\r\nx\r\n--c--", "!"),
    ROW("--b\n" H "\r\nx\r\n--b--", "!"),
    ROW("--b\r\n\r\nx\r\n--b--", "!"), /* a part without header */
    ROW("--b\r\n" H "\r\nx\r\n--b--\r\nx", "<" H ">x|.!"),
    ROW("--b\r\n" H "\r\nx\r\n--b-x", "<" H ">x|!"),
    ROW("--b\r\nA: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\nx\r\n--b--",
        "<A: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n>x|."), /* 60 octets */
    ROW("--b\r\nA: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\nx\r\n--b--", "!"),
};

static void note(struct buf *out, enum multipart_event event, struct bytes bytes)
{
    if (event == MULTIPART_HEADER)
        buf_addf(out, "<%.*s>", SHOW(bytes));
    else if (event == MULTIPART_DATA)
        buf_add(out, bytes);
    else if (event != MULTIPART_MORE)
        buf_adds(out, event == MULTIPART_END ? "|" : event == MULTIPART_CLOSED ? "." : "!");
}

static void read_parts(struct bytes in, size_t step, struct buf *out)
{
    enum multipart_event event = MULTIPART_MORE;
    struct multipart m;
    size_t at = 0, have = 0;

    assert_true(multipart_init(&m, BYTES("b"), 60));
    for (;;) {
        struct bytes bytes;
        size_t used;

        event = multipart_next(&m, bytes_from(bytes_head(in, have), at), &used, &bytes);
        note(out, event, bytes);
        at += used;
        assert_true(at <= have);
        if (event == MULTIPART_BAD || (event == MULTIPART_MORE && have >= in.n))
            break;
        if (event == MULTIPART_MORE)
            have += step;
        have = have > in.n ? in.n : have;
    }
    if (event != MULTIPART_BAD && !multipart_closed(&m))
        buf_adds(out, "?");
}

static void parts_come_out_the_same_however_they_came(void **state)
{
    static const size_t steps[] = { 1, 2, 3, 7, 10000 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            struct buf out;

            buf_init(&out, 4096);
            read_parts(rows[i].in, steps[k], &out);
            if (!bytes_equal(buf_bytes(&out), bytes_of(rows[i].want)))
                fail_msg("row %zu by %zu: %.*s, wanted %s", i, steps[k], SHOW(buf_bytes(&out)), rows[i].want);
            buf_clear(&out);
        }
}

static void boundaries(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } names[] = { { "b", true },
                  { "----WebKitFormBoundary7MA4YWxkTrZu0gW", true },
                  { "a'()+_,-./:=? b", true },
                  { "", false },
                  { "b ", false },
                  { "a\"b", false },
                  { "a\nb", false },
                  { "0123456789012345678901234567890123456789012345678901234567890123456789", true },
                  { "01234567890123456789012345678901234567890123456789012345678901234567890", false } };
    struct multipart m;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(multipart_init(&m, bytes_of(names[i].text), 60) == names[i].good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_out_the_same_however_they_came),
        cmocka_unit_test(boundaries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
