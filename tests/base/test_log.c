/* base/log.h: what may leave in a line. */
#include "check.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include <fcntl.h>
#include <unistd.h>

static char line[2 * LOG_LINE_MAX];

/* What the log wrote since the last call. */
static struct bytes written(int fd)
{
    ssize_t n = read(fd, line, sizeof line);

    return (struct bytes){ line, n > 0 ? (size_t)n : 0 };
}

static int start(enum log_format format)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_to(ends[1]);
    log_set(LOG_INFO, format);
    return ends[0];
}

static void a_line_is_logfmt(void **state)
{
    int fd = start(LOG_LOGFMT);
    struct bytes got = NO_BYTES, now = NO_BYTES;
    int64_t at = 0;

    (void)state;
    log_info("smtp", LOG_TEXT("id", "req_1"), LOG_BYTES("rcpt", BYTES("<ana@example.org>")), LOG_TEXT("none", NULL),
             LOG_TEXT("empty", ""), LOG_TEXT("said", "it is \"a=b\""), LOG_INT("ms", -3));
    got = written(fd);
    bytes_cut(got, ' ', &now, &got);
    assert_true(clock_parse_rfc3339(now, &at));
    assert_bytes(got, BYTES("info smtp id=req_1 rcpt=<ana@example.org> empty=\"\" said=\"it is \\\"a=b\\\"\" ms=-3\n"));
}

static void a_line_is_json(void **state)
{
    int fd = start(LOG_JSON);
    struct json_object *tree = NULL;
    struct err e = { 0 };

    (void)state;
    log_warn("api", LOG_BYTES("path", BYTES("/\"\\\n\x01\xFF")), LOG_TEXT("none", NULL), LOG_INT("ms", 3));
    assert_true(json_read(written(fd), &tree, &e));
    assert_bytes(json_text(tree, "level"), BYTES("warn"));
    assert_bytes(json_text(tree, "component"), BYTES("api"));
    assert_bytes(json_text(tree, "path"), BYTES("/\"\\\n\x01\xEF\xBF\xBD"));
    assert_null(json_member(tree, "none"));
    assert_int_equal(json_object_get_int(json_member(tree, "ms")), 3);
    json_object_put(tree);
}

static void nothing_can_forge_a_line(void **state)
{
    static const struct {
        struct bytes value;
        const char *want;
    } rows[] = {
        { BYTES_ROW("a\r\nb"), "\"a\\r\\nb\"" },
        { BYTES_ROW("a\0b"), "\"a\\u0000b\"" },
        { BYTES_ROW("\x1B[31m"), "\"\\u001b[31m\"" },
        { BYTES_ROW("\x7F"), "\"\\u007f\"" },
        { BYTES_ROW("\xC2\x9B"), "\"\\u009b\"" },     /* C1: the one-byte CSI */
        { BYTES_ROW("\xE2\x80\xA8"), "\"\\u2028\"" }, /* line separator */
        { BYTES_ROW("\xE2\x80\xAE"), "\"\\u202e\"" }, /* right-to-left override */
        { BYTES_ROW("\xFF\xC3"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { BYTES_ROW("gr\xC3\xBC\xC3\x9F"), "\"gr\xC3\xBC\xC3\x9F\"" },
        { BYTES_ROW("a\\b"), "\"a\\\\b\"" },
    };
    int fd = start(LOG_LOGFMT);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char want[128];

        log_error("x", LOG_BYTES("v", rows[i].value));
        snprintf(want, sizeof want, " error x v=%s\n", rows[i].want);
        if (!bytes_ends(written(fd), bytes_of(want)))
            fail_msg("row %zu: %s", i, line);
    }
}

static void long_values_and_lines_are_cut(void **state)
{
    int fd = start(LOG_LOGFMT);
    char text[2 * LOG_VALUE_MAX];
    struct log_field fields[20];
    struct bytes got = NO_BYTES;

    (void)state;
    memset(text, '\x01', sizeof text);
    memset(text, 'x', LOG_VALUE_MAX - 1);
    memcpy(text + LOG_VALUE_MAX - 1, "\xC3\xA9", 2); /* would be cut in two */
    log_info("x", LOG_BYTES("v", ((struct bytes){ text, sizeof text })));
    got = written(fd);
    assert_true(bytes_ends(got, BYTES("x…\"\n")));
    assert_true(got.n < LOG_VALUE_MAX + 60);
    for (size_t i = 0; i < COUNT(fields); i++)
        fields[i] = LOG_BYTES("f", ((struct bytes){ text, 400 }));
    log_write(LOG_INFO, "x", fields, COUNT(fields));
    got = written(fd);
    assert_true(got.n <= LOG_LINE_MAX);
    assert_true(bytes_ends(got, BYTES("x cut=true\n")));
    log_set(LOG_INFO, LOG_JSON);
    log_write(LOG_INFO, "x", fields, COUNT(fields));
    assert_true(bytes_ends(written(fd), BYTES("x\",\"cut\":true}\n")));
}

static void levels_below_the_least_are_silent(void **state)
{
    int fd = start(LOG_LOGFMT);

    (void)state;
    log_set(LOG_WARN, LOG_LOGFMT);
    assert_false(log_wants(LOG_INFO));
    log_info("x", LOG_INT("n", 1));
    assert_int_equal(written(fd).n, 0);
    log_warn("x", LOG_INT("n", 1));
    assert_true(written(fd).n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_logfmt),
        cmocka_unit_test(a_line_is_json),
        cmocka_unit_test(nothing_can_forge_a_line),
        cmocka_unit_test(long_values_and_lines_are_cut),
        cmocka_unit_test(levels_below_the_least_are_silent),
    };

    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
