/* service/queue/routing.h, flow.h, service/core/precondition.h: the routes of now, as nodes know them. */
#include "house.h"
#include "service/core/nudge.h"
#include "service/core/precondition.h"
#include "service/queue/route.h"
#include "service/queue/routing.h"

static struct route_row made(struct house *h, const struct principal *who, struct route_row row)
{
    struct route_create_in in = { .given.row = row };
    struct route_row out;

    in.named = members_named(&route_members, "position,domain,sender_domain,tag,type");
    must(h, route_create(as(h, who), &in, &out));
    return out;
}

/* The route of mail to a domain that one account sends; NO_ID: none. */
static struct id way_of(struct house *h, struct id account, const char *domain)
{
    struct route_query q = { .account = account, .domain = B(domain), .class = 'n' };
    struct routes *r = routes_now(h->svc);
    const struct mail_route *found = r ? routes_find(r, &q) : NULL;
    struct id id = found ? found->id : NO_ID;

    routes_leave(&r);
    return id;
}

static void an_account_before_the_operator(void **state)
{
    struct house *h = *state;
    struct principal *ana = tenant(h, "ana"), *bo = tenant(h, "bo");
    struct route_row all = made(h, &h->operator,(struct route_row){ .domain = B("*"), .type = B("hold") }),
                     first = made(h, &h->operator,(struct route_row){ .domain = B("x.test"), .type = B("mx") }),
                     own = made(h, ana, (struct route_row){ .domain = B("x.test"), .type = B("mx"), .position = 9 });

    assert_true(id_equal(way_of(h, ana->account_id, "x.test"), own.id));
    assert_true(id_equal(way_of(h, ana->account_id, "y.test"), all.id));
    assert_true(id_equal(way_of(h, bo->account_id, "x.test"), all.id)); /* of equal positions the older */
    must(h, route_delete(as(h, &h->operator), &(struct route_delete_in){ .id = text_of(h, "rte", all.id) }, NULL));
    assert_true(id_equal(way_of(h, bo->account_id, "x.test"), first.id)); /* at once */
}

static uint64_t version(struct house *h)
{
    struct routes *r = routes_now(h->svc);
    uint64_t n = routes_version(r);

    routes_leave(&r);
    return n;
}

static void until(struct house *h, bool (*is)(struct house *h, const void *arg), const void *arg)
{
    int64_t end = clock_monotonic() + 30000;

    while (!is(h, arg) && clock_monotonic() < end)
        usleep(10000);
    assert_true(is(h, arg));
}

static bool has_moved(struct house *h, const void *from)
{
    return version(h) > *(const uint64_t *)from;
}

static bool is_free(struct house *h, const void *domain)
{
    return id_is_none(way_of(h, NO_ID, domain));
}

/* What another node writes: no call of this one has changed it. */
static void another_node_has_changed_a_route(void **state)
{
    struct house *h = *state;
    struct net_options o = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    struct route_row row = made(h, &h->operator,(struct route_row){ .domain = B("x.test"), .type = B("mx") });
    uint64_t before = version(h);
    struct batch *b = batch_new(h->arena);
    struct err e = { 0 };

    assert_true(net_start(&o, &e));
    assert_true(service_start(h->svc, &e));
    until(h, has_moved, &before); /* it follows */
    assert_true(id_equal(way_of(h, NO_ID, "x.test"), row.id));
    batch_delete(b, &route_kind, row.id, NULL, 0);
    nudge_add(b, h->arena, &route_kind);
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 5000, &h->c.err));
    until(h, is_free, "x.test");
    service_stop(h->svc);
    net_stop();
}

static const char one[] = "far.test/n/01k9qw6t5he8brjf0d3vnx2mza/-";

static void flows_and_their_routes(void **state)
{
    struct house *h = *state;
    struct id route = id_new();
    struct bytes by = flow_by(h->arena, B(one), route);
    struct flow_name name;

    assert_true(flow_read(by, &name));
    same(name.site, "far.test");
    same(name.stream, "-");
    same(name.route, arena_text(h->arena, text_of(h, "", route)));
    same(flow_by(h->arena, by, NO_ID), one);
    assert_true(bytes_equal(flow_by(h->arena, by, route), by));
    assert_true(flow_read(B(one), &name) && !name.route.p);
}

/* Of one flow, what a route takes for its own sake lies apart. */
static void a_message_has_its_own_flow(void **state)
{
    struct house *h = *state;
    struct id account;
    struct message_row m = { .people = B("{\"from\":{\"email\":\"Ana@News.Test\",\"name\":null}}"),
                             .tags = B("[{\"name\":\"kind\",\"value\":\"code\"}]"),
                             .envelope_from = B("b@rp.test") };
    struct route_row by_tag, by_sender;
    struct routes *r = routes_now(h->svc);

    assert_true(id_parse("", B("01k9qw6t5he8brjf0d3vnx2mza"), &account));
    same(routes_flow(r, &m, B(one), h->arena), one);
    routes_leave(&r);
    by_tag = made(h, &h->operator,(struct route_row){ .tag = B("kind=code"), .type = B("mx"), .position = 1 });
    by_sender =
        made(h, &h->operator,(struct route_row){ .sender_domain = B("*.test"), .type = B("mx"), .position = 2 });
    r = routes_now(h->svc);
    assert_true(routes_ask_message(r, account));
    assert_true(bytes_equal(routes_flow(r, &m, B(one), h->arena), flow_by(h->arena, B(one), by_tag.id)));
    m.tags = B("[]");
    assert_true(bytes_equal(routes_flow(r, &m, B(one), h->arena), flow_by(h->arena, B(one), by_sender.id)));
    m.people = B("{\"from\":{\"email\":\"ana@news.example\",\"name\":null}}");
    same(routes_flow(r, &m, flow_by(h->arena, B(one), by_tag.id), h->arena), one);
    m.people = NO_BYTES; /* of what came in: its envelope */
    assert_true(bytes_equal(routes_flow(r, &m, B(one), h->arena), flow_by(h->arena, B(one), by_sender.id)));
    m.envelope_from = NO_BYTES;
    same(routes_flow(r, &m, B(one), h->arena), one);
    routes_leave(&r);
}

static void a_password_is_sealed(void **state)
{
    struct house *h = *state;
    struct route_create_in in = { .given.row = { .type = B("relay"), .hosts = B("[\"a.test\"]"), .username = B("jo") },
                                  .given.password = B("swordfish"),
                                  .named = members_named(&route_members, "type,hosts,username,password") };
    struct route_row row;

    must(h, route_create(as(h, &h->operator), &in, &row));
    same(route_password(h->svc, row.id, row.secret, h->arena), "swordfish");
    assert_null(route_password(h->svc, id_new(), row.secret, h->arena).p);
    *(char *)(uintptr_t)row.secret.p ^= 1; /* of another server key */
    assert_null(route_password(h->svc, row.id, row.secret, h->arena).p);
}

static void versions(void **state)
{
    static const struct {
        const char *match;
        bool holds;
    } rows[] = { { NULL, true },      { "\"7\"", true },       { "\"6\", \"7\"", true }, { "*", true },
                 { "\"6\"", false },  { "7", false },          { "W/\"7\"", false },     { "", false },
                 { "\"77\"", false }, { "\"6\",\"7\"", true }, { "\"7", false } };
    struct house *h = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (precondition_holds(as(h, NULL), B(rows[i].match), 7) != rows[i].holds)
            fail_msg("%s", rows[i].match);
        assert_int_equal(h->c.err.code, rows[i].holds ? ERR_NONE : ERR_PRECONDITION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_before_the_operator), TEST(another_node_has_changed_a_route),
        TEST(flows_and_their_routes),         TEST(a_message_has_its_own_flow),
        TEST(a_password_is_sealed),           TEST(versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
