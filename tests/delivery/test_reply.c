/* delivery/reply.h */
#include "tests/base/check.h"

#include "delivery/reply.h"

/* What comes, and what it is: code 0 is REPLY_BROKEN, -1 REPLY_MORE. Enhanced NULL: none. `left` is not read. */
static const struct {
    const char *in;
    int code;
    const char *enhanced, *text, *left;
} rows[] = {
    { "250 Ok\r\n", 250, NULL, "Ok", "" },
    { "250\r\n", 250, NULL, "", "" },
    { "250 \r\n", 250, NULL, "", "" },
    { "250\n", 250, NULL, "", "" },
    { "250\tOk\r\n", 250, NULL, "Ok", "" },
    { "250-a\r\n250-b\r\n250 c\r\n", 250, NULL, "a\nb\nc", "" },
    { "250-a\r\n250\r\n", 250, NULL, "a\n", "" },
    { "250 one\r\n354 two\r\n", 250, NULL, "one", "354 two\r\n" },
    { "550 5.1.1 No such user\r\n", 550, "5.1.1", "No such user", "" },
    { "550 5.1.1\r\n", 550, "5.1.1", "", "" },
    { "550-5.1.1 No such user\r\n550-5.1.1 here,\r\n550 5.1.1 sorry\r\n", 550, "5.1.1", "No such user\nhere,\nsorry",
      "" },
    { "550-5.1.1 No\r\n550 5.7.1 Two\r\n", 550, "5.1.1", "No\n5.7.1 Two", "" },
    { "550 4.1.1 Wrong class\r\n", 550, NULL, "4.1.1 Wrong class", "" },
    { "250 2.1.5 Ok\r\n", 250, "2.1.5", "Ok", "" },
    { "450 4.7.1: wait\r\n", 450, "4.7.1", ": wait", "" },
    { "550 5.1.1.1 more\r\n", 550, NULL, "5.1.1.1 more", "" },
    { "550 5.1.1234 long\r\n", 550, NULL, "5.1.1234 long", "" },
    { "550 5.1 short\r\n", 550, NULL, "5.1 short", "" },
    { "550 5.123.456 wide\r\n", 550, "5.123.456", "wide", "" },
    { "550 5..1 none\r\n", 550, NULL, "5..1 none", "" },
    { "220 mx.example ESMTP\r\n", 220, NULL, "mx.example ESMTP", "" },
    { "554 caf\xC3\xA9 \xFFx\r\n", 554, NULL, "caf\xC3\xA9 \xEF\xBF\xBDx", "" },
    { "554 a\x1B[31mb\x7F\r\n", 554, NULL, "a [31mb ", "" },
    { "554 a\xC2\x9B"
      "b\r\n",
      554, NULL, "a b", "" },
    { "554 a\rb\r\n", 554, NULL, "a b", "" },
    { "199 odd\r\n", 199, NULL, "odd", "" },
    { "354 go\r\n", 354, NULL, "go", "" },
    { "25", -1, NULL, NULL, "" },
    { "250-more\r\n", -1, NULL, NULL, "" },
    { "250 more\r", -1, NULL, NULL, "" },
    { "\r\n", 0, NULL, NULL, NULL },
    { "hello\r\n", 0, NULL, NULL, NULL },
    { "600 x\r\n", 0, NULL, NULL, NULL },
    { "050 x\r\n", 0, NULL, NULL, NULL },
    { "2500 x\r\n", 0, NULL, NULL, NULL },
    { "25\r\n", 0, NULL, NULL, NULL },
    { "250_x\r\n", 0, NULL, NULL, NULL },
    { "250-a\r\n251 b\r\n", 0, NULL, NULL, NULL },
    { "250-a\r\nSIZE\r\n250 b\r\n", 0, NULL, NULL, NULL },
};

/* The whole at once, or byte by byte: it is the same reply. */
static enum reply_state feed(struct reply_reader *r, struct bytes in, size_t step, size_t *used)
{
    enum reply_state state = REPLY_MORE;

    reply_begin(r);
    for (*used = 0; *used < in.n && state == REPLY_MORE;) {
        size_t n = 0;

        state = reply_read(r, bytes_head(bytes_from(in, *used), step), &n);
        *used += n;
    }
    return state;
}

static void replies_are_read(void **state)
{
    struct reply_reader r;
    size_t used = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step < 64; step += 62) {
            struct bytes in = bytes_of(rows[i].in);
            enum reply_state got = feed(&r, in, step, &used);

            if (got != (rows[i].code > 0 ? REPLY_DONE : rows[i].code ? REPLY_MORE : REPLY_BROKEN))
                fail_msg("%s: state %d", rows[i].in, (int)got);
            if (rows[i].left)
                assert_bytes(bytes_from(in, used), bytes_of(rows[i].left));
            if (got != REPLY_DONE)
                continue;
            assert_int_equal(r.reply.code, rows[i].code);
            assert_bytes(r.reply.enhanced, bytes_of(rows[i].enhanced));
            assert_bytes(r.reply.text, bytes_of(rows[i].text));
        }
}

static void add_times(struct buf *b, char c, size_t n)
{
    while (n--)
        buf_addc(b, c);
}

static void a_line_is_kept_up_to_its_maximum(void **state)
{
    static const struct {
        size_t length;
        enum reply_state want;
    } lines[] = { { 500, REPLY_DONE },
                  { 4000, REPLY_DONE },
                  { REPLY_LINE_MAX - 1, REPLY_DONE },
                  { REPLY_LINE_MAX + 1, REPLY_BROKEN } };
    struct reply_reader r;
    struct buf in;
    size_t used = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        buf_init(&in, 1 << 20);
        buf_adds(&in, "250 ");
        add_times(&in, 'x', lines[i].length - 4);
        buf_adds(&in, "\r\n");
        assert_int_equal(feed(&r, buf_bytes(&in), 100, &used), lines[i].want);
        assert_true(r.reply.text.n <= REPLY_LINE_KEPT);
        buf_clear(&in);
    }
}

static void a_character_is_not_cut(void **state)
{
    struct reply_reader r;
    struct buf in;
    size_t used = 0;

    (void)state;
    buf_init(&in, 4096);
    buf_adds(&in, "250 ");
    add_times(&in, 'x', REPLY_LINE_KEPT - 6);
    buf_adds(&in, "\xE2\x82\xAC and more\r\n"); /* two of its three bytes would be kept */
    assert_int_equal(feed(&r, buf_bytes(&in), 4096, &used), REPLY_DONE);
    assert_int_equal(r.reply.text.n, REPLY_LINE_KEPT - 6);
    buf_clear(&in);
}

static void all_lines_have_a_maximum(void **state)
{
    struct reply_reader r;
    struct buf in;
    size_t used = 0;

    (void)state;
    for (size_t lines = REPLY_LINES_MAX; lines <= REPLY_LINES_MAX + 1; lines++) {
        buf_init(&in, 1 << 20);
        for (size_t i = 1; i <= lines; i++) {
            buf_adds(&in, i < lines ? "550-5.7.1 \xC3\xA9" : "550 5.7.1 ");
            add_times(&in, 'y', 600);
            buf_adds(&in, "\r\n");
        }
        assert_int_equal(feed(&r, buf_bytes(&in), 333, &used), lines > REPLY_LINES_MAX ? REPLY_BROKEN : REPLY_DONE);
        assert_true(r.reply.text.n <= REPLY_TEXT_MAX && r.reply.text.n > REPLY_TEXT_MAX - 10);
        assert_true(bytes_is_utf8(r.reply.text));
        buf_clear(&in);
    }
}

static void lines_in_one(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    reply_add_flat(BYTES("one\ntwo\n"), &out);
    assert_bytes(buf_bytes(&out), BYTES("one two "));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read),       cmocka_unit_test(a_line_is_kept_up_to_its_maximum),
        cmocka_unit_test(a_character_is_not_cut), cmocka_unit_test(all_lines_have_a_maximum),
        cmocka_unit_test(lines_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
