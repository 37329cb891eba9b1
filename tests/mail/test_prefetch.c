/* mail/prefetch.h: who is taken for a machine by the shipped rules and by own ones, and which files are refused. */
#include "tests/mail/suite.h"

#include "mail/rules.h"

static const char *found(const struct rules *r, const char *agent, const char *address)
{
    struct network from;
    bool known = network_parse_address(bytes_of(address), &from);
    const struct prefetcher *p = rules_prefetcher(r, bytes_of(agent), known ? &from : NULL);

    return p ? p->name.p : NULL;
}

static void the_shipped_ones(void **state)
{
    static const struct {
        const char *agent, *address, *want; /* NULL: a reader */
    } rows[] = {
        { "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "198.51.100.7", NULL },
        { "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
          "198.51.100.7", NULL },
        { "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "66.249.84.1",
          NULL },
        { "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "198.51.100.7", NULL },
        { "Mozilla/5.0 (Windows NT 10.0) Outlook/16.0", "", NULL },
        { "Mozilla/5.0", "198.51.100.7", "apple-privacy" },
        { "mozilla/5.0", "", "apple-privacy" },
        { "Mozilla/5.0 (Macintosh)", "17.58.1.2", "apple" },
        { "Mozilla/5.0 (Macintosh)", "::ffff:17.58.1.2", "apple" },
        { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
          "Safari/537.36 Edge/12.246 Mozilla/5.0",
          "66.249.84.1", "gmail-ahead" },
        { "Mozilla/5.0 (Windows NT 10.0) Chrome/120.0", "40.94.1.2", "microsoft-filter" },
        { "", "198.51.100.7", "unnamed" },
        { "curl/8.5.0", "198.51.100.7", "library" },
        { "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", "robot" },
        { "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0", "", "headless" },
        { "Mozilla/5.0 (Windows NT 10.0) Robotics/1.0", "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *got = found(rules_shipped(), rows[i].agent, rows[i].address);

        if (!got != !rows[i].want || (got && strcmp(got, rows[i].want) != 0))
            fail_msg("%s from %s: %s instead of %s", rows[i].agent, rows[i].address, got ? got : "a reader",
                     rows[i].want ? rows[i].want : "a reader");
    }
}

static struct rules *own(const char *text, size_t *line, struct err *e)
{
    struct rules *r = NULL;

    return rules_read(bytes_of(text), &r, line, e) ? r : NULL;
}

static void own_ones_come_first(void **state)
{
    struct err e = { 0 };
    size_t line;
    struct rules *r = own(
        "{\"prefetchers\": [{\"name\": \"gate\", \"agents\": [\"Gate/*\", \"a*b*c\"], \"networks\": [\"192.0.2.0/24\", "
        "\"2001:db8::/32\"]}, {\"name\": \"ours\", \"agents\": [\"curl/*\"]}]}",
        &line, &e);

    (void)state;
    assert_non_null(r);
    assert_string_equal(found(r, "gate/1.0", "192.0.2.9"), "gate");
    assert_string_equal(found(r, "aXXbbYYc", "2001:db8::1"), "gate");
    assert_null(found(r, "aXXbbYYcd", "2001:db8::1"));
    assert_null(found(r, "Gate/1.0", "192.0.3.9"));
    assert_null(found(r, "Gate/1.0", ""));
    assert_string_equal(found(r, "curl/8", ""), "ours");
    assert_string_equal(found(r, "Wget/1", ""), "library");
    rules_free(&r);
}

static void files_that_are_refused(void **state)
{
    static const struct {
        const char *text, *why;
        size_t line;
    } rows[] = {
        { "{\"prefetchers\": {}}", "A list of at most 1000 is wanted in \"prefetchers\"", 0 },
        { "{\"prefetchers\": [{\"name\": \"x\", \"agents\": [\"y\"]},\n{\"agents\": [\"y\"]}]}",
          "prefetcher 2: must have", 2 },
        { "{\"prefetchers\": [{\"name\": \"x\"}]}", "prefetcher 1: must have", 1 },
        { "{\"prefetchers\": [{\"name\": \"x\", \"agents\": []}]}", "prefetcher 1: not understood, or no list", 1 },
        { "{\"prefetchers\": [{\"name\": \"x\", \"agents\": [1]}]}", "prefetcher 1: something else than texts", 1 },
        { "{\"prefetchers\": [{\"name\": \"x\", \"networks\": [\"192.0.2\"]}]}", "prefetcher 1: no network in", 1 },
        { "{\"prefetchers\": [{\"name\": \"x\", \"agent\": [\"y\"]}]}", "prefetcher 1: not understood: \"agent\"", 1 },
        { "{\"prefetchers\": [\"x\"]}", "prefetcher 1: an object is wanted", 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = { 0 };
        size_t line = 99;

        assert_null(own(rows[i].text, &line, &e));
        if (!bytes_starts(bytes_of(e.message), bytes_of(rows[i].why)) || line != rows[i].line)
            fail_msg("%s: line %zu, %s", rows[i].text, line, e.message);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_ones),
        cmocka_unit_test(own_ones_come_first),
        cmocka_unit_test(files_that_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
