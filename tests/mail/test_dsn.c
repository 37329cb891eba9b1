/* mail/dsn.h: reports that programs and people can read, whatever other servers wrote; read back by mail/bounce.h */
#include "tests/mail/plenty.h"
#include "tests/mail/shape.h"

#include "mail/bounce.h"

static const char original[] = "Received: by mx.example.org\r\nFrom: ana@example.org\r\nTo: bo@example.net\r\n"
                               "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= <1>\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\n"
                               "Message-ID: <1@example.org>\r\n";

static struct dsn_recipient failed(void)
{
    return (struct dsn_recipient){ .address = BYTES("bo@example.net"),
                                   .original = BYTES("rfc822;bo@example.com"),
                                   .action = DSN_FAILED,
                                   .status = BYTES("5.1.1"),
                                   .remote_mta = BYTES("mx.example.net"),
                                   .reply = BYTES("550 5.1.1 No such user"),
                                   .why = WHY_UNKNOWN_USER,
                                   .last_attempt = 1795860000000 };
}

static struct dsn dsn_of(const struct dsn_recipient *list, size_t n)
{
    return (struct dsn){ .host = BYTES("mx.example.org"),
                         .to = BYTES("ana@example.org"),
                         .message_id = BYTES("<r1@mx.example.org>"),
                         .envelope_id = BYTES("e 1"),
                         .header = bytes_of(original),
                         .arrived = 1795850000000,
                         .date = 1795860000000,
                         .recipients = list,
                         .n = n };
}

static void write_it(const struct dsn *d, struct arena *a, struct buf *out)
{
    struct err e = { 0 };
    struct bytes rest, line;

    buf_init(out, 4 << 20);
    if (!dsn_write(d, a, out, &e))
        fail_msg("%s", e.message);
    for (rest = buf_bytes(out); bytes_cut(rest, '\n', &line, &rest);) {
        if (!line.n || line.p[line.n - 1] != '\r' || line.n > 999 || bytes_find(line, '\r') != line.n - 1)
            fail_msg("line: %.*s", SHOW(line));
        assert_true(bytes_find(line, '\0') == line.n);
    }
    assert_int_equal(rest.n, 0);
}

/* The decoded content of a part. */
static struct bytes part(struct bytes message, const struct mime_index *x, size_t i, struct arena *a)
{
    struct buf out;
    struct bytes done;

    buf_init(&out, 4 << 20);
    decode_part(x, i, message, &out);
    done = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return done;
}

static void assert_holds(struct bytes text, const char *what)
{
    if (!memmem(text.p, text.n, what, strlen(what)))
        fail_msg("no \"%s\" in: %.*s", what, SHOW(text));
}

static void read_back(struct bytes message, struct arena *a, struct bounce *b)
{
    struct classifier *c = NULL;
    struct err e = { 0 };
    struct bounce_reading how = { .limits = &roomy, .recipients_max = 100, .text_max = 65536 };

    assert_true(classifier_new(NO_BYTES, &c, &e));
    how.classifier = c;
    bounce_read(&how, message, a, b);
    classifier_free(&c);
}

static void a_failure(void **state)
{
    struct dsn_recipient one = failed();
    struct dsn d = dsn_of(&one, 1);
    struct buf out, text;
    const struct mime_index *x = NULL;
    struct header h;
    struct bounce b;

    buf_init(&text, 1000);
    write_it(&d, *state, &out);
    assert_true(bytes_is_ascii(buf_bytes(&out)));
    x = index_by(buf_bytes(&out), 0, &roomy, *state);
    shape(x, &text);
    assert_bytes(buf_bytes(&text), BYTES("multipart/report(multipart/alternative(text/plain text/html) "
                                         "message/delivery-status text/rfc822-headers)"));
    assert_true(header_find(x->header, "Subject", 0, &h));
    assert_bytes(header_decode(h.value, plenty, *state), BYTES("Not delivered: Gr\xC3\xBC\xC3\x9F"
                                                               "e <1>"));
    assert_true(header_find(x->header, "From", 0, &h));
    assert_bytes(h.value, BYTES("Mail Delivery System <MAILER-DAEMON@mx.example.org>"));
    assert_true(header_find(x->header, "Auto-Submitted", 0, &h));
    assert_bytes(h.value, BYTES("auto-replied"));
    assert_true(header_find(x->header, "In-Reply-To", 0, &h));
    assert_bytes(h.value, BYTES("<1@example.org>"));
    assert_true(header_find(x->header, "Content-Type", 0, &h));
    assert_bytes(header_parameter(h.value, "report-type", plenty, *state), BYTES("delivery-status"));
    assert_holds(part(buf_bytes(&out), x, 2, *state), "<bo@example.net>");
    assert_holds(part(buf_bytes(&out), x, 2, *state), "mx.example.net said: 550 5.1.1 No such user");
    assert_holds(part(buf_bytes(&out), x, 2, *state), "There is no such address");
    assert_holds(part(buf_bytes(&out), x, 3, *state), "&lt;bo@example.net&gt;");
    assert_bytes(part(buf_bytes(&out), x, 4, *state),
                 BYTES("Reporting-MTA: dns; mx.example.org\r\nOriginal-Envelope-Id: e 1\r\n"
                       "Arrival-Date: Sat, 28 Nov 2026 07:13:20 +0000\r\n\r\n"
                       "Original-Recipient: rfc822; bo@example.com\r\nFinal-Recipient: rfc822; bo@example.net\r\n"
                       "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n"
                       "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
                       "Last-Attempt-Date: Sat, 28 Nov 2026 10:00:00 +0000"));
    read_back(buf_bytes(&out), *state, &b);
    assert_int_equal(b.kind, BOUNCE_REPORT);
    assert_int_equal(b.n, 1);
    assert_bytes(b.recipients[0].final, BYTES("bo@example.net"));
    assert_bytes(b.recipients[0].original, BYTES("bo@example.com"));
    assert_int_equal(b.recipients[0].meaning.why, WHY_UNKNOWN_USER);
    assert_bytes(b.envelope_id, BYTES("e 1"));
    assert_bytes(b.original_id, BYTES("<1@example.org>"));
    buf_clear(&out);
    buf_clear(&text);
}

static void every_action_is_told(void **state)
{
    static const struct {
        enum dsn_action action;
        const char *name, *subject, *says;
    } rows[] = {
        { DSN_DELAYED, "delayed", "Delayed: ", "need not send it" },
        { DSN_DELIVERED, "delivered", "Delivered: ", "was delivered to:" },
        { DSN_RELAYED, "relayed", "Relayed: ", "handed to a server" },
        { DSN_EXPANDED, "expanded", "Delivered: ", "sends it on" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dsn_recipient list[] = { failed(), failed() };
        struct dsn d = dsn_of(list, 1);
        struct buf out;
        struct bounce b;
        struct header h;

        list[0].action = rows[i].action;
        list[0].retry_until = 1795960000000;
        write_it(&d, *state, &out);
        assert_true(header_find(buf_bytes(&out), "Subject", 0, &h));
        assert_true(bytes_starts(header_decode(h.value, plenty, *state), bytes_of(rows[i].subject)));
        assert_holds(buf_bytes(&out), rows[i].says);
        assert_int_equal(memmem(out.p, out.n, "Will-Retry-Until: Sun, 29 Nov 2026", 34) != NULL,
                         rows[i].action == DSN_DELAYED);
        read_back(buf_bytes(&out), *state, &b);
        assert_int_equal(b.recipients[0].action, rows[i].action);
        buf_clear(&out);
        d.n = 2; /* with one that failed: that is what the subject says */
        write_it(&d, *state, &out);
        assert_true(header_find(buf_bytes(&out), "Subject", 0, &h));
        assert_true(bytes_starts(header_decode(h.value, plenty, *state), BYTES("Not delivered: ")));
        read_back(buf_bytes(&out), *state, &b);
        assert_int_equal(b.n, 2);
        buf_clear(&out);
    }
}

/* What others wrote cannot add a field, a part or an element. */
static void hostile_words(void **state)
{
    struct dsn_recipient one = failed();
    struct dsn d = dsn_of(&one, 1);
    struct buf out, reply, text;
    const struct mime_index *x = NULL;
    struct bytes status, html;

    buf_init(&reply, 1 << 20);
    buf_init(&text, 1000);
    buf_adds(&reply, "550 <script>alert(1)</script>\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient: rfc822; "
                     "eve@example.com\r\n\x1B[31m\xFF ");
    for (int i = 0; i < 5000; i++)
        buf_addc(&reply, 'x');
    one.reply = buf_bytes(&reply);
    one.remote_mta = BYTES("mx\r\nX: y");
    one.original = BYTES("rfc822;a\r\nX: y");
    d.envelope_id = BYTES("e\r\nX: y");
    d.header = BYTES("Subject: a\r\n =?utf-8?Q?=0D=0AX:_y=00?=\r\nMessage-ID: <1>\r\n <2>\r\n");
    write_it(&d, *state, &out);
    x = index_by(buf_bytes(&out), 0, &roomy, *state);
    shape(x, &text);
    assert_bytes(buf_bytes(&text), BYTES("multipart/report(multipart/alternative(text/plain text/html) "
                                         "message/delivery-status text/rfc822-headers)"));
    status = part(buf_bytes(&out), x, 4, *state);
    html = part(buf_bytes(&out), x, 3, *state);
    assert_int_equal(header_count(bytes_from(status, bytes_find(status, 'O')), "X"), 0);
    assert_null(memmem(status.p, status.n, "\r\nStatus: 2", 11));
    assert_null(memmem(status.p, status.n, "\r\nFinal-Recipient: rfc822; eve", 30));
    assert_null(memmem(html.p, html.n, "<script", 7));
    assert_null(memmem(out.p, out.n, "\x1B", 1));
    assert_null(memmem(x->header.p, x->header.n, "\r\nX:", 4));
    assert_int_equal(header_count(x->header, "In-Reply-To"), 0);
    buf_clear(&out);
    buf_clear(&reply);
    buf_clear(&text);
}

static void the_original_comes_back(void **state)
{
    static const struct {
        const char *body;
        const char *type;
    } rows[] = { { "Hello\r\n", "message/rfc822" },
                 { "no end", "message/global" },
                 { "gr\xC3\xBC\xC3\x9F\r\n", "message/global" },
                 { "a lone\nline\r\n", "message/global" } };
    struct dsn_recipient one = failed();

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dsn d = dsn_of(&one, 1);
        struct buf out;
        const struct mime_index *x = NULL;
        struct bytes back;
        struct bounce b;

        d.whole = arena_bytesf(*state, "%s\r\n%s", original, rows[i].body);
        write_it(&d, *state, &out);
        assert_true(bytes_is_ascii(buf_bytes(&out)));
        x = index_by(buf_bytes(&out), 0, &roomy, *state);
        assert_bytes(x->parts[x->n - 1].type, bytes_of(rows[i].type));
        back = part(buf_bytes(&out), x, x->n - 1, *state);
        assert_true(bytes_equal(back, d.whole) || bytes_equal(back, bytes_head(d.whole, d.whole.n - 2))); /* the
                                                                       line end before a boundary is not the part's */
        read_back(buf_bytes(&out), *state, &b);
        assert_bytes(b.original_id, BYTES("<1@example.org>"));
        buf_clear(&out);
    }
}

static void a_large_original_comes_back_as_its_header(void **state)
{
    struct dsn_recipient one = failed();
    struct dsn d = dsn_of(&one, 1);
    char *big = arena_alloc(*state, DSN_WHOLE_MAX + 1);
    struct buf out;
    const struct mime_index *x = NULL;

    memset(big, 'a', DSN_WHOLE_MAX + 1);
    d.whole = (struct bytes){ big, DSN_WHOLE_MAX + 1 };
    write_it(&d, *state, &out);
    x = index_by(buf_bytes(&out), 0, &roomy, *state);
    assert_bytes(x->parts[x->n - 1].type, BYTES("text/rfc822-headers"));
    buf_clear(&out);
}

/* RFC 6533: only where an address needs it, and then still in ASCII. */
static void addresses_beyond_ascii(void **state)
{
    static const struct {
        const char *address, *want;
        bool global;
    } rows[] = { { "bo@b\xC3\xBC"
                   "cher.example",
                   "Final-Recipient: rfc822; bo@xn--bcher-kva.example", false },
                 { "b\xC3\xB6@example.net", "Final-Recipient: utf-8; b\xC3\xB6@example.net", true } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dsn_recipient one = failed();
        struct dsn d = dsn_of(&one, 1);
        struct buf out;
        const struct mime_index *x = NULL;
        struct header h;
        struct bounce b;

        one.address = bytes_of(rows[i].address);
        write_it(&d, *state, &out);
        assert_true(bytes_is_ascii(buf_bytes(&out)));
        x = index_by(buf_bytes(&out), 0, &roomy, *state);
        assert_bytes(x->parts[4].type,
                     rows[i].global ? BYTES("message/global-delivery-status") : BYTES("message/delivery-status"));
        assert_holds(part(buf_bytes(&out), x, 4, *state), rows[i].want);
        assert_true(header_find(x->header, "Content-Type", 0, &h));
        assert_bytes(header_parameter(h.value, "report-type", plenty, *state),
                     rows[i].global ? BYTES("global-delivery-status") : BYTES("delivery-status"));
        read_back(buf_bytes(&out), *state, &b);
        assert_int_equal(b.kind, BOUNCE_REPORT);
        assert_bytes(b.recipients[0].final, rows[i].global ? one.address : BYTES("bo@xn--bcher-kva.example"));
        buf_clear(&out);
    }
}

static void what_cannot_be_written(void **state)
{
    struct dsn_recipient one = failed();
    struct dsn d = dsn_of(&one, 1);
    struct buf out;
    struct err e = { 0 };

    buf_init(&out, 1000);
    assert_false(dsn_write(&d, *state, &out, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    buf_clear(&out);
    buf_init(&out, 100000);
    d.to = NO_BYTES;
    assert_false(dsn_write(&d, *state, &out, &e));
    assert_int_equal(e.code, ERR_INVALID);
    buf_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ARENA_TEST(a_failure),
        ARENA_TEST(every_action_is_told),
        ARENA_TEST(hostile_words),
        ARENA_TEST(the_original_comes_back),
        ARENA_TEST(a_large_original_comes_back_as_its_header),
        ARENA_TEST(addresses_beyond_ascii),
        ARENA_TEST(what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
