#include "tests/store/conformance.h"
#include "base/clock.h"
#include "net/fiber.h"
#include "net/wait.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_under_test *engine;
static struct store *st;
static struct arena *a;
static struct err e;

static int set_up(void **state)
{
    (void)state;
    engine->empty();
    st = open_or_die(engine->url, test_kinds, 1);
    a = arena_new(512u << 20);
    e = (struct err){ 0 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&st);
    arena_free(&a);
    return 0;
}

static void reopen(void)
{
    store_close(&st);
    st = open_or_die(engine->url, test_kinds, 1);
}

static void must(bool ok)
{
    if (!ok)
        fail_msg("%s (%s)", e.message, e.where);
}

static void put(const struct note *n)
{
    struct batch *b = batch_new(a);

    batch_insert(b, &note_kind, n, NULL, 0);
    must(commit(st, b, &e));
}

static struct note got(struct id id)
{
    struct note n;

    must(store_get(st, &note_kind, id, a, &n, &e));
    return n;
}

static bool is_there(struct id id)
{
    struct note n;
    struct err missing = { 0 };
    bool there = store_get(st, &note_kind, id, a, &n, &missing);

    assert_true(there || missing.code == ERR_MISSING);
    return there;
}

static void must_fail(struct batch *b, int operation, enum batch_fault fault, const char *name)
{
    struct batch_failure f;

    assert_false(commit(st, b, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    f = batch_failure(b);
    assert_int_equal(f.operation, operation);
    assert_int_equal(f.fault, fault);
    assert_string_equal(f.name, name);
    e = (struct err){ 0 };
}

static bool same(struct bytes x, const char *y)
{
    return bytes_equal(x, bytes_of(y));
}

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

/* Threads that commit at the same time, so that the batches meet in groups. */
struct worker {
    pthread_t thread;
    int number;
    bool ok;
    struct err e;
    atomic_int *gate;
    void (*run)(struct worker *w);
    struct id id;
};

static void *worker_thread(void *arg)
{
    struct worker *w = arg;

    while (w->gate && !atomic_load(w->gate))
        sched_yield();
    w->run(w);
    return NULL;
}

static void start(struct worker *w, int n, atomic_int *gate, void (*run)(struct worker *w))
{
    for (int i = 0; i < n; i++) {
        w[i].number = i;
        w[i].gate = gate;
        w[i].run = run;
        assert_int_equal(pthread_create(&w[i].thread, NULL, worker_thread, &w[i]), 0);
    }
}

static void join(struct worker *w, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
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

/* ---- find ---- */

static size_t walk(struct query q, struct note *out, size_t most)
{
    size_t n = 0, got_now;
    void *rows;

    do {
        must(store_find(st, &q, a, &rows, &got_now, &e));
        assert_true(n + got_now <= most);
        memcpy(out + n, rows, got_now * sizeof *out);
        n += got_now;
        if (got_now) {
            q.after = store_cursor(&q, (struct note *)rows + got_now - 1, a);
            assert_true(store_cursor_check(&q, q.after));
        }
    } while (got_now == q.limit);
    return n;
}

/* Every page size must give what one great page gives, in both directions, with nulls and ties in the order. */
static void pages_with_nulls_and_ties(void **state)
{
    struct id owner = id_new();
    static struct note all[60], paged[60];
    struct batch *b = batch_new(a);
    static struct note rows[40];

    (void)state;
    for (int i = 0; i < 40; i++) {
        rows[i] = (struct note){ .id = id_new(), .owner = i % 8 == 7 ? id_new() : owner, .n = i % 3 };
        rows[i].due = i % 4 ? 1000 + i % 5 : 0;
        batch_insert(b, &note_kind, &rows[i], NULL, 0);
    }
    must(commit(st, b, &e));
    for (int down = 0; down < 2; down++)
        for (size_t limit = 1; limit < 9; limit++) {
            struct query q = {
                .kind = &note_kind, .index = "owner_due", .limit = 1000, .descending = down, .n_conds = 1
            };
            size_t n;

            q.conds[0] = COND("owner", IS, V_ID(owner));
            n = walk(q, all, 60);
            assert_int_equal(n, 35);
            for (size_t i = 1; i < n; i++) {
                const struct note *x = &all[down ? i : i - 1], *y = &all[down ? i - 1 : i];

                assert_true(
                    x->due < y->due ||
                    (x->due == y->due && (x->n < y->n || (x->n == y->n && memcmp(&x->id, &y->id, sizeof x->id) < 0))));
            }
            q.limit = limit;
            assert_int_equal(walk(q, paged, 60), n);
            for (size_t i = 0; i < n; i++)
                assert_true(id_equal(all[i].id, paged[i].id));
        }
}

static void count_is(const struct query *q, size_t want)
{
    void *rows;
    size_t n;

    must(store_find(st, q, a, &rows, &n, &e));
    assert_int_equal(n, want);
}

static void finds_by_conditions(void **state)
{
    static const char *const only[] = { "id", "n", NULL };
    struct value states[] = { V_TEXT(BYTES("queued")), V_TEXT(BYTES("held")) };
    struct value odd[] = { V_INT(1), V_INT(3), V_INT(5), V_INT(7), V_INT(9) };
    struct value some[] = { V_TIME(0), V_TIME(3) };
    struct query q = { .kind = &note_kind, .index = "waiting", .limit = 100, .n_conds = 1 };
    struct note *found;
    void *rows;
    size_t n;

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct note x = { .id = id_new(), .n = i, .due = i, .name = arena_bytesf(a, "n%d", i) };

        x.state = i % 3 == 0 ? BYTES("queued") : i % 3 == 1 ? BYTES("held") : BYTES("done");
        put(&x);
    }
    q.conds[0] = COND_ONE_OF("state", states, 2);
    count_is(&q, 8);
    q.conds[0] = COND("state", IS, states[1]);
    count_is(&q, 4);
    q.conds[q.n_conds++] = COND("due", AT_MOST, V_TIME(4));
    count_is(&q, 2);
    q.conds[0] = COND("state", IS, V_TEXT(BYTES("done"))); /* the index does not hold these */
    assert_false(store_find(st, &q, a, &rows, &n, &e));
    assert_int_equal(e.code, ERR_INTERNAL);
    e = (struct err){ 0 };
    q = (struct query){ .kind = &note_kind, .index = "with_due", .limit = 100, .n_conds = 1 };
    q.conds[0] = COND("due", ABOVE, V_TIME(2));
    count_is(&q, 9);
    q = (struct query){ .kind = &note_kind, .limit = 100, .n_conds = 1, .only = only };
    q.conds[0] = COND_ONE_OF("n", odd, 5);
    must(store_find(st, &q, a, &rows, &n, &e));
    found = rows;
    assert_int_equal(n, 5);
    assert_true(!found[0].name.p && found[0].due == 0 && found[0].n == 1 && !id_is_none(found[0].id));
    q.only = NULL;
    q.conds[0] = COND_ONE_OF("n", odd, 0);
    count_is(&q, 0);
    q.conds[0] = COND_ONE_OF("due", some, 2);
    count_is(&q, 2);
    q.conds[0] = COND("due", IS, V_TIME(0));
    count_is(&q, 1);
    q.conds[0] = COND("due", IS_NOT, V_TIME(0));
    count_is(&q, 11);
    q.limit = 0;
    count_is(&q, 0);
}

static void junk_cursors_are_refused(void **state)
{
    static const char *const junk[] = { "",         "a", "!!!!", "AAAA", "////", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "\xff\xfe", "a=" };
    struct query q = { .kind = &note_kind, .index = "owner_n", .limit = 3 }, other = q;
    struct note n = note_make("x", 1);
    struct bytes good;
    char *bent;
    void *rows;
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        q.after = bytes_of(junk[i]);
        assert_false(store_cursor_check(&q, q.after));
        assert_false(store_find(st, &q, a, &rows, &count, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    good = store_cursor(&q, &n, a);
    assert_true(store_cursor_check(&q, good));
    assert_false(store_cursor_check(&q, bytes_head(good, good.n - 1)));
    other.index = "owner_due";
    assert_false(store_cursor_check(&other, good)); /* of another list */
    other.index = NULL;
    assert_false(store_cursor_check(&other, good));
    bent = arena_alloc(a, CHAR_MAX * 256u);
    memset(bent, 'A', CHAR_MAX * 256u);
    assert_false(store_cursor_check(&q, (struct bytes){ bent, CHAR_MAX * 256u }));
}

#define MANY 100000

static void fill(struct id owner)
{
    struct note *rows = arena_array(a, MANY, sizeof *rows);

    for (int i = 0; i < MANY; i += 10000) {
        struct batch *b = batch_new(a);

        for (int j = i; j < i + 10000; j++) {
            rows[j] = (struct note){ .id = id_new(), .owner = owner, .n = (int64_t)j * 7919 % MANY, .due = 1 + j };
            batch_insert(b, &note_kind, &rows[j], NULL, 0);
        }
        must(commit(st, b, &e));
    }
}

static void a_hundred_thousand_rows(void **state)
{
    static const char *const only[] = { "id", "owner", "n", NULL };
    struct id owner = id_new();

    (void)state;
    fill(owner);
    for (int down = 0; down < 2; down++) {
        struct query q = {
            .kind = &note_kind, .index = "owner_n", .limit = 2000, .descending = down, .n_conds = 2, .only = only
        };
        struct arena *page = arena_new(64 << 20);
        int64_t want = down ? MANY - 1 : 0;
        size_t n;

        q.conds[0] = COND("owner", IS, V_ID(owner));
        q.conds[1] = COND("n", AT_LEAST, V_INT(0));
        do {
            void *rows;
            char *cursor;

            must(store_find(st, &q, page, &rows, &n, &e));
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(((struct note *)rows)[i].n, want);
                want += down ? -1 : 1;
            }
            if (n) {
                struct bytes c = store_cursor(&q, (struct note *)rows + n - 1, page);

                cursor = arena_text(a, c);
                q.after = bytes_of(cursor);
            }
            arena_reset(page);
        } while (n);
        assert_int_equal(want, down ? -1 : MANY);
        arena_free(&page);
    }
}

/* A reader beside writers that move an amount between two rows must always see the same sum in one find. */
static atomic_bool moving;
static struct id left_id, right_id;

static void move(struct worker *w)
{
    while (atomic_load(&moving)) {
        struct arena *mine = arena_new(1 << 20);
        struct batch *b = batch_new(mine);

        batch_update(b, &note_kind, w->number ? left_id : right_id, NULL, 0, &ADD("n", -1), 1);
        batch_update(b, &note_kind, w->number ? right_id : left_id, NULL, 0, &ADD("n", 1), 1);
        w->ok = commit(st, b, &w->e);
        arena_free(&mine);
    }
}

static void a_find_is_a_snapshot(void **state)
{
    struct worker w[2];
    struct note left = note_make("left", 10000), right = note_make("right", 10000), sum[2];
    struct query q = { .kind = &note_kind, .limit = 10 };
    struct id ids[2] = { left.id, right.id };
    void *rows;
    size_t n;

    (void)state;
    memset(w, 0, sizeof w);
    left_id = left.id;
    right_id = right.id;
    put(&left);
    put(&right);
    atomic_store(&moving, true);
    start(w, 2, NULL, move);
    for (int i = 0; i < 300; i++) {
        bool ok = store_find(st, &q, a, &rows, &n, &e) && store_get_many(st, &note_kind, ids, 2, a, sum, &e);

        if (!ok || n != 2 || ((struct note *)rows)[0].n + ((struct note *)rows)[1].n != 20000 ||
            sum[0].n + sum[1].n != 20000) {
            atomic_store(&moving, false);
            join(w, 2);
            fail_msg("a torn read");
        }
    }
    atomic_store(&moving, false);
    join(w, 2);
}

static void committed_is_visible(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct note n = { .id = id_new(), .n = i };

        put(&n);
        assert_int_equal(got(n.id).n, i);
    }
}

/* ---- claims ---- */

static struct claim claim_of(size_t limit, int64_t lease_ms)
{
    struct claim c = { .query = { .kind = &note_kind, .index = "with_due", .limit = limit, .n_conds = 1 } };

    c.query.conds[0] = COND("due", IS_NOT, V_TIME(0));
    c.due = "due";
    c.lease = "lease";
    c.token = "token";
    c.holder = "holder";
    c.lease_ms = lease_ms;
    return c;
}

static size_t claim(size_t limit, int64_t lease_ms, struct note **out)
{
    struct claim c = claim_of(limit, lease_ms);
    void *rows;
    size_t n;

    must(store_claim(st, &c, a, &rows, &n, &e));
    *out = rows;
    return n;
}

static void add_due(int n, int64_t due)
{
    struct batch *b = batch_new(a);
    struct note *rows = arena_array(a, (size_t)n, sizeof *rows);

    for (int i = 0; i < n; i++) {
        rows[i] = (struct note){ .id = id_new(), .due = due ? due + i : 0 };
        batch_insert(b, &note_kind, &rows[i], NULL, 0);
    }
    must(commit(st, b, &e));
}

static void claims_take_what_is_due(void **state)
{
    struct note *rows, kept;
    int64_t now = store_now(st);

    (void)state;
    add_due(3, now - 1000);
    add_due(1, 0);
    add_due(1, now + 100000);
    assert_int_equal(claim(2, 60000, &rows), 2);
    assert_true(rows[0].due == now - 1000 && rows[1].due == now - 999);
    assert_true(rows[0].token > 0 && rows[0].lease > now && !id_is_none(rows[0].holder));
    kept = got(rows[0].id);
    assert_true(kept.token == rows[0].token && kept.lease == rows[0].lease && id_equal(kept.holder, rows[0].holder));
    assert_int_equal(claim(10, 60000, &rows), 1);
    assert_int_equal(claim(10, 60000, &rows), 0);
}

static void leases_run_out_and_stale_tokens_fail(void **state)
{
    struct note *first, *second;
    struct batch *b = batch_new(a);

    (void)state;
    add_due(1, store_now(st) - 10);
    assert_int_equal(claim(1, 30, &first), 1);
    assert_int_equal(claim(1, 30, &second), 0);
    usleep(45000);
    assert_int_equal(claim(1, 60000, &second), 1);
    assert_true(second->token > first->token);
    batch_update(b, &note_kind, first->id, &COND("token", IS, V_INT(first->token)), 1, &SET("due", V_TIME(0)), 1);
    must_fail(b, 0, FAULT_CONDITION, "token");
    b = batch_new(a);
    batch_update(b, &note_kind, first->id, &COND("token", IS, V_INT(second->token)), 1, &SET("lease", V_TIME(0)), 1);
    must(commit(st, b, &e));
    assert_int_equal(claim(1, 60000, &first), 1); /* given back */
    assert_true(first->token > second->token);
}

static void leases_are_void_at_start(void **state)
{
    struct note *first, *second;

    (void)state;
    add_due(1, store_now(st) - 10);
    assert_int_equal(claim(1, 600000, &first), 1);
    reopen();
    assert_int_equal(claim(1, 600000, &second), 1);
    assert_true(second->token > first->token);
    assert_int_equal(claim(1, 600000, &second), 0);
}

static atomic_int owners[1000];

static void claim_until_dry(struct worker *w)
{
    size_t n;

    do {
        struct arena *mine = arena_new(4 << 20);
        struct claim c = claim_of(7, 600000);
        void *rows;

        if (!store_claim(st, &c, mine, &rows, &n, &w->e))
            return;
        for (size_t i = 0; i < n; i++)
            atomic_fetch_add(&owners[((struct note *)rows)[i].due - 1], 1);
        arena_free(&mine);
    } while (n);
    w->ok = true;
}

static void no_row_to_two_owners(void **state)
{
    struct worker w[8];

    (void)state;
    memset(w, 0, sizeof w);
    add_due(1000, 1);
    for (int i = 0; i < 1000; i++)
        atomic_store(&owners[i], 0);
    start(w, 8, NULL, claim_until_dry);
    join(w, 8);
    for (int i = 0; i < 8; i++)
        assert_true(w[i].ok);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(atomic_load(&owners[i]), 1);
}

/* ---- locks ---- */

static void locks(void **state)
{
    struct bytes name = BYTES("pop3:1");
    int64_t token, second;

    (void)state;
    must(store_lock(st, name, 60000, &token, &e));
    assert_false(store_lock(st, name, 60000, &second, &e));
    assert_int_equal(e.code, ERR_IN_USE);
    must(store_lock(st, BYTES("pop3:2"), 60000, &second, &e));
    must(store_lock_renew(st, name, token, 60000, &e));
    assert_false(store_lock_renew(st, name, token + 1000, 60000, &e));
    store_unlock(st, name, token + 1000); /* not its holder: nothing happens */
    assert_false(store_lock(st, name, 60000, &second, &e));
    store_unlock(st, name, token);
    must(store_lock(st, name, 20, &second, &e));
    assert_true(second > token);
    usleep(35000);
    assert_false(store_lock_renew(st, name, second, 60000, &e));
    must(store_lock(st, name, 60000, &token, &e));
    assert_true(token > second);
    store_unlock(st, name, second);
    assert_false(store_lock(st, name, 60000, &second, &e));
    reopen();
    must(store_lock(st, name, 60000, &second, &e));
    assert_true(second > token);
}

/* ---- watch ---- */

#define FEED_WRITERS 8
#define FEED_EACH    60

static void write_feed(struct worker *w)
{
    for (int i = 0; i < FEED_EACH; i++) {
        struct arena *mine = arena_new(1 << 20);
        struct batch *b = batch_new(mine);
        struct feed f = { .id = id_new(), .writer = w->number, .n = i };

        batch_insert(b, &feed_kind, &f, NULL, 0);
        w->ok = commit(st, b, &w->e);
        arena_free(&mine);
        if (!w->ok)
            return;
    }
}

static void watch_misses_nothing(void **state)
{
    struct worker w[FEED_WRITERS];
    int64_t next[FEED_WRITERS] = { 0 };
    int seen = 0;
    struct bytes cursor = NO_BYTES;
    int64_t deadline = clock_monotonic() + 20000;

    (void)state;
    memset(w, 0, sizeof w);
    start(w, FEED_WRITERS, NULL, write_feed);
    while (seen < FEED_WRITERS * FEED_EACH && clock_monotonic() < deadline) {
        void *rows;
        size_t n;

        must(store_watch(st, &feed_kind, cursor, 17, deadline, a, &rows, &n, &cursor, &e));
        assert_true(n <= 17);
        for (size_t i = 0; i < n; i++, seen++) {
            const struct feed *f = (const struct feed *)rows + i;

            assert_int_equal(f->n, next[f->writer]++); /* each writer's rows in its order, none twice, none left out */
        }
    }
    join(w, FEED_WRITERS);
    assert_int_equal(seen, FEED_WRITERS * FEED_EACH);
}

static void feed_put(int64_t n)
{
    struct feed *f = arena_alloc(a, sizeof *f);
    struct batch *b = batch_new(a);

    *f = (struct feed){ id_new(), 99, n };
    batch_insert(b, &feed_kind, f, NULL, 0);
    must(commit(st, b, &e));
}

static void watch_waits_and_goes_on(void **state)
{
    struct bytes end, next, again;
    struct query newest = { .kind = &feed_kind, .index = "writer_n", .limit = 10 };
    int64_t began = clock_monotonic();
    void *rows;
    size_t n;

    (void)state;
    feed_put(1);
    must(store_watch_end(st, &feed_kind, a, &end, &e));
    must(store_watch(st, &feed_kind, end, 10, began + 50, a, &rows, &n, &next, &e));
    assert_true(n == 0 && clock_monotonic() >= began + 50);
    feed_put(2);
    must(store_watch(st, &feed_kind, next, 10, began, a, &rows, &n, &again, &e));
    assert_true(n == 1 && ((struct feed *)rows)->n == 2);
    must(store_find(st, &newest, a, &rows, &n, &e));
    assert_int_equal(n, 2);
    for (size_t i = 0; i < 2; i++) { /* a number of the feed is not given again after its row went */
        struct batch *b = batch_new(a);

        batch_delete(b, &feed_kind, ((struct feed *)rows)[i].id, NULL, 0);
        must(commit(st, b, &e));
    }
    reopen();
    feed_put(3);
    must(store_watch(st, &feed_kind, again, 10, began, a, &rows, &n, &next, &e));
    assert_true(n == 1 && ((struct feed *)rows)->n == 3);
    assert_false(store_watch(st, &feed_kind, BYTES("junk"), 10, began, a, &rows, &n, &next, &e));
    assert_int_equal(e.code, ERR_INVALID);
}

/* ---- fibers ---- */

#define FIBERS 200
static atomic_int fibers_done, fibers_ok;

static void in_a_fiber(void *arg)
{
    struct arena *mine = arena_new(1 << 20);
    struct err mine_e = { 0 };
    struct note n = { .id = id_new(), .n = (int64_t)(intptr_t)arg }, back;
    bool ok = true;

    for (int i = 0; ok && i < 5; i++) {
        struct batch *b = batch_new(mine);

        n.id = id_new();
        batch_insert(b, &note_kind, &n, NULL, 0);
        batch_update(b, &note_kind, box_id, NULL, 0, &ADD("n", 1), 1);
        ok = store_commit(st, b, clock_monotonic() + 10000, &mine_e) &&
             store_get(st, &note_kind, n.id, mine, &back, &mine_e) && back.n == n.n;
    }
    arena_free(&mine);
    atomic_fetch_add(&fibers_ok, ok);
    atomic_fetch_add(&fibers_done, 1);
}

static void fibers_commit_and_read(void **state)
{
    struct note box = note_make("box", 0);
    int64_t deadline = clock_monotonic() + 20000;

    (void)state;
    box_id = box.id;
    put(&box);
    atomic_store(&fibers_done, 0);
    atomic_store(&fibers_ok, 0);
    for (intptr_t i = 0; i < FIBERS; i++)
        must(fiber_start(FIBER_ANY, in_a_fiber, (void *)i, &e));
    while (atomic_load(&fibers_done) < FIBERS && clock_monotonic() < deadline)
        usleep(1000);
    assert_int_equal(atomic_load(&fibers_ok), FIBERS);
    assert_int_equal(got(box.id).n, FIBERS * 5);
}

static void it_is_up_and_has_room(void **state)
{
    struct err why = { 0 };

    (void)state;
    assert_true(store_is_up(st, &why));
    assert_true(store_has_room(st));
    assert_true(store_now(st) - clock_wall() < 1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int engine_conformance(const struct engine_under_test *under_test)
{
    const struct CMUnitTest tests[] = {
        T(row_comes_back),
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
        T(pages_with_nulls_and_ties),
        T(finds_by_conditions),
        T(junk_cursors_are_refused),
        T(a_hundred_thousand_rows),
        T(a_find_is_a_snapshot),
        T(committed_is_visible),
        T(claims_take_what_is_due),
        T(leases_run_out_and_stale_tokens_fail),
        T(leases_are_void_at_start),
        T(no_row_to_two_owners),
        T(locks),
        T(watch_misses_nothing),
        T(watch_waits_and_goes_on),
        T(fibers_commit_and_read),
        T(it_is_up_and_has_room),
    };

    engine = under_test;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
