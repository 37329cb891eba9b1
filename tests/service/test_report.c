/* Reports to senders: of what, to whom, in which batch; how often they are written when things are done again. */
#include "mail/bounce.h"
#include "service/body/structure.h"
#include "service/queue/act.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

#define SENT                                                                                                           \
    "From: Ana <ana@example.test>\r\nTo: x@far.test\r\nSubject: Sturgeon season\r\nMessage-ID: <9@example.test>\r\n"   \
    "Date: Sat, 21 Nov 2026 09:52:00 +0000\r\n"
#define TEXT SENT "\r\nThe quick brown walrus.\r\n"

struct submitted {
    const char *from, *to, *dsn, *ret, *text;
};

static struct intake_out submit(struct world *w, struct submitted s)
{
    struct recipient_check_in check = { .address = at(w, s.to, "").address };
    struct recipient to = { 0 };
    struct intake_in in = { .source = SOURCE_SUBMISSION,
                            .envelope_from = bytes_of(s.from),
                            .recipients = &to,
                            .n_recipients = 1,
                            .ret = bytes_of(s.ret),
                            .envid = s.ret ? BYTES("env=1") : NO_BYTES };
    struct intake_out out = { 0 };
    struct intake *k = NULL;

    act(w, &w->ana_login, "submission");
    must(&w->c, recipient_check(&w->c, &check, &to));
    to.dsn = bytes_of(s.dsn);
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, bytes_of(s.text ? s.text : TEXT)));
    must(&w->c, intake_commit(&k, &w->c, &out));
    return out;
}

static struct intake_out submit_to(struct world *w, const char *to)
{
    return submit(w, (struct submitted){ .from = "ana@example.test", .to = to });
}

/* What came into Ana's mailbox, after all that is due. */
static size_t n_reports(struct world *w)
{
    size_t n;

    work(w);
    entries_in(w, w->ana.inbox_id, &n);
    return n;
}

static struct bytes report(struct world *w)
{
    return entry_text(w, only_entry(w, w->ana.inbox_id).id);
}

static struct bounce parsed(struct world *w, struct bytes mail)
{
    struct mime_limits limits = structure_limits();
    struct bounce_reading reading = { .limits = &limits, .recipients_max = 10, .text_max = 65536 };
    struct classifier *c = NULL;
    struct bounce b;
    struct err e = { 0 };

    assert_true(classifier_new(NO_BYTES, &c, &e));
    reading.classifier = c;
    bounce_read(&reading, mail, w->arena, &b);
    classifier_free(&c);
    assert_int_equal(b.kind, BOUNCE_REPORT);
    return b;
}

static void has(struct world *w, struct bytes mail, const char *text)
{
    if (!strstr(arena_text(w->arena, mail), text))
        fail_msg("no \"%s\" in\n%.*s", text, SHOW(mail));
}

static const struct attempt no_user = { .code = 550,
                                        .mx = BYTES_ROW("mx.far.test"),
                                        .enhanced = BYTES_ROW("5.1.1"),
                                        .text = BYTES_ROW("No walrus here"),
                                        .cause = BYTES_ROW("unknown_user"),
                                        .permanence = BYTES_ROW("permanent") },
                            gone_on = { .code = 250, .mx = BYTES_ROW("mx.far.test"), .text = BYTES_ROW("OK") };
static const struct verdict bounced = { .outcome = OUTCOME_BOUNCED, .attempt = &no_user };

static void attempt(struct world *w, struct verdict v)
{
    size_t n;
    struct work *all = claimed(w, 9, &n);

    assert_int_equal(n, 1);
    finish(w, all, 1, v, false);
}

static void a_refusal_is_told_whole(void **state)
{
    struct world *w = *state;
    struct bounce b;
    struct bytes mail;

    go_live();
    submit(w, (struct submitted){ .from = "ana@example.test",
                                  .to = "x@far.test",
                                  .dsn = "{\"notify\":\"FAILURE\",\"orcpt\":\"rfc822;first@far.test\"}",
                                  .ret = "HDRS" });
    attempt(w, bounced);
    assert_int_equal(n_reports(w), 1);
    mail = report(w);
    b = parsed(w, mail);
    assert_int_equal(b.n, 1);
    assert_bytes(b.recipients[0].final, BYTES("x@far.test"));
    assert_bytes(b.recipients[0].original, BYTES("first@far.test"));
    assert_int_equal(b.recipients[0].action, DSN_FAILED);
    assert_bytes(b.recipients[0].status, BYTES("5.1.1"));
    assert_bytes(b.recipients[0].remote_mta, BYTES("mx.far.test"));
    assert_bytes(b.recipients[0].reply, BYTES("550 5.1.1 No walrus here"));
    assert_bytes(b.envelope_id, BYTES("env=1"));
    assert_bytes(b.original_id, BYTES("<9@example.test>"));
    has(w, mail, "Return-Path: <>\r\n");
    has(w, mail, "\r\nAuto-Submitted: auto-replied\r\n");
    has(w, mail, "\r\nIn-Reply-To: <9@example.test>\r\n");
    has(w, mail, "\r\nFrom: Mail Delivery System <MAILER-DAEMON@localhost>\r\n");
    assert_null(strstr(arena_text(w->arena, mail), "quick brown"));
}

static void the_whole_comes_back_where_it_is_asked_for(void **state)
{
    struct world *w = *state;

    go_live();
    submit(w, (struct submitted){ .from = "ana@example.test", .to = "x@far.test", .ret = "FULL" });
    attempt(w, bounced);
    assert_int_equal(n_reports(w), 1);
    has(w, report(w), "quick brown");
}

/* In the batch that accepts them: what is over at once. */
static void what_is_over_at_once_is_told(void **state)
{
    struct world *w = *state;

    submit_to(w, "bounced@sandbox.test");
    assert_int_equal(n_reports(w), 1);
    has(w, report(w), "Final-Recipient: rfc822; bounced@sandbox.test");
}

/* What an operator gives up is a failure for who sent it: with his words, and with NEVER not at all. */
static void what_is_given_up_by_hand_is_told(void **state)
{
    struct world *w = *state;
    static const char *const asked[] = { "{\"notify\":\"NEVER\",\"orcpt\":null}", NULL };
    struct delivery_view view;
    struct intake_out out;

    go_live();
    for (size_t i = 0; i < 2; i++) {
        struct delivery_act_in in = { .reason = BYTES("wrong list") };

        out = submit(w, (struct submitted){ .from = "ana@example.test", .to = "x@far.test", .dsn = asked[i] });
        in.id = id_of(w, &delivery_kind, out.recipients[0].delivery_id);
        act(w, &w->key, "api");
        w->key.scopes = SCOPE_ALL;
        must(&w->c, delivery_bounce(&w->c, &in, &view));
        assert_bytes(view.row.status, BYTES("failed"));
        assert_int_equal(n_reports(w), i);
    }
    has(w, report(w), "\r\nFinal-Recipient: rfc822; x@far.test\r\nAction: failed\r\nStatus: 5.7.0\r\n");
    has(w, report(w), "wrong list");
}

static void a_delivery_is_told_when_asked_for(void **state)
{
    struct world *w = *state;

    submit(w, (struct submitted){
                  .from = "ana@example.test", .to = "bo@example.test", .dsn = "{\"notify\":\"SUCCESS\"}" });
    assert_int_equal(n_reports(w), 1);
    has(w, report(w), "\r\nAction: delivered\r\n");
}

static void to_a_server_without_dsn_it_is_relayed(void **state)
{
    struct world *w = *state;
    struct attempt knows = gone_on;

    go_live();
    knows.dsn = true;
    submit(w, (struct submitted){ .from = "ana@example.test", .to = "x@far.test", .dsn = "{\"notify\":\"SUCCESS\"}" });
    attempt(w, (struct verdict){ .outcome = OUTCOME_DELIVERED, .attempt = &knows });
    assert_int_equal(n_reports(w), 0);
    submit(w, (struct submitted){ .from = "ana@example.test", .to = "x@far.test", .dsn = "{\"notify\":\"SUCCESS\"}" });
    attempt(w, (struct verdict){ .outcome = OUTCOME_DELIVERED, .attempt = &gone_on });
    assert_int_equal(n_reports(w), 1);
    has(w, report(w), "\r\nAction: relayed\r\n");
}

/* Once, and only after its time. */
static void a_delay_is_told_once(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct set old;

    go_live();
    out = submit_to(w, "x@far.test");
    attempt(w, later(clock_wall() - 1));
    assert_int_equal(n_reports(w), 0);
    old = SET("created_at", V_TIME(clock_wall() - PARAM_INT(delivery, delay_report)));
    change(w, out.recipients[0].delivery_id, &old, 1);
    attempt(w, later(clock_wall() - 1));
    attempt(w, later(clock_wall() - 1));
    assert_int_equal(n_reports(w), 1);
    has(w, report(w), "\r\nAction: delayed\r\n");
    has(w, report(w), "\r\nWill-Retry-Until: ");
    assert_true(row_of(w, out.recipients[0].delivery_id).warned > 0);
}

struct silent {
    const char *what;
    struct submitted s;
};

static void nobody_is_told_of(void **state)
{
    struct world *w = *state;
    static const struct silent all[] = {
        { "the null path", { "", "x@far.test", NULL, NULL, NULL } },
        { "NEVER", { "ana@example.test", "x@far.test", "{\"notify\":\"NEVER\",\"orcpt\":null}", NULL, NULL } },
        { "another word", { "ana@example.test", "x@far.test", "{\"notify\":\"SUCCESS,DELAY\"}", NULL, NULL } },
        { "a list", { "ana@example.test", "x@far.test", NULL, NULL, SENT "List-Id: <l.example.test>\r\n\r\nx\r\n" } },
        { "bulk", { "ana@example.test", "x@far.test", NULL, NULL, SENT "Precedence: Bulk\r\n\r\nx\r\n" } },
        { "a machine",
          { "ana@example.test", "x@far.test", NULL, NULL, SENT "Auto-Submitted: auto-generated\r\n\r\nx\r\n" } },
        { "nobody here", { "nobody@example.test", "x@far.test", NULL, NULL, NULL } },
    };

    go_live();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        submit(w, all[i].s);
        attempt(w, bounced);
        if (n_reports(w))
            fail_msg("a report of %s", all[i].what);
    }
    submit(w,
           (struct submitted){ "ana@example.test", "x@far.test", NULL, NULL, SENT "Auto-Submitted: no\r\n\r\nx\r\n" });
    attempt(w, bounced);
    assert_int_equal(n_reports(w), 1);
}

static struct intake_out send_as_ana(struct world *w, const struct principal *who, bool dsn)
{
    struct message_send_in in;
    struct intake_out out;

    act(w, who, "api");
    in = a_send(w, TO("bounced@sandbox.test"));
    in.from = at(w, "ana@example.test", "/from");
    in.dsn = dsn;
    must(&w->c, message_send(&w->c, &in, &out));
    return out;
}

static void the_api_has_events_and_reports_where_it_asks(void **state)
{
    struct world *w = *state;

    send_as_ana(w, &w->key, false);
    assert_int_equal(n_reports(w), 0);
    send_as_ana(w, &w->test_key, true);
    assert_int_equal(n_reports(w), 0);
    send_as_ana(w, &w->key, true);
    assert_int_equal(n_reports(w), 1);
}

/* A full mailbox, met by what is filed later; and the report itself meets one: an event, and no report of it. */
static void a_report_that_fails_is_an_event(void **state)
{
    struct world *w = *state;
    struct set full = SET("used", V_INT((int64_t)1 << 40));
    struct batch *b = batch_new(w->arena);
    struct event_row *list;
    size_t n, found = 0;

    batch_update(b, &user_kind, w->ana.id, NULL, 0, &full, 1);
    commit(w, b);
    refresh(w);
    submit_to(w, "bounced@sandbox.test");
    assert_int_equal(n_reports(w), 0);
    n = events_by(w, "account", "account_id", w->account, &list);
    for (size_t i = 0; i < n; i++)
        found +=
            bytes_equal(list[i].type, BYTES("email.bounced")) && bytes_equal(list[i].email, BYTES("ana@example.test"));
    assert_int_equal(found, 1);
}

/* The batch may be done again by somebody who does not know that it was committed. */
static void a_repeat_writes_none(void **state)
{
    struct world *w = *state;
    struct work *all, again;
    size_t n;

    go_live();
    submit_to(w, "x@far.test");
    all = claimed(w, 9, &n);
    again = all[0];
    finish(w, all, 1, bounced, false);
    finish(w, &again, 1, bounced, false);
    assert_true(again.lost);
    assert_int_equal(n_reports(w), 1);
}

/* Its id says what it tells of: where it is there already, the rest of the batch is written without. */
static void one_that_is_there_keeps_nothing_back(void **state)
{
    struct world *w = *state;
    struct attempt same = no_user;
    struct verdict v = { .outcome = OUTCOME_BOUNCED, .attempt = &same };
    struct intake_out out;
    struct work *all, again;
    struct set back[4];
    size_t n;

    same.at = clock_wall();
    go_live();
    out = submit_to(w, "x@far.test");
    all = claimed(w, 9, &n);
    again = all[0];
    finish(w, all, 1, v, false);
    back[0] = SET("status", V_TEXT(BYTES("queued")));
    back[1] = SET("flow", V_TEXT(again.row.flow));
    change(w, out.recipients[0].delivery_id, back, 2);
    finish(w, &again, 1, v, false);
    assert_false(again.lost);
    assert_bytes(row_of(w, out.recipients[0].delivery_id).status, BYTES("bounced"));
    assert_int_equal(n_reports(w), 1);
}

/* Also of what was noted while the store was away: who took it tells, and not we. */
static void what_was_noted_knows_who_tells(void **state)
{
    struct world *w = *state;
    struct attempt knows = gone_on;
    struct verdict v[] = { { .outcome = OUTCOME_DELIVERED, .attempt = &knows },
                           { .outcome = OUTCOME_DELIVERED, .attempt = &gone_on } };
    struct done done = { 0 };
    struct err e = { 0 };
    size_t n;

    go_live();
    knows.dsn = true;
    for (size_t i = 0; i < 2; i++) {
        submit(w,
               (struct submitted){ .from = "ana@example.test", .to = "x@far.test", .dsn = "{\"notify\":\"SUCCESS\"}" });
        done = (struct done){ .work = claimed(w, 9, &n), .verdict = v[i] };
        assert_int_equal(n, 1);
        assert_true(outcomes_note(w->svc, &done, 1));
        assert_true(outcomes_replay(w->svc, &e));
        assert_int_equal(n_reports(w), i);
    }
}

static void what_expires_tells_the_last_answer(void **state)
{
    struct world *w = *state;
    struct attempt refused = no_user;
    struct verdict v = { .outcome = OUTCOME_DEFERRED, .attempt = &refused, .next_at = clock_wall() - 1 };
    struct intake_out out;
    struct err e = { 0 };
    struct set over;
    struct bounce b;
    size_t n;

    go_live();
    refused.code = 450;
    refused.enhanced = BYTES("4.2.1");
    out = submit_to(w, "x@far.test");
    attempt(w, v);
    over = SET("expires_at", V_TIME(clock_wall() - 1));
    change(w, out.recipients[0].delivery_id, &over, 1);
    assert_true(queue_expire(w->svc, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(n_reports(w), 1);
    b = parsed(w, report(w));
    assert_bytes(b.recipients[0].reply, BYTES("450 4.2.1 No walrus here"));
    assert_int_equal(b.recipients[0].action, DSN_FAILED);
}

int main(void)
{
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_refusal_is_told_whole),
        WORLD_TEST(the_whole_comes_back_where_it_is_asked_for),
        WORLD_TEST(what_is_over_at_once_is_told),
        WORLD_TEST(what_is_given_up_by_hand_is_told),
        WORLD_TEST(a_delivery_is_told_when_asked_for),
        WORLD_TEST(to_a_server_without_dsn_it_is_relayed),
        WORLD_TEST(a_delay_is_told_once),
        WORLD_TEST(nobody_is_told_of),
        WORLD_TEST(the_api_has_events_and_reports_where_it_asks),
        WORLD_TEST(a_report_that_fails_is_an_event),
        WORLD_TEST(a_repeat_writes_none),
        WORLD_TEST(one_that_is_there_keeps_nothing_back),
        WORLD_TEST(what_was_noted_knows_who_tells),
        WORLD_TEST(what_expires_tells_the_last_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
