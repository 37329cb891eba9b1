/* Imports of suppressions at the store: what of a CSV is added, how it goes on where it was broken off, and what
 * becomes of it when its account or file is gone. */
#include "service/core/member.h"
#include "service/queue/suppression.h"
#include "service/queue/suppression_import.h"
#include "tests/service/mail_world.h"

struct reading {
    struct bytes left;
    size_t step;
};

static bool read_some(void *ctx, struct bytes *chunk, struct err *e)
{
    struct reading *r = ctx;

    (void)e;
    *chunk = r->left.n ? bytes_head(r->left, r->step) : NO_BYTES;
    r->left = bytes_from(r->left, chunk->n);
    return true;
}

static bool import_by(struct world *w, struct bytes csv, size_t step, struct suppression_import_row *out)
{
    struct reading r = { csv, step };
    const struct suppression_import_in in = { .csv = { read_some, &r } };

    act(w, &w->key, "api");
    return suppression_import(&w->c, &in, out);
}

static struct suppression_import_row got(struct world *w, struct id import)
{
    const struct suppression_import_get_in in = { .id = id_of(w, &suppression_import_kind, import) };
    struct suppression_import_row row;

    must(&w->c, suppression_import_get(&w->c, &in, &row));
    return row;
}

static void turn(struct world *w, bool *any)
{
    struct err e = { 0 };

    if (!suppression_import_round(w->svc, any, &e))
        fail_msg("%s at %s", e.message, e.where);
}

static struct suppression_import_row imported(struct world *w, struct bytes csv)
{
    struct suppression_import_row row;
    bool any;

    must(&w->c, import_by(w, csv, 7, &row));
    assert_bytes(row.status, BYTES("queued"));
    do {
        turn(w, &any);
        row = got(w, row.id);
    } while (!row.finished_at);
    return row;
}

static struct suppression_row only_row(struct world *w, const char *email)
{
    struct suppression_check_out out;

    must(&w->c, suppression_check(&w->c, &(struct suppression_check_in){ bytes_of(email) }, &out));
    assert_int_equal(out.n, 1);
    return out.rows[0];
}

static size_t rows_left(struct world *w, const struct kind *k)
{
    struct query q = { .kind = k, .limit = 5000 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

#define assert_counts(row_, read_, added_, unchanged_)                                                                 \
    do {                                                                                                               \
        struct suppression_import_row r_ = (row_);                                                                     \
        assert_bytes(r_.status, BYTES("done"));                                                                        \
        assert_int_equal(r_.read, read_);                                                                              \
        assert_int_equal(r_.added, added_);                                                                            \
        assert_int_equal(r_.unchanged, unchanged_);                                                                    \
    } while (0)

static const struct {
    const char *csv;
    int read, added, unchanged;
} files[] = {
    { "email\r\na@far.test\r\nb@far.test\r\n", 2, 2, 0 },
    { "\xEF\xBB\xBF"
      "Email,Reason\na@far.test,Bounce\n\nb@far.test,\n",
      2, 2, 0 },
    { "a@far.test\nb@far.test", 2, 2, 0 }, /* no names: rows at once */
    { "Ana;a@far.test\r\nBo;b@far.test\r\n", 2, 2, 0 },
    { "name\temail address\r\nAna\ta@far.test\r\nBo\tb@far.test\r\n", 2, 2, 0 },
    { "id,EmailAddress,CreatedAt\r\n1,a@far.test,x\r\n2,b@far.test,\r\n", 2, 2, 0 }, /* columns of others */
    { "email,text\r\na@far.test,\"two, with \"\"words\"\"\"\r\n\"b@far.test\",x\r\n", 2, 2, 0 },
    { "email\ra@far.test\rA@FAR.test\rb@far.test\r", 3, 2, 1 },
    { "\r\n\r\nemail\r\na@far.test\r\nb@far.test\r\n", 2, 2, 0 },
    { "email,reason\r\na@far.test,import\r\na@far.test,complaint\r\nb@far.test,bounce\r\n", 3, 3, 0 },
    { "email,note\r\n'+a@far.test,\r\n'=b@far.test,\r\n", 2, 2, 0 },
};

static void files_of_all_kinds_are_taken(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const struct bytes both[] = { BYTES("a@far.test"), BYTES("b@far.test"), BYTES("+a@far.test"),
                                      BYTES("=b@far.test") };
        struct suppression_import_row row = imported(w, bytes_of(files[i].csv));
        struct suppression_remove_out out;

        if (row.read != files[i].read || row.added != files[i].added || row.unchanged != files[i].unchanged ||
            row.faults.p)
            fail_msg("file %zu: %d, %d, %d: %.*s", i, (int)row.read, (int)row.added, (int)row.unchanged,
                     SHOW(row.faults));
        must(&w->c, suppression_remove(&w->c, &(struct suppression_remove_in){ both, 4 }, &out));
        assert_int_equal(out.removed, 2);
    }
    assert_int_equal(rows_left(w, &body_kind), 0); /* the files have gone */
}

static void faults_name_row_and_column(void **state)
{
    struct world *w = *state;
    struct suppression_import_row row = imported(w, BYTES("email,reason,topic,expires_at,stream_id\r\n"
                                                          "good@far.test,,,2099-01-01T00:00:00Z,\r\n"
                                                          "nobody,,,,\r\n"
                                                          "a@far.test,whim,,,\r\n"
                                                          "b@far.test,bounce,news,,\r\n"
                                                          "\r\n"
                                                          "c@far.test,,,yesterday,\r\n"
                                                          "d@far.test,,,2001-01-01T00:00:00Z,\r\n"
                                                          "\"e\"@far.test,,,,\r\n"
                                                          "f@far.test,,,,news\r\n"
                                                          ",,,,\r\n"
                                                          "g@far.test\xFF,,,,\r\n"));
    static const char *const told[] = {
        "{\"row\":3,\"column\":\"email\",\"code\":\"invalid_address\"",
        "{\"row\":4,\"column\":\"reason\"",
        "{\"row\":5,\"column\":\"reason\",\"code\":\"conflicting\"",
        "{\"row\":7,\"column\":\"expires_at\"",
        "{\"row\":8,\"column\":\"expires_at\",\"code\":\"in_the_past",
        "{\"row\":9,\"column\":null,\"code\":\"malformed\"",
        "{\"row\":10,\"column\":\"stream_id\"",
        "{\"row\":11,\"column\":\"email\"",
        "{\"row\":12,\"column\":null,\"code\":\"malformed\"",
    };
    const char *faults = arena_text(w->arena, row.faults);

    assert_counts(row, 10, 1, 0);
    assert_int_equal(row.n_faults, 9);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!strstr(faults, told[i]))
            fail_msg("%s is not in %s", told[i], faults);
    assert_true(only_row(w, "good@far.test").expires_at > clock_wall());
}

static struct bytes many(struct world *w, int from, int n)
{
    struct buf out;
    struct bytes text;

    buf_init(&out, 1 << 24);
    buf_adds(&out, "email,text\r\n");
    for (int i = from; i < from + n; i++)
        buf_addf(&out, "m%d@many.test,line %d\r\n", i, i);
    text = arena_copy(w->arena, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

/* A turn is some slices; the next one goes on where it ended, also in another process. */
static void an_import_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    struct suppression_import_row row, before = { 0 };
    bool any;
    int turns = 0;

    must(&w->c, import_by(w, many(w, 0, 12001), 65536, &row));
    do {
        if (turns++) {
            service_close(&w->svc);
            open_world(w);
            act(w, &w->key, "api");
        }
        turn(w, &any);
        row = got(w, row.id);
        assert_true(row.read > before.read || row.finished_at);
        before = row;
    } while (!row.finished_at);
    assert_true(turns > 1);
    assert_counts(row, 12001, 12001, 0);
    assert_bytes(only_row(w, "m12000@many.test").text, BYTES("line 12000"));
    assert_counts(imported(w, many(w, 6000, 12001)), 12001, 6000, 6001);
}

/* Whoever was killed in the middle of a slice has written none of it, and holds it until the lease ends. */
static void a_lease_that_was_lost_writes_nothing(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct suppression_import_row row;
    struct set sets[] = { ADD("token", 1), SET("due_at", V_TIME(0)) };
    bool any;

    must(&w->c, import_by(w, BYTES("a@far.test\r\n"), 9, &row));
    batch_update(b, &suppression_import_kind, row.id, NULL, 0, sets, 2); /* claimed and kept by somebody */
    commit(w, b);
    turn(w, &any);
    assert_false(any);
    assert_int_equal(rows_left(w, &suppression_kind), 0);
}

static void what_cannot_go_on_has_failed(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct suppression_import_row row;
    bool any;

    must(&w->c, import_by(w, BYTES("a@far.test\r\n"), 9, &row));
    batch_delete(b, &body_kind, got(w, row.id).body_id, NULL, 0);
    commit(w, b);
    turn(w, &any);
    assert_bytes(got(w, row.id).status, BYTES("failed"));
    assert_non_null(strstr(arena_text(w->arena, got(w, row.id).faults), "no longer kept"));
    turn(w, &any);
    assert_false(any);
}

/* Nothing of an account that is gone is kept: no import of it goes on, and its list is swept. */
static void an_account_takes_its_list_along(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct suppression_import_row row;
    bool any;

    imported(w, many(w, 0, 450));
    must(&w->c, import_by(w, BYTES("a@far.test\r\n"), 9, &row));
    turn(w, &any);
    must(&w->c, import_by(w, BYTES("b@far.test\r\n"), 9, &row));
    batch_delete(b, &account_kind, w->account, NULL, 0);
    commit(w, b);
    turn(w, &any);
    assert_true(any);
    assert_int_equal(rows_left(w, &body_kind), 0);
    assert_int_equal(rows_left(w, &suppression_kind), 451);
    sweep(w);
    assert_int_equal(rows_left(w, &suppression_kind), 0);
}

static const char *const refused[] = { "", "\r\n\r\n", "name,reason\r\nAna,bounce\r\n",
                                       "\"email\"x\r\na@far.test\r\n" };

static void what_is_no_list_is_refused_at_once(void **state)
{
    struct world *w = *state;
    struct suppression_import_row row;
    struct err e = { 0 };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        must_fail(&w->c, import_by(w, bytes_of(refused[i]), 3, &row), ERR_INVALID);
        assert_bytes(w->c.faults[0].pointer, BYTES("/email"));
    }
    assert_true(param_set(PARAM_suppression_import_rows, PARAM_FROM_FLAG, BYTES("10"), &e));
    must_fail(&w->c, import_by(w, many(w, 0, 11), 3, &row), ERR_INVALID);
    assert_true(param_set(PARAM_suppression_import_open, PARAM_FROM_FLAG, BYTES("2"), &e));
    must(&w->c, import_by(w, many(w, 0, 10), 3, &row));
    must(&w->c, import_by(w, many(w, 0, 10), 3, &row));
    must_fail(&w->c, import_by(w, many(w, 0, 10), 3, &row), ERR_RATE);
    act(w, &w->test_key, "api");
    must_fail(&w->c, suppression_import_get(&w->c, &(struct suppression_import_get_in){ BYTES("x") }, &row), ERR_SCOPE);
    act(w, &w->other_key, "api");
    must_fail(&w->c,
              suppression_import_get(
                  &w->c, &(struct suppression_import_get_in){ id_of(w, &suppression_import_kind, row.id) }, &row),
              ERR_MISSING);
}

/* ---- export ---- */

static struct bytes exported(struct world *w, const struct suppression_list_in *in)
{
    struct suppression_exporting x;
    struct buf out;
    struct bytes text;

    buf_init(&out, 1 << 24);
    must(&w->c, suppression_export_begin(&w->c, in, &x));
    do
        must(&w->c, suppression_export(&w->c, &x, &out));
    while (!x.ended);
    text = arena_copy(w->arena, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

static size_t lines(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static void what_is_exported_can_be_imported(void **state)
{
    struct world *w = *state;
    struct suppression_row odd[] = {
        { .email = BYTES_ROW("=cmd@far.test"), .text = BYTES_ROW("=1+1, \"x\"") },
        { .email = BYTES_ROW("+a@far.test"), .text = BYTES_ROW("'=x") },
        { .email = BYTES_ROW("b@far.test"), .reason = BYTES_ROW("unsubscribe"), .topic = BYTES_ROW("-news") }
    };
    const struct suppression_create_in in = { .rows = odd, .n = 3, .many = true };
    struct suppression_create_out made;
    struct bytes text, again;

    must(&w->c, suppression_create(&w->c, &in, &made));
    imported(w, many(w, 0, 700));
    text = exported(w, &(struct suppression_list_in){ .since = 0 });
    assert_int_equal(lines(text), 704);
    assert_non_null(strstr(arena_text(w->arena, text), "\r\n'=cmd@far.test,manual,,,,\"'=1+1, \"\"x\"\"\","));
    assert_int_equal(lines(exported(w, &(struct suppression_list_in){ .reason = BYTES("import") })), 701);
    assert_int_equal(lines(exported(w, &(struct suppression_list_in){ .email = BYTES("M7@many.test") })), 2);
    assert_counts(imported(w, text), 703, 0, 703);
    for (int i = 0; i < 3; i++) {
        struct batch *b = batch_new(w->arena);

        batch_delete(b, &suppression_kind, made.rows[i].id, NULL, 0);
        commit(w, b);
    }
    assert_counts(imported(w, text), 703, 3, 700);
    assert_bytes(only_row(w, "=cmd@far.test").text, odd[0].text);
    assert_bytes(only_row(w, "+a@far.test").text, odd[1].text);
    assert_bytes(only_row(w, "b@far.test").topic, odd[2].topic);
    again = exported(w, &(struct suppression_list_in){ .since = 0 });
    assert_int_equal(lines(again), 704);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_of_all_kinds_are_taken),       TEST(faults_name_row_and_column),
        TEST(an_import_goes_on_where_it_was),     TEST(a_lease_that_was_lost_writes_nothing),
        TEST(what_cannot_go_on_has_failed),       TEST(an_account_takes_its_list_along),
        TEST(what_is_no_list_is_refused_at_once), TEST(what_is_exported_can_be_imported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
