#include "tests/store/parts.h"

/* ---- rows ---- */

static void row_comes_back(void **state)
{
    static const char binary[] = { 0, 1, (char)0xff, 0, 'x' };
    struct note in = note_make("ana", -7), out;
    struct batch *b = batch_new(a);

    (void)state;
    in.owner = id_new();
    in.body = (struct bytes){ binary, sizeof binary };
    in.extra = BYTES("{\"a\":[1,2]}");
    in.state = BYTES("");
    in.most = INT64_MAX;
    in.due = 1234567890123;
    in.flag = true;
    assert_int_equal(batch_insert(b, &note_kind, &in, NULL, 0), 0);
    must(commit(st, b, &e));
    reopen();
    out = got(in.id);
    assert_true(id_equal(out.id, in.id) && id_equal(out.owner, in.owner) && id_is_none(out.holder));
    assert_true(bytes_equal(out.body, in.body) && bytes_equal(out.extra, in.extra) && same(out.name, "ana"));
    assert_non_null(out.state.p); /* empty is not null */
    assert_int_equal(out.state.n, 0);
    assert_true(out.n == -7 && out.most == INT64_MAX && out.due == in.due && out.lease == 0 && out.flag);
}

static void nulls_come_back(void **state)
{
    struct note in = { .id = id_new() }, out;

    (void)state;
    put(&in);
    out = got(in.id);
    assert_true(!out.name.p && !out.body.p && !out.extra.p && id_is_none(out.owner) && !out.due && !out.flag);
}

static void large_rows_and_get_many(void **state)
{
    char *data = arena_alloc(a, 200000);
    struct big in = { id_new(), { data, 200000 } }, *rows = arena_array(a, 3, sizeof *rows);
    struct id ids[3] = { id_new(), in.id, in.id };
    struct batch *b = batch_new(a);

    (void)state;
    for (size_t i = 0; i < in.body.n; i++)
        data[i] = (char)(i * 7);
    batch_insert(b, &big_kind, &in, NULL, 0);
    assert_true(batch_weight(b) >= 200000);
    assert_int_equal(batch_count(b), 1);
    must(commit(st, b, &e));
    must(store_get_many(st, &big_kind, ids, 3, a, rows, &e));
    assert_true(id_is_none(rows[0].id));
    assert_true(bytes_equal(rows[1].body, in.body) && bytes_equal(rows[2].body, in.body));
}

static void missing_is_said(void **state)
{
    struct note n;

    (void)state;
    assert_false(store_get(st, &note_kind, id_new(), a, &n, &e));
    assert_int_equal(e.code, ERR_MISSING);
    assert_false(store_get_by(st, &note_kind, "name", &V_TEXT(BYTES("nobody")), 1, a, &n, &e));
    assert_int_equal(e.code, ERR_MISSING);
}

static void found_by_unique_index(void **state)
{
    struct note in = note_make("bo", 3), out;

    (void)state;
    put(&in);
    must(store_get_by(st, &note_kind, "name", &V_TEXT(BYTES("bo")), 1, a, &out, &e));
    assert_true(id_equal(out.id, in.id));
}

/* ---- batches ---- */

static void batch_sees_itself(void **state)
{
    struct note n = note_make("x", 1);
    struct batch *b = batch_new(a);

    (void)state;
    batch_insert(b, &note_kind, &n, NULL, 0);
    batch_update(b, &note_kind, n.id, &COND("n", IS, V_INT(1)), 1, &SET("n", V_INT(2)), 1);
    batch_update(b, &note_kind, n.id, &COND("n", IS, V_INT(2)), 1, &ADD("n", 5), 1);
    must(commit(st, b, &e));
    assert_int_equal(got(n.id).n, 7);
    b = batch_new(a);
    batch_delete(b, &note_kind, n.id, NULL, 0);
    batch_insert(b, &note_kind, &n, NULL, 0);
    must(commit(st, b, &e));
    assert_int_equal(got(n.id).n, 1);
}

static void values_can_become_null(void **state)
{
    struct note n = note_make("x", 1);
    struct set sets[] = { SET("due", V_TIME(0)), SET("name", V_TEXT(NO_BYTES)), SET("flag", V_BOOL(true)) };
    struct batch *b = batch_new(a);

    (void)state;
    n.due = 5;
    put(&n);
    batch_update(b, &note_kind, n.id, NULL, 0, sets, 3);
    must(commit(st, b, &e));
    n = got(n.id);
    assert_true(n.due == 0 && !n.name.p && n.flag);
}

static void missing_conditions_fail_whole(void **state)
{
    static const struct {
        struct cond cond;
        bool holds;
    } rows[] = {
        { { "n", IS, { .type = FIELD_INT, .number = 5 }, NULL, 0 }, true },
        { { "n", IS, { .type = FIELD_INT, .number = 6 }, NULL, 0 }, false },
        { { "n", IS_NOT, { .type = FIELD_INT, .number = 5 }, NULL, 0 }, false },
        { { "n", BELOW, { .type = FIELD_INT, .number = 5 }, NULL, 0 }, false },
        { { "n", AT_MOST, { .type = FIELD_INT, .number = 5 }, NULL, 0 }, true },
        { { "n", ABOVE, { .type = FIELD_INT, .number = 4 }, NULL, 0 }, true },
        { { "n", AT_LEAST, { .type = FIELD_INT, .number = 6 }, NULL, 0 }, false },
        { { "due", IS, { .type = FIELD_TIME }, NULL, 0 }, true },
        { { "due", IS_NOT, { .type = FIELD_TIME }, NULL, 0 }, false },
        { { "due", BELOW, { .type = FIELD_TIME, .number = 9 }, NULL, 0 }, false }, /* null is below nothing */
        { { "due", AT_LEAST, { .type = FIELD_TIME }, NULL, 0 }, false },
        { { "due", IS_NOT, { .type = FIELD_TIME, .number = 9 }, NULL, 0 }, true },
        { { "name", IS, { .type = FIELD_TEXT, .bytes = { "ana", 3 } }, NULL, 0 }, true },
        { { "name", IS, { .type = FIELD_TEXT, .bytes = { "ANA", 3 } }, NULL, 0 }, false },
        { { "name", ABOVE, { .type = FIELD_TEXT, .bytes = { "an", 2 } }, NULL, 0 }, true },
        { { "flag", IS, { .type = FIELD_BOOL, .number = 1 }, NULL, 0 }, false },
    };
    struct note n = note_make("ana", 5), other = note_make("other", 0);

    (void)state;
    put(&n);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct batch *b = batch_new(a);
        struct note extra = { .id = id_new() };

        batch_insert(b, &note_kind, &extra, NULL, 0);
        batch_require(b, &note_kind, n.id, &rows[i].cond, 1);
        if (rows[i].holds)
            must(commit(st, b, &e));
        else
            must_fail(b, 1, FAULT_CONDITION, rows[i].cond.field);
        assert_int_equal(is_there(extra.id), rows[i].holds);
    }
    put(&other);
}

static void faults_are_named(void **state)
{
    struct note n = note_make("ana", 5), twin = note_make("ana", 6), fresh = note_make("new", 1);
    struct cond list[] = { COND("n", IS, V_INT(5)), COND_ONE_OF("state", (&V_TEXT(BYTES("queued"))), 1) };
    struct batch *b = batch_new(a);

    (void)state;
    put(&n);
    batch_insert(b, &note_kind, &fresh, NULL, 0);
    batch_insert(b, &note_kind, &twin, NULL, 0);
    must_fail(b, 1, FAULT_UNIQUE, "name");
    assert_false(is_there(fresh.id));
    twin.id = n.id;
    twin.name = BYTES("else");
    b = batch_new(a);
    batch_insert(b, &note_kind, &twin, NULL, 0);
    must_fail(b, 0, FAULT_UNIQUE, "id");
    b = batch_new(a);
    batch_update(b, &note_kind, id_new(), NULL, 0, &ADD("n", 1), 1);
    must_fail(b, 0, FAULT_MISSING, "id");
    b = batch_new(a);
    batch_insert(b, &note_kind, &fresh, NULL, 0);
    batch_delete(b, &note_kind, id_new(), NULL, 0);
    must_fail(b, 1, FAULT_MISSING, "id");
    b = batch_new(a);
    batch_update(b, &note_kind, n.id, list, 2, &ADD("n", 1), 1);
    must_fail(b, 0, FAULT_CONDITION, "state");
    put(&fresh);
    b = batch_new(a);
    batch_update(b, &note_kind, fresh.id, NULL, 0, &SET("name", V_TEXT(BYTES("ana"))), 1);
    must_fail(b, 0, FAULT_UNIQUE, "name");
}

static void nulls_differ_in_unique_indexes(void **state)
{
    struct note x = { .id = id_new() }, y = { .id = id_new() };

    (void)state;
    put(&x);
    put(&y);
}

static void adds_fill_slots_and_stop_at_zero(void **state)
{
    struct note box = note_make("box", 40), entry = note_make("entry", 0), second = note_make("second", 0);
    struct batch *b = batch_new(a);
    int uid = batch_slot(b), total = batch_slot(b);
    struct set raise[] = { ADD_SLOT("n", 2, uid), ADD_SLOT("most", 100, total) };
    struct set from[] = { FROM_SLOT("n", uid, -1), FROM_SLOT("most", total, 0) };

    (void)state;
    put(&box);
    batch_update(b, &note_kind, box.id, NULL, 0, raise, 2);
    batch_insert(b, &note_kind, &entry, from, 2);
    batch_insert(b, &note_kind, &second, &FROM_SLOT("n", uid, 0), 1);
    must(commit(st, b, &e));
    assert_int_equal(batch_slot_value(b, uid), 42);
    assert_int_equal(got(entry.id).n, 41);
    assert_int_equal(got(entry.id).most, 100);
    assert_int_equal(got(second.id).n, 42);
    b = batch_new(a);
    uid = batch_slot(b);
    batch_update(b, &note_kind, box.id, NULL, 0, &ADD_SLOT("n", -1000, uid), 1);
    must(commit(st, b, &e));
    assert_int_equal(batch_slot_value(b, uid), 0);
    assert_int_equal(got(box.id).n, 0);
}

static void bounds_hold(void **state)
{
    struct note box = note_make("box", 90);
    struct batch *b = batch_new(a);

    (void)state;
    box.most = 100;
    put(&box);
    batch_update(b, &note_kind, box.id, NULL, 0, &ADD_BOUND("n", 10, "most", 0), 1);
    must(commit(st, b, &e));
    b = batch_new(a);
    batch_update(b, &note_kind, box.id, NULL, 0, &ADD_BOUND("n", 1, "most", 0), 1);
    must_fail(b, 0, FAULT_BOUND, "n");
    b = batch_new(a);
    batch_update(b, &note_kind, box.id, NULL, 0, &ADD_BOUND("n", 5, "most", 5), 1);
    must(commit(st, b, &e));
    b = batch_new(a);
    batch_update(b, &note_kind, box.id, NULL, 0, &ADD_BOUND("n", 1, NULL, 105), 1);
    must_fail(b, 0, FAULT_BOUND, "n");
    assert_int_equal(got(box.id).n, 105);
}

static struct id box_id;

static void one_of_64(struct worker *w)
{
    struct arena *mine = arena_new(1 << 20);
    struct batch *b = batch_new(mine);
    struct note first = { .id = id_new() }, second = { .id = id_new() };
    int slot = batch_slot(b);

    first.name = arena_bytesf(mine, "first-%d", w->number);
    second.name = w->number == 33 ? BYTES("taken") : arena_bytesf(mine, "second-%d", w->number);
    w->id = first.id;
    batch_update(b, &note_kind, box_id, NULL, 0, &ADD_SLOT("n", 1, slot), 1);
    batch_insert(b, &note_kind, &first, &FROM_SLOT("n", slot, 0), 1);
    batch_insert(b, &note_kind, &second, NULL, 0);
    w->ok = commit(st, b, &w->e);
    if (!w->ok)
        w->ok = batch_failure(b).operation == 2 && batch_failure(b).fault == FAULT_UNIQUE && w->number == 33;
    else
        w->ok = w->number != 33;
    arena_free(&mine);
}

static void one_of_64_fails_alone(void **state)
{
    static struct worker w[64];
    struct note box = note_make("box", 0), taken = note_make("taken", 0);
    bool seen[65] = { false };
    atomic_int gate = 0;

    (void)state;
    box_id = box.id;
    put(&box);
    put(&taken);
    start(w, 64, &gate, one_of_64);
    atomic_store(&gate, 1);
    join(w, 64);
    for (int i = 0; i < 64; i++) {
        assert_true(w[i].ok);
        assert_int_equal(is_there(w[i].id), i != 33);
        if (i != 33) {
            int64_t n = got(w[i].id).n;

            assert_true(n >= 1 && n <= 63 && !seen[n]); /* no number twice, and none lost */
            seen[n] = true;
        }
    }
    assert_int_equal(got(box.id).n, 63);
}

static void require_and_raise(struct worker *w)
{
    for (int i = 0; i < 50; i++) {
        struct arena *mine = arena_new(1 << 20);
        struct batch *b = batch_new(mine);

        batch_update(b, &note_kind, box_id, &COND("n", BELOW, V_INT(100)), 1, &ADD("n", 1), 1);
        w->ok = commit(st, b, &w->e);
        arena_free(&mine);
        if (!w->ok && w->e.code != ERR_CONFLICT)
            fail_msg("%s", w->e.message);
    }
}

static void conditions_are_serial(void **state)
{
    struct worker w[8];
    struct note box = note_make("box", 0);

    (void)state;
    memset(w, 0, sizeof w);
    box_id = box.id;
    put(&box);
    start(w, 8, NULL, require_and_raise);
    join(w, 8);
    assert_int_equal(got(box.id).n, 100);
}

/* ---- blobs ---- */

static void blobs(void **state)
{
    struct id id = id_new();
    char *chunk = arena_alloc(a, STORE_CHUNK);
    struct bytes out;
    struct batch *b = batch_new(a);

    (void)state;
    memset(chunk, 'q', STORE_CHUNK);
    batch_blob_put(b, id, 0, (struct bytes){ chunk, STORE_CHUNK });
    batch_blob_put(b, id, 1, BYTES("end"));
    must(commit(st, b, &e));
    b = batch_new(a);
    batch_blob_put(b, id, 1, BYTES("end")); /* again changes nothing */
    must(commit(st, b, &e));
    b = batch_new(a);
    batch_blob_put(b, id, 1, BYTES("other"));
    must_fail(b, 0, FAULT_UNIQUE, "chunk");
    must(store_blob_get(st, id, 0, a, &out, &e));
    assert_true(bytes_equal(out, (struct bytes){ chunk, STORE_CHUNK }));
    must(store_blob_get(st, id, 1, a, &out, &e));
    assert_true(same(out, "end"));
    assert_false(store_blob_get(st, id, 2, a, &out, &e));
    assert_int_equal(e.code, ERR_MISSING);
    b = batch_new(a);
    batch_blob_delete(b, id);
    batch_blob_delete(b, id_new());
    must(commit(st, b, &e));
    assert_false(store_blob_get(st, id, 0, a, &out, &e));
}

static struct batch *lazy_chunk(struct id id, unsigned n)
{
    struct batch *b = batch_new(a);

    batch_lazy(b);
    batch_blob_put(b, id, n, BYTES("some"));
    return b;
}

/* Batches see what lazy ones brought, and so does everybody once one that is not lazy has followed. */
static void lazy_batches(void **state)
{
    struct note n = note_make("lazy", 1);
    int64_t mark = store_lazy_mark(st);
    struct batch *b = lazy_chunk(n.id, 0);
    struct bytes out;

    (void)state;
    batch_insert(b, &note_kind, &n, NULL, 0);
    must(commit(st, b, &e));
    for (unsigned i = 1; i < 5; i++)
        must(commit(st, lazy_chunk(n.id, i), &e));
    b = batch_new(a);
    batch_update(b, &note_kind, n.id, &COND("n", IS, V_INT(1)), 1, &SET("n", V_INT(2)), 1);
    batch_blob_require(b, n.id, 5, mark);
    must(commit(st, b, &e));
    assert_int_equal(got(n.id).n, 2);
    for (unsigned i = 0; i < 5; i++)
        must(store_blob_get(st, n.id, i, a, &out, &e));
    b = batch_new(a);
    batch_lazy(b);
    n.name = BYTES("another");
    batch_insert(b, &note_kind, &n, NULL, 0);
    must_fail(b, 0, FAULT_UNIQUE, "id");
}

static void chunks_that_are_required(void **state)
{
    struct note n = note_make("required", 1);
    struct id id = id_new();
    int64_t mark = store_lazy_mark(st);
    struct batch *b;

    (void)state;
    must(commit(st, lazy_chunk(id, 0), &e));
    must(commit(st, lazy_chunk(id, 2), &e));
    for (unsigned chunks = 2; chunks < 4; chunks++) { /* 1 is not there */
        b = batch_new(a);
        batch_insert(b, &note_kind, &n, NULL, 0);
        batch_blob_require(b, id, chunks, mark);
        must_fail(b, 1, FAULT_MISSING, "chunk");
        assert_false(is_there(n.id));
    }
    must(commit(st, lazy_chunk(id, 1), &e));
    b = batch_new(a);
    batch_insert(b, &note_kind, &n, NULL, 0);
    batch_blob_require(b, id, 1, mark);
    batch_blob_require(b, id, 3, mark);
    must(commit(st, b, &e));
    assert_true(is_there(n.id));
}

static void commits_in_two_halves(void **state)
{
    enum { MANY = 20 };
    struct note *n = arena_array(a, MANY, sizeof *n);
    struct commit *under_way[MANY];
    int64_t deadline = clock_monotonic() + 10000;
    struct batch *b;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        n[i] = note_make("", i);
        n[i].name = arena_bytesf(a, "half-%d", i % 10); /* unique: the second ten fail, each alone */
        b = batch_new(a);
        batch_insert(b, &note_kind, &n[i], NULL, 0);
        must(store_commit_begin(st, b, deadline, &under_way[i], &e));
    }
    for (int i = 0; i < MANY; i++) {
        bool ok = store_commit_end(&under_way[i], &e);

        assert_true(ok || e.code == ERR_CONFLICT);
        assert_null(under_way[i]);
        assert_int_equal(is_there(n[i].id), ok);
        if (i >= 10)
            assert_int_not_equal(ok, is_there(n[i - 10].id));
    }
    must(store_commit_begin(st, batch_new(a), deadline, &under_way[0], &e)); /* nothing to do */
    must(store_commit_end(&under_way[0], &e));
}

int write_conformance(void)
{
    const struct CMUnitTest tests[] = { T(row_comes_back),
                                        T(nulls_come_back),
                                        T(large_rows_and_get_many),
                                        T(missing_is_said),
                                        T(found_by_unique_index),
                                        T(batch_sees_itself),
                                        T(values_can_become_null),
                                        T(missing_conditions_fail_whole),
                                        T(faults_are_named),
                                        T(nulls_differ_in_unique_indexes),
                                        T(adds_fill_slots_and_stop_at_zero),
                                        T(bounds_hold),
                                        T(one_of_64_fails_alone),
                                        T(conditions_are_serial),
                                        T(blobs),
                                        T(lazy_batches),
                                        T(chunks_that_are_required),
                                        T(commits_in_two_halves) };

    return cmocka_run_group_tests_name("rows, batches, blobs", tests, NULL, NULL);
}
