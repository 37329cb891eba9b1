/* Links of ours in mails: what stands in a token, who reads it, and what the links begin with. */
#include "base/crypt.h"
#include "service/core/public_url.h"
#include "service/queue/public_token.h"
#include "service/queue/suspension.h"
#include "tests/service/house.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct bytes written(struct house *h, const struct public_token *t)
{
    struct bytes token;
    struct buf out;

    buf_init(&out, 64 * 1024);
    public_token_write(h->svc, t, &out);
    token = arena_copy(h->arena, buf_bytes(&out));
    buf_clear(&out);
    return token;
}

static struct public_token a_click(struct house *h, const char *url)
{
    return (struct public_token){
        .kind = PUBLIC_CLICK, .account = h->svc->operator_account, .message = id_new(), .text = B(url)
    };
}

static void a_token_comes_back(void **state)
{
    static char longest[PUBLIC_TEXT_MOST];
    const struct bytes texts[] = {
        BYTES(""), BYTES("x"), BYTES("https://example.org/?a=1&b=2"), BYTES("a\0b"), { longest, sizeof longest }
    };
    struct house *h = *state;

    for (size_t i = 0; i < COUNT(texts); i++)
        for (int kind = 1; kind < PUBLIC_KINDS; kind++) {
            struct public_token t = { (enum public_kind)kind, i % 2, id_new(), id_new(), texts[i] }, back;
            struct bytes token = written(h, &t);

            assert_int_equal(token.n, (2 + CRYPT_SEAL_EXTRA + 34 + t.text.n) * 4 / 3 + ((76 + t.text.n) % 3 != 0));
            must(h, public_token_take(as(h, NULL), t.kind, token, &back));
            assert_true(id_equal(back.account, t.account) && id_equal(back.message, t.message));
            assert_true(back.several == t.several && back.kind == t.kind);
            assert_true(bytes_equal(back.text, t.text));
            for (int other = 1; other < PUBLIC_KINDS; other++)
                assert_int_equal(public_token_read(h->svc, (enum public_kind)other, token, h->arena, &back),
                                 other == kind);
        }
}

static void a_token_tells_nothing_and_cannot_be_changed(void **state)
{
    struct house *h = *state;
    struct public_token t = a_click(h, "https://example.org/ana@example.org"), back;
    struct bytes token = written(h, &t), again = written(h, &t), changed;
    struct service other = { .public_key = { { 1 } } };

    assert_false(bytes_equal(token, again)); /* nobody sees that two are of one mail */
    assert_true(bytes_equal(bytes_head(token, 2), bytes_head(again, 2)));
    assert_true(bytes_find(token, '=') == token.n && bytes_find(token, '@') == token.n);
    assert_false(public_token_read(&other, PUBLIC_CLICK, token, h->arena, &back));
    for (size_t i = 0; i < token.n; i++) {
        changed = arena_copy(h->arena, token);
        ((char *)changed.p)[i] = changed.p[i] == 'A' ? 'B' : 'A';
        assert_false(public_token_read(h->svc, PUBLIC_CLICK, changed, h->arena, &back));
        assert_false(public_token_read(h->svc, PUBLIC_CLICK, bytes_head(token, i), h->arena, &back));
    }
    changed = arena_bytesf(h->arena, "%.*sA", SHOW(token));
    assert_false(public_token_read(h->svc, PUBLIC_CLICK, changed, h->arena, &back));
    assert_false(public_token_read(h->svc, PUBLIC_CLICK, NO_BYTES, h->arena, &back));
}

static void who_shows_what_is_none_is_held_up_and_nobody_else(void **state)
{
    struct house *h = *state;
    struct public_token t = a_click(h, "https://example.org/"), back;
    struct bytes token = written(h, &t);

    set_param("limits.public_faults_per_minute", "3");
    for (int i = 0; i < 3; i++)
        wont(h, public_token_take(as(h, NULL), PUBLIC_CLICK, BYTES("AQE"), &back), ERR_MISSING);
    wont(h, public_token_take(as(h, NULL), PUBLIC_CLICK, BYTES("AQE"), &back), ERR_RATE);
    must(h, public_token_take(as(h, NULL), PUBLIC_CLICK, token, &back));
    as(h, NULL)->client_net = BYTES("192.0.2.8");
    wont(h, public_token_take(&h->c, PUBLIC_CLICK, BYTES("AQE"), &back), ERR_MISSING);
    set_param("limits.public_faults_per_minute", "0");
    wont(h, public_token_take(as(h, NULL), PUBLIC_CLICK, BYTES("AQE"), &back), ERR_MISSING);
}

static void a_disabled_account_has_none(void **state)
{
    struct house *h = *state;
    const struct principal *who = tenant(h, "Tenant");
    struct account_update_in in = { .id = text_of(h, "acc", who->account_id), .given = { .disabled = true } };
    struct public_token t = a_click(h, "https://example.org/"), back;
    struct account_row row;

    t.account = who->account_id;
    must(h, public_token_take(as(h, NULL), PUBLIC_CLICK, written(h, &t), &back));
    in.named = members_named(&account_members, "disabled");
    must(h, account_update(as(h, &h->operator), &in, &row));
    must(h, suspensions_load(h->svc, &h->c.err));
    wont(h, public_token_take(as(h, NULL), PUBLIC_CLICK, written(h, &t), &back), ERR_GONE);
}

/* ---- what links begin with ---- */

static void public_urls_are_checked(void **state)
{
    static const struct {
        const char *url;
        bool ok;
    } rows[] = {
        { "https://mail.example.org", true },
        { "https://mail.example.org/", true },
        { "http://localhost:8025", true },
        { "https://192.0.2.1:443/", true },
        { "mail.example.org", false },
        { "ftp://mail.example.org", false },
        { "https://", false },
        { "https:///", false },
        { "https://mail.example.org/x", false },
        { "https://a@mail.example.org", false },
        { "https://mail.example.org?x", false },
        { "https://mail.example.org#", false },
        { "https://mail.example.org:", false },
        { "https://mail.example.org:0", false },
        { "https://mail.example.org:65536", false },
        { "https://mail.example.org:+1", false },
        { "https://m\xC3\xA4il.example", false },
        { "https://a b", false },
        { "https://a\"b", false },
        { "HTTPS://mail.example.org", false },
        { "https://mail.example.org//", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = { 0 };

        if (public_url_check(B(rows[i].url), &e) != rows[i].ok)
            fail_msg("%s", rows[i].url);
    }
}

static void links_begin_with_what_is_set(void **state)
{
    struct house *h = *state;
    struct bytes out;

    public_url_own(h->svc, "http://127.0.0.1:8025");
    must(h, public_url_of_links(as(h, NULL), &out));
    same(out, "http://127.0.0.1:8025");
    set_param("server.hostname", "mail.example.org");
    set_param("delivery.mode", "live");
    wont(h, public_url_of_links(as(h, NULL), &out), ERR_NO_PUBLIC_URL);
    set_param("server.public_url", "https://mail.example.org/x");
    wont(h, public_url_of_links(as(h, NULL), &out), ERR_NO_PUBLIC_URL);
    set_param("server.public_url", "https://mail.example.org:8443/");
    must(h, public_url_of_links(as(h, NULL), &out));
    same(out, "https://mail.example.org:8443");
    set_param("tracking.host", "links.example.org");
    must(h, public_url_of_links(as(h, NULL), &out));
    same(out, "https://links.example.org:8443");
    same(public_url(), "https://mail.example.org:8443");
    assert_true(public_url_is_host(B("Links.Example.org:8443")) && public_url_is_host(B("links.example.org")));
    assert_false(public_url_is_host(B("mail.example.org:8443")) || public_url_is_host(NO_BYTES));
    set_param("tracking.host", "mail.example.org"); /* the same name: nothing is kept apart */
    assert_false(public_url_is_host(B("mail.example.org")));
}

static void a_setting_that_is_no_url_is_refused(void **state)
{
    struct house *h = *state;
    struct setting_update_in in = { .name = B("server.public_url"), .value = B("mail.example.org") };
    struct setting_view out;

    faults(h, setting_update(as(h, &h->operator), &in, &out), "/value");
    in.value = B("https://mail.example.org");
    must(h, setting_update(as(h, &h->operator), &in, &out));
    in.value = B("");
    must(h, setting_update(as(h, &h->operator), &in, &out));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_token_comes_back),
        TEST(a_token_tells_nothing_and_cannot_be_changed),
        TEST(who_shows_what_is_none_is_held_up_and_nobody_else),
        TEST(a_disabled_account_has_none),
        cmocka_unit_test(public_urls_are_checked),
        TEST(links_begin_with_what_is_set),
        TEST(a_setting_that_is_no_url_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
