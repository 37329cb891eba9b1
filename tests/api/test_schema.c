/* The checks of requests: every fault at once, each with its pointer and code. */
#include "api/route.h"
#include "base/params.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct schema *body_of(const char *operation)
{
    for (size_t i = 0; i < n_routes; i++)
        if (strcmp(routes[i].name, operation) == 0)
            return routes[i].body;
    fail_msg("no operation %s", operation);
    return NULL;
}

/* The faults of a body as "pointer code, pointer code"; the same of its whole tree and of what schema_read makes. */
static const char *faults(struct arena *a, const char *operation, const char *json, bool whole)
{
    struct call c;
    struct json_object *tree = NULL;
    const char *text = "";

    call_init(&c, NULL, a, "test");
    assert_true(whole ? json_read(bytes_of(json), &tree, &c.err)
                      : schema_read(body_of(operation), bytes_of(json), SIZE_MAX, &tree, &c.err));
    schema_check(&c, body_of(operation), tree);
    json_object_put(tree);
    for (size_t i = 0; i < c.n_faults; i++)
        text = arena_printf(a, "%s%s%.*s %.*s", text, *text ? ", " : "", SHOW(c.faults[i].pointer),
                            SHOW(c.faults[i].code));
    return text;
}

static const struct {
    const char *operation, *json, *want;
} bodies[] = {
    { "domain_create", "{\"name\":\"a.test\"}", "" },
    { "domain_create", "{\"name\":\"a.test\",\"inbound\":\"off\",\"catch_all\":null}", "" },
    { "domain_create", "{}", "/name required" },
    { "domain_create", "[]", " invalid_type" },
    { "domain_create", "null", " invalid_type" },
    { "domain_create", "{\"name\":1,\"inbound\":\"on\",\"x\":0}",
      "/name invalid_type, /inbound invalid_choice, /x unknown_field" },
    { "domain_create", "{\"name\":\"-\",\"a/b~c\":0}", "/name invalid_domain, /a~1b~0c unknown_field" },
    { "domain_create", "{\"name\":\"\"}", "/name too_short" },
    { "user_create", "{\"address\":\"a@b.test\",\"quota\":-1}", "/quota out_of_range" },
    { "user_create", "{\"address\":\"a@b.test\",\"quota\":1.5}", "/quota invalid_type" },
    { "user_create", "{\"address\":\"a@b.test\",\"quota\":\"1\"}", "/quota invalid_type" },
    { "user_create", "{\"address\":\"a@b.test\",\"password\":\"kurz\"}", "/password too_short" },
    { "user_create",
      "{\"address\":\"a@b.test\",\"password\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}",
      "/password too_short" },
    { "user_create", "{\"address\":\"a@b.test\",\"metadata\":{\"\":\"x\"}}", "/metadata/ invalid_name" },
    { "user_create", "{\"address\":\"a@b.test\",\"metadata\":{\"k\":1}}", "/metadata/k invalid_type" },
    { "user_create", "{\"address\":\"a@b.test\",\"send_as\":[\"@b.test\",\"c@b.test\",\"@\"]}",
      "/send_as/2 too_short" },
    { "key_create",
      "{\"name\":\"k\",\"scopes\":[\"send\",\"all\"],\"allowed_ips\":[\"10.0.0.0/8\",\"::1\",\"10.0.0.0/33\"]}",
      "/scopes/1 invalid_choice, /allowed_ips/2 invalid_network" },
    { "key_create", "{\"name\":\"a\\u0000b\",\"scopes\":[],\"expires_at\":\"tomorrow\"}",
      "/name invalid_characters, /scopes too_short, /expires_at invalid_time" },
    { "entry_update", "{\"keywords\":[\"$ok\",\"not ok\"],\"mailbox_id\":\"mbx_1\"}",
      "/keywords/1 invalid_keyword, /mailbox_id invalid_id" },
    { "message_send", "{\"from\":\"a@b.test\",\"to\":\"c@d.test\",\"text\":\"x\"}", "" },
    { "message_send",
      "{\"from\":{\"email\":\"a@b.test\",\"name\":null},\"to\":[\"C <c@d.test>\",{\"email\":\"e@f.test\"}]}", "" },
    { "message_send", "{\"from\":\"nobody\",\"to\":[\"c@d.test\",\"x\",\"nobody\"],\"cc\":{\"mail\":1}}",
      "/from invalid_address, /to/1 too_short, /to/2 invalid_address, /cc/mail unknown_field, /cc/email required" },
    { "message_send", "{\"from\":\"a@b.test\",\"subject\":\"a\\r\\nBcc: x@y.test\"}", "/subject invalid_characters" },
    { "message_send", "{\"from\":\"a@b.test\\r\\nBcc: x@y.test\"}", "/from invalid_address" },
    { "message_send",
      "{\"from\":\"a@b.test\",\"headers\":[{\"name\":\"X-A\",\"value\":\"1\\n2\"},{\"name\":\"X B\",\"value\":\"\"}]}",
      "/headers/0/value invalid_characters, /headers/1/name invalid_header_name" },
    { "message_send", "{\"from\":\"a@b.test\",\"headers\":{\"X-A\":\"1\\u0000\"}}", "/headers/X-A invalid_characters" },
    { "message_send",
      "{\"from\":\"a@b.test\",\"attachments\":[{\"filename\":\"a\\nb\",\"content\":\"%%%%\",\"content_type\":\"text\"}]"
      "}",
      "/attachments/0/filename invalid_characters, /attachments/0/content invalid_base64, /attachments/0/content_type "
      "invalid_media_type" },
    { "message_send", "{\"from\":\"a@b.test\",\"tags\":[{\"name\":\"\xc3\xa4\",\"value\":\"\"}],\"expires_after\":1}",
      "/tags/0/name invalid_characters, /expires_after out_of_range" },
    { "setting_update", "{\"value\":12}", "" },
    { "setting_update", "{\"value\":[]}", "/value invalid_type" },
    { "setting_update", "{}", "/value required" },
};

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new(1024 * 1024);
        const char *have = faults(a, bodies[i].operation, bodies[i].json, true);

        if (strcmp(have, bodies[i].want) != 0)
            print_error("%s\n", bodies[i].json);
        assert_string_equal(have, bodies[i].want);
        assert_string_equal(faults(a, bodies[i].operation, bodies[i].json, false), have);
        arena_free(&a);
    }
}

/* What is good comes through whole; what is too much or unknown is told, and not made. */
static void test_what_becomes_a_tree(void **state)
{
    static const struct {
        const char *before, *again, *behind; /* `again` 200 times */
        const char *want;
        size_t most; /* of the tree as text */
    } rows[] = {
        { "{\"from\":\"a@b.test\",\"to\":[", "{},", "0]}", "/to too_long", 51 * 3 + 30 },
        { "{\"from\":\"a@b.test\",\"to\":[\"c@d.test\"],\"x\":[", "[],", "0]}", "/x unknown_field", 60 },
        { "{\"from\":\"a@b.test\",\"text\":[", "{},", "0]}", "/text invalid_type", 40 },
        { "{\"from\":\"a@b.test\",\"tags\":[", "{\"name\":[[]]},", "0]}", "/tags too_long", 4000 },
        { "{\"from\":\"a@b.test\",\"metadata\":{\"k\":[", "{},", "0]}}", "/metadata/k invalid_type", 60 },
        { "[", "{},", "0]", " invalid_type", 2 },
        { "{\"from\":\"a@b.test\",\"to\":{\"email\":\"c@d.test\",\"name\":\"", "x", "\"},\"metadata\":{\"k\":\"v\"}}",
          "", 400 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new(1024 * 1024);
        struct json_object *tree = NULL;
        struct err e = { 0 };
        struct buf text;

        buf_init(&text, 64 * 1024);
        buf_adds(&text, rows[i].before);
        for (int n = 0; n < 200; n++)
            buf_adds(&text, rows[i].again);
        buf_adds(&text, rows[i].behind);
        buf_addc(&text, '\0');
        assert_string_equal(faults(a, "message_send", text.p, false), rows[i].want);
        assert_string_equal(faults(a, "message_send", text.p, true), rows[i].want);
        assert_true(schema_read(body_of("message_send"), bytes_of(text.p), SIZE_MAX, &tree, &e));
        assert_in_range(json_tree_text(a, tree).n, 1, rows[i].most);
        json_object_put(tree);
        buf_clear(&text);
        arena_free(&a);
    }
}

static const struct {
    const char *query, *want, *tree;
} queries[] = {
    { "", "", "{}" },
    { "limit=5&status=queued", "", "{\"limit\":5,\"status\":\"queued\"}" },
    { "tag=a%3Db+c", "", "{\"tag\":\"a=b c\"}" },
    { "limit=0&after=", "/limit out_of_range, /after too_short", NULL },
    { "limit=x", "/limit invalid_type", "{}" },
    { "limit=+5", "/limit invalid_type", "{}" },
    { "limit=5&limit=6", "/limit duplicate_parameter", "{\"limit\":5}" },
    { "page=2", "/page unknown_parameter", "{}" },
    { "=", "/ unknown_parameter", "{}" },
    { "tag=%00", " invalid_encoding", "{}" },
    { "tag=%4", " invalid_encoding", "{}" },
    { "tag=%ff", " invalid_encoding", "{}" },
    { "since=2026-11-21T09:52:00Z&until=now", "/until invalid_time", NULL },
};

static const struct schema_property *query_of(const char *operation)
{
    for (size_t i = 0; i < n_routes; i++)
        if (strcmp(routes[i].name, operation) == 0)
            return routes[i].query;
    return NULL;
}

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct arena *a = arena_new(1024 * 1024);
        const char *text = "";
        struct call c;
        struct json_object *tree;

        call_init(&c, NULL, a, "test");
        tree = schema_query(&c, query_of("message_list"), bytes_of(queries[i].query));
        for (size_t k = 0; k < c.n_faults; k++)
            text = arena_printf(a, "%s%s%.*s %.*s", text, *text ? ", " : "", SHOW(c.faults[k].pointer),
                                SHOW(c.faults[k].code));
        assert_string_equal(text, queries[i].want);
        if (queries[i].tree)
            assert_string_equal(json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN), queries[i].tree);
        json_object_put(tree);
        arena_free(&a);
    }
}

static const struct {
    const char *method, *path;
    enum route_result result;
    const char *name, *parameter, *allow;
} paths[] = {
    { "GET", "/v1/domains", ROUTE_FOUND, "domain_list", NULL, NULL },
    { "HEAD", "/v1/domains", ROUTE_FOUND, "domain_list", NULL, NULL },
    { "POST", "/v1/domains", ROUTE_FOUND, "domain_create", NULL, NULL },
    { "GET", "/v1/domains/a.test", ROUTE_FOUND, "domain_get", "a.test", NULL },
    { "GET", "/v1/users/a%40b.test/mailboxes", ROUTE_FOUND, "mailbox_list", "a@b.test", NULL },
    { "GET", "/v1/users/a%2Fb", ROUTE_FOUND, "user_get", "a/b", NULL },
    { "GET", "/v1/users/a+b@c.test", ROUTE_FOUND, "user_get", "a+b@c.test", NULL },
    { "PUT", "/v1/domains", ROUTE_NO_METHOD, NULL, NULL, "POST" },
    { "PATCH", "/v1/domains/x", ROUTE_FOUND, "domain_update", "x", NULL },
    { "GET", "/v1/domains/", ROUTE_NO_PATH, NULL, NULL, NULL },
    { "GET", "/v1/domains//verify", ROUTE_NO_PATH, NULL, NULL, NULL },
    { "GET", "/v1/nothing", ROUTE_NO_PATH, NULL, NULL, NULL },
    { "GET", "v1/domains", ROUTE_NO_PATH, NULL, NULL, NULL },
    { "GET", "/v1/domains/%00", ROUTE_MALFORMED, NULL, NULL, NULL },
    { "GET", "/v1/domains/%zz", ROUTE_MALFORMED, NULL, NULL, NULL },
    { "GET", "/v1/domains/%c3", ROUTE_MALFORMED, NULL, NULL, NULL },
};

static void test_routes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct arena *a = arena_new(1024 * 1024);
        struct route_match m;

        assert_int_equal(route_find(paths[i].method, bytes_of(paths[i].path), a, &m), paths[i].result);
        if (paths[i].name)
            assert_string_equal(m.route->name, paths[i].name);
        if (paths[i].parameter)
            assert_true(bytes_equal(m.parameters[0], bytes_of(paths[i].parameter)));
        if (paths[i].allow)
            assert_true(bytes_find(m.allow, 'G') == 0 && bytes_ends(m.allow, bytes_of(paths[i].allow)));
        arena_free(&a);
    }
}

/* Scopes and the kinds of credentials are data of the contract; these few must never drift. */
static void test_walls(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *r = &routes[i];
        bool own = strstr(r->path, "/entries") || strstr(r->path, "/mailboxes") || strcmp(r->name, "me_get") == 0 ||
                   strcmp(r->name, "message_send") == 0 || strcmp(r->name, "preview_create") == 0;

        assert_int_equal(!!(r->flags & ROUTE_USER), own);
        assert_int_equal(!!(r->flags & ROUTE_OPEN),
                         strncmp(r->path, "/v1", 3) != 0 && strcmp(r->path, "/metrics") != 0);
        assert_int_equal(!!(r->flags & ROUTE_METRICS), strcmp(r->path, "/metrics") == 0);
        if (strncmp(r->path, "/v1/accounts", 12) == 0)
            assert_int_equal(r->scopes, SCOPE_OPERATOR);
        if (strncmp(r->path, "/v1/settings", 12) == 0)
            assert_int_equal(r->scopes, SCOPE_SETTINGS);
        if (strncmp(r->path, "/v1", 3) == 0 && strcmp(r->name, "me_get") != 0)
            assert_int_not_equal(r->scopes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_what_becomes_a_tree),
        cmocka_unit_test(test_queries), cmocka_unit_test(test_routes),
        cmocka_unit_test(test_walls),
    };

    params_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
