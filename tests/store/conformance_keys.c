/* Unique keys that change hands: within a batch, and between batches that meet in a group. */
#include "tests/store/parts.h"

static struct note ana, bo;

static void put_two(void)
{
    ana = note_make("ana", 1);
    bo = note_make("bo", 2);
    put(&ana);
    put(&bo);
}

static void rename_to(struct batch *b, const struct note *n, const char *name)
{
    struct set *set = arena_alloc(a, sizeof *set);

    *set = SET("name", V_TEXT(bytes_of(name)));
    batch_update(b, &note_kind, n->id, NULL, 0, set, 1);
}

static void free_name(struct batch *b, const struct note *n)
{
    static const struct set none = { .field = "name", .value = { .type = FIELD_TEXT }, .slot = -1 };

    batch_update(b, &note_kind, n->id, NULL, 0, &none, 1);
}

static bool found(const char *name, struct id id)
{
    struct note n;

    must(store_get_by(st, &note_kind, "name", &V_TEXT(bytes_of(name)), 1, a, &n, &e));
    return id_equal(n.id, id);
}

/* The row that takes the key is named first, so that no order of rows makes it come out right by itself. */
static void a_key_given_up_can_be_taken(void **state)
{
    struct batch *b = batch_new(a);

    (void)state;
    put_two();
    batch_require(b, &note_kind, ana.id, NULL, 0);
    rename_to(b, &bo, "else");
    rename_to(b, &ana, "bo");
    must(commit(st, b, &e));
    assert_true(found("bo", ana.id) && found("else", bo.id));
    b = batch_new(a);
    batch_require(b, &note_kind, bo.id, NULL, 0);
    free_name(b, &ana);
    rename_to(b, &bo, "bo");
    must(commit(st, b, &e));
    assert_true(found("bo", bo.id));
    assert_null(got(ana.id).name.p);
}

static void two_rows_trade_their_keys(void **state)
{
    struct batch *b = batch_new(a);

    (void)state;
    put_two();
    rename_to(b, &ana, "meanwhile");
    rename_to(b, &bo, "ana");
    rename_to(b, &ana, "bo");
    must(commit(st, b, &e));
    assert_true(found("bo", ana.id) && found("ana", bo.id));
    assert_true(got(ana.id).n == 1 && got(bo.id).n == 2);
}

static void a_deleted_rows_key_can_be_taken(void **state)
{
    struct note heir = note_make("ana", 3);
    struct batch *b = batch_new(a);

    (void)state;
    put_two();
    batch_delete(b, &note_kind, ana.id, NULL, 0);
    batch_insert(b, &note_kind, &heir, NULL, 0);
    must(commit(st, b, &e));
    assert_true(found("ana", heir.id));
}

static void a_key_is_not_taken_before_it_is_given_up(void **state)
{
    struct note heir = note_make("ana", 3);
    struct batch *b = batch_new(a);

    (void)state;
    put_two();
    rename_to(b, &bo, "ana");
    rename_to(b, &ana, "else");
    must_fail(b, 0, FAULT_UNIQUE, "name");
    b = batch_new(a);
    batch_insert(b, &note_kind, &heir, NULL, 0);
    batch_delete(b, &note_kind, ana.id, NULL, 0);
    must_fail(b, 0, FAULT_UNIQUE, "name");
    assert_true(found("ana", ana.id) && found("bo", bo.id));
}

/* A ring: each row gives up its key, and takes that of the next as soon as that one has given it up. */
#define RING 48
static struct note ring[RING];

static bool take_name(struct arena *mine, int row, struct bytes name, struct err *why)
{
    struct batch *b = batch_new(mine);
    struct set set = SET("name", V_TEXT(name));
    bool ok;

    batch_update(b, &note_kind, ring[row].id, NULL, 0, &set, 1);
    ok = commit(st, b, why);
    assert_true(ok || batch_failure(b).fault == FAULT_UNIQUE);
    return ok;
}

static void go_round(struct worker *w)
{
    int64_t deadline = clock_monotonic() + 20000;
    struct arena *mine = arena_new(16 << 20);
    struct bytes next = arena_bytesf(mine, "ring-%d", (w->number + 1) % RING);

    w->ok = take_name(mine, w->number, arena_bytesf(mine, "free-%d", w->number), &w->e);
    while (w->ok && !take_name(mine, w->number, next, &w->e))
        w->ok = clock_monotonic() < deadline;
    arena_free(&mine);
}

static void keys_go_round(void **state)
{
    static struct worker w[RING];
    atomic_int gate = 0;

    (void)state;
    for (int i = 0; i < RING; i++) {
        ring[i] = note_make(arena_printf(a, "ring-%d", i), i);
        put(&ring[i]);
    }
    start(w, RING, &gate, go_round);
    atomic_store(&gate, 1);
    join(w, RING);
    for (int i = 0; i < RING; i++) {
        assert_true(w[i].ok);
        assert_true(found(arena_printf(a, "ring-%d", (i + 1) % RING), ring[i].id));
    }
}

int keys_conformance(void)
{
    const struct CMUnitTest tests[] = { T(a_key_given_up_can_be_taken), T(two_rows_trade_their_keys),
                                        T(a_deleted_rows_key_can_be_taken), T(a_key_is_not_taken_before_it_is_given_up),
                                        T(keys_go_round) };

    return cmocka_run_group_tests_name("unique keys", tests, NULL, NULL);
}
