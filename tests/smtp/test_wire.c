/* What only a socket shows: who talks first, silence, the handshake and what is injected before it, the server going
 * down. The session is a fiber on one end of a socket pair, the test is the client on the other. */
#include "net/fiber.h"
#include "smtp/smtp.h"
#include "tests/dialogue.h"
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct office office;
static struct tls_server *tls;
static struct smtp_door receive, submission;

struct started {
    int fd;
    struct smtp_door *door;
};

static void session(void *arg)
{
    struct started *s = arg;

    smtp_session(s->fd, s->door);
    free(s);
}

/* `first`: what the client says before the session begins. */
static int connect_to(struct smtp_door *door, const char *first)
{
    struct started *s = malloc(sizeof *s);
    struct timeval most = { .tv_sec = 20 };
    struct err e = { 0 };
    int pair[2];

    assert_non_null(s);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, 0), 0);
    setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    assert_int_equal(write(pair[1], first, strlen(first)), (ssize_t)strlen(first));
    *s = (struct started){ .fd = pair[0], .door = door };
    if (!fiber_start(FIBER_ANY, session, s, &e))
        fail_msg("%s", e.message);
    return pair[1];
}

/* Reads until `until` has come, or the end. */
static void hear(int fd, const char *until, char *text, size_t room)
{
    size_t n = 0;
    ssize_t got = 1;

    text[0] = '\0';
    while (!strstr(text, until) && n < room - 1 && (got = read(fd, text + n, room - 1 - n)) > 0)
        text[n += (size_t)got] = '\0';
    if (!strstr(text, until))
        fail_msg("\"%s\" did not come, but \"%s\"", until, text);
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void hear_the_end(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void set(enum param p, const char *value)
{
    struct err e = { 0 };

    if (!param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static void test_early_talk(void **state)
{
    char text[512];
    int fd = connect_to(&receive, "EHLO c.example.com\r\n");

    (void)state;
    hear(fd, "554 5.5.0 ", text, sizeof text);
    assert_null(strstr(text, "250"));
    close(fd);
}

static void test_silence(void **state)
{
    char text[512];
    int fd = connect_to(&receive, "");

    (void)state;
    hear(fd, "220 ", text, sizeof text);
    say(fd, "NOOP"); /* no line yet */
    hear(fd, "421 4.4.2 ", text, sizeof text);
    hear_the_end(fd);
}

static void test_silence_in_data(void **state)
{
    char text[512];
    int fd = connect_to(&receive, "");

    (void)state;
    hear(fd, "220 ", text, sizeof text);
    say(fd, "EHLO c\r\nMAIL FROM:<bo@example.com>\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n");
    hear(fd, "\r\n354 ", text, sizeof text);
    say(fd, "Subject: x\r\n");
    hear(fd, "421 4.4.2 ", text, sizeof text);
    hear_the_end(fd);
}

static SSL *handshake(int fd, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);

    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void tls_ask(SSL *ssl, const char *line, const char *until, char *text, size_t room)
{
    size_t n = 0;

    assert_int_equal(SSL_write(ssl, line, (int)strlen(line)), (int)strlen(line));
    text[0] = '\0';
    while (!strstr(text, until)) {
        int got = SSL_read(ssl, text + n, (int)(room - 1 - n));

        if (got <= 0)
            fail_msg("\"%s\" did not come, but \"%s\"", until, text);
        text[n += (size_t)got] = '\0';
    }
}

/* RFC 3207 section 4.2, and NO STARTTLS (2021): nothing said in clear counts behind the handshake. */
static void test_starttls(void **state)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char text[2048];
    int fd = connect_to(&submission, "");
    SSL *ssl;

    (void)state;
    hear(fd, "220 ", text, sizeof text);
    say(fd, "EHLO c.example.com\r\n");
    hear(fd, "250 HELP", text, sizeof text);
    assert_non_null(strstr(text, "250-STARTTLS\r\n"));
    assert_null(strstr(text, "250-AUTH"));
    say(fd, "STARTTLS\r\nEHLO injected.example.com\r\nNOOP\r\n");
    hear(fd, "220 2.0.0 ", text, sizeof text);
    ssl = handshake(fd, context);
    tls_ask(ssl, "MAIL FROM:<ana@example.org>\r\n", "\r\n", text, sizeof text);
    assert_true(bytes_starts(bytes_of(text), BYTES("503 5.5.1 "))); /* the EHLO is forgotten too */
    tls_ask(ssl, "EHLO c.example.com\r\n", "250 HELP", text, sizeof text);
    assert_null(strstr(text, "STARTTLS"));
    assert_non_null(strstr(text, "250-AUTH PLAIN LOGIN\r\n"));
    tls_ask(ssl, "STARTTLS\r\n", "\r\n", text, sizeof text);
    assert_true(bytes_starts(bytes_of(text), BYTES("503 5.5.1 ")));
    tls_ask(ssl, "AUTH PLAIN AGFuYUBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl\r\n", "235 2.7.0 ", text, sizeof text);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
}

/* Last: the server goes down. Who waits with nothing to say hears 421 at once. */
static void test_drain(void **state)
{
    char text[512];
    int fd = connect_to(&receive, "");

    (void)state;
    set(PARAM_smtp_command_timeout, "5m");
    hear(fd, "220 ", text, sizeof text);
    say(fd, "NOOP\r\n");
    hear(fd, "250 ", text, sizeof text);
    net_drain();
    hear(fd, "421 4.3.2 ", text, sizeof text);
    hear_the_end(fd);
}

static int start(void **state)
{
    const struct net_options options = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    char cert[128], key[128];
    struct err e = { 0 };

    (void)state;
    params_init();
    set(PARAM_smtp_command_timeout, "1s");
    set(PARAM_smtp_data_timeout, "1s");
    set(PARAM_auth_cleartext, "never");
    if (!net_start(&options, &e))
        fail_msg("%s", e.message);
    office_open(&office);
    snprintf(cert, sizeof cert, "%s/cert.pem", office.folder);
    snprintf(key, sizeof key, "%s/key.pem", office.folder);
    must(&office,
         tls_self_signed("localhost", cert, key, &office.call.err) && tls_server_new(cert, key, &tls, &office.call.err),
         "tls");
    receive = (struct smtp_door){ .kind = SMTP_RECEIVE, .svc = office.svc, .tls = tls };
    submission = (struct smtp_door){ .kind = SMTP_SUBMISSION, .svc = office.svc, .tls = tls };
    return 0;
}

static int stop(void **state)
{
    (void)state;
    net_stop();
    office_close(&office);
    tls_server_free(&tls);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_talk), cmocka_unit_test(test_silence), cmocka_unit_test(test_silence_in_data),
        cmocka_unit_test(test_starttls),   cmocka_unit_test(test_drain),
    };

    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, start, stop);
}
