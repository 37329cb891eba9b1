/* Mail that comes back: reports and complaints find the delivery that their address names, and change it once. */
#include "mail/dsn.h"
#include "service/identity/stream.h"
#include "service/queue/return_path.h"
#include "service/queue/suppression.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

#define BOUNCES "b.example.test"

static int setup_returns(void **state)
{
    int result = setup(state);
    struct err e = { 0 };

    assert_true(param_set(PARAM_delivery_bounce_domain, PARAM_FROM_FLAG, BYTES(BOUNCES), &e));
    go_live();
    return result;
}

/* Mail of the API that has left; *one is the only delivery of it. */
static struct intake_out left(struct world *w, size_t n, const char *const *to)
{
    struct intake_out out;
    struct work *all;
    size_t got;

    act(w, &w->key, "api");
    out = sent(w, n, to);
    all = claimed(w, 9, &got);
    assert_int_equal(got, n);
    finish(w, all, n, delivered, false);
    return out;
}

static const char *path_of(struct world *w, const struct intake_out *m)
{
    struct message_row row = message_of_id(w, m->message_id);
    struct delivery_row d = row_of(w, m->recipients[0].delivery_id);

    return arena_text(w->arena, return_path_write(w->svc, &row, &d, m->n_recipients > 1, w->arena));
}

static struct bytes a_report(struct world *w, enum dsn_action action, const char *email)
{
    struct dsn_recipient r = { .address = bytes_of(email),
                               .action = action,
                               .status = action == DSN_FAILED ? BYTES("5.1.1") : BYTES("4.4.1"),
                               .remote_mta = BYTES("mx.far.test"),
                               .reply = BYTES("550 5.1.1 No walrus here") };
    struct dsn d = { .host = BYTES("out.far.test"),
                     .to = BYTES("somebody@" BOUNCES),
                     .message_id = BYTES("<r@out.far.test>"),
                     .header = BYTES("Subject: Sturgeon season\r\n"),
                     .arrived = clock_wall(),
                     .date = clock_wall(),
                     .recipients = &r,
                     .n = 1 };
    struct bytes text;
    struct err e = { 0 };
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_true(dsn_write(&d, w->arena, &out, &e));
    text = arena_copy(w->arena, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

#define ARF(more, id)                                                                                                  \
    BYTES("From: <abuse@isp.test>\r\nTo: fbl\r\nSubject: complaint\r\nMIME-Version: 1.0\r\nContent-Type: "             \
          "multipart/report; report-type=feedback-report; boundary=x\r\n\r\n--x\r\n\r\nA complaint.\r\n--x\r\n"        \
          "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: isp/1\r\nVersion: "        \
          "1\r\n" more "\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: app@example.test\r\n" id                  \
          "\r\nx\r\n--x--\r\n")

static const char *complaint_path(struct world *w, const struct intake_out *m)
{
    return arena_printf(w->arena, "fbl+%s", path_of(w, m) + 2);
}

static struct bytes arf_of(struct world *w, const char *field, struct bytes value)
{
    char *text = arena_text(w->arena, ARF("Original-Mail-From: <@@@>\r\n", "Message-ID: @@@\r\n"));
    char *at = strstr(text, field);
    char *mark;

    assert_non_null(at);
    mark = strstr(at, "@@@");
    return arena_bytesf(w->arena, "%.*s%.*s%s", (int)(mark - text), text, SHOW(value), mark + 3);
}

static void comes(struct world *w, const char *to, struct bytes mail)
{
    struct intake_out out;

    if (!receive(w, to, 1, mail, &out))
        fail_msg("%s", w->c.err.message);
}

static struct bytes event_data_of(struct world *w, struct id message, const char *type)
{
    struct event_row *list;
    size_t n = events_of(w, message, &list);

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(list[i].type, bytes_of(type)))
            return list[i].data;
    fail_msg("no event %s", type);
    return NO_BYTES;
}

static void holds(struct world *w, struct bytes json, const char *text)
{
    if (!strstr(arena_text(w->arena, json), text))
        fail_msg("no %s in %.*s", text, SHOW(json));
}

static size_t kept_for_operator(struct world *w)
{
    void *rows;

    return rows_of(w, &message_kind, "account", "account_id", V_ID(w->svc->operator_account), &rows);
}

static void a_report_bounces_it_once(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));
    struct id one = m.recipients[0].delivery_id;
    struct message_row row;

    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "forwarded@elsewhere.test"));
    assert_bytes(row_of(w, one).status, BYTES("bounced"));
    holds(w, row_of(w, one).last, "\"text\":\"550 5.1.1 No walrus here\"");
    holds(w, row_of(w, one).last, "\"cause\":\"unknown_user\"");
    row = message_of_id(w, m.message_id);
    assert_true(row.n_delivered == 0 && row.n_failed == 1);
    holds(w, event_data_of(w, m.message_id, "email.bounced"), "\"async\":true");
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "x@far.test"));
    assert_int_equal(events(w, m.message_id, "email.bounced"), 1);
    assert_int_equal(message_of_id(w, m.message_id).n_failed, 1);
    assert_int_equal(kept_for_operator(w), 0);
}

static bool is_suppressed(struct world *w, const char *email, enum suppression_reason why)
{
    struct bytes one = bytes_of(email);
    struct suppression_row row;
    struct err e = { 0 };

    assert_true(
        suppression_find(w->svc, w->arena, &(struct suppression_scope){ .account = w->account }, &one, 1, &row, &e));
    return !id_is_none(row.id) && suppression_reason_of(row.reason) == why;
}

/* A proof is wanted: the Message-ID, which anybody may have seen, is none. */
static void who_is_unknown_or_complains_gets_no_more(void **state)
{
    struct world *w = *state;
    struct intake_out a = left(w, TO("a@far.test")), b = left(w, TO("b@far.test")), c = left(w, TO("c@far.test"));
    struct intake_out d = left(w, TO("d@far.test"));

    comes(w, path_of(w, &a), a_report(w, DSN_FAILED, "a@far.test"));
    assert_true(is_suppressed(w, "a@far.test", SUPPRESSED_BOUNCE));
    comes(w, complaint_path(w, &b), ARF("", ""));
    assert_true(is_suppressed(w, "b@far.test", SUPPRESSED_COMPLAINT));
    comes(w, "fbl@" BOUNCES, arf_of(w, "Message-ID", c.header_message_id));
    assert_int_equal(events(w, c.message_id, "email.complained"), 1);
    assert_false(is_suppressed(w, "c@far.test", SUPPRESSED_COMPLAINT));
    comes(w, path_of(w, &d), a_report(w, DSN_DELAYED, "d@far.test"));
    assert_false(is_suppressed(w, "d@far.test", SUPPRESSED_BOUNCE));
}

static void of_several_the_report_says_which(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test", "y@far.test"));

    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "Y@far.test"));
    for (size_t i = 0; i < 2; i++)
        assert_bytes(row_of(w, m.recipients[i].delivery_id).status,
                     bytes_equal(m.recipients[i].email, BYTES("y@far.test")) ? BYTES("bounced") : BYTES("delivered"));
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "nobody@far.test"));
    assert_int_equal(events(w, m.message_id, "email.bounced"), 1);
    assert_int_equal(kept_for_operator(w), 1);
}

static void a_delay_is_an_event(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));

    comes(w, path_of(w, &m), a_report(w, DSN_DELAYED, "x@far.test"));
    comes(w, path_of(w, &m), a_report(w, DSN_DELIVERED, "x@far.test"));
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("delivered"));
    assert_int_equal(events(w, m.message_id, "email.delayed"), 1);
    holds(w, event_data_of(w, m.message_id, "email.delayed"), "\"async\":true");
    assert_int_equal(kept_for_operator(w), 0);
}

static void machines_are_not_heard_and_people_are_kept(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));

    comes(w, path_of(w, &m),
          BYTES("From: x@far.test\r\nAuto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nSee you.\r\n"));
    assert_int_equal(kept_for_operator(w), 0);
    comes(w, path_of(w, &m), A_MAIL);
    assert_int_equal(kept_for_operator(w), 1);
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("delivered"));
}

static bool is_taken(struct world *w, const char *email)
{
    struct recipient_check_in in = { .address = at(w, email, "").address };
    struct recipient out;
    bool ok;

    act(w, NULL, "smtp");
    ok = recipient_check(&w->c, &in, &out);
    assert_true(ok || w->c.err.code == ERR_MISSING);
    return ok;
}

static void only_tokens_of_ours_are_taken(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));
    struct token old = { TOKEN_DELIVERY, m.recipients[0].delivery_id };
    struct token_key key = { 1, w->svc->token_key };
    struct buf text;
    char *path = arena_text(w->arena, bytes_of(path_of(w, &m)));

    assert_true(is_taken(w, path));
    path[10] = path[10] == 'a' ? 'b' : 'a';
    assert_false(is_taken(w, path));
    assert_false(is_taken(w, "b+nothing@" BOUNCES));
    assert_false(is_taken(w, "ana@" BOUNCES));
    assert_true(is_taken(w, "fbl@" BOUNCES));
    assert_true(is_taken(w, "Postmaster@" BOUNCES));
    assert_true(is_taken(w, "postmaster@rp.example.test"));
    assert_false(is_taken(w, "ana@rp.example.test"));
    buf_init(&text, 512);
    old.id = id_of_hash_at(old.id.b, clock_wall() - TOKEN_AGE_MAX - 60000);
    token_write(&old, &key, TOKEN_BOUNCE, BYTES(BOUNCES), &text);
    assert_false(is_taken(w, arena_text(w->arena, buf_bytes(&text))));
    buf_reset(&text);
    old.id = m.recipients[0].delivery_id;
    token_write(&old, &key, TOKEN_BOUNCE, BYTES("rp.example.test"), &text);
    assert_true(is_taken(w, arena_text(w->arena, buf_bytes(&text))));
    buf_reset(&text);
    token_write(&old, &key, TOKEN_BOUNCE, BYTES("rp.foreign.test"), &text);
    act(w, NULL, "smtp");
    struct recipient_check_in in = { .address = at(w, arena_text(w->arena, buf_bytes(&text)), "").address };
    struct recipient out;
    must_fail(&w->c, recipient_check(&w->c, &in, &out), ERR_RELAY);
    buf_clear(&text);
}

static void what_is_under_way_is_put_off(void **state)
{
    struct world *w = *state;
    struct intake_out m, ignored;
    struct work *all;
    size_t n;

    m = sent(w, TO("x@far.test"));
    all = claimed(w, 9, &n);
    assert_false(receive(w, path_of(w, &m), 1, a_report(w, DSN_FAILED, "x@far.test"), &ignored));
    assert_int_equal(w->c.err.code, ERR_BUSY);
    finish(w, all, n, delivered, false);
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "x@far.test"));
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("bounced"));
}

static void a_complaint_counts_once(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));

    comes(w, complaint_path(w, &m), ARF("", ""));
    comes(w, complaint_path(w, &m), ARF("", ""));
    assert_int_equal(events(w, m.message_id, "email.complained"), 1);
    holds(w, event_data_of(w, m.message_id, "email.complained"), "\"feedback_type\":\"abuse\"");
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("delivered"));
    assert_int_equal(kept_for_operator(w), 0);
}

static struct stream_row stream_of(struct world *w)
{
    const struct stream_get_in in = { .id = BYTES("transactional") };
    struct stream_row row;

    act(w, &w->key, "api");
    assert_true(stream_get(&w->c, &in, &row));
    return row;
}

static size_t told_of_account(struct world *w, const char *type, struct bytes *data)
{
    struct event_row *rows;
    size_t n = rows_of(w, &event_kind, "account", "account_id", V_ID(w->account), (void **)&rows), found = 0;

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(rows[i].type, bytes_of(type))) {
            *data = rows[i].data;
            found++;
        }
    return found;
}

/* Of three mails of a day two: more than half. A stranger's word, by a Message-ID, is not counted. */
static void a_stream_whose_mail_is_called_spam_is_paused(void **state)
{
    struct world *w = *state;
    const struct stream_resume_in again = { .id = BYTES("transactional") };
    struct intake_out a = left(w, TO("a@far.test")), b = left(w, TO("b@far.test")), c = left(w, TO("c@far.test"));
    struct stream_row row;
    struct bytes data;

    set_param("stream.complaints_least", "2");
    set_param("stream.complaints_rate", "500");
    comes(w, complaint_path(w, &a), ARF("", ""));
    comes(w, complaint_path(w, &a), ARF("", "")); /* the same once more */
    comes(w, "fbl@" BOUNCES, arf_of(w, "Message-ID: ", b.header_message_id));
    assert_true(!stream_of(w).paused_at);
    comes(w, complaint_path(w, &c), ARF("", ""));
    assert_true(stream_of(w).paused_at);
    assert_int_equal(told_of_account(w, "stream.paused", &data), 1);
    holds(w, data, "\"mails\":3,\"complaints\":2");
    assert_true(stream_resume(&w->c, &again, &row));
    comes(w, complaint_path(w, &b), ARF("", "")); /* of mail that was thought over */
    assert_true(!stream_of(w).paused_at);
    set_param("stream.complaints_least", "10");
    set_param("stream.complaints_rate", "3");
}

static void a_complaint_finds_it_by_its_text(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test"));

    comes(w, "fbl@" BOUNCES, arf_of(w, "Original-Mail-From", bytes_of(path_of(w, &m))));
    assert_int_equal(events(w, m.message_id, "email.complained"), 1);
    m = left(w, TO("y@far.test")); /* who has complained gets no more */
    comes(w, "fbl@" BOUNCES, arf_of(w, "Message-ID", m.header_message_id));
    assert_int_equal(events(w, m.message_id, "email.complained"), 1);
    assert_int_equal(kept_for_operator(w), 0);
    comes(w, "fbl@" BOUNCES, ARF("", "Message-ID: <1@elsewhere.test>\r\n"));
    assert_int_equal(kept_for_operator(w), 1);
}

/* Who names an envelope sender gets the reports there. */
static void only_mail_without_a_sender_of_its_own_has_one(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("x@far.test"));
    struct intake_out out;
    struct delivery_row d;
    struct message_row row;

    in.envelope_from = at(w, "bounces@example.test", "/envelope_from");
    must(&w->c, message_send(&w->c, &in, &out));
    row = message_of_id(w, out.message_id);
    d = row_of(w, out.recipients[0].delivery_id);
    assert_bytes(return_path_write(w->svc, &row, &d, false, w->arena), BYTES("bounces@example.test"));
}

/* Once its records are there, the author's own domain. */
static void below_its_own_domain_where_that_leads_here(void **state)
{
    struct world *w = *state;
    struct set good = SET("return_path", V_BOOL(true));
    struct batch *b = batch_new(w->arena);
    struct directory_domain d;
    struct intake_out m;

    must(&w->c, directory_domain(&w->c, BYTES("example.test"), &d));
    batch_update(b, &domain_kind, d.id, NULL, 0, &good, 1);
    commit(w, b);
    directory_changed(w->svc);
    m = left(w, TO("x@far.test"));
    assert_true(bytes_ends(bytes_of(path_of(w, &m)), BYTES("@rp.example.test")));
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "x@far.test"));
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("bounced"));
}

/* Who asked for reports by mail (dsn) gets one of what came back, too. */
static void it_is_told_by_mail_where_that_was_asked_for(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("x@far.test"));
    struct intake_out m;
    struct work *all;
    size_t n;

    in.from = at(w, "ana@example.test", "/from");
    in.dsn = true;
    must(&w->c, message_send(&w->c, &in, &m));
    all = claimed(w, 9, &n);
    finish(w, all, n, delivered, false);
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "x@far.test"));
    comes(w, path_of(w, &m), a_report(w, DSN_FAILED, "x@far.test"));
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("bounced"));
    work(w);
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 1);
}

/* Nobody of us proves anything by such an address. */
static void a_send_to_one_bounces(void **state)
{
    struct world *w = *state;
    struct intake_out m = left(w, TO("x@far.test")), again;
    const char *path = path_of(w, &m);

    act(w, &w->key, "api");
    again = sent(w, 1, &path);
    assert_bytes(again.recipients[0].status, BYTES("bounced"));
    assert_bytes(row_of(w, m.recipients[0].delivery_id).status, BYTES("delivered"));
}

int main(void)
{
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup_returns, teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_report_bounces_it_once),
        WORLD_TEST(who_is_unknown_or_complains_gets_no_more),
        WORLD_TEST(of_several_the_report_says_which),
        WORLD_TEST(a_delay_is_an_event),
        WORLD_TEST(machines_are_not_heard_and_people_are_kept),
        WORLD_TEST(only_tokens_of_ours_are_taken),
        WORLD_TEST(what_is_under_way_is_put_off),
        WORLD_TEST(a_complaint_counts_once),
        WORLD_TEST(a_complaint_finds_it_by_its_text),
        WORLD_TEST(a_stream_whose_mail_is_called_spam_is_paused),
        WORLD_TEST(below_its_own_domain_where_that_leads_here),
        WORLD_TEST(it_is_told_by_mail_where_that_was_asked_for),
        WORLD_TEST(a_send_to_one_bounces),
        WORLD_TEST(only_mail_without_a_sender_of_its_own_has_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
