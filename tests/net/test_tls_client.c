/* TLS on the way out, to `openssl s_server` with good and bad certificates, and to peers that speak something else. */
#include "net/stream.h"
#include "net/tls_client.h"
#include "net_test.h"
#include "peer.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static char folder[64];
static struct tls_client *tls;

enum host { GOOD, OLD, EARLY, SELF, STRANGER, CN_ONLY, PARTIAL, SHORT_KEY, TLS12, TLS11, NULL_CIPHER, PEERS };
static struct peer_program peers[PEERS];

static const char *file(const char *name)
{
    static char paths[32][96];
    static int i;
    char *path = paths[i++ % 32];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* s_server turns each line around and says it back. */
static void serve(enum host which, const char *certificate, const char *a, const char *b, const char *c)
{
    const char *argv[] = {
        "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", file(certificate), "-rev", "-alpn", "http/1.1,smtp",
        a,         b,          c,         NULL
    };

    peer_start(&peers[which], "ACCEPT 127.0.0.1:", argv);
}

static void make_certificates(void)
{
    const char *ca = file("ca"), *other = file("other");
    const struct cert_wish wishes[] = {
        { .file = ca, .cn = "Root", .is_ca = 1 },
        { .file = other, .cn = "Other root", .is_ca = 1 },
        { .file = file("good"), .cn = "x", .san = "DNS:mail.test,DNS:*.wild.test,IP:127.0.0.1", .issuer = ca },
        { .file = file("old"), .cn = "x", .san = "DNS:mail.test", .issuer = ca, .from = -9, .to = -1 },
        { .file = file("early"), .cn = "x", .san = "DNS:mail.test", .issuer = ca, .from = 1, .to = 9 },
        { .file = file("self"), .cn = "mail.test", .san = "DNS:mail.test" },
        { .file = file("stranger"), .cn = "x", .san = "DNS:mail.test", .issuer = other },
        { .file = file("cn"), .cn = "mail.test", .issuer = ca },
        { .file = file("partial"), .cn = "x", .san = "DNS:m*.wild.test", .issuer = ca },
        { .file = file("short"), .cn = "x", .san = "DNS:mail.test", .issuer = ca, .rsa_bits = 1024 },
    };

    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        cert_make(&wishes[i]);
}

static int up(void **state)
{
    struct err e = { 0 };

    peer_folder_make(folder);
    make_certificates();
    serve(GOOD, "good", NULL, NULL, NULL);
    serve(OLD, "old", NULL, NULL, NULL);
    serve(EARLY, "early", NULL, NULL, NULL);
    serve(SELF, "self", NULL, NULL, NULL);
    serve(STRANGER, "stranger", NULL, NULL, NULL);
    serve(CN_ONLY, "cn", NULL, NULL, NULL);
    serve(PARTIAL, "partial", NULL, NULL, NULL);
    serve(SHORT_KEY, "short", "-cipher", "DEFAULT@SECLEVEL=0", NULL);
    serve(TLS12, "good", "-no_tls1_3", NULL, NULL);
    serve(TLS11, "good", "-tls1_1", "-cipher", "ALL@SECLEVEL=0");
    serve(NULL_CIPHER, "good", "-no_tls1_3", "-cipher", "NULL-SHA256@SECLEVEL=0");
    net_up(state);
    assert_true(param_set(PARAM_tls_out_ca, PARAM_FROM_FLAG, bytes_of(file("ca")), &e));
    if (!tls_client_new(&tls, &e))
        fail_msg("%s", e.message);
    return 0;
}

static int down(void **state)
{
    net_down(state);
    tls_client_free(&tls);
    for (int i = 0; i < PEERS; i++)
        peer_end(&peers[i]);
    peer_folder_remove(folder);
    return 0;
}

struct visit {
    uint16_t port;
    struct tls_wish wish;
    int64_t ms; /* of the handshake; 0: enough */
    bool shook;
    enum err_code code;
    char message[256];
    struct tls_result result;
};

/* A line there and back; the session tickets of TLS 1.3 come with it. */
static void talk(struct stream *s)
{
    struct err e = { 0 };
    struct bytes line;

    if (!stream_write(s, BYTES("abc\n"), &e) || !stream_line(s, 100, &line, &e))
        fail_msg("%s", e.message);
    assert_true(bytes_equal(line, BYTES("cba\n")));
}

static void visit_once(void *arg)
{
    struct visit *v = arg;
    struct stream_target t = { .port = v->port, .options = { .in_max = 4096, .out_max = 4096 } };
    struct stream *s = NULL;
    struct err e = { 0 };

    assert_true(network_parse_address(BYTES("127.0.0.1"), &t.address));
    if (!stream_connect(&t, in_ms(10000), &s, &e))
        fail_msg("%s", e.message);
    stream_deadline(s, in_ms(10000));
    v->wish.client = tls;
    v->wish.deadline = in_ms(v->ms ? v->ms : 10000);
    v->shook = stream_start_tls_client(s, &v->wish, &v->result, &e);
    v->code = e.code;
    snprintf(v->message, sizeof v->message, "%s", e.message);
    if (v->shook)
        talk(s);
    stream_shutdown(s);
    stream_free(&s);
}

static const struct row {
    enum host peer;
    enum tls_verify verify;
    const char *name;
    enum tls_failure failure;
    bool verified;
} rows[] = {
    { GOOD, TLS_BY_NAME, "mail.test", TLS_FAILED_NONE, true },
    { GOOD, TLS_BY_NAME, "MAIL.Test.", TLS_FAILED_NONE, true },
    { GOOD, TLS_BY_NAME, "a.wild.test", TLS_FAILED_NONE, true },
    { GOOD, TLS_BY_NAME, "127.0.0.1", TLS_FAILED_NONE, true },
    { GOOD, TLS_BY_NAME, "127.0.0.2", TLS_FAILED_NAME, false },
    { GOOD, TLS_BY_NAME, "a.b.wild.test", TLS_FAILED_NAME, false },
    { GOOD, TLS_BY_NAME, "wild.test", TLS_FAILED_NAME, false },
    { GOOD, TLS_BY_NAME, "x", TLS_FAILED_NAME, false },
    { CN_ONLY, TLS_BY_NAME, "mail.test", TLS_FAILED_NAME, false },
    { PARTIAL, TLS_BY_NAME, "mail.wild.test", TLS_FAILED_NAME, false },
    { OLD, TLS_BY_NAME, "mail.test", TLS_FAILED_EXPIRED, false },
    { EARLY, TLS_BY_NAME, "mail.test", TLS_FAILED_NOT_YET, false },
    { SELF, TLS_BY_NAME, "mail.test", TLS_FAILED_SELF_SIGNED, false },
    { STRANGER, TLS_BY_NAME, "mail.test", TLS_FAILED_UNTRUSTED, false },
    { SHORT_KEY, TLS_BY_NAME, "mail.test", TLS_FAILED_WEAK, false },
    { TLS12, TLS_BY_NAME, "mail.test", TLS_FAILED_NONE, true },
    { GOOD, TLS_UNVERIFIED, "mail.test", TLS_FAILED_NONE, true },
    { GOOD, TLS_UNVERIFIED, "elsewhere.test", TLS_FAILED_NONE, false },
    { OLD, TLS_UNVERIFIED, "mail.test", TLS_FAILED_NONE, false },
    { SELF, TLS_UNVERIFIED, "mail.test", TLS_FAILED_NONE, false },
    { STRANGER, TLS_UNVERIFIED, "mail.test", TLS_FAILED_NONE, false },
    { SHORT_KEY, TLS_UNVERIFIED, "mail.test", TLS_FAILED_NONE, true },
    { TLS11, TLS_UNVERIFIED, "mail.test", TLS_FAILED_VERSION, false },
    { NULL_CIPHER, TLS_UNVERIFIED, "mail.test", TLS_FAILED_ALERT, false },
};

static void certificates_and_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct visit v = { .port = peers[r->peer].port, .wish = { .verify = r->verify, .name = bytes_of(r->name) } };

        as_fiber(visit_once, &v);
        if (v.result.failure != r->failure || v.result.verified != r->verified)
            fail_msg("row %zu, %s: %s, verified %d (%s)", i, r->name, tls_failure_text(v.result.failure),
                     v.result.verified, v.message);
        assert_int_equal(v.shook, r->failure == TLS_FAILED_NONE);
        assert_true(v.shook || (v.code == ERR_CLOSED && strstr(v.message, tls_failure_text(r->failure))));
        assert_true(r->failure != TLS_FAILED_ALERT || v.result.alert == 40);
    }
}

static void what_came_of_it(void **state)
{
    const struct bytes names[] = { BYTES("elsewhere.test"), BYTES("b.wild.test") };
    struct visit v = { .port = peers[GOOD].port,
                       .wish = { .verify = TLS_BY_NAME,
                                 .name = BYTES("mail.test"),
                                 .names = names,
                                 .n_names = 2,
                                 .alpn = BYTES("smtp") } };

    (void)state;
    as_fiber(visit_once, &v);
    assert_true(v.shook);
    assert_string_equal(v.result.name, "*.wild.test");
    assert_string_equal(v.result.alpn, "smtp");
    assert_string_equal(v.result.version, "TLSv1.3");
    assert_string_equal(v.result.cipher, "TLS_AES_256_GCM_SHA384");
    assert_int_equal(v.result.bits, 256);
    visit_once(&v); /* a plain thread */
    assert_true(v.shook);
    v.port = peers[TLS12].port;
    as_fiber(visit_once, &v);
    assert_string_equal(v.result.version, "TLSv1.2");
    v.wish.least = TLS_1_3;
    as_fiber(visit_once, &v);
    assert_int_equal(v.result.failure, TLS_FAILED_VERSION);
}

static struct tls_result resume(enum host peer, enum tls_verify verify, const char *name, const char *key)
{
    struct visit v = { .port = peers[peer].port,
                       .wish = { .verify = verify, .name = bytes_of(name), .session = bytes_of(key) } };

    as_fiber(visit_once, &v);
    if (!v.shook)
        fail_msg("%s", v.message);
    return v.result;
}

static void sessions_are_resumed(void **state)
{
    static const enum host both[] = { GOOD, TLS12 };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *key = i ? "old" : "new";
        struct tls_result r = resume(both[i], TLS_BY_NAME, "mail.test", key);

        assert_false(r.offered || r.resumed);
        for (int again = 0; again < 3; again++) {
            r = resume(both[i], TLS_BY_NAME, "mail.test", key);
            assert_true(r.offered && r.resumed && r.verified);
        }
        assert_false(resume(both[i], TLS_BY_NAME, "mail.test", i ? "another" : "other").offered);
        assert_false(resume(both[i], TLS_BY_NAME, "a.wild.test", key).offered); /* was not looked at for this name */
        assert_false(resume(both[i], TLS_BY_NAME, "mail.test", NULL).offered);
    }
    assert_false(resume(SELF, TLS_UNVERIFIED, "mail.test", "self").offered);
    assert_true(resume(SELF, TLS_UNVERIFIED, "mail.test", "self").resumed);
    assert_true(param_set(PARAM_tls_out_sessions, PARAM_FROM_FLAG, BYTES("1"), &e));
    resume(GOOD, TLS_BY_NAME, "mail.test", "first");
    assert_false(resume(GOOD, TLS_BY_NAME, "mail.test", "second").offered);
    assert_true(resume(GOOD, TLS_BY_NAME, "mail.test", "second").resumed);
    assert_false(resume(GOOD, TLS_BY_NAME, "mail.test", "first").offered); /* the oldest leaves */
    assert_true(param_set(PARAM_tls_out_sessions, PARAM_FROM_FLAG, BYTES("0"), &e));
    resume(GOOD, TLS_BY_NAME, "mail.test", "third");
    assert_false(resume(GOOD, TLS_BY_NAME, "mail.test", "third").offered);
    assert_true(param_set(PARAM_tls_out_sessions, PARAM_FROM_FLAG, NO_BYTES, &e));
}

/* What an unverified handshake left behind does not open a verified one; and a peer that has lost its keys is met. */
static void a_session_is_no_way_around(void **state)
{
    struct visit v = { .port = peers[SELF].port,
                       .wish = { .verify = TLS_BY_NAME, .name = BYTES("mail.test"), .session = BYTES("same") } };
    struct tls_result r;

    (void)state;
    resume(SELF, TLS_UNVERIFIED, "mail.test", "same");
    as_fiber(visit_once, &v);
    assert_int_equal(v.result.failure, TLS_FAILED_SELF_SIGNED);
    assert_false(v.result.offered);
    resume(GOOD, TLS_BY_NAME, "mail.test", "moved");
    r = resume(TLS12, TLS_BY_NAME, "mail.test", "moved");
    assert_true(r.offered && !r.resumed && r.verified);
}

/* Accepts one connection, says something or nothing, and waits for its end. */
static const char *greeting;
static int listener;

static void *speak_no_tls(void *arg)
{
    char drop[4096];
    int fd = accept(listener, NULL, NULL);

    if (greeting && *greeting)
        send(fd, greeting, strlen(greeting), MSG_NOSIGNAL);
    while (greeting && recv(fd, drop, sizeof drop, 0) > 0)
        ;
    close(fd);
    return arg;
}

static void who_speaks_no_tls(void **state)
{
    static const struct {
        const char *says; /* NULL: closes at once; "": nothing */
        enum tls_failure failure;
        enum err_code code;
    } others[] = { { "220 mail.test ESMTP, in clear for ever\r\n", TLS_FAILED_NO_TLS, ERR_CLOSED },
                   { NULL, TLS_FAILED_CLOSED, ERR_CLOSED },
                   { "", TLS_FAILED_TIMEOUT, ERR_TIMEOUT } };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof in;

    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &n), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct visit v = { .port = ntohs(in.sin_port), .wish = { .name = BYTES("mail.test") } };
        pthread_t t;

        v.ms = others[i].code == ERR_TIMEOUT ? 200 : 10000;
        greeting = others[i].says;
        assert_int_equal(pthread_create(&t, NULL, speak_no_tls, NULL), 0);
        as_fiber(visit_once, &v);
        pthread_join(t, NULL);
        if (v.shook || v.result.failure != others[i].failure || v.code != others[i].code)
            fail_msg("%zu: %s (%s)", i, tls_failure_text(v.result.failure), v.message);
    }
    close(listener);
}

static void wishes_that_cannot_be(void **state)
{
    static const struct bytes bad[] = { BYTES_ROW(""), BYTES_ROW("."), BYTES_ROW(".test"), BYTES_ROW("mail\0.test"),
                                        BYTES_ROW("m\xc3\xa4il.test") };
    struct bytes many[17];
    const struct bytes mixed[] = { BYTES("mail.test"), BYTES("127.0.0.1") };
    struct visit v = { .port = peers[GOOD].port };
    struct tls_client *none = NULL;
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v.wish = (struct tls_wish){ .name = bad[i] };
        as_fiber(visit_once, &v);
        assert_int_equal(v.code, ERR_INVALID);
    }
    for (size_t i = 0; i < 17; i++)
        many[i] = BYTES("mail.test");
    v.wish = (struct tls_wish){ .name = BYTES("mail.test"), .names = many, .n_names = 17 };
    as_fiber(visit_once, &v);
    assert_int_equal(v.code, ERR_INVALID);
    v.wish = (struct tls_wish){ .name = BYTES("mail.test"), .names = mixed, .n_names = 2 };
    as_fiber(visit_once, &v);
    assert_int_equal(v.code, ERR_INVALID);
    assert_true(param_set(PARAM_tls_out_ca, PARAM_FROM_FLAG, BYTES("/nonexistent/ca.pem"), &e));
    assert_false(tls_client_new(&none, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, "/nonexistent/ca.pem"));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_and_names), cmocka_unit_test(what_came_of_it),
        cmocka_unit_test(sessions_are_resumed),   cmocka_unit_test(a_session_is_no_way_around),
        cmocka_unit_test(who_speaks_no_tls),      cmocka_unit_test(wishes_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, up, down);
}
