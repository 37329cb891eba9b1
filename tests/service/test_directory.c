/* Whose an address is: aliases, +tags, catch-all, and what the directory remembers. */
#include "house.h"
#include "service/core/member.h"
#include "service/identity/address.h"
#include "service/message/intake.h"

static struct directory_user found(struct house *h, const char *text)
{
    struct directory_user out;
    struct address address;

    as(h, NULL);
    must(h, address_parse(B(text), h->arena, &address, &h->c.err));
    must(h, directory_find(&h->c, &address, &out));
    return out;
}

static void nobody(struct house *h, const char *text)
{
    struct directory_user out;
    struct address address;

    as(h, NULL);
    must(h, address_parse(B(text), h->arena, &address, &h->c.err));
    wont(h, directory_find(&h->c, &address, &out), ERR_MISSING);
}

static void mail_finds_its_user(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view out;
    struct user_row ana = user(h, p, "ana@a.test", NULL), bo = user(h, p, "bo+x@a.test", NULL);
    struct domain_update_in all = { .id = text_of(h, "dom", d.id),
                                    .named = members_named(&domain_members, "catch_all") };

    assert_true(id_equal(found(h, "ANA@A.TEST").id, ana.id));
    assert_int_equal(found(h, "ana+news@a.test").how, FOUND_TAG);
    assert_true(id_equal(found(h, "ana+news@a.test").id, ana.id));
    assert_int_equal(found(h, "bo+x@a.test").how, FOUND_EXACT);
    assert_true(id_equal(found(h, "bo+x@a.test").id, bo.id));
    nobody(h, "bo@a.test");
    nobody(h, "eve@a.test");
    all.given.catch_all = BYTES("ana@a.test");
    must(h, domain_update(as(h, p), &all, &out));
    assert_int_equal(found(h, "eve@a.test").how, FOUND_CATCH_ALL);
    assert_true(id_equal(found(h, "eve@a.test").id, ana.id));
    nobody(h, "eve@b.test");
}

static void the_directory_keeps_up_with_quota(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_row u;

    domain(h, p, "a.test");
    u = user(h, p, "ana@a.test", NULL);
    assert_int_equal(found(h, "ana@a.test").used, 0);
    directory_add_used(h->svc, u.id, 1234);
    assert_int_equal(found(h, "ana@a.test").used, 1234);
}

static void an_alias_moves_and_goes(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct user_row ana = user(h, p, "ana@a.test", NULL), bo = user(h, p, "bo@a.test", NULL);
    struct address_create_in in = { .change = { .row = { .address = BYTES("info@a.test") },
                                                .target = { .user = text_of(h, "usr", ana.id) } } };
    struct address_list_in list = { .user = BYTES("ana@a.test") };
    struct address_list_out all;
    struct address_update_in to = { .change = { .target = { .user = text_of(h, "usr", bo.id) },
                                                .named = members_named(&address_members, "target") } };
    struct address_delete_in gone;
    struct address_row row;
    struct domain_delete_in drop = { .id = text_of(h, "dom", d.id) };
    struct user_delete_in bye = { .id = text_of(h, "usr", bo.id) };

    nobody(h, "info@a.test");
    must(h, address_create(as(h, p), &in, &row));
    assert_true(id_equal(found(h, "info@a.test").id, ana.id));
    must(h, address_list(as(h, p), &list, &all));
    assert_int_equal(all.n, 2);
    to.id = gone.id = text_of(h, "adr", row.id);
    must(h, address_update(as(h, p), &to, &row));
    assert_true(id_equal(found(h, "info@a.test").id, bo.id));
    must(h, user_delete(as(h, p), &bye, NULL)); /* takes its addresses along */
    nobody(h, "info@a.test");
    wont(h, address_delete(as(h, p), &gone, NULL), ERR_MISSING);
    gone.id = BYTES("ana@a.test");
    wont(h, address_delete(as(h, p), &gone, NULL), ERR_IN_USE);
    bye.id = BYTES("ana@a.test");
    must(h, user_delete(as(h, p), &bye, NULL));
    must(h, domain_delete(as(h, p), &drop, NULL)); /* the counts came out even */
}

/* What the directory knows of a user may be large; of a thousand recipients only what counts stays. */
static void a_thousand_recipients_stay_small(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_create_in in = { .change = { .named = members_named(&user_members, "send_as,metadata") } };
    struct user_row row;
    struct buf list;
    size_t before;

    domain(h, p, "a.test");
    buf_init(&list, 64 * 1024);
    for (int i = 0; i < 100; i++)
        buf_addf(&list, "%s\"x%060d%02d@a.test\"", i ? "," : "[", 0, i);
    buf_adds(&list, "]");
    in.change.row.address = BYTES("ana@a.test");
    in.change.row.send_as = arena_copy(h->arena, buf_bytes(&list));
    in.change.row.metadata = arena_bytesf(h->arena, "{\"x\":\"%016000d\"}", 0);
    buf_clear(&list);
    must(h, user_create(as(h, p), &in, &row));
    as(h, NULL);
    before = arena_used(h->arena);
    for (int i = 0; i < 1000; i++) {
        struct recipient_check_in to = { .size = 0 };
        struct recipient out;
        char text[64];

        snprintf(text, sizeof text, "ana+%d@a.test", i);
        must(h, address_parse(bytes_of(text), h->arena, &to.address, &h->c.err));
        must(h, recipient_check(&h->c, &to, &out));
        assert_true(id_equal(out.user_id, row.id));
    }
    assert_true(arena_used(h->arena) - before < (size_t)1024 * 1024);
}

static void alias_needs_a_user(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct address_create_in in = { .change = { .row = { .address = BYTES("x@elsewhere.test") },
                                                .target = { .user = BYTES("usr_none") } } };
    struct address_row row;

    assert_false(address_create(as(h, p), &in, &row));
    assert_int_equal(h->c.n_faults, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mail_finds_its_user),     TEST(the_directory_keeps_up_with_quota),
        TEST(an_alias_moves_and_goes), TEST(a_thousand_recipients_stay_small),
        TEST(alias_needs_a_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
