/* batch_raise: rows that are added to, and made when they are not there. */
#include "tests/store/parts.h"

static int64_t now = 1000;

/* Adds n to the tally of that id; `slot` may be NULL. */
static void raise(struct batch *b, struct id id, int64_t n, int64_t most, int *slot)
{
    struct tally *row = arena_alloc(a, sizeof *row);
    struct cond *alive = arena_alloc(a, sizeof *alive);
    struct set *sets = arena_array(a, 2, sizeof *sets);

    *row = (struct tally){ .id = id, .n = n, .until = now + 500, .word = BYTES("new") };
    *alive = COND("until", ABOVE, V_TIME(now));
    sets[0] = ADD_BOUND("n", n, "extra", most);
    if (slot)
        sets[0].slot = *slot = batch_slot(b);
    sets[1] = SET("until", V_TIME(row->until));
    batch_raise(b, &tally_kind, row, alive, sets, 2);
}

static struct tally tally_of(struct id id)
{
    struct tally row;

    must(store_get(st, &tally_kind, id, a, &row, &e));
    return row;
}

static void raised_from_nothing(void **state)
{
    struct id id = id_new();
    int slot[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct batch *b = batch_new(a);

        raise(b, id, 5, 1000, &slot[i]);
        must(commit(st, b, &e));
        assert_int_equal(batch_slot_value(b, slot[i]), 5 * (i + 1));
    }
    assert_int_equal(tally_of(id).n, 15);
    assert_true(same(tally_of(id).word, "new"));
}

static void raised_anew_when_past_its_time(void **state)
{
    struct tally old = { .id = id_new(), .n = 77, .extra = 3, .until = now, .word = BYTES("old") };
    struct batch *b = batch_new(a);
    int slot;

    (void)state;
    batch_insert(b, &tally_kind, &old, NULL, 0);
    must(commit(st, b, &e));
    b = batch_new(a);
    raise(b, old.id, 2, 50, &slot);
    must(commit(st, b, &e));
    assert_int_equal(batch_slot_value(b, slot), 2);
    assert_true(tally_of(old.id).n == 2 && tally_of(old.id).extra == 0 && same(tally_of(old.id).word, "new"));
}

static void bounds_hold_for_both(void **state)
{
    struct tally row = { .id = id_new(), .n = 10, .extra = 5, .until = now + 1 };
    struct id fresh = id_new();
    struct batch *b = batch_new(a);

    (void)state;
    batch_insert(b, &tally_kind, &row, NULL, 0);
    must(commit(st, b, &e));
    b = batch_new(a);
    raise(b, fresh, 11, 10, NULL);
    must_fail(b, 0, FAULT_BOUND, "n");
    b = batch_new(a);
    raise(b, row.id, 5, 10, NULL); /* 15: its own extra lets it */
    raise(b, row.id, 1, 10, NULL);
    must_fail(b, 1, FAULT_BOUND, "n");
    assert_int_equal(tally_of(row.id).n, 10);
    b = batch_new(a);
    raise(b, row.id, 5, 10, NULL);
    raise(b, fresh, 10, 10, NULL);
    must(commit(st, b, &e));
    assert_true(tally_of(row.id).n == 15 && tally_of(fresh).n == 10);
}

static void raised_within_a_batch(void **state)
{
    struct id id = id_new();
    struct batch *b = batch_new(a);
    int slot;

    (void)state;
    raise(b, id, 1, 1000, NULL);
    raise(b, id, 1, 1000, NULL);
    batch_delete(b, &tally_kind, id, &COND("n", IS, V_INT(2)), 1);
    raise(b, id, 7, 1000, NULL);
    raise(b, id, 1, 1000, &slot);
    must(commit(st, b, &e));
    assert_int_equal(batch_slot_value(b, slot), 8);
    assert_int_equal(tally_of(id).n, 8);
}

static struct id shared_id;

static void raise_often(struct worker *w)
{
    w->ok = true;
    for (int i = 0; w->ok && i < 50; i++) {
        struct arena *mine = arena_new(1 << 20);
        struct batch *b = batch_new(mine);
        struct tally row = { .id = shared_id, .n = 1 };

        batch_raise(b, &tally_kind, &row, NULL, &ADD("n", 1), 1);
        w->ok = commit(st, b, &w->e);
        arena_free(&mine);
    }
}

static void many_raise_one(void **state)
{
    struct worker w[8];

    (void)state;
    memset(w, 0, sizeof w);
    shared_id = id_new();
    start(w, 8, NULL, raise_often);
    join(w, 8);
    for (int i = 0; i < 8; i++)
        if (!w[i].ok)
            fail_msg("%s", w[i].e.message);
    assert_int_equal(tally_of(shared_id).n, 400);
}

int raise_conformance(void)
{
    const struct CMUnitTest tests[] = { T(raised_from_nothing), T(raised_anew_when_past_its_time),
                                        T(bounds_hold_for_both), T(raised_within_a_batch), T(many_raise_one) };

    return cmocka_run_group_tests_name("raises", tests, NULL, NULL);
}
