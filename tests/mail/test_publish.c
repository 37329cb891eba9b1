/* mail/publish.h: how each record of a domain stands by what the DNS says, how it is mended, and what all prove. */
#include "tests/mail/suite.h"
#include "tests/mail/zone.h"

#include "mail/publish.h"

#define TOKEN  "postrider-verification=dom_1"
#define KEY    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define OTHER  "v=DKIM1; k=ed25519; p=5bo7WX2MqpSBJB2OYeGDAhBcPZ7EKFUSzgTtjZHKYlE="
#define EMPTY  "v=DKIM1; k=ed25519; p="
#define KEY_AT "k1._domainkey.d.example"
/* Of our own host: as an operator has it. */
#define US    "mail.us.example A 192.0.2.1", "mail.us.example TXT v=spf1 a -all"
#define OWN   "_postrider.d.example TXT " TOKEN
#define DKIM  KEY_AT " TXT " KEY
#define SPF   "d.example TXT v=spf1 a:mail.us.example ~all"
#define RP    "rp.d.example CNAME mail.us.example"
#define DMARC "_dmarc.d.example TXT v=DMARC1; p=none"
#define MX    "d.example MX 10 mail.us.example"

struct row {
    const char *what, *zone[ZONE_ROWS];
    const char *want; /* statuses in order: ownership, dkim, spf, return path, dmarc, mx; o w m p t */
    const char *fix;  /* stands in the fix of the first that is not ok */
    enum publish_proof proof;
};

static const struct row rows[] = {
    { "all there", { US, OWN, DKIM, SPF, RP, DMARC, MX }, "oooooo", NULL, PUBLISH_PROVED },
    { "nothing",
      { US },
      "mmmmmm",
      "Add a TXT record at _postrider.d.example with the value: " TOKEN,
      PUBLISH_DISPROVED },
    { "own and SPF",
      { US, OWN, SPF },
      "omommm",
      "Add a TXT record at " KEY_AT " with the value: " KEY,
      PUBLISH_PROVED },
    { "DKIM and return path", { US, DKIM, RP }, "momomm", "_postrider", PUBLISH_PROVED },
    { "own alone",
      { US, OWN, DKIM, MX, DMARC },
      "oommoo",
      "Add a TXT record at d.example with the value: v=spf1 a:mail.us.example ~all",
      PUBLISH_DISPROVED },
    { "SPF alone", { US, SPF, RP }, "mmoomm", "_postrider", PUBLISH_DISPROVED },
    { "another token",
      { US, "_postrider.d.example TXT postrider-verification=dom_2", DKIM, SPF, RP, DMARC, MX },
      "wooooo",
      "Another value was found. Publish a TXT record at _postrider.d.example",
      PUBLISH_PROVED },
    { "two tokens",
      { US, "_postrider.d.example TXT postrider-verification=dom_2", OWN, DKIM, SPF, RP, DMARC, MX },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "in quotes",
      { US, "_postrider.d.example TXT \"" TOKEN "\"", DKIM, SPF, RP, DMARC, MX },
      "wooooo",
      "quotation marks",
      PUBLISH_PROVED },
    { "the domain twice",
      { US, "_postrider.d.example.d.example TXT " TOKEN, DKIM, SPF, RP, DMARC, MX },
      "mooooo",
      "enter only \"_postrider\"",
      PUBLISH_PROVED },
    { "an alias elsewhere",
      { US, "_postrider.d.example CNAME parked.example", "parked.example TXT hello", DKIM, SPF, RP, DMARC, MX },
      "wooooo",
      "a CNAME of parked.example",
      PUBLISH_PROVED },
    { "an alias that has it",
      { US, "_postrider.d.example CNAME x.example", "x.example TXT " TOKEN, DKIM, SPF, RP, DMARC, MX },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "another key",
      { US, OWN, KEY_AT " TXT " OTHER, SPF, RP, DMARC, MX },
      "owoooo",
      "Another value was found. Publish a TXT record at " KEY_AT,
      PUBLISH_PROVED },
    { "two keys",
      { US, OWN, DKIM, KEY_AT " TXT " OTHER, SPF, RP, DMARC, MX },
      "owoooo",
      "remove them",
      PUBLISH_PROVED },
    { "a revoked key",
      { US, OWN, KEY_AT " TXT " EMPTY, SPF, RP, DMARC, MX },
      "owoooo",
      "Another value",
      PUBLISH_PROVED },
    { "a key by an alias",
      { US, OWN, KEY_AT " CNAME k.us.example", "k.us.example TXT " KEY, SPF, RP, DMARC, MX },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "SPF of others",
      { US, OWN, DKIM, "d.example TXT v=spf1 include:_spf.m.example -all",
        "_spf.m.example TXT v=spf1 ip4:198.51.100.1 -all", RP, DMARC, MX },
      "oowooo",
      "Change the TXT record at d.example to: v=spf1 include:_spf.m.example a:mail.us.example -all",
      PUBLISH_PROVED },
    { "two SPF records",
      { US, OWN, DKIM, SPF, "d.example TXT v=spf1 mx -all", RP, DMARC, MX },
      "oowooo",
      "Replace the SPF records at d.example by this one: v=spf1 a:mail.us.example mx ~all",
      PUBLISH_PROVED },
    { "TXT of others beside",
      { US, OWN, DKIM, SPF, "d.example TXT google-site-verification=x", RP, DMARC, MX },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "an SPF that is broken by another",
      { US, OWN, DKIM, "d.example TXT v=spf1 a:mail.us.example include:gone.example ~all", DMARC, MX },
      "oowmoo",
      "gone.example, which has no SPF record",
      PUBLISH_DISPROVED },
    { "return path by records",
      { US, OWN, DKIM, "rp.d.example MX 10 mail.us.example", "rp.d.example TXT v=spf1 a:mail.us.example -all", DMARC,
        MX },
      "oomoooo",
      "d.example with",
      PUBLISH_PROVED },
    { "without its SPF",
      { US, OWN, DKIM, SPF, "rp.d.example MX 10 mail.us.example", DMARC, MX },
      "ooo"
      "om"
      "oo",
      "Add a TXT record at rp.d.example with the value: v=spf1 a:mail.us.example ~all",
      PUBLISH_PROVED },
    { "its MX elsewhere",
      { US, OWN, DKIM, SPF, "rp.d.example MX 10 mx.other.example", "mx.other.example A 192.0.2.99",
        "rp.d.example TXT v=spf1 a:mail.us.example -all", DMARC, MX },
      "ooo"
      "wo"
      "oo",
      "Publish a MX record at rp.d.example with priority 10 and the value: mail.us.example",
      PUBLISH_PROVED },
    { "return path elsewhere",
      { US, OWN, DKIM, SPF, "rp.d.example CNAME bounces.old.example", "bounces.old.example MX 10 mx.old.example", DMARC,
        MX },
      "ooowoo",
      "It leads to bounces.old.example. Publish a CNAME record at rp.d.example with the value: mail.us.example",
      PUBLISH_PROVED },
    { "return path by another name of ours",
      { US, OWN, DKIM, SPF, "rp.d.example CNAME bounce.us.example", "bounce.us.example MX 10 mail.us.example",
        "bounce.us.example TXT v=spf1 a:mail.us.example -all", DMARC, MX },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "an operator without SPF",
      { "mail.us.example A 192.0.2.1", OWN, DKIM, SPF, RP, DMARC, MX },
      "ooowoo",
      "its operator publishes a TXT record at mail.us.example with the value: v=spf1 a -all",
      PUBLISH_PROVED },
    { "an operator whose mail goes elsewhere",
      { US, "mail.us.example MX 10 mx.other.example", OWN, DKIM, SPF, RP, DMARC, MX },
      "ooowoo",
      "does not come to this server",
      PUBLISH_PROVED },
    { "no DMARC",
      { US, OWN, DKIM, SPF, RP, MX },
      "oooomo",
      "Add a TXT record at _dmarc.d.example with the value: v=DMARC1; p=none",
      PUBLISH_PROVED },
    { "strict DMARC",
      { US, OWN, DKIM, SPF, RP, MX, "_dmarc.d.example TXT v=DMARC1;p=reject; rua=mailto:x@d.example" },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "DMARC without a policy",
      { US, OWN, DKIM, SPF, RP, MX, "_dmarc.d.example TXT v=DMARC1; rua=mailto:x@d.example" },
      "oooowo",
      "a policy p=",
      PUBLISH_PROVED },
    { "two DMARC",
      { US, OWN, DKIM, SPF, RP, MX, DMARC, "_dmarc.d.example TXT v=DMARC1; p=reject" },
      "oooowo",
      "2 DMARC records",
      PUBLISH_PROVED },
    { "something else there",
      { US, OWN, DKIM, SPF, RP, MX, "_dmarc.d.example TXT hello" },
      "oooomo",
      "_dmarc.d.example",
      PUBLISH_PROVED },
    { "MX elsewhere",
      { US, OWN, DKIM, SPF, RP, DMARC, "d.example MX 10 mx.other.example" },
      "ooooow",
      "Mail goes to another server. Publish a MX record at d.example",
      PUBLISH_PROVED },
    { "MX elsewhere first",
      { US, OWN, DKIM, SPF, RP, DMARC, MX, "d.example MX 5 mx.other.example" },
      "ooooow",
      "first",
      PUBLISH_PROVED },
    { "MX by another name",
      { US, OWN, DKIM, SPF, RP, DMARC, "d.example MX 10 mx.d.example", "mx.d.example A 192.0.2.1" },
      "oooooo",
      NULL,
      PUBLISH_PROVED },
    { "null MX", { US, OWN, DKIM, SPF, RP, DMARC, "d.example MX 0 " }, "ooooow", "another server", PUBLISH_PROVED },
    { "all away",
      { US, "_postrider.d.example TXT !", KEY_AT " TXT !", "d.example TXT !", "rp.d.example CNAME !",
        "_dmarc.d.example TXT !", "d.example MX !" },
      "tttttt",
      "does not answer for _postrider.d.example (no answer in time)",
      PUBLISH_UNPROVED },
    { "gone but for one that is away",
      { US, "_postrider.d.example TXT !", SPF },
      "tmommm",
      "does not answer",
      PUBLISH_UNPROVED },
    { "SPF away, all else gone", { US, OWN, "d.example TXT !" }, "omtmmm", KEY_AT, PUBLISH_UNPROVED },
    { "return path away",
      { US, OWN, DKIM, "rp.d.example CNAME !", DMARC, MX },
      "oomtoo",
      "Add a TXT record at d.example",
      PUBLISH_UNPROVED },
    { "we have no address", { OWN, DKIM, SPF, DMARC, MX }, "ooomoo", "rp.d.example", PUBLISH_PROVED },
    { "we are away",
      { "mail.us.example A !", "mail.us.example AAAA !", OWN, DKIM, SPF, RP, DMARC, MX },
      "oottot",
      "our own name",
      PUBLISH_UNPROVED },
};

struct judging {
    struct publish_domain d;
    struct lookups l;
    struct arena *a;
    struct publish_out *out;
};

static void judge(void *arg)
{
    struct judging *j = arg;

    publish_judge(&j->d, &j->l, j->a, j->out);
}

static const struct publish_dkim keys[] = {
    { BYTES_ROW(KEY_AT), BYTES_ROW(KEY), PUBLISH_KEY_ACTIVE },
};

static struct judging judged(struct arena *a, const char *const *zone, const struct publish_domain *d)
{
    struct judging j = { .d = *d, .a = a, .out = arena_alloc(a, sizeof *j.out) };

    lookups_init(&j.l, a);
    zone_rounds(zone, &j.l, a, judge, &j);
    return j;
}

static const struct publish_domain domain = { .name = BYTES_ROW("d.example"),
                                              .token = BYTES_ROW(TOKEN),
                                              .host = BYTES_ROW("mail.us.example"),
                                              .inbound = true,
                                              .dkim = keys,
                                              .n_dkim = 1 };

static void how_each_record_stands(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct judging j = judged(*state, r->zone, &domain);
        char got[PUBLISH_RECORDS_MAX + 1] = "";
        const struct publish_record *first = NULL;

        for (size_t k = 0; k < j.out->n; k++) {
            got[k] = "owmpt"[j.out->records[k].status];
            if (!first && got[k] != 'o')
                first = &j.out->records[k];
            if ((got[k] == 'o') == (j.out->records[k].fix.p != NULL))
                fail_msg("%s: %s has %s fix", r->what, j.out->records[k].type, got[k] == 'o' ? "a" : "no");
        }
        if (strcmp(got, r->want) != 0)
            fail_msg("%s: %s instead of %s (%.*s)", r->what, got, r->want, SHOW(first ? first->fix : NO_BYTES));
        if (r->fix && !strstr(arena_text(*state, first->fix), r->fix))
            fail_msg("%s: %.*s", r->what, SHOW(first->fix));
        if (j.out->proof != r->proof)
            fail_msg("%s: proof %d", r->what, j.out->proof);
    }
}

/* What a fix says, done, makes the record right. */
static void a_fix_mends(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct judging before = judged(*state, rows[i].zone, &domain);

        for (size_t k = 0; k < before.out->n; k++) {
            const struct publish_record *r = &before.out->records[k];
            const char *zone[ZONE_ROWS] = { NULL };
            struct judging after;
            size_t n = 0;

            if (r->status != PUBLISH_MISSING && r->status != PUBLISH_WRONG)
                continue;
            for (size_t z = 0; rows[i].zone[z]; z++) {
                struct bytes name, type, value;

                zone_row(rows[i].zone[z], &name, &type, &value);
                if (!bytes_equal(name, r->name) || bytes_starts(value, BYTES("google")))
                    zone[n++] = rows[i].zone[z];
            }
            zone[n++] = arena_printf(*state, "%.*s %s %s%.*s", SHOW(r->name), r->type, r->has_priority ? "10 " : "",
                                     SHOW(r->value));
            after = judged(*state, zone, &domain);
            for (size_t m = 0; m < after.out->n; m++)
                if (after.out->records[m].purpose == r->purpose && strcmp(after.out->records[m].type, r->type) == 0 &&
                    after.out->records[m].status != PUBLISH_OK &&
                    !strstr(arena_text(*state, after.out->records[m].fix), "operator"))
                    fail_msg("%s: \"%.*s\" makes it %d: %.*s", rows[i].what, SHOW(r->fix), after.out->records[m].status,
                             SHOW(after.out->records[m].fix));
        }
    }
}

static void keys_by_their_state(void **state)
{
    static const struct {
        enum publish_key key;
        const char *record, *found, want;
    } cases[] = {
        { PUBLISH_KEY_NEXT, KEY, NULL, 'm' },       { PUBLISH_KEY_NEXT, KEY, KEY, 'o' },
        { PUBLISH_KEY_RETIRING, KEY, KEY, 'o' },    { PUBLISH_KEY_REVOKED, EMPTY, KEY, 'w' },
        { PUBLISH_KEY_REVOKED, EMPTY, EMPTY, 'o' }, { PUBLISH_KEY_REVOKED, EMPTY, NULL, 'o' },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct publish_dkim key = { BYTES(KEY_AT), bytes_of(cases[i].record), cases[i].key };
        const char *zone[ZONE_ROWS] = { US, SPF, NULL };
        struct publish_domain d = domain;
        struct judging j;

        if (cases[i].found)
            zone[3] = arena_printf(*state, KEY_AT " TXT %s", cases[i].found);
        d.dkim = &key;
        j = judged(*state, zone, &d);
        assert_int_equal("owmpt"[j.out->records[1].status], cases[i].want);
        assert_int_equal(j.out->proof, PUBLISH_DISPROVED); /* only a key that signs proves anything */
    }
}

static void a_policy_of_a_domain_above_counts(void **state)
{
    const char *zone[ZONE_ROWS] = { US, "_dmarc.d.example TXT v=DMARC1; p=reject", NULL };
    struct publish_domain d = domain;
    struct judging j;

    d.name = BYTES("a.b.d.example");
    j = judged(*state, zone, &d);
    assert_int_equal(j.out->records[4].status, PUBLISH_OK);
    assert_non_null(strstr(arena_text(*state, j.out->records[4].found[0]), "(of _dmarc.d.example)"));
}

static void without_a_name_of_our_own(void **state)
{
    const char *zone[ZONE_ROWS] = { OWN, DKIM, DMARC, NULL };
    struct publish_domain d = domain;
    struct judging j;

    d.host = NO_BYTES;
    j = judged(*state, zone, &d);
    for (size_t i = 0; i < j.out->n; i++)
        if (j.out->records[i].status == PUBLISH_PENDING)
            assert_non_null(strstr(arena_text(*state, j.out->records[i].fix), "server.hostname"));
    assert_int_equal(j.out->proof, PUBLISH_UNPROVED);
}

/* A book that was written down says the same when it is read again; what is new in the domain was not asked yet. */
static void what_was_said_is_kept(void **state)
{
    const char *zone[ZONE_ROWS] = { US, OWN, DKIM, SPF, RP, "_dmarc.d.example TXT !", NULL };
    struct judging j = judged(*state, zone, &domain);
    struct publish_out *again = arena_alloc(*state, sizeof *again);
    struct publish_dkim two[] = { keys[0], { BYTES("k2._domainkey.d.example"), BYTES(OTHER), PUBLISH_KEY_NEXT } };
    struct publish_domain d = domain;
    struct lookups l;
    struct err e = { 0 };

    d.dkim = two;
    d.n_dkim = 2;
    lookups_init(&l, *state);
    assert_true(lookups_read(&l, lookups_write(&j.l, *state), &e));
    assert_int_equal(l.n, j.l.n);
    publish_judge(&d, &l, *state, again);
    assert_int_equal(again->n, j.out->n + 1);
    for (size_t i = 0; i < j.out->n; i++)
        assert_int_equal(again->records[i < 2 ? i : i + 1].status, j.out->records[i].status);
    assert_int_equal(again->records[2].status, PUBLISH_PENDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(how_each_record_stands),    ARENA_TEST(a_fix_mends),
        ARENA_TEST(keys_by_their_state),       ARENA_TEST(a_policy_of_a_domain_above_counts),
        ARENA_TEST(without_a_name_of_our_own), ARENA_TEST(what_was_said_is_kept),
    };

    return cmocka_run_group_tests_name("mail/publish", tests, crypt_setup, NULL);
}
