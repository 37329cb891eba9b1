/* Accounts, domains, users, addresses, keys: what may be made, by whom, and the walls between tenants. */
#include "house.h"
#include "service/core/member.h"
#include "service/core/secrets.h"
#include "service/identity/address.h"

static void an_account_comes_with_its_owners_key(void **state)
{
    struct house *h = *state;
    struct account_create_in in = { .given = { .name = BYTES("acme") } };
    struct account_create_out out;
    struct account_get_in get = { 0 };
    struct account_row row;

    must(h, account_create(as(h, &h->operator), &in, &out));
    assert_int_equal(out.key.row.scopes, SCOPE_TENANT);
    assert_true(bytes_starts(out.key.secret, BYTES("pr_live_")));
    get.id = text_of(h, "acc", out.row.id);
    must(h, account_get(as(h, &h->operator), &get, &row));
    same(row.name, "acme");
    in.given.name = BYTES("  ");
    faults(h, account_create(as(h, &h->operator), &in, &out), "/name");
}

static void accounts_are_the_operators(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "acme");
    struct account_list_in in = { 0 };
    struct account_list_out out;

    wont(h, account_list(as(h, p), &in, &out), ERR_SCOPE);
    p->scopes = SCOPE_ALL; /* a bit that only the operator's account gives meaning to */
    wont(h, account_list(as(h, p), &in, &out), ERR_SCOPE);
    must(h, account_list(as(h, &h->operator), &in, &out));
    assert_int_equal(out.n, 2);
    same(out.rows[0].name, "acme");
}

static void an_account_with_domains_stays(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "acme");
    struct domain_row d = domain(h, p, "acme.test");
    struct account_delete_in in = { .id = text_of(h, "acc", p->account_id) };
    struct account_delete_in own = { .id = text_of(h, "acc", h->operator.account_id) };
    struct domain_delete_in gone = { .id = text_of(h, "dom", d.id) };

    wont(h, account_delete(as(h, &h->operator), &in, NULL), ERR_IN_USE);
    wont(h, account_delete(as(h, &h->operator), &own, NULL), ERR_IN_USE);
    must(h, domain_delete(as(h, p), &gone, NULL));
    must(h, account_delete(as(h, &h->operator), &in, NULL));
    wont(h, account_delete(as(h, &h->operator), &in, NULL), ERR_MISSING);
}

static void an_operator_acts_elsewhere(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "acme");
    struct bytes acme = text_of(h, "acc", p->account_id);
    struct domain_create_in in = { .given = { .name = BYTES("acme.test") } };
    struct domain_view out;

    call_init(&h->c, h->svc, h->arena, "test");
    must(h, call_act_as(&h->c, &h->operator, acme));
    must(h, domain_create(&h->c, &in, &out));
    assert_true(id_equal(out.row.account_id, p->account_id));
    call_renew(&h->c);
    wont(h, call_act_as(&h->c, &h->operator, text_of(h, "acc", id_new())), ERR_MISSING);
    wont(h, call_act_as(&h->c, p, text_of(h, "acc", h->operator.account_id)), ERR_SCOPE);
    must(h, call_act_as(&h->c, p, acme)); /* one's own */
}

static void a_domain_name_exists_once(void **state)
{
    struct house *h = *state;
    struct principal *a = tenant(h, "a"), *b = tenant(h, "b");
    struct domain_create_in in = { .given = { .name = BYTES("Example.TEST.") } };
    struct domain_view out;

    must(h, domain_create(as(h, a), &in, &out));
    same(out.row.name, "example.test");
    same(out.row.inbound, "mailboxes");
    wont(h, domain_create(as(h, b), &in, &out), ERR_CONFLICT);
}

static void domain_names_are_checked(void **state)
{
    static const char *const bad[] = { "", "a b.test", "[192.0.2.1]", "-a.test", "a..test", "sandbox.test" };
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_view out;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct domain_create_in in = { .given = { .name = B(bad[i]) } };

        faults(h, domain_create(as(h, p), &in, &out), "/name");
    }
}

static void a_domain_is_found_by_name_and_id(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view out;
    struct domain_get_in by_id = { .id = text_of(h, "dom", d.id) }, by_name = { .id = BYTES("A.test") };

    must(h, domain_get(as(h, p), &by_id, &out));
    must(h, domain_get(as(h, p), &by_name, &out));
    assert_true(id_equal(out.row.id, d.id));
}

static void a_domain_is_changed(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view out;
    struct domain_update_in in = { .id = text_of(h, "dom", d.id),
                                   .named = members_named(&domain_members, "inbound,catch_all") };
    struct directory_domain known;

    must(h, directory_domain(as(h, NULL), BYTES("a.test"), &known));
    assert_true(known.inbound);
    in.given.inbound = BYTES("off");
    in.given.catch_all = BYTES("Ana@A.test");
    faults(h, domain_update(as(h, p), &in, &out), "/catch_all"); /* nobody is there yet */
    user(h, p, "ana@a.test", NULL);
    must(h, domain_update(as(h, p), &in, &out));
    same(out.row.catch_all, "ana@a.test");
    must(h, directory_domain(as(h, NULL), BYTES("A.TEST"), &known)); /* at once, not a second later */
    assert_false(known.inbound);
    in.given.inbound = BYTES("maybe");
    in.given.catch_all = NO_BYTES;
    faults(h, domain_update(as(h, p), &in, &out), "/inbound");
}

static void forcing_takes_an_operator(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view out;
    struct domain_verify_in in = { .id = text_of(h, "dom", d.id) };

    must(h, domain_verify(as(h, p), &in, &out)); /* nobody answers here: nothing is proved */
    assert_int_equal(out.row.verified_at, 0);
    assert_true(out.row.checked_at > 0 && out.row.check_at > out.row.checked_at);
    in.force = true;
    wont(h, domain_verify(as(h, p), &in, &out), ERR_SCOPE);
    call_init(&h->c, h->svc, h->arena, "test");
    must(h, call_act_as(&h->c, &h->operator, text_of(h, "acc", p->account_id)));
    must(h, domain_verify(&h->c, &in, &out));
    assert_true(out.row.verified_at > 0);
}

static void a_domain_with_addresses_stays(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct user_row u = user(h, p, "ana@a.test", NULL);
    struct domain_delete_in in = { .id = text_of(h, "dom", d.id) };
    struct user_delete_in gone = { .id = text_of(h, "usr", u.id) };
    struct directory_domain known;

    wont(h, domain_delete(as(h, p), &in, NULL), ERR_IN_USE);
    must(h, user_delete(as(h, p), &gone, NULL));
    must(h, directory_domain(as(h, NULL), BYTES("a.test"), &known));
    must(h, domain_delete(as(h, p), &in, NULL));
    wont(h, directory_domain(as(h, NULL), BYTES("a.test"), &known), ERR_MISSING);
}

/* ---- users ---- */

static void a_user_comes_with_six_mailboxes(void **state)
{
    static const char *const roles[] = { "inbox", "sent", "drafts", "junk", "trash", "archive" };
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_row u;
    struct me_out me;
    struct principal login = { .kind = WHO_USER, .account_id = p->account_id };
    struct crypt_key key;
    struct directory_user known;

    domain(h, p, "a.test");
    u = user(h, p, "Ana@A.Test", NULL);
    same(u.address, "ana@a.test");
    same(u.encryption, "server");
    assert_true(u.quota == PARAM_INT(users, quota_default));
    assert_true(user_key_open(h->svc, u.id, u.user_key, u.user_key_wrap, &key, &h->c.err));
    login.id = u.id;
    must(h, me_get(as(h, &login), NULL, &me));
    assert_int_equal(me.n_mailboxes, 6);
    for (size_t i = 0; i < 6; i++) {
        same(me.mailboxes[i].role, roles[i]);
        assert_int_equal(me.mailboxes[i].uid_next, 1);
        assert_true(me.mailboxes[i].uid_validity > 0);
    }
    must(h, directory_user(as(h, NULL), u.id, &known));
    assert_true(id_equal(known.inbox_id, me.mailboxes[0].id));
    assert_true(id_equal(known.sent_id, me.mailboxes[1].id));
}

/* What a session is compared with at each command comes with the directory's answer: else the store is asked each time.
 */
static void the_directory_knows_what_a_login_rests_on(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct directory_user known;
    struct user_row u, row;

    domain(h, p, "a.test");
    u = user(h, p, "ana@a.test", "correct horse battery");
    must(h, store_get(h->svc->store, &user_kind, u.id, h->arena, &row, &h->c.err));
    must(h, directory_user(as(h, NULL), u.id, &known));
    assert_true(row.password_hash.n > 0);
    assert_true(known.password == directory_password_mark(row.password_hash));
}

static void users_are_checked(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_create_in in = { .change = { .row = { .address = BYTES("ana@elsewhere.test") } } };
    struct user_row out;

    domain(h, p, "a.test");
    faults(h, user_create(as(h, p), &in, &out), "/address");
    in.change.row.address = BYTES("ana");
    faults(h, user_create(as(h, p), &in, &out), "/address");
    in.change = (struct user_change){ .named = members_named(&user_members, "password,quota,send_as,encryption"),
                                      .password = BYTES("1234567"),
                                      .row = { .address = BYTES("ana@a.test"),
                                               .quota = -1,
                                               .send_as = BYTES("[\"nobody\",\"@elsewhere.test\"]"),
                                               .encryption = BYTES("password") } };
    assert_false(user_create(as(h, p), &in, &out)); /* all of it at once */
    assert_int_equal(h->c.n_faults, 5);
    in.change.named = members_named(&user_members, "password");
    faults(h, user_create(as(h, p), &in, &out), "/password");
    in.change.password = BYTES("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"); /* eight bytes, four characters */
    faults(h, user_create(as(h, p), &in, &out), "/password");
}

static void an_address_exists_once(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_create_in in = { .change = { .row = { .address = BYTES("ANA@a.test") } } };
    struct address_create_in alias = { .change = { .row = { .address = BYTES("ana@A.test") } } };
    struct address_row row;
    struct user_row u, out;

    domain(h, p, "a.test");
    u = user(h, p, "ana@a.test", NULL);
    wont(h, user_create(as(h, p), &in, &out), ERR_CONFLICT);
    alias.change.target.user = text_of(h, "usr", u.id);
    wont(h, address_create(as(h, p), &alias, &row), ERR_CONFLICT);
}

static void users_are_found_by_address(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_get_in in = { .id = BYTES("ANA@a.test") };
    struct user_list_in list = { .domain = BYTES("a.test") };
    struct user_list_out found;
    struct user_row u, out;

    domain(h, p, "a.test");
    domain(h, p, "b.test");
    u = user(h, p, "ana@a.test", NULL);
    user(h, p, "bo@b.test", NULL);
    must(h, user_get(as(h, p), &in, &out));
    assert_true(id_equal(out.id, u.id));
    must(h, user_list(as(h, p), &list, &found));
    assert_int_equal(found.n, 1);
    list.domain = BYTES("nowhere.test");
    must(h, user_list(as(h, p), &list, &found));
    assert_int_equal(found.n, 0);
}

static void a_user_with_mail_stays_unless_erased(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct batch *b = batch_new(h->arena);
    struct set more = ADD("used", 100);
    struct user_delete_in in = { .id = BYTES("ana@a.test") };
    struct user_row u;

    domain(h, p, "a.test");
    u = user(h, p, "ana@a.test", NULL);
    batch_update(b, &user_kind, u.id, NULL, 0, &more, 1);
    must(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err));
    wont(h, user_delete(as(h, p), &in, NULL), ERR_IN_USE);
    b = batch_new(h->arena);
    more = ADD("used", -100);
    batch_update(b, &user_kind, u.id, NULL, 0, &more, 1);
    must(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err));
    in.erase = true;
    must(h, user_delete(as(h, p), &in, NULL));
    wont(h, user_delete(as(h, p), &in, NULL), ERR_MISSING);
}

/* ---- keys ---- */

static void a_key_grants_what_its_maker_has(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row a = domain(h, p, "a.test"), b = domain(h, p, "b.test");
    struct key_create_in in = { .given = { .scopes = SCOPE_SEND | SCOPE_SETTINGS } };
    struct key_create_out out;
    const struct principal *lesser;
    struct domain_list_in list = { 0 };
    struct domain_list_out seen;
    struct domain_get_in get = { .id = text_of(h, "dom", b.id) };

    faults(h, key_create(as(h, p), &in, &out), "/scopes");
    in.given.scopes = SCOPE_SEND | SCOPE_KEYS | SCOPE_DOMAINS;
    in.given.domain_ids = arena_bytesf(h->arena, "[\"%.*s\"]", SHOW(text_of(h, "dom", a.id)));
    must(h, key_create(as(h, p), &in, &out));
    must(h, auth_key(as(h, NULL), out.secret, &lesser));
    assert_int_equal(lesser->n_domain_ids, 1);
    in.given.scopes = SCOPE_SEND | SCOPE_USERS;
    faults(h, key_create(as(h, lesser), &in, &out), "/scopes");
    in.given.scopes = SCOPE_SEND;
    in.given.domain_ids = BYTES("[\"b.test\"]");
    faults(h, key_create(as(h, lesser), &in, &out), "/domain_ids/0");
    in.given.domain_ids = BYTES("[]");
    faults(h, key_create(as(h, lesser), &in, &out), "/domain_ids");
    must(h, domain_list(as(h, lesser), &list, &seen));
    assert_int_equal(seen.n, 1);
    wont(h, domain_get(as(h, lesser), &get, &seen.rows[0]), ERR_MISSING);
}

static void a_lesser_key_does_not_touch_a_greater(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .given = { .scopes = SCOPE_KEYS } };
    struct key_create_out out;
    const struct principal *lesser;
    struct key_delete_in owner = { .id = text_of(h, "key", p->id) };

    must(h, key_create(as(h, p), &in, &out));
    must(h, auth_key(as(h, NULL), out.secret, &lesser));
    wont(h, key_delete(as(h, lesser), &owner, NULL), ERR_SCOPE);
}

static void keys_are_checked(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .named = members_named(&key_members, "allowed_ips,expires_at"),
                                .given = { .scopes = SCOPE_SEND,
                                           .allowed_ips = BYTES("[\"192.0.2.0/24\",\"192.0.2.0/33\",\"::1/x\"]"),
                                           .expires_at = 1 } };
    struct key_create_out out;

    assert_false(key_create(as(h, p), &in, &out));
    assert_int_equal(h->c.n_faults, 3);
    in.named = 0;
    in.given.scopes = 0;
    faults(h, key_create(as(h, p), &in, &out), "/scopes");
}

static void secrets_are_not_kept(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .given = { .mode = BYTES("test"), .scopes = SCOPE_SEND } };
    struct key_create_out out;
    struct key_list_in list = { 0 };
    struct key_list_out all;

    must(h, key_create(as(h, p), &in, &out));
    assert_true(bytes_starts(out.secret, BYTES("pr_test_")));
    must(h, key_list(as(h, p), &list, &all));
    same(all.rows[0].mode, "test");
    assert_true(bytes_starts(out.secret, all.rows[0].hint));
    assert_true(all.rows[0].hint.n < 16);
    assert_true(place_holds(h->url, all.rows[0].hint));
    assert_false(place_holds(h->url, out.secret));
}

/* ---- walls, lists, senders ---- */

static void another_tenants_ids_are_missing(void **state)
{
    struct house *h = *state;
    struct principal *a = tenant(h, "a"), *b = tenant(h, "b");
    struct domain_row d = domain(h, a, "a.test");
    struct domain_view d2;
    struct user_row u = user(h, a, "ana@a.test", NULL), u2;
    struct key_row k;
    struct address_row r;
    struct bytes dom = text_of(h, "dom", d.id), usr = text_of(h, "usr", u.id), key = text_of(h, "key", a->id);
    struct bytes adr = BYTES("ana@a.test");

    wont(h, domain_get(as(h, b), &(struct domain_get_in){ dom }, &d2), ERR_MISSING);
    wont(h, domain_get(as(h, b), &(struct domain_get_in){ BYTES("a.test") }, &d2), ERR_MISSING);
    wont(h, domain_update(as(h, b), &(struct domain_update_in){ .id = dom }, &d2), ERR_MISSING);
    wont(h, domain_delete(as(h, b), &(struct domain_delete_in){ dom }, NULL), ERR_MISSING);
    wont(h, domain_verify(as(h, b), &(struct domain_verify_in){ dom, true }, &d2), ERR_MISSING);
    wont(h, user_get(as(h, b), &(struct user_get_in){ usr }, &u2), ERR_MISSING);
    wont(h, user_get(as(h, b), &(struct user_get_in){ adr }, &u2), ERR_MISSING);
    wont(h, user_update(as(h, b), &(struct user_update_in){ .id = usr }, &u2), ERR_MISSING);
    wont(h, user_delete(as(h, b), &(struct user_delete_in){ usr, true }, NULL), ERR_MISSING);
    wont(h, key_get(as(h, b), &(struct key_get_in){ key }, &k), ERR_MISSING);
    wont(h, key_update(as(h, b), &(struct key_update_in){ .id = key }, &k), ERR_MISSING);
    wont(h, key_delete(as(h, b), &(struct key_delete_in){ key }, NULL), ERR_MISSING);
    wont(h, address_get(as(h, b), &(struct address_get_in){ adr }, &r), ERR_MISSING);
    wont(h, address_update(as(h, b), &(struct address_update_in){ .id = adr }, &r), ERR_MISSING);
    wont(h, address_delete(as(h, b), &(struct address_delete_in){ adr }, NULL), ERR_MISSING);
}

static void lists_turn_both_ways(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_list_in in = { .page = { .limit = 2 } };
    struct user_list_out first, second, back;

    domain(h, p, "a.test");
    for (int i = 0; i < 5; i++)
        user(h, p, arena_printf(h->arena, "u%d@a.test", i), NULL);
    must(h, user_list(as(h, p), &in, &first));
    assert_int_equal(first.n, 2);
    same(first.rows[0].address, "u4@a.test");
    assert_true(first.page.has_more && first.page.next.p && !first.page.previous.p);
    in.page.after = first.page.next;
    must(h, user_list(as(h, p), &in, &second));
    same(second.rows[0].address, "u2@a.test");
    assert_non_null(second.page.previous.p);
    in.page = (struct page){ .limit = 2, .before = second.page.previous };
    must(h, user_list(as(h, p), &in, &back));
    assert_int_equal(back.n, 2);
    same(back.rows[0].address, "u4@a.test");
    assert_true(back.page.has_more && !back.page.previous.p);
    in.page = (struct page){ .limit = 2, .after = second.page.next };
    must(h, user_list(as(h, p), &in, &back));
    assert_int_equal(back.n, 1);
    assert_false(back.page.has_more);
    in.page = (struct page){ .limit = 101 };
    faults(h, user_list(as(h, p), &in, &back), "/limit");
    in.page = (struct page){ .after = BYTES("junk") };
    faults(h, user_list(as(h, p), &in, &back), "/after");
}

static bool may_send(struct house *h, const struct principal *who, const char *from)
{
    struct address address;

    as(h, who);
    must(h, address_parse(B(from), h->arena, &address, &h->c.err));
    if (sender_allowed(&h->c, &address))
        return true;
    assert_int_equal(h->c.err.code, ERR_SENDER);
    return false;
}

static void who_may_send_as_whom(void **state)
{
    struct house *h = *state;
    struct principal *a = tenant(h, "a"), *b = tenant(h, "b"), bound = *a;
    struct domain_row one = domain(h, a, "a.test"), more = domain(h, a, "more.test");
    struct domain_view out;
    struct user_row ana = user(h, a, "ana@a.test", NULL), bo = user(h, a, "bo@a.test", NULL);
    struct principal login = { .kind = WHO_USER, .id = ana.id, .account_id = a->account_id, .scopes = SCOPE_SEND };
    struct user_update_in in = { .id = text_of(h, "usr", ana.id),
                                 .change = { .named = members_named(&user_members, "send_as"),
                                             .row = { .send_as = BYTES("[\"BO@a.test\",\"@more.test\"]") } } };
    struct domain_update_in all = { .id = text_of(h, "dom", one.id),
                                    .named = members_named(&domain_members, "catch_all") };

    domain(h, b, "b.test");
    assert_true(may_send(h, a, "anyone@a.test"));
    assert_false(may_send(h, a, "x@b.test"));
    assert_false(may_send(h, a, "x@elsewhere.test"));
    bound.domain_ids = &more.id;
    bound.n_domain_ids = 1;
    assert_false(may_send(h, &bound, "x@a.test"));
    assert_true(may_send(h, &bound, "x@more.test"));
    assert_true(may_send(h, &login, "Ana@a.test"));
    assert_true(may_send(h, &login, "ana+shop@a.test"));
    assert_false(may_send(h, &login, "bo@a.test"));
    assert_false(may_send(h, &login, "x@more.test"));
    all.given.catch_all = BYTES("ana@a.test");
    must(h, domain_update(as(h, a), &all, &out));
    assert_false(may_send(h, &login, "nobody@a.test")); /* a catch-all gives no names */
    must(h, user_update(as(h, a), &in, &bo));
    assert_true(may_send(h, &login, "bo@a.test"));
    assert_true(may_send(h, &login, "x@more.test"));
    assert_false(may_send(h, &login, "x@evil-more.test"));
    login.scopes = 0;
    struct address address;
    must(h, address_parse(BYTES("ana@a.test"), h->arena, &address, &h->c.err));
    wont(h, sender_allowed(as(h, &login), &address), ERR_SCOPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_comes_with_its_owners_key),
        TEST(accounts_are_the_operators),
        TEST(an_account_with_domains_stays),
        TEST(an_operator_acts_elsewhere),
        TEST(a_domain_name_exists_once),
        TEST(domain_names_are_checked),
        TEST(a_domain_is_found_by_name_and_id),
        TEST(a_domain_is_changed),
        TEST(forcing_takes_an_operator),
        TEST(a_domain_with_addresses_stays),
        TEST(a_user_comes_with_six_mailboxes),
        TEST(the_directory_knows_what_a_login_rests_on),
        TEST(users_are_checked),
        TEST(an_address_exists_once),
        TEST(users_are_found_by_address),
        TEST(a_user_with_mail_stays_unless_erased),
        TEST(a_key_grants_what_its_maker_has),
        TEST(a_lesser_key_does_not_touch_a_greater),
        TEST(keys_are_checked),
        TEST(secrets_are_not_kept),
        TEST(another_tenants_ids_are_missing),
        TEST(lists_turn_both_ways),
        TEST(who_may_send_as_whom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
