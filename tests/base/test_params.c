/* base/params.h: values, bounds, sources, and who is told. */
#include "check.h"

#include "base/param_value.h"

static const struct param_row count = { "t.count", PARAM_TYPE_INT, "1", "-5", "10", PARAM_LIVE, "" };
static const struct param_row size = { "t.size", PARAM_TYPE_SIZE, "1M", "64K", "1G", PARAM_LIVE, "" };
static const struct param_row wait = { "t.wait", PARAM_TYPE_DURATION, "90s", "1s", "3d", PARAM_LIVE, "" };
static const struct param_row on = { "t.on", PARAM_TYPE_BOOL, "true", "", "", PARAM_LIVE, "" };
static const struct param_row name = { "t.name", PARAM_TYPE_TEXT, "x", "1", "5", PARAM_LIVE, "" };
static const struct param_row way = { "t.way", PARAM_TYPE_CHOICE, "off", "off|may|must", "", PARAM_LIVE, "" };
static const struct param_row list = { "t.list", PARAM_TYPE_LIST, "a,b", "0", "20", PARAM_LIVE, "" };
static const struct param_row open_end = { "t.open", PARAM_TYPE_INT, "0", "0", "", PARAM_LIVE, "" };

static void values_are_read(void **state)
{
    static const struct {
        const struct param_row *row;
        const char *given, *shown;
        int64_t number;
    } rows[] = {
        { &count, "10", "10", 10 },
        { &count, "-5", "-5", -5 },
        { &count, "+3", "3", 3 },
        { &size, "64K", "65536", 65536 },
        { &size, "65536", "65536", 65536 },
        { &size, "25m", "26214400", 26214400 },
        { &size, "1G", "1073741824", 1 << 30 },
        { &size, "70000B", "70000", 70000 },
        { &wait, "90s", "90", 90000 },
        { &wait, "90", "90", 90000 },
        { &wait, "10m", "600", 600000 },
        { &wait, "72h", "259200", 259200000 },
        { &wait, "3d", "259200", 259200000 },
        { &on, "on", "true", 1 },
        { &on, "1", "true", 1 },
        { &on, "TRUE", "true", 1 },
        { &on, "off", "false", 0 },
        { &on, "0", "false", 0 },
        { &on, "false", "false", 0 },
        { &name,
          "gr\xC3\xBC"
          "n",
          "gr\xC3\xBC"
          "n",
          0 },
        { &way, "may", "may", 0 },
        { &list, " a , b,c ", "a,b,c", 0 },
        { &list, "", "", 0 },
        { &open_end, "9000000000", "9000000000", 9000000000 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct param_value v;
        struct err e = { 0 };

        if (!param_value_read(rows[i].row, bytes_of(rows[i].given), &v, &e))
            fail_msg("%s", e.message);
        assert_bytes(v.text, bytes_of(rows[i].shown));
        assert_true(v.number == rows[i].number);
    }
}

static void bad_values_are_refused(void **state)
{
    const struct {
        const struct param_row *row;
        struct bytes given;
        const char *message;
    } rows[] = {
        { &count, BYTES("11"), "t.count: a whole number from -5 to 10 is wanted, not \"11\"" },
        { &count, BYTES("-6"), NULL },
        { &count, BYTES(""), NULL },
        { &count, BYTES("3x"), NULL },
        { &count, BYTES("1K"), NULL },
        { &size, BYTES("63K"), "t.size: a size like 64K or 25M from 64K to 1G is wanted, not \"63K\"" },
        { &size, BYTES("2G"), NULL },
        { &size, BYTES("-64K"), NULL },
        { &size, BYTES("1KB"), NULL },
        { &size, BYTES("M"), NULL },
        { &size, BYTES("9223372036854775807T"), NULL },
        { &wait, BYTES("0"), "t.wait: a duration like 90s, 10m or 3d from 1s to 3d is wanted, not \"0\"" },
        { &wait, BYTES("4d"), NULL },
        { &wait, BYTES("9223372036854775807"), NULL },
        { &wait, BYTES("1.5h"), NULL },
        { &on, BYTES("maybe"), "t.on: true or false is wanted, not \"maybe\"" },
        { &name, BYTES(""), "t.name: a text of a length from 1 to 5 is wanted, not \"\"" },
        { &name, BYTES("123456"), NULL },
        { &name, BYTES("a\nb"), "t.name: a text of a length from 1 to 5 is wanted, not \"(not printable)\"" },
        { &name, BYTES("a\0b"), NULL },
        { &name, BYTES("\xFF"), NULL },
        { &way, BYTES("mus"), "t.way: one of off|may|must is wanted, not \"mus\"" },
        { &way, BYTES(""), NULL },
        { &way, BYTES("off|may"), NULL },
        { &list, BYTES("a,,b"), NULL },
        { &list, BYTES("a,"), NULL },
        { &list, BYTES(",a"), NULL },
        { &list, BYTES("aaaaaaaaaa,bbbbbbbbbbb"), NULL },
        { &open_end, BYTES("-1"), "t.open: a whole number, at least 0, is wanted, not \"-1\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct param_value v;
        struct err e = { 0 };

        if (param_value_read(rows[i].row, rows[i].given, &v, &e))
            fail_msg("%s=%.*s was taken", rows[i].row->name, SHOW(rows[i].given));
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(bytes_starts(bytes_of(e.message), bytes_of(rows[i].row->name)));
        if (rows[i].message)
            assert_string_equal(e.message, rows[i].message);
    }
}

static void set(enum param p, enum param_source from, const char *value)
{
    struct err e = { 0 };

    if (!param_set(p, from, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static void the_highest_source_is_in_force(void **state)
{
    (void)state;
    params_init();
    assert_int_equal(PARAM_INT(server, grace), 20000);
    assert_int_equal(param_source(PARAM_server_grace), PARAM_FROM_DEFAULT);
    set(PARAM_server_grace, PARAM_FROM_ENV, "30s");
    assert_int_equal(PARAM_INT(server, grace), 30000);
    set(PARAM_server_grace, PARAM_FROM_STORE, "25s"); /* kept, not in force */
    assert_int_equal(PARAM_INT(server, grace), 30000);
    assert_int_equal(param_source(PARAM_server_grace), PARAM_FROM_ENV);
    set(PARAM_server_grace, PARAM_FROM_ENV, NULL);
    assert_int_equal(PARAM_INT(server, grace), 25000);
    assert_int_equal(param_source(PARAM_server_grace), PARAM_FROM_STORE);
    set(PARAM_server_grace, PARAM_FROM_STORE, NULL);
    assert_int_equal(PARAM_INT(server, grace), 20000);
}

static void a_refused_value_changes_nothing(void **state)
{
    struct err e = { 0 };

    (void)state;
    params_init();
    assert_false(param_check(PARAM_log_level, BYTES("loud"), &e));
    assert_true(param_check(PARAM_log_level, BYTES("debug"), &e));
    assert_false(param_set(PARAM_log_level, PARAM_FROM_FLAG, BYTES("loud"), &e));
    assert_bytes(PARAM_TEXT(log, level), BYTES("info"));
    assert_int_equal(param_source(PARAM_log_level), PARAM_FROM_DEFAULT);
}

static void a_text_stays_valid_when_it_changes(void **state)
{
    struct bytes before = NO_BYTES;

    (void)state;
    params_init();
    before = PARAM_TEXT(server, hostname);
    set(PARAM_server_hostname, PARAM_FROM_STORE, "mx.example.org");
    assert_bytes(before, BYTES("localhost"));
    assert_bytes(PARAM_TEXT(server, hostname), BYTES("mx.example.org"));
    set(PARAM_server_hostname, PARAM_FROM_STORE, "localhost");
    assert_ptr_equal(PARAM_TEXT(server, hostname).p, before.p); /* to and fro costs no memory */
}

static void the_environment_is_read(void **state)
{
    struct err e = { 0 };
    char env[PARAM_ENV_NAME];

    (void)state;
    params_init();
    param_env_name(PARAM_server_node_name, env);
    assert_string_equal(env, "POSTRIDER_SERVER_NODE_NAME");
    setenv(env, "n1", 1);
    setenv("POSTRIDER_LOG_LEVEL", "warn", 1);
    assert_true(params_from_env(&e));
    assert_bytes(PARAM_TEXT(server, node_name), BYTES("n1"));
    assert_bytes(PARAM_TEXT(log, level), BYTES("warn"));
    assert_int_equal(param_source(PARAM_log_level), PARAM_FROM_ENV);
    setenv("POSTRIDER_LOG_LEVEL", "loud", 1);
    assert_false(params_from_env(&e));
    assert_non_null(strstr(e.message, "log.level"));
    unsetenv("POSTRIDER_LOG_LEVEL");
    unsetenv(env);
}

static void count_call(enum param p, void *ctx)
{
    int *calls = ctx;

    assert_int_equal(p, PARAM_log_level);
    (*calls)++;
}

static void watchers_hear_of_changes_in_force(void **state)
{
    int one = 0, all = 0, second = 0;

    (void)state;
    params_init();
    param_on_change(PARAM_log_level, count_call, &one);
    param_on_change(PARAMS, count_call, &all);
    param_on_change(PARAM_log_level, count_call, &second);
    param_on_change(PARAM_log_level, count_call, &one); /* once more is once */
    set(PARAM_log_level, PARAM_FROM_ENV, "debug");
    set(PARAM_log_level, PARAM_FROM_ENV, "debug");
    set(PARAM_log_level, PARAM_FROM_STORE, "error");
    assert_int_equal(one, 1);
    assert_int_equal(all, 1);
    assert_int_equal(second, 1);
    set(PARAM_log_level, PARAM_FROM_ENV, NULL);
    assert_int_equal(one, 2);
    assert_int_equal(all, 2);
    assert_int_equal(second, 2);
    params_init(); /* forgets them */
    set(PARAM_log_level, PARAM_FROM_ENV, "debug");
    assert_int_equal(one + all + second, 6);
}

static void some_wait_for_a_restart(void **state)
{
    (void)state;
    params_init();
    set(PARAM_server_node_name, PARAM_FROM_FILE, "a");
    params_started();
    set(PARAM_server_node_name, PARAM_FROM_ENV, "b");
    set(PARAM_server_hostname, PARAM_FROM_STORE, "live.example");
    assert_bytes(PARAM_TEXT(server, node_name), BYTES("a"));
    assert_int_equal(param_source(PARAM_server_node_name), PARAM_FROM_FILE);
    assert_true(param_waits(PARAM_server_node_name));
    assert_bytes(PARAM_TEXT(server, hostname), BYTES("live.example"));
    assert_false(param_waits(PARAM_server_hostname));
    set(PARAM_server_node_name, PARAM_FROM_ENV, NULL);
    assert_false(param_waits(PARAM_server_node_name));
}

static void rows_are_found_and_shown(void **state)
{
    struct arena *a = arena_new(1 << 16);
    enum param p = PARAMS;

    (void)state;
    params_init();
    assert_true(param_find(BYTES("server.grace"), &p));
    assert_int_equal(p, PARAM_server_grace);
    assert_false(param_find(BYTES("server.gracee"), &p));
    set(p, PARAM_FROM_FLAG, "2m");
    assert_bytes(param_show(p, a), BYTES("120"));
    assert_bytes(param_show_default(p, a), BYTES("20"));
    assert_string_equal(param_row(p)->standard, "20s");
    for (p = 0; p < PARAMS; p++) { /* what is shown is read again, and every row says what it is for */
        struct err e = { 0 };

        assert_true(param_check(p, param_show(p, a), &e));
        assert_true(strlen(param_row(p)->text) > 10);
    }
    arena_free(&a);
}

static int stop(void **state)
{
    (void)state;
    params_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(the_highest_source_is_in_force),
        cmocka_unit_test(a_refused_value_changes_nothing),
        cmocka_unit_test(a_text_stays_valid_when_it_changes),
        cmocka_unit_test(the_environment_is_read),
        cmocka_unit_test(watchers_hear_of_changes_in_force),
        cmocka_unit_test(some_wait_for_a_restart),
        cmocka_unit_test(rows_are_found_and_shown),
    };

    return cmocka_run_group_tests_name("base/params", tests, NULL, stop);
}
