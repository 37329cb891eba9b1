/* Who is who: passwords, throttles, keys, the socket. */
#include "base/metrics.h"
#include "house.h"
#include "service/core/limits.h"
#include "service/core/member.h"

#define PASSWORD "correct horse"

static bool login(struct house *h, const char *name, const char *password, const char *client)
{
    const struct principal *who;

    as(h, NULL);
    h->c.client_ip = h->c.client_net = B(client);
    return auth_password(&h->c, B(name), B(password), &who);
}

static struct user_row ana(struct house *h, struct principal **p)
{
    set_param("auth.argon2_memory", "64K"); /* the cost is not what is tested here */
    set_param("auth.argon2_passes", "1");
    *p = tenant(h, "a");
    domain(h, *p, "a.test");
    return user(h, *p, "ana@a.test", PASSWORD);
}

static void a_password_opens(void **state)
{
    struct house *h = *state;
    struct principal *p;
    struct user_row u = ana(h, &p), silent = user(h, p, "bo@a.test", NULL);
    const struct principal *who;

    (void)silent;
    must(h, auth_password(as(h, NULL), BYTES("ANA@a.test"), BYTES(PASSWORD), &who));
    assert_int_equal(who->kind, WHO_USER);
    assert_true(id_equal(who->id, u.id));
    assert_true(id_equal(who->account_id, p->account_id));
    assert_int_equal(who->scopes, SCOPE_SEND | SCOPE_MAIL_READ | SCOPE_MAIL_WRITE);
    wont(h, login(h, "ana@a.test", "correct horsf", "192.0.2.1"), ERR_AUTH);
    wont(h, login(h, "ana+x@a.test", PASSWORD, "192.0.2.2"), ERR_AUTH);
    wont(h, login(h, "eve@a.test", PASSWORD, "192.0.2.3"), ERR_AUTH);
    wont(h, login(h, "", "", "192.0.2.4"), ERR_AUTH);
    wont(h, login(h, "bo@a.test", "", "192.0.2.5"), ERR_AUTH); /* a user without a password */
}

static void unknown_and_wrong_answer_alike(void **state)
{
    struct house *h = *state;
    struct principal *p;
    char wrong[256];

    ana(h, &p);
    assert_false(login(h, "ana@a.test", "wrong", "192.0.2.1"));
    snprintf(wrong, sizeof wrong, "%s", h->c.err.message);
    assert_false(login(h, "eve@a.test", "wrong", "192.0.2.1"));
    assert_string_equal(h->c.err.message, wrong);
}

/* How many passwords were hashed by a login. */
static int64_t hashes(struct house *h, const char *name, const char *password, bool opens)
{
    int64_t before = metric_get(METRIC_auth_hashes_total);

    assert_int_equal(login(h, name, password, "192.0.2.1"), opens);
    return metric_get(METRIC_auth_hashes_total) - before;
}

/* Hashing is what takes the time: as much of it for nobody, for a user without a password, and for a long password. */
static void unknown_costs_the_same(void **state)
{
    struct house *h = *state;
    struct principal *p;
    char longest[2000];

    ana(h, &p);
    user(h, p, "bo@a.test", NULL);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(hashes(h, "ana@a.test", "wrong", false), 1);
    assert_int_equal(hashes(h, "eve@a.test", "wrong", false), 1);
    assert_int_equal(hashes(h, "bo@a.test", "wrong", false), 1);
    assert_int_equal(hashes(h, "eve@nowhere.test", "wrong", false), 1);
    assert_int_equal(hashes(h, "no address", "wrong", false), 1);
    assert_int_equal(hashes(h, "ana@a.test", longest, false), 1);
    assert_int_equal(hashes(h, "eve@a.test", longest, false), 1);
}

static void failures_throttle_the_pair_alone(void **state)
{
    struct house *h = *state;
    struct principal *p;

    ana(h, &p);
    set_param("auth.failures_free", "3");
    for (int i = 0; i < 3; i++)
        wont(h, login(h, "ana@a.test", "wrong", "192.0.2.1"), ERR_AUTH);
    wont(h, login(h, "ana@a.test", PASSWORD, "192.0.2.1"), ERR_RATE);
    wont(h, login(h, "Ana@A.test", PASSWORD, "192.0.2.1"), ERR_RATE); /* whatever the case */
    if (!login(h, "ana@a.test", PASSWORD, "198.51.100.1"))            /* the owner, elsewhere */
        fail_msg("%s", h->c.err.message);
    for (int i = 0; i < 3; i++)
        wont(h, login(h, "nobody@a.test", "wrong", "192.0.2.9"), ERR_AUTH);
    wont(h, login(h, "nobody@a.test", "wrong", "192.0.2.9"), ERR_RATE); /* unknown users too */
    usleep(1050000);                                                    /* the first delay is a second */
    if (!login(h, "ana@a.test", PASSWORD, "192.0.2.1"))
        fail_msg("%s", h->c.err.message);
    wont(h, login(h, "ana@a.test", "wrong", "192.0.2.1"), ERR_AUTH); /* and success forgets */
    assert_true(login(h, "ana@a.test", PASSWORD, "192.0.2.1"));
}

static void a_verified_password_is_remembered(void **state)
{
    struct house *h = *state;
    struct principal *p;
    struct user_update_in in = { .id = BYTES("ana@a.test"),
                                 .change = { .named = members_named(&user_members, "password") } };
    struct user_row row;

    ana(h, &p);
    assert_int_equal(hashes(h, "ana@a.test", PASSWORD, true), 1);
    assert_int_equal(hashes(h, "ana@a.test", PASSWORD, true), 0);
    assert_int_equal(hashes(h, "ana@a.test", "wrong", false), 1); /* a guess is never free */
    in.change.password = BYTES("another horse");
    must(h, user_update(as(h, p), &in, &row));
    wont(h, login(h, "ana@a.test", PASSWORD, "192.0.2.1"), ERR_AUTH);
    assert_int_equal(hashes(h, "ana@a.test", "another horse", true), 1);
    set_param("auth.remember", "0s");
    in.change.password = BYTES("a third horse");
    must(h, user_update(as(h, p), &in, &row));
    assert_int_equal(hashes(h, "ana@a.test", "a third horse", true), 1);
    assert_int_equal(hashes(h, "ana@a.test", "a third horse", true), 1);
    in.change = (struct user_change){ .named = members_named(&user_members, "disabled"), .row = { .disabled = true } };
    must(h, user_update(as(h, p), &in, &row));
    wont(h, login(h, "ana@a.test", "a third horse", "192.0.2.1"), ERR_AUTH);
}

static void an_old_cost_is_renewed(void **state)
{
    struct house *h = *state;
    struct principal *p;
    struct user_row u = ana(h, &p), now;
    struct crypt_password_cost cost = { .passes = 2, .memory = 128 * 1024 };

    set_param("auth.argon2_memory", "128K");
    set_param("auth.argon2_passes", "2");
    assert_true(login(h, "ana@a.test", PASSWORD, "192.0.2.1"));
    must(h, store_get(h->svc->store, &user_kind, u.id, h->arena, &now, &h->c.err));
    assert_false(crypt_password_outdated(arena_text(h->arena, now.password_hash), &cost));
    assert_true(login(h, "ana@a.test", PASSWORD, "192.0.2.1"));
}

static void a_disabled_account_is_shut(void **state)
{
    struct house *h = *state;
    struct principal *p;
    struct account_update_in in = { .named = members_named(&account_members, "disabled"),
                                    .given = { .disabled = true } };
    struct key_create_in key = { .given = { .scopes = SCOPE_SEND } };
    struct key_create_out made;
    struct account_row row;
    const struct principal *who;

    ana(h, &p);
    must(h, key_create(as(h, p), &key, &made));
    must(h, auth_key(as(h, NULL), made.secret, &who));
    assert_true(login(h, "ana@a.test", PASSWORD, "192.0.2.1"));
    in.id = text_of(h, "acc", p->account_id);
    must(h, account_update(as(h, &h->operator), &in, &row));
    wont(h, auth_key(as(h, NULL), made.secret, &who), ERR_AUTH);
    wont(h, login(h, "ana@a.test", PASSWORD, "192.0.2.1"), ERR_AUTH);
    in.id = text_of(h, "acc", h->operator.account_id);
    faults(h, account_update(as(h, &h->operator), &in, &row), "/disabled");
}

static void a_deleted_key_ends_at_once(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .given = { .scopes = SCOPE_SEND } };
    struct key_create_out out;
    struct key_update_in soon = { .named = members_named(&key_members, "expires_at") };
    struct key_delete_in gone;
    const struct principal *who;
    struct key_row row;

    must(h, key_create(as(h, p), &in, &out));
    must(h, auth_key(as(h, NULL), out.secret, &who));
    soon.id = gone.id = text_of(h, "key", out.row.id);
    soon.given.expires_at = clock_wall() + 30;
    must(h, key_update(as(h, p), &soon, &row));
    usleep(40000);
    wont(h, auth_key(as(h, NULL), out.secret, &who), ERR_AUTH);
    soon.given.expires_at = 0;
    must(h, key_update(as(h, p), &soon, &row));
    must(h, auth_key(as(h, NULL), out.secret, &who));
    must(h, key_delete(as(h, p), &gone, NULL));
    wont(h, auth_key(as(h, NULL), out.secret, &who), ERR_AUTH);
}

/* Another node deletes the row: noticed within a second. */
static void a_key_deleted_elsewhere_ends_soon(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .given = { .scopes = SCOPE_SEND } };
    struct key_create_out out;
    struct batch *b = batch_new(h->arena);
    const struct principal *who;

    must(h, key_create(as(h, p), &in, &out));
    must(h, auth_key(as(h, NULL), out.secret, &who));
    batch_delete(b, &key_kind, out.row.id, NULL, 0);
    must(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err));
    usleep(1050000);
    wont(h, auth_key(as(h, NULL), out.secret, &who), ERR_AUTH);
}

static void a_key_is_bound_to_networks(void **state)
{
    static const struct {
        const char *client;
        bool in;
    } rows[] = { { "192.0.2.200", true },      { "192.0.3.1", false },
                 { "2001:db8:1::5", true },    { "2001:db9::1", false },
                 { "::ffff:192.0.2.1", true }, { "10.1.2.3", true },
                 { "10.1.2.4", false },        { NULL, false } };
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = {
        .named = members_named(&key_members, "allowed_ips"),
        .given = { .scopes = SCOPE_SEND, .allowed_ips = BYTES("[\"192.0.2.0/24\",\"2001:db8::/32\",\"10.1.2.3\"]") }
    };
    struct key_create_out out;
    const struct principal *who;

    must(h, key_create(as(h, p), &in, &out));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        as(h, NULL);
        h->c.client_ip = B(rows[i].client);
        if (auth_key(&h->c, out.secret, &who) != rows[i].in)
            fail_msg("%s", rows[i].client ? rows[i].client : "no address");
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const bad[] = { "", "pr_live_", "pr_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "secret" };
    struct house *h = *state;
    const struct principal *who;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        wont(h, auth_key(as(h, NULL), B(bad[i]), &who), ERR_AUTH);
}

static void submission_takes_both(void **state)
{
    struct house *h = *state;
    struct principal *p;
    struct key_create_in in = { .given = { .mode = BYTES("test"), .scopes = SCOPE_SEND } };
    struct key_create_out out;
    const struct principal *who;

    ana(h, &p);
    must(h, key_create(as(h, p), &in, &out));
    must(h, auth_submission(as(h, NULL), BYTES("APIkey"), out.secret, &who));
    assert_true(who->kind == WHO_KEY && who->test);
    must(h, auth_submission(as(h, NULL), BYTES("ana@a.test"), BYTES(PASSWORD), &who));
    assert_int_equal(who->kind, WHO_USER);
}

static void the_socket_is_for_root_and_the_owner(void **state)
{
    struct house *h = *state;
    const struct principal *who;

    must(h, auth_socket(as(h, NULL), 0, &who));
    assert_int_equal(who->scopes, SCOPE_ALL);
    assert_true(id_equal(who->account_id, h->svc->operator_account));
    must(h, auth_socket(as(h, NULL), geteuid(), &who));
    wont(h, auth_socket(as(h, NULL), geteuid() + 12345, &who), ERR_AUTH);
}

static void where_a_password_may_cross(void **state)
{
    static const struct {
        const char *rule;
        bool tls, loopback, socket, allowed;
    } rows[] = {
        { "loopback", false, false, false, false }, { "loopback", false, true, false, true },
        { "loopback", true, false, false, true },   { "loopback", false, false, true, true },
        { "never", false, true, false, false },     { "never", true, false, false, true },
        { "always", false, false, false, true },
    };
    struct house *h = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_param("auth.cleartext", rows[i].rule);
        as(h, NULL);
        h->c.client_tls = rows[i].tls;
        h->c.client_loopback = rows[i].loopback;
        if (rows[i].socket)
            h->c.client_ip = NO_BYTES;
        assert_int_equal(auth_clear_allowed(&h->c), rows[i].allowed);
    }
}

static void use_is_noted_in_the_background(void **state)
{
    struct house *h = *state;
    struct net_options o = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    struct principal *p;
    struct user_row u = ana(h, &p), now;
    struct key_row key;
    struct err e = { 0 };

    assert_true(login(h, "ana@a.test", PASSWORD, "192.0.2.1")); /* and the tenant's key was used by the set-up */
    assert_true(net_start(&o, &e));
    assert_true(service_start(h->svc, &e));
    usleep(300000);
    service_stop(h->svc);
    net_stop();
    must(h, store_get(h->svc->store, &user_kind, u.id, h->arena, &now, &h->c.err));
    assert_true(now.last_login_at > 0);
    must(h, store_get(h->svc->store, &key_kind, p->id, h->arena, &key, &h->c.err));
    assert_true(key.last_used_at > 0);
}

static void recipients_have_a_rate(void **state)
{
    struct house *h = *state;
    struct principal who = { .kind = WHO_USER, .id = id_new(), .account_id = h->operator.account_id };
    struct principal key = { .kind = WHO_KEY, .id = who.id, .account_id = who.account_id };

    must(h, limits_recipients(as(h, &who), 1000000)); /* 0: no limit */
    set_param("limits.user_recipients_per_hour", "10");
    must(h, limits_recipients(as(h, &who), 4));
    must(h, limits_recipients(as(h, &who), 6));
    wont(h, limits_recipients(as(h, &who), 1), ERR_RATE);
    must(h, limits_recipients(as(h, &key), 1));
    who.id = id_new();
    wont(h, limits_recipients(as(h, &who), 11), ERR_RATE);
    must(h, limits_recipients(as(h, &who), 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_password_opens),
        TEST(unknown_and_wrong_answer_alike),
        TEST(unknown_costs_the_same),
        TEST(failures_throttle_the_pair_alone),
        TEST(a_verified_password_is_remembered),
        TEST(an_old_cost_is_renewed),
        TEST(a_disabled_account_is_shut),
        TEST(a_deleted_key_ends_at_once),
        TEST(a_key_deleted_elsewhere_ends_soon),
        TEST(a_key_is_bound_to_networks),
        TEST(what_is_no_key_is_refused),
        TEST(submission_takes_both),
        TEST(the_socket_is_for_root_and_the_owner),
        TEST(where_a_password_may_cross),
        TEST(use_is_noted_in_the_background),
        TEST(recipients_have_a_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
