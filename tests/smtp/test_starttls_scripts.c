/* The public dialogues about STARTTLS (suite smtp-scripts-james), in their sense: the client's lines are played in one
 * piece, and only reply codes are compared. The word in a mail's content or in an address is no command; STARTTLS amid
 * a transaction is refused. Handshakes, and what is injected before them, are tested over TCP. */
#include "smtp/smtp.h"
#include "tests/dialogue.h"

/* Our names for theirs. */
static const char *const names[][2] = { { "bob@mydomain.tld", "bo@example.org" },
                                        { "starttls@mydomain.tld", "starttls@example.org" },
                                        { "Ym9iQG15ZG9tYWluLnRsZA==", "Ym9AZXhhbXBsZS5vcmc=" },
                                        { "c2VjcmV0", "Y29ycmVjdCBob3JzZQ==" } };

static void add_line(struct buf *in, struct bytes line)
{
    char text[512];

    snprintf(text, sizeof text, "%.*s", SHOW(line));
    for (size_t i = 0; i < COUNT(names); i++) {
        char *at = strstr(text, names[i][0]);

        if (at) {
            *at = '\0';
            buf_addf(in, "%s%s%s\r\n", text, names[i][1], at + strlen(names[i][0]));
            return;
        }
    }
    buf_addf(in, "%s\r\n", text);
}

static void client_lines(struct bytes file, struct buf *in)
{
    struct bytes line, rest = file;

    while (rest.n) {
        (void)bytes_cut(rest, '\n', &line, &rest);
        if (bytes_starts(line, BYTES("C:")))
            add_line(in, bytes_trim(bytes_from(line, 2)));
    }
}

static struct tls_server *tls;

static void play(struct office *o, enum smtp_kind kind, const char *name, struct buf *out)
{
    struct smtp_door door = { .kind = kind, .svc = o->svc, .tls = tls };
    struct stream_options options = { .in_max = 65536, .out_max = 65536 };
    struct buf file, in;
    char path[512];

    snprintf(path, sizeof path, "%s/smtp-scripts-james/%s", suites_folder(), name);
    if (!read_whole(path, &file)) {
        print_message("%s is not there\n", path);
        skip();
    }
    buf_init(&in, 65536);
    buf_init(out, 65536);
    client_lines(buf_bytes(&file), &in);
    smtp_run(stream_memory(buf_bytes(&in), 0, out, &options), &door);
    buf_addc(out, '\0');
    buf_clear(&file);
    buf_clear(&in);
}

static void test_word_is_no_command(void **state)
{
    static const char *const files[] = { "data_starts_with_starttls.test", "data_with_starttls.test",
                                         "rcpt_with_starttls.test" };
    struct office *o = *state;

    for (size_t i = 0; i < COUNT(files); i++) {
        struct buf out;

        play(o, SMTP_RECEIVE, files[i], &out);
        assert_non_null(strstr(out.p, "\r\n250 2.1.5 "));
        assert_non_null(strstr(out.p, "\r\n354 "));
        assert_non_null(strstr(out.p, "\r\n250 2.0.0 queued as msg_"));
        buf_clear(&out);
    }
}

static const char *last_line(const char *text)
{
    const char *line = text;

    for (const char *p = strstr(text, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n"))
        line = p + 2;
    return line;
}

static void test_amid_a_transaction(void **state)
{
    struct buf out;

    play(*state, SMTP_SUBMISSION, "starttls_session_fixation.test", &out);
    assert_non_null(strstr(out.p, "\r\n235 2.7.0 "));
    assert_non_null(strstr(out.p, "\r\n250 2.1.0 "));
    assert_true(bytes_equal(bytes_head(bytes_of(last_line(out.p)), 10), BYTES("503 5.5.1 ")));
    buf_clear(&out);
}

static int start(void **state)
{
    static struct office o;
    char cert[128], key[128];

    params_init();
    office_open(&o);
    user_add(&o, "starttls@example.org", 0);
    snprintf(cert, sizeof cert, "%s/cert.pem", o.folder);
    snprintf(key, sizeof key, "%s/key.pem", o.folder);
    must(&o, tls_self_signed("localhost", cert, key, &o.call.err) && tls_server_new(cert, key, &tls, &o.call.err),
         "tls");
    *state = &o;
    return 0;
}

static int stop(void **state)
{
    tls_server_free(&tls);
    office_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_word_is_no_command),
                                        cmocka_unit_test(test_amid_a_transaction) };

    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, start, stop);
}
