/* delivery/mx.h. A zone is written as one text, "name=what" for each question:
 *   MX=10 a.example,20 b.example     what MX says; or nodata, noname, fail, bogus, timeout
 *   a.example=192.0.2.1,2001:db8::1  its addresses; or nodata, noname, fail; a family alone: 4:fail, 6:fail */
#include "tests/mail/suite.h"

#include "base/params.h"
#include "delivery/mx.h"

#define DENY                                                                                                           \
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.168.0.0/16,224.0.0.0/3,::,::1,"   \
    "fc00::/7,fe80::/10,ff00::/8"

static enum dns_result result_of(struct bytes what)
{
    static const struct {
        const char *name;
        enum dns_result result;
    } names[] = { { "nodata", DNS_NO_DATA },
                  { "noname", DNS_NO_NAME },
                  { "fail", DNS_FAILED },
                  { "bogus", DNS_BOGUS },
                  { "timeout", DNS_TIMEOUT } };

    for (size_t i = 0; i < COUNT(names); i++)
        if (bytes_equal(what, bytes_of(names[i].name)))
            return names[i].result;
    return DNS_FOUND;
}

static struct bytes said_of(const char *zone, struct bytes name)
{
    struct bytes rest = bytes_of(zone), item, key, value;

    while (rest.n) {
        bytes_cut(rest, ' ', &item, &rest);
        if (bytes_cut(item, '=', &key, &value) && bytes_equal(key, name))
            return value;
    }
    return BYTES("noname");
}

static struct dns_answer *answer_new(struct arena *a, enum dns_result result)
{
    struct dns_answer *out = arena_alloc(a, sizeof *out);

    *out = (struct dns_answer){ .result = result, .ttl = 300 };
    out->records = arena_array(a, 64, sizeof *out->records);
    return out;
}

static struct dns_answer *mx_answer(struct arena *a, const char *zone)
{
    struct bytes said = said_of(zone, BYTES("MX")), one, preference, name;
    struct dns_answer *out = answer_new(a, result_of(said));
    int64_t n = 0;

    while (out->result == DNS_FOUND && said.n) {
        bytes_cut(said, ',', &one, &said);
        bytes_cut(one, '/', &preference, &name);
        bytes_to_int(preference, &n);
        out->records[out->n++] = (struct dns_record){ name, (uint16_t)n };
    }
    return out;
}

static struct dns_answer *address_answer(struct arena *a, struct bytes said, bool four)
{
    struct dns_answer *out = answer_new(a, result_of(said));
    struct bytes one;
    struct network n;

    while (out->result == DNS_FOUND && said.n) {
        bytes_cut(said, ',', &one, &said);
        if (bytes_equal(one, four ? BYTES("4:fail") : BYTES("6:fail"))) {
            out->result = DNS_FAILED;
            return out;
        }
        if (!network_parse_address(one, &n) || network_is_ipv4(&n) != four)
            continue;
        out->records[out->n++].data =
            arena_copy(a, four ? (struct bytes){ (char *)n.address + 12, 4 } : (struct bytes){ (char *)n.address, 16 });
    }
    if (out->result == DNS_FOUND && !out->n)
        out->result = DNS_NO_DATA;
    return out;
}

static struct mx_rules rules_new(void)
{
    static struct network own[2];
    static struct bytes names[1];

    network_parse_address(BYTES("203.0.113.1"), &own[0]);
    network_parse_address(BYTES("2001:db8:1::1"), &own[1]);
    names[0] = BYTES("mail.ours.example");
    return (struct mx_rules){ .has_v4 = true,
                              .has_v6 = true,
                              .own = own,
                              .n_own = 2,
                              .own_names = names,
                              .n_own_names = 1,
                              .deny = BYTES(DENY) };
}

static void plan_of(struct arena *a, const char *zone, const struct mx_rules *rules, struct mx_plan *plan)
{
    struct mx_names names;
    struct mx_addresses *addresses = arena_array(a, MX_NAMES_MAX, sizeof *addresses);

    mx_names(BYTES("d.example"), mx_answer(a, zone), rules->seed, a, &names);
    for (size_t i = 0; i < names.n; i++) {
        struct bytes said = said_of(zone, names.list[i].name);

        addresses[i] = (struct mx_addresses){ address_answer(a, said, true), address_answer(a, said, false) };
    }
    mx_plan(&names, addresses, rules, a, plan);
}

static struct bytes shown(struct arena *a, const struct mx_plan *plan)
{
    char text[NETWORK_TEXT];
    struct buf out;
    struct bytes copy;

    buf_init(&out, 4096);
    for (size_t i = 0; i < plan->n; i++)
        buf_addf(&out, "%s%.*s", i ? " " : "", SHOW(network_show(&plan->hosts[i].address, text)));
    copy = arena_copy(a, out.n ? buf_bytes(&out) : BYTES(""));
    buf_clear(&out);
    return copy;
}

static void what_dns_says(void **state)
{
    static const struct {
        const char *zone;
        enum mx_verdict verdict;
        const char *hosts;
        bool partial;
    } rows[] = {
        { "MX=10/a.example a.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=20/b.example,10/a.example a.example=192.0.2.1 b.example=192.0.2.2", MX_OK, "192.0.2.1 192.0.2.2", false },
        { "MX=10/A.Example. a.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=10/a.example,20/a.example a.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=10/mx_1.example mx_1.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=noname d.example=192.0.2.1", MX_NO_DOMAIN, "", false },
        { "MX=nodata d.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=nodata d.example=nodata", MX_NO_HOST, "", false },
        { "MX=nodata d.example=noname", MX_NO_HOST, "", false },
        { "MX=nodata d.example=fail", MX_TEMPORARY, "", true },
        { "MX=fail d.example=192.0.2.1", MX_TEMPORARY, "", false },
        { "MX=timeout d.example=192.0.2.1", MX_TEMPORARY, "", false },
        { "MX=bogus d.example=192.0.2.1", MX_TEMPORARY, "", false },
        { "MX=0/ d.example=192.0.2.1", MX_NULL, "", false },
        { "MX=10/. d.example=192.0.2.1", MX_NULL, "", false },
        { "MX=0/,10/a.example a.example=192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=10/a.example,20/b.example a.example=noname b.example=192.0.2.2", MX_OK, "192.0.2.2", false },
        { "MX=10/a.example,20/b.example a.example=nodata b.example=192.0.2.2", MX_OK, "192.0.2.2", false },
        { "MX=10/a.example,20/b.example a.example=fail b.example=192.0.2.2", MX_OK, "192.0.2.2", true },
        { "MX=10/a.example,20/b.example a.example=fail b.example=nodata", MX_TEMPORARY, "", true },
        { "MX=10/a.example a.example=noname d.example=192.0.2.9", MX_UNUSABLE, "", false },
        { "MX=10/192.0.2.1 192.0.2.1=192.0.2.1", MX_UNUSABLE, "", false },
        { "MX=10/0.0.0.0,20/b.example b.example=192.0.2.2", MX_OK, "192.0.2.2", false },
        { "MX=10/a..example a..example=192.0.2.1", MX_UNUSABLE, "", false },
        { "MX=10/-a.example -a.example=192.0.2.1", MX_UNUSABLE, "", false },
        { "MX=10/a\\032b.example a\\032b.example=192.0.2.1", MX_UNUSABLE, "", false },
        { "MX=10/a.example a.example=192.0.2.1,6:fail", MX_OK, "192.0.2.1", true },
        /* denied networks */
        { "MX=10/localhost localhost=127.0.0.1", MX_DENIED, "", false },
        { "MX=10/a.example a.example=0.0.0.0", MX_DENIED, "", false },
        { "MX=10/a.example a.example=10.1.2.3,192.0.2.1", MX_OK, "192.0.2.1", false },
        { "MX=10/a.example a.example=::ffff:10.1.2.3", MX_DENIED, "", false },
        { "MX=10/a.example a.example=64:ff9b::10.1.2.3", MX_DENIED, "", false },
        { "MX=10/a.example,20/b.example a.example=10.0.0.1 b.example=fail", MX_TEMPORARY, "", true },
        /* ourselves */
        { "MX=10/a.example,20/mail.ours.example,30/c.example a.example=192.0.2.1 mail.ours.example=198.51.100.1 "
          "c.example=192.0.2.3",
          MX_OK, "192.0.2.1", false },
        { "MX=10/a.example,20/b.example,20/c.example a.example=192.0.2.1 b.example=203.0.113.1 c.example=192.0.2.3",
          MX_OK, "192.0.2.1", false },
        { "MX=10/b.example b.example=203.0.113.1", MX_LOOP, "", false },
        { "MX=10/b.example,20/c.example b.example=2001:db8:1::1 c.example=192.0.2.1", MX_LOOP, "", false },
        { "MX=10/MAIL.ours.example. mail.ours.example=fail", MX_LOOP, "", false },
        { "MX=10/a.example,20/b.example a.example=fail b.example=203.0.113.1", MX_UNUSABLE, "", true },
        { "MX=10/a.example,20/b.example a.example=noname b.example=203.0.113.1", MX_UNUSABLE, "", false },
        { "MX=nodata d.example=203.0.113.1", MX_LOOP, "", false },
    };
    struct mx_rules rules = rules_new();
    struct mx_plan plan;

    for (size_t i = 0; i < COUNT(rows); i++) {
        plan_of(*state, rows[i].zone, &rules, &plan);
        if (plan.verdict != rows[i].verdict || plan.partial != rows[i].partial ||
            !bytes_equal(shown(*state, &plan), bytes_of(rows[i].hosts)))
            fail_msg("%s: verdict %d, hosts %.*s, %.*s", rows[i].zone, (int)plan.verdict, SHOW(shown(*state, &plan)),
                     SHOW(plan.why));
        if (plan.verdict > MX_TEMPORARY && plan.verdict != MX_OK)
            assert_true(plan.why.n > 0);
    }
}

static void unusable_ends_at_the_third_time(void **state)
{
    static const enum mx_verdict want[] = { MX_UNUSABLE, MX_UNUSABLE, MX_GIVEN_UP };
    struct mx_rules rules = rules_new();
    struct mx_plan plan;

    for (rules.unusable = 0; rules.unusable < 3; rules.unusable++) {
        plan_of(*state, "MX=10/a.example a.example=noname", &rules, &plan);
        assert_int_equal(plan.verdict, want[rules.unusable]);
        plan_of(*state, "MX=10/a.example a.example=fail", &rules, &plan);
        assert_int_equal(plan.verdict, MX_TEMPORARY);
    }
}

static void families_take_turns(void **state)
{
    static const char zone[] = "MX=10/a.example,20/b.example a.example=192.0.2.1,192.0.2.2,2001:db8::1 "
                               "b.example=192.0.2.3,2001:db8::3";
    static const struct {
        struct mx_rules with;
        const char *want;
    } rows[] = {
        { { .has_v4 = true, .has_v6 = true }, "2001:db8::1 192.0.2.1 192.0.2.2 2001:db8::3 192.0.2.3" },
        { { .has_v4 = true, .has_v6 = true, .v4_worked = true },
          "192.0.2.1 2001:db8::1 192.0.2.2 192.0.2.3 2001:db8::3" },
        { { .has_v4 = true, .has_v6 = true, .warming = true },
          "192.0.2.1 2001:db8::1 192.0.2.2 192.0.2.3 2001:db8::3" },
        { { .family = MX_V4_FIRST, .has_v4 = true, .has_v6 = true },
          "192.0.2.1 192.0.2.2 2001:db8::1 192.0.2.3 2001:db8::3" },
        { { .family = MX_V4, .has_v4 = true, .has_v6 = true }, "192.0.2.1 192.0.2.2 192.0.2.3" },
        { { .family = MX_V6, .has_v4 = true, .has_v6 = true }, "2001:db8::1 2001:db8::3" },
        { { .has_v4 = true }, "192.0.2.1 192.0.2.2 192.0.2.3" },
        { { .has_v6 = true }, "2001:db8::1 2001:db8::3" },
        { { .has_v4 = true, .family = MX_V6 }, "" },
    };
    struct mx_plan plan;

    for (size_t i = 0; i < COUNT(rows); i++) {
        plan_of(*state, zone, &rows[i].with, &plan);
        if (!bytes_equal(shown(*state, &plan), bytes_of(rows[i].want)))
            fail_msg("row %zu: %.*s", i, SHOW(shown(*state, &plan)));
        assert_int_equal(plan.verdict, *rows[i].want ? MX_OK : MX_NO_FAMILY);
    }
}

static void addresses_are_capped_and_balanced(void **state)
{
    struct mx_rules rules = rules_new();
    struct mx_plan plan;
    size_t four = 0;

    plan_of(*state,
            "MX=10/a.example,20/b.example a.example=192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,"
            "192.0.2.7,192.0.2.8,192.0.2.9,192.0.2.10,192.0.2.11 b.example=2001:db8::1,2001:db8::2",
            &rules, &plan);
    assert_int_equal(plan.n, MX_ADDRESSES_MAX);
    for (size_t i = 0; i < plan.n; i++)
        four += network_is_ipv4(&plan.hosts[i].address);
    assert_int_equal(four, 8); /* both of the other family have their place */
}

/* Every host of a preference comes first for some seed, none of a worse one ever. */
static void the_seed_shuffles_within_a_preference(void **state)
{
    struct mx_rules rules = rules_new();
    unsigned first[4] = { 0 };
    struct mx_plan plan;

    for (rules.seed = 1; rules.seed <= 300; rules.seed++) {
        plan_of(*state,
                "MX=20/d.example,10/a.example,10/b.example,10/c.example a.example=192.0.2.0 b.example=192.0.2.1 "
                "c.example=192.0.2.2 d.example=192.0.2.3",
                &rules, &plan);
        assert_int_equal(plan.n, 4);
        first[plan.hosts[0].address.address[15]]++;
        assert_int_equal(plan.hosts[3].address.address[15], 3);
    }
    assert_int_equal(first[3], 0);
    for (int i = 0; i < 3; i++)
        assert_true(first[i] > 60);
}

static void too_many_names_are_cut(void **state)
{
    struct mx_names names;
    struct dns_answer *mx = answer_new(*state, DNS_FOUND);

    for (mx->n = 0; mx->n < 64; mx->n++)
        mx->records[mx->n] =
            (struct dns_record){ arena_bytesf(*state, "m%zu.example", mx->n), (uint16_t)(100 - mx->n) };
    mx_names(BYTES("d.example"), mx, 7, *state, &names);
    assert_int_equal(names.n, MX_NAMES_MAX);
    assert_bytes(names.list[0].name, BYTES("m63.example"));
}

static void routes_allow_what_dns_may_not(void **state)
{
    struct mx_rules rules = rules_new();
    const struct bytes hosts[] = { BYTES("relay.example"), BYTES("mail.ours.example") };
    struct mx_addresses addresses[2];
    struct mx_names names;
    struct mx_plan plan;

    mx_names_of(hosts, 2, *state, &names);
    addresses[0] = (struct mx_addresses){ address_answer(*state, BYTES("10.0.0.1"), true), NULL };
    addresses[1] = (struct mx_addresses){ address_answer(*state, BYTES("203.0.113.1"), true), NULL };
    mx_plan(&names, addresses, &rules, *state, &plan);
    assert_int_equal(plan.verdict, MX_DENIED);
    rules.allow = BYTES("10.0.0.0/24");
    mx_plan(&names, addresses, &rules, *state, &plan);
    assert_bytes(shown(*state, &plan), BYTES("10.0.0.1"));
    rules.allow = NO_BYTES;
    rules.private_route = true;
    mx_plan(&names, addresses, &rules, *state, &plan);
    assert_bytes(shown(*state, &plan), BYTES("10.0.0.1"));
    rules.any_port = true; /* another port of this machine is another program */
    mx_plan(&names, addresses, &rules, *state, &plan);
    assert_bytes(shown(*state, &plan), BYTES("10.0.0.1 203.0.113.1"));
}

/* As the parameter has them: each network by its first and last address, and what stands beside it. */
static void networks_that_are_denied_from_the_start(void **state)
{
    static const struct {
        const char *address;
        bool denied;
    } rows[] = {
        { "0.0.0.0", true },
        { "0.255.255.255", true },
        { "1.0.0.0", false },
        { "9.255.255.255", false },
        { "10.0.0.0", true },
        { "10.255.255.255", true },
        { "11.0.0.0", false },
        { "100.63.255.255", false },
        { "100.64.0.0", true },
        { "100.127.255.255", true },
        { "100.128.0.0", false },
        { "126.255.255.255", false },
        { "127.0.0.0", true },
        { "127.255.255.255", true },
        { "128.0.0.0", false },
        { "169.253.255.255", false },
        { "169.254.0.0", true },
        { "169.254.169.254", true },
        { "169.254.255.255", true },
        { "169.255.0.0", false },
        { "172.15.255.255", false },
        { "172.16.0.0", true },
        { "172.31.255.255", true },
        { "172.32.0.0", false },
        { "192.0.0.0", true },
        { "192.0.0.255", true },
        { "192.0.1.0", false },
        { "192.0.2.1", true }, /* documentation */
        { "192.167.255.255", false },
        { "192.168.0.0", true },
        { "192.168.255.255", true },
        { "192.169.0.0", false },
        { "198.17.255.255", false },
        { "198.18.0.0", true },
        { "198.19.255.255", true },
        { "198.20.0.0", false },
        { "198.51.100.1", true },
        { "203.0.113.1", true },
        { "223.255.255.255", false },
        { "224.0.0.0", true },
        { "240.0.0.1", true },
        { "255.255.255.255", true },
        { "::", true },
        { "::1", true },
        { "2606:4700::1", false },
        { "2001:db8::1", true },
        { "fbff:ffff::1", false },
        { "fc00::1", true },
        { "fdff:ffff::1", true },
        { "fe80::1", true },
        { "febf::1", true },
        { "ff02::1", true },
        { "::ffff:10.0.0.1", true },
        { "::ffff:8.8.8.8", false },
        { "64:ff9b::10.0.0.1", true },
        { "64:ff9b::8.8.8.8", false },
        { "2002:a00:1::1", true }, /* 6to4 of 10.0.0.1 */
        { "2002:808:808::1", false },
    };
    struct mx_rules rules = { .has_v4 = true, .has_v6 = true };
    struct mx_plan plan;
    struct network n;

    params_init();
    rules.deny = PARAM_TEXT(delivery, deny);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(network_parse_address(bytes_of(rows[i].address), &n));
        mx_plan_literal(&n, &rules, *state, &plan);
        if (plan.verdict != (rows[i].denied ? MX_DENIED : MX_OK))
            fail_msg("%s: %d", rows[i].address, (int)plan.verdict);
        plan_of(*state, arena_printf(*state, "MX=10/a.example a.example=%s", rows[i].address), &rules, &plan);
        if (plan.verdict != (rows[i].denied ? MX_DENIED : MX_OK))
            fail_msg("a host at %s: %d", rows[i].address, (int)plan.verdict);
    }
}

static void literals(void **state)
{
    static const struct {
        const char *text, *address;
        enum mx_verdict verdict;
    } rows[] = {
        { "[192.0.2.7]", "192.0.2.7", MX_OK },
        { "[IPv6:2001:db8::1]", "2001:db8::1", MX_OK },
        { "[ipv6:2001:db8::1]", "2001:db8::1", MX_OK },
        { "192.0.2.7", "192.0.2.7", MX_OK },
        { "[127.0.0.1]", "127.0.0.1", MX_DENIED },
        { "[203.0.113.1]", "203.0.113.1", MX_LOOP },
        { "[IPv6:::ffff:127.0.0.1]", "127.0.0.1", MX_DENIED },
        { "[2001:db8::1]", NULL, MX_OK },
        { "[IPv6:192.0.2.7]", NULL, MX_OK },
        { "[192.0.2.7", NULL, MX_OK },
        { "example.org", NULL, MX_OK },
        { "[]", NULL, MX_OK },
    };
    struct mx_rules rules = rules_new();
    struct network n;
    struct mx_plan plan;
    char text[NETWORK_TEXT];

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (mx_literal(bytes_of(rows[i].text), &n) != (rows[i].address != NULL))
            fail_msg("%s", rows[i].text);
        if (!rows[i].address)
            continue;
        assert_bytes(network_show(&n, text), bytes_of(rows[i].address));
        mx_plan_literal(&n, &rules, *state, &plan);
        assert_int_equal(plan.verdict, rows[i].verdict);
        assert_int_equal(plan.n, rows[i].verdict == MX_OK);
    }
}

static void plans_live_within_bounds(void **state)
{
    static const unsigned ttl[][2] = { { 0, 60 }, { 59, 60 }, { 600, 600 }, { 86400, 3600 } };
    struct mx_rules rules = rules_new();
    struct mx_names names;
    struct mx_plan plan;

    for (size_t i = 0; i < COUNT(ttl); i++) {
        struct dns_answer *mx = mx_answer(*state, "MX=10/a.example"),
                          *a = address_answer(*state, BYTES("192.0.2.1"), true);
        struct mx_addresses addresses = { a, NULL };

        mx->ttl = 90000;
        a->ttl = ttl[i][0];
        mx_names(BYTES("d.example"), mx, 0, *state, &names);
        mx_plan(&names, &addresses, &rules, *state, &plan);
        assert_int_equal(plan.ttl, ttl[i][1]);
    }
}

static void groups_are_the_best_names(void **state)
{
    struct mx_names names;

    mx_names(BYTES("d.example"), mx_answer(*state, "MX=10/b.example,20/c.example,10/A.example"), 3, *state, &names);
    assert_bytes(mx_group(&names, *state), BYTES("a.example,b.example"));
}

static void a_resolver_that_knows_nothing_is_suspect(void **state)
{
    struct mx_guard guard = { 0 };
    bool suspect = false;
    char domain[32];

    (void)state;
    for (int i = 0; i < 100; i++) /* the same one again and again says nothing of others */
        assert_int_equal(mx_guard(&guard, BYTES("same.example"), MX_NO_DOMAIN, &suspect), MX_NO_DOMAIN);
    for (int i = 0; i < MX_GUARD_MAX - 1; i++) {
        assert_false(suspect);
        snprintf(domain, sizeof domain, "d%d.example", i);
        mx_guard(&guard, bytes_of(domain), MX_NO_DOMAIN, &suspect);
    }
    assert_true(suspect);
    assert_int_equal(mx_guard(&guard, BYTES("same.example"), MX_NO_DOMAIN, &suspect), MX_TEMPORARY);
    assert_int_equal(mx_guard(&guard, BYTES("x.example"), MX_TEMPORARY, &suspect), MX_TEMPORARY);
    assert_true(suspect);
    assert_int_equal(mx_guard(&guard, BYTES("good.example"), MX_OK, &suspect), MX_OK);
    assert_false(suspect);
    assert_int_equal(mx_guard(&guard, BYTES("same.example"), MX_NO_DOMAIN, &suspect), MX_NO_DOMAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_dns_says),
        ARENA_TEST(unusable_ends_at_the_third_time),
        ARENA_TEST(families_take_turns),
        ARENA_TEST(addresses_are_capped_and_balanced),
        ARENA_TEST(the_seed_shuffles_within_a_preference),
        ARENA_TEST(too_many_names_are_cut),
        ARENA_TEST(routes_allow_what_dns_may_not),
        ARENA_TEST(networks_that_are_denied_from_the_start),
        ARENA_TEST(literals),
        ARENA_TEST(plans_live_within_bounds),
        ARENA_TEST(groups_are_the_best_names),
        cmocka_unit_test(a_resolver_that_knows_nothing_is_suspect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
