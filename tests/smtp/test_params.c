/* ESMTP parameters: what is taken, and with which error the rest is refused. */
#include "base/params.h"
#include "smtp/params.h"
#include "tests/base/check.h"

struct mail_row {
    const char *in;
    bool auth;
    enum err_code code;
    int64_t size;
    const char *ret, *envid;
};

static const struct mail_row mail_rows[] = {
    { "", false, ERR_NONE, 0, NULL, NULL },
    { " SIZE=10 BODY=8BITMIME", false, ERR_NONE, 10, NULL, NULL },
    { " size=0010  body=7bit", false, ERR_NONE, 10, NULL, NULL },
    { " RET=hdrs ENVID=QQ+2B31", false, ERR_NONE, 0, "HDRS", "QQ+31" },
    { " AUTH=<>", true, ERR_NONE, 0, NULL, NULL },
    { " AUTH=e+3Dmc2@example.com", true, ERR_NONE, 0, NULL, NULL },
    { " AUTH=<>", false, ERR_METHOD, 0, NULL, NULL },
    { " SIZE=26214400", false, ERR_NONE, 26214400, NULL, NULL },
    { " SIZE=26214401", false, ERR_TOO_LARGE, 0, NULL, NULL },
    { " SIZE=99999999999999999999", false, ERR_TOO_LARGE, 0, NULL, NULL },
    { " SIZE=999999999999999999999", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SIZE=", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SIZE", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SIZE=-1", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SIZE=1x", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SIZE=1 SIZE=1", false, ERR_SYNTAX, 0, NULL, NULL },
    { " BODY=BINARYMIME", false, ERR_SYNTAX, 0, NULL, NULL },
    { " SMTPUTF8=1", false, ERR_SYNTAX, 0, NULL, NULL },
    { " RET=ALL", false, ERR_SYNTAX, 0, NULL, NULL },
    { " ENVID=", false, ERR_SYNTAX, 0, NULL, NULL },
    { " ENVID=a+0D+0Ab", false, ERR_SYNTAX, 0, NULL, NULL },
    { " ENVID=a+2", false, ERR_SYNTAX, 0, NULL, NULL },
    { " ENVID=a=b", false, ERR_SYNTAX, 0, NULL, NULL },
    { " FOO=bar", false, ERR_METHOD, 0, NULL, NULL },
};

static void test_mail(void **state)
{
    struct arena *a = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT(mail_rows); i++) {
        const struct mail_row *r = &mail_rows[i];
        struct mail_params p;
        struct err e = { 0 };

        if (mail_params_read(bytes_of(r->in), r->auth, a, &p, &e) != (r->code == ERR_NONE) || e.code != r->code)
            fail_msg("MAIL%s: %s %s", r->in, err_row(e.code)->name, e.message);
        if (r->code != ERR_NONE)
            continue;
        assert_int_equal(p.size, r->size);
        assert_true(bytes_equal(p.ret, bytes_of(r->ret)));
        assert_true(bytes_equal(p.envid, bytes_of(r->envid)));
    }
    arena_free(&a);
}

static const struct rcpt_row {
    const char *in;
    bool utf8;
    enum err_code code;
    const char *json;
} rcpt_rows[] = {
    { "", false, ERR_NONE, NULL },
    { " NOTIFY=never", false, ERR_NONE, "{\"notify\":\"NEVER\",\"orcpt\":null}" },
    { " NOTIFY=delay,success", false, ERR_NONE, "{\"notify\":\"SUCCESS,DELAY\",\"orcpt\":null}" },
    { " NOTIFY=FAILURE ORCPT=rfc822;Bob+2Bx@example.com", false, ERR_NONE,
      "{\"notify\":\"FAILURE\",\"orcpt\":\"rfc822;Bob+x@example.com\"}" },
    { " ORCPT=utf-8;j\xc3\xb6@example.com", true, ERR_NONE,
      "{\"notify\":null,\"orcpt\":\"utf-8;j\xc3\xb6@example.com\"}" },
    { " ORCPT=utf-8;j\xc3\xb6@example.com", false, ERR_SYNTAX, NULL },
    { " NOTIFY=NEVER,SUCCESS", false, ERR_SYNTAX, NULL },
    { " NOTIFY=SUCCESS,SUCCESS", false, ERR_SYNTAX, NULL },
    { " NOTIFY=SUCCESS,", false, ERR_SYNTAX, NULL },
    { " NOTIFY=", false, ERR_SYNTAX, NULL },
    { " NOTIFY", false, ERR_SYNTAX, NULL },
    { " ORCPT=rfc822", false, ERR_SYNTAX, NULL },
    { " ORCPT=;a@b", false, ERR_SYNTAX, NULL },
    { " ORCPT=rfc822;a+00b", false, ERR_SYNTAX, NULL },
    { " SIZE=1", false, ERR_METHOD, NULL },
};

static void test_rcpt(void **state)
{
    struct arena *a = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT(rcpt_rows); i++) {
        const struct rcpt_row *r = &rcpt_rows[i];
        struct rcpt_params p;
        struct err e = { 0 };

        if (rcpt_params_read(bytes_of(r->in), r->utf8, a, &p, &e) != (r->code == ERR_NONE) || e.code != r->code)
            fail_msg("RCPT%s: %s %s", r->in, err_row(e.code)->name, e.message);
        if (r->code == ERR_NONE)
            assert_true(bytes_equal(rcpt_params_json(&p, a), bytes_of(r->json)));
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_mail), cmocka_unit_test(test_rcpt) };

    params_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
