/* Mail that is kept: entries and their counters, mailboxes, maildrops. What goes again: test_sweep.c */
#include "base/metrics.h"
#include "service/core/member.h"
#include "store/engine.h"
#include "tests/service/mail_world.h"

static void flags_and_moves_keep_the_counts(void **state)
{
    struct world *w = *state;
    struct entry_update_in in = { .named = members_named(&entry_members, "seen,keywords"),
                                  .given = { .flags = ENTRY_SEEN, .keywords = BYTES("[\"$Important\"]") } };
    struct mailbox_row inbox, sent_box;
    struct entry_view view;
    struct entry_row row;

    sent(w, TO("ana@example.test"));
    row = only_entry(w, w->ana.inbox_id);
    in.id = id_of(w, &entry_kind, row.id);
    must(&w->c, entry_update(&w->c, &in, &view));
    assert_int_equal(view.row.flags, ENTRY_SEEN);
    assert_bytes(view.row.keywords, BYTES("[\"$Important\"]"));
    assert_true(view.row.modseq > row.modseq);
    assert_int_equal(box(w, w->ana.inbox_id).unseen, 0);
    in.named = members_named(&entry_members, "mailbox_id,seen");
    in.given.mailbox_id = w->ana.sent_id;
    in.given.flags = 0;
    must(&w->c, entry_update(&w->c, &in, &view));
    inbox = box(w, w->ana.inbox_id);
    sent_box = box(w, w->ana.sent_id);
    assert_int_equal(inbox.total, 0);
    assert_int_equal(inbox.bytes, 0);
    assert_int_equal(inbox.unseen, 0);
    assert_int_equal(sent_box.total, 1);
    assert_int_equal(sent_box.unseen, 1);
    assert_int_equal(sent_box.bytes, row.size);
    assert_true(id_equal(only_entry(w, w->ana.sent_id).id, row.id));
    in.given.mailbox_id = w->bo.inbox_id;
    must_fail(&w->c, entry_update(&w->c, &in, &view), ERR_INVALID);
}

static void a_delete_lowers_everything(void **state)
{
    struct world *w = *state;
    struct entry_delete_in in;

    sent(w, TO("ana@example.test"));
    in.id = id_of(w, &entry_kind, only_entry(w, w->ana.inbox_id).id);
    must(&w->c, entry_delete(&w->c, &in, NULL));
    assert_int_equal(box(w, w->ana.inbox_id).total, 0);
    assert_int_equal(box(w, w->ana.inbox_id).unseen, 0);
    refresh(w);
    assert_int_equal(w->ana.used, 0);
    must_fail(&w->c, entry_delete(&w->c, &in, NULL), ERR_MISSING);
}

static void an_entry_shows_all_of_its_mail(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct entry_get_in in;
    struct entry_view view;
    struct entry_row row;

    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    row = only_entry(w, w->ana.inbox_id);
    assert_true(bytes_starts(row.trace, BYTES("Return-Path: <far@away.test>\r\nReceived: from away.test")));
    assert_int_equal(row.size, A_MAIL.n + row.trace.n);
    act(w, &w->ana_login, "api");
    in.id = id_of(w, &entry_kind, row.id);
    must(&w->c, entry_get(&w->c, &in, &view));
    assert_bytes(view.subject, BYTES("A zebra"));
    assert_bytes(view.snippet, BYTES("Stripes and more stripes."));
    assert_bytes(view.header_message_id, BYTES("<1@away.test>"));
    assert_int_equal(view.n_headers, 5);
    assert_true(bytes_starts(view.text, BYTES("Stripes and more stripes.")));
    assert_null(view.html.p);
}

static void nobody_sees_another_accounts_mail(void **state)
{
    struct world *w = *state;
    struct entry_get_in get;
    struct entry_delete_in del;
    struct entry_list_in list = { .mailbox_id = id_of(w, &mailbox_kind, w->ana.inbox_id) };
    struct entry_list_out rows;
    struct mailbox_list_in boxes = { .user = BYTES("ana@example.test") };
    struct mailbox_list_out found;
    struct principal bo = w->ana_login;
    struct entry_view view;

    sent(w, TO("ana@example.test"));
    get.id = del.id = id_of(w, &entry_kind, only_entry(w, w->ana.inbox_id).id);
    bo.id = w->bo.id;
    for (int i = 0; i < 2; i++) {
        act(w, i ? &w->other_key : &bo, "api");
        must_fail(&w->c, entry_get(&w->c, &get, &view), ERR_MISSING);
        must_fail(&w->c, entry_delete(&w->c, &del, NULL), ERR_MISSING);
        must_fail(&w->c, entry_list(&w->c, &list, &rows), ERR_MISSING);
        must_fail(&w->c, mailbox_list(&w->c, &boxes, &found), ERR_MISSING);
    }
}

static void a_key_that_reads_leaves_a_trace(void **state)
{
    struct world *w = *state;
    struct entry_list_in in = { .mailbox_id = id_of(w, &mailbox_kind, w->ana.inbox_id) };
    struct event_list_in ask = { .type = BYTES("mail.read") };
    struct event_list_out got;
    struct entry_list_out out;

    must(&w->c, entry_list(&w->c, &in, &out));
    must(&w->c, event_list(&w->c, &ask, &got));
    assert_int_equal(got.n, 1);
    assert_true(id_equal(got.rows[0].user_id, w->ana.id));
    act(w, &w->ana_login, "api");
    must(&w->c, entry_list(&w->c, &in, &out));
    act(w, &w->key, "api");
    must(&w->c, event_list(&w->c, &ask, &got));
    assert_int_equal(got.n, 1);
}

static void mailboxes_are_made_and_unmade(void **state)
{
    struct world *w = *state;
    struct mailbox_create_in in = { .user = BYTES("ana@example.test"), .given = { .name = BYTES("Work") } };
    struct mailbox_row work_box, child, same;
    struct mailbox_delete_in del;
    struct mailbox_update_in up = { .named = members_named(&mailbox_members, "parent_id") };

    must(&w->c, mailbox_create(&w->c, &in, &work_box));
    in.given.name = BYTES("WORK");
    must_fail(&w->c, mailbox_create(&w->c, &in, &same), ERR_CONFLICT);
    in.given.parent_id = work_box.id;
    must(&w->c, mailbox_create(&w->c, &in, &child));
    del.id = id_of(w, &mailbox_kind, work_box.id);
    must_fail(&w->c, mailbox_delete(&w->c, &del, NULL), ERR_IN_USE);
    up.id = del.id;
    up.given.parent_id = child.id;
    must_fail(&w->c, mailbox_update(&w->c, &up, &same), ERR_INVALID);
    act(w, &w->key, "api");
    del.id = id_of(w, &mailbox_kind, child.id);
    must(&w->c, mailbox_delete(&w->c, &del, NULL));
    del.id = id_of(w, &mailbox_kind, w->ana.inbox_id);
    must_fail(&w->c, mailbox_delete(&w->c, &del, NULL), ERR_IN_USE);
}

/* ---- POP3 ---- */

static void a_maildrop_gives_exact_bytes(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct maildrop *m = NULL, *second = NULL;
    struct buf text;

    for (int i = 0; i < 40; i++)
        must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    must(&w->c, maildrop_open(&w->c, &m));
    assert_int_equal(maildrop_count(m), 40);
    must_fail(&w->c, maildrop_open(&w->c, &second), ERR_IN_USE);
    buf_init(&text, 100000);
    for (size_t i = 0; i < 40; i++) {
        buf_reset(&text);
        must(&w->c, maildrop_read(m, &w->c, i, false, collect, &text));
        assert_int_equal(text.n, maildrop_item(m, i).size);
        assert_int_equal(maildrop_item(m, i).uid, i + 1);
        assert_true(bytes_ends(buf_bytes(&text), A_MAIL));
    }
    buf_clear(&text);
    must(&w->c, maildrop_keep(m, &w->c));
    maildrop_close(&m);
    must(&w->c, maildrop_open(&w->c, &m));
    maildrop_close(&m);
}

static void quit_deletes_all_that_is_marked(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct maildrop *m = NULL;
    uint8_t marked[1] = { 0x15 }; /* 1, 3 and 5 */
    struct entry_delete_in elsewhere;
    struct entry_row *rows;
    int64_t used;
    size_t n, deleted;

    for (int i = 0; i < 6; i++)
        must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    must(&w->c, maildrop_open(&w->c, &m));
    elsewhere.id = id_of(w, &entry_kind, maildrop_item(m, 2).entry_id); /* 3 goes by another door */
    must(&w->c, entry_delete(&w->c, &elsewhere, NULL));
    must(&w->c, maildrop_delete(m, &w->c, marked, 3, &deleted));
    assert_int_equal(deleted, 2);
    maildrop_close(&m);
    rows = entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 3);
    used = rows[0].size + rows[1].size + rows[2].size;
    assert_int_equal(box(w, w->ana.inbox_id).total, 3);
    assert_int_equal(box(w, w->ana.inbox_id).unseen, 3);
    assert_int_equal(box(w, w->ana.inbox_id).bytes, used);
    refresh(w);
    assert_int_equal(w->ana.used, used);
}

/* Somebody goes on changing one of the mails, each time a batch is about to be committed; then the store fails. */
static struct {
    const struct engine *inner;
    struct world *w;
    struct id restless;
    int changes, commits;
} other;

static bool commit_meanwhile(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    struct set flag[] = { SET("flags", V_INT((other.changes & 0xff) << 4)), ADD("modseq", 1) };
    struct batch *change = batch_new(other.w->arena);
    struct err ignored = { 0 };

    batch_update(change, &entry_kind, other.restless, NULL, 0, flag, 2);
    if (other.changes-- > 0)
        other.inner->commit(st, change, deadline, &ignored);
    if (other.commits-- == 0)
        return err_set(e, ERR_BUSY, "the store is away");
    return other.inner->commit(st, b, deadline, e);
}

static void quit_tells_how_many_are_gone(void **state)
{
    static const struct {
        int changes, commits; /* before the store fails; -1: never */
    } rounds[] = { { 3, -1 }, { 6, -1 }, { 3, 5 }, { 0, 0 } };
    struct world *w = *state;
    struct engine crossed;
    uint8_t marked[5];

    memset(marked, 0xff, sizeof marked);
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        struct maildrop *m = NULL;
        struct intake_out out;
        size_t n, had, deleted;
        bool ok;

        for (entries_in(w, w->ana.inbox_id, &had); had < 40; had++)
            must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
        act(w, &w->ana_login, "pop3");
        must(&w->c, maildrop_open(&w->c, &m));
        other.inner = w->svc->store->engine;
        other.w = w;
        other.restless = maildrop_item(m, 7).entry_id;
        other.changes = rounds[i].changes;
        other.commits = rounds[i].commits;
        crossed = *other.inner;
        crossed.commit = commit_meanwhile;
        w->svc->store->engine = &crossed;
        ok = maildrop_delete(m, &w->c, marked, 40, &deleted);
        w->svc->store->engine = other.inner;
        maildrop_close(&m);
        entries_in(w, w->ana.inbox_id, &n);
        assert_int_equal(n, 40 - deleted);
        assert_int_equal(box(w, w->ana.inbox_id).total, n);
        assert_int_equal(ok, rounds[i].commits < 0);
        assert_true(ok ? n == 0 : n > 0);
    }
}

static void poll_finds(struct world *w, size_t count, int64_t reused)
{
    int64_t before = metric_get(METRIC_maildrop_snapshots_reused_total);
    struct maildrop *m = NULL;

    must(&w->c, maildrop_open(&w->c, &m));
    assert_int_equal(maildrop_count(m), count);
    for (size_t i = 1; i < count; i++)
        assert_true(maildrop_item(m, i).uid > maildrop_item(m, i - 1).uid);
    assert_int_equal(metric_get(METRIC_maildrop_snapshots_reused_total) - before, reused);
    maildrop_close(&m);
}

/* The list is read again only after something came, went, or came and went. */
static void a_poll_reads_the_list_again_when_the_mailbox_has_changed(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct entry_row *rows;
    struct entry_delete_in gone;
    struct err e = { 0 };
    size_t n;

    for (int i = 0; i < 3; i++)
        must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    poll_finds(w, 3, 0);
    poll_finds(w, 3, 1);
    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    poll_finds(w, 4, 0);
    rows = entries_in(w, w->ana.inbox_id, &n);
    gone.id = id_of(w, &entry_kind, rows[1].id);
    must(&w->c, entry_delete(&w->c, &gone, NULL));
    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    poll_finds(w, 4, 0);
    poll_finds(w, 4, 1);
    assert_true(param_set(PARAM_maildrop_snapshot_memory, PARAM_FROM_FLAG, BYTES("0"), &e));
    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->ana_login, "pop3");
    poll_finds(w, 5, 0);
    poll_finds(w, 5, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(flags_and_moves_keep_the_counts), T(a_delete_lowers_everything),
        T(an_entry_shows_all_of_its_mail),  T(nobody_sees_another_accounts_mail),
        T(a_key_that_reads_leaves_a_trace), T(mailboxes_are_made_and_unmade),
        T(a_maildrop_gives_exact_bytes),    T(a_poll_reads_the_list_again_when_the_mailbox_has_changed),
        T(quit_deletes_all_that_is_marked), T(quit_tells_how_many_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
