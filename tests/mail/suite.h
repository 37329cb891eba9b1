/* tests/mail/suite.h - the public suites that tests/mail reads where they lie, and what its tests begin with: an arena
 * for each, crypt_init for a program. */
#ifndef TESTS_MAIL_SUITE_H
#define TESTS_MAIL_SUITE_H
#include "tests/base/check.h"

#include "base/arena.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/params.h"
#include <json-c/json.h>

static inline int arena_setup(void **state)
{
    params_init();
    *state = arena_new(64 << 20);
    return 0;
}

static inline int arena_teardown(void **state)
{
    struct arena *a = *state;

    arena_free(&a);
    params_free();
    return 0;
}

/* For the group of a program whose tests sign, seal or hash. */
static inline int crypt_setup(void **state)
{
    (void)state;
    crypt_init();
    return 0;
}

#define ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)

/* The file of a suite; the test is skipped where the suites are not. */
static inline void suite_read(const char *name, struct buf *out)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", suites_folder(), name);
    if (!read_whole(path, out)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
}

static inline struct json_object *suite_json(const char *name)
{
    char path[512];
    struct json_object *tree = NULL;

    snprintf(path, sizeof path, "%s/%s", suites_folder(), name);
    tree = json_object_from_file(path);
    if (!tree) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    return tree;
}
#endif
