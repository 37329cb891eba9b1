/* Two builds beside one another on one database: the newer one has more fields in every kind. Neither loses what the
 * other wrote. */
#include "tests/store/parts.h"

/* note, and a field of every type */
struct wide_note {
    struct note note;
    struct id friend;
    struct bytes label, raw, more;
    int64_t size, seen;
    bool odd;
};

struct wide_feed {
    struct feed feed;
    struct bytes label;
    int64_t size;
};

struct wide_big {
    struct big big;
    int64_t size;
};

#define INNER(type_, struct_, inner_, member_)                                                                         \
    {                                                                                                                  \
#member_, FIELD_##type_, offsetof(struct struct_, inner_.member_)                                              \
    }

static const struct field wide_note_fields[] = {
    INNER(ID, wide_note, note, id),      INNER(ID, wide_note, note, owner),    INNER(ID, wide_note, note, holder),
    INNER(TEXT, wide_note, note, name),  INNER(BYTES, wide_note, note, body),  INNER(JSON, wide_note, note, extra),
    INNER(TEXT, wide_note, note, state), INNER(INT, wide_note, note, n),       INNER(INT, wide_note, note, most),
    INNER(INT, wide_note, note, token),  INNER(TIME, wide_note, note, due),    INNER(TIME, wide_note, note, lease),
    INNER(BOOL, wide_note, note, flag),  INNER(TIME, wide_note, note, lapsed), FIELD(ID, wide_note, friend),
    FIELD(TEXT, wide_note, label),       FIELD(BYTES, wide_note, raw),         FIELD(JSON, wide_note, more),
    FIELD(INT, wide_note, size),         FIELD(TIME, wide_note, seen),         FIELD(BOOL, wide_note, odd),
};
static const char *const waiting[] = { "queued", "held", NULL };
static const struct index wide_note_indexes[] = {
    { .name = "name", .unique = true, .fields = { "name" } },
    { .name = "owner_n", .fields = { "owner", "n" } },
    { .name = "owner_due", .fields = { "owner", "due", "n" } },
    { .name = "waiting", .fields = { "due" }, .when = "state", .values = waiting },
    { .name = "with_due", .fields = { "due" }, .when = "due" },
    { .name = "size", .fields = { "size" } },
    { .name = "label", .unique = true, .fields = { "label" } },
};
static const struct kind wide_note_kind = {
    "note", "note", sizeof(struct wide_note), wide_note_fields, 21, wide_note_indexes, 7, false, false, false
};

static const struct field wide_feed_fields[] = { INNER(ID, wide_feed, feed, id), INNER(INT, wide_feed, feed, writer),
                                                 INNER(INT, wide_feed, feed, n), FIELD(TEXT, wide_feed, label),
                                                 FIELD(INT, wide_feed, size) };
static const struct index wide_feed_indexes[] = { { .name = "writer_n", .unique = true, .fields = { "writer", "n" } } };
static const struct kind wide_feed_kind = {
    "feed", "feed", sizeof(struct wide_feed), wide_feed_fields, 5, wide_feed_indexes, 1, true, false, false
};

static const struct field wide_big_fields[] = { INNER(ID, wide_big, big, id), INNER(BYTES, wide_big, big, body),
                                                FIELD(INT, wide_big, size) };
static const struct kind wide_big_kind = { "big", "big", sizeof(struct wide_big), wide_big_fields, 3, NULL, 0, false,
                                           true,  false };
static const struct kind *const wide_kinds[] = { &wide_note_kind, &wide_feed_kind, &wide_big_kind, &tally_kind, NULL };

/* ---- the newer build, on another node; the older one is `st` ---- */

static struct store *newer;

static int set_up_both(void **state)
{
    struct store_options o = { .kinds = wide_kinds, .schema = 1, .node = id_new(), .readers = 2 };

    set_up(state);
    o.url = engine_url();
    newer = NULL;
    must(store_open(&o, &newer, &e));
    return 0;
}

static int tear_down_both(void **state)
{
    store_close(&newer);
    return tear_down(state);
}

#define T2(name) cmocka_unit_test_setup_teardown(name, set_up_both, tear_down_both)

static struct wide_note wide_make(const char *name)
{
    return (struct wide_note){ .note = note_make(name, 7),
                               .friend = id_new(),
                               .label = arena_bytesf(a, "label of %s", name),
                               .raw = { "\0\xff", 2 },
                               .more = BYTES("{\"$set\":1}"),
                               .size = 4711,
                               .seen = 123456,
                               .odd = true };
}

static void put_wide(const struct wide_note *n)
{
    struct batch *b = batch_new(a);

    batch_insert(b, &wide_note_kind, n, NULL, 0);
    must(commit(newer, b, &e));
}

static struct wide_note got_wide(struct id id)
{
    struct wide_note n;

    must(store_get(newer, &wide_note_kind, id, a, &n, &e));
    return n;
}

static void must_keep(const struct wide_note *in)
{
    struct wide_note out = got_wide(in->note.id);

    assert_true(id_equal(out.friend, in->friend) && bytes_equal(out.label, in->label) && bytes_equal(out.raw, in->raw));
    assert_true(bytes_equal(out.more, in->more) && out.size == in->size && out.seen == in->seen && out.odd == in->odd);
}

/* ---- what the older build does to rows of the newer ---- */

static void updates_and_claims_keep_unknown_fields(void **state)
{
    struct wide_note n = wide_make("ana");
    struct claim claim = { .query = { .kind = &note_kind, .index = "with_due", .limit = 1, .n_conds = 1 },
                           .due = "due",
                           .lease = "lease",
                           .token = "token",
                           .holder = "holder",
                           .lease_ms = 60000 };
    struct set sets[] = { SET("body", V_BYTES(BYTES("new"))), ADD("n", 1) };
    struct batch *b = batch_new(a);
    void *rows;
    size_t found;

    (void)state;
    n.note.due = 1000;
    put_wide(&n);
    batch_update(b, &note_kind, n.note.id, &COND("n", IS, V_INT(7)), 1, sets, 2);
    batch_require(b, &note_kind, n.note.id, NULL, 0);
    must(commit(st, b, &e));
    claim.query.conds[0] = COND("due", IS_NOT, V_TIME(0));
    must(store_claim(st, &claim, a, &rows, &found, &e));
    assert_int_equal(found, 1);
    must_keep(&n);
    assert_true(got_wide(n.note.id).note.n == 8 && got_wide(n.note.id).note.token > 0);
}

static void a_row_made_anew_keeps_nothing(void **state)
{
    struct wide_note n = wide_make("ana"), heir = wide_make("bo"), out;
    struct batch *b = batch_new(a);

    (void)state;
    put_wide(&n);
    batch_delete(b, &note_kind, n.note.id, NULL, 0);
    batch_insert(b, &note_kind, &n.note, NULL, 0);
    must(commit(st, b, &e));
    out = got_wide(n.note.id);
    assert_true(id_is_none(out.friend) && !out.label.p && !out.raw.p && !out.more.p);
    assert_true(out.size == 0 && out.seen == 0 && !out.odd && out.note.n == 7);
    heir.label = n.label; /* which is free again */
    put_wide(&heir);
}

static size_t find_sizes(enum compare compare, int64_t than, struct wide_note **rows)
{
    struct query q = { .kind = &wide_note_kind, .index = "size", .limit = 10, .n_conds = 1 };
    size_t n;

    q.conds[0] = COND("size", compare, V_INT(than));
    must(store_find(newer, &q, a, (void **)rows, &n, &e));
    return n;
}

/* A number or truth that its build did not know is 0 and false, for reading, finding, conditions and sums. */
static void rows_of_the_older_build_read_as_zero(void **state)
{
    struct note old = note_make("old", 1);
    struct wide_note n = wide_make("new"), *rows;
    struct cond conds[] = { COND("size", BELOW, V_INT(1)), COND("odd", IS, V_BOOL(false)) };
    struct batch *b = batch_new(a);

    (void)state;
    put(&old);
    put_wide(&n);
    assert_true(got_wide(old.id).size == 0 && !got_wide(old.id).label.p && !got_wide(old.id).odd);
    assert_int_equal(find_sizes(IS, 0, &rows), 1);
    assert_int_equal(find_sizes(BELOW, 1, &rows), 1);
    assert_true(id_equal(rows[0].note.id, old.id));
    assert_int_equal(find_sizes(AT_MOST, 0, &rows), 1);
    assert_int_equal(find_sizes(AT_MOST, 4711, &rows), 2);
    assert_true(id_equal(rows[0].note.id, old.id));
    assert_int_equal(find_sizes(AT_LEAST, 0, &rows), 2);
    assert_int_equal(find_sizes(ABOVE, -5, &rows), 2);
    assert_int_equal(find_sizes(ABOVE, 0, &rows), 1);
    assert_int_equal(find_sizes(BELOW, 0, &rows), 0);
    assert_int_equal(find_sizes(IS_NOT, 0, &rows), 1);
    batch_update(b, &wide_note_kind, old.id, conds, 2, &ADD("size", 5), 1);
    must(commit(newer, b, &e));
    assert_int_equal(got_wide(old.id).size, 5);
    assert_int_equal(find_sizes(BELOW, 6, &rows), 1);
}

static void restarts_forget_nothing(void **state)
{
    struct wide_note n = wide_make("ana"), second = wide_make("bo");

    (void)state;
    put_wide(&n);
    reopen(); /* the older one, beside the newer */
    put_wide(&second);
    must_keep(&n);
    must_keep(&second);
    assert_int_equal(got(second.note.id).n, 7);
}

/* ---- the feed ---- */

static void both_watch_both(void **state)
{
    struct bytes cursor[2] = { NO_BYTES, NO_BYTES };
    int64_t deadline = clock_monotonic() + 10000;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct wide_feed wide = { { id_new(), 1, i }, BYTES("said"), i };
        struct batch *b = batch_new(a);
        void *rows;
        size_t n;

        if (i % 2)
            batch_insert(b, &wide_feed_kind, &wide, NULL, 0);
        else
            batch_insert(b, &feed_kind, &wide.feed, NULL, 0);
        must(commit(i % 2 ? newer : st, b, &e));
        must(store_watch(st, &feed_kind, cursor[0], 5, deadline, a, &rows, &n, &cursor[0], &e));
        assert_true(n == 1 && ((struct feed *)rows)->n == i);
        must(store_watch(newer, &wide_feed_kind, cursor[1], 5, deadline, a, &rows, &n, &cursor[1], &e));
        assert_true(n == 1 && ((struct wide_feed *)rows)->feed.n == i);
        assert_true(((struct wide_feed *)rows)->size == (i % 2 ? i : 0));
        assert_true((((struct wide_feed *)rows)->label.p != NULL) == i % 2);
    }
}

int builds_conformance(void)
{
    const struct CMUnitTest tests[] = { T2(updates_and_claims_keep_unknown_fields), T2(a_row_made_anew_keeps_nothing),
                                        T2(rows_of_the_older_build_read_as_zero), T2(restarts_forget_nothing),
                                        T2(both_watch_both) };

    return cmocka_run_group_tests_name("two builds", tests, NULL, NULL);
}
