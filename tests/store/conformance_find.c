#include "tests/store/parts.h"

/* ---- find ---- */

static size_t walk(struct query q, struct note *out, size_t most)
{
    struct note place = { 0 };
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
            assert_true(store_cursor_read(&q, q.after, a, &place));
            assert_true(bytes_equal(store_cursor(&q, &place, a), q.after));
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
        assert_false(store_cursor_read(&q, q.after, a, &n));
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
    q.index = "waiting"; /* the same fields as with_due */
    other.index = "with_due";
    n.due = 7;
    assert_false(store_cursor_check(&other, store_cursor(&q, &n, a)));
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

/* One page of store_find_some: *after moves to its last row. */
static size_t some(struct query *q, size_t bytes, struct note *out, bool *cut)
{
    size_t n;
    void *rows;

    must(store_find_some(st, q, bytes, a, &rows, &n, cut, &e));
    assert_true(n <= q->limit);
    if (n) {
        memcpy(out, rows, n * sizeof *out);
        q->after = store_cursor(q, out + n - 1, a);
    }
    return n;
}

/* A bound of bytes ends a page behind the row that reaches it, whatever the limit is; it says so, and the pages that
 * follow give the rest, each row once. Over values (several passes on either engine) it is one bound. */
static void a_bound_of_bytes_cuts_a_page(void **state)
{
    enum { ROWS = 24, SIZE = 10 * 1024 };
    static char body[SIZE];
    struct value owners[2] = { V_ID(id_new()), V_ID(id_new()) };
    struct note rows[ROWS], seen[ROWS + 1];
    struct batch *b = batch_new(a);

    (void)state;
    memset(body, 'x', sizeof body);
    for (int i = 0; i < ROWS; i++) {
        rows[i] = (struct note){ .id = id_new(), .owner = owners[i % 2].id, .n = i, .body = { body, SIZE } };
        batch_insert(b, &note_kind, &rows[i], NULL, 0);
    }
    must(commit(st, b, &e));
    for (int how = 0; how < 4; how++) { /* ascending, descending; one owner, both */
        size_t want = how & 2 ? ROWS : ROWS / 2, n = 0, pages = 0, now;
        struct query q = { .kind = &note_kind, .index = "owner_n", .limit = 100, .descending = how & 1, .n_conds = 1 };
        bool cut = true;

        q.conds[0] = COND_ONE_OF("owner", owners, how & 2 ? 2 : 1);
        for (; cut; pages++) {
            now = some(&q, 4 * SIZE, seen + n, &cut);
            n += now;
            assert_true(n <= want && now <= 4);
            assert_true(!cut || now >= 3); /* what a row takes besides its body is little */
        }
        assert_int_equal(n, want);
        assert_true(pages >= want / 4);
        for (size_t i = 1; i < n; i++)
            for (size_t j = 0; j < i; j++)
                assert_false(id_equal(seen[i].id, seen[j].id));
    }
}

/* No bound, or one that is not reached, cuts nothing; the smallest still gives a row, so that a list always goes on;
 * rows whose bytes are not asked for do not count with them; the limit alone is no cut. */
static void what_a_bound_of_bytes_leaves(void **state)
{
    static const char *const only[] = { "id", "n", NULL };
    static char body[64 * 1024];
    struct id owner = id_new();
    struct query q = { .kind = &note_kind, .index = "owner_n", .limit = 10, .n_conds = 1 }, all;
    struct note seen[10];
    bool cut;

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct note x = { .id = id_new(), .owner = owner, .n = i, .body = { body, sizeof body } };

        put(&x);
    }
    q.conds[0] = COND("owner", IS, V_ID(owner));
    all = q;
    assert_int_equal(some(&q, 0, seen, &cut), 6);
    assert_false(cut);
    q = all;
    assert_int_equal(some(&q, 1 << 30, seen, &cut), 6);
    assert_false(cut);
    q = all;
    assert_int_equal(some(&q, 1, seen, &cut), 1);
    assert_true(cut && seen[0].n == 0 && seen[0].body.n == sizeof body);
    q = all;
    q.only = only;
    assert_int_equal(some(&q, sizeof body, seen, &cut), 6);
    assert_false(cut);
    q = all;
    q.limit = 4;
    assert_int_equal(some(&q, 1 << 30, seen, &cut), 4);
    assert_false(cut);
    q = all;
    q.conds[0] = COND("owner", IS, V_ID(id_new()));
    assert_int_equal(some(&q, 1, seen, &cut), 0);
    assert_false(cut);
}

int find_conformance(void)
{
    const struct CMUnitTest tests[] = { T(pages_with_nulls_and_ties),    T(finds_by_conditions),
                                        T(junk_cursors_are_refused),     T(a_hundred_thousand_rows),
                                        T(a_find_is_a_snapshot),         T(committed_is_visible),
                                        T(a_bound_of_bytes_cuts_a_page), T(what_a_bound_of_bytes_leaves) };

    return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
