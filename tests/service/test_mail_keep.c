/* Mail that is kept: entries and their counters, maildrops, the sweep. */
#include "base/metrics.h"
#include "service/core/member.h"
#include "store/engine.h"
#include "tests/service/mail_world.h"

static struct entry_row only_entry(struct world *w, struct id mailbox)
{
    size_t n;
    struct entry_row *rows = entries_in(w, mailbox, &n);

    assert_int_equal(n, 1);
    return rows[0];
}

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

/* ---- the sweep ---- */

static size_t bodies(struct world *w)
{
    struct query q = { .kind = &body_kind, .limit = 100 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

static void no_grace(void)
{
    struct err e = { 0 };

    assert_true(param_set(PARAM_body_grace, PARAM_FROM_STORE, BYTES("0"), &e));
}

static void a_body_goes_with_its_last_referent(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct entry_delete_in del;

    no_grace();
    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    act(w, &w->key, "api");
    out = sent(w, TO("ana@example.test", "bo@example.test"));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    del.id = id_of(w, &entry_kind, only_entry(w, w->bo.inbox_id).id);
    must(&w->c, entry_delete(&w->c, &del, NULL));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    must(&w->c, message_delete(&w->c, &(struct message_delete_in){ id_of(w, &message_kind, out.message_id) }, NULL));
    sweep(w);
    assert_int_equal(bodies(w), 2);
    act(w, &w->key, "api");
    must(&w->c, user_erase_mail(&w->c, w->ana.id));
    sweep(w);
    assert_int_equal(bodies(w), 0);
    assert_int_equal(box(w, w->ana.inbox_id).total, 0);
}

static void no_store_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("x@far.test"));
    struct intake_out out;
    struct message_row row;

    no_grace();
    in.no_store = true;
    must(&w->c, message_send(&w->c, &in, &out));
    assert_int_equal(bodies(w), 0);
    in = a_send(w, TO("deferred@sandbox.test"));
    in.no_store = true;
    must(&w->c, message_send(&w->c, &in, &out));
    sweep(w);
    assert_int_equal(bodies(w), 1);
    must(&w->c, message_cancel(&w->c, &(struct message_cancel_in){ id_of(w, &message_kind, out.message_id) },
                               &(struct message_view){ 0 }));
    sweep(w);
    sweep(w);
    row = message_of_id(w, out.message_id);
    assert_null(row.wrapped_key.p);
    assert_int_equal(bodies(w), 0);
}

static void old_rows_go(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("x@far.test"));
    struct batch *b = batch_new(w->arena);
    struct set past = SET("expires_at", V_TIME(1));
    struct message_view view;

    no_grace();
    batch_update(b, &message_kind, out.message_id, NULL, 0, &past, 1);
    commit(w, b);
    sweep(w);
    must_fail(&w->c, message_get(&w->c, &(struct message_get_in){ id_of(w, &message_kind, out.message_id) }, &view),
              ERR_MISSING);
    sweep(w);
    assert_int_equal(bodies(w), 0);
}

static size_t kept_events(struct world *w)
{
    struct query q = { .kind = &event_kind, .limit = 10000 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

static void add_events(struct world *w, size_t n, int64_t expires)
{
    struct batch *b = batch_new(w->arena);

    for (size_t i = 0; i < n; i++) {
        struct event_row *row = arena_alloc(w->arena, sizeof *row);

        row->id = id_new();
        row->account_id = w->account;
        row->type = BYTES("test");
        row->at = 1;
        row->expires_at = expires;
        batch_insert(b, &event_kind, row, NULL, 0);
    }
    commit(w, b);
}

static void steps(const char *n)
{
    struct err e = { 0 };

    assert_true(param_set(PARAM_sweep_slice, PARAM_FROM_STORE, BYTES("20"), &e));
    assert_true(param_set(PARAM_sweep_steps, PARAM_FROM_STORE, bytes_of(n), &e));
}

/* What is past at the old end goes in one round, however much it is. */
static void the_old_end_goes_at_once(void **state)
{
    struct world *w = *state;

    steps("1");
    add_events(w, 410, 1);
    add_events(w, 1, clock_wall() + 3600000);
    assert_int_equal(sweep(w), 410);
    assert_int_equal(kept_events(w), 1);
    add_events(w, 3, 1);
    sweep(w);
    sweep(w);
    assert_int_equal(kept_events(w), 1);
}

/* Retention was shortened: what lives longer stands before what is past. A round looks at so many and no more, and the
 * next goes on there; none is left out, also not one that falls due at the old end meanwhile. */
static void mixed_retention_is_walked_by_steps(void **state)
{
    struct world *w = *state;
    int64_t later = clock_wall() + 3600000;

    steps("100");
    add_events(w, 350, later);
    add_events(w, 30, 1);
    add_events(w, 10, later);
    add_events(w, 5, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sweep(w), 0); /* 300 looked at */
    assert_int_equal(sweep(w), 35);
    assert_int_equal(kept_events(w), 360);
    add_events(w, 7, 1);
    for (int i = 0; i < 5; i++)
        sweep(w);
    assert_int_equal(kept_events(w), 360);
}

/* Rows that go are no steps: one that lives at the old end does not bound what is deleted behind it. */
static void one_that_stays_does_not_hold_back_the_rest(void **state)
{
    struct world *w = *state;

    steps("20");
    add_events(w, 1, clock_wall() + 3600000);
    add_events(w, 310, 1);
    assert_int_equal(sweep(w), 310);
    assert_int_equal(kept_events(w), 1);
}

/* Past, but still at work: they are looked at and stay, so they are steps. */
static void messages_at_work_are_steps(void **state)
{
    struct world *w = *state;
    struct message_row row = message_of_id(w, sent(w, TO("x@far.test")).message_id);

    steps("20");
    row.expires_at = 1;
    for (int i = 0; i < 50; i++) {
        struct batch *b = batch_new(w->arena);

        row.id = id_new();
        row.n_open = i < 49;
        batch_insert(b, &message_kind, &row, NULL, 0);
        commit(w, b);
    }
    assert_int_equal(sweep(w), 0);
    for (int i = 0; i < 4; i++)
        sweep(w);
    assert_int_equal(rows_of(w, &message_kind, NULL, "expires_at", V_TIME(1), &(void *){ NULL }), 49);
}

static struct {
    const struct engine *inner;
    struct world *w;
    int looks;
} thief;

/* Takes the third of the events that the second look (behind the old end) finds, before whoever looks can. */
static bool find_and_take(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e)
{
    if (!thief.inner->find(st, p, a, out, e))
        return false;
    if (p->query->kind == &event_kind && ++thief.looks == 2) {
        struct batch *b = batch_new(thief.w->arena);

        batch_delete(b, &event_kind, ((struct event_row *)out->row)[2].id, NULL, 0);
        commit(thief.w, b);
    }
    return true;
}

/* What others take meanwhile costs the rest of its slice nothing. */
static void one_gone_meanwhile_does_not_keep_its_slice(void **state)
{
    struct world *w = *state;
    struct engine stealing = *w->svc->store->engine;

    thief.inner = w->svc->store->engine;
    thief.w = w;
    thief.looks = 0;
    steps("20");
    add_events(w, 1, clock_wall() + 3600000);
    add_events(w, 15, 1);
    stealing.find = find_and_take;
    w->svc->store->engine = &stealing;
    assert_int_equal(sweep(w), 14);
    w->svc->store->engine = thief.inner;
    assert_true(thief.looks >= 2);
    assert_int_equal(kept_events(w), 1);
}

/* More of them in one slice than a sweep would hold whole. */
static void large_rows_do_not_stop_the_sweep(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("x@far.test"));
    struct message_row row = message_of_id(w, out.message_id);
    struct query q = { .kind = &message_kind, .limit = 100 };
    char *people = arena_alloc(w->arena, 1 << 20);
    struct err e = { 0 };
    void *rows;
    size_t n;

    memset(people, ' ', 1 << 20);
    memcpy(people, "{}", 2);
    row.people = (struct bytes){ people, 1 << 20 };
    row.expires_at = 1;
    for (int i = 0; i < 80; i++) {
        struct batch *b = batch_new(w->arena);

        row.id = id_new();
        batch_insert(b, &message_kind, &row, NULL, 0);
        commit(w, b);
    }
    sweep(w);
    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    assert_int_equal(n, 1);
}

/* Chunks of a mail that never was accepted. */
static void an_unfinished_upload_is_swept(void **state)
{
    struct world *w = *state;
    struct recipient to = { .email = BYTES("x@far.test"), .kind = RECIPIENT_REMOTE };
    struct intake_in in = { .source = SOURCE_SMTP, .recipients = &to, .n_recipients = 1 };
    struct intake *k = NULL;
    char *noise = arena_alloc(w->arena, 3 << 20);
    struct batch *b = batch_new(w->arena);
    struct set past = SET("expires_at", V_TIME(1));
    struct query q = { .kind = &body_kind, .limit = 1 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    crypt_random(noise, 3 << 20);
    for (size_t i = 0; i < 3 << 20; i++)
        noise[i] = (char)(33 + (unsigned char)noise[i] % 90);
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, BYTES("A: b\r\n\r\n")));
    must(&w->c, intake_append(k, &w->c, (struct bytes){ noise, 3 << 20 }));
    w->svc->stopping = true; /* the process ends in the middle of it */
    intake_drop(&k);
    w->svc->stopping = false;
    add_events(w, 1, clock_wall() + 3600000); /* reads see what was lazy once something else is durable */
    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    assert_int_equal(n, 1);
    batch_update(b, &body_kind, ((struct body_row *)rows)->id, NULL, 0, &past, 1);
    commit(w, b);
    sweep(w);
    assert_int_equal(bodies(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(flags_and_moves_keep_the_counts),
        T(a_delete_lowers_everything),
        T(an_entry_shows_all_of_its_mail),
        T(nobody_sees_another_accounts_mail),
        T(a_key_that_reads_leaves_a_trace),
        T(mailboxes_are_made_and_unmade),
        T(a_maildrop_gives_exact_bytes),
        T(a_poll_reads_the_list_again_when_the_mailbox_has_changed),
        T(quit_deletes_all_that_is_marked),
        T(quit_tells_how_many_are_gone),
        T(a_body_goes_with_its_last_referent),
        T(no_store_leaves_nothing),
        T(old_rows_go),
        T(large_rows_do_not_stop_the_sweep),
        T(the_old_end_goes_at_once),
        T(mixed_retention_is_walked_by_steps),
        T(one_that_stays_does_not_hold_back_the_rest),
        T(messages_at_work_are_steps),
        T(one_gone_meanwhile_does_not_keep_its_slice),
        T(an_unfinished_upload_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
