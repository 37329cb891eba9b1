/* Accepting mail: what is filed, captured, bounced, played, and what is told about it. */
#include "net/fiber.h"
#include "tests/service/mail_world.h"

static void local_mail_is_filed_at_once(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("ana@example.test"));
    struct mailbox_row inbox = box(w, w->ana.inbox_id);
    struct entry_row *entries;
    size_t n;

    assert_bytes(out.recipients[0].status, BYTES("delivered"));
    assert_bytes(out.mode, BYTES("sandbox"));
    assert_bytes(out.status, BYTES("delivered"));
    entries = entries_in(w, inbox.id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(entries[0].uid, 1);
    assert_true(id_equal(entries[0].message_id, out.message_id));
    assert_int_equal(inbox.total, 1);
    assert_int_equal(inbox.unseen, 1);
    assert_int_equal(inbox.uid_next, 2);
    assert_int_equal(inbox.bytes, entries[0].size);
    refresh(w);
    assert_int_equal(w->ana.used, entries[0].size);
    assert_int_equal(events(w, out.message_id, "email.accepted"), 1);
    assert_int_equal(events(w, out.message_id, "email.delivered"), 1);
}

static void two_mails_get_two_uids(void **state)
{
    struct world *w = *state;
    size_t n;
    struct entry_row *entries;

    sent(w, TO("ana@example.test"));
    sent(w, TO("ana@example.test"));
    entries = entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 2);
    assert_int_equal(entries[1].uid, 2);
    assert_true(entries[1].modseq > entries[0].modseq);
}

static void outside_mail_is_captured_and_readable(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("someone@far.test"));
    struct message_raw_in raw = { .id = id_of(w, &message_kind, out.message_id) };
    struct content_out content;

    assert_bytes(out.status, BYTES("captured"));
    assert_int_equal(events(w, out.message_id, "email.captured"), 1);
    must(&w->c, message_raw(&w->c, &raw, &content));
    assert_true(whole_of(w, &content).n > 0);
    assert_int_equal(work(w), 0);
}

static void missing_and_full_bounce_by_themselves(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct set small = SET("quota", V_INT(1)), used = SET("used", V_INT(5));
    struct set sets[] = { small, used };
    struct intake_out out;
    struct delivery_list_in list = { 0 };
    struct delivery_list_out found;

    batch_update(b, &user_kind, w->bo.id, NULL, 0, sets, 2);
    commit(w, b);
    refresh(w);
    out = sent(w, TO("ana@example.test", "nobody@example.test", "bo@example.test"));
    assert_bytes(out.recipients[0].status, BYTES("delivered"));
    assert_bytes(out.recipients[1].status, BYTES("bounced"));
    assert_bytes(out.recipients[2].status, BYTES("bounced"));
    assert_bytes(out.status, BYTES("partial"));
    list.message_id = id_of(w, &message_kind, out.message_id);
    must(&w->c, delivery_list(&w->c, &list, &found));
    assert_int_equal(found.n, 3);
    assert_non_null(strstr(arena_text(w->arena, found.rows[1].row.last), "5.1.1"));
    assert_non_null(strstr(arena_text(w->arena, found.rows[0].row.last), "5.2.2"));
    must_fail(&w->c, receive(w, "bo@example.test", 1, A_MAIL, &out), ERR_MAILBOX_FULL);
    must_fail(&w->c, receive(w, "nobody@example.test", 1, A_MAIL, &out), ERR_MISSING);
    must_fail(&w->c, receive(w, "any@far.test", 1, A_MAIL, &out), ERR_RELAY);
}

/* The check said yes, the batch's bound says no. */
static void a_bound_that_is_passed_at_commit(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct set sets[] = { SET("used", V_INT((int64_t)1 << 40)) };
    struct intake_out out;
    size_t n;

    batch_update(b, &user_kind, w->bo.id, NULL, 0, sets, 1);
    commit(w, b); /* the directory does not know yet */
    out = sent(w, TO("bo@example.test", "ana@example.test"));
    assert_bytes(out.recipients[0].status, BYTES("bounced"));
    assert_bytes(out.recipients[1].status, BYTES("delivered"));
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(events(w, out.message_id, "email.bounced"), 1);
    must_fail(&w->c, receive(w, "bo@example.test", 1, A_MAIL, &out), ERR_MAILBOX_FULL);
    entries_in(w, w->bo.inbox_id, &n);
    assert_int_equal(n, 0);
}

static void one_entry_for_two_addresses_of_a_user(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("ana@example.test", "ana+tag@example.test"));
    struct delivery_row *rows;
    void *found;
    size_t n;

    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(out.message_id), &found), 2);
    rows = found;
    assert_true(id_equal(rows[0].entry_id, rows[1].entry_id));
    assert_bytes(rows[1].status, BYTES("delivered"));
}

static void another_accounts_user_has_a_message_of_their_own(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("eve@other.test"));
    struct message_get_in get = { .id = id_of(w, &message_kind, out.message_id) };
    struct message_view view;
    struct message_row theirs;
    struct delivery_row *rows;
    struct entry_row *entries;
    void *found;
    size_t n;

    entries = entries_in(w, w->eve.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_false(id_equal(entries[0].message_id, out.message_id));
    theirs = message_of_id(w, entries[0].message_id);
    assert_true(id_equal(theirs.account_id, w->other));
    assert_bytes(theirs.direction, BYTES("inbound"));
    assert_null(theirs.people.p);
    assert_int_equal(theirs.n_delivered, 1);
    assert_int_equal(events(w, theirs.id, "email.received"), 1);
    rows_of(w, &delivery_kind, "message", "message_id", V_ID(out.message_id), &found);
    rows = found;
    assert_true(id_is_none(rows[0].entry_id));
    act(w, &w->other_key, "api");
    must_fail(&w->c, message_get(&w->c, &get, &view), ERR_MISSING);
}

static void a_test_key_reaches_no_mailbox(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct message_list_in list = { 0 };
    struct message_list_out found;
    size_t n;

    act(w, &w->test_key, "api");
    out = sent(w, TO("ana@example.test", "x@far.test", "nobody@example.test", "bounced+a@sandbox.test"));
    assert_bytes(out.mode, BYTES("test"));
    assert_bytes(out.recipients[0].status, BYTES("delivered"));
    assert_bytes(out.recipients[1].status, BYTES("delivered"));
    assert_bytes(out.recipients[2].status, BYTES("bounced"));
    assert_bytes(out.recipients[3].status, BYTES("bounced"));
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 0);
    act(w, &w->key, "api");
    sent(w, TO("ana@example.test"));
    act(w, &w->test_key, "api");
    must(&w->c, message_list(&w->c, &list, &found));
    assert_int_equal(found.n, 1);
}

static struct delivery_row only_delivery(struct world *w, struct id message)
{
    void *found;

    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &found), 1);
    return *(struct delivery_row *)found;
}

static void make_due(struct world *w, struct id delivery)
{
    struct batch *b = batch_new(w->arena);
    struct set now = SET("due_at", V_TIME(1));

    batch_update(b, &delivery_kind, delivery, NULL, 0, &now, 1);
    commit(w, b);
}

static void sandbox_addresses_play(void **state)
{
    static const struct {
        const char *to, *born, *then, *event;
    } plays[] = {
        { "delivered@sandbox.test", "delivered", "delivered", "email.delivered" },
        { "bounced+x@sandbox.test", "bounced", "bounced", "email.bounced" },
        { "deferred@sandbox.test", "deferred", "delivered", "email.delivered" },
        { "expired+2@sandbox.test", "deferred", "expired", "email.expired" },
        { "complained@sandbox.test", "delivered", "delivered", "email.complained" },
        { "opened@sandbox.test", "delivered", "delivered", "email.opened" },
        { "Clicked+x@sandbox.test", "delivered", "delivered", "email.clicked" },
        { "unheard-of@sandbox.test", "bounced", "bounced", "email.bounced" },
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof plays / sizeof *plays; i++) {
        struct intake_out out = sent(w, 1, &plays[i].to);
        struct delivery_row d = only_delivery(w, out.message_id);
        assert_bytes(d.status, bytes_of(plays[i].born));
        if (bytes_equal(d.status, BYTES("deferred"))) {
            assert_int_equal(d.attempts, 1);
            assert_true(d.due_at >= d.created_at + 60000);
            assert_int_equal(events(w, out.message_id, "email.deferred"), 1);
            assert_int_equal(work(w), 0);
            make_due(w, d.id);
            assert_int_equal(work(w), 1);
            d = only_delivery(w, out.message_id);
            assert_null(d.wrapped_key.p);
        }
        assert_bytes(d.status, bytes_of(plays[i].then));
        assert_int_equal(events(w, out.message_id, plays[i].event), 1);
        assert_int_equal(message_of_id(w, out.message_id).n_open, 0);
    }
}

static void a_cancel_ends_what_waits(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("deferred@sandbox.test", "ana@example.test"));
    struct message_cancel_in in = { .id = id_of(w, &message_kind, out.message_id) };
    struct message_view view;

    assert_bytes(out.status, BYTES("queued"));
    must(&w->c, message_cancel(&w->c, &in, &view));
    assert_bytes(view.status, BYTES("partial"));
    assert_int_equal(view.row.n_cancelled, 1);
    assert_int_equal(events(w, out.message_id, "email.cancelled"), 1);
    must_fail(&w->c, message_cancel(&w->c, &in, &view), ERR_NOT_CANCELLABLE);
    assert_int_equal(work(w), 0);
}

static void a_thousand_recipients_each_get_it_once(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct id *users = arena_array(w->arena, 300, sizeof *users);
    struct intake_out out;
    struct directory_user user;
    struct entry_row *entries;
    size_t n, filed = 0;

    for (size_t i = 0; i < 300; i++)
        users[i] = add_user(w, b, w->account, arena_printf(w->arena, "u%zu@example.test", i), 1 << 30);
    commit(w, b);
    directory_changed(w->svc);
    must(&w->c, receive(w, "u#@example.test", 300, A_MAIL, &out));
    for (size_t i = 0; i < out.n_recipients; i++)
        filed += bytes_equal(out.recipients[i].status, BYTES("delivered"));
    assert_int_equal(filed, 32);
    assert_int_equal(message_of_id(w, out.message_id).n_open, 268);
    assert_int_equal(work(w), 268);
    for (size_t i = 0; i < 300; i++) {
        must(&w->c, directory_user(&w->c, users[i], &user));
        entries = entries_in(w, user.inbox_id, &n);
        assert_int_equal(n, 1);
        assert_true(id_equal(entries[0].message_id, out.message_id));
        assert_int_equal(user.used, entries[0].size);
    }
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 300);
    assert_int_equal(events(w, out.message_id, "email.received"), 300);
    assert_int_equal(work(w), 0);
}

/* With its fibers running nobody has to ask. */
static void the_background_files_the_rest(void **state)
{
    struct world *w = *state;
    struct net_options o = { .loops = 2, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    struct batch *b = batch_new(w->arena);
    int64_t until = clock_monotonic() + 60000;
    struct intake_out out;
    struct err e = { 0 };

    for (size_t i = 0; i < 60; i++)
        add_user(w, b, w->account, arena_printf(w->arena, "u%zu@example.test", i), 1 << 30);
    commit(w, b);
    directory_changed(w->svc);
    if (!net_start(&o, &e) || !due_start(w->svc, &e))
        fail_msg("%s", e.message);
    must(&w->c, receive(w, "u#@example.test", 60, A_MAIL, &out));
    while (message_of_id(w, out.message_id).n_open && clock_monotonic() < until)
        usleep(10000);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 60);
    atomic_store(&w->svc->stopping, true);
    due_poke(w->svc);
    while (atomic_load(&w->svc->fibers))
        usleep(5000);
    due_stop(w->svc);
    net_stop();
}

/* A process that claimed and died: its leases are void at the next start, and nobody gets the mail twice. */
static void what_a_dead_process_claimed_is_filed_once(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);
    struct claim claim = { .query = { .kind = &delivery_kind, .index = "due", .limit = 100, .n_conds = 1 },
                           .due = "due_at",
                           .lease = "lease_until",
                           .token = "token",
                           .holder = "holder",
                           .lease_ms = 120000 };
    struct id users[40];
    struct directory_user user;
    struct intake_out out;
    struct err e = { 0 };
    void *rows;
    size_t n;

    for (size_t i = 0; i < 40; i++)
        users[i] = add_user(w, b, w->account, arena_printf(w->arena, "u%zu@example.test", i), 1 << 30);
    commit(w, b);
    directory_changed(w->svc);
    must(&w->c, receive(w, "u#@example.test", 40, A_MAIL, &out));
    claim.query.conds[0] = COND("due_at", IS_NOT, V_TIME(0));
    assert_true(store_claim(w->svc->store, &claim, w->arena, &rows, &n, &e));
    assert_int_equal(n, 8);
    assert_int_equal(work(w), 0);
    service_close(&w->svc);
    open_world(w);
    assert_int_equal(work(w), 8);
    act(w, NULL, "smtp");
    for (size_t i = 0; i < 40; i++) {
        must(&w->c, directory_user(&w->c, users[i], &user));
        entries_in(w, user.inbox_id, &n);
        assert_int_equal(n, 1);
    }
    assert_int_equal(work(w), 0);
}

static void headers_are_checked_and_mended(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct buf loop;

    buf_init(&loop, 100000);
    for (int i = 0; i < 101; i++)
        buf_adds(&loop, "Received: from a by b; Sat, 21 Nov 2026 09:52:00 +0000\r\n");
    buf_adds(&loop, "\r\nhello\r\n");
    must_fail(&w->c, receive(w, "ana@example.test", 1, buf_bytes(&loop), &out), ERR_LOOP);
    buf_clear(&loop);
    must_fail(&w->c, receive(w, "ana@example.test", 1, BYTES("A: b\r\n\r\nx\0y\r\n"), &out), ERR_INVALID);
    must(&w->c, receive(w, "ana@example.test", 1, BYTES("no header at all\r\n"), &out));
    must(&w->c, receive(w, "ana@example.test", 1, BYTES(""), &out));
}

static void a_submission_gets_what_it_lacks(void **state)
{
    struct world *w = *state;
    struct recipient to = { .email = BYTES("x@far.test"), .kind = RECIPIENT_REMOTE };
    struct intake_in in = { .source = SOURCE_SUBMISSION, .envelope_from = BYTES("ana@example.test") };
    struct bytes mail = BYTES("From: ana@example.test\r\nBcc: secret@far.test,\r\n more@far.test\r\nTo: x@far.test\r\n"
                              "bcc: again@far.test\r\n\r\nHello\r\n");
    struct intake *k = NULL;
    struct intake_out out;
    struct entry_row *entries;
    const char *text;
    size_t n;

    act(w, &w->ana_login, "submission");
    in.recipients = &to;
    in.n_recipients = 1;
    must(&w->c, intake_begin(&w->c, &in, &k));
    for (size_t i = 0; i < mail.n; i++) /* byte by byte */
        must(&w->c, intake_append(k, &w->c, bytes_head(bytes_from(mail, i), 1)));
    must(&w->c, intake_commit(&k, &w->c, &out));
    entries = entries_in(w, w->ana.sent_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(entries[0].flags, ENTRY_SEEN);
    assert_int_equal(box(w, w->ana.sent_id).unseen, 0);
    text = arena_text(w->arena, entry_text(w, entries[0].id));
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "again"));
    assert_non_null(strstr(text, "Date: "));
    assert_non_null(strstr(text, "Message-ID: <msg_"));
    assert_non_null(strstr(text, "@example.test>\r\n\r\nHello\r\n"));
}

static void from_must_be_one_and_allowed(void **state)
{
    static const struct {
        const char *mail;
        enum err_code code;
    } mails[] = {
        { "From: bo@example.test\r\n\r\n", ERR_SENDER },
        { "From: ana@example.test, bo@example.test\r\n\r\n", ERR_INVALID },
        { "From: ana@example.test\r\nFrom: ana@example.test\r\n\r\n", ERR_INVALID },
        { "To: ana@example.test\r\n\r\n", ERR_INVALID },
    };
    struct world *w = *state;
    struct recipient to = { .email = BYTES("x@far.test"), .kind = RECIPIENT_REMOTE };
    struct intake_in in = { .source = SOURCE_SUBMISSION, .envelope_from = BYTES("ana@example.test") };

    in.recipients = &to;
    in.n_recipients = 1;
    for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
        struct intake *k = NULL;
        act(w, &w->ana_login, "submission");
        must(&w->c, intake_begin(&w->c, &in, &k));
        must_fail(&w->c, intake_append(k, &w->c, bytes_of(mails[i].mail)), mails[i].code);
        intake_drop(&k);
    }
}

/* Whoever waits for a user's mail need not look at what is of others. */
static void events_of_local_mail_say_whose_it_is(void **state)
{
    struct world *w = *state;
    struct event_row *list;
    struct intake_out out;
    size_t n, found = 0;

    must(&w->c, receive(w, "ana@example.test", 1, A_MAIL, &out));
    n = events_of(w, out.message_id, &list);
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(list[i].type, BYTES("email.received"))) {
            assert_true(id_equal(list[i].user_id, w->ana.id));
            found++;
        }
    assert_int_equal(found, 1);
}

/* What the batch of an accepted mail tells an account is one row, whoever the recipients are, and two when they are
 * very many; the account of a guest has its own. */
static void what_a_batch_tells_is_one_row(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("ana@example.test", "bo@example.test", "eve@other.test", "x@far.test",
                                       "bounced@sandbox.test", "deferred@sandbox.test"));
    struct message_row theirs;
    struct event_row *list;
    void *rows;

    assert_int_equal(rows_of(w, &event_kind, "message", "message_id", V_ID(out.message_id), &rows), 1);
    assert_int_equal(events_of(w, out.message_id, &list), 7);
    assert_bytes(list[0].type, BYTES("email.accepted"));
    for (size_t i = 1; i < 7; i++) {
        assert_true(id_equal(list[i].delivery_id, out.recipients[i - 1].delivery_id));
        assert_bytes(list[i].email, out.recipients[i - 1].email);
        assert_true(list[i].data.p && id_compare(list[i - 1].id, list[i].id) < 0);
    }
    assert_bytes(list[3].type, BYTES("email.delivered"));
    assert_bytes(list[6].type, BYTES("email.deferred"));
    assert_int_equal(rows_of(w, &message_kind, NULL, "account_id", V_ID(w->other), &rows), 1);
    theirs = *(struct message_row *)rows;
    assert_int_equal(rows_of(w, &event_kind, "message", "message_id", V_ID(theirs.id), &rows), 1);
    assert_int_equal(events_of(w, theirs.id, &list), 2);
    assert_bytes(list[1].type, BYTES("email.received"));
    assert_true(id_is_none(list[1].delivery_id) && !list[1].data.p && id_equal(list[1].user_id, w->eve.id));
    assert_int_equal(work(w), 0);
}

static void very_many_recipients_are_told_in_few_rows(void **state)
{
    struct world *w = *state;
    const char *to[200];
    struct intake_out out;
    struct event_row *list;
    void *rows;
    size_t n;

    set_param("message.recipients_max", "200");
    for (size_t i = 0; i < 200; i++)
        to[i] = arena_printf(w->arena, "recipient.%zu@far.test", i);
    out = sent(w, 200, to);
    n = rows_of(w, &event_kind, "message", "message_id", V_ID(out.message_id), &rows);
    assert_in_range(n, 4, 6);
    assert_int_equal(events_of(w, out.message_id, &list), 201);
    for (size_t i = 1; i < 201; i++)
        assert_true(id_equal(list[i].delivery_id, out.recipients[i - 1].delivery_id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(local_mail_is_filed_at_once),
        T(two_mails_get_two_uids),
        T(outside_mail_is_captured_and_readable),
        T(missing_and_full_bounce_by_themselves),
        T(a_bound_that_is_passed_at_commit),
        T(one_entry_for_two_addresses_of_a_user),
        T(another_accounts_user_has_a_message_of_their_own),
        T(a_test_key_reaches_no_mailbox),
        T(sandbox_addresses_play),
        T(a_cancel_ends_what_waits),
        T(a_thousand_recipients_each_get_it_once),
        T(the_background_files_the_rest),
        T(what_a_dead_process_claimed_is_filed_once),
        T(headers_are_checked_and_mended),
        T(a_submission_gets_what_it_lacks),
        T(from_must_be_one_and_allowed),
        T(events_of_local_mail_say_whose_it_is),
        T(what_a_batch_tells_is_one_row),
        T(very_many_recipients_are_told_in_few_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
