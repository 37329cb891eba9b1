/* What several nodes know together: failed logins, rates, the first start. A second node is a second memory over the
 * same rows, as if each had its own process; tests/e2e/test_two_processes.py has real ones. */
#include "base/metrics.h"
#include "house.h"
#include "service/core/limits.h"
#include "service/core/node.h"
#include "service/identity/auth_private.h"
#include "service/keep/sweep.h"
#include "service/queue/due.h"

#define PASSWORD "correct horse"
#define CLIENT   "192.0.2.1"

/* The memories of two nodes; `at` puts one of them in place. */
struct node {
    struct auth *auth;
    struct limits *limits;
};

struct pair {
    struct house *h;
    struct node nodes[2];
};

static struct house *at(struct pair *p, int node)
{
    p->h->svc->auth = p->nodes[node].auth;
    p->h->svc->limits = p->nodes[node].limits;
    return p->h;
}

static struct node node_new(void)
{
    return (struct node){ auth_new(), limits_new() };
}

static void node_free(struct node *n)
{
    auth_free(&n->auth);
    limits_free(&n->limits);
}

static int pair_setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    void *h;

    house_setup(&h);
    p->h = h;
    p->nodes[0] = (struct node){ p->h->svc->auth, p->h->svc->limits };
    p->nodes[1] = node_new();
    *state = p;
    return 0;
}

static int pair_teardown(void **state)
{
    struct pair *p = *state;
    void *h = at(p, 0);

    node_free(&p->nodes[1]);
    free(p);
    return house_teardown(&h);
}

static bool login_from(struct house *h, const char *net, const char *name, const char *password)
{
    const struct principal *who;

    as(h, NULL);
    h->c.client_ip = h->c.client_net = B(net);
    return auth_password(&h->c, B(name), B(password), &who);
}

static bool login(struct house *h, const char *password)
{
    return login_from(h, CLIENT, "ana@a.test", password);
}

static struct user_row ana(struct house *h)
{
    struct principal *p;

    set_param("auth.argon2_memory", "64K");
    set_param("auth.argon2_passes", "1");
    p = tenant(h, "a");
    domain(h, p, "a.test");
    return user(h, p, "ana@a.test", PASSWORD);
}

static size_t rows(struct house *h, const struct kind *k)
{
    struct query q = { .kind = k, .limit = 1000 };
    void *found;
    size_t n;

    must(h, store_find(h->svc->store, &q, h->arena, &found, &n, &h->c.err));
    return n;
}

static int64_t hashes(void)
{
    return metric_get(METRIC_auth_hashes_total);
}

/* ---- failed logins ---- */

static void a_lockout_holds_at_every_node(void **state)
{
    struct pair *p = *state;
    int64_t before;

    ana(at(p, 0));
    set_param("auth.failures_free", "3");
    set_param("auth.failure_delay", "30s");
    wont(at(p, 0), login(p->h, "wrong"), ERR_AUTH);
    wont(at(p, 1), login(p->h, "wrong"), ERR_AUTH);
    wont(at(p, 0), login(p->h, "wrong"), ERR_AUTH); /* the third of both */
    before = hashes();
    wont(at(p, 1), login(p->h, PASSWORD), ERR_RATE);
    wont(at(p, 0), login(p->h, PASSWORD), ERR_RATE);
    assert_int_equal(hashes(), before); /* nothing was compared */
    if (!login_from(at(p, 1), "198.51.100.1", "ana@a.test", PASSWORD))
        fail_msg("%s", p->h->c.err.message); /* the owner, elsewhere */
    for (int i = 0; i < 3; i++)
        wont(at(p, i % 2), login_from(p->h, CLIENT, "nobody@a.test", "wrong"), ERR_AUTH);
    wont(at(p, 1), login_from(p->h, CLIENT, "nobody@a.test", "wrong"), ERR_RATE);
}

/* What one node remembers is no way past what another counts: not even one guess. */
static void a_remembered_login_is_no_way_around(void **state)
{
    struct pair *p = *state;

    ana(at(p, 1));
    assert_true(login(at(p, 1), PASSWORD));
    set_param("auth.failures_free", "2");
    set_param("auth.failure_delay", "30s");
    for (int i = 0; i < 2; i++)
        wont(at(p, 0), login(p->h, "wrong"), ERR_AUTH);
    wont(at(p, 1), login(p->h, PASSWORD), ERR_RATE);
}

static void success_forgets_at_every_node(void **state)
{
    struct pair *p = *state;

    ana(at(p, 0));
    set_param("auth.failures_free", "2");
    set_param("auth.failure_delay", "30s");
    for (int i = 0; i < 4; i++) {
        wont(at(p, i % 2), login(p->h, "wrong"), ERR_AUTH);
        assert_int_equal(rows(p->h, &throttle_kind), 1);
        if (!login(at(p, (i + 1) % 2), PASSWORD))
            fail_msg("%d: %s", i, p->h->c.err.message);
        assert_int_equal(rows(p->h, &throttle_kind), 0);
    }
}

/* A remembered login asks the store for nothing but its user; after a wrong one the long way is taken. */
static void a_wrong_guess_makes_what_is_remembered_void(void **state)
{
    struct pair *p = *state;
    struct throttle_state seen;
    int64_t before;

    ana(at(p, 0));
    assert_true(login(p->h, PASSWORD));
    before = hashes();
    assert_true(login(p->h, PASSWORD));
    assert_int_equal(hashes(), before);
    as(p->h, NULL)->client_net = B(CLIENT);
    throttle_doubt(&p->h->c, BYTES("ana@a.test")); /* one is being compared now */
    assert_true(throttle_look(&p->h->c, BYTES("ana@a.test"), true, &seen) && seen.suspect && !seen.wait);
    assert_true(login(p->h, PASSWORD));
    assert_int_equal(hashes(), before + 1);
    assert_true(login(p->h, PASSWORD)); /* and is good again */
    assert_int_equal(hashes(), before + 1);
}

static void failures_are_swept_when_they_no_longer_count(void **state)
{
    struct pair *p = *state;
    struct user_row u = ana(at(p, 0)), now;
    size_t n;

    set_param("auth.failure_delay_max", "1s"); /* they count for twice as long */
    set_param("auth.failures_free", "2");
    wont(p->h, login(p->h, "wrong"), ERR_AUTH);
    must(p->h, store_get(p->h->svc->store, &user_kind, u.id, p->h->arena, &now, &p->h->c.err));
    assert_true(now.guarded_until > clock_wall());
    must(p->h, sweep_round(p->h->svc, &n, &p->h->c.err));
    assert_int_equal(rows(p->h, &throttle_kind), 1);
    usleep(2100000);
    wont(at(p, 1), login(p->h, "wrong"), ERR_AUTH); /* the first again */
    wont(at(p, 0), login(p->h, "wrong"), ERR_AUTH);
    wont(at(p, 1), login(p->h, PASSWORD), ERR_RATE);
    usleep(2100000);
    must(p->h, sweep_round(p->h->svc, &n, &p->h->c.err));
    assert_int_equal(rows(p->h, &throttle_kind), 0);
    assert_true(login(p->h, PASSWORD));
}

/* Failing for other names is no way to be forgotten: memory is bounded, the rows stay. */
static void a_count_outlives_its_place_in_memory(void **state)
{
    struct pair *p = *state;
    char name[32];

    ana(at(p, 0));
    set_param("auth.throttle_names", "100");
    set_param("auth.network_failures_per_hour", "0");
    set_param("auth.failures_free", "3");
    set_param("auth.failure_delay", "30s");
    for (int i = 0; i < 2; i++) {
        wont(p->h, login(p->h, "wrong"), ERR_AUTH);
        wont(p->h, login_from(p->h, CLIENT, "nobody@a.test", "wrong"), ERR_AUTH);
    }
    for (int i = 0; i < 130; i++) {
        snprintf(name, sizeof name, "u%d@a.test", i);
        wont(p->h, login_from(p->h, CLIENT, name, "wrong"), ERR_AUTH);
    }
    assert_int_equal(rows(p->h, &throttle_kind), 132);
    wont(p->h, login(p->h, "wrong"), ERR_AUTH); /* the third */
    wont(p->h, login(p->h, PASSWORD), ERR_RATE);
    wont(p->h, login_from(p->h, CLIENT, "nobody@a.test", "wrong"), ERR_AUTH);
    wont(p->h, login_from(p->h, CLIENT, "nobody@a.test", "wrong"), ERR_RATE);
}

/* Many names from one network are as many guesses as many passwords for one. */
static void a_network_has_a_budget(void **state)
{
    struct pair *p = *state;
    struct house *h = at(p, 0);
    char name[32];
    int64_t before;

    ana(h);
    set_param("auth.network_failures_per_hour", "20");
    assert_true(login(h, PASSWORD));
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "u%d@a.test", i);
        at(p, i % 2);
        wont(h, login_from(h, CLIENT, name, "wrong"), ERR_AUTH);
    }
    before = hashes();
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "v%d@a.test", i);
        at(p, i % 2);
        wont(h, login_from(h, CLIENT, name, "wrong"), ERR_RATE);
    }
    assert_int_equal(hashes(), before); /* nothing was compared */
    at(p, 0);
    remember_clear(h->svc->auth, NO_ID);
    assert_true(login(h, PASSWORD)); /* who has logged in from there is heard */
    at(p, 1);
    wont(h, login(h, PASSWORD), ERR_RATE); /* by the node that knows of it */
    wont(h, login_from(h, "198.51.100.1", "nobody@a.test", "wrong"), ERR_AUTH);
    assert_true(login_from(h, "198.51.100.1", "ana@a.test", PASSWORD)); /* nobody else is kept out */
}

/* ---- rates ---- */

static bool take(struct pair *p, int node, const char *name, int64_t n, int64_t most)
{
    struct limit limit = { B(name), most, INT64_C(3600000) };
    int64_t wait;

    as(at(p, node), NULL);
    must(p->h, limits_take(&p->h->c, &limit, n, &wait));
    return wait == 0;
}

static void one_node_gets_its_whole_allowance(void **state)
{
    struct pair *p = *state;
    int n = 0;

    while (n < 1100 && take(p, 0, "all", 1, 1000))
        n++;
    assert_in_range(n, 990, 1003); /* what was reserved melts a little, and seconds of the hour come back */
}

static void nodes_never_take_more_than_the_limit_together(void **state)
{
    struct pair *p = *state;
    int n = 0, refused = 0;

    for (int i = 0; i < 3000 && refused < 50; i++) {
        bool taken = take(p, i % 7 < 4, "both", 1, 1000);
        n += taken;
        refused = taken ? 0 : refused + 1;
    }
    assert_in_range(n, 1000 - 2 * 1000 / 32, 1003);
    for (int i = 0; i < 10; i++) /* small ones are exact both ways */
        assert_true(take(p, i % 2, "few", 1, 10));
    assert_false(take(p, 0, "few", 1, 10));
    assert_false(take(p, 1, "few", 1, 10));
}

/* Forgotten at every node at once, as when all start again. */
static void what_was_taken_outlives_the_node(void **state)
{
    struct pair *p = *state;

    assert_true(take(p, 0, "x", 9, 10));
    node_free(&p->nodes[0]);
    p->nodes[0] = node_new();
    assert_false(take(p, 0, "x", 2, 10));
    assert_true(take(p, 0, "x", 1, 10));
}

static void limits_are_swept_when_they_are_full_again(void **state)
{
    struct pair *p = *state;
    struct limit brief = { BYTES("brief"), 10, 60000 };
    struct batch *b = batch_new(p->h->arena);
    struct limit_row past = { .id = id_new(), .full_at = 1, .expires_at = 1000 };
    int64_t wait;
    size_t n;

    as(at(p, 0), NULL);
    must(p->h, limits_take(&p->h->c, &brief, 10, &wait));
    assert_int_equal(wait, 0);
    must(p->h, limits_take(&p->h->c, &brief, 1, &wait));
    assert_in_range(wait, 1, 6001);
    batch_insert(b, &limit_kind, &past, NULL, 0);
    must(p->h, store_commit(p->h->svc->store, b, p->h->c.deadline, &p->h->c.err));
    must(p->h, sweep_round(p->h->svc, &n, &p->h->c.err));
    assert_int_equal(rows(p->h, &limit_kind), 1); /* the one in use stays */
}

/* Threads of two nodes at one name at once. */
struct racer {
    struct service svc; /* another memory, the same store */
    int taken;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct arena *a = arena_new(1 << 24);
    struct limit limit = { BYTES("race"), 200, INT64_C(3600000) };
    struct call c;
    int64_t wait = 0;

    for (int i = 0; i < 200; i++) {
        arena_reset(a);
        call_init(&c, &r->svc, a, "test");
        if (!limits_take(&c, &limit, 1, &wait))
            die("%s", c.err.message);
        r->taken += wait == 0;
    }
    arena_free(&a);
    return NULL;
}

static void nodes_at_one_name_at_once(void **state)
{
    struct pair *p = *state;
    struct racer *racers = calloc(4, sizeof *racers);
    pthread_t threads[4];
    int sum = 0;

    for (int i = 0; i < 4; i++) {
        racers[i].svc = *p->h->svc;
        racers[i].svc.limits = i < 2 ? p->nodes[0].limits : p->nodes[1].limits;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += racers[i].taken;
    }
    free(racers);
    assert_in_range(sum, 200 - 2 * 200 / 32, 202);
}

/* ---- one store, one start ---- */

static void the_first_start_is_done_once(void **state)
{
    struct pair *p = *state;
    struct house *h = at(p, 0);
    struct batch *b = batch_new(h->arena);
    struct value mark = V_TEXT(BYTES("server.first_start"));
    struct setting_row row;

    must(h, store_get_by(h->svc->store, &setting_kind, "name", &mark, 1, h->arena, &row, &h->c.err));
    row.id = id_new();
    batch_insert(b, &setting_kind, &row, NULL, 0);
    wont(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err), ERR_CONFLICT);
}

/* The row of a node, as a process on another host left it. */
static void leave_row(struct house *h, int64_t seen_at, bool draining)
{
    struct batch *b = batch_new(h->arena);
    struct set sets[] = { SET("load", V_JSON(BYTES("{\"host\":\"elsewhere\",\"folder\":\"/srv/mail\"}"))),
                          SET("seen_at", V_TIME(seen_at)), SET("draining", V_BOOL(draining)) };

    batch_update(b, &node_kind, h->svc->node, NULL, 0, sets, 3);
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 10000, &h->c.err));
}

static void a_node_that_lives_on_another_host_is_refused(void **state)
{
    struct pair *p = *state;
    struct house *h = at(p, 0);
    struct err e = { 0 };

    leave_row(h, store_now(h->svc->store), false);
    assert_false(node_alone(h->svc, &e));
    assert_non_null(strstr(e.message, "elsewhere in /srv/mail"));
    assert_non_null(strstr(e.message, "remove node.id"));
    leave_row(h, store_now(h->svc->store), true); /* it ended well */
    must(h, node_alone(h->svc, &h->c.err));
    leave_row(h, store_now(h->svc->store) - NODE_ALIVE_MS - 1000, false); /* it was killed a while ago */
    must(h, node_alone(h->svc, &h->c.err));
}

#define PAIR(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(a_lockout_holds_at_every_node),
        PAIR(a_remembered_login_is_no_way_around),
        PAIR(success_forgets_at_every_node),
        PAIR(a_wrong_guess_makes_what_is_remembered_void),
        PAIR(failures_are_swept_when_they_no_longer_count),
        PAIR(a_count_outlives_its_place_in_memory),
        PAIR(a_network_has_a_budget),
        PAIR(one_node_gets_its_whole_allowance),
        PAIR(nodes_never_take_more_than_the_limit_together),
        PAIR(what_was_taken_outlives_the_node),
        PAIR(limits_are_swept_when_they_are_full_again),
        PAIR(nodes_at_one_name_at_once),
        PAIR(the_first_start_is_done_once),
        PAIR(a_node_that_lives_on_another_host_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
