/* base/json.h: what is refused, what comes back unchanged, and how long it takes. */
#include "check.h"

#include "base/clock.h"
#include "base/json.h"
#include <dirent.h>

static bool good(struct bytes text)
{
    struct json_object *tree = NULL;
    struct err e = { 0 };

    if (!json_read(text, &tree, &e))
        return false;
    json_object_put(tree);
    return true;
}

static void what_json_is(void **state)
{
    const struct bytes rows[] = {
        BYTES("null"),
        BYTES("true"),
        BYTES(" false "),
        BYTES("0"),
        BYTES("-0"),
        BYTES("12"),
        BYTES("\"\""),
        BYTES("[]"),
        BYTES("{}"),
        BYTES("[ ]"),
        BYTES("{ }"),
        BYTES("\t\r\n [1 , 2]\n"),
        BYTES("{\"\":0}"),
        BYTES("[[],{}]"),
        BYTES("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}"),
        BYTES("1.5e+10"),
        BYTES("1E-2"),
        BYTES("0.0"),
        BYTES("\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
        BYTES("\"\\u0000\""),
        BYTES("\"\x7F\""),
        BYTES("\"\xF4\x8F\xBF\xBF\""),
        BYTES("9223372036854775807"),
        BYTES("-9223372036854775808"),
        BYTES("1e308"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!good(rows[i]))
            fail_msg("refused: %.*s", SHOW(rows[i]));
}

static const struct bytes no_json[] = {
    BYTES_ROW(""),
    BYTES_ROW(" "),
    BYTES_ROW("nul"),
    BYTES_ROW("nullx"),
    BYTES_ROW("True"),
    BYTES_ROW("NaN"),
    BYTES_ROW("Infinity"),
    BYTES_ROW("-Infinity"),
    BYTES_ROW("[NaN]"),
    BYTES_ROW("01"),
    BYTES_ROW("-01"),
    BYTES_ROW("+1"),
    BYTES_ROW(".5"),
    BYTES_ROW("1."),
    BYTES_ROW("1.e1"),
    BYTES_ROW("1e"),
    BYTES_ROW("1e+"),
    BYTES_ROW("-"),
    BYTES_ROW("0x10"),
    BYTES_ROW("1 2"),
    BYTES_ROW("1,"),
    BYTES_ROW("[1,]"),
    BYTES_ROW("[,1]"),
    BYTES_ROW("[1 2]"),
    BYTES_ROW("["),
    BYTES_ROW("]"),
    BYTES_ROW("{"),
    BYTES_ROW("}"),
    BYTES_ROW("[}"),
    BYTES_ROW("{]"),
    BYTES_ROW("[1}"),
    BYTES_ROW("{\"a\":1]"),
    BYTES_ROW("{\"a\"}"),
    BYTES_ROW("{\"a\":}"),
    BYTES_ROW("{\"a\":1,}"),
    BYTES_ROW("{,\"a\":1}"),
    BYTES_ROW("{a:1}"),
    BYTES_ROW("{'a':1}"),
    BYTES_ROW("'a'"),
    BYTES_ROW("{1:1}"),
    BYTES_ROW("\"a"),
    BYTES_ROW("\"\n\""),
    BYTES_ROW("\"\0\""),
    BYTES_ROW("\"\\x41\""),
    BYTES_ROW("\"\\"),
    BYTES_ROW("\"\\u12\""),
    BYTES_ROW("\"\\u12g4\""),
    BYTES_ROW("\"\\ud800\""),
    BYTES_ROW("\"\\udc00\""),
    BYTES_ROW("\"\\ud800\\ud800\""),
    BYTES_ROW("\"\\ud800x\""),
    BYTES_ROW("\"\\ud800\\n\""),
    BYTES_ROW("\"\xFF\""),
    BYTES_ROW("\"\xED\xA0\x80\""),
    BYTES_ROW("\"\xC3\""),
    BYTES_ROW("\xEF\xBB\xBF{}"),
    BYTES_ROW("// x\n1"),
    BYTES_ROW("/* x */ 1"),
    BYTES_ROW("1 /* x */"),
    BYTES_ROW("[1]\0"),
    BYTES_ROW("\v1"),
    BYTES_ROW("\f1"),
    BYTES_ROW("\xC2\xA0"
              "1"),
    BYTES_ROW("9223372036854775808"),
    BYTES_ROW("-9223372036854775809"),
    BYTES_ROW("1e309"),
    BYTES_ROW("[1e999999]"),
    BYTES_ROW("{\"a\":1,\"a\":1}"),
    BYTES_ROW("{\"a\":1,\"b\":2,\"\\u0061\":3}"),
    BYTES_ROW("{\"a\\u0000b\":1}"),
    BYTES_ROW("{\"a\":[{\"x\":1}],\"b\":{\"x\":1,\"x\":2}}"),
};

static void what_json_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(no_json); i++) {
        struct json_object *tree = NULL;
        struct err e = { 0 };

        if (json_read(no_json[i], &tree, &e))
            fail_msg("taken: %.*s", SHOW(no_json[i]));
        assert_int_equal(e.code, ERR_BAD_JSON);
    }
    assert_false(good(NO_BYTES));
}

static void an_error_names_the_place(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_false(json_check(BYTES("{\"a\":1, \"a\":2}"), SIZE_MAX, &e));
    assert_string_equal(e.message, "Invalid JSON at offset 8: duplicate key");
    assert_false(json_check(BYTES("[\"\\ud800\"]"), SIZE_MAX, &e));
    assert_string_equal(e.message, "Invalid JSON at offset 2: lone surrogate");
    assert_false(json_check(BYTES("[1] x"), SIZE_MAX, &e));
    assert_string_equal(e.message, "Invalid JSON at offset 4: text behind the value");
}

static void values_are_counted(void **state)
{
    struct bytes five = BYTES("{\"a\":[1,{}],\"b\":\"[1,2,3]\"}");
    struct json_object *tree = NULL;
    struct err e = { 0 };

    (void)state;
    assert_true(json_check(five, 5, &e));
    assert_false(json_read_most(five, 4, &tree, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(tree);
}

/* A shape of letters for a test: "o" has a member "a" of the shape "l", and any other stands as null; "l" has two items
 * of the shape "o"; nothing else has anything in it. */
static bool member_of(const void *in, struct bytes name, const void **shape)
{
    *shape = bytes_equal(name, BYTES("a")) ? "l" : NULL;
    return *(const char *)in == 'o';
}

static bool item_of(const void *in, size_t index, const void **shape)
{
    *shape = "o";
    return *(const char *)in == 'l' && index < 2;
}

static void only_what_has_a_shape_is_kept(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: no JSON */
    } rows[] = {
        { "{\"a\":[1,2,3]}", "{\"a\":[1,2]}" },
        { "{\"a\":[{\"a\":[]},{\"b\":[[[1]]]},{\"a\":1}]}", "{\"a\":[{\"a\":[]},{\"b\":null}]}" },
        { "{\"b\":{\"a\":[1]},\"a\":\"x\"}", "{\"b\":null,\"a\":\"x\"}" },
        { "{\"a\":{\"a\":1,\"b\":[]}}", "{\"a\":{}}" },
        { "[[1,2],{\"a\":1}]", "[]" },
        { "[1,\"\\u0041\",1e999]", NULL },
        { "{\"b\":{\"a\":1,\"a\":1}}", NULL },
        { "{\"b\":\"\\ud800\"}", NULL },
        { "7", "7" },
    };
    struct json_shape shape = { "o", member_of, item_of };
    struct arena *a = arena_new(64 * 1024);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_object *tree = NULL;
        struct err e = { 0 };
        bool good = json_read_shape(bytes_of(rows[i].in), 100, &shape, &tree, &e);

        assert_int_equal(good, rows[i].out != NULL);
        if (good)
            assert_bytes(json_tree_text(a, tree), bytes_of(rows[i].out));
        json_object_put(tree);
    }
    arena_free(&a);
}

static void nested(struct buf *out, size_t depth, const char *inside)
{
    buf_init(out, 1 << 20);
    for (size_t i = 0; i < depth; i++)
        buf_addc(out, '[');
    buf_adds(out, inside);
    for (size_t i = 0; i < depth; i++)
        buf_addc(out, ']');
}

static void depth_has_a_limit(void **state)
{
    struct buf text;

    (void)state;
    nested(&text, JSON_DEPTH_MAX, "{}");
    assert_false(good(buf_bytes(&text)));
    buf_clear(&text);
    nested(&text, JSON_DEPTH_MAX, "1");
    assert_true(good(buf_bytes(&text)));
    buf_clear(&text);
    nested(&text, JSON_DEPTH_MAX, "");
    assert_true(good(buf_bytes(&text)));
    buf_clear(&text);
    nested(&text, JSON_DEPTH_MAX + 1, "");
    assert_false(good(buf_bytes(&text)));
    buf_clear(&text);
}

/* Milliseconds of CPU of this thread: others may be busy too. */
static int64_t worked(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Each of these took a careless reader minutes or a stack. */
static void hostile_texts_are_answered_fast(void **state)
{
    int64_t before = worked();
    struct buf text;

    (void)state;
    nested(&text, 100000, "");
    assert_false(good(buf_bytes(&text)));
    buf_clear(&text);
    assert_false(good(BYTES("1e999999")));
    buf_init(&text, 64 << 20);
    for (size_t i = 0; i < 1000000; i++)
        buf_addc(&text, '9');
    assert_false(good(buf_bytes(&text)));
    buf_reset(&text);
    buf_addc(&text, '{');
    for (size_t i = 0; i < 100000; i++)
        buf_addf(&text, "%s\"key%zu\":%zu", i ? "," : "", i, i);
    buf_addc(&text, '}');
    assert_true(good(buf_bytes(&text)));
    text.n--;
    buf_adds(&text, ",\"key0\":0}");
    assert_false(good(buf_bytes(&text)));
    buf_reset(&text);
    buf_addc(&text, '[');
    for (size_t i = 0; i <= JSON_KEYS_MAX; i++)
        buf_adds(&text, "{\"\":0},");
    buf_adds(&text, "0]");
    assert_false(good(buf_bytes(&text)));
    buf_clear(&text);
    assert_true(worked() - before < 5000);
}

/* Writes the tree and asks that the same text comes out, blanks aside. */
static void comes_back(struct bytes text, struct json_object *tree, const char *name)
{
    struct buf out;
    struct jw w;

    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    jw_tree(&w, tree);
    if (!bytes_equal(buf_bytes(&out), bytes_trim(text)))
        fail_msg("%s: \"%.*s\" came back as \"%.*s\"", name, SHOW(text), SHOW(buf_bytes(&out)));
    buf_clear(&out);
}

static void what_is_accepted_is_never_changed(void **state)
{
    const struct bytes rows[] = {
        BYTES("[1.0,1e6,1.000000000000000005,1e-999,-1.50,0.1E+3]"),
        BYTES("{\"b\":1,\"a\":2}"),
        BYTES("[\"a/b\",\"\xC3\xA9\",\"\\u0000\",\"\\n\\\"\\\\\"]"),
        BYTES("[null,true,false,[],{},\"\"]"),
        BYTES("[9223372036854775807,-9223372036854775808]"),
        BYTES("{\"\xC3\xA9\":\"NFC\",\"e\xCC\x81\":\"NFD\"}"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_object *tree = NULL;
        struct err e = { 0 };

        assert_true(json_read(rows[i], &tree, &e));
        comes_back(rows[i], tree, "row");
        json_object_put(tree);
    }
}

/* The suite has no expectations of its own. Ours: these are refused, all others come back as they were. */
static bool is_refused(const char *name)
{
    static const char *const refused[] = { "number_-9223372036854775809", "number_9223372036854775808",
                                           "number_10000000000000000999", "object_same_key", "invalid_codepoint" };

    for (size_t i = 0; i < COUNT(refused); i++)
        if (strstr(name, refused[i]))
            return true;
    return false;
}

static void one_of_the_suite(const char *folder, const char *name)
{
    char path[1024];
    struct buf text;
    struct json_object *tree = NULL;
    struct err e = { 0 };
    bool read = false;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(read_whole(path, &text));
    read = json_read(buf_bytes(&text), &tree, &e);
    if (read == is_refused(name))
        fail_msg("%s was %s: %s", name, read ? "taken" : "refused", e.message);
    if (read)
        comes_back(buf_bytes(&text), tree, name);
    json_object_put(tree);
    buf_clear(&text);
}

static void the_suite_of_odd_texts(void **state)
{
    char folder[512];
    DIR *dir = NULL;
    size_t n = 0;

    (void)state;
    snprintf(folder, sizeof folder, "%s/json-transform", suites_folder());
    dir = opendir(folder);
    if (!dir) {
        print_message("no suite at %s: skipped\n", folder);
        skip();
    }
    for (struct dirent *d = readdir(dir); d; d = readdir(dir))
        if (bytes_ends(bytes_of(d->d_name), BYTES(".json"))) {
            one_of_the_suite(folder, d->d_name);
            n++;
        }
    closedir(dir);
    assert_true(n > 0);
}

static void members_are_found(void **state)
{
    struct arena *a = arena_new(1 << 16);
    struct json_object *tree = NULL;
    struct err e = { 0 };
    struct bytes *texts = NULL;
    size_t n = 0;

    (void)state;
    assert_true(json_read(BYTES("{\"a\":\"x\\u0000y\",\"n\":null,\"i\":1,\"l\":[\"p\",2,\"q\"]}"), &tree, &e));
    assert_bytes(json_text(tree, "a"), BYTES("x\0y"));
    assert_null(json_text(tree, "n").p);
    assert_null(json_text(tree, "i").p);
    assert_null(json_text(tree, "zz").p);
    assert_null(json_member(tree, "n"));
    assert_null(json_member(NULL, "n"));
    assert_null(json_member(json_member(tree, "i"), "n"));
    texts = json_texts(a, json_member(tree, "l"), &n);
    assert_int_equal(n, 3);
    assert_bytes(texts[0], BYTES("p"));
    assert_null(texts[1].p);
    assert_bytes(texts[2], BYTES("q"));
    json_texts(a, json_member(tree, "zz"), &n);
    assert_int_equal(n, 0);
    json_object_put(tree);
    arena_free(&a);
}

static void answers_are_written(void **state)
{
    struct buf out;
    struct jw w;
    struct id id = { { 1 } };

    (void)state;
    buf_init(&out, 1 << 16);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "t",
                BYTES("a\"\\\b\f\n\r\t\x01\0/\x7F\xC3\xA9\xFF\xC3"
                      "b"));
    jw_key_text(&w, "none", NO_BYTES);
    jw_key_text(&w, "empty", BYTES(""));
    jw_key_int(&w, "i", INT64_MIN);
    jw_key_bool(&w, "b", true);
    jw_key_time(&w, "at", 1000);
    jw_key_time(&w, "never", 0);
    jw_key_id(&w, "id", "msg", id);
    jw_key_id(&w, "no", "msg", NO_ID);
    jw_key_raw(&w, "raw", BYTES("[1]"));
    jw_key(&w, "list");
    jw_array(&w);
    jw_object(&w);
    jw_object_end(&w);
    jw_array(&w);
    jw_array_end(&w);
    jw_null(&w);
    jw_array_end(&w);
    jw_object_end(&w);
    assert_bytes(buf_bytes(&out),
                 BYTES("{\"t\":\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u0000/\x7F\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD"
                       "b\",\"none\":null,"
                       "\"empty\":\"\",\"i\":-9223372036854775808,\"b\":true,\"at\":\"1970-01-01T00:00:01.000Z\","
                       "\"never\":null,\"id\":\"msg_01000000000000000000000000\",\"no\":null,\"raw\":[1],"
                       "\"list\":[{},[],null]}"));
    assert_true(good(buf_bytes(&out)));
    buf_clear(&out);
}

static void a_tree_of_ours_comes_out_valid(void **state)
{
    struct json_object *tree = json_object_new_string_len("a\xFF", 2);
    struct buf out;
    struct jw w;

    (void)state;
    buf_init(&out, 100);
    jw_init(&w, &out);
    jw_array(&w);
    jw_tree(&w, tree);
    jw_tree(&w, NULL);
    jw_array_end(&w);
    assert_bytes(buf_bytes(&out), BYTES("[\"a\xEF\xBF\xBD\",null]"));
    json_object_put(tree);
    buf_clear(&out);
}

static void parts_stand_as_they_were_written(void **state)
{
    static const struct {
        const char *object, *name, *want;
    } rows[] = {
        { "{\"from\":{\"email\":\"a@b\"},\"to\":[{\"email\":\"x,}]\"},{}],\"n\":null,\"i\":12}", "from",
          "{\"email\":\"a@b\"}" },
        { "{\"from\":{\"email\":\"a@b\"},\"to\":[{\"email\":\"x,}]\"},{}],\"n\":null}", "to",
          "[{\"email\":\"x,}]\"},{}]" },
        { "{\"a\":\"\\\\\",\"b\":\"\\\",\\\"c\\\":1\",\"c\":true}", "b", "\"\\\",\\\"c\\\":1\"" },
        { "{\"a\":\"\\\\\",\"b\":\"\\\",\\\"c\\\":1\",\"c\":true}", "c", "true" },
        { "{\"a\":{\"b\":1},\"b\":2}", "b", "2" },
        { "{\"a\":{\"b\":1}}", "b", NULL },
        { "{\"a\":null}", "a", NULL },
        { "{}", "a", NULL },
        { "", "a", NULL },
        { "{\"a", "a", NULL },
        { "{\"a\":", "b", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_bytes(json_part(bytes_of(rows[i].object), rows[i].name), bytes_of(rows[i].want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_is),
        cmocka_unit_test(what_json_is_not),
        cmocka_unit_test(an_error_names_the_place),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(hostile_texts_are_answered_fast),
        cmocka_unit_test(what_is_accepted_is_never_changed),
        cmocka_unit_test(the_suite_of_odd_texts),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(only_what_has_a_shape_is_kept),
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(parts_stand_as_they_were_written),
        cmocka_unit_test(answers_are_written),
        cmocka_unit_test(a_tree_of_ours_comes_out_valid),
    };

    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
