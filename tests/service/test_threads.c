/* What ties a mail to others: the thread it is of, its own id, both hashed for its user alone. */
#include "mail_world.h"
#include "service/box/entry.h"
#include "service/core/member.h"

static struct bytes mail_with(struct world *w, const char *fields)
{
    return arena_bytesf(w->arena, "From: Far <far@away.test>\r\n%s\r\nx\r\n", fields);
}

/* The newest entry of a mailbox, once the mail is there. */
static struct entry_row got(struct world *w, const struct directory_user *user, const char *address, const char *fields)
{
    struct intake_out out;
    struct entry_row *rows;
    size_t n;

    must(&w->c, receive(w, address, 1, mail_with(w, fields), &out));
    rows = entries_in(w, user->inbox_id, &n);
    assert_true(n > 0);
    return rows[n - 1];
}

#define ANA(fields) got(w, &w->ana, "ana@example.test", fields)

static void all_are(struct id thread, const struct entry_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!id_equal(rows[i].thread_id, thread))
            fail_msg("number %zu is of another thread", i);
}

static void a_thread_is_what_answers_one_mail(void **state)
{
    struct world *w = *state;
    const struct entry_row root = ANA("Message-ID: <root@a.test>\r\n");
    const struct entry_row same[] = {
        ANA("Message-ID: <1@a.test>\r\nIn-Reply-To: <root@a.test>\r\n"),
        ANA("Message-ID: <2@a.test>\r\nReferences: <root@a.test> <1@a.test>\r\nIn-Reply-To: <1@a.test>\r\n"),
        ANA("Message-ID: <3@a.test>\r\nReferences: (first)\r\n <root@a.\r\n test>\r\n\t<2@a.test>\r\n"),
        ANA("Message-ID: <4@a.test>\r\nIn-Reply-To: Your mail of Monday, <root@a.test>\r\n"),
        ANA("Message-ID: <5@a.test>\r\nIn-Reply-To: root@a.test\r\n"),
        ANA("In-Reply-To: <root@a.test>\r\n"),
        ANA("Message-ID: <root@a.test>\r\n"), /* once more */
    };
    const struct entry_row others[] = {
        ANA("Message-ID: <6@a.test>\r\n"),
        ANA("Message-ID: <ROOT@a.test>\r\n"),
        ANA("Message-ID: <7@a.test>\r\nIn-Reply-To: Your mail of Monday\r\n"),
        ANA("Message-ID: <8@a.test>\r\nReferences:\r\n"),
        ANA(""),
        ANA(""),
    };

    assert_false(id_is_none(root.thread_id));
    all_are(root.thread_id, same, sizeof same / sizeof *same);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(id_equal(others[i].thread_id, others[k].thread_id) ||
                         id_equal(others[i].thread_id, root.thread_id));
}

static void the_own_id_is_hashed_too(void **state)
{
    struct world *w = *state;
    struct entry_row one = ANA("Message-ID: <root@a.test>\r\n"), again = ANA("Message-ID: <root@a.test>\r\n");
    struct entry_row other = ANA("Message-ID: <x@a.test>\r\nIn-Reply-To: <root@a.test>\r\n"), none = ANA("");
    struct entry_row bos = got(w, &w->bo, "bo@example.test", "Message-ID: <root@a.test>\r\n");

    assert_int_equal(one.msgid.n, 12);
    assert_bytes(one.msgid, again.msgid);
    assert_false(bytes_equal(one.msgid, other.msgid));
    assert_null(none.msgid.p);
    assert_false(bytes_equal(one.msgid, bos.msgid) || id_equal(one.thread_id, bos.thread_id));
}

/* Filed in a slice, behind the acceptance. */
static void who_is_filed_later_has_the_same(void **state)
{
    struct world *w = *state;
    struct entry_row now = got(w, &w->bo, "bo@example.test", "Message-ID: <root@a.test>\r\n"), *late;
    struct recipient_check_in to[2] = { 0 };
    struct intake_in in = { .source = SOURCE_SMTP, .envelope_from = BYTES("far@away.test"), .n_recipients = 2 };
    struct recipient list[2];
    struct intake *k = NULL;
    struct intake_out out;
    size_t n;

    set_param("accept.local_max", "1");
    act(w, NULL, "smtp");
    for (int i = 0; i < 2; i++) {
        must(&w->c,
             address_parse(bytes_of(i ? "bo@example.test" : "ana@example.test"), w->arena, &to[i].address, &w->c.err));
        must(&w->c, recipient_check(&w->c, &to[i], &list[i]));
    }
    in.recipients = list;
    in.received = (struct received){ .helo = BYTES("away.test"), .client_ip = BYTES("192.0.2.9"), .with = "ESMTP" };
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, mail_with(w, "Message-ID: <1@a.test>\r\nReferences: <root@a.test>\r\n")));
    must(&w->c, intake_commit(&k, &w->c, &out));
    entries_in(w, w->bo.inbox_id, &n);
    assert_int_equal(n, 1);
    work(w);
    late = entries_in(w, w->bo.inbox_id, &n);
    assert_int_equal(n, 2);
    all_are(now.thread_id, late, 2);
    assert_int_equal(late[1].msgid.n, 12);
}

static void a_user_without_a_key_has_no_threads(void **state)
{
    struct world *w = *state;
    const struct set none = SET("index_key", V_BYTES(NO_BYTES));
    struct batch *b = batch_new(w->arena);
    struct entry_row entry;

    batch_update(b, &user_kind, w->ana.id, NULL, 0, &none, 1);
    commit(w, b);
    refresh(w);
    entry = ANA("Message-ID: <root@a.test>\r\n");
    assert_true(id_is_none(entry.thread_id));
    assert_null(entry.msgid.p);
}

static void a_move_keeps_all_but_when_it_was_saved(void **state)
{
    struct world *w = *state;
    struct entry_row before = ANA("Message-ID: <root@a.test>\r\n"), *after;
    struct entry_update_in move = { .id = id_of(w, &entry_kind, before.id) };
    int64_t began = clock_wall();
    struct entry_view view;
    size_t n;

    assert_true(before.saved_at >= before.received_at);
    act(w, &w->ana_login, "test");
    move.named = members_named(&entry_members, "mailbox_id");
    move.given.mailbox_id = w->ana.sent_id;
    must(&w->c, entry_update(&w->c, &move, &view));
    after = entries_in(w, w->ana.sent_id, &n);
    assert_int_equal(n, 1);
    assert_true(after->saved_at >= began && view.row.saved_at == after->saved_at);
    assert_true(id_equal(after->thread_id, before.thread_id) && after->received_at == before.received_at);
    assert_bytes(after->msgid, before.msgid);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_thread_is_what_answers_one_mail),      T(the_own_id_is_hashed_too),
        T(who_is_filed_later_has_the_same),        T(a_user_without_a_key_has_no_threads),
        T(a_move_keeps_all_but_when_it_was_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
