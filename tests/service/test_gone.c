/* Whoever takes a mail out of a mailbox, its uid stands in a row of the kind `change`, until nobody may ask any more.
 */
#include "mail_world.h"
#include "service/box/entry.h"
#include "service/box/gone.h"
#include "service/core/member.h"

static struct change_row *changes_of(struct world *w, struct id user, size_t *n)
{
    void *rows;

    *n = rows_of(w, &change_kind, "user", "user_id", V_ID(user), &rows);
    return rows;
}

static size_t uids_in(const struct change_row *row, uint32_t *out)
{
    uint32_t uid = 0, step = 0;
    unsigned shift = 0;
    size_t n = 0;

    for (size_t i = 0; i < row->uids.n; i++) {
        step |= (uint32_t)(row->uids.p[i] & 0x7F) << shift;
        shift += 7;
        if (row->uids.p[i] & 0x80)
            continue;
        out[n++] = uid += step;
        step = shift = 0;
    }
    return n;
}

static void is_about(const struct change_row *row, struct id mailbox, int64_t modseq, size_t n, const uint32_t *uids,
                     bool destroyed)
{
    uint32_t got[8];

    assert_bytes(row->what, destroyed ? BYTES("gone") : BYTES("moved"));
    assert_true(id_equal(row->mailbox_id, mailbox));
    assert_int_equal(row->modseq, modseq);
    assert_int_equal(row->n, n);
    assert_int_equal(uids_in(row, got), n);
    assert_memory_equal(got, uids, n * sizeof *uids);
    assert_int_equal(row->entry_ids.n, 16 * n);
}

static struct entry_row *mails(struct world *w, size_t n)
{
    struct intake_out out;

    for (size_t i = 0; i < n; i++)
        must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "test");
    return entries_in(w, w->ana.inbox_id, &n);
}

static int64_t user_number(struct world *w, int64_t *floor)
{
    struct user_row row = { 0 };

    must(&w->c, store_get(w->svc->store, &user_kind, w->ana.id, w->arena, &row, &w->c.err));
    *floor = row.gone_floor;
    return row.modseq;
}

static void what_is_deleted_or_moved_is_written_down(void **state)
{
    struct world *w = *state;
    struct entry_row *all = mails(w, 3);
    struct entry_update_in move = { .id = id_of(w, &entry_kind, all[0].id) };
    struct entry_delete_in drop = { .id = id_of(w, &entry_kind, all[1].id) };
    struct entry_view view;
    struct change_row *rows;
    size_t n;

    move.given.mailbox_id = w->ana.sent_id;
    move.named = members_named(&entry_members, "mailbox_id");
    must(&w->c, entry_update(&w->c, &move, &view));
    rows = changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 1);
    is_about(&rows[0], w->ana.inbox_id, box(w, w->ana.inbox_id).modseq, 1, (uint32_t[]){ 1 }, false);
    must(&w->c, entry_delete(&w->c, &drop, NULL));
    rows = changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 2);
    is_about(&rows[1], w->ana.inbox_id, box(w, w->ana.inbox_id).modseq, 1, (uint32_t[]){ 2 }, true);
    assert_memory_equal(rows[1].entry_ids.p, all[1].id.b, 16);
}

static void a_pop3_session_tells_all_in_one_row(void **state)
{
    struct world *w = *state;
    struct maildrop *m = NULL;
    struct change_row *rows;
    uint8_t marked = 1 | 4 | 8;
    size_t n;

    mails(w, 4);
    must(&w->c, maildrop_open(&w->c, &m));
    must(&w->c, maildrop_delete(m, &w->c, &marked, 3, &n));
    maildrop_close(&m);
    assert_int_equal(n, 3);
    rows = changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 1);
    is_about(&rows[0], w->ana.inbox_id, box(w, w->ana.inbox_id).modseq, 3, (uint32_t[]){ 1, 3, 4 }, true);
    assert_int_equal(box(w, w->ana.inbox_id).total, 1);
}

/* An entry that came back has a later uid than those behind it in the session's list. */
static void an_entry_that_was_away_meanwhile_goes_under_its_new_uid(void **state)
{
    struct world *w = *state;
    struct entry_row *all = mails(w, 2);
    struct entry_update_in move = { .id = id_of(w, &entry_kind, all[0].id) };
    struct maildrop *m = NULL;
    struct change_row *rows;
    struct entry_view view;
    uint8_t marked = 3;
    size_t n;

    must(&w->c, maildrop_open(&w->c, &m));
    move.named = members_named(&entry_members, "mailbox_id");
    move.given.mailbox_id = w->ana.sent_id;
    must(&w->c, entry_update(&w->c, &move, &view));
    move.given.mailbox_id = w->ana.inbox_id;
    must(&w->c, entry_update(&w->c, &move, &view));
    must(&w->c, maildrop_delete(m, &w->c, &marked, 2, &n));
    maildrop_close(&m);
    rows = changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 3);
    is_about(&rows[2], w->ana.inbox_id, box(w, w->ana.inbox_id).modseq, 2, (uint32_t[]){ 3, 2 }, true);
}

static void erasing_tells_it_too(void **state)
{
    struct world *w = *state;
    struct change_row *rows;
    size_t n;

    mails(w, 2);
    must(&w->c, user_erase_mail(&w->c, w->ana.id));
    rows = changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 1);
    is_about(&rows[0], w->ana.inbox_id, box(w, w->ana.inbox_id).modseq, 2, (uint32_t[]){ 1, 2 }, true);
}

/* When it was made, when more than its entries changed, when anything did. */
static void numbers_are(struct world *w, struct id id, const struct mailbox_row *before, bool props, bool any)
{
    struct mailbox_row now = box(w, id);

    assert_int_equal(now.created_modseq, before->created_modseq);
    assert_int_equal(now.props_modseq > before->props_modseq, props);
    assert_int_equal(now.modseq > before->modseq, any);
    assert_true(now.modseq >= now.props_modseq && now.props_modseq >= now.created_modseq);
}

static void a_mailbox_tells_names_from_counts(void **state)
{
    struct world *w = *state;
    struct mailbox_create_in make = { .user = BYTES("ana@example.test"), .given = { .name = BYTES("mine") } };
    struct mailbox_update_in rename = { .given = { .name = BYTES("yours") } };
    struct mailbox_delete_in drop;
    struct mailbox_row mine, before;
    struct entry_row entry = mails(w, 1)[0], after = { .id = NO_ID };
    struct entry_update_in move = { .id = id_of(w, &entry_kind, entry.id) };
    struct change_row *rows;
    struct entry_view view;
    size_t n;

    must(&w->c, mailbox_create(&w->c, &make, &mine));
    before = box(w, mine.id);
    assert_true(before.created_modseq == before.modseq && before.props_modseq == before.modseq);
    rename.id = drop.id = id_of(w, &mailbox_kind, mine.id);
    rename.named = members_named(&mailbox_members, "name");
    must(&w->c, mailbox_update(&w->c, &rename, &mine));
    numbers_are(w, mine.id, &before, true, true);

    before = box(w, mine.id);
    move.named = members_named(&entry_members, "mailbox_id");
    for (int back = 0; back < 2; back++) {
        move.given.mailbox_id = back ? w->ana.inbox_id : mine.id;
        must(&w->c, entry_update(&w->c, &move, &view));
    }
    numbers_are(w, mine.id, &before, false, true);
    must(&w->c, store_get(w->svc->store, &entry_kind, entry.id, w->arena, &after, &w->c.err));
    assert_int_equal(after.created_modseq, entry.created_modseq);
    assert_true(after.arrived_modseq == after.modseq && after.modseq > entry.modseq);

    must(&w->c, mailbox_delete(&w->c, &drop, NULL));
    rows = changes_of(w, w->ana.id, &n);
    assert_bytes(rows[n - 1].what, BYTES("box"));
    assert_true(id_equal(rows[n - 1].mailbox_id, mine.id));
}

static void what_is_forgotten_raises_the_floor(void **state)
{
    struct world *w = *state;
    struct change_row old[] = { { .id = id_new(), .user_id = w->ana.id, .modseq = 1, .expires_at = 1 },
                                { .id = id_new(), .user_id = id_new(), .modseq = 1, .expires_at = 1 } };
    struct entry_row *all = mails(w, 1);
    struct entry_delete_in drop = { .id = id_of(w, &entry_kind, all[0].id) };
    struct batch *b = batch_new(w->arena);
    int64_t floor;
    size_t n;

    must(&w->c, entry_delete(&w->c, &drop, NULL));
    batch_insert(b, &change_kind, &old[0], NULL, 0);
    batch_insert(b, &change_kind, &old[1], NULL, 0); /* of a user who is gone */
    commit(w, b);
    sweep(w);
    changes_of(w, w->ana.id, &n);
    assert_int_equal(n, 1);
    changes_of(w, old[1].user_id, &n);
    assert_int_equal(n, 0);
    assert_true(user_number(w, &floor) > 1);
    assert_int_equal(floor, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_deleted_or_moved_is_written_down),
        T(a_pop3_session_tells_all_in_one_row),
        T(an_entry_that_was_away_meanwhile_goes_under_its_new_uid),
        T(erasing_tells_it_too),
        T(a_mailbox_tells_names_from_counts),
        T(what_is_forgotten_raises_the_floor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
