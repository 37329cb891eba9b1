/* delivery/offer.h */
#include "tests/base/check.h"

#include "delivery/offer.h"

static struct offer offer_of(const char *lines)
{
    struct reply r = { .code = 250, .text = bytes_of(lines) };
    struct offer o;

    offer_read(&r, &o);
    return o;
}

static void answers_are_read(void **state)
{
    static const struct {
        const char *lines;
        struct offer want;
    } rows[] = {
        { "mx.example", { .esmtp = true } },
        { "mx.example\nPIPELINING\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN\nSTARTTLS\nREQUIRETLS\nCHUNKING",
          { .esmtp = true,
            .pipelining = true,
            .size = true,
            .size_max = 1000,
            .eight_bit = true,
            .utf8 = true,
            .dsn = true,
            .starttls = true,
            .require_tls = true,
            .chunking = true } },
        { "mx.example\npipelining \nSize\nx", { .esmtp = true, .pipelining = true, .size = true } },
        { "mx\nSIZE 0", { .esmtp = true, .size = true } },
        { "mx\nSIZE -5", { .esmtp = true, .size = true } },
        { "mx\nSIZE 99999999999999999999", { .esmtp = true, .size = true } },
        { "mx\nAUTH PLAIN LOGIN", { .esmtp = true, .auth_plain = true, .auth_login = true } },
        { "mx\nAUTH=LOGIN CRAM-MD5", { .esmtp = true, .auth_login = true } },
        { "mx\nAUTH  CRAM-MD5   plain ", { .esmtp = true, .auth_plain = true } },
        { "mx\nLIMITS MAILMAX=5 RCPTMAX=10 RCPTDOMAINMAX=1",
          { .esmtp = true, .mail_max = 5, .rcpt_max = 10, .rcpt_domain_max = 1 } },
        { "mx\nLIMITS RCPTMAX=0 MAILMAX=x NEW=7 rcptdomainmax=3", { .esmtp = true, .rcpt_domain_max = 3 } },
        { "PIPELINING\nDSNX\nXDSN", { .esmtp = true } }, /* the first line is a name */
        { "", { .esmtp = true } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct offer got = offer_of(rows[i].lines), want = rows[i].want;

        if (got.pipelining != want.pipelining || got.size != want.size || got.eight_bit != want.eight_bit ||
            got.utf8 != want.utf8 || got.dsn != want.dsn || got.starttls != want.starttls ||
            got.require_tls != want.require_tls || got.chunking != want.chunking || got.auth_plain != want.auth_plain ||
            got.auth_login != want.auth_login || got.size_max != want.size_max || got.mail_max != want.mail_max ||
            got.rcpt_max != want.rcpt_max || got.rcpt_domain_max != want.rcpt_domain_max || got.esmtp != want.esmtp)
            fail_msg("%s", rows[i].lines);
    }
}

#define FULL "mx\nSIZE 5000\n8BITMIME\nSMTPUTF8\nDSN\nREQUIRETLS"

/* What a host offers, what a message needs, under which terms: and what comes of it. */
static void ways_are_found(void **state)
{
    static const struct {
        const char *offered;
        struct needs needs;
        struct terms terms;
        struct manner want;
    } rows[] = {
        { "mx", { .size = 10 }, { 0 }, { 0 } },
        { "mx\nSIZE 10", { .size = 10 }, { 0 }, { .size = true } },
        { "mx\nSIZE 9", { .size = 10 }, { 0 }, { .refusal = REFUSAL_SIZE } },
        { "mx\nSIZE 9", { .size = 10 }, { .last = true }, { .refusal = REFUSAL_SIZE } },
        { "mx\nSIZE", { .size = 10 }, { 0 }, { .size = true } },
        { FULL, { .size = 10, .body_8bit = true }, { 0 }, { .size = true, .body_8bit = true, .dsn = true } },
        { FULL, { .size = 10 }, { 0 }, { .size = true, .dsn = true } },
        { "mx", { .body_8bit = true, .convertible = true }, { 0 }, { .refusal = REFUSAL_EIGHT_BIT } },
        { "mx", { .body_8bit = true, .convertible = true }, { .last = true }, { .convert = true } },
        { "mx", { .body_8bit = true }, { .last = true }, { .refusal = REFUSAL_EIGHT_BIT } },
        { "mx",
          { .body_8bit = true, .convertible = true },
          { EIGHT_BOUNCE, .last = true },
          { .refusal = REFUSAL_EIGHT_BIT } },
        { "mx", { .body_8bit = true }, { EIGHT_SEND, .last = true }, { 0 } },
        { "mx", { .body_8bit = true }, { EIGHT_SEND, .last = false }, { .refusal = REFUSAL_EIGHT_BIT } },
        { "mx", { .body_8bit = true, .convertible = true, .converted = true }, { .last = true }, { 0 } },
        { "mx\nSIZE 9",
          { .size = 10, .body_8bit = true, .convertible = true },
          { .last = true },
          { .refusal = REFUSAL_SIZE } },
        { "mx", { .long_lines = true, .convertible = true }, { 0 }, { .convert = true } },
        { "mx", { .long_lines = true, .convertible = true, .converted = true }, { 0 }, { 0 } },
        { "mx", { .long_lines = true }, { 0 }, { 0 } },
        { "mx", { .long_lines = true, .convertible = true }, { EIGHT_SEND, .last = true }, { 0 } },
        { "mx\n8BITMIME", { .utf8 = true, .convertible = true }, { .last = true }, { .refusal = REFUSAL_UTF8 } },
        { "mx\nSMTPUTF8\n8BITMIME", { .utf8 = true, .body_8bit = true }, { 0 }, { .utf8 = true, .body_8bit = true } },
        { "mx\nSMTPUTF8", { .utf8 = true, .body_8bit = true }, { 0 }, { .utf8 = true } },
        { FULL, { .require_tls = true }, { .verified = true }, { .size = true, .dsn = true, .require_tls = true } },
        { FULL, { .require_tls = true }, { .verified = false }, { .refusal = REFUSAL_REQUIRE_TLS } },
        { "mx", { .require_tls = true }, { .last = true, .verified = true }, { .refusal = REFUSAL_REQUIRE_TLS } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct offer o = offer_of(rows[i].offered);
        struct manner got, want = rows[i].want;
        enum offer_result r = offer_negotiate(&o, &rows[i].needs, &rows[i].terms, &got);

        if (got.refusal != want.refusal || got.convert != want.convert || (r == OFFER_OK) != (want.refusal == 0))
            fail_msg("row %zu: refusal %d, convert %d", i, (int)got.refusal, got.convert);
        if (r == OFFER_OK && !got.convert &&
            (got.size != want.size || got.body_8bit != want.body_8bit || got.utf8 != want.utf8 || got.dsn != want.dsn ||
             got.require_tls != want.require_tls))
            fail_msg("row %zu", i);
    }
}

static const struct manner all = { .size = true, .body_8bit = true, .utf8 = true, .dsn = true, .require_tls = true };
static const struct manner dsn = { .dsn = true }, none = { 0 };

static void mail_is_written(void **state)
{
    static const struct {
        const struct manner *how;
        struct needs needs;
        const char *sender, *want;
    } rows[] = {
        { &none, { .ret = BYTES_ROW("FULL"), .envid = BYTES_ROW("x") }, "", "MAIL FROM:<>\r\n" },
        { &all,
          { .size = 12, .ret = BYTES_ROW("HDRS"), .envid = BYTES_ROW("a+b=c d") },
          "bo@example.org",
          "MAIL FROM:<bo@example.org> SIZE=12 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=a+2Bb+3Dc+20d\r\n" },
        { &dsn,
          { .envid = BYTES_ROW("x\r\nRSET") },
          "\"a b> c\"@example.org",
          "MAIL FROM:<\"a b> c\"@example.org> ENVID=x+0D+0ARSET\r\n" },
        { &dsn, { .ret = BYTES_ROW("full") }, "b@x", "MAIL FROM:<b@x> RET=FULL\r\n" },
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_init(&out, 2048);
        offer_add_mail(rows[i].how, &rows[i].needs, bytes_of(rows[i].sender), &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

static void rcpt_is_written(void **state)
{
    static const struct {
        const struct manner *how;
        struct offer_rcpt rcpt;
        const char *want;
    } rows[] = {
        { &none,
          { BYTES_ROW("ana@example.net"), BYTES_ROW("NEVER"), BYTES_ROW("rfc822;ana@example.net") },
          "RCPT TO:<ana@example.net>\r\n" },
        { &dsn,
          { BYTES_ROW("ana@example.net"), BYTES_ROW("SUCCESS,FAILURE"), BYTES_ROW("rfc822;ana+tag@x=y") },
          "RCPT TO:<ana@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ana+2Btag@x+3Dy\r\n" },
        { &dsn,
          { BYTES_ROW("ana@example.net"), { NULL, 0 }, BYTES_ROW("utf-8;j\xC3\xBCrg\\+@x") },
          "RCPT TO:<ana@example.net> ORCPT=utf-8;j\\x{FC}rg\\x{5C}\\x{2B}@x\r\n" },
        { &dsn,
          { BYTES_ROW("ana@example.net"), { NULL, 0 }, BYTES_ROW("rfc822;\xF0\x9F\x93\xA7@x") },
          "RCPT TO:<ana@example.net> ORCPT=utf-8;\\x{1F4E7}@x\r\n" },
        { &dsn, { BYTES_ROW("ana@example.net"), { NULL, 0 }, BYTES_ROW("no type") }, "RCPT TO:<ana@example.net>\r\n" },
        { &dsn,
          { BYTES_ROW("a@b"), { NULL, 0 }, BYTES_ROW("x y;\r\nDATA") },
          "RCPT TO:<a@b> ORCPT=x+20y;+0D+0ADATA\r\n" },
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_init(&out, 2048);
        offer_add_rcpt(rows[i].how, &rows[i].rcpt, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

static void small_questions(void **state)
{
    static const struct {
        int code;
        bool helo;
    } codes[] = { { 500, true },  { 502, true },  { 504, true }, { 550, true },
                  { 421, false }, { 554, false }, { 250, false } };
    struct reply r = { .code = 250, .text = BYTES("mx.example.net at your service\nDSN") };
    struct offer o = { .rcpt_max = 10 };

    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++)
        assert_int_equal(offer_wants_helo(&(struct reply){ .code = codes[i].code }), codes[i].helo);
    assert_bytes(offer_name(&r), BYTES("mx.example.net"));
    r.text = BYTES("");
    assert_int_equal(offer_name(&r).n, 0);
    assert_int_equal(offer_recipients(&o, 100, 0), 10);
    assert_int_equal(offer_recipients(&o, 100, 3), 3);
    assert_int_equal(offer_recipients(&o, 5, 50), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read), cmocka_unit_test(ways_are_found),  cmocka_unit_test(mail_is_written),
        cmocka_unit_test(rcpt_is_written),  cmocka_unit_test(small_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
