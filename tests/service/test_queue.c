/* Mail that leaves, at the store: it waits in flows and is claimed under leases; whoever has lost a lease changes
 * nothing. How its attempts end: test_queue_ends.c */
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static void what_leaves_waits_in_flows(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct flow_found *list;
    struct delivery_row row;
    size_t n;

    out = sent(w, TO("x@far.test")); /* in the sandbox it is captured */
    assert_bytes(out.status, BYTES("captured"));
    go_live();
    out = sent(w, TO("x@far.test", "y@FAR.test", "z@away.test", "bo@example.test"));
    assert_bytes(out.status, BYTES("queued"));
    assert_bytes(out.mode, BYTES("live"));
    assert_bytes(out.recipients[3].status, BYTES("delivered")); /* what is here stays here */
    list = flows(w, &n);
    assert_int_equal(n, 2);
    assert_true(bytes_starts(list[0].flow, BYTES("away.test/n/")) &&
                bytes_ends(list[0].flow, id_text(w->arena, "", w->account))); /* of its default stream */
    assert_true(bytes_starts(list[1].flow, BYTES("far.test/n/")));
    row = row_of(w, out.recipients[1].delivery_id);
    assert_true(row.due_at == 0 && row.send_at > 0 && row.send_at == list[1].send_at);
    assert_bytes(row.status, BYTES("queued"));
    assert_bytes(row.flow, list[1].flow);
    assert_int_equal(work(w), 0); /* it is no local work */
    act(w, &w->test_key, "api");
    out = sent(w, TO("x@far.test")); /* a test key's mail goes nowhere */
    assert_bytes(out.status, BYTES("delivered"));
}

static void hurried_mail_has_a_flow_of_its_own(void **state)
{
    struct world *w = *state;
    const char *to[] = { "x@far.test" };
    struct message_send_in in = a_send(w, 1, to);
    struct intake_out out = { 0 };

    go_live();
    in.expires_after = 1800;
    must(&w->c, message_send(&w->c, &in, &out));
    assert_true(bytes_starts(row_of(w, out.recipients[0].delivery_id).flow, BYTES("far.test/h/")));
}

static void claims_are_limited_by_flow(void **state)
{
    struct world *w = *state;
    size_t n, of_far = 0;
    struct work *all;

    go_live();
    sent(w, TO("a@far.test", "b@far.test", "c@far.test", "d@away.test"));
    all = claimed(w, 2, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        of_far += bytes_equal(all[i].row.site, BYTES("far.test"));
        assert_ptr_equal(all[i].message, all[0].message);
        assert_false(all[i].message_gone);
    }
    assert_int_equal(of_far, 2);
    claimed(w, 2, &n);
    assert_int_equal(n, 1); /* the third of far.test; the others are leased */
}

static void what_was_not_sent_goes_back(void **state)
{
    struct world *w = *state;
    struct work *all, *again;
    struct work *list[1];
    struct err e = { 0 };
    struct delivery_row row;
    size_t n;

    go_live();
    sent(w, TO("a@far.test"));
    all = claimed(w, 1, &n);
    assert_int_equal(n, 1);
    list[0] = all;
    assert_true(queue_return(w->svc, w->arena, list, 1, &e));
    row = row_of(w, all->row.id);
    assert_true(row.send_at == all->row.send_at && !row.lease_until && row.attempts == 0);
    again = claimed(w, 1, &n);
    assert_true(n == 1 && again->row.token > all->row.token && !again->row.lapsed);
}

static void a_lease_that_is_renewed_lasts(void **state)
{
    struct world *w = *state;
    struct work *all;
    struct work *list[1];
    struct err e = { 0 };
    int64_t was;
    size_t n;

    go_live();
    sent(w, TO("a@far.test"));
    all = claimed(w, 1, &n);
    was = row_of(w, all->row.id).lease_until;
    list[0] = all;
    usleep(2000);
    assert_true(queue_renew(w->svc, w->arena, list, 1, &e));
    assert_false(all->lost);
    assert_true(row_of(w, all->row.id).lease_until > was);
    assert_true(row_of(w, all->row.id).send_at == all->row.lease_until);
}

/* As if its time had run out. */
static void let_lapse(struct world *w, struct id delivery)
{
    struct set sets[] = { SET("lease_until", V_TIME(clock_wall() - 10)), SET("send_at", V_TIME(clock_wall() - 10)) };

    change(w, delivery, sets, 2);
}

static void who_loses_a_lease_writes_nothing(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct work *first, *second, *list[1];
    struct err e = { 0 };
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test"));
    first = claimed(w, 9, &n);
    assert_int_equal(n, 2);
    let_lapse(w, first[0].row.id);
    second = claimed(w, 9, &n);
    assert_true(n == 1 && second->row.lapsed && id_equal(second->row.id, first[0].row.id));
    assert_int_equal(events(w, out.message_id, "email.ambiguous"), 1);

    finish(w, first, 2, delivered, false); /* the other one of the transaction is still ours */
    assert_true(first[0].lost && !first[1].lost);
    assert_bytes(row_of(w, first[0].row.id).status, BYTES("queued"));
    assert_bytes(row_of(w, first[1].row.id).status, BYTES("delivered"));
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 1);
    list[0] = first;
    first->lost = false;
    assert_true(queue_renew(w->svc, w->arena, list, 1, &e) && first->lost);
    first->lost = false;
    assert_true(queue_return(w->svc, w->arena, list, 1, &e) && first->lost);

    finish(w, second, 1, delivered, false);
    assert_int_equal(message_of_id(w, out.message_id).n_delivered, 2);
    assert_int_equal(message_of_id(w, out.message_id).n_open, 0);
}

static void a_start_ends_its_own_leases(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct err e = { 0 };
    struct work *all;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test"));
    claimed(w, 9, &n);
    assert_int_equal(n, 1);
    assert_true(queue_begin(w->svc, &e));
    all = claimed(w, 9, &n);
    assert_true(n == 1 && all->row.lapsed); /* who knows whether it was sent */
    assert_int_equal(events(w, out.message_id, "email.ambiguous"), 1);
}

static void what_is_past_its_time_is_given_up(void **state)
{
    struct world *w = *state;
    struct set past[] = { SET("expires_at", V_TIME(1)), SET("send_at", V_TIME(clock_wall() + 900000)) };
    struct intake_out out;
    struct err e = { 0 };
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test", "c@far.test"));
    change(w, out.recipients[0].delivery_id, past, 2);
    claimed(w, 9, &n);
    assert_int_equal(n, 2);
    change(w, out.recipients[1].delivery_id, past, 1); /* and under way */
    sweep(w);
    assert_bytes(row_of(w, out.recipients[0].delivery_id).status, BYTES("expired"));
    assert_bytes(row_of(w, out.recipients[1].delivery_id).status, BYTES("queued"));
    assert_int_equal(events(w, out.message_id, "email.expired"), 1);
    assert_true(queue_expire(w->svc, &n, &e));
    assert_int_equal(n, 0);
}

static void without_tls_it_ends_so(void **state)
{
    struct world *w = *state;
    struct set past[] = { SET("expires_at", V_TIME(1)), SET("send_at", V_TIME(clock_wall() + 900000)),
                          SET("last", V_JSON(BYTES("{\"code\":0,\"cause\":\"tls\"}"))) };
    struct intake_out out;
    struct delivery_row row;

    go_live();
    out = sent(w, TO("a@far.test"));
    change(w, out.recipients[0].delivery_id, past, 3);
    sweep(w);
    row = row_of(w, out.recipients[0].delivery_id);
    assert_bytes(row.status, BYTES("expired"));
    assert_bytes(json_part(row.last, "enhanced"), BYTES("\"4.7.5\""));
    assert_bytes(json_part(row.last, "cause"), BYTES("\"tls\""));
}

static void what_an_older_build_ended_loses_its_flow(void **state)
{
    struct world *w = *state;
    struct set ended = SET("status", V_TEXT(BYTES("cancelled")));
    struct intake_out out;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test"));
    change(w, out.recipients[0].delivery_id, &ended, 1);
    claimed(w, 9, &n);
    assert_int_equal(n, 1);
    assert_false(row_of(w, out.recipients[0].delivery_id).flow.p);
}

static void a_cancel_takes_it_out_of_its_flow(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct message_view view;
    struct message_cancel_in in;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test"));
    in.id = id_of(w, &message_kind, out.message_id);
    must(&w->c, message_cancel(&w->c, &in, &view));
    flows(w, &n);
    assert_int_equal(n, 0);
}

static void the_bytes_are_those_that_were_accepted(void **state)
{
    struct world *w = *state;
    struct content_out content;
    struct err e = { 0 };
    struct bytes piece;
    struct buf text;
    struct work *all;
    size_t n;

    go_live();
    sent(w, TO("a@far.test"));
    all = claimed(w, 1, &n);
    if (!queue_open(w->svc, w->arena, all, &content, &e))
        fail_msg("%s", e.message);
    buf_init(&text, 1 << 20);
    for (;;) {
        assert_true(content_next(content.content, &piece, &e));
        if (!piece.n)
            break;
        buf_add(&text, piece);
    }
    content_close(&content.content);
    assert_int_equal(text.n, content.size);
    assert_int_equal(text.n, all->message->size);
    assert_true(bytes_ends(buf_bytes(&text), BYTES("The quick brown walrus.\r\n")));
    buf_clear(&text);
}

static void what_waits_for_a_network_can_be_hastened(void **state)
{
    static const struct attempt lost = { .enhanced = BYTES_ROW("4.4.1"), .cause = BYTES_ROW("network") };
    struct world *w = *state;
    struct verdict away = { .outcome = OUTCOME_DEFERRED, .attempt = &lost, .next_at = clock_wall() + 900000 };
    struct intake_out out;
    struct err e = { 0 };
    struct work *all;
    size_t n;

    go_live();
    out = sent(w, TO("a@far.test", "b@far.test", "c@farther.test", "d@far.test.example"));
    all = claimed(w, 9, &n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) /* b is put off by its host */
        finish(w, &all[i], 1, bytes_equal(all[i].row.email, BYTES("b@far.test")) ? later(away.next_at) : away, false);
    assert_true(queue_hasten(w->svc, BYTES("far.test"), NO_ID, &n, &e));
    assert_int_equal(n, 1);
    assert_true(row_of(w, out.recipients[0].delivery_id).send_at <= clock_wall());
    assert_true(row_of(w, out.recipients[1].delivery_id).send_at > clock_wall());
    assert_true(queue_hasten(w->svc, NO_BYTES, w->other, &n, &e)); /* that route is another account's */
    assert_int_equal(n, 0);
    assert_true(queue_hasten(w->svc, NO_BYTES, NO_ID, &n, &e));
    assert_int_equal(n, 2);
    claimed(w, 9, &n);
    assert_int_equal(n, 3);
}

struct ear {
    struct outlet outlet;
    size_t n;
};

static bool heard(struct outlet *o, struct bytes flow, int64_t send_at)
{
    assert_true(bytes_starts(flow, BYTES("far.test/n/")) && send_at > 0);
    ((struct ear *)(void *)o)->n++;
    return true;
}

static void whoever_sends_hears_of_new_mail(void **state)
{
    struct world *w = *state;
    struct ear ear = { { .arrived = heard }, 0 };

    go_live();
    queue_listen(w->svc, &ear.outlet);
    sent(w, TO("a@far.test", "bo@example.test"));
    assert_int_equal(ear.n, 1);
    queue_listen(w->svc, NULL);
    sent(w, TO("a@far.test"));
    assert_int_equal(ear.n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_leaves_waits_in_flows),
        TEST(hurried_mail_has_a_flow_of_its_own),
        TEST(claims_are_limited_by_flow),
        TEST(what_was_not_sent_goes_back),
        TEST(a_lease_that_is_renewed_lasts),
        TEST(who_loses_a_lease_writes_nothing),
        TEST(a_start_ends_its_own_leases),
        TEST(what_is_past_its_time_is_given_up),
        TEST(without_tls_it_ends_so),
        TEST(what_an_older_build_ended_loses_its_flow),
        TEST(a_cancel_takes_it_out_of_its_flow),
        TEST(the_bytes_are_those_that_were_accepted),
        TEST(what_waits_for_a_network_can_be_hastened),
        TEST(whoever_sends_hears_of_new_mail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
