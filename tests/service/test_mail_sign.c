/* Which mail is signed when it is accepted, and what becomes of it when its key does not open; that others verify the
 * signatures shows tests/e2e/test_delivery_dkim.py. */
#include "service/identity/dkim.h"
#include "service/queue/queue_sign.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static size_t signatures(struct world *w, struct id message)
{
    struct bytes trace = message_of_id(w, message).trace;

    assert_int_equal(header_count(trace, "Received"), 1);
    assert_int_equal(header_count(trace, "Feedback-ID"), header_count(trace, "DKIM-Signature") ? 1 : 0);
    return header_count(trace, "DKIM-Signature");
}

static void what_goes_further_is_signed(void **state)
{
    static const struct {
        const char *to;
        size_t signatures;
    } rows[] = {
        { "ana@example.test", 0 }, /* a mailbox of ours */
        { "eve@other.test", 0 },   /* one of another account */
        { "x@far.test", 2 },
        { "delivered@sandbox.test", 2 },
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(signatures(w, sent(w, 1, (const char *const[]){ rows[i].to }).message_id), rows[i].signatures);
    assert_int_equal(signatures(w, sent(w, TO("ana@example.test", "x@far.test")).message_id), 2);
    act(w, &w->test_key, "api");
    assert_int_equal(signatures(w, sent(w, TO("x@far.test")).message_id), 0);
}

static void nothing_is_signed_where_a_relay_does(void **state)
{
    struct world *w = *state;
    struct err e = { 0 };

    assert_true(param_set(PARAM_dkim_sign, PARAM_FROM_FLAG, BYTES("false"), &e));
    assert_int_equal(signatures(w, sent(w, TO("x@far.test")).message_id), 0);
    assert_true(param_set(PARAM_dkim_sign, PARAM_FROM_FLAG, BYTES("true"), &e));
}

static bool give_once(void *ctx, struct bytes *chunk, struct err *e)
{
    struct bytes *left = ctx;

    (void)e;
    *chunk = *left;
    *left = NO_BYTES;
    return true;
}

static void a_field_too_many_is_refused(void **state)
{
    struct world *w = *state;
    struct message_send_in in = { .is_raw = true };
    struct intake_out out;
    struct bytes left;
    struct buf mail;

    buf_init(&mail, 1 << 20);
    buf_adds(&mail, "From: app@example.test\r\nTo: x@far.test\r\n");
    for (int i = 0; i < 9000; i++)
        buf_adds(&mail, "Resent-To: x@far.test\r\n");
    buf_adds(&mail, "\r\nx\r\n");
    left = buf_bytes(&mail);
    in.raw = (struct source){ give_once, &left };
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_HEADERS_TOO_LARGE);
    buf_clear(&mail);
}

/* ---- a key that does not open ---- */

static struct id domain_id(struct world *w)
{
    struct value name = V_TEXT(BYTES("example.test"));
    struct domain_row row;
    struct err e = { 0 };

    if (!store_get_by(w->svc->store, &domain_kind, "name", &name, 1, w->arena, &row, &e))
        fail_msg("%s", e.message);
    return row.id;
}

/* As if the keys were of another server; or rightly ours again. */
static void wrap_by(struct world *w, const char *name)
{
    struct batch *b = batch_new(w->arena);
    const struct set wrap = SET("wrap", V_TEXT(bytes_of(name)));
    struct domain_row domain = { .id = domain_id(w), .account_id = w->account };
    const struct dkim_row *rows;
    struct call c;
    size_t n;

    call_init(&c, w->svc, w->arena, "test");
    must(&c, dkim_ensure(&c, &domain, &rows, &n));
    for (size_t i = 0; i < n; i++)
        batch_update(b, &dkim_kind, rows[i].id, NULL, 0, &wrap, 1);
    commit(w, b);
    dkim_changed(w->svc);
}

static void broken(struct world *w, const char *on_failure)
{
    struct err e = { 0 };

    go_live();
    if (!param_set(PARAM_dkim_on_failure, PARAM_FROM_FLAG, bytes_of(on_failure), &e))
        fail_msg("%s", e.message);
    wrap_by(w, "00000000");
}

static size_t told(struct world *w)
{
    struct event_row *all;
    void *rows;
    size_t n = rows_of(w, &event_kind, "account", "account_id", V_ID(w->key.account_id), &rows), found = 0;

    all = rows;
    for (size_t i = 0; i < n; i++)
        found += bytes_equal(all[i].type, BYTES("domain.dkim_failed")) && id_equal(all[i].domain_id, domain_id(w));
    return found;
}

static void it_is_held(void **state)
{
    struct world *w = *state;
    struct intake_out out;
    struct delivery_row d;

    broken(w, "hold");
    out = sent(w, TO("x@far.test", "ana@example.test"));
    d = row_of(w, out.recipients[0].delivery_id);
    assert_bytes(d.status, BYTES("held"));
    assert_true(!d.flow.p && !d.send_at && !d.due_at && d.wrapped_key.p);
    assert_non_null(memmem(d.last.p, d.last.n, "4.7.5", 5));
    assert_bytes(row_of(w, out.recipients[1].delivery_id).status, BYTES("delivered"));
    assert_int_equal(events(w, out.message_id, "email.held"), 1);
    assert_true(message_of_id(w, out.message_id).to_sign);
    sent(w, TO("y@far.test"));
    assert_int_equal(told(w), 1); /* an hour long */
}

static void it_leaves_unsigned(void **state)
{
    struct world *w = *state;
    struct intake_out out;

    broken(w, "unsigned");
    out = sent(w, TO("x@far.test"));
    assert_bytes(row_of(w, out.recipients[0].delivery_id).status, BYTES("queued"));
    assert_int_equal(signatures(w, out.message_id), 0);
    assert_false(message_of_id(w, out.message_id).to_sign);
    assert_int_equal(told(w), 1);
}

static void it_is_not_taken(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("x@far.test"));
    struct intake_out out;

    broken(w, "reject");
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_UNSIGNED);
    act(w, &w->key, "api");
    sent(w, TO("ana@example.test")); /* needs none */
    assert_int_equal(told(w), 1);
}

/* ---- signed when it leaves ---- */

static bool sign_now(struct world *w, const struct work *work, struct bytes *lines, struct err *e)
{
    struct content_out out;
    struct queue_signing *s;
    struct bytes piece;
    bool ok;

    if (!queue_open_bare(w->svc, w->arena, work, &out, e))
        return false;
    queue_sign_begin(&s);
    while ((ok = content_next(out.content, &piece, e) && queue_sign_feed(s, piece, e)) && piece.n)
        continue;
    content_close(&out.content);
    ok = ok && queue_sign_end(&s, w->svc, w->arena, work, lines, e);
    queue_sign_drop(&s);
    return ok;
}

static void what_was_held_is_signed_when_it_leaves(void **state)
{
    struct world *w = *state;
    struct work work = { 0 };
    struct message_row m;
    struct intake_out out;
    struct err e = { 0 };
    struct bytes lines;

    broken(w, "hold");
    out = sent(w, TO("x@far.test"));
    work.row = row_of(w, out.recipients[0].delivery_id);
    m = message_of_id(w, out.message_id);
    work.message = &m;
    assert_true(queue_is_signed(&m));
    assert_false(sign_now(w, &work, &lines, &e));
    assert_int_equal(e.code, ERR_UNSIGNED);
    e = (struct err){ 0 };
    wrap_by(w, w->svc->wrap_name);
    if (!sign_now(w, &work, &lines, &e))
        fail_msg("%s", e.message);
    assert_int_equal(header_count(lines, "DKIM-Signature"), 2);
    assert_non_null(memmem(lines.p, lines.n, "feedback-id", 11)); /* it was written at once, and is signed too */
}

/* The same bytes signed again, by the same keys and in the same second, have the same signatures. */
static void signed_anew_it_is_the_same(void **state)
{
    struct world *w = *state;
    struct work *work;
    struct err e = { 0 };
    struct bytes lines, before;
    struct header was, is;
    size_t n;

    go_live();
    sent(w, TO("x@far.test"));
    work = claimed(w, 1, &n);
    assert_int_equal(n, 1);
    before = work->message->trace;
    if (!sign_now(w, work, &lines, &e))
        fail_msg("%s", e.message);
    for (size_t i = 0; i < 2; i++) {
        assert_true(header_find(before, "DKIM-Signature", i, &was) && header_find(lines, "DKIM-Signature", i, &is));
        assert_bytes(bytes_head(is.value, bytes_find(is.value, '=')),
                     bytes_head(was.value, bytes_find(was.value, '=')));
        for (const char *const *tag = (const char *const[]){ "bh=", "h=", "d=", "s=", NULL }; *tag; tag++) {
            const char *a = memmem(was.value.p, was.value.n, *tag, strlen(*tag));
            const char *b = memmem(is.value.p, is.value.n, *tag, strlen(*tag));

            assert_non_null(a);
            assert_non_null(b);
            assert_memory_equal(a, b, 20);
        }
    }
}

static void without_its_domain_there_is_none(void **state)
{
    struct world *w = *state;
    struct batch *b;
    struct work *work;
    struct err e = { 0 };
    struct bytes lines;
    size_t n;

    go_live();
    sent(w, TO("x@far.test"));
    work = claimed(w, 1, &n);
    b = batch_new(w->arena);
    batch_delete(b, &domain_kind, domain_id(w), NULL, 0);
    commit(w, b);
    refresh(w);
    if (!sign_now(w, work, &lines, &e))
        fail_msg("%s", e.message);
    assert_int_equal(lines.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_goes_further_is_signed),
        TEST(nothing_is_signed_where_a_relay_does),
        TEST(a_field_too_many_is_refused),
        TEST(it_is_held),
        TEST(it_leaves_unsigned),
        TEST(it_is_not_taken),
        TEST(what_was_held_is_signed_when_it_leaves),
        TEST(signed_anew_it_is_the_same),
        TEST(without_its_domain_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
