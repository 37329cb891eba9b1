#include "net/fiber.h"
#include "tests/store/parts.h"

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
    struct set back[2];

    (void)state;
    add_due(1, store_now(st) - 10);
    assert_int_equal(claim(1, 700, &first), 1);
    assert_int_equal(claim(1, 700, &second), 0);
    while (store_now(st) <= first->lease)
        usleep(1000);
    assert_int_equal(claim(1, 60000, &second), 1);
    assert_true(second->token > first->token);
    batch_update(b, &note_kind, first->id, &COND("token", IS, V_INT(first->token)), 1, &SET("due", V_TIME(0)), 1);
    must_fail(b, 0, FAULT_CONDITION, "token");
    b = batch_new(a);
    back[0] = SET("lease", V_TIME(0));
    back[1] = SET("due", V_TIME(second->due));
    batch_update(b, &note_kind, first->id, &COND("token", IS, V_INT(second->token)), 1, back, 2);
    must(commit(st, b, &e));
    assert_int_equal(claim(1, 60000, &first), 1); /* given back */
    assert_true(first->token > second->token);
}

static void leases_end_at_start(void **state)
{
    struct claim c = claim_of(2, 600000);
    struct note *first, *second;

    (void)state;
    add_due(5, store_now(st) - 10);
    assert_int_equal(claim(5, 600000, &first), 5);
    reopen();
    assert_int_equal(claim(5, 600000, &second), 0);
    must(store_end_leases(st, &c, &e));
    assert_int_equal(claim(9, 600000, &second), 5);
    assert_true(second->token > first->token);
    assert_int_equal(claim(9, 600000, &second), 0);
}

static void claims_keep_what_they_replace(void **state)
{
    struct claim c = claim_of(1, 500); /* longer than a claim takes on a busy machine */
    struct note *row, kept;
    int64_t due = store_now(st) - 1000;
    void *rows;
    size_t n;

    (void)state;
    c.lapsed = "lapsed";
    add_due(1, due);
    must(store_claim(st, &c, a, &rows, &n, &e));
    row = rows;
    assert_true(n == 1 && row->due == due && row->lapsed == 0);
    kept = got(row->id);
    assert_true(kept.due == row->lease && kept.lease == row->lease && kept.lapsed == 0);
    do /* by the clock of the store, which may be set back by some milliseconds on a busy machine */
        must(store_claim(st, &c, a, &rows, &n, &e));
    while (n == 0 && usleep(1000) == 0);
    assert_true(n == 1 && ((struct note *)rows)->due == row->lease && ((struct note *)rows)->lapsed == row->lease);
    assert_true(got(row->id).lapsed == row->lease);
}

static void add_of(struct id owner, int n, int64_t due)
{
    struct batch *b = batch_new(a);
    struct note *rows = arena_array(a, (size_t)n, sizeof *rows);

    for (int i = 0; i < n; i++) {
        rows[i] = (struct note){ .id = id_new(), .owner = owner, .due = due + i, .n = i };
        batch_insert(b, &note_kind, &rows[i], NULL, 0);
    }
    must(commit(st, b, &e));
}

static size_t claim_each(const struct value *owners, const size_t *each, size_t n, size_t limit, struct note **out)
{
    struct claim c = claim_of(limit, 60000);
    void *rows;

    c.query.index = "owner_due";
    c.query.conds[1] = COND_ONE_OF("owner", owners, n);
    c.query.n_conds = 2;
    c.each = each;
    must(store_claim(st, &c, a, &rows, &n, &e));
    *out = rows;
    return n;
}

static void each_value_has_its_limit(void **state)
{
    static const size_t each[] = { 2, 0, 3, 10 };
    struct value owners[] = { V_ID(id_new()), V_ID(id_new()), V_ID(id_new()), V_ID(id_new()) };
    int64_t now = store_now(st);
    struct note *rows;

    (void)state;
    for (int i = 0; i < 3; i++)
        add_of(owners[i].id, 5, now - 1000 * (i + 1));
    add_of(owners[3].id, 5, now + 100000);
    assert_int_equal(claim_each(owners, each, 4, 4, &rows), 4); /* the whole has one too */
    assert_true(id_equal(rows[0].owner, owners[0].id) && rows[0].n == 0 && rows[1].n == 1);
    assert_true(id_equal(rows[2].owner, owners[2].id) && rows[2].n == 0 && rows[2].due == now - 3000);
    assert_int_equal(claim_each(owners, each, 4, 100, &rows), 5);
    assert_int_equal(claim_each(owners, each, 4, 100, &rows), 1);
    assert_true(id_equal(rows[0].owner, owners[0].id) && rows[0].n == 4);
    assert_int_equal(claim_each(owners, each, 4, 100, &rows), 0);
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

/* The newest row goes and another comes, also in one batch, in one that comes to nothing, and after a restart. */
static void numbers_stay_new(struct bytes place, struct id newest, int64_t began)
{
    struct bytes next;
    void *rows;
    size_t n;

    for (int i = 0; i < 4; i++) {
        struct batch *b = batch_new(a), *none = batch_new(a);
        struct feed row = { id_new(), 99, 100 + i }, taken = { newest, 99, 200 };

        batch_delete(b, &feed_kind, newest, NULL, 0);
        if (i == 0 || i == 3)
            must(commit(st, b, &e));
        if (i == 3)
            reopen();
        batch_insert(none, &feed_kind, &row, NULL, 0);
        batch_insert(none, &feed_kind, i == 0 || i == 3 ? &row : &taken, NULL, 0);
        assert_false(commit(st, none, &e));
        if (i == 0 || i == 3)
            b = batch_new(a);
        batch_insert(b, &feed_kind, &row, NULL, 0);
        must(commit(st, b, &e));
        must(store_watch(st, &feed_kind, place, 10, began, a, &rows, &n, &next, &e));
        assert_true(n == 1 && ((struct feed *)rows)->n == 100 + i);
        place = next;
        newest = row.id;
    }
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
    numbers_stay_new(next, ((struct feed *)rows)->id, began);
    assert_false(store_watch(st, &feed_kind, BYTES("junk"), 10, began, a, &rows, &n, &next, &e));
    assert_int_equal(e.code, ERR_INVALID);
}

static void watch_long(struct worker *w)
{
    int64_t began = clock_monotonic();
    struct arena *mine = arena_new(1 << 20);
    struct bytes next;
    void *rows;
    size_t n;

    w->ok = store_watch(st, &feed_kind, NO_BYTES, 10, began + 60000, mine, &rows, &n, &next, &w->e) && n == 0 &&
            clock_monotonic() < began + 30000;
    arena_free(&mine);
}

/* Whether they began before the end or after it. */
static void nobody_waits_for_a_store_that_ends(void **state)
{
    struct worker before[4], after[1];

    (void)state;
    memset(before, 0, sizeof before);
    memset(after, 0, sizeof after);
    start(before, 4, NULL, watch_long);
    store_end_waits(st);
    start(after, 1, NULL, watch_long);
    join(before, 4);
    join(after, 1);
    for (int i = 0; i < 4; i++)
        assert_true(before[i].ok);
    assert_true(after[0].ok);
}

static struct watch part_of(int64_t writer, size_t limit, struct bytes after)
{
    return (struct watch){ .kind = &feed_kind, .index = "of", .value = V_INT(writer), .limit = limit, .after = after };
}

/* Each writer's part has that writer's rows in their order, none twice, none left out, while all write. */
static void a_part_of_a_feed_misses_nothing(void **state)
{
    struct worker w[FEED_WRITERS];
    int64_t deadline = clock_monotonic() + 20000, next[FEED_WRITERS] = { 0 };
    struct bytes cursor[FEED_WRITERS] = { 0 };
    int seen = 0;

    (void)state;
    memset(w, 0, sizeof w);
    start(w, FEED_WRITERS, NULL, write_feed);
    for (int k = 0; seen < FEED_WRITERS * FEED_EACH && clock_monotonic() < deadline; k = (k + 1) % FEED_WRITERS) {
        struct watch part = part_of(k, 7, cursor[k]);
        void *rows;
        size_t n;

        must(store_watch_part(st, &part, a, &rows, &n, &cursor[k], &e));
        for (size_t i = 0; i < n; i++, seen++) {
            const struct feed *f = (const struct feed *)rows + i;

            assert_int_equal(f->writer, k);
            assert_int_equal(f->n, next[k]++);
        }
    }
    join(w, FEED_WRITERS);
    assert_int_equal(seen, FEED_WRITERS * FEED_EACH);
}

/* A place in the whole is one in each part; behind the last row of a part it goes on to the end. */
static void a_part_of_a_feed_has_the_places_of_the_whole(void **state)
{
    struct watch part = part_of(5, 10, NO_BYTES), none = part_of(6, 10, NO_BYTES), wrong = part;
    struct feed few = { id_new(), 5, 1 };
    struct batch *b = batch_new(a);
    struct bytes next, last;
    void *rows;
    size_t n;

    (void)state;
    for (int64_t i = 0; i < 20; i++)
        feed_put(i);
    batch_insert(b, &feed_kind, &few, NULL, 0);
    must(commit(st, b, &e));
    feed_put(20);
    must(store_watch_part(st, &part, a, &rows, &n, &next, &e));
    assert_true(n == 1 && id_equal(((struct feed *)rows)->id, few.id));
    must(store_watch(st, &feed_kind, next, 10, 0, a, &rows, &n, &last, &e));
    assert_int_equal(n, 0);
    must(store_watch_part(st, &none, a, &rows, &n, &next, &e));
    assert_int_equal(n, 0);
    must(store_watch(st, &feed_kind, NO_BYTES, 10, 0, a, &rows, &n, &next, &e));
    part.after = next;
    must(store_watch_part(st, &part, a, &rows, &n, &next, &e));
    assert_int_equal(n, 1);
    part.after = next;
    must(store_watch_part(st, &part, a, &rows, &n, &next, &e));
    assert_int_equal(n, 0);
    wrong.after = BYTES("junk");
    assert_false(store_watch_part(st, &wrong, a, &rows, &n, &next, &e));
    assert_int_equal(e.code, ERR_INVALID);
    e = (struct err){ 0 };
    wrong.index = "writer_n";
    assert_false(store_watch_part(st, &wrong, a, &rows, &n, &next, &e));
    assert_int_equal(e.code, ERR_INTERNAL);
}

/* ---- fibers ---- */

#define FIBERS 200
static struct id box_id;
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

int wait_conformance(void)
{
    const struct CMUnitTest tests[] = { T(claims_take_what_is_due),
                                        T(claims_keep_what_they_replace),
                                        T(each_value_has_its_limit),
                                        T(leases_run_out_and_stale_tokens_fail),
                                        T(leases_end_at_start),
                                        T(no_row_to_two_owners),
                                        T(locks),
                                        T(watch_misses_nothing),
                                        T(watch_waits_and_goes_on),
                                        T(nobody_waits_for_a_store_that_ends),
                                        T(a_part_of_a_feed_misses_nothing),
                                        T(a_part_of_a_feed_has_the_places_of_the_whole),
                                        T(fibers_commit_and_read),
                                        T(it_is_up_and_has_room) };

    return cmocka_run_group_tests_name("claims, locks, watch, fibers", tests, NULL, NULL);
}
