/* What a page of changes may hold, and when it must say that it does not know. */
#include "mail_world.h"
#include "service/box/changes.h"

static struct mailbox_changes_out changes(struct world *w, struct id mailbox, int64_t since, int limit)
{
    struct mailbox_changes_in in = { .id = id_of(w, &mailbox_kind, mailbox), .since = since, .limit = limit };
    struct mailbox_changes_out out;

    act(w, &w->ana_login, "test");
    must(&w->c, mailbox_changes(&w->c, &in, &out));
    return out;
}

/* Entries as a batch of many gives them: all with one number, which the user and the mailbox have. */
static void add_many(struct world *w, struct id mailbox, int64_t modseq, size_t n, bool changed)
{
    const struct set number = SET("modseq", V_INT(modseq));
    struct batch *b = batch_new(w->arena);
    static int64_t uid = 1000;

    for (size_t i = 0; i < n; i++) {
        struct entry_row *row = arena_alloc(w->arena, sizeof *row);

        *row = (struct entry_row){ .id = id_new(), .account_id = w->account, .user_id = w->ana.id };
        row->mailbox_id = mailbox;
        row->uid = uid++;
        row->modseq = row->arrived_modseq = modseq;
        row->changed_modseq = changed ? modseq : 0;
        row->changed_at = changed ? clock_wall() : 0;
        batch_insert(b, &entry_kind, row, NULL, 0);
    }
    batch_update(b, &user_kind, w->ana.id, NULL, 0, &number, 1);
    batch_update(b, &mailbox_kind, mailbox, NULL, 0, &number, 1);
    commit(w, b);
}

static void a_batch_is_never_cut_in_two(void **state)
{
    struct world *w = *state;
    struct mailbox_changes_out out;

    add_many(w, w->ana.inbox_id, 10, 3, false);
    add_many(w, w->ana.inbox_id, 11, 50, false);
    add_many(w, w->ana.inbox_id, 12, 1, false);
    out = changes(w, w->ana.inbox_id, 1, 2);
    assert_int_equal(out.n_created, 3);
    assert_true(out.has_more && out.modseq == 10);
    out = changes(w, w->ana.inbox_id, out.modseq, 2);
    assert_int_equal(out.n_created, 50);
    assert_true(out.has_more && out.modseq == 11);
    out = changes(w, w->ana.inbox_id, out.modseq, 2);
    assert_int_equal(out.n_created, 1);
    assert_true(!out.has_more && out.modseq == 12);
}

/* More than one look at rows holds, of one batch and of many. */
static void a_quiet_mailbox_beside_a_busy_one(void **state)
{
    struct world *w = *state;
    struct mailbox_changes_out out = { .modseq = 1, .has_more = true };
    size_t found = 0, pages = 0;

    add_many(w, w->ana.sent_id, 10, 700, true);
    add_many(w, w->ana.sent_id, 11, 700, true);
    add_many(w, w->ana.inbox_id, 12, 1, false);
    add_many(w, w->ana.sent_id, 13, 1500, true);
    add_many(w, w->ana.inbox_id, 14, 1, false);
    for (; out.has_more; pages++) {
        int64_t since = out.modseq;

        out = changes(w, w->ana.inbox_id, since, 100);
        assert_true(out.modseq > since);
        found += out.n_created;
        assert_true(pages < 10);
    }
    assert_int_equal(found, 2);
    assert_int_equal(out.modseq, 14);
    assert_true(pages > 2);
    assert_false(changes(w, w->ana.inbox_id, 14, 100).has_more);
}

/* Rows of what left, 10,000 entries each, are more than a page: it ends between two. */
static void what_left_comes_in_pages_too(void **state)
{
    struct world *w = *state;
    struct mailbox_changes_out out = { .modseq = 1, .has_more = true };
    enum { ROWS = 40, EACH = 10000 };
    size_t gone = 0, pages = 0;

    for (int64_t i = 0; i < ROWS; i++) {
        struct batch *b = batch_new(w->arena);
        struct id *ids = arena_array(w->arena, EACH, sizeof *ids);
        const struct set number = SET("modseq", V_INT(10 + i));
        struct change_row row = { .id = id_new(), .account_id = w->account, .user_id = w->ana.id, .modseq = 10 + i };

        for (size_t k = 0; k < EACH; k++)
            ids[k] = id_new();
        row.mailbox_id = w->ana.inbox_id;
        row.what = BYTES("gone");
        row.n = EACH;
        row.entry_ids = (struct bytes){ (const char *)ids, EACH * sizeof *ids };
        row.expires_at = clock_wall() + 3600000;
        batch_insert(b, &change_kind, &row, NULL, 0);
        batch_update(b, &user_kind, w->ana.id, NULL, 0, &number, 1);
        commit(w, b);
    }
    for (; out.has_more; pages++) {
        out = changes(w, w->ana.inbox_id, out.modseq, 100);
        gone += out.n_vanished;
    }
    assert_int_equal(gone, ROWS * EACH);
    assert_int_equal(out.modseq, 10 + ROWS - 1);
    assert_true(pages > 1);
}

/* Its number is below what was forgotten of another one: whoever lists it anew can go on from it. */
static void a_mailbox_that_rests_is_followed(struct world *w)
{
    struct id id = w->ana.sent_id;
    struct mailbox_row box;
    struct mailbox_changes_out out;

    assert_true(store_get(w->svc->store, &mailbox_kind, id, w->arena, &box, &w->c.err));
    assert_true(box.modseq < 5);
    out = changes(w, id, box.modseq, 0);
    assert_true(!out.has_more && !out.n_created && !out.n_updated && !out.n_vanished);
    assert_int_equal(out.modseq, 10);
}

static void what_is_forgotten_is_not_told_as_nothing(void **state)
{
    struct world *w = *state;
    struct mailbox_changes_in in = { .id = id_of(w, &mailbox_kind, w->ana.inbox_id) };
    struct change_row old = { .id = id_new(), .user_id = w->ana.id, .modseq = 5, .expires_at = 1 };
    struct batch *b = batch_new(w->arena);
    struct mailbox_changes_out out;

    add_many(w, w->ana.inbox_id, 10, 1, false);
    batch_insert(b, &change_kind, &old, NULL, 0);
    commit(w, b);
    assert_int_equal(changes(w, w->ana.inbox_id, 4, 0).n_created, 1);
    sweep(w);
    act(w, &w->ana_login, "test");
    for (in.since = 0; in.since < 5; in.since++)
        must_fail(&w->c, mailbox_changes(&w->c, &in, &out), ERR_STATE_TOO_OLD);
    assert_int_equal(changes(w, w->ana.inbox_id, 5, 0).n_created, 1);
    a_mailbox_that_rests_is_followed(w);
    act(w, &w->ana_login, "test");
    in.since = 11; /* a store that was restored has not reached it */
    must_fail(&w->c, mailbox_changes(&w->c, &in, &out), ERR_STATE_TOO_OLD);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_batch_is_never_cut_in_two),
        T(a_quiet_mailbox_beside_a_busy_one),
        T(what_left_comes_in_pages_too),
        T(what_is_forgotten_is_not_told_as_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
