/* mail/dkim_key.h: keys that are read, written and refused; records as the DNS has them */
#include "tests/mail/suite.h"

#include "mail/dkim_key.h"

#define RECORD "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" /* RFC 8463 appendix A */

static void keys_come_back_from_their_text(void **state)
{
    (void)state;
    for (int i = 0; i <= DKIM_ED25519; i++) {
        struct dkim_key *key = NULL, *again = NULL;
        struct buf pem, one, two;
        struct err e = { 0 };

        buf_init(&pem, DKIM_KEY_TEXT_MAX);
        buf_init(&one, 4096);
        buf_init(&two, 4096);
        assert_true(dkim_key_new((enum dkim_algorithm)i, &key, &e));
        dkim_key_write(key, &pem);
        assert_true(bytes_starts(buf_bytes(&pem), BYTES("-----BEGIN PRIVATE KEY-----")));
        assert_true(dkim_key_read(buf_bytes(&pem), &again, &e));
        assert_int_equal(dkim_key_algorithm(again), i);
        assert_true(i == DKIM_ED25519 || dkim_key_bits(again) == 2048);
        dkim_key_record(key, &one);
        dkim_key_record(again, &two);
        assert_bytes(buf_bytes(&one), buf_bytes(&two));
        assert_int_equal(dkim_record_compare(buf_bytes(&one), buf_bytes(&two)), DKIM_RECORD_SAME);
        buf_clear(&pem);
        buf_clear(&one);
        buf_clear(&two);
        dkim_key_free(&key);
        dkim_key_free(&again);
    }
}

static const char ec_key[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"
                             "OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"
                             "1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n"
                             "-----END PRIVATE KEY-----\n";

static void texts_that_are_no_key(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "32 bytes in base64" },
        { "AAAA", "32 bytes in base64" },
        { "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public half" },
        { "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "public half" },
        { "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "password" },
        { "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n"
          "-----END RSA PRIVATE KEY-----\n",
          "password" },
        { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read" },
        { ec_key, "another kind" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dkim_key *key = NULL;
        struct err e = { 0 };

        assert_false(dkim_key_read(bytes_of(rows[i].text), &key, &e));
        if (!strstr(e.message, rows[i].want))
            fail_msg("row %zu: %s", i, e.message);
    }
}

static void records_are_compared(void **state)
{
    static const struct {
        const char *found;
        enum dkim_record want;
    } rows[] = {
        { "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_SAME },
        { "k=ed25519;p=11qYAYKxCrfVS/7TyWQHOg7hcvPap iMlrwIaaPcHURo= ;", DKIM_RECORD_SAME },
        { "v=DKIM1; h=sha1:sha256; s=*; n=a; t=y; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
          DKIM_RECORD_SAME },
        { "v=DKIM1; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_BAD },
        { "v=DKIM2; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_BAD },
        { "v=DKIM1; h=sha1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_BAD },
        { "v=DKIM1; s=tlsrpt; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_BAD },
        { "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUR", DKIM_RECORD_BAD },
        { "v=DKIM1; k=ed25519; p=21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", DKIM_RECORD_OTHER },
        { "v=DKIM1; k=ed25519; p=", DKIM_RECORD_REVOKED },
        { "v=DKIM1; k=ed25519", DKIM_RECORD_BAD },
        { "v=spf1 -all", DKIM_RECORD_BAD },
        { "", DKIM_RECORD_BAD },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (dkim_record_compare(BYTES(RECORD), bytes_of(rows[i].found)) != rows[i].want)
            fail_msg("%s", rows[i].found);
}

static void records_are_cut_for_zone_files(void **state)
{
    struct buf out, text;

    (void)state;
    buf_init(&out, 4096);
    buf_init(&text, 4096);
    dkim_record_zone(BYTES("v=DKIM1; p="), &out);
    assert_bytes(buf_bytes(&out), BYTES("\"v=DKIM1; p=\""));
    for (int i = 0; i < 511; i++)
        buf_addc(&text, i == 255 ? '"' : 'a');
    buf_reset(&out);
    dkim_record_zone(buf_bytes(&text), &out);
    assert_int_equal(out.n, 511 + 1 + 3 * 2 + 2);
    assert_memory_equal(out.p + 256, "\" \"\\\"aa", 7);
    buf_clear(&out);
    buf_clear(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back_from_their_text),
        cmocka_unit_test(texts_that_are_no_key),
        cmocka_unit_test(records_are_compared),
        cmocka_unit_test(records_are_cut_for_zone_files),
    };

    return cmocka_run_group_tests(tests, crypt_setup, NULL);
}
