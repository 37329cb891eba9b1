/* The public suite of false ends of data, at each door, by DATA and by BDAT, in one piece and byte by byte: never two
 * mails. At the receiving port the mail is refused at its true end; who is logged in may have sent bare LF, and then it
 * is one mail, whose text holds what looks like another. */
#include "base/json.h"
#include "base/metrics.h"
#include "smtp/smtp.h"
#include "tests/dialogue.h"

static const char *const logins[] = { "", "AUTH PLAIN AGFuYUBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl\r\n",
                                      "AUTH PLAIN AGFuYUBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl\r\n" };

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *p = strstr(text, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

static void content(struct bytes sequence, struct buf *mail)
{
    buf_adds(mail, "From: ana@example.org\r\nSubject: one\r\n\r\nfirst");
    buf_add(mail, sequence);
    buf_adds(mail, "MAIL FROM:<ana@example.org>\r\nRCPT TO:<bo@example.org>\r\nDATA\r\n"
                   "Subject: two\r\n\r\nsmuggled\r\n");
}

static void input(enum smtp_kind kind, struct bytes sequence, bool chunk, struct buf *in)
{
    struct buf mail;

    buf_init(&mail, 4096);
    content(sequence, &mail);
    buf_addf(in, "EHLO c.example.com\r\n%sMAIL FROM:<ana@example.org>\r\nRCPT TO:<ana@example.org>\r\n", logins[kind]);
    if (chunk)
        buf_addf(in, "BDAT %zu LAST\r\n", mail.n);
    else
        buf_adds(in, "DATA\r\n");
    buf_add(in, buf_bytes(&mail));
    buf_adds(in, chunk ? "NOOP\r\n" : ".\r\nNOOP\r\n");
    buf_clear(&mail);
}

/* What a bare LF alone makes wrong, and CRLF in its place right. */
static bool only_bare_lf(struct bytes sequence)
{
    for (size_t i = 0; i < sequence.n; i++)
        if (!sequence.p[i] || (sequence.p[i] == '\r' && (i + 1 == sequence.n || sequence.p[i + 1] != '\n')))
            return false;
    return true;
}

static void play(struct office *o, enum smtp_kind kind, struct bytes sequence, size_t step, bool chunk)
{
    struct smtp_door door = { .kind = kind, .svc = o->svc };
    struct stream_options options = { .in_max = 65536, .out_max = 65536 };
    int64_t accepted = metric_get(METRIC_smtp_accepted_total);
    struct buf in, out;

    buf_init(&in, 8192);
    buf_init(&out, 65536);
    input(kind, sequence, chunk, &in);
    smtp_run(stream_memory(buf_bytes(&in), step, &out, &options), &door);
    buf_addc(&out, '\0');
    /* One mail was sent: one answer to one sender, and its end, then NOOP's. */
    accepted = metric_get(METRIC_smtp_accepted_total) - accepted;
    assert_int_equal(accepted, kind != SMTP_RECEIVE && only_bare_lf(sequence));
    assert_int_equal(count(out.p, "\r\n250 2.1.0 "), 1);
    assert_int_equal(count(out.p, "\r\n354 "), chunk ? 0 : 1);
    assert_int_equal(
        (size_t)accepted + count(out.p, "\r\n550 5.5.2 ") + count(out.p, "\r\n554 5.6.0 The mail holds a NUL"), 1);
    assert_true(bytes_ends(bytes_head(buf_bytes(&out), out.n - 1), BYTES("\r\n250 2.0.0 Ok\r\n")));
    buf_clear(&in);
    buf_clear(&out);
}

static void each_door(struct office *o, struct bytes sequence)
{
    for (int kind = SMTP_RECEIVE; kind <= SMTP_SUBMISSIONS; kind++)
        for (size_t step = 0; step < 2; step++) {
            play(o, (enum smtp_kind)kind, sequence, step, false);
            play(o, (enum smtp_kind)kind, sequence, step, true);
        }
}

static void test_suite(void **state)
{
    struct json_object *all = NULL;
    struct err e = { 0 };
    struct buf file;
    struct office o;
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s/smtp-smuggling/sequences.json", suites_folder());
    if (!read_whole(path, &file)) {
        print_message("%s is not there\n", path);
        skip();
    }
    params_init();
    office_open(&o);
    assert_true(json_read(buf_bytes(&file), &all, &e));
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        struct bytes hex = json_text(json_object_array_get_idx(all, i), "hex");
        char raw[64];

        assert_true(hex.n && hex.n / 2 < sizeof raw && crypt_unhex(hex, raw, hex.n / 2));
        each_door(&o, (struct bytes){ raw, hex.n / 2 });
    }
    json_object_put(all);
    buf_clear(&file);
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_suite) };

    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
