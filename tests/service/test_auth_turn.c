/* service/identity/auth_turn.h: whose turn it is. Callers are threads; one that waits is seen by the gauge. */
#include "base/metrics.h"
#include "house.h"
#include "service/identity/auth_turn.h"

#define MOST 16

struct caller {
    struct turns *turns;
    const char *from;
    enum standing standing;
    char name;
    bool refused, ended;
    pthread_t thread;
};

/* The order in which turns were given: the one who has the turn writes. */
static char order[MOST + 1];
static struct caller callers[MOST];
static size_t n_callers;

static void *call(void *arg)
{
    struct caller *c = arg;
    struct err e = { 0 };

    c->refused = !turn_take(c->turns, B(c->from), c->standing, &e);
    if (c->refused)
        return NULL;
    order[strlen(order)] = c->name;
    turn_give(c->turns);
    return NULL;
}

static void until_waiting(int64_t n)
{
    while (metric_get(METRIC_auth_waiting) != n)
        usleep(200);
}

/* One more. */
static void come(struct turns *t, char name, const char *from, enum standing standing)
{
    struct caller *c = &callers[n_callers++];

    *c = (struct caller){ .turns = t, .from = from, .standing = standing, .name = name };
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void come_to_wait(struct turns *t, char name, const char *from, enum standing standing)
{
    int64_t before = metric_get(METRIC_auth_waiting);

    come(t, name, from, standing);
    until_waiting(before + 1);
}

static void end(struct caller *c)
{
    if (!c->ended)
        pthread_join(c->thread, NULL);
    c->ended = true;
}

static void all_go(void)
{
    for (size_t i = 0; i < n_callers; i++)
        end(&callers[i]);
}

/* Waits until that one was sent away. */
static void is_refused(char name)
{
    for (size_t i = 0; i < n_callers; i++)
        if (callers[i].name == name) {
            end(&callers[i]);
            assert_true(callers[i].refused);
        }
}

static int setup(void **state)
{
    struct err e = { 0 };

    params_init();
    set_param("auth.argon2_parallel", "1");
    memset(order, 0, sizeof order);
    n_callers = 0;
    *state = turns_new(&auth_turn_rule);
    return turn_take(*state, BYTES("test"), STANDING_STRANGER, &e) ? 0 : -1; /* the others wait for this one */
}

static int teardown(void **state)
{
    struct turns *t = *state;

    turns_free(&t);
    params_free();
    return 0;
}

static void turns_go_round_between_networks(void **state)
{
    struct turns *t = *state;

    for (int i = 0; i < 5; i++)
        come_to_wait(t, (char)('a' + i), "192.0.2.1", STANDING_STRANGER);
    come_to_wait(t, 'x', "192.0.2.2", STANDING_STRANGER);
    come_to_wait(t, 'y', "192.0.2.3", STANDING_STRANGER);
    come_to_wait(t, 'z', "192.0.2.2", STANDING_STRANGER);
    turn_give(t);
    all_go();
    assert_string_equal(order, "axybzcde");
}

static void who_is_known_goes_first(void **state)
{
    struct turns *t = *state;

    for (int i = 0; i < 6; i++)
        come_to_wait(t, (char)('a' + i), "192.0.2.1", STANDING_STRANGER);
    for (int i = 0; i < 5; i++)
        come_to_wait(t, (char)('A' + i), "192.0.2.1", STANDING_KNOWN);
    come_to_wait(t, '1', "192.0.2.4", STANDING_NETWORK);
    turn_give(t);
    all_go();
    /* the fourth and the eighth turn, of which the test had the first, are open to all */
    assert_string_equal(order, "ABaCDE1bcdef");
}

static void one_network_cannot_fill_the_queue(void **state)
{
    struct turns *t = *state;

    set_param("auth.argon2_waiting", "4");
    for (int i = 0; i < 4; i++)
        come_to_wait(t, (char)('a' + i), "192.0.2.1", STANDING_STRANGER);
    come(t, 'e', "192.0.2.1", STANDING_STRANGER);
    is_refused('e');
    come(t, 'x', "192.0.2.2", STANDING_STRANGER); /* takes the place of the last one there */
    is_refused('d');
    come(t, 'K', "192.0.2.1", STANDING_KNOWN); /* so does who is known there */
    is_refused('c');
    until_waiting(4);
    turn_give(t);
    all_go();
    assert_string_equal(order, "Kaxb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(turns_go_round_between_networks, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_known_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(one_network_cannot_fill_the_queue, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
