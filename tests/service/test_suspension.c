/* Suspensions: which mail each matches, who may make and end them, how nodes hear of them, and what a tag's holds. */
#include "service/core/member.h"
#include "service/queue/action.h"
#include "service/queue/suspension.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"
#include <pthread.h>
#include <stdatomic.h>

/* ---- matching ---- */

#define TAGS BYTES("[{\"name\":\"kind\",\"value\":\"news\"},{\"name\":\"eq\",\"value\":\"a=b\"}]")

static const struct {
    enum suspension_scope scope;
    const char *match;
    bool matches;
} rows[] = {
    { SUSPEND_SITE, "far.test", true },        { SUSPEND_SITE, "FAR.test", true },
    { SUSPEND_SITE, "ar.test", false },        { SUSPEND_SITE, "*.test", true },
    { SUSPEND_SITE, "*.far.test", false },     { SUSPEND_PROVIDER, "google", true },
    { SUSPEND_PROVIDER, "goog", false },       { SUSPEND_SOURCE, "default", true },
    { SUSPEND_SOURCE, "other", false },        { SUSPEND_PATH, "provider google", true },
    { SUSPEND_PATH, "google", false },         { SUSPEND_STREAM, "str_1", true },
    { SUSPEND_STREAM, "str_2", false },        { SUSPEND_TAG, "kind", true },
    { SUSPEND_TAG, "kind=news", true },        { SUSPEND_TAG, "kind=new", false },
    { SUSPEND_TAG, "kind=newsletter", false }, { SUSPEND_TAG, "kin", false },
    { SUSPEND_TAG, "eq=a=b", true },           { SUSPEND_TAG, "eq=a", false },
};

static struct suspend_query a_mail(struct id account)
{
    return (struct suspend_query){ .site = BYTES("far.test"),
                                   .provider = BYTES("google"),
                                   .path = BYTES("provider google"),
                                   .source = BYTES("default"),
                                   .stream = BYTES("str_1"),
                                   .account = account,
                                   .tags = TAGS };
}

static void each_scope_matches_what_it_names(void **state)
{
    struct id account = id_new();
    struct suspend_query q = a_mail(account), unknown = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct suspension s = { .account = account, .scope = rows[i].scope, .match = bytes_of(rows[i].match) };

        if (suspension_matches(&s, &q) != rows[i].matches)
            fail_msg("%s", rows[i].match);
        assert_false(suspension_matches(&s, &unknown));
        s.account = id_new(); /* tags are an account's own */
        assert_int_equal(suspension_matches(&s, &q), rows[i].matches && rows[i].scope != SUSPEND_TAG);
    }
}

static void what_stops_counts_before_what_slows(void **state)
{
    struct suspend_query q = a_mail(id_new());
    struct suspension list[] = {
        { .scope = SUSPEND_SITE, .match = BYTES_ROW("far.test"), .slow = true, .per_minute = 5 },
        { .scope = SUSPEND_SITE, .match = BYTES_ROW("far.test"), .expires_at = 1000 },
        { .scope = SUSPEND_SITE, .match = BYTES_ROW("other.test") },
    };

    (void)state;
    assert_ptr_equal(suspension_match(list, 3, &q, 999), &list[1]);
    assert_ptr_equal(suspension_match(list, 3, &q, 1000), &list[0]); /* that one is over */
    assert_null(suspension_match(list + 2, 1, &q, 0));
}

/* ---- made, seen, ended ---- */

static struct principal operator_of(struct world *w)
{
    struct principal p = key_of(w->svc->operator_account, false);

    p.scopes = SCOPE_ALL;
    return p;
}

static bool make(struct world *w, const struct principal *who, const char *scope, const char *match,
                 struct suspension_row *out)
{
    struct suspension_create_in in = { .given = { .scope = bytes_of(scope), .match = bytes_of(match) } };

    act(w, who, "api");
    in.named = members_named(&suspension_members, *match ? "scope,match" : "scope");
    return suspension_create(&w->c, &in, out);
}

static bool end(struct world *w, const struct principal *who, struct id id)
{
    struct suspension_delete_in in = { .id = id_of(w, &suspension_kind, id) };

    act(w, who, "api");
    return suspension_delete(&w->c, &in, NULL);
}

static size_t seen_by(struct world *w, const struct principal *who)
{
    struct suspension_list_in in = { .page = { .limit = 100 } };
    struct suspension_list_out out;

    act(w, who, "api");
    must(&w->c, suspension_list(&w->c, &in, &out));
    return out.n;
}

static size_t in_force(struct world *w)
{
    struct suspension *list;
    size_t n;

    suspensions_copy(w->svc, w->arena, &list, &n);
    return n;
}

static void a_tenant_suspends_itself_and_its_tags(void **state)
{
    struct world *w = *state;
    struct principal operator= operator_of(w), bound = w->key;
    struct suspension_row site, own, theirs, tag;
    uint64_t version = suspensions_version(w->svc);
    const char *other = arena_text(w->arena, id_text(w->arena, "acc", w->other));

    must_fail(&w->c, make(w, &w->key, "site", "far.test", &site), ERR_SCOPE);
    must_fail(&w->c, make(w, &w->key, "account", other, &site), ERR_INVALID);
    must(&w->c, make(w, &w->key, "account", "", &own));
    assert_true(id_equal(own.account_id, w->account));
    assert_int_not_equal(suspensions_version(w->svc), version); /* here at once */
    must(&w->c, make(w, &w->key, "tag", "kind=news", &tag));
    must(&w->c, make(w, &operator, "site", "*.Far.test", &site));
    assert_bytes(site.match, BYTES("*.far.test"));
    must(&w->c, make(w, &operator, "account", other, &theirs));
    assert_int_equal(seen_by(w, &w->key), 2);
    assert_int_equal(seen_by(w, &w->other_key), 1);
    assert_int_equal(seen_by(w, &operator), 4);
    assert_int_equal(in_force(w), 4);
    must_fail(&w->c, end(w, &w->other_key, theirs.id), ERR_SCOPE);
    must_fail(&w->c, end(w, &w->other_key, own.id), ERR_MISSING);
    must(&w->c, end(w, &w->key, own.id));
    must(&w->c, end(w, &operator, theirs.id));
    assert_int_equal(in_force(w), 2);
    bound.n_domain_ids = 1;
    bound.domain_ids = &tag.id;
    must_fail(&w->c, make(w, &bound, "account", "", &own), ERR_SCOPE);
    must_fail(&w->c, make(w, &w->test_key, "account", "", &own), ERR_SCOPE);
}

static void limits_fit_their_effect(void **state)
{
    struct world *w = *state;
    struct principal operator= operator_of(w);
    struct suspension_create_in in = { .given = {
                                           .scope = BYTES("path"), .match = BYTES("x"), .effect = BYTES("slow") } };
    struct suspension_row out;

    act(w, &operator, "api");
    in.named = members_named(&suspension_members, "scope,match,effect,limits,expires_at");
    must_fail(&w->c, suspension_create(&w->c, &in, &out), ERR_INVALID);
    in.given.limits = BYTES("{\"connections\":2,\"per_minute\":9}");
    act(w, &operator, "api");
    must(&w->c, suspension_create(&w->c, &in, &out));
    in.given.scope = BYTES("account"); /* which has no connections */
    in.given.match = NO_BYTES;
    act(w, &operator, "api");
    must_fail(&w->c, suspension_create(&w->c, &in, &out), ERR_INVALID);
    in.given.limits = BYTES("{\"per_minute\":9}");
    in.given.expires_at = clock_wall() - 1000;
    act(w, &operator, "api");
    must_fail(&w->c, suspension_create(&w->c, &in, &out), ERR_INVALID);
}

/* ---- a tag's ---- */

static size_t round_of_actions(struct world *w)
{
    struct err e = { 0 };
    size_t n, all = 0;

    do {
        if (!actions_round(w->svc, &n, &e))
            fail_msg("%s at %s", e.message, e.where);
        all += n;
    } while (n);
    return all;
}

static void hold_by(struct world *w, struct work *all, size_t n, struct id suspension)
{
    struct done *each = arena_array(w->arena, n, sizeof *each);
    struct err e = { 0 };

    for (size_t i = 0; i < n; i++)
        each[i] = (struct done){ .work = &all[i],
                                 .verdict = { .outcome = OUTCOME_HELD },
                                 .suspension = suspension,
                                 .reason = BYTES("not now") };
    if (!queue_finish(w->svc, w->arena, each, n, &e))
        fail_msg("%s", e.message);
}

/* Two deliveries on their way, while a tag is suspended that they do not have: what the engine holds them by is the
 * test's. */
static struct work *two_under_way(struct world *w, struct suspension_row *tag, struct id *message)
{
    struct work *all;
    size_t n;

    go_live();
    must(&w->c, make(w, &w->key, "tag", "kind=news", tag));
    *message = sent(w, TO("a@far.test", "b@far.test")).message_id;
    all = claimed(w, 9, &n);
    assert_int_equal(n, 2);
    return all;
}

static void what_a_tag_held_is_released_at_its_end(void **state)
{
    struct world *w = *state;
    struct suspension_row tag;
    struct delivery_row row;
    struct id message;
    struct work *all = two_under_way(w, &tag, &message);
    size_t n;

    hold_by(w, all, 2, tag.id);
    row = row_of(w, all[0].row.id);
    assert_bytes(row.status, BYTES("held"));
    assert_bytes(row.held_why, BYTES("not now"));
    assert_true(id_equal(row.held_by, tag.id));
    must(&w->c, end(w, &w->key, tag.id));
    assert_true(round_of_actions(w) > 0);
    claimed(w, 9, &n);
    assert_int_equal(n, 2);
    assert_int_equal(events(w, message, "email.released"), 2);
}

/* The engine's list may be older than the end: the batch says so. */
static void a_hold_by_one_that_has_ended_is_none(void **state)
{
    struct world *w = *state;
    struct suspension_row tag;
    struct id message;
    struct work *all = two_under_way(w, &tag, &message);
    size_t n;

    must(&w->c, end(w, &w->key, tag.id));
    round_of_actions(w);
    hold_by(w, all, 2, tag.id);
    assert_int_equal(events(w, message, "email.held"), 0);
    assert_int_equal(message_of_id(w, message).n_open, 2);
    claimed(w, 9, &n);
    assert_int_equal(n, 2);
}

struct readers {
    struct world *w;
    atomic_bool over;
};

static void *reads(void *arg)
{
    struct readers *r = arg;
    struct err e = { 0 };

    while (!atomic_load(&r->over))
        assert_true(suspensions_load(r->w->svc, &e));
    return NULL;
}

static void add_one(struct world *w)
{
    struct suspension_row *row = arena_alloc(w->arena, sizeof *row);
    struct batch *b = batch_new(w->arena);

    *row = (struct suspension_row){ .id = id_new(), .scope = BYTES("site"), .match = BYTES("far.test") };
    batch_insert(b, &suspension_kind, row, NULL, 0);
    must(&w->c, store_commit(w->svc->store, b, clock_monotonic() + 5000, &w->c.err));
    must(&w->c, suspensions_load(w->svc, &w->c.err));
}

/* Of reads at once the older one is not what stays. */
static void what_was_read_is_not_overtaken(void **state)
{
    struct world *w = *state;
    pthread_t threads[8];

    for (size_t i = 1; i <= 40; i++) {
        struct readers r = { .w = w };

        for (size_t k = 0; k < 8; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, reads, &r), 0);
        add_one(w);
        atomic_store(&r.over, true);
        for (size_t k = 0; k < 8; k++)
            pthread_join(threads[k], NULL);
        assert_int_equal(in_force(w), i);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scope_matches_what_it_names),
        cmocka_unit_test(what_stops_counts_before_what_slows),
        TEST(a_tenant_suspends_itself_and_its_tags),
        TEST(limits_fit_their_effect),
        TEST(what_a_tag_held_is_released_at_its_end),
        TEST(a_hold_by_one_that_has_ended_is_none),
        TEST(what_was_read_is_not_overtaken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
