/* base/mask.h: what may be shown of a text. */
#include "check.h"

#include "base/err.h"
#include "base/mask.h"

static void secrets_are_known_by_their_shape(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        { "nothing here", "nothing here" },
        { "", "" },
        { "p", "p" },
        { "pr_live_", "pr_live_" },
        { "pr_live_abcd", "pr_live_abcd" }, /* a hint */
        { "pr_live_abcde", "pr_live_abcd*" },
        { "user pr_live_abcdefghijklmnop: no", "user pr_live_abcd***: no" },
        { "PR_TEST_ABCDEFGHIJKLMNOP", "PR_TEST_ABCD***" },
        { "/v1?key=pr%5Flive%5fabcdefgh", "/v1?key=pr%5Flive%5fabcd***" },
        { "<pr_test_abcdefgh@example.test>", "<pr_test_abcd***@example.test>" },
        { "pr_live_abcdefgh pr_test_abcdefgh", "pr_live_abcd*** pr_test_abcd***" },
        { "whsec_MfKQ9r8GKYqrTwjU", "whsec_MfKQ***" },
        { "Authorization: Bearer eyJhbGciOi.x", "Authorization: Bearer ***.x" },
        { "authorization: basic YW5hOng=", "authorization: basic ***" },
        { "The Basic credential is not well formed", "The Basic credential is not well formed" },
        { "mongodb://ana:hunter2@db.test/x", "mongodb://ana:***@db.test/x" },
        { "https://db.test:8025/a@b", "https://db.test:8025/a@b" },
        { "password=hunter2 x", "password=*** x" },
        { "{\"password\":\"hunter2\",\"a\":1}", "{\"password\":\"***\",\"a\":1}" },
        { "{\\\"secret\\\": \\\"hunter2\\\"}", "{\\\"secret\\\": \\\"***\\\"}" },
        { "{\\\"secret\\\":\\\"a\\\\\\\"b c\\\",\\\"d\\\"}", "{\\\"secret\\\":\\\"***\\\",\\\"d\\\"}" },
        { "{\"password\":\"a\\\"b c\",\"d\":1}", "{\"password\":\"***\",\"d\":1}" },
        { "password=ab,cd;e(f)[g]{h}<i> x", "password=*** x" },
        { "password=\\ab x", "password=*** x" },
        { "password='a b, c' x", "password='***' x" },
        { "password=\"a b", "password=\"***" },
        { "password=\"\" x", "password=\"\" x" },
        { "mongodb://ana:hun,ter'2(@db.test,db2.test/x", "mongodb://ana:***@db.test,db2.test/x" },
        { "api_key: a&b", "api_key: *&b" },
        { "Wrong user or password", "Wrong user or password" },
        { "password: ", "password: " },
        /* each of what is known, at the very start and behind a beginning of another */
        { "passwd=x", "passwd=*" },
        { "passphrase=x", "passphrase=*" },
        { "secret=x", "secret=*" },
        { "token=x", "token=*" },
        { "apikey=x", "apikey=*" },
        { "api-key=x", "api-key=*" },
        { "BEARER a1b2", "BEARER ***" },
        { "appassword=x", "appassword=*" },
        { "to:token=x", "to:token=*" },
        { "WHSEC_abcdefgh", "WHSEC_abcd***" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200];
        size_t n = (size_t)snprintf(text, sizeof text, "%s", rows[i].in);

        assert_int_equal(mask_wanted(bytes_of(text)), strcmp(rows[i].in, rows[i].want) != 0);
        text[mask_text(text, n)] = '\0';
        assert_string_equal(text, rows[i].want);
    }
}

static void a_key_is_known(void **state)
{
    (void)state;
    assert_true(mask_is_key(BYTES("pr_live_x")));
    assert_true(mask_is_key(BYTES("PR_TEST_abc")));
    assert_false(mask_is_key(BYTES("ana@a.test")));
    assert_false(mask_is_key(BYTES("pr_live")));
    assert_false(mask_is_key(BYTES("apikey")));
    assert_false(mask_is_key(NO_BYTES));
}

static void no_error_holds_one(void **state)
{
    struct err e = { 0 };

    (void)state;
    err_set(&e, ERR_INVALID, "No setting \"%s\"", "pr_live_abcdefghijkl");
    assert_string_equal(e.message, "No setting \"pr_live_abcd***\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_known_by_their_shape),
        cmocka_unit_test(a_key_is_known),
        cmocka_unit_test(no_error_holds_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
