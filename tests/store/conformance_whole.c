/* What copying a store rests on: chunks in order, an identity, cursors that hold in one database only, refusals. */
#include "tests/store/parts.h"

static void put_chunks(const struct id *ids, int n_ids, int n)
{
    struct batch *b = batch_new(a);

    for (int i = n_ids - 1; i >= 0; i--) /* not in their order */
        for (int j = 0; j < n; j++)
            batch_blob_put(b, ids[i], (unsigned)j, arena_bytesf(a, "%d/%d", i, j));
    must(commit(st, b, &e));
}

static void chunks_are_walked_in_order(void **state)
{
    struct id ids[3] = { id_new(), id_new(), id_new() };
    struct blob_chunk *found, last;
    size_t n, seen = 0;

    (void)state;
    must(store_blob_walk(st, NULL, 4, a, &found, &n, &e));
    assert_int_equal(n, 0);
    put_chunks(ids, 3, 5);
    for (bool first = true;; first = false) {
        must(store_blob_walk(st, first ? NULL : &last, 4, a, &found, &n, &e));
        for (size_t i = 0; i < n; i++, seen++) {
            assert_true(id_equal(found[i].id, ids[seen / 5]));
            assert_int_equal(found[i].n, (int64_t)(seen % 5));
            assert_true(same(found[i].bytes, arena_printf(a, "%zu/%zu", seen / 5, seen % 5)));
        }
        if (!n)
            break;
        last = found[n - 1];
    }
    assert_int_equal(seen, 15);
}

static void chunks_of_great_numbers_come_last(void **state)
{
    struct id id = id_new();
    struct batch *b = batch_new(a);
    struct blob_chunk *found;
    size_t n;

    (void)state;
    batch_blob_put(b, id, 70000, BYTES("late"));
    batch_blob_put(b, id, 255, BYTES("early"));
    must(commit(st, b, &e));
    must(store_blob_walk(st, NULL, 9, a, &found, &n, &e));
    assert_int_equal(n, 2);
    assert_true(found[0].n == 255 && found[1].n == 70000 && same(found[1].bytes, "late"));
}

static void walking_keeps_to_its_arena(void **state)
{
    struct arena *small = arena_new(64 * 1024);
    struct id id = id_new();
    struct batch *b = batch_new(a);
    struct blob_chunk *found;
    char *bytes = arena_alloc(a, STORE_CHUNK);
    size_t n;

    (void)state;
    batch_blob_put(b, id, 0, (struct bytes){ bytes, STORE_CHUNK });
    must(commit(st, b, &e));
    assert_false(store_blob_walk(st, NULL, 9, small, &found, &n, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    e = (struct err){ 0 };
    arena_free(&small);
}

static struct bytes add_feed(int64_t n)
{
    struct batch *b = batch_new(a);
    struct feed row = { .id = id_new(), .n = n };
    struct bytes end;

    batch_insert(b, &feed_kind, &row, NULL, 0);
    must(commit(st, b, &e));
    must(store_watch_end(st, &feed_kind, a, &end, &e));
    return end;
}

static bool watch_from(struct bytes cursor)
{
    struct bytes next;
    void *rows;
    size_t n;
    bool ok = store_watch(st, &feed_kind, cursor, 10, 0, a, &rows, &n, &next, &e);

    assert_true(ok || e.code == ERR_INVALID);
    e = (struct err){ 0 };
    return ok;
}

static void cursors_and_identity_are_of_one_database(void **state)
{
    char text[WATCH_CURSOR_MAX];
    struct bytes cursor = add_feed(1);
    int64_t identity = store_identity(st);

    (void)state;
    reopen();
    assert_true(store_identity(st) == identity);
    assert_true(watch_from(cursor));
    memcpy(text, cursor.p, cursor.n);
    cursor.p = text;
    tear_down(NULL);
    set_up(NULL); /* another database at the same place */
    assert_true(store_identity(st) != identity);
    add_feed(1);
    assert_false(watch_from(cursor));
}

static struct store *open_with(const struct kind *const *kinds, bool existing, bool alone, struct err *why)
{
    struct store_options o = { .url = engine->url,
                               .kinds = kinds,
                               .schema = 1,
                               .node = id_new(),
                               .readers = 4,
                               .existing = existing,
                               .alone = alone };
    struct store *out;

    *why = (struct err){ 0 };
    return store_open(&o, &out, why) ? out : NULL;
}

static void a_database_that_is_not_there_may_be_refused(void **state)
{
    struct err why;

    (void)state;
    store_close(&st);
    engine->empty();
    assert_null(open_with(test_kinds, true, false, &why));
    assert_int_equal(why.code, ERR_MISSING);
    assert_null(open_with(test_kinds, true, false, &why)); /* nothing was made */
    assert_int_equal(why.code, ERR_MISSING);
    reopen();
    put(&(struct note){ .id = id_new() });
    store_close(&st);
    st = open_with(test_kinds, true, true, &why);
    assert_non_null(st);
}

/* A row of a newer build's kind, and a newer build's field. */
static const struct field newer_fields[] = { FIELD(ID, big, id), FIELD(BYTES, big, body), { "color", FIELD_TEXT, 64 } };
static const struct kind newer_big = { "big", "big", 128, newer_fields, 3, NULL, 0, false, true, false };
static const struct kind newer_kind = { "star", "star", sizeof(struct big), newer_fields, 2, NULL, 0, false,
                                        false,  false };
static const struct kind *const newer_field[] = { &note_kind, &feed_kind, &newer_big, &tally_kind, NULL };
static const struct kind *const newer_kinds[] = { &note_kind, &feed_kind, &big_kind, &tally_kind, &newer_kind, NULL };

/* Opens it as that build does, which may write a row, and then as ours. */
static void another_build(const struct kind *const *kinds, const struct kind *writes)
{
    struct err why;

    assert_true(store_knows_all(st, &e));
    store_close(&st);
    st = open_with(kinds, false, false, &why);
    assert_non_null(st);
    must(store_knows_all(st, &e));
    if (writes) {
        struct batch *b = batch_new(a);

        batch_insert(b, writes, &(struct big){ .id = id_new() }, NULL, 0);
        must(store_commit(st, b, clock_monotonic() + 10000, &e));
    }
    reopen();
}

static void is_named(const char *names)
{
    assert_false(store_knows_all(st, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, names));
    e = (struct err){ 0 };
}

static void a_newer_builds_field_is_named(void **state)
{
    (void)state;
    another_build(newer_field, NULL);
    is_named("big.color");
}

static void a_newer_builds_kind_is_named(void **state)
{
    (void)state;
    another_build(newer_kinds, &newer_kind);
    is_named("star");
}

/* An older build made a table for what nobody ever wrote: nothing is left behind with it. */
static void a_kind_of_another_build_without_rows_is_none(void **state)
{
    (void)state;
    another_build(newer_kinds, NULL);
    must(store_knows_all(st, &e));
}

int whole_conformance(void)
{
    const struct CMUnitTest tests[] = {
        T(chunks_are_walked_in_order),
        T(chunks_of_great_numbers_come_last),
        T(walking_keeps_to_its_arena),
        T(cursors_and_identity_are_of_one_database),
        T(a_database_that_is_not_there_may_be_refused),
        T(a_newer_builds_field_is_named),
        T(a_newer_builds_kind_is_named),
        T(a_kind_of_another_build_without_rows_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
