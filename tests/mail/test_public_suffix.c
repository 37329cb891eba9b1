/* mail/public_suffix.h on the list's own test cases. */
#include "tests/mail/suite.h"

#include "mail/address.h"
#include "mail/public_suffix.h"

static struct suffixes *list_of_suite(void)
{
    char path[512];
    struct suffixes *list = NULL;
    struct err e = { 0 };

    snprintf(path, sizeof path, "%s/psl/public_suffix_list.dat", suites_folder());
    if (!suffixes_open(path, &list, &e)) {
        print_message("skipped: %s\n", e.message);
        skip();
    }
    return list;
}

/* Every case, whether its domain is in A-labels or U-labels. Three have a dot in front or no name at all: they are no
 * domains (RFC 1034 3.5), which domain_normalize says, and null is what the list wants. */
static void psl(void **state)
{
    struct suffixes *list = list_of_suite();
    struct buf file;
    struct bytes rest, line, domain, want, suffix, registered, normal;
    size_t same = 0, no_domain = 0;

    suite_read("psl/tests.txt", &file);
    rest = buf_bytes(&file);
    while (bytes_cut(rest, '\n', &line, &rest)) {
        struct err e = { 0 };

        line = bytes_trim(line);
        if (!line.n || bytes_starts(line, BYTES("//")) || !bytes_cut(line, ' ', &domain, &want))
            continue;
        registered = NO_BYTES;
        if (domain_normalize(domain, *state, &normal, &e))
            suffixes_find(list, normal, *state, &suffix, &registered);
        else
            no_domain++;
        if (!bytes_equal(want, BYTES("null")))
            assert_true(domain_normalize(want, *state, &want, &e));
        assert_bytes(registered.p ? registered : BYTES("null"), want);
        same++;
    }
    print_message("%zu cases agree, %zu of them no domains\n", same, no_domain);
    assert_in_range(same, 70, 1000);
    assert_in_range(no_domain, 0, 5);
    buf_clear(&file);
    suffixes_close(&list);
}

static void with_the_list_of_the_system(void **state)
{
    static const struct {
        const char *domain, *suffix, *registered;
    } rows[] = {
        { "www.example.co.uk", "co.uk", "example.co.uk" },
        { "co.uk", "co.uk", NULL },
        { "localhost", "localhost", NULL },
        { "[192.0.2.1]", NULL, NULL },
        { "a.no-such-suffix", "no-such-suffix", "a.no-such-suffix" },
    };
    struct suffixes *list = NULL;
    struct err e = { 0 };
    struct bytes suffix, registered;

    assert_true(suffixes_open(NULL, &list, &e));
    for (size_t i = 0; i < COUNT(rows); i++) {
        suffixes_find(list, bytes_of(rows[i].domain), *state, &suffix, &registered);
        assert_bytes(suffix, bytes_of(rows[i].suffix));
        assert_bytes(registered, bytes_of(rows[i].registered));
    }
    suffixes_close(&list);
    assert_null(list);
    assert_false(suffixes_open("/no/such/list", &list, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(psl), ARENA_TEST(with_the_list_of_the_system) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
