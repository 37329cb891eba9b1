/* base/network.h */
#include "check.h"

#include "base/network.h"

/* What is read, and how it is shown; NULL: refused. */
static const struct {
    const char *text, *shown;
} forms[] = {
    { "192.0.2.7", "192.0.2.7" },
    { "192.0.2.0/24", "192.0.2.0/24" },
    { "192.0.2.7/24", "192.0.2.7/24" },
    { "192.0.2.7/32", "192.0.2.7" },
    { "0.0.0.0/0", "0.0.0.0/0" },
    { "2001:db8::1", "2001:db8::1" },
    { "2001:DB8::/32", "2001:db8::/32" },
    { "::/0", "::/0" },
    { "::1", "::1" },
    { "::ffff:192.0.2.7", "192.0.2.7" },
    { "::ffff:c000:0207", "192.0.2.7" },
    { "::ffff:192.0.2.0/120", "192.0.2.0/24" },
    { "::ffff:0:0/96", "0.0.0.0/0" },
    { "::ffff:0:0/95", "::ffff:0.0.0.0/95" },
    { "10.0.0.0/08", "10.0.0.0/8" },
    { "", NULL },
    { "/", NULL },
    { "/8", NULL },
    { "10/8", NULL },
    { "10.1/16", NULL },
    { "010.0.0.1", NULL },
    { "0x7f.0.0.1", NULL },
    { "2130706433", NULL },
    { "10.0.0.0/", NULL },
    { "10.0.0.0/33", NULL },
    { "10.0.0.0/-1", NULL },
    { "10.0.0.0/+8", NULL },
    { "10.0.0.0/8 ", NULL },
    { " 10.0.0.0/8", NULL },
    { "10.0.0.0/8/8", NULL },
    { "10.0.0.0/255.0.0.0", NULL },
    { "10.0.0.0/0000", NULL },
    { "10.0.0.0/4294967304", NULL },
    { "256.0.0.1", NULL },
    { "2001:db8::/129", NULL },
    { "2001:db8::1%eth0", NULL },
    { "[2001:db8::1]", NULL },
    { "1:2:3:4:5:6:7:8:9", NULL },
    { "example.org", NULL },
    { "1111:2222:3333:4444:5555:6666:255.255.255.2555", NULL },
};

static void texts_are_read(void **state)
{
    char shown[NETWORK_TEXT];
    struct network n;

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        bool read = network_parse(bytes_of(forms[i].text), &n);

        if (read != (forms[i].shown != NULL))
            fail_msg("\"%s\" is %s", forms[i].text, read ? "read" : "refused");
        if (read)
            assert_bytes(network_show(&n, shown), bytes_of(forms[i].shown));
    }
    assert_false(network_parse(BYTES("10.0.0.0\0/8"), &n));
    assert_false(network_parse_address(BYTES("10.0.0.0/8"), &n));
    assert_true(network_parse_address(BYTES("10.0.0.0"), &n));
    assert_true(network_is_address(&n) && network_is_ipv4(&n));
}

static void what_a_network_holds(void **state)
{
    static const struct {
        const char *net, *inner;
        bool holds;
    } rows[] = {
        { "192.0.2.0/24", "192.0.2.255", true },
        { "192.0.2.0/24", "192.0.3.0", false },
        { "192.0.2.77/24", "192.0.2.1", true },
        { "192.0.2.0/25", "192.0.2.127", true },
        { "192.0.2.0/25", "192.0.2.128", false },
        { "192.0.2.0/31", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.0/24", "::ffff:192.0.2.9", true },
        { "::ffff:192.0.2.0/120", "192.0.2.9", true },
        { "0.0.0.0/0", "203.0.113.5", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "0.0.0.0/0", "::1", false },
        { "::/0", "2001:db8::1", true },
        { "::/0", "203.0.113.5", false },
        { "::/0", "::ffff:203.0.113.5", false },
        { "::/80", "203.0.113.5", false },
        { "::ffff:0:0/96", "203.0.113.5", true },
        { "2001:db8::/32", "2001:db8:ffff::1", true },
        { "2001:db8::/32", "2001:db9::1", false },
        { "2001:db8::/33", "2001:db8:8000::", false },
        { "fe80::/10", "febf::1", true },
        { "fe80::/10", "fec0::1", false },
        { "10.0.0.0/8", "10.1.0.0/16", true },
        { "10.1.0.0/16", "10.0.0.0/8", false },
        { "10.0.0.0/8", "10.0.0.0/8", true },
    };
    struct network net, inner;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(network_parse(bytes_of(rows[i].net), &net) && network_parse(bytes_of(rows[i].inner), &inner));
        if (network_holds(&net, &inner) != rows[i].holds)
            fail_msg("%s in %s", rows[i].inner, rows[i].net);
    }
}

static void what_an_address_reaches(void **state)
{
    static const struct {
        const char *address, *carried;
        bool denied;
    } rows[] = {
        { "10.1.2.3", NULL, true },
        { "::ffff:10.1.2.3", NULL, true },
        { "64:ff9b::10.1.2.3", "10.1.2.3", true },
        { "64:ff9b::203.0.113.5", "203.0.113.5", false },
        { "64:ff9b:1::10.1.2.3", NULL, false },
        { "2002:0a01:0203::1", "10.1.2.3", true },
        { "2002:cb00:7105::1", "203.0.113.5", false },
        { "::10.1.2.3", "10.1.2.3", true },
        { "2001:db8::5efe:10.1.2.3", "10.1.2.3", true },
        { "2001:db8::200:5efe:10.1.2.3", "10.1.2.3", true },
        { "2001:db8::10.1.2.3", NULL, false },
        { "203.0.113.5", NULL, false },
        { "fd00::1", NULL, true },
    };
    const struct bytes list = BYTES("10.0.0.0/8, fc00::/7,nonsense");
    char shown[NETWORK_TEXT];
    struct network a, carried;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool carries;

        assert_true(network_parse_address(bytes_of(rows[i].address), &a));
        carries = network_carried(&a, &carried);
        if (carries != (rows[i].carried != NULL) || network_list_reaches(list, &a) != rows[i].denied)
            fail_msg("%s", rows[i].address);
        if (carries)
            assert_bytes(network_show(&carried, shown), bytes_of(rows[i].carried));
    }
    assert_true(network_parse(BYTES("64:ff9b::10.1.2.3"), &a));
    assert_false(network_list_holds(list, &a)); /* who is trusted is the address itself */
    assert_false(network_list_holds(NO_BYTES, &a));
}

static void raw_and_loopback(void **state)
{
    static const struct {
        const char *address;
        bool loopback;
    } rows[] = { { "127.0.0.1", true }, { "127.255.0.9", true }, { "128.0.0.1", false },      { "::1", true },
                 { "::2", false },      { "::", false },         { "::ffff:127.0.0.1", true } };
    char shown[NETWORK_TEXT];
    struct network n;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(network_parse_address(bytes_of(rows[i].address), &n));
        assert_int_equal(network_is_loopback(&n), rows[i].loopback);
    }
    assert_true(network_from_raw(BYTES("\xc0\x00\x02\x07"), &n));
    assert_bytes(network_show(&n, shown), BYTES("192.0.2.7"));
    assert_true(network_from_raw(BYTES("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), &n));
    assert_bytes(network_show(&n, shown), BYTES("2001:db8::1"));
    assert_false(network_from_raw(BYTES("\xc0\x00\x02"), &n));
}

static void one_client(void **state)
{
    static const struct {
        const char *address, *client;
    } rows[] = { { "192.0.2.7", "192.0.2.7" },
                 { "::ffff:192.0.2.7", "192.0.2.7" },
                 { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
                 { "::1", "::/64" } };
    char shown[NETWORK_TEXT];
    struct network n;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(network_parse_address(bytes_of(rows[i].address), &n));
        n = network_client(&n);
        assert_bytes(network_show(&n, shown), bytes_of(rows[i].client));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(what_a_network_holds),
        cmocka_unit_test(what_an_address_reaches),
        cmocka_unit_test(raw_and_loopback),
        cmocka_unit_test(one_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
