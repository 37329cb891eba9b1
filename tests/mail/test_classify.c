/* mail/classify.h: what replies of well-known servers mean, how own rules come first, and which rules are refused */
#include "tests/mail/suite.h"

#include "mail/classify.h"

struct row {
    int code;
    const char *enhanced, *text;
    enum why why;
    enum permanence permanence;
};

static struct classifier *rules_of(const char *own)
{
    struct classifier *c = NULL;
    struct err e = { 0 };

    if (!classifier_new(bytes_of(own), &c, &e))
        fail_msg("%s", e.message);
    return c;
}

static struct meaning ask(const struct classifier *c, const struct row *r)
{
    return classify(c,
                    &(struct refusal){ .code = r->code, .enhanced = bytes_of(r->enhanced), .text = bytes_of(r->text) });
}

/* Written after what these servers say, not copied from a collection. */
static void replies_have_a_meaning(void **state)
{
    static const struct row rows[] = {
        { 550, "5.1.1", "The email account that you tried to reach does not exist.", WHY_UNKNOWN_USER,
          PERMANENCE_PERMANENT },
        { 550, "5.1.1", "<ana@example.org>: Recipient address rejected: User unknown in local recipient table",
          WHY_UNKNOWN_USER, PERMANENCE_PERMANENT },
        { 554, NULL, "delivery error: dd This user doesn't have a example.com account", WHY_UNKNOWN_USER,
          PERMANENCE_PERMANENT },
        { 550, NULL, "Requested action not taken: mailbox unavailable", WHY_UNKNOWN_USER, PERMANENCE_PERMANENT },
        { 550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", WHY_UNKNOWN_USER,
          PERMANENCE_PERMANENT },
        { 550, "5.2.1", "The email account that you tried to reach is disabled.", WHY_INACTIVE_USER,
          PERMANENCE_UNDETERMINED },
        { 525, "5.7.13", "refused", WHY_INACTIVE_USER, PERMANENCE_UNDETERMINED },
        { 552, "5.2.2", "The recipient's inbox is out of storage space", WHY_MAILBOX_FULL, PERMANENCE_TEMPORARY },
        { 452, "4.2.2", "Mailbox full", WHY_MAILBOX_FULL, PERMANENCE_TEMPORARY },
        { 550, NULL, "user ana over quota", WHY_MAILBOX_FULL, PERMANENCE_TEMPORARY },
        { 550, "5.1.2", "Host unknown (Name server: host not found)", WHY_UNKNOWN_DOMAIN, PERMANENCE_PERMANENT },
        { 556, "5.1.10", "Recipient address has a null MX", WHY_UNKNOWN_DOMAIN, PERMANENCE_PERMANENT },
        { 450, "4.2.0", "<ana@example.org>: Recipient address rejected: Greylisted, see http://x.example", WHY_GREYLIST,
          PERMANENCE_TEMPORARY },
        { 421, "4.7.0",
          "[TS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
          WHY_REPUTATION, PERMANENCE_BLOCK },
        { 450, "4.2.1", "The user you are trying to contact is receiving mail at a rate that prevents", WHY_RATE,
          PERMANENCE_TEMPORARY },
        { 421, NULL, "Too many concurrent SMTP connections", WHY_RATE, PERMANENCE_TEMPORARY },
        { 550, NULL, "5.2.121 ReceivingRatePerm; the mailbox gets too much", WHY_RATE, PERMANENCE_TEMPORARY },
        { 550, NULL, "Sender bo@example.net has no A, AAAA, or MX DNS records", WHY_SENDER_REJECTED, PERMANENCE_BLOCK },
        { 550, NULL, "Sorry, I cannot deliver mail for bo@example.org", WHY_UNKNOWN_USER, PERMANENCE_PERMANENT },
        { 498, NULL, "No MX for example.org", WHY_DNS, PERMANENCE_TEMPORARY },
        { 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", WHY_REPUTATION,
          PERMANENCE_BLOCK },
        { 550, "5.7.1", "Our system has detected an unusual rate of unsolicited mail originating from your IP",
          WHY_RATE, PERMANENCE_TEMPORARY },
        { 550, "5.7.26", "This mail is unauthenticated", WHY_AUTH, PERMANENCE_BLOCK },
        { 550, "5.7.1", "Rejected by the DMARC policy of example.net", WHY_AUTH, PERMANENCE_BLOCK },
        { 550, "5.7.25", "The IP address sending this message does not have a PTR record", WHY_AUTH, PERMANENCE_BLOCK },
        { 550, "5.7.1", "Connected but sender was rejected: Access denied", WHY_SENDER_REJECTED, PERMANENCE_BLOCK },
        { 550, NULL, "You may not have permission to post messages to the group", WHY_SENDER_REJECTED,
          PERMANENCE_BLOCK },
        { 554, NULL, "mx.example.org ESMTP not accepting connections", WHY_REPUTATION, PERMANENCE_BLOCK },
        { 550, "5.7.1", "Messages with several addresses in From: header are not accepted", WHY_PROTOCOL,
          PERMANENCE_PERMANENT },
        { 554, NULL, "Host network not allowed", WHY_POLICY, PERMANENCE_BLOCK },
        { 554, "5.7.1", "This message looks like spam", WHY_SPAM_CONTENT, PERMANENCE_BLOCK },
        { 554, "5.6.1", "Message contains a virus", WHY_VIRUS, PERMANENCE_PERMANENT },
        { 552, "5.3.4", "Message size exceeds fixed limit", WHY_TOO_LARGE, PERMANENCE_PERMANENT },
        { 554, "5.7.1", "<ana@example.org>: Relay access denied", WHY_RELAY_DENIED, PERMANENCE_BLOCK },
        { 554, "5.4.6", "Too many hops", WHY_LOOP, PERMANENCE_PERMANENT },
        { 530, "5.7.0", "Must issue a STARTTLS command first", WHY_TLS, PERMANENCE_PERMANENT },
        { 553, "5.1.8", "Domain of sender address bo@example.net does not exist", WHY_SENDER_REJECTED,
          PERMANENCE_BLOCK },
        { 0, "4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection timed out", WHY_NETWORK,
          PERMANENCE_TEMPORARY },
        { 451, "4.3.0", "Temporary local problem", WHY_SYSTEM, PERMANENCE_TEMPORARY },
        { 500, "5.5.2", "Syntax error", WHY_PROTOCOL, PERMANENCE_PERMANENT },
        { 550, "5.7.1", "Not taken here", WHY_POLICY, PERMANENCE_BLOCK },
        { 554, NULL, "Nope", WHY_UNDETERMINED, PERMANENCE_PERMANENT },
        { 0, NULL, NULL, WHY_UNDETERMINED, PERMANENCE_UNDETERMINED },
    };
    struct classifier *c = rules_of(NULL);
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct meaning m = ask(c, &rows[i]);

        if (m.why == rows[i].why && m.permanence == rows[i].permanence)
            continue;
        wrong++;
        print_error("%d %s: %.*s, %.*s by %s\n", rows[i].code, rows[i].text, SHOW(why_text(m.why)),
                    SHOW(permanence_text(m.permanence)), m.rule);
    }
    classifier_free(&c);
    assert_int_equal(wrong, 0);
}

/* The same words mean another thing to another command, and less where nobody says which it was. */
static void the_command_counts(void **state)
{
    static const struct {
        enum refused_at at;
        const char *text;
        enum why why;
        enum permanence permanence;
    } rows[] = {
        { REFUSED_RCPT, "User unknown", WHY_UNKNOWN_USER, PERMANENCE_PERMANENT },
        { REFUSED_ANYWHERE, "User unknown", WHY_UNKNOWN_USER, PERMANENCE_UNDETERMINED },
        { REFUSED_DATA, "User unknown", WHY_POLICY, PERMANENCE_UNDETERMINED },
        { REFUSED_MAIL, "example.org does not exist", WHY_SENDER_REJECTED, PERMANENCE_BLOCK },
        { REFUSED_RCPT, "this address does not exist", WHY_UNKNOWN_USER, PERMANENCE_PERMANENT },
        { REFUSED_CONNECT, "go away", WHY_REPUTATION, PERMANENCE_BLOCK },
        { REFUSED_RCPT, "go away", WHY_UNDETERMINED, PERMANENCE_PERMANENT },
    };
    struct classifier *c = rules_of(NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct refusal r = { .at = rows[i].at, .code = 550, .text = bytes_of(rows[i].text) };
        struct meaning m = classify(c, &r);

        if (m.why != rows[i].why || m.permanence != rows[i].permanence)
            fail_msg("row %zu: %.*s by %s", i, SHOW(why_text(m.why)), m.rule);
    }
    classifier_free(&c);
}

static void own_rules_come_first(void **state)
{
    struct classifier *c = rules_of("{\"rules\":["
                                    "{\"id\":\"any\",\"match\":[\"ZZ*top\"],\"cause\":\"policy\"},"
                                    "{\"id\":\"late\",\"phase\":\"data\",\"code\":\"55\",\"cause\":\"virus\"},"
                                    "{\"id\":\"five\",\"enhanced\":\"x.1.1\",\"cause\":\"expired\"},"
                                    "{\"id\":\"theirs\",\"provider\":\"Big\",\"match\":[\"zz\"],"
                                    "\"cause\":\"rate\",\"permanence\":\"block\"}]}");
    struct refusal r = { .code = 454, .text = BYTES("a zz\r\n\t on  TOP") };

    (void)state;
    assert_string_equal(classify(c, &r).rule, "any");
    assert_int_equal(classify(c, &r).permanence, PERMANENCE_TEMPORARY);
    r.provider = BYTES("bIG");
    assert_string_equal(classify(c, &r).rule, "theirs");
    r = (struct refusal){ .code = 550, .at = REFUSED_DATA };
    assert_string_equal(classify(c, &r).rule, "late");
    r.at = REFUSED_RCPT;
    assert_string_equal(classify(c, &r).rule, "code");
    r.enhanced = BYTES("5.1.1");
    assert_string_equal(classify(c, &r).rule, "five");
    r.enhanced = BYTES("5.1.10");
    assert_string_equal(classify(c, &r).rule, "iana/5.1.2");
    r = (struct refusal){ .code = 454, .text = BYTES("top zz") };
    assert_string_not_equal(classify(c, &r).rule, "any");
    classifier_free(&c);
}

static void bad_rules_are_refused(void **state)
{
    static const char *const rows[] = {
        "{}",
        "[]",
        "{\"rules\":{}}",
        "{\"rules\":[]",
        "{\"rules\":[],\"more\":1}",
        "{\"rules\":[1]}",
        "{\"rules\":[{\"cause\":\"rate\"}]}",
        "{\"rules\":[{\"id\":\"a\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"bad luck\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"permanence\":\"so so\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"phase\":\"moon\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"code\":\"5?\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"code\":5}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"match\":\"text\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"match\":[1]}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"match\":[\" \"]}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"do\":\"suspend\"}]}",
        "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\"},{\"id\":\"a\",\"cause\":\"rate\"}]}",
    };
    struct classifier *c = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = { 0 };

        if (classifier_new(bytes_of(rows[i]), &c, &e))
            fail_msg("taken: %s", rows[i]);
        assert_true(e.message[0]);
    }
}

static void names_are_those_of_the_api(void **state)
{
    enum why why = WHY_UNDETERMINED;
    enum permanence p = PERMANENCE_UNDETERMINED;

    (void)state;
    for (int i = 0; i < WHYS; i++)
        assert_true(why_of(why_text((enum why)i), &why) && (int)why == i);
    for (int i = 0; i < PERMANENCES; i++)
        assert_true(permanence_of(permanence_text((enum permanence)i), &p) && (int)p == i);
    assert_false(why_of(BYTES("Rate"), &why) || permanence_of(NO_BYTES, &p));
    assert_true(meaning_suppresses((struct meaning){ WHY_UNKNOWN_USER, PERMANENCE_PERMANENT, "" }));
    assert_false(meaning_suppresses((struct meaning){ WHY_UNKNOWN_USER, PERMANENCE_UNDETERMINED, "" }));
    assert_false(meaning_suppresses((struct meaning){ WHY_POLICY, PERMANENCE_PERMANENT, "" }));
}

/* A text and a pattern that would make an engine that goes back do so for ever. */
static void hostile_texts_take_no_time(void **state)
{
    struct buf rule, text;
    struct classifier *c = NULL;

    (void)state;
    buf_init(&rule, 1 << 16);
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 4000; i++)
        buf_addc(&text, 'a');
    buf_adds(&rule, "{\"rules\":[{\"id\":\"a\",\"cause\":\"rate\",\"match\":[\"");
    for (int i = 0; i < 2000; i++)
        buf_adds(&rule, "a*");
    buf_adds(&rule, "b\"]}]}");
    buf_addc(&rule, 0);
    c = rules_of(rule.p);
    for (int i = 0; i < 100; i++)
        assert_string_equal(classify(c, &(struct refusal){ .text = buf_bytes(&text) }).rule, "code");
    classifier_free(&c);
    buf_clear(&rule);
    buf_clear(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_have_a_meaning),     cmocka_unit_test(the_command_counts),
        cmocka_unit_test(own_rules_come_first),       cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(names_are_those_of_the_api), cmocka_unit_test(hostile_texts_take_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
