/* Addresses whose mail is sent on: who gets it, from which return path, back to whom, and no circles. */
#include "mail/srs.h"
#include "service/queue/ending.h"
#include "service/queue/return_path.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static int setup_live(void **state)
{
    int result = setup(state);

    go_live();
    return result;
}

static void forward(struct world *w, const char *address, const char *to, struct id user)
{
    struct batch *b = batch_new(w->arena);
    struct address_row row = { .id = id_new(), .account_id = w->account, .user_id = user };
    struct directory_domain d;

    must(&w->c, directory_domain(&w->c, BYTES("example.test"), &d));
    row.domain_id = d.id;
    row.address = bytes_of(address);
    row.forward = bytes_of(to);
    batch_insert(b, &address_kind, &row, NULL, 0);
    commit(w, b);
    directory_changed(w->svc);
}

static struct intake_out comes(struct world *w, const char *to, struct bytes mail)
{
    struct intake_out out = { 0 };

    if (!receive(w, to, 1, mail, &out))
        fail_msg("%s", w->c.err.message);
    return out;
}

/* The delivery of a message to an address; a zero row for none. */
static struct delivery_row to_of(struct world *w, struct id message, const char *email)
{
    void *rows;
    size_t n = rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &rows);
    struct delivery_row *all = rows;

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(all[i].email, bytes_of(email)))
            return all[i];
    return (struct delivery_row){ 0 };
}

/* How many mails in Ana's mailbox hold the text. */
static size_t told(struct world *w, const char *text)
{
    size_t n, found = 0;
    struct entry_row *rows = entries_in(w, w->ana.inbox_id, &n);

    for (size_t i = 0; i < n; i++)
        found += strstr(arena_text(w->arena, entry_text(w, rows[i].id)), text) != NULL;
    return found;
}

static void it_goes_to_each(void **state)
{
    struct world *w = *state;
    struct intake_out m;
    struct delivery_row d;
    size_t n;

    forward(w, "info@example.test", "[\"x@far.test\",\"bo@example.test\",\"nobody@example.test\"]", NO_ID);
    m = comes(w, "info@example.test", A_MAIL);
    assert_int_equal(m.n_recipients, 1);
    assert_bytes(m.recipients[0].status, BYTES("delivered"));
    d = to_of(w, m.message_id, "x@far.test");
    assert_bytes(d.status, BYTES("queued"));
    assert_bytes(d.via, BYTES("info@example.test"));
    assert_true(d.flow.p && id_equal(d.account_id, w->account));
    assert_bytes(to_of(w, m.message_id, "nobody@example.test").status, BYTES("bounced"));
    entries_in(w, w->bo.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(message_of_id(w, m.message_id).n_open, 1);
}

static void a_user_may_have_it_too(void **state)
{
    struct world *w = *state;
    struct intake_out m;
    size_t n;

    forward(w, "both@example.test", "[\"x@far.test\"]", w->ana.id);
    m = comes(w, "both@example.test", A_MAIL);
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_bytes(to_of(w, m.message_id, "both@example.test").status, BYTES("delivered"));
    assert_bytes(to_of(w, m.message_id, "x@far.test").status, BYTES("queued"));
}

static struct recipient taken_from(struct world *w, struct bytes email, bool nobody, bool *ok)
{
    struct recipient_check_in in = { .from_nobody = nobody };
    struct recipient out = { 0 };

    act(w, NULL, "smtp");
    must(&w->c, address_parse(email, w->arena, &in.address, &w->c.err));
    *ok = recipient_check(&w->c, &in, &out);
    return out;
}

static struct bytes path_of(struct world *w, struct id message, const char *to)
{
    struct message_row m = message_of_id(w, message);
    struct delivery_row d = to_of(w, message, to);

    return return_path_write(w->svc, &m, &d, false, w->arena);
}

/* From <> alone, or it would be a relay for all. */
static void a_report_finds_its_way_back(void **state)
{
    struct world *w = *state;
    struct bytes path;
    struct recipient r;
    bool ok;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    path = path_of(w, comes(w, "info@example.test", A_MAIL).message_id, "x@far.test");
    assert_true(bytes_starts(path, BYTES("SRS0=")) && bytes_ends(path, BYTES("=away.test=far@example.test")));
    r = taken_from(w, path, true, &ok);
    assert_true(ok && r.kind == RECIPIENT_REMOTE && id_equal(r.account_id, w->account));
    assert_bytes(r.email, BYTES("far@away.test"));
    taken_from(w, path, false, &ok);
    assert_false(ok);
    assert_int_equal(w->c.err.code, ERR_MISSING);
    taken_from(w, arena_bytesf(w->arena, "SRS0=aaaaaaaa%.*s", SHOW(bytes_from(path, 13))), true, &ok);
    assert_false(ok);
}

/* It leaves again from <>, of the account that sent the mail on. */
static void a_report_is_sent_back(void **state)
{
    struct world *w = *state;
    struct intake_in in = { .source = SOURCE_SMTP, .n_recipients = 1 };
    struct intake *k = NULL;
    struct intake_out out;
    struct recipient r;
    struct message_row m;
    bool ok;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    r = taken_from(w, path_of(w, comes(w, "info@example.test", A_MAIL).message_id, "x@far.test"), true, &ok);
    assert_true(ok);
    in.recipients = &r;
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, A_MAIL));
    must(&w->c, intake_commit(&k, &w->c, &out));
    m = message_of_id(w, out.message_id);
    assert_true(id_equal(m.account_id, w->account) && !m.envelope_from.n);
    assert_int_equal(path_of(w, out.message_id, "far@away.test").n, 0);
    assert_bytes(to_of(w, out.message_id, "far@away.test").status, BYTES("queued"));
}

static void it_leaves_with_its_mark(void **state)
{
    struct world *w = *state;
    struct content_out content;
    struct intake_out m;
    struct bytes piece;
    struct err e = { 0 };
    struct work *all;
    size_t n;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    m = comes(w, "info@example.test", A_MAIL);
    all = claimed(w, 9, &n);
    assert_int_equal(n, 1);
    assert_true(queue_open(w->svc, w->arena, all, &content, &e));
    assert_int_equal(content.size, message_of_id(w, m.message_id).size + queue_mark_size(&all[0].row));
    assert_true(content_next(content.content, &piece, &e));
    assert_true(bytes_starts(piece, BYTES("Delivered-To: info@example.test\r\nAuthentication-Results: ")));
    assert_non_null(memmem(piece.p, piece.n, BYTES("\r\nReceived: ").p, BYTES("\r\nReceived: ").n));
    content_close(&content.content);
}

static void what_was_here_goes_no_further(void **state)
{
    struct world *w = *state;
    struct intake_out m;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    m = comes(w, "info@example.test", BYTES("Delivered-To: Info@EXAMPLE.test\r\nFrom: far@away.test\r\n\r\nx\r\n"));
    assert_bytes(m.recipients[0].status, BYTES("bounced"));
    assert_int_equal(message_of_id(w, m.message_id).n_open, 0);
}

static void circles_end(void **state)
{
    struct world *w = *state;
    struct intake_out m;

    forward(w, "one@example.test", "[\"two@example.test\"]", NO_ID);
    forward(w, "two@example.test", "[\"one@example.test\",\"x@far.test\"]", NO_ID);
    m = comes(w, "one@example.test", A_MAIL);
    assert_int_equal(message_of_id(w, m.message_id).n_open, 1);
    assert_int_equal(message_of_id(w, m.message_id).n_failed, 1);
    assert_bytes(to_of(w, m.message_id, "x@far.test").via, BYTES("two@example.test"));
}

/* To info@example.test, by the other account. */
static struct intake_out sent_by_other(struct world *w)
{
    struct message_send_in in = a_send(w, TO("info@example.test"));
    struct intake_out out = { 0 };

    act(w, &w->other_key, "api");
    in.from = at(w, "app@other.test", "/from");
    must(&w->c, message_send(&w->c, &in, &out));
    return out;
}

/* The same mail as it is shown to the account of the address. */
static struct id ours_of(struct world *w, struct id message)
{
    return message_id_for(message_of_id(w, message).body_id, w->account);
}

/* Whoever sends the mail sees that the address took it, and no more. */
static void another_account_sees_one_delivery(void **state)
{
    struct world *w = *state;
    struct intake_out m;
    struct id ours;
    void *rows;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    m = sent_by_other(w);
    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(m.message_id), &rows), 1);
    assert_bytes(((struct delivery_row *)rows)->status, BYTES("delivered"));
    ours = ours_of(w, m.message_id);
    assert_bytes(to_of(w, ours, "x@far.test").status, BYTES("queued"));
    assert_true(bytes_ends(path_of(w, ours, "x@far.test"), BYTES("=other.test=app@example.test")));
}

/* Who asks for it hears that it was sent on; of what becomes of it there the address is named, not where it went. */
static void what_its_sender_is_told(void **state)
{
    struct world *w = *state;
    struct recipient to = { 0 };
    struct intake_in in = {
        .source = SOURCE_SUBMISSION, .envelope_from = BYTES("ana@example.test"), .recipients = &to, .n_recipients = 1
    };
    struct recipient_check_in check = { .address = at(w, "info@example.test", "").address };
    struct attempt refused = { .code = 550, .mx = BYTES("mx.far.test"), .text = BYTES("No") };
    struct intake *k = NULL;
    struct intake_out out;
    struct work *all;
    size_t n;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    act(w, &w->ana_login, "submission");
    must(&w->c, recipient_check(&w->c, &check, &to));
    to.dsn = BYTES("{\"notify\":\"SUCCESS,FAILURE\"}");
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, BYTES("From: ana@example.test\r\n\r\nx\r\n")));
    must(&w->c, intake_commit(&k, &w->c, &out));
    all = claimed(w, 9, &n);
    assert_int_equal(n, 1);
    finish(w, all, 1, (struct verdict){ .outcome = OUTCOME_BOUNCED, .attempt = &refused }, false);
    work(w);
    assert_int_equal(told(w, "Action: expanded"), 1);
    assert_int_equal(told(w, "Action: failed"), 1);
    assert_int_equal(told(w, "Final-Recipient: rfc822; info@example.test"), 2);
    assert_int_equal(told(w, "x@far.test"), 0);
}

static void unverify(struct world *w, struct bytes domain)
{
    struct set unverified = SET("verified_at", V_TIME(0));
    struct batch *b = batch_new(w->arena);
    struct directory_domain d;

    must(&w->c, directory_domain(&w->c, domain, &d));
    batch_update(b, &domain_kind, d.id, NULL, 0, &unverified, 1);
    commit(w, b);
    directory_changed(w->svc);
}

/* Whoever sends to the address need not know that it sends on: nothing is refused. */
static void nor_for_a_sender_of_such_a_domain(void **state)
{
    struct world *w = *state;
    struct id ours;

    forward(w, "info@example.test", "[\"x@far.test\",\"bo@example.test\"]", NO_ID);
    unverify(w, BYTES("other.test"));
    ours = ours_of(w, sent_by_other(w).message_id);
    assert_bytes(to_of(w, ours, "x@far.test").status, BYTES("bounced"));
    assert_bytes(to_of(w, ours, "bo@example.test").status, BYTES("delivered"));
}

static void from_a_domain_of_nobody_nothing_leaves(void **state)
{
    struct world *w = *state;
    struct intake_out m;

    forward(w, "info@example.test", "[\"x@far.test\"]", NO_ID);
    unverify(w, BYTES("example.test"));
    m = comes(w, "info@example.test", A_MAIL);
    assert_bytes(to_of(w, m.message_id, "x@far.test").status, BYTES("bounced"));
}

int main(void)
{
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup_live, teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(it_goes_to_each),
        WORLD_TEST(a_user_may_have_it_too),
        WORLD_TEST(a_report_finds_its_way_back),
        WORLD_TEST(a_report_is_sent_back),
        WORLD_TEST(it_leaves_with_its_mark),
        WORLD_TEST(what_was_here_goes_no_further),
        WORLD_TEST(circles_end),
        WORLD_TEST(another_account_sees_one_delivery),
        WORLD_TEST(what_its_sender_is_told),
        WORLD_TEST(nor_for_a_sender_of_such_a_domain),
        WORLD_TEST(from_a_domain_of_nobody_nothing_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
