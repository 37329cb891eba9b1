/* mail/spf.h: whom a record lets send, what it costs, and how ours comes into it. */
#include "tests/mail/suite.h"
#include "tests/mail/zone.h"

#include "mail/spf.h"

struct row {
    const char *what, *zone[ZONE_ROWS];
    enum spf_result want;
    unsigned lookups;
    const char *why, *merged; /* merged: of what spf_merge makes */
};

/* Ours are 192.0.2.1 and 2001:db8::1 of mail.us.example; the record that is judged is of d.example. */
#define US "mail.us.example A 192.0.2.1", "mail.us.example AAAA 2001:db8::1"

static const struct row rows[] = {
    { "none", { US }, SPF_NO_RECORD, 0, "", "v=spf1 a:mail.us.example ~all" },
    { "another TXT",
      { US, "d.example TXT google-site-verification=x" },
      SPF_NO_RECORD,
      0,
      "",
      "v=spf1 a:mail.us.example ~all" },
    { "ours", { US, "d.example TXT v=spf1 a:mail.us.example ~all" }, SPF_FINE, 1, "", NULL },
    { "in capitals", { US, "d.example TXT V=SPF1 A:MAIL.us.example -ALL" }, SPF_FINE, 1, "", NULL },
    { "by address", { US, "d.example TXT v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 -all" }, SPF_FINE, 0, "", NULL },
    { "one family",
      { US, "d.example TXT v=spf1 ip4:192.0.2.1 -all" },
      SPF_STRANGER,
      0,
      "2001:db8::1",
      "v=spf1 ip4:192.0.2.1 a:mail.us.example -all" },
    { "its own MX", { US, "d.example MX 10 mail.us.example", "d.example TXT v=spf1 mx -all" }, SPF_FINE, 1, "", NULL },
    { "its own A",
      { US, "d.example A 192.0.2.9", "d.example TXT v=spf1 a/24 ip6:2001:db8::1 -all" },
      SPF_FINE,
      1,
      "",
      NULL },
    { "included",
      { US, "d.example TXT v=spf1 include:_spf.us.example ~all", "_spf.us.example TXT v=spf1 a:mail.us.example -all" },
      SPF_FINE,
      2,
      "",
      NULL },
    { "others only",
      { US, "d.example TXT v=spf1 include:_spf.mailer.example -all",
        "_spf.mailer.example TXT v=spf1 ip4:198.51.100.0/24 ~all" },
      SPF_STRANGER,
      1,
      "192.0.2.1",
      "v=spf1 include:_spf.mailer.example a:mail.us.example -all" },
    { "behind all",
      { US, "d.example TXT v=spf1 -all a:mail.us.example" },
      SPF_STRANGER,
      0,
      "192.0.2.1",
      "v=spf1 a:mail.us.example -all" },
    { "refused by name",
      { US, "d.example TXT v=spf1 -a:mail.us.example ~all" },
      SPF_STRANGER,
      1,
      "192.0.2.1",
      "v=spf1 -a:mail.us.example a:mail.us.example ~all" },
    { "everybody", { US, "d.example TXT v=spf1 +all" }, SPF_FINE, 0, "", NULL },
    { "redirected",
      { US, "d.example TXT v=spf1 redirect=_spf.us.example", "_spf.us.example TXT v=spf1 a:mail.us.example -all" },
      SPF_FINE,
      2,
      "",
      NULL },
    { "redirected elsewhere",
      { US, "d.example TXT v=spf1 redirect=_spf.x.example", "_spf.x.example TXT v=spf1 -all" },
      SPF_STRANGER,
      1,
      "192.0.2.1",
      "v=spf1 a:mail.us.example redirect=_spf.x.example" },
    { "two records",
      { US, "d.example TXT v=spf1 include:a.example -all",
        "d.example TXT v=spf1 a:mail.us.example include:a.example ~all" },
      SPF_BROKEN,
      0,
      "2 SPF records",
      "v=spf1 include:a.example a:mail.us.example ~all" },
    { "two, one redirected",
      { US, "d.example TXT v=spf1 mx redirect=r.example", "d.example TXT v=spf1 ip4:192.0.2.7 ?all" },
      SPF_BROKEN,
      0,
      "2 SPF records",
      "v=spf1 mx include:r.example ip4:192.0.2.7 a:mail.us.example ?all" },
    { "an include without a record",
      { US, "d.example TXT v=spf1 include:gone.example a:mail.us.example ~all" },
      SPF_BROKEN,
      2,
      "includes gone.example",
      "v=spf1 a:mail.us.example ~all" },
    { "an unknown word", { US, "d.example TXT v=spf1 ipv4:192.0.2.1 ~all" }, SPF_BROKEN, 0, "\"ipv4\"", NULL },
    { "no address", { US, "d.example TXT v=spf1 ip4:mail.us.example ~all" }, SPF_BROKEN, 0, "is no address", NULL },
    { "in a ring",
      { US, "d.example TXT v=spf1 include:e.example ~all", "e.example TXT v=spf1 include:d.example ~all" },
      SPF_BROKEN,
      10,
      "without an end",
      NULL },
    { "too dear",
      { US, "d.example TXT v=spf1 include:e.example a:mail.us.example ~all",
        "e.example TXT v=spf1 include:f.example include:f.example include:f.example ~all",
        "f.example TXT v=spf1 a mx ~all", "f.example A 192.0.2.50", "f.example AAAA 2001:db8::50",
        "f.example MX 0 f.example" },
      SPF_BROKEN,
      11,
      "costs 11 lookups",
      NULL },
    { "ours would be one too many",
      { US, "d.example TXT v=spf1 include:e.example ~all",
        "e.example TXT v=spf1 include:f.example include:f.example include:f.example ~all",
        "f.example TXT v=spf1 a mx ~all", "f.example A 192.0.2.50", "f.example AAAA 2001:db8::50",
        "f.example MX 0 f.example" },
      SPF_STRANGER,
      10,
      "192.0.2.1",
      "v=spf1 include:e.example ip4:192.0.2.1 ip6:2001:db8::1 ~all" },
    { "without measure",
      { US,
        "d.example TXT v=spf1 include:e.example include:e.example include:e.example include:e.example "
        "include:e.example ~all",
        "e.example TXT v=spf1 include:f.example include:f.example include:f.example include:f.example "
        "include:f.example ~all",
        "f.example TXT v=spf1 include:g.example include:g.example include:g.example include:g.example "
        "include:g.example ~all",
        "g.example TXT v=spf1 include:h.example include:h.example include:h.example include:h.example "
        "include:h.example ~all",
        "h.example TXT v=spf1 ip4:192.0.2.1 ~all" },
      SPF_BROKEN,
      41,
      "more than 40",
      NULL },
    { "names without records",
      { US, "d.example TXT v=spf1 a:x.example a:y.example a:z.example a:mail.us.example ~all" },
      SPF_BROKEN,
      4,
      "3 of its names",
      NULL },
    { "a macro",
      { US, "d.example TXT v=spf1 exists:%{i}._spf.m.example a:mail.us.example ~all" },
      SPF_FINE,
      2,
      "",
      NULL },
    { "away", { US, "d.example TXT !" }, SPF_UNKNOWN, 0, "no answer in time", NULL },
    { "an include that is away",
      { US, "d.example TXT v=spf1 include:i.example ~all", "i.example TXT !" },
      SPF_UNKNOWN,
      1,
      "i.example",
      NULL },
    { "without an end of its own",
      { US, "d.example TXT v=spf1 ip4:192.0.2.9" },
      SPF_STRANGER,
      0,
      "192.0.2.1",
      "v=spf1 ip4:192.0.2.9 a:mail.us.example" },
};

struct judging {
    struct lookups l;
    struct spf_sender us;
    struct spf_view view;
};

static void judge(void *arg)
{
    struct judging *j = arg;

    spf_judge(&j->l, BYTES("d.example"), &j->us, &j->view);
}

static void whom_a_record_lets_send(void **state)
{
    struct network us[2];

    assert_true(network_parse_address(BYTES("192.0.2.1"), &us[0]) &&
                network_parse_address(BYTES("2001:db8::1"), &us[1]));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct arena *a = *state;
        struct judging j = { .us = { BYTES("a:mail.us.example"), us, 2 } };
        struct bytes merged;

        lookups_init(&j.l, a);
        zone_rounds(r->zone, &j.l, a, judge, &j);
        if (j.view.result != r->want)
            fail_msg("%s: %d instead of %d (%.*s)", r->what, j.view.result, r->want, SHOW(j.view.why));
        if (j.view.result != SPF_NO_RECORD && j.view.lookups < r->lookups)
            fail_msg("%s: %u lookups instead of %u", r->what, j.view.lookups, r->lookups);
        if (*r->why && !strstr(arena_text(a, j.view.why), r->why))
            fail_msg("%s: \"%.*s\" without \"%s\"", r->what, SHOW(j.view.why), r->why);
        merged = spf_merge(a, &j.view, &j.us);
        if (r->merged && !bytes_equal(merged, bytes_of(r->merged)))
            fail_msg("%s: %.*s", r->what, SHOW(merged));
    }
}

/* What is proposed is right, whatever stood there. */
static void what_is_proposed_lets_us_send(void **state)
{
    struct network us[2];

    assert_true(network_parse_address(BYTES("192.0.2.1"), &us[0]) &&
                network_parse_address(BYTES("2001:db8::1"), &us[1]));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *zone[ZONE_ROWS] = { NULL };
        struct arena *a = *state;
        struct judging j = { .us = { BYTES("a:mail.us.example"), us, 2 } };
        size_t n = 0;

        if (!rows[i].merged)
            continue;
        for (size_t k = 0; rows[i].zone[k]; k++)
            if (strncmp(rows[i].zone[k], "d.example TXT v=spf1", 20) != 0)
                zone[n++] = rows[i].zone[k];
        zone[n++] = arena_printf(a, "d.example TXT %s", rows[i].merged);
        zone[n++] = "a.example TXT v=spf1 ip4:192.0.2.77 -all";
        zone[n++] = "r.example TXT v=spf1 ip4:192.0.2.78 -all";
        lookups_init(&j.l, a);
        zone_rounds(zone, &j.l, a, judge, &j);
        if (j.view.result != SPF_FINE)
            fail_msg("%s: %d (%.*s)", rows[i].what, j.view.result, SHOW(j.view.why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(whom_a_record_lets_send),
        ARENA_TEST(what_is_proposed_lets_us_send),
    };

    return cmocka_run_group_tests_name("mail/spf", tests, NULL, NULL);
}
