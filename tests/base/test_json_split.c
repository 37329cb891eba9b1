/* The parts of an object or array, as they stand in its text; and what is none. */
#include "base/json_split.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* "key=value|key=value", "!" behind what is wrong. */
static const char *split(const char *text)
{
    static char out[512];
    struct json_split s;
    struct bytes key, value;
    size_t n = 0;

    out[0] = '\0';
    if (json_split_begin(&s, bytes_of(text)))
        while (json_split_next(&s, &key, &value))
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s=%.*s", n ? "|" : "", SHOW(key), SHOW(value));
    snprintf(out + n, sizeof out - n, "%s", s.wrong ? "!" : "");
    return out;
}

static void parts_are_given_as_they_stand(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "{}", "" },
        { " [ ] \r\n", "" },
        { "{\"a\":1}", "a=1" },
        { " { \"a\" : { \"b\" : [ 1, \"}\" ] } , \"c\":null }\n", "a={ \"b\" : [ 1, \"}\" ] }|c=null" },
        { "[1,\"a,]\\\"\",[2,[3]],{}]", "=1|=\"a,]\\\"\"|=[2,[3]]|={}" },
        { "{\"a\\\"b\":\"\\\\\"}", "a\\\"b=\"\\\\\"" },
        /* Not judged here: what is in the parts. */
        { "[01,{a}]", "=01|={a}" },
        { "[\"a\\\\\",\"\\\\\\\"b\"]", "=\"a\\\\\"|=\"\\\\\\\"b\"" },
        { "[\"a\\\"]", "!" },
        { "", "!" },
        { "1", "!" },
        { "\"a\"", "!" },
        { "{", "!" },
        { "[1", "=1!" },
        { "[1,]", "=1!" },
        { "[,1]", "!" },
        { "[1 2]", "=1!" },
        { "[1}", "=1!" },
        { "{\"a\"}", "!" },
        { "{\"a\":}", "!" },
        { "{a:1}", "!" },
        { "{\"a\":1,}", "a=1!" },
        { "{\"a\":1}x", "a=1!" },
        { "{\"a\":\"b", "!" },
        { "{\"a\":[1,2}", "a=[1,2}!" },
        { "[{]},01]", "={]!" },
        { "{\"a\\", "!" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(split(rows[i].text), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(parts_are_given_as_they_stand) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
