/* Messages that begin later: nothing of them is work before their time; then they get what acceptance would have given
 * them, once, as things are by then. */
#include "service/message/release.h"
#include "service/queue/act.h"
#include "service/queue/queue.h"
#include "tests/service/mail_world.h"

#define HOUR INT64_C(3600000)

static bool has(struct bytes text, struct bytes part)
{
    return text.n >= part.n && memmem(text.p, text.n, part.p, part.n);
}

static struct message_send_in later(struct world *w, size_t n, const char *const *to)
{
    struct message_send_in in = a_send(w, n, to);

    in.scheduled_at = store_now(w->svc->store) + HOUR;
    return in;
}

static struct intake_out scheduled(struct world *w, size_t n, const char *const *to)
{
    struct message_send_in in = later(w, n, to);
    struct intake_out out = { 0 };

    must(&w->c, message_send(&w->c, &in, &out));
    assert_bytes(out.status, BYTES("scheduled"));
    return out;
}

/* Its time has come. */
static void is_due(struct world *w, struct id message)
{
    struct batch *b = batch_new(w->arena);
    const struct set past = SET("release_at", V_TIME(1));

    batch_update(b, &message_kind, message, NULL, 0, &past, 1);
    commit(w, b);
}

static size_t released(struct world *w)
{
    struct err e = { 0 };
    size_t n;

    if (!release_round(w->svc, &n, &e))
        fail_msg("%s", e.message);
    return n;
}

static struct delivery_row *deliveries(struct world *w, struct id message, size_t want)
{
    void *rows;

    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &rows), want);
    return rows;
}

static struct bytes status_of(struct world *w, struct id message)
{
    struct message_get_in in = { .id = id_of(w, &message_kind, message) };
    struct message_view view;

    act(w, &w->key, "api");
    must(&w->c, message_get(&w->c, &in, &view));
    return view.status;
}

static void nothing_is_done_before_its_time(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test", "far@away.test"));
    struct delivery_row *d = deliveries(w, out.message_id, 2);
    struct message_row m = message_of_id(w, out.message_id);
    size_t n;

    assert_bytes(status_of(w, out.message_id), BYTES("scheduled"));
    for (size_t i = 0; i < 2; i++) {
        assert_bytes(d[i].status, BYTES("queued"));
        assert_true(delivery_waits(&d[i]) && d[i].send_at == m.scheduled_at && !d[i].due_at);
        assert_true(d[i].expires_at > m.scheduled_at);
    }
    assert_int_equal(released(w), 0);
    assert_int_equal(work(w), 0);
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 0);
    assert_int_equal(events(w, out.message_id, "email.accepted"), 1);
    assert_int_equal(events(w, out.message_id, "email.scheduled"), 1);
    assert_false(has(m.trace, BYTES("Date:")));
}

static void it_begins_once_with_its_date(void **state)
{
    struct world *w = *state;
    struct message_send_in in = later(w, TO("ana@example.test", "far@away.test", "nobody@example.test"));
    struct intake_out out = { 0 };
    struct message_row m;
    struct bytes text;
    size_t n;

    in.from = at(w, "bo@example.test", "/from");
    in.save_to_sent = true;
    must(&w->c, message_send(&w->c, &in, &out));
    entries_in(w, w->bo.sent_id, &n);
    assert_int_equal(n, 0);
    is_due(w, out.message_id);
    assert_int_equal(released(w), 1);
    assert_int_equal(released(w), 0);
    m = message_of_id(w, out.message_id);
    assert_true(!m.release_at && !m.lease_until && m.scheduled_at && m.n_open == 0);
    assert_int_equal(m.n_delivered, 1);
    assert_int_equal(m.n_captured, 1);
    assert_int_equal(m.n_failed, 1);
    assert_bytes(status_of(w, out.message_id), BYTES("partial"));
    assert_int_equal(events(w, out.message_id, "email.accepted"), 1);
    assert_int_equal(events(w, out.message_id, "email.delivered"), 1);
    assert_int_equal(events(w, out.message_id, "email.captured"), 1);
    assert_int_equal(events(w, out.message_id, "email.bounced"), 1);
    text = entry_text(w, only_entry(w, w->ana.inbox_id).id);
    assert_int_equal(header_count(bytes_head(text, header_end(text)), "Date"), 1);
    assert_true(only_entry(w, w->ana.inbox_id).sent_at > 0);
    assert_true(only_entry(w, w->bo.sent_id).sent_at > 0);
}

static void suppressions_are_those_of_then(void **state)
{
    struct world *w = *state;
    const struct suppression_row row = { .email = BYTES("far@away.test"), .reason = BYTES("manual") };
    const struct suppression_create_in s = { .rows = &row, .n = 1 };
    struct suppression_create_out made;
    struct intake_out out = scheduled(w, TO("far@away.test"));

    must(&w->c, suppression_create(&w->c, &s, &made));
    is_due(w, out.message_id);
    released(w);
    assert_bytes(deliveries(w, out.message_id, 1)->status, BYTES("suppressed"));
}

static void its_mode_is_that_of_its_acceptance(void **state)
{
    struct world *w = *state;
    struct intake_out quiet = scheduled(w, TO("far@away.test")), loud;
    struct delivery_row *d;

    set_param("server.hostname", "mx.example.test");
    set_param("delivery.mode", "live");
    loud = scheduled(w, TO("far@away.test"));
    is_due(w, quiet.message_id);
    is_due(w, loud.message_id);
    assert_int_equal(released(w), 2);
    assert_bytes(deliveries(w, quiet.message_id, 1)->status, BYTES("captured"));
    d = deliveries(w, loud.message_id, 1);
    assert_bytes(d->status, BYTES("queued"));
    assert_true(d->flow.p && d->send_at && !delivery_waits(d));
    assert_bytes(status_of(w, loud.message_id), BYTES("queued"));
    set_param("delivery.mode", "sandbox");
}

static void a_sender_who_may_not_any_more_sends_nothing(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test", "far@away.test"));
    struct directory_domain domain;
    struct batch *b = batch_new(w->arena);
    struct set away;
    struct delivery_row *d;

    must(&w->c, directory_domain(&w->c, BYTES("example.test"), &domain));
    away = SET("account_id", V_ID(w->other));
    batch_update(b, &domain_kind, domain.id, NULL, 0, &away, 1);
    commit(w, b);
    directory_changed(w->svc);
    is_due(w, out.message_id);
    released(w);
    d = deliveries(w, out.message_id, 2);
    for (size_t i = 0; i < 2; i++)
        assert_bytes(d[i].status, BYTES("failed"));
    assert_bytes(status_of(w, out.message_id), BYTES("failed"));
    assert_int_equal(events(w, out.message_id, "email.failed"), 2);
    b = batch_new(w->arena);
    away = SET("account_id", V_ID(w->account));
    batch_update(b, &domain_kind, domain.id, NULL, 0, &away, 1);
    commit(w, b);
    directory_changed(w->svc);
}

static void a_domain_that_lost_its_proof_sends_nothing_out(void **state)
{
    struct world *w = *state;
    struct directory_domain domain;
    struct intake_out out;
    struct batch *b = batch_new(w->arena);
    struct set lost[] = { SET("verified_at", V_TIME(0)) }, found[] = { SET("verified_at", V_TIME(clock_wall())) };

    set_param("server.hostname", "mx.example.test");
    set_param("delivery.mode", "live");
    out = scheduled(w, TO("ana@example.test", "far@away.test"));
    must(&w->c, directory_domain(&w->c, BYTES("example.test"), &domain));
    batch_update(b, &domain_kind, domain.id, NULL, 0, lost, 1);
    commit(w, b);
    directory_changed(w->svc);
    is_due(w, out.message_id);
    released(w);
    assert_bytes(status_of(w, out.message_id), BYTES("partial"));
    assert_int_equal(events(w, out.message_id, "email.failed"), 1);
    assert_int_equal(events(w, out.message_id, "email.delivered"), 1);
    b = batch_new(w->arena);
    batch_update(b, &domain_kind, domain.id, NULL, 0, found, 1);
    commit(w, b);
    directory_changed(w->svc);
    set_param("delivery.mode", "sandbox");
}

static struct bytes cancel(struct world *w, struct id message)
{
    struct message_cancel_in in = { .id = id_of(w, &message_kind, message) };
    struct message_view view;

    must(&w->c, message_cancel(&w->c, &in, &view));
    return view.status;
}

static void what_is_cancelled_does_not_begin(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test", "bo@example.test"));
    struct delivery_row *d;
    size_t n;

    assert_bytes(cancel(w, out.message_id), BYTES("cancelled"));
    d = deliveries(w, out.message_id, 2);
    assert_true(!d[0].send_at && !d[1].send_at);
    is_due(w, out.message_id);
    assert_int_equal(released(w), 1);
    assert_int_equal(message_of_id(w, out.message_id).release_at, 0);
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 0);
    assert_bytes(status_of(w, out.message_id), BYTES("cancelled"));
}

static bool move(struct world *w, struct id message, int64_t to, struct message_view *view)
{
    struct message_update_in in = { .id = id_of(w, &message_kind, message), .moves = true, .scheduled_at = to };

    call_renew(&w->c);
    return message_update(&w->c, &in, view);
}

static void it_is_moved_until_it_is_claimed(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test"));
    int64_t to = store_now(w->svc->store) + 2 * HOUR;
    struct batch *b = batch_new(w->arena);
    const struct set lease[] = { SET("lease_until", V_TIME(to)), SET("release_at", V_TIME(to)) },
                     over[] = { SET("lease_until", V_TIME(1)), SET("release_at", V_TIME(1)) };
    struct message_view view;

    must(&w->c, move(w, out.message_id, to, &view));
    assert_int_equal(view.row.scheduled_at, to);
    assert_int_equal(deliveries(w, out.message_id, 1)->send_at, to);
    assert_int_equal(events(w, out.message_id, "email.scheduled"), 2);
    must_fail(&w->c, move(w, out.message_id, 1, &view), ERR_INVALID);
    batch_update(b, &message_kind, out.message_id, NULL, 0, lease, 2);
    commit(w, b);
    must_fail(&w->c, move(w, out.message_id, to + HOUR, &view), ERR_IN_FLIGHT);
    b = batch_new(w->arena);
    batch_update(b, &message_kind, out.message_id, NULL, 0, over, 2);
    commit(w, b);
    must(&w->c, move(w, out.message_id, 0, &view));
    assert_int_equal(released(w), 1);
    only_entry(w, w->ana.inbox_id);
    must_fail(&w->c, move(w, out.message_id, to, &view), ERR_CONFLICT);
    must_fail(&w->c, move(w, sent(w, TO("ana@example.test")).message_id, to, &view), ERR_CONFLICT);
}

static void its_time_is_within_bounds(void **state)
{
    struct world *w = *state;
    struct message_send_in in = later(w, TO("ana@example.test"));
    struct intake_out out;

    in.scheduled_at = store_now(w->svc->store) - 1000;
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_INVALID);
    call_renew(&w->c);
    in.scheduled_at = store_now(w->svc->store) + PARAM_INT(message, schedule_max) + HOUR;
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_INVALID);
}

static void what_waits_can_only_be_given_up_by_hand(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test", "bo@example.test"));
    struct delivery_act_in one = { .id = id_of(w, &delivery_kind, out.recipients[0].delivery_id) };
    struct delivery_view view;

    must_fail(&w->c, delivery_retry(&w->c, &one, &view), ERR_CONFLICT);
    must_fail(&w->c, delivery_hold(&w->c, &one, &view), ERR_CONFLICT);
    must_fail(&w->c, delivery_release(&w->c, &one, &view), ERR_CONFLICT);
    must(&w->c, delivery_get(&w->c, &(struct delivery_get_in){ .id = one.id }, &view));
    assert_true(has(view.waiting, BYTES("\"scheduled\"")));
    must(&w->c, delivery_bounce(&w->c, &one, &view));
    is_due(w, out.message_id);
    released(w);
    assert_bytes(status_of(w, out.message_id), BYTES("partial"));
    assert_int_equal(message_of_id(w, out.message_id).n_open, 0);
}

/* A test key's, and one in which its own sender named the Date. */
static void raw_mail_keeps_its_date(void **state)
{
    struct world *w = *state;
    struct bytes mail = BYTES("From: app@example.test\r\nTo: ana@example.test\r\nSubject: Old\r\n"
                              "Date: Sat, 21 Nov 2026 09:52:00 +0000\r\n\r\nText\r\n");
    struct intake_in in = { .source = SOURCE_API, .envelope_from = BYTES("app@example.test"), .n_recipients = 1 };
    struct recipient_check_in check = { .lenient = true };
    struct recipient to;
    struct intake_out out;
    struct intake *k;
    struct bytes text;

    check.address = at(w, "ana@example.test", "/to").address;
    must(&w->c, recipient_check(&w->c, &check, &to));
    in.recipients = &to;
    in.scheduled_at = store_now(w->svc->store) + HOUR;
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, mail) && intake_commit(&k, &w->c, &out));
    is_due(w, out.message_id);
    released(w);
    text = entry_text(w, only_entry(w, w->ana.inbox_id).id);
    assert_int_equal(header_count(bytes_head(text, header_end(text)), "Date"), 1);
    assert_true(has(text, BYTES("Date: Sat, 21 Nov 2026 09:52:00 +0000")));
}

/* Its sender is told of a delay that it has had since it began. */
static void a_delay_is_one_from_its_time_on(void **state)
{
    struct world *w = *state;
    struct message_send_in in;
    struct intake_out out;
    const struct set old = SET("created_at", V_TIME(clock_wall() - 10 * HOUR));
    struct batch *b = batch_new(w->arena);
    struct err e = { 0 };
    struct done done = { 0 };
    struct want want = { .most = 1 };
    struct work *work;
    size_t n;

    set_param("server.hostname", "mx.example.test");
    set_param("delivery.mode", "live");
    in = later(w, TO("far@away.test"));
    in.from = at(w, "bo@example.test", "/from");
    in.dsn = true;
    must(&w->c, message_send(&w->c, &in, &out));
    batch_update(b, &delivery_kind, out.recipients[0].delivery_id, NULL, 0, &old, 1);
    commit(w, b);
    is_due(w, out.message_id);
    assert_int_equal(released(w), 1);
    want.flow = deliveries(w, out.message_id, 1)->flow;
    assert_true(queue_claim(w->svc, &want, 1, w->arena, &work, &n, &e) && n == 1);
    done = (struct done){ .work = work, .verdict = verdict_of(CAUSE_PLAYED_DEFERRAL, clock_wall()) };
    assert_true(queue_finish(w->svc, w->arena, &done, 1, &e) && done.written);
    assert_bytes(deliveries(w, out.message_id, 1)->status, BYTES("deferred"));
    assert_int_equal(deliveries(w, out.message_id, 1)->warned, 0);
    set_param("delivery.mode", "sandbox");
}

/* Who claimed it has died: it is claimed again, and begins once. */
static void a_claim_that_dies_does_nothing(void **state)
{
    struct world *w = *state;
    struct intake_out out = scheduled(w, TO("ana@example.test", "eve@other.test"));
    struct batch *b = batch_new(w->arena);
    const struct set taken[] = { SET("lease_until", V_TIME(store_now(w->svc->store) + HOUR)),
                                 SET("release_at", V_TIME(store_now(w->svc->store) + HOUR)),
                                 SET("holder", V_ID(w->svc->node)), SET("token", V_INT(1)) };
    struct err e = { 0 };
    size_t n;

    batch_update(b, &message_kind, out.message_id, NULL, 0, taken, 4);
    commit(w, b);
    assert_int_equal(released(w), 0);
    set_param("delivery.lease", "30s");
    if (!release_begin(w->svc, &e))
        fail_msg("%s", e.message);
    is_due(w, out.message_id);
    b = batch_new(w->arena);
    batch_update(b, &message_kind, out.message_id, NULL, 0, &SET("lease_until", V_TIME(1)), 1);
    commit(w, b);
    assert_int_equal(released(w), 1);
    only_entry(w, w->ana.inbox_id);
    entries_in(w, w->eve.inbox_id, &n);
    assert_int_equal(n, 1); /* another account's, which has a message of its own only now */
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_is_done_before_its_time),
        T(it_begins_once_with_its_date),
        T(suppressions_are_those_of_then),
        T(its_mode_is_that_of_its_acceptance),
        T(a_sender_who_may_not_any_more_sends_nothing),
        T(a_domain_that_lost_its_proof_sends_nothing_out),
        T(what_is_cancelled_does_not_begin),
        T(it_is_moved_until_it_is_claimed),
        T(its_time_is_within_bounds),
        T(what_waits_can_only_be_given_up_by_hand),
        T(raw_mail_keeps_its_date),
        T(a_delay_is_one_from_its_time_on),
        T(a_claim_that_dies_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
