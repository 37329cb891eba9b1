/* Mail that commits with other things, mail of the server's own, and what is learnt of a mail as it streams by. */
#include "service/core/idempotency.h"
#include "service/queue/ending.h"
#include "tests/service/mail_world.h"

static struct intake *begun(struct world *w, struct intake_in in, struct recipient *to, struct bytes mail)
{
    struct intake *k;

    in.recipients = to;
    in.n_recipients = 1;
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, mail));
    must(&w->c, intake_end(k, &w->c));
    return k;
}

static struct recipient checked(struct world *w, const char *email)
{
    struct recipient_check_in in = { .utf8_ok = true, .lenient = true };
    struct recipient out;

    must(&w->c, address_parse(bytes_of(email), w->arena, &in.address, &w->c.err));
    must(&w->c, recipient_check(&w->c, &in, &out));
    return out;
}

#define FROM_US BYTES("From: app@example.test\r\nSubject: Geese\r\n\r\nThey fly.\r\n")

/* What such a mail takes of a mailbox. */
static int64_t one_size(struct world *w, struct intake_in in)
{
    struct recipient to = checked(w, "bo@example.test");
    struct intake *k;
    struct intake_out out;

    in.recipients = &to;
    in.n_recipients = 1;
    must(&w->c, intake_begin(&w->c, &in, &k));
    must(&w->c, intake_append(k, &w->c, FROM_US));
    must(&w->c, intake_commit(&k, &w->c, &out));
    return only_entry(w, w->bo.inbox_id).size;
}

/* Both in one batch; the second does not fit any more, and bounces without the first. */
static void many_mails_are_one_batch(void **state)
{
    struct world *w = *state;
    struct intake_in in = { .source = SOURCE_API, .envelope_from = BYTES("app@example.test") };
    struct recipient to = checked(w, "ana@example.test");
    struct intake *k[2] = { begun(w, in, &to, FROM_US), begun(w, in, &to, FROM_US) };
    struct intake_out out[2];
    int64_t most = ((int64_t)1 << 30) + PARAM_INT(message, size_max); /* what a batch may take a mailbox to */
    struct set used = SET("used", V_INT(most - one_size(w, in) * 3 / 2));
    struct batch *b = batch_new(w->arena);
    bool done = false;
    size_t n, tries = 0;

    batch_update(b, &user_kind, w->ana.id, NULL, 0, &used, 1);
    commit(w, b);
    while (!done) {
        b = batch_new(w->arena);
        for (size_t i = 0; i < 2; i++)
            must(&w->c, intake_build(k[i], &w->c, b, &out[i]));
        done = call_commit(&w->c, b, out, out[0].message_id);
        if (!done && !intake_mend(k[0], &w->c, batch_failure(b)))
            must(&w->c, intake_mend(k[1], &w->c, batch_failure(b)));
        assert_true(++tries < 4);
    }
    for (size_t i = 0; i < 2; i++) {
        intake_done(k[i], &w->c);
        intake_drop(&k[i]);
    }
    assert_int_equal(tries, 2);
    assert_bytes(out[0].recipients[0].status, BYTES("delivered"));
    assert_bytes(out[1].recipients[0].status, BYTES("bounced"));
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 1);
    assert_int_equal(message_of_id(w, out[1].message_id).n_failed, 1);
}

/* ---- many mails of one request under one Idempotency-Key ---- */

#define MANY 100

struct many {
    struct recipient to[MANY];
    struct intake *k[MANY];
    struct intake_out out[MANY];
};

static bool render_many(void *ctx, const void *out, struct buf *answer, struct bytes *location)
{
    const struct intake_out *each = out;
    char id[ID_TEXT + 1];

    (void)ctx;
    for (size_t i = 0; i < MANY; i++)
        buf_addf(answer, "%.*s\n", SHOW(id_format("msg", each[i].message_id, id)));
    *location = NO_BYTES;
    return true;
}

/* Begins a request under this key. */
static void ask_many(struct world *w, const struct principal *who, struct idempotency *key)
{
    act(w, who, "api");
    *key = (struct idempotency){ .key = BYTES("a hundred"),
                                 .route = BYTES("POST /v1/batches"),
                                 .body_hash = idempotency_hash(&w->c, BYTES("the request")),
                                 .render = render_many,
                                 .status = 202 };
    w->c.idempotency = key;
    must(&w->c, idempotency_begin(&w->c));
}

/* To ana and bo by turns; one of them is `last`'s, when there is one. */
static void begin_many(struct world *w, struct many *m, enum message_source source, const char *last)
{
    struct intake_in in = { .source = source, .envelope_from = BYTES("app@example.test") };

    for (size_t i = 0; i < MANY; i++) {
        m->to[i] = checked(w, i == MANY / 2 && last ? last : i % 2 ? "bo@example.test" : "ana@example.test");
        m->k[i] = begun(w, in, &m->to[i], FROM_US);
    }
}

static bool commit_many(struct world *w, struct many *m)
{
    for (;;) {
        struct batch *b = batch_new(w->arena);
        size_t at = 0;

        for (size_t i = 0; i < MANY; i++)
            must(&w->c, intake_build(m->k[i], &w->c, b, &m->out[i]));
        if (call_commit(&w->c, b, m->out, m->out[0].message_id))
            return true;
        while (at < MANY && !intake_mend(m->k[at], &w->c, batch_failure(b)))
            at++;
        if (at == MANY)
            return false;
    }
}

static void end_many(struct world *w, struct many *m, bool done)
{
    for (size_t i = 0; i < MANY; i++) {
        if (done)
            intake_done(m->k[i], &w->c);
        intake_drop(&m->k[i]);
    }
    idempotency_end(&w->c);
    w->c.idempotency = NULL;
}

static size_t filed(struct world *w)
{
    size_t of_ana, of_bo;

    entries_in(w, w->ana.inbox_id, &of_ana);
    entries_in(w, w->bo.inbox_id, &of_bo);
    return of_ana + of_bo;
}

/* A request under this key that is no replay files them all. */
static void many_are_filed(struct world *w, struct many *m, const struct principal *who)
{
    struct idempotency key;

    ask_many(w, who, &key);
    assert_false(key.replayed);
    begin_many(w, m, SOURCE_API, NULL);
    must(&w->c, commit_many(w, m));
    end_many(w, m, true);
    assert_int_equal(filed(w), MANY);
}

/* All or none, and a replay answers all: mail after mail is there once. */
static void many_mails_under_one_key(void **state)
{
    struct world *w = *state;
    const struct principal who = w->key;
    struct many m;
    struct idempotency key;
    struct buf want;
    struct bytes ignored;

    many_are_filed(w, &m, &who);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(message_of_id(w, m.out[i].message_id).n_delivered, 1);
    ask_many(w, &who, &key);
    assert_true(key.replayed && key.status == 202 && id_equal(key.ref, m.out[0].message_id));
    buf_init(&want, 64 * 1024);
    render_many(NULL, m.out, &want, &ignored);
    assert_true(bytes_equal(key.answer, buf_bytes(&want)));
    buf_clear(&want);
    idempotency_end(&w->c);
    assert_int_equal(filed(w), MANY);
}

/* One whose mailbox has gone since it was asked for, at a door that refuses: nobody has mail, and the key is free. */
static void one_that_fails_leaves_none_of_many(void **state)
{
    struct world *w = *state;
    const struct principal who = w->key;
    struct batch *b = batch_new(w->arena);
    struct many m;
    struct idempotency key;

    ask_many(w, &who, &key);
    begin_many(w, &m, SOURCE_SMTP, "eve@other.test");
    batch_delete(b, &user_kind, w->eve.id, NULL, 0);
    commit(w, b);
    assert_false(commit_many(w, &m));
    end_many(w, &m, false);
    assert_int_equal(filed(w), 0);
    many_are_filed(w, &m, &who);
}

/* What is not theirs fails them all, and leaves nothing. */
static void a_batch_that_fails_by_another_leaves_no_mail(void **state)
{
    struct world *w = *state;
    struct intake_in in = { .source = SOURCE_API, .envelope_from = BYTES("app@example.test") };
    struct recipient to = checked(w, "ana@example.test");
    struct intake *k = begun(w, in, &to, FROM_US);
    struct batch *b = batch_new(w->arena);
    struct intake_out out;
    size_t n;

    batch_require(b, &user_kind, id_new(), NULL, 0);
    must(&w->c, intake_build(k, &w->c, b, &out));
    assert_false(call_commit(&w->c, b, &out, out.message_id));
    assert_false(intake_mend(k, &w->c, batch_failure(b)));
    intake_drop(&k);
    entries_in(w, w->ana.inbox_id, &n);
    assert_int_equal(n, 0);
}

#define REPORT BYTES("From: MAILER-DAEMON@example.test\r\nSubject: Undelivered\r\n\r\nIt bounced.\r\n")

/* A delivery ends and its report is there, in one batch: to a full mailbox too, which is seen when it is filed. */
static void a_report_commits_with_what_it_reports(void **state)
{
    struct world *w = *state;
    struct intake_out sent_one = sent(w, TO("deferred@sandbox.test")), out;
    struct intake_in in = { .source = SOURCE_SYSTEM, .file_later = true };
    struct message_row m = message_of_id(w, sent_one.message_id);
    struct ending end = { .verdict = verdict_of(CAUSE_PLAYED_REFUSAL, 0) };
    struct endings list = { .message = &m, .each = &end, .n = 1 };
    struct batch *b = batch_new(w->arena);
    struct recipient to;
    struct intake *k;
    void *rows;
    size_t n;

    rows_of(w, &delivery_kind, "message", "message_id", V_ID(m.id), &rows);
    end.row = rows;
    act(w, NULL, "due");
    call_as_system(&w->c);
    to = checked(w, "eve@other.test"); /* of another account */
    k = begun(w, in, &to, REPORT);
    endings_add(&list, b, w->arena, clock_wall());
    must(&w->c, intake_build(k, &w->c, b, &out));
    must(&w->c, call_commit(&w->c, b, NULL, out.message_id));
    intake_done(k, &w->c);
    intake_drop(&k);
    assert_int_equal(message_of_id(w, m.id).n_failed, 1);
    assert_int_equal(events(w, m.id, "email.bounced"), 1);
    assert_bytes(out.recipients[0].status, BYTES("queued"));
    assert_int_equal(work(w), 1);
    entries_in(w, w->eve.inbox_id, &n);
    assert_int_equal(n, 1);
}

/* ---- WHO_SYSTEM: writes to anybody, does nothing else ---- */

static void the_server_addresses_anybody(void **state)
{
    static const struct {
        const char *email;
        enum recipient_kind kind;
    } all[] = { { "ana@example.test", RECIPIENT_LOCAL },
                { "eve@other.test", RECIPIENT_LOCAL },
                { "nobody@away.test", RECIPIENT_REMOTE },
                { "delivered@sandbox.test", RECIPIENT_SANDBOX } };
    struct world *w = *state;
    struct address from = { .local = BYTES("MAILER-DAEMON"), .domain = BYTES("example.test") };
    struct message_list_in in = { 0 };
    struct message_list_out out;
    struct err e = { 0 };
    enum param p;

    assert_true(param_find(BYTES("limits.user_recipients_per_hour"), &p));
    assert_true(param_set(p, PARAM_FROM_FLAG, BYTES("1"), &e));
    act(w, NULL, "due");
    call_as_system(&w->c);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(checked(w, all[i].email).kind, all[i].kind);
    must(&w->c, sender_check(&w->c, &from));
    must(&w->c, sender_check(&w->c, &(struct address){ 0 }));
    assert_false(message_list(&w->c, &in, &out));
    assert_int_equal(w->c.err.code, ERR_SCOPE);
}

/* ---- what the stream tells ---- */

struct mail {
    const char *text;
    bool body_8bit, foreign_dkim, needs_utf8;
    int64_t longest;
};

static void is_described(struct world *w, const struct mail *m, size_t chunk)
{
    struct recipient to = checked(w, "ana@example.test");
    struct intake_in in = { .source = SOURCE_SMTP, .envelope_from = BYTES("far@away.test"), .recipients = &to };
    struct bytes rest = bytes_of(m->text);
    struct intake_out out;
    struct message_row row;
    struct intake *k;

    in.n_recipients = 1;
    must(&w->c, intake_begin(&w->c, &in, &k));
    for (; rest.n; rest = bytes_from(rest, chunk < rest.n ? chunk : rest.n))
        must(&w->c, intake_append(k, &w->c, bytes_head(rest, chunk)));
    must(&w->c, intake_commit(&k, &w->c, &out));
    row = message_of_id(w, out.message_id);
    if (row.body_8bit != m->body_8bit || row.foreign_dkim != m->foreign_dkim || row.needs_utf8 != m->needs_utf8 ||
        row.longest_line != m->longest)
        fail_msg("%s: 8-bit %d, signed %d, utf8 %d, longest %lld", m->text, row.body_8bit, row.foreign_dkim,
                 row.needs_utf8, (long long)row.longest_line);
}

static void a_row_says_what_the_stream_held(void **state)
{
    static const struct mail all[] = {
        { "Subject: x\r\n\r\nabc\r\n", false, false, false, 10 },
        { "Subject: x\r\n\r\nabcdefghijkl\r\n.\r\n", false, false, false, 12 },
        { "Subject: x\r\n\r\nno end of the last line", false, false, false, 23 },
        { "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n", true, false, false, 10 },
        { "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nabc\r\n", false, false, true, 15 },
        { "dkim-signature: v=1\r\nSubject: x\r\n\r\nabc\r\n", false, true, false, 19 },
        { "Subject: x\r\n\r\nDKIM-Signature: v=1\r\n", false, false, false, 19 },
        { "Subject: only a header\r\n", false, false, false, 22 },
    };
    struct world *w = *state;

    act(w, NULL, "smtp");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t chunk = 1; chunk < 100; chunk += 33)
            is_described(w, &all[i], chunk);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(many_mails_are_one_batch),
        T(many_mails_under_one_key),
        T(one_that_fails_leaves_none_of_many),
        T(a_batch_that_fails_by_another_leaves_no_mail),
        T(a_report_commits_with_what_it_reports),
        T(the_server_addresses_anybody),
        T(a_row_says_what_the_stream_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
