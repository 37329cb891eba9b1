/* service/queue/mail_route.h */
#include "tests/base/check.h"

#include "service/queue/mail_route.h"

static void domains_match(void **state)
{
    static const struct {
        const char *pattern, *domain;
        bool match;
    } rows[] = {
        { "x.example", "x.example", true },
        { "x.example", "a.x.example", false },
        { "*.x.example", "a.x.example", true },
        { "*.x.example", "a.b.x.example", true },
        { "*.x.example", "x.example", false },
        { "*.x.example", "ax.example", false },
        { "*", "x.example", true },
        { "*", "[192.0.2.1]", true },
        { "X.Example", "x.example", true },
        { "*.X.example", "a.x.example", true },
        { "*x.example", "ax.example", false },

        { "[192.0.2.1]", "[192.0.2.1]", true },
        { "", "x.example", false },
        { "*", "", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (mail_route_domain_matches(bytes_of(rows[i].pattern), bytes_of(rows[i].domain)) != rows[i].match)
            fail_msg("%s, %s", rows[i].pattern, rows[i].domain);
}

#define ID(n)                                                                                                          \
    {                                                                                                                  \
        {                                                                                                              \
            (n)                                                                                                        \
        }                                                                                                              \
    }
#define ANA ID(100)
#define BO  ID(101)

/* Of these the first that matches, by account and position and not by where it stands, is the route. */
static struct mail_route routes[] = {
    { .id = ID(1), .position = 10, .way = ROUTE_MX },
    { .id = ID(2), .position = 5, .domain = BYTES_ROW("*.x.example"), .way = ROUTE_RELAY },
    { .id = ID(3), .position = 4, .domain = BYTES_ROW("x.example"), .tag = BYTES_ROW("kind=code"), .way = ROUTE_HOLD },
    { .id = ID(4), .position = 9, .account = ANA, .sender_domain = BYTES_ROW("ana.example"), .way = ROUTE_CAPTURE },
    { .id = ID(5), .position = 9, .account = ANA, .class = 'l', .way = ROUTE_RELAY },
    { .id = ID(6), .position = 1, .domain = BYTES_ROW("tagged.example"), .tag = BYTES_ROW("kind"), .way = ROUTE_HOLD },
    { .id = ID(7), .position = 6, .source = BYTES_ROW("smtp"), .way = ROUTE_RELAY },
    { .id = ID(8), .position = 6, .source = BYTES_ROW("smtp"), .way = ROUTE_HOLD },
};

static void the_first_match_is_the_route(void **state)
{
    static const struct bytes tags[] = { BYTES_ROW("a=b"), BYTES_ROW("kind=code") };
    static const struct {
        struct route_query query;
        int id;
    } rows[] = {
        { { .account = BO, .domain = BYTES_ROW("other.example"), .class = 'n', .source = BYTES_ROW("api") }, 1 },
        { { .account = BO, .domain = BYTES_ROW("a.x.example"), .class = 'n', .source = BYTES_ROW("api") }, 2 },
        { { .account = BO, .domain = BYTES_ROW("x.example"), .class = 'n', .source = BYTES_ROW("api") }, 1 },
        { { .account = BO, .domain = BYTES_ROW("x.example"), .tags = tags, .n_tags = 2, .source = BYTES_ROW("api") },
          3 },
        { { .account = BO, .domain = BYTES_ROW("x.example"), .tags = tags, .n_tags = 1, .source = BYTES_ROW("api") },
          1 },
        { { .account = ANA, .domain = BYTES_ROW("a.x.example"), .class = 'l', .source = BYTES_ROW("api") }, 5 },
        { { .account = ANA,
            .domain = BYTES_ROW("a.x.example"),
            .sender_domain = BYTES_ROW("ana.example"),
            .class = 'l' },
          4 },
        { { .account = ANA, .domain = BYTES_ROW("a.x.example"), .class = 'n', .source = BYTES_ROW("api") }, 2 },
        { { .account = BO, .domain = BYTES_ROW("other.example"), .class = 'l', .source = BYTES_ROW("smtp") }, 7 },
        { { .account = BO, .domain = BYTES_ROW("tagged.example"), .tags = tags, .n_tags = 2 }, 6 },
        { { .account = BO, .domain = BYTES_ROW("tagged.example"), .tags = tags, .n_tags = 1 }, 1 },
    };

    (void)state;
    assert_null(mail_route_find(&routes[1], 1, &rows[0].query));
    mail_routes_sort(routes, COUNT(routes));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct mail_route *r = mail_route_find(routes, COUNT(routes), &rows[i].query);

        if (!r || r->id.b[0] != rows[i].id)
            fail_msg("row %zu: route %d", i, r ? r->id.b[0] : 0);
    }
    assert_null(mail_route_find(NULL, 0, &rows[0].query));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_match),
        cmocka_unit_test(the_first_match_is_the_route),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
