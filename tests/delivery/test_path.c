/* delivery/path.h */
#include "tests/base/check.h"

#include "delivery/path.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define START  (INT64_C(1000000) * SECOND)

static void events(struct path *p, enum path_event e, int n, int64_t now)
{
    while (n-- > 0)
        path_event(p, e, now);
}

/* The table of 3.2, row by row: from a window with so many busy, what an event makes of it. */
static void the_window_follows_the_table(void **state)
{
    static const struct {
        double window;
        int busy, max;
        enum path_event event;
        double want;
    } rows[] = {
        { 2, 2, 20, PATH_VERDICT, 2.5 },     { 2, 1, 20, PATH_VERDICT, 2.5 }, /* b >= w - 1 */
        { 3.5, 2, 20, PATH_VERDICT, 3.786 }, /* full, with a slot kept for hurried mail */
        { 4, 2, 20, PATH_VERDICT, 4 },       /* it was not made use of */
        { 20, 20, 20, PATH_VERDICT, 20 },    { 19.99, 20, 20, PATH_VERDICT, 20 }, { 4, 0, 20, PATH_FAILED, 3 },
        { 1.5, 0, 20, PATH_FAILED, 1 },      { 1, 0, 20, PATH_ALL_FAILED, 1 },    { 8, 0, 20, PATH_SLOW, 4 },
        { 1.5, 0, 20, PATH_SLOW, 1 },        { 8, 0, 20, PATH_RESUMED, 1 },       { 8, 8, 20, PATH_NOTHING, 8 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct path p;

        path_init(&p, rows[i].max, 7);
        assert_true(p.window > 1.99 && p.window < 2.01);
        p.window = rows[i].window;
        events(&p, PATH_BEGUN, rows[i].busy, START);
        path_event(&p, rows[i].event, START);
        if (p.window < rows[i].want - 0.001 || p.window > rows[i].want + 0.001)
            fail_msg("row %zu: %f", i, p.window);
    }
}

static void refusals_never_narrow_it(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, 20, 7);
    for (int i = 0; i < 1000; i++) {
        double before = p.window;

        events(&p, PATH_BEGUN, 1, START + i);
        path_event(&p, PATH_VERDICT, START + i);
        events(&p, PATH_ENDED, 1, START + i);
        assert_true(p.window >= before);
    }
}

static void slower_only_once_in_ten_seconds(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, 20, 7);
    p.window = 16;
    events(&p, PATH_SLOW, 5, START);
    assert_true(p.window > 7.9 && p.window < 8.1);
    path_event(&p, PATH_SLOW, START + 9 * SECOND);
    assert_true(p.window > 7.9 && p.window < 8.1);
    path_event(&p, PATH_SLOW, START + 11 * SECOND);
    assert_true(p.window > 3.9 && p.window < 4.1);
    assert_false(path_may_connect(&p, START + 40 * SECOND)); /* quiet from the last one on */
    assert_true(path_may_connect(&p, START + 41 * SECOND));
    assert_int_equal(path_window(&p, START + 12 * SECOND), 4); /* connections that are open go on */
}

static void crowding_is_learnt_and_forgotten(void **state)
{
    static const struct {
        int64_t after;
        int window;
    } rows[] = { { 0, 4 }, { 9, 4 }, { 10, 5 }, { 20, 6 }, { 49, 8 }, { 1000, 20 } };
    struct path p;

    (void)state;
    path_init(&p, 20, 7);
    p.window = 20;
    events(&p, PATH_OPENED, 5, START);
    path_event(&p, PATH_CROWDED, START);
    p.window = 20;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(path_window(&p, START + rows[i].after * MINUTE), rows[i].window);
    assert_int_equal(path_next(&p, START + MINUTE), START + 10 * MINUTE);
    events(&p, PATH_CLOSED, 4, START);
    path_event(&p, PATH_CROWDED, START); /* one connection is never too many for ever */
    assert_int_equal(path_window(&p, START), 1);
}

static int64_t dead_ms(struct path *p, int64_t now)
{
    assert_int_equal(p->state, PATH_DEAD);
    return p->until - now;
}

static void it_dies_and_is_probed(void **state)
{
    static const int minutes[] = { 1, 5, 10, 20, 30, 30, 30 };
    struct path p;
    int64_t now = START;

    (void)state;
    path_init(&p, 20, 7);
    events(&p, PATH_ALL_FAILED, 4, now);
    assert_int_equal(p.state, PATH_OPEN);
    path_event(&p, PATH_FAILED, now); /* the fifth, but not of every host */
    assert_int_equal(p.state, PATH_OPEN);
    path_event(&p, PATH_ALL_FAILED, now);
    for (size_t k = 0; k < COUNT(minutes); k++) {
        int64_t dead = dead_ms(&p, now);

        assert_true(dead >= minutes[k] * MINUTE * 8 / 10 && dead <= minutes[k] * MINUTE * 12 / 10);
        assert_int_equal(path_window(&p, now + dead - 1), 0);
        assert_int_equal(path_next(&p, now), now + dead);
        now += dead;
        assert_int_equal(path_window(&p, now), 1);
        assert_true(path_may_connect(&p, now));
        events(&p, PATH_OPENED, 1, now);
        assert_false(path_may_connect(&p, now)); /* one connection */
        path_event(&p, PATH_ALL_FAILED, now);
        events(&p, PATH_CLOSED, 1, now);
    }
    now = p.until;
    path_event(&p, PATH_VERDICT, now);
    assert_int_equal(p.state, PATH_OPEN);
    assert_int_equal(path_window(&p, now), 2);
    assert_true(path_revived(&p));
    assert_false(path_revived(&p));
    assert_int_equal(p.deaths, 0);
}

static void verdicts_between_failures_keep_it_alive(void **state)
{
    struct path p;

    (void)state;
    path_init(&p, 20, 7);
    for (int i = 0; i < 100; i++) {
        events(&p, PATH_ALL_FAILED, 4, START);
        path_event(&p, PATH_VERDICT, START);
    }
    assert_int_equal(p.state, PATH_OPEN);
}

/* The way back is spread: paths that died together do not come back together. */
static void jitter_spreads_the_return(void **state)
{
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct path p;

        path_init(&p, 20, seed);
        events(&p, PATH_ALL_FAILED, 5, START);
        least = p.until < least ? p.until : least;
        most = p.until > most ? p.until : most;
    }
    assert_true(least >= START + MINUTE * 8 / 10 && most <= START + MINUTE * 12 / 10);
    assert_true(most - least > MINUTE * 3 / 10);
}

static void sick_hosts_are_known_for_two_minutes(void **state)
{
    struct network a, b;
    struct path p;

    (void)state;
    path_init(&p, 20, 7);
    network_parse_address(BYTES("192.0.2.1"), &a);
    network_parse_address(BYTES("2001:db8::1"), &b);
    path_host_failed(&p, &a, START);
    assert_true(path_host_sick(&p, &a, START + 2 * MINUTE - 1));
    assert_false(path_host_sick(&p, &a, START + 2 * MINUTE));
    assert_false(path_host_sick(&p, &b, START));
    path_host_worked(&p, &a);
    assert_false(path_host_sick(&p, &a, START));
    for (int i = 0; i < 100; i++) { /* as many as there are */
        a.address[15] = (unsigned char)i;
        path_host_failed(&p, &a, START + i);
        assert_true(path_host_sick(&p, &a, START + i));
    }
}

/* ---- a virtual clock: a peer that takes so many connections, is away at times, and says slow at others ---- */

struct world {
    struct path p;
    int64_t now;
    uint64_t random;
    int peer_max;
    bool away;
    int connections;
    struct {
        int64_t ends;
        bool failed;
    } running[64];
};

static unsigned draw(struct world *w, unsigned below)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(w->random >> 33) % below;
}

static void begin_what_may(struct world *w)
{
    while (w->p.busy < path_window(&w->p, w->now) && w->connections < (int)COUNT(w->running) &&
           path_may_connect(&w->p, w->now)) {
        size_t i = 0;

        while (w->running[i].ends)
            i++;
        path_event(&w->p, PATH_OPENED, w->now);
        path_event(&w->p, PATH_BEGUN, w->now);
        w->connections++;
        w->running[i].failed = w->away;
        w->running[i].ends = w->now + 50 + draw(w, 2000);
    }
}

static void end_what_ended(struct world *w)
{
    for (size_t i = 0; i < COUNT(w->running); i++) {
        enum path_event event = PATH_VERDICT;

        if (!w->running[i].ends || w->running[i].ends > w->now)
            continue;
        if (w->running[i].failed)
            event = PATH_ALL_FAILED;
        else if (w->connections > w->peer_max)
            event = PATH_CROWDED;
        else if (draw(w, 200) == 0)
            event = PATH_SLOW;
        path_event(&w->p, event, w->now);
        path_event(&w->p, PATH_ENDED, w->now);
        path_event(&w->p, PATH_CLOSED, w->now);
        w->connections--;
        w->running[i].ends = 0;
    }
}

static void check_promises(struct world *w, int max)
{
    int window = path_window(&w->p, w->now);

    assert_true(window <= max && window >= 0);
    assert_true(w->p.window >= 1 && w->p.window <= 20);
    assert_int_equal(w->p.open, w->connections);
    if (w->p.state == PATH_DEAD)
        assert_true(window == 0 && w->p.until > w->now);
    if (w->p.state == PATH_PROBE)
        assert_int_equal(window, 1);
    if (window == 0) /* it never waits for nothing */
        assert_true(path_next(&w->p, w->now) > w->now);
}

static void never_over_its_maximum(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w = { .now = START, .random = seed * 77, .peer_max = 3 + (int)(seed % 9) };
        int max = 20, deaths = 0, done = 0;

        path_init(&w.p, max, seed);
        for (int step = 0; step < 20000; step++) {
            int before = w.connections;

            if (draw(&w, 1000) == 0)
                w.away = !w.away;
            if (draw(&w, 2000) == 0) {
                max = 1 + (int)draw(&w, 20);
                w.p.max = max;
            }
            begin_what_may(&w);
            assert_true(w.connections <= max || w.connections <= before); /* what is open may be more than a new M */
            check_promises(&w, max);
            w.now += 20 + draw(&w, 1000);
            end_what_ended(&w);
            deaths += w.p.state == PATH_DEAD;
            done += w.p.state == PATH_OPEN && !w.away;
        }
        assert_true(deaths > 0 && done > 1000);
    }
}

/* Left alone with a peer that works, every path comes back to full width. */
static void it_recovers(void **state)
{
    struct world w = { .now = START, .random = 5, .peer_max = 1000, .away = true };

    (void)state;
    path_init(&w.p, 20, 5);
    for (int step = 0; step < 3000; step++) {
        begin_what_may(&w);
        w.now += 100;
        end_what_ended(&w);
    }
    assert_int_not_equal(w.p.state, PATH_OPEN);
    w.away = false;
    for (int step = 0; step < 60000 && path_window(&w.p, w.now) < 15; step++) {
        begin_what_may(&w);
        w.now += 100;
        end_what_ended(&w);
    }
    assert_true(path_window(&w.p, w.now) >= 15);
}

/* At a node whose clock of its own began elsewhere. */
static void what_is_known_is_taken_over(void **state)
{
    struct path p, q;
    struct path_kept kept;
    const int64_t ahead = 5000 * MINUTE, other = 100 * MINUTE;

    (void)state;
    path_init(&p, 20, 7);
    assert_false(path_is_narrow(&p, START));
    events(&p, PATH_ALL_FAILED, 5, START);
    assert_true(p.state == PATH_DEAD && path_is_narrow(&p, START));
    path_keep(&p, ahead, &kept);
    path_init(&q, 20, 7);
    path_restore(&q, ahead + START - other, &kept);
    assert_true(q.state == PATH_DEAD && q.until - other == p.until - START && q.deaths == 1 && q.quiet == 0);
    assert_int_equal(path_window(&q, other), 0);
    assert_int_equal(path_window(&q, other + 2 * MINUTE), 1); /* and is probed */
    path_event(&q, PATH_ALL_FAILED, other + 2 * MINUTE);
    assert_true(q.deaths == 2 && q.until > other + 5 * MINUTE);

    path_init(&p, 20, 7);
    p.window = 16;
    events(&p, PATH_OPENED, 9, START);
    path_event(&p, PATH_CROWDED, START);
    assert_true(p.state == PATH_OPEN && path_is_narrow(&p, START) && !path_is_narrow(&p, START + 600 * MINUTE));
    path_keep(&p, ahead, &kept);
    path_init(&q, 20, 7);
    path_restore(&q, ahead + START - other, &kept);
    assert_int_equal(path_window(&q, other), 8);
    assert_false(path_may_connect(&q, other + 29 * SECOND));
    assert_true(path_may_connect(&q, other + 31 * SECOND));
}

static void it_is_dead_for_as_long_as_is_said(void **state)
{
    const struct pauses pauses = { { 2 * SECOND, 4 * SECOND }, 2 };
    struct path p;
    int64_t now = START;

    (void)state;
    path_init(&p, 20, 7);
    p.pauses = &pauses;
    events(&p, PATH_ALL_FAILED, 5, now);
    for (int k = 0; k < 5; k++) {
        int64_t pause = k ? 4 * SECOND : 2 * SECOND;

        assert_true(p.state == PATH_DEAD && p.until - now >= pause * 8 / 10 && p.until - now <= pause * 12 / 10);
        now = p.until;
        path_event(&p, PATH_ALL_FAILED, now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_is_taken_over),     cmocka_unit_test(it_is_dead_for_as_long_as_is_said),
        cmocka_unit_test(the_window_follows_the_table),    cmocka_unit_test(refusals_never_narrow_it),
        cmocka_unit_test(slower_only_once_in_ten_seconds), cmocka_unit_test(crowding_is_learnt_and_forgotten),
        cmocka_unit_test(it_dies_and_is_probed),           cmocka_unit_test(verdicts_between_failures_keep_it_alive),
        cmocka_unit_test(jitter_spreads_the_return),       cmocka_unit_test(sick_hosts_are_known_for_two_minutes),
        cmocka_unit_test(never_over_its_maximum),          cmocka_unit_test(it_recovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
