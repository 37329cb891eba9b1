/* delivery/sched.h, by a store and paths that are played: rows of flows, transactions that take virtual time. */
#include "tests/base/check.h"

#include "delivery/sched.h"

static const struct sched_limits limits = { .flows_max = 100000, .connections_max = 2000, .account_share = 50 };

static struct bytes flow_name(char out[64], const char *site, char class, int account, int stream)
{
    return (struct bytes){ out, (size_t)snprintf(out, 64, "%s/%c/a%d/s%d", site, class, account, stream) };
}

static void names_are_read(void **state)
{
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        { "gmail.com/n/a/s", true },   { "gmail.com/h/a/", true },
        { "[192.0.2.1]/l/a/s", true }, { "gmail.com/x/a/s", false },
        { "/n/a/s", false },           { "gmail.com/n/a", false },
        { "gmail.com", false },        { "", false },
        { "gmail.com//a/s", false },   { "g/nn/a/s", false },
    };
    struct sched *s = sched_new(&limits);
    struct flow_name parts;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(flow_read(bytes_of(rows[i].name), &parts), rows[i].ok);
        assert_int_equal(sched_poke(s, bytes_of(rows[i].name), NO_BYTES, 1), rows[i].ok);
    }
    assert_true(flow_read(BYTES("gmail.com/n/acc/str"), &parts));
    assert_bytes(parts.site, BYTES("gmail.com"));
    assert_bytes(parts.account, BYTES("acc"));
    assert_bytes(parts.stream, BYTES("str"));
    assert_int_equal(parts.class, 'n');
    sched_free(&s);
}

static void the_table_is_bounded(void **state)
{
    struct sched_limits small = { .flows_max = 2, .connections_max = 10, .account_share = 50 };
    struct sched *s = sched_new(&small);
    struct sched_counts n;
    struct pick p;

    (void)state;
    assert_true(sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 1) && sched_poke(s, BYTES("b/n/x/y"), NO_BYTES, 1));
    assert_false(sched_poke(s, BYTES("c/n/x/y"), NO_BYTES, 1));
    assert_true(sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 1));
    sched_window(s, BYTES(""), 1); /* what has nothing any more is forgotten */
    assert_int_equal(sched_pick(s, 1, &p, 1), 1);
    sched_claimed(s, p.flow, 0, 0, 0);
    assert_true(sched_poke(s, BYTES("c/n/x/y"), NO_BYTES, 1));
    sched_counts(s, &n);
    assert_int_equal(n.flows, 2);
    sched_free(&s);
}

static void nothing_before_its_time(void **state)
{
    struct sched *s = sched_new(&limits);
    struct pick p[4];

    (void)state;
    sched_window(s, BYTES("p"), 5);
    sched_poke(s, BYTES("a/n/x/y"), BYTES("p"), 1000);
    sched_poke(s, BYTES("b/n/x/y"), BYTES("p"), 500);
    assert_int_equal(sched_next(s), 500);
    assert_int_equal(sched_pick(s, 499, p, 4), 0);
    assert_int_equal(sched_pick(s, 500, p, 4), 1);
    assert_bytes(p[0].flow, BYTES("b/n/x/y"));
    assert_bytes(p[0].path, BYTES("p"));
    assert_int_equal(p[0].slots, 4);                /* alone in class n: all but the one that is kept */
    sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 700); /* the earlier of both */
    assert_int_equal(sched_next(s), 700);
    sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 900);
    assert_int_equal(sched_next(s), 700);
    sched_free(&s);
}

static void a_claim_that_found_nothing_gives_its_slots_back(void **state)
{
    struct sched *s = sched_new(&limits);
    struct sched_counts n;
    struct pick p[4];

    (void)state;
    sched_window(s, BYTES("p"), 2);
    sched_poke(s, BYTES("a/n/x/y"), BYTES("p"), 1);
    assert_int_equal(sched_pick(s, 1, p, 4), 1);
    sched_counts(s, &n);
    assert_int_equal(n.running, 2);
    sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 5); /* while it is claimed: not lost */
    sched_claimed(s, BYTES("a/n/x/y"), 0, 0, 0);
    sched_counts(s, &n);
    assert_true(n.running == 0 && n.flows == 1);
    assert_int_equal(sched_pick(s, 5, p, 4), 1);
    sched_claimed(s, BYTES("a/n/x/y"), 1, 1, 0);
    sched_ended(s, BYTES("a/n/x/y"), 1);
    sched_counts(s, &n);
    assert_int_equal(n.flows, 0);
    sched_free(&s);
}

/* A flow without a plan lies on "", and moves with what it waits for. */
static void plans_come_first(void **state)
{
    struct sched *s = sched_new(&limits);
    struct pick p[4];

    (void)state;
    sched_poke(s, BYTES("a/n/x/y"), NO_BYTES, 1);
    assert_int_equal(sched_pick(s, 1, p, 4), 0);
    sched_window(s, BYTES(""), 128);
    assert_int_equal(sched_pick(s, 1, p, 4), 1);
    assert_bytes(p[0].path, BYTES(""));
    sched_move(s, BYTES("a/n/x/y"), BYTES("p"));
    sched_claimed(s, BYTES("a/n/x/y"), 0, 0, 1);
    sched_window(s, BYTES("p"), 1);
    assert_int_equal(sched_pick(s, 1, p, 4), 1);
    assert_bytes(p[0].path, BYTES("p"));
    /* Its plan changes while something runs on the old path: that is counted there until it ends. */
    sched_claimed(s, BYTES("a/n/x/y"), 1, 1, 1);
    sched_move(s, BYTES("a/n/x/y"), BYTES("q"));
    sched_window(s, BYTES("q"), 1);
    assert_int_equal(sched_pick(s, 1, p, 4), 0);
    sched_ended(s, BYTES("a/n/x/y"), 1);
    assert_int_equal(sched_pick(s, 1, p, 4), 1);
    assert_bytes(p[0].path, BYTES("q"));
    sched_free(&s);
}

static void one_slot_is_kept_for_the_first_class(void **state)
{
    struct sched *s = sched_new(&limits);
    struct pick p[8];

    (void)state;
    sched_window(s, BYTES("p"), 3);
    sched_poke(s, BYTES("a/l/x/y"), BYTES("p"), 1);
    assert_int_equal(sched_pick(s, 1, p, 8), 1);
    assert_int_equal(p[0].slots, 2);
    sched_claimed(s, BYTES("a/l/x/y"), 2, 2, 1);
    assert_int_equal(sched_pick(s, 1, p, 8), 0);
    sched_poke(s, BYTES("a/h/x/y"), BYTES("p"), 1);
    assert_int_equal(sched_pick(s, 1, p, 8), 1);
    assert_bytes(p[0].flow, BYTES("a/h/x/y"));
    sched_free(&s);
}

/* ---- a played world ---- */

enum { FLOWS = 64, RUNNING = 4096 };

struct played {
    char name[64];
    const char *path;
    int cost;     /* of each transaction, in the mean */
    int64_t rows; /* left */
    int64_t served, begun, waited_from, longest_wait;
};

struct world {
    struct sched *s;
    struct played flow[FLOWS];
    size_t n;
    int64_t now;
    uint64_t random;
    struct {
        size_t flow;
        int64_t ends;
    } running[RUNNING];
    size_t n_running;
};

static unsigned draw(struct world *w, unsigned below)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(w->random >> 33) % below;
}

static struct played *played_of(struct world *w, struct bytes name)
{
    for (size_t i = 0; i < w->n; i++)
        if (bytes_equal(bytes_of(w->flow[i].name), name))
            return &w->flow[i];
    fail_msg("no flow %.*s", SHOW(name));
    return NULL;
}

static struct played *add_flow(struct world *w, const char *path, char class, int account, int cost)
{
    struct played *f = &w->flow[w->n++];

    *f = (struct played){ .path = path, .cost = cost, .rows = INT64_MAX / 4, .waited_from = w->now };
    flow_name(f->name, path, class, account, (int)w->n);
    assert_true(sched_poke(w->s, bytes_of(f->name), bytes_of(path), w->now));
    return f;
}

static void run_one(struct world *w, const struct pick *p)
{
    struct played *f = played_of(w, p->flow);
    int begun = f->rows < p->slots ? (int)f->rows : p->slots;
    int64_t cost = 0;

    if (w->now - f->waited_from > f->longest_wait)
        f->longest_wait = w->now - f->waited_from;
    f->waited_from = w->now;
    for (int i = 0; i < begun; i++) {
        int64_t one = f->cost > 1 ? 1 + draw(w, 2 * (unsigned)f->cost - 1) : 1;

        cost += one;
        assert_true(w->n_running < RUNNING);
        w->running[w->n_running].flow = (size_t)(f - w->flow);
        w->running[w->n_running++].ends = w->now + one; /* what costs more takes longer */
    }
    f->rows -= begun;
    f->begun += begun;
    f->served += cost;
    sched_claimed(w->s, p->flow, begun, cost, f->rows ? w->now : 0);
}

static void step(struct world *w)
{
    struct pick p[16];
    size_t n = 0;

    for (size_t i = 0; i < w->n_running;) {
        if (w->running[i].ends > w->now) {
            i++;
            continue;
        }
        sched_ended(w->s, bytes_of(w->flow[w->running[i].flow].name), 1);
        w->running[i] = w->running[--w->n_running];
    }
    while ((n = sched_pick(w->s, w->now, p, COUNT(p))) > 0)
        for (size_t i = 0; i < n; i++)
            run_one(w, &p[i]);
    w->now++;
}

static struct world *world_new(const struct sched_limits *l)
{
    struct world *w = calloc(1, sizeof *w);

    w->s = sched_new(l);
    w->now = 1000;
    w->random = 99;
    return w;
}

static void world_free(struct world *w)
{
    sched_free(&w->s);
    free(w);
}

/* Of flows that always have something, each gets the same share of what a path carries, within one turn
 * (SCHED_TURN transactions, or as many as the path is wide), at every moment: whatever their mails cost, and however
 * wide the path is. */
static void no_flow_waits_longer_than_its_share(void **state)
{
    static const int windows[] = { 1, 2, 5, 20 };

    (void)state;
    for (size_t k = 0; k < COUNT(windows); k++) {
        struct world *w = world_new(&limits);
        double most_cost = 0;

        sched_window(w->s, BYTES("p"), windows[k]);
        for (int i = 0; i < 12; i++) {
            struct played *f = add_flow(w, "p", 'n', i, 1 + (i * 7) % 50);

            most_cost = most_cost < 2 * f->cost ? 2 * f->cost : most_cost;
        }
        for (int t = 0; t < 20000; t++) {
            double least = 1e18, most = 0;

            step(w);
            for (size_t i = 0; i < w->n; i++) {
                double share = (double)w->flow[i].served / SCHED_TURN;

                least = share < least ? share : least;
                most = share > most ? share : most;
            }
            if (most - least > most_cost * (windows[k] < 10 ? windows[k] : 10) / 10 + 2)
                fail_msg("window %d, time %d: %f to %f", windows[k], t, least, most);
        }
        world_free(w);
    }
}

/* One account's million stands before nobody else's single mail. */
static void one_mail_passes_a_million(void **state)
{
    struct world *w = world_new(&limits);
    struct played *bulk, *one;

    (void)state;
    sched_window(w->s, BYTES("p"), 4);
    bulk = add_flow(w, "p", 'n', 1, 5);
    for (int t = 0; t < 1000; t++)
        step(w);
    one = add_flow(w, "p", 'n', 2, 1);
    one->rows = 1;
    for (int t = 0; t < 12 && one->rows; t++)
        step(w);
    assert_int_equal(one->rows, 0); /* as soon as one of what runs has ended: 9 at most */
    assert_true(bulk->begun > 100);
    world_free(w);
}

static void classes_share_by_weight(void **state)
{
    struct world *w = world_new(&limits);
    struct played *h, *n, *l;

    (void)state;
    sched_window(w->s, BYTES("p"), 13);
    h = add_flow(w, "p", 'h', 1, 3);
    n = add_flow(w, "p", 'n', 2, 5);
    l = add_flow(w, "p", 'l', 3, 9);
    for (int t = 0; t < 20000; t++)
        step(w);
    assert_in_range(h->served * 100 / n->served, 180, 220); /* 8 : 4 */
    assert_in_range(n->served * 100 / l->served, 360, 440); /* 4 : 1 */
    world_free(w);
}

/* A class that was idle has saved nothing up: the others are not stopped when it comes. */
static void being_idle_is_worth_nothing(void **state)
{
    struct world *w = world_new(&limits);
    struct played *l, *h, *late;
    int64_t before = 0;

    (void)state;
    sched_window(w->s, BYTES("p"), 2);
    l = add_flow(w, "p", 'l', 1, 2);
    for (int t = 0; t < 5000; t++)
        step(w);
    h = add_flow(w, "p", 'h', 2, 2);
    late = add_flow(w, "p", 'l', 3, 2);
    before = l->served;
    for (int t = 0; t < 2000; t++)
        step(w);
    assert_true(l->served - before > 100);
    assert_in_range(h->served * 10 / (late->served + l->served - before), 65, 95);
    assert_in_range(late->served * 100 / (l->served - before), 80, 125);
    world_free(w);
}

static void all_paths_together_have_a_maximum(void **state)
{
    struct sched_limits few = { .flows_max = 1000, .connections_max = 30, .account_share = 50 };
    static const char *const paths[] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };
    struct world *w = world_new(&few);

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        sched_window(w->s, bytes_of(paths[i]), 20);
        add_flow(w, paths[i], 'n', (int)i, 4);
    }
    for (int t = 0; t < 5000; t++) {
        step(w);
        assert_true(w->n_running <= 30);
        if (t > 100)
            assert_true(w->n_running >= 29);
    }
    for (size_t i = 1; i < COUNT(paths); i++) /* paths by turns */
        assert_in_range(w->flow[i].begun * 100 / w->flow[0].begun, 80, 125);
    world_free(w);
}

static size_t running_of(const struct world *w, const char *account)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_running; i++)
        n += strstr(w->flow[w->running[i].flow].name, account) != NULL;
    return n;
}

/* While another account waits, one has half of all; alone it may have everything, also when what the other one waits
 * for is a path that is closed. */
static void an_account_has_its_share(void **state)
{
    struct sched_limits few = { .flows_max = 1000, .connections_max = 40, .account_share = 50 };
    static const char *const paths[] = { "p0", "p1", "p2", "p3", "p4", "p5" };
    struct world *w = world_new(&few);

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        sched_window(w->s, bytes_of(paths[i]), 20);
    for (size_t i = 0; i < 4; i++)
        add_flow(w, paths[i], 'n', 1, 4);
    for (int t = 0; t < 200; t++)
        step(w);
    assert_int_equal(running_of(w, "/a1/"), 40);
    add_flow(w, "closed", 'n', 3, 4);
    for (int t = 0; t < 200; t++)
        step(w);
    assert_int_equal(running_of(w, "/a1/"), 40);
    add_flow(w, "p4", 'n', 2, 4);
    add_flow(w, "p5", 'n', 2, 4);
    for (int t = 0; t < 200; t++)
        step(w);
    assert_in_range(running_of(w, "/a1/"), 18, 22);
    assert_in_range(running_of(w, "/a2/"), 18, 22);
    world_free(w);
}

/* Random windows, moves, drops and pokes: the counts stay right, and nobody gets more than his window. */
static void whatever_happens_it_adds_up(void **state)
{
    static const char *const paths[] = { "p0", "p1", "p2", "" };
    struct world *w = world_new(&limits);
    int window[4] = { 3, 3, 3, 3 };
    struct sched_counts n;

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        sched_window(w->s, bytes_of(paths[i]), window[i]);
    for (int i = 0; i < 40; i++)
        add_flow(w, paths[i % 3], "hnl"[i % 3], i % 5, 1 + i)->rows = 5;
    for (int t = 0; t < 20000; t++) {
        struct played *f = &w->flow[draw(w, (unsigned)w->n)];
        unsigned k = draw(w, COUNT(paths));

        switch (draw(w, 8)) {
        case 0:
            window[k] = (int)draw(w, 6);
            sched_window(w->s, bytes_of(paths[k]), window[k]);
            break;
        case 1: sched_move(w->s, bytes_of(f->name), bytes_of(paths[k])); break;
        case 2:
            f->rows += 3;
            assert_true(sched_poke(w->s, bytes_of(f->name), NO_BYTES, w->now + draw(w, 50)));
            break;
        default: step(w); break;
        }
        sched_counts(w->s, &n);
        assert_int_equal(n.running, w->n_running);
        assert_true(n.flows <= w->n);
    }
    for (size_t i = 0; i < w->n; i++) /* all is done in the end */
        if (w->flow[i].rows)
            assert_true(sched_poke(w->s, bytes_of(w->flow[i].name), BYTES("p0"), w->now));
    sched_window(w->s, BYTES("p0"), 20);
    sched_window(w->s, BYTES("p1"), 20);
    sched_window(w->s, BYTES("p2"), 20);
    sched_window(w->s, BYTES(""), 20);
    for (int t = 0; t < 200000 && n.flows; t++) {
        step(w);
        sched_counts(w->s, &n);
    }
    assert_true(n.flows == 0 && n.running == 0);
    world_free(w);
}

/* 100,000 flows on 10,000 paths are picked within reason; what counts is that it ends. */
static void many_flows(void **state)
{
    struct sched *s = sched_new(&limits);
    struct sched_counts n;
    struct pick p[64];
    char name[64], path[16];
    size_t picked = 0, got = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        snprintf(path, sizeof path, "p%d", i % 10000);
        assert_true(sched_poke(s, flow_name(name, path, 'n', i % 7, i), bytes_of(path), 1 + i % 1000));
        sched_window(s, bytes_of(path), 2);
    }
    while ((got = sched_pick(s, 1000, p, COUNT(p))) > 0 || picked < 100000) {
        for (size_t i = 0; i < got; i++) {
            sched_claimed(s, p[i].flow, 1, 1, 0);
            picked++;
        }
        for (size_t i = 0; i < got; i++)
            sched_ended(s, p[i].flow, 1);
        assert_true(got > 0);
    }
    sched_counts(s, &n);
    assert_true(n.flows == 0 && n.running == 0);
    sched_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(nothing_before_its_time),
        cmocka_unit_test(a_claim_that_found_nothing_gives_its_slots_back),
        cmocka_unit_test(plans_come_first),
        cmocka_unit_test(one_slot_is_kept_for_the_first_class),
        cmocka_unit_test(no_flow_waits_longer_than_its_share),
        cmocka_unit_test(one_mail_passes_a_million),
        cmocka_unit_test(classes_share_by_weight),
        cmocka_unit_test(being_idle_is_worth_nothing),
        cmocka_unit_test(all_paths_together_have_a_maximum),
        cmocka_unit_test(an_account_has_its_share),
        cmocka_unit_test(whatever_happens_it_adds_up),
        cmocka_unit_test(many_flows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
