/* TLS on streams: upgrade, injected commands, resumption, reload, deadlines, bad files. The client is plain OpenSSL. */
#include "net/stream.h"
#include "net/tls.h"
#include "net_test.h"
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/postrider-tls-XXXXXX";
static char cert_file[128], key_file[128], other_cert[128], other_key[128];
static struct tls_server *tls;
static const struct stream_options options = { .in_max = 1 << 17, .out_max = 1 << 16 };

static int up(void **state)
{
    struct err e = { 0 };

    if (!mkdtemp(folder))
        return 1;
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    snprintf(other_cert, sizeof other_cert, "%s/other-cert.pem", folder);
    snprintf(other_key, sizeof other_key, "%s/other-key.pem", folder);
    net_up(state);
    if (!tls_self_signed("mail.example.org", cert_file, key_file, &e) ||
        !tls_self_signed("192.0.2.7", other_cert, other_key, &e) || !tls_server_new(cert_file, key_file, &tls, &e))
        fail_msg("%s", e.message);
    return 0;
}

static int down(void **state)
{
    net_down(state);
    tls_server_free(&tls);
    unlink(cert_file);
    unlink(key_file);
    unlink(other_cert);
    unlink(other_key);
    rmdir(folder);
    return 0;
}

struct server {
    int fd;
    int64_t handshake_ms;
    bool shook, once; /* once: without a ticket */
    enum err_code end;
    int lines, bits;
    char version[16], cipher[64];
};

/* STARTTLS, then an echo of lines. */
static void serve(void *arg)
{
    struct server *x = arg;
    struct stream *s = stream_socket(x->fd, &options);
    struct err e = { 0 };
    struct bytes line;

    stream_deadline(s, in_ms(10000));
    if (stream_line(s, 1000, &line, &e) && stream_write(s, BYTES("220\r\n"), &e))
        x->shook = (x->once ? stream_start_tls_once
                            : stream_start_tls)(s, tls, in_ms(x->handshake_ms ? x->handshake_ms : 10000), &e);
    if (x->shook) {
        snprintf(x->version, sizeof x->version, "%s", stream_tls_version(s));
        snprintf(x->cipher, sizeof x->cipher, "%s", stream_tls_cipher(s));
        x->bits = stream_tls_bits(s);
        while (stream_line(s, 1 << 17, &line, &e) && stream_write(s, line, &e))
            x->lines++;
    }
    x->end = e.code;
    stream_shutdown(s);
    stream_free(&s);
}

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    SSL_SESSION *session;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static void connect_tls(struct client *c, const char *first)
{
    char reply[5];

    assert_int_equal(write(c->fd, first, strlen(first)), (ssize_t)strlen(first));
    assert_int_equal(recv(c->fd, reply, 5, MSG_WAITALL), 5);
    if (!c->context) {
        c->context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(c->context, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(c->context, keep_session);
    }
    c->ssl = SSL_new(c->context);
    SSL_set_app_data(c->ssl, c);
    if (c->session)
        SSL_set_session(c->ssl, c->session);
    SSL_set_fd(c->ssl, c->fd);
}

static void say(struct client *c, const char *text)
{
    char got[256];
    int n = (int)strlen(text);

    assert_int_equal(SSL_write(c->ssl, text, n), n);
    for (int k = 0; k < n;) {
        int more = SSL_read(c->ssl, got + k, n - k);

        assert_true(more > 0);
        k += more;
    }
    assert_memory_equal(got, text, (size_t)n);
}

static void begin(struct server *x, struct net_task *t, struct client *c)
{
    int pair[2];
    struct err e = { 0 };

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    x->fd = pair[0];
    c->fd = pair[1];
    *t = (struct net_task){ .run = serve, .arg = x };
    waiter_init(&t->done);
    assert_true(fiber_start(FIBER_ANY, net_task_run, t, &e));
}

static void finish(struct net_task *t, struct client *c, bool politely)
{
    if (c->ssl && politely)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    waiter_wait(&t->done);
}

static void forget(struct client *c)
{
    SSL_SESSION_free(c->session);
    SSL_CTX_free(c->context);
}

static void upgrade(void **state)
{
    struct server x = { 0 };
    struct client c = { 0 };
    struct net_task t;

    (void)state;
    begin(&x, &t, &c);
    connect_tls(&c, "STARTTLS\r\nINJECTED\r\n");
    assert_int_equal(SSL_connect(c.ssl), 1);
    say(&c, "hello\r\n");
    say(&c, "two\r\nlines\r\n");
    finish(&t, &c, true);
    assert_true(x.shook);
    assert_int_equal(x.lines, 3); /* the injected one was never read */
    assert_int_equal(x.end, ERR_CLOSED);
    assert_string_equal(x.version, "TLSv1.3");
    assert_string_equal(x.cipher, "TLS_AES_128_GCM_SHA256"); /* ours, though the client prefers another */
    assert_int_equal(x.bits, 128);
    forget(&c);
}

/* An end without close_notify is an end, not a fault. */
static void rude_end(void **state)
{
    struct server x = { 0 };
    struct client c = { 0 };
    struct net_task t;

    (void)state;
    begin(&x, &t, &c);
    connect_tls(&c, "STARTTLS\r\n");
    assert_int_equal(SSL_connect(c.ssl), 1);
    say(&c, "hello\r\n");
    finish(&t, &c, false);
    assert_int_equal(x.lines, 1);
    assert_int_equal(x.end, ERR_CLOSED);
    forget(&c);
}

static void big_lines(void **state)
{
    static char line[100000], got[100000];
    struct server x = { 0 };
    struct client c = { 0 };
    struct net_task t;

    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    begin(&x, &t, &c);
    connect_tls(&c, "STARTTLS\r\n");
    assert_int_equal(SSL_connect(c.ssl), 1);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(SSL_write(c.ssl, line, sizeof line), (int)sizeof line);
        for (size_t n = 0; n < sizeof got;) {
            int k = SSL_read(c.ssl, got + n, (int)(sizeof got - n));

            assert_true(k > 0);
            n += (size_t)k;
        }
        assert_memory_equal(line, got, sizeof line);
    }
    finish(&t, &c, true);
    forget(&c);
}

static bool visit(struct client *c, int version, bool once, char cn[64])
{
    struct server x = { .once = once };
    struct net_task t;
    bool reused;
    X509 *cert;

    begin(&x, &t, c);
    connect_tls(c, "STARTTLS\r\n");
    if (version)
        assert_int_equal(SSL_set_max_proto_version(c->ssl, version), 1);
    assert_int_equal(SSL_connect(c->ssl), 1);
    say(c, "x\r\n");
    reused = SSL_session_reused(c->ssl);
    cert = SSL_get1_peer_certificate(c->ssl);
    if (cert)
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, 64);
    X509_free(cert);
    finish(&t, c, true);
    return reused;
}

static bool one_visit(struct client *c, int version, char cn[64])
{
    return visit(c, version, false, cn);
}

static void who_does_not_come_back_gets_no_ticket(void **state)
{
    static const int versions[] = { 0, TLS1_2_VERSION };
    char cn[64];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct client c = { 0 };

        assert_false(visit(&c, versions[i], true, cn));
        assert_true(!c.session || !SSL_SESSION_has_ticket(c.session));
        assert_false(visit(&c, versions[i], true, cn));
        forget(&c);
    }
}

static void copy_file(const char *from, const char *to)
{
    static char text[8192];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n = read(in, text, sizeof text);

    assert_true(n > 0 && write(out, text, (size_t)n) == n);
    close(in);
    close(out);
}

static void resumption_and_reload(void **state)
{
    static const int versions[] = { 0, TLS1_2_VERSION };
    char keep_cert[140], keep_key[140], cn[64];

    (void)state;
    snprintf(keep_cert, sizeof keep_cert, "%s.keep", cert_file);
    snprintf(keep_key, sizeof keep_key, "%s.keep", key_file);
    copy_file(cert_file, keep_cert);
    copy_file(key_file, keep_key);
    for (size_t i = 0; i < 2; i++) {
        struct client c = { 0 }, fresh = { 0 };
        struct err e = { 0 };

        assert_false(one_visit(&c, versions[i], cn));
        assert_string_equal(cn, "mail.example.org");
        assert_true(one_visit(&c, versions[i], cn));
        copy_file(other_cert, cert_file);
        assert_false(tls_server_reload(tls, &e)); /* certificate of another key: the old pair stays */
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.message, key_file));
        assert_false(one_visit(&fresh, versions[i], cn));
        assert_string_equal(cn, "mail.example.org");
        copy_file(other_key, key_file);
        assert_true(tls_server_reload(tls, &e));
        assert_true(one_visit(&c, versions[i], cn)); /* the ticket outlives the certificate */
        forget(&fresh);
        fresh = (struct client){ 0 };
        assert_false(one_visit(&fresh, versions[i], cn));
        assert_string_equal(cn, "192.0.2.7");
        forget(&fresh);
        forget(&c);
        copy_file(keep_cert, cert_file);
        copy_file(keep_key, key_file);
        assert_true(tls_server_reload(tls, &e));
    }
    unlink(keep_cert);
    unlink(keep_key);
}

static void old_versions_are_refused(void **state)
{
    struct server x = { 0 };
    struct client c = { 0 };
    struct net_task t;

    (void)state;
    begin(&x, &t, &c);
    connect_tls(&c, "STARTTLS\r\n");
    SSL_set_security_level(c.ssl, 0);
    SSL_set_min_proto_version(c.ssl, TLS1_VERSION);
    SSL_set_max_proto_version(c.ssl, TLS1_1_VERSION);
    assert_int_not_equal(SSL_connect(c.ssl), 1);
    finish(&t, &c, false);
    assert_false(x.shook);
    assert_int_equal(x.end, ERR_CLOSED);
    forget(&c);
}

static void no_handshake(void **state)
{
    struct server x = { .handshake_ms = 50 };
    struct client c = { 0 };
    struct net_task t;
    char got[16];

    (void)state;
    begin(&x, &t, &c);
    assert_int_equal(write(c.fd, "STARTTLS\r\n", 10), 10);
    assert_int_equal(recv(c.fd, got, 5, MSG_WAITALL), 5);
    assert_int_equal(recv(c.fd, got, 5, MSG_WAITALL), 0);
    waiter_wait(&t.done);
    close(c.fd);
    assert_int_equal(x.end, ERR_TIMEOUT);
}

static void garbage_handshake(void **state)
{
    struct server x = { 0 };
    struct client c = { 0 };
    struct net_task t;
    char got[16];

    (void)state;
    begin(&x, &t, &c);
    assert_int_equal(write(c.fd, "STARTTLS\r\n", 10), 10);
    assert_int_equal(recv(c.fd, got, 5, MSG_WAITALL), 5);
    assert_int_equal(write(c.fd, "EHLO here comes no handshake\r\n", 30), 30);
    waiter_wait(&t.done);
    close(c.fd);
    assert_false(x.shook);
    assert_int_equal(x.end, ERR_CLOSED);
}

static void self_signed(void **state)
{
    static const char *const hosts[] = { "mail.example.org", "localhost" };
    struct stat st;
    FILE *f = fopen(cert_file, "r");
    X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    (void)state;
    assert_non_null(cert);
    fclose(f);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(X509_check_host(cert, hosts[i], 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);
    X509_free(cert);
    assert_int_equal(stat(key_file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void bad_files(void **state)
{
    struct tls_server *t = NULL;
    struct err e = { 0 };

    (void)state;
    assert_false(tls_server_new("/nonexistent/cert.pem", key_file, &t, &e));
    assert_non_null(strstr(e.message, "/nonexistent/cert.pem"));
    assert_false(tls_server_new(cert_file, cert_file, &t, &e));
    assert_non_null(strstr(e.message, "no private key"));
    assert_false(tls_server_new(key_file, key_file, &t, &e));
    assert_non_null(strstr(e.message, "no certificate"));
    assert_false(tls_server_new(cert_file, other_key, &t, &e));
    assert_non_null(strstr(e.message, "does not belong"));
    assert_false(tls_self_signed("x", "/nonexistent/cert.pem", "/nonexistent/key.pem", &e));
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upgrade),
        cmocka_unit_test(rude_end),
        cmocka_unit_test(big_lines),
        cmocka_unit_test(resumption_and_reload),
        cmocka_unit_test(who_does_not_come_back_gets_no_ticket),
        cmocka_unit_test(no_handshake),
        cmocka_unit_test(garbage_handshake),
        cmocka_unit_test(self_signed),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(bad_files),
    };

    return cmocka_run_group_tests(tests, up, down);
}
