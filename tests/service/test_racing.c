/* Changes at the same time: each writes what it names, and nothing else. */
#include "house.h"
#include "service/core/member.h"

#define ROUNDS 60
#define TRIES  20

/* One who changes a member again and again, and looks whether the last change still stands. */
struct racer {
    struct house *h;
    const struct principal *who;
    struct bytes id;
    int number;
    bool (*change)(struct racer *r, struct call *c, int64_t round);
    bool (*stands)(struct racer *r, struct call *c, int64_t round);
    int lost, failed;
};

static void begin(struct racer *r, struct arena *a, struct call *c)
{
    arena_reset(a);
    call_init(c, r->h->svc, a, "test");
    c->who = r->who;
    c->account = r->who->account_id;
}

static void *race(void *arg)
{
    struct racer *r = arg;
    struct arena *a = arena_new(64 * 1024 * 1024);

    for (int64_t i = 1; i <= ROUNDS; i++) {
        struct call c;
        bool done = false;

        for (int try = 0; !done && try < TRIES; try++) {
            begin(r, a, &c);
            done = r->change(r, &c, i);
            if (!done && c.err.code != ERR_CONFLICT) /* that one says: try again */
                break;
        }
        if (!done)
            printf("  round %lld: %s\n", (long long)i, c.err.message);
        r->failed += !done;
        r->lost += !r->stands(r, &c, i);
    }
    arena_free(&a);
    return NULL;
}

static void both_stand(struct racer racers[2])
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        racers[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(racers[i].failed, 0);
        assert_int_equal(racers[i].lost, 0);
    }
}

/* ---- members of one row ---- */

static bool change_key(struct racer *r, struct call *c, int64_t round)
{
    struct key_update_in in = { .id = r->id,
                                .named = members_named(&key_members, r->number ? "name" : "scopes"),
                                .given = { .scopes = round % 2 ? SCOPE_SEND : SCOPE_SEND | SCOPE_USERS } };
    struct key_row row;

    in.given.name = arena_bytesf(c->arena, "n%lld", (long long)round);
    return key_update(c, &in, &row);
}

static bool key_stands(struct racer *r, struct call *c, int64_t round)
{
    struct key_get_in in = { r->id };
    struct key_row row;

    if (!key_get(c, &in, &row))
        return false;
    return r->number ? bytes_equal(row.name, arena_bytesf(c->arena, "n%lld", (long long)round))
                     : (row.scopes == SCOPE_SEND) == (round % 2 == 1);
}

static void a_scope_that_was_taken_stays_taken(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct key_create_in in = { .given = { .scopes = SCOPE_SEND } };
    struct key_create_out out;

    must(h, key_create(as(h, p), &in, &out));
    struct racer one = { .h = h, .who = p, .change = change_key, .stands = key_stands };

    one.id = text_of(h, "key", out.row.id);
    both_stand((struct racer[]){ one, one });
}

static bool change_domain(struct racer *r, struct call *c, int64_t round)
{
    struct domain_update_in in = { .id = r->id,
                                   .named = members_named(&domain_members, r->number ? "catch_all" : "inbound"),
                                   .given = { .inbound = round % 2 ? BYTES("off") : BYTES("mailboxes"),
                                              .catch_all = round % 2 ? BYTES("ana@a.test") : NO_BYTES } };
    struct domain_view out;

    return domain_update(c, &in, &out);
}

static bool domain_stands(struct racer *r, struct call *c, int64_t round)
{
    struct domain_get_in in = { r->id };
    struct domain_view out;

    return domain_get(c, &in, &out) &&
           (r->number ? out.row.catch_all.p != NULL : bytes_equal(out.row.inbound, BYTES("off"))) == (round % 2 == 1);
}

static void a_domain_that_was_shut_stays_shut(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct racer one = { .h = h, .who = p, .id = BYTES("a.test"), .change = change_domain, .stands = domain_stands };

    domain(h, p, "a.test");
    user(h, p, "ana@a.test", NULL);
    both_stand((struct racer[]){ one, one });
}

static bool change_account(struct racer *r, struct call *c, int64_t round)
{
    struct account_update_in in = { .id = r->id,
                                    .named = members_named(&account_members, r->number ? "name" : "disabled"),
                                    .given = { .disabled = round % 2 == 1 } };
    struct account_row row;

    in.given.name = arena_bytesf(c->arena, "n%lld", (long long)round);
    return account_update(c, &in, &row);
}

static bool account_stands(struct racer *r, struct call *c, int64_t round)
{
    struct account_get_in in = { r->id };
    struct account_row row;

    return account_get(c, &in, &row) &&
           (r->number ? bytes_equal(row.name, arena_bytesf(c->arena, "n%lld", (long long)round))
                      : row.disabled == (round % 2 == 1));
}

static void an_account_that_was_disabled_stays_disabled(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct racer one = { .h = h, .who = &h->operator, .change = change_account, .stands = account_stands };

    one.id = text_of(h, "acc", p->account_id);
    both_stand((struct racer[]){ one, one });
}

/* ---- inside one member ---- */

static bool change_metadata(struct racer *r, struct call *c, int64_t round)
{
    struct user_update_in in = { .id = r->id, .change = { .named = members_named(&user_members, "metadata") } };
    struct user_row row;

    in.change.row.metadata = arena_bytesf(c->arena, "{\"m%d\":\"%lld\"}", r->number, (long long)round);
    return user_update(c, &in, &row);
}

static bool metadata_stands(struct racer *r, struct call *c, int64_t round)
{
    struct bytes want = arena_bytesf(c->arena, "\"m%d\":\"%lld\"", r->number, (long long)round);
    struct user_get_in in = { r->id };
    struct user_row row;

    return user_get(c, &in, &row) && memmem(row.metadata.p, row.metadata.n, want.p, want.n) != NULL;
}

static void names_of_metadata_merge(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct racer one = {
        .h = h, .who = p, .id = BYTES("ana@a.test"), .change = change_metadata, .stands = metadata_stands
    };
    struct user_update_in gone = { .id = one.id,
                                   .change = { .named = members_named(&user_members, "metadata"),
                                               .row = { .metadata = BYTES("{\"m0\":null,\"x\":\"y\"}") } } };
    struct user_row row;

    domain(h, p, "a.test");
    user(h, p, "ana@a.test", NULL);
    both_stand((struct racer[]){ one, one });
    must(h, user_update(as(h, p), &gone, &row));
    same(row.metadata, "{\"m1\":\"60\",\"x\":\"y\"}");
    gone.change.row.metadata = NO_BYTES;
    must(h, user_update(as(h, p), &gone, &row));
    assert_null(row.metadata.p);
}

static void nothing_named_changes_nothing(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_update_in in = { .id = BYTES("ana@a.test") };
    struct user_row made, row;

    domain(h, p, "a.test");
    made = user(h, p, "ana@a.test", "a long password");
    must(h, user_update(as(h, p), &in, &row));
    assert_true(bytes_equal(made.password_hash, row.password_hash));
    in.id = BYTES("nobody@a.test");
    wont(h, user_update(as(h, p), &in, &row), ERR_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scope_that_was_taken_stays_taken),
        TEST(a_domain_that_was_shut_stays_shut),
        TEST(an_account_that_was_disabled_stays_disabled),
        TEST(names_of_metadata_merge),
        TEST(nothing_named_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
