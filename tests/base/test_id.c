/* base/id.h: the TypeID specification, and the order of new ids. */
#include "check.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/id.h"
#include "base/json.h"
#include <pthread.h>

static struct json_object *suite(const char *name)
{
    char path[512];
    struct buf text;
    struct json_object *cases = NULL;
    struct err e = { 0 };

    snprintf(path, sizeof path, "%s/typeid/%s", suites_folder(), name);
    if (!read_whole(path, &text)) {
        print_message("no suite at %s: skipped\n", path);
        skip();
    }
    if (!json_read(buf_bytes(&text), &cases, &e))
        fail_msg("%s: %s", path, e.message);
    buf_clear(&text);
    return cases;
}

static struct id from_uuid(struct bytes uuid)
{
    struct id id = NO_ID;
    char hex[33];
    size_t n = 0;

    for (size_t i = 0; i < uuid.n; i++)
        if (uuid.p[i] != '-' && n < 32)
            hex[n++] = uuid.p[i];
    assert_true(crypt_unhex((struct bytes){ hex, n }, id.b, sizeof id.b));
    return id;
}

static void valid_ones_of_the_suite(void **state)
{
    struct json_object *cases = suite("valid.json");

    (void)state;
    assert_true(json_object_array_length(cases) > 0);
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        struct bytes text = json_text(c, "typeid");
        struct id id, want = from_uuid(json_text(c, "uuid"));
        char prefix[ID_PREFIX + 1], again[ID_TEXT + 1];

        if (!id_parse_any(text, prefix, &id))
            fail_msg("%.*s was refused", SHOW(text));
        assert_true(id_equal(id, want));
        assert_bytes(bytes_of(prefix), json_text(c, "prefix"));
        assert_bytes(id_format(prefix, id, again), text);
        assert_true(id_parse(prefix, text, &id));
        assert_true(id_equal(id, want));
    }
    json_object_put(cases);
}

static void invalid_ones_of_the_suite(void **state)
{
    struct json_object *cases = suite("invalid.json");

    (void)state;
    assert_true(json_object_array_length(cases) > 0);
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct bytes text = json_text(json_object_array_get_idx(cases, i), "typeid");
        char prefix[ID_PREFIX + 1];
        struct id id;

        if (id_parse_any(text, prefix, &id))
            fail_msg("%.*s was taken", SHOW(text));
    }
    json_object_put(cases);
}

static void another_prefix_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "msg_",
                                       "msg",
                                       "dlv_01h455vb4pex5vsknk084sn02q",
                                       "msg_01h455vb4pex5vsknk084sn02",
                                       "msg_01h455vb4pex5vsknk084sn02qq",
                                       "msg-01h455vb4pex5vsknk084sn02q",
                                       "MSG_01h455vb4pex5vsknk084sn02q",
                                       "msg_01H455VB4PEX5VSKNK084SN02Q",
                                       "msg_81h455vb4pex5vsknk084sn02q",
                                       "msg_01h455vb4pex5vsknk084sn02l",
                                       "01h455vb4pex5vsknk084sn02q" };
    struct id id;

    (void)state;
    assert_true(id_parse("msg", BYTES("msg_01h455vb4pex5vsknk084sn02q"), &id));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (id_parse("msg", bytes_of(bad[i]), &id))
            fail_msg("%s was taken", bad[i]);
    assert_false(id_parse("msg", BYTES("msg_01h455vb4pex5vsk\0k084sn02q"), &id));
}

static void new_ids_are_version_7_and_carry_the_time(void **state)
{
    int64_t before = clock_wall();
    struct id id = id_new();

    (void)state;
    assert_int_equal(id.b[6] >> 4, 7);
    assert_int_equal(id.b[8] >> 6, 2);
    assert_true(id_time(id) >= before && id_time(id) <= clock_wall());
    assert_false(id_is_none(id));
    assert_true(id_is_none(NO_ID));
    assert_false(id_equal(id, id_new()));
}

enum { EACH = 20000, THREADS = 4 };

static void *make_many(void *arg)
{
    struct id *ids = arg;

    for (size_t i = 0; i < EACH; i++)
        ids[i] = id_new();
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct id));
}

/* The time and the counter alone differ, so that order does not hang on chance. */
static void new_ids_rise_in_every_thread_and_never_repeat(void **state)
{
    static struct id ids[THREADS][EACH];
    pthread_t threads[THREADS];
    struct id *all = ids[0];

    (void)state;
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, make_many, ids[t]), 0);
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (size_t t = 0; t < THREADS; t++)
        for (size_t i = 1; i < EACH; i++)
            assert_true(memcmp(ids[t][i - 1].b, ids[t][i].b, 8) < 0);
    qsort(all, (size_t)THREADS * EACH, sizeof *all, by_value);
    for (size_t i = 1; i < (size_t)THREADS * EACH; i++)
        assert_true(memcmp(all[i - 1].b, all[i].b, 8) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_ones_of_the_suite),
        cmocka_unit_test(invalid_ones_of_the_suite),
        cmocka_unit_test(another_prefix_is_refused),
        cmocka_unit_test(new_ids_are_version_7_and_carry_the_time),
        cmocka_unit_test(new_ids_rise_in_every_thread_and_never_repeat),
    };

    return cmocka_run_group_tests_name("base/id", tests, NULL, NULL);
}
