/* The HTTP client, to Python's http.server with and without TLS, names from a DNS server of our own
 * (tests/net/peer.py). */
#include "net/dns.h"
#include "net/http_client.h"
#include "net_test.h"
#include "peer.h"
#include <sys/socket.h>
#include <unistd.h>

enum { PLAIN, SAFE, OLD, CN_ONLY, FRESH, SERVERS };

static char folder[64];
static struct peer_program names, servers[SERVERS];
static struct tls_client *tls;

static const char *file(const char *name)
{
    static char paths[16][96];
    static int i;
    char *path = paths[i++ % 16];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void set(enum param p, const char *value)
{
    struct err e = { 0 };

    if (!param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static void client_up(void)
{
    struct err e = { 0 };

    if (!dns_start(&e) || !tls_client_new(&tls, &e) || !http_client_start(tls, &e))
        fail_msg("%s", e.message);
}

static void client_down(void)
{
    http_client_stop();
    dns_stop();
    tls_client_free(&tls);
}

static void serve(int which, const char *certificate)
{
    const char *argv[] = { "python3", "tests/net/peer.py", "http", "127.0.0.2", certificate, NULL };

    peer_start(&servers[which], "PORT ", argv);
}

static int up(void **state)
{
    const char *ca, *dns[] = { "python3", "tests/net/peer.py", "dns", NULL };
    char resolver[64];

    peer_folder_make(folder);
    ca = file("ca");
    cert_make(&(struct cert_wish){ .file = ca, .cn = "Root", .is_ca = 1 });
    cert_make(
        &(struct cert_wish){ .file = file("safe"), .cn = "x", .san = "DNS:good.test,IP:127.0.0.2", .issuer = ca });
    cert_make(&(struct cert_wish){
        .file = file("old"), .cn = "x", .san = "DNS:good.test", .issuer = ca, .from = -9, .to = -1 });
    cert_make(&(struct cert_wish){ .file = file("cn"), .cn = "good.test", .issuer = ca });
    peer_start(&names, "PORT ", dns);
    serve(PLAIN, NULL);
    serve(SAFE, file("safe"));
    serve(OLD, file("old"));
    serve(CN_ONLY, file("cn"));
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* nothing of the environment is believed */
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    net_up(state);
    snprintf(resolver, sizeof resolver, "127.0.0.1@%u", names.port);
    set(PARAM_dns_servers, resolver);
    set(PARAM_dns_trust_anchor, "");
    set(PARAM_tls_out_ca, ca);
    client_up();
    return 0;
}

static int down(void **state)
{
    net_down(state);
    client_down();
    for (int i = 0; i < FRESH; i++)
        peer_end(&servers[i]);
    peer_end(&names);
    peer_folder_remove(folder);
    return 0;
}

/* 127.0.0.3 is the internal network here. It also stops saying yes after `most` addresses. */
struct guard {
    atomic_int asked, most;
};

static bool may(void *ctx, const struct network *address, uint16_t port)
{
    struct guard *g = ctx;

    assert_true(port > 0);
    return !network_list_reaches(BYTES("127.0.0.3, fc00::/7"), address) &&
           (!g->most || atomic_fetch_add(&g->asked, 1) < g->most);
}

struct visit {
    struct http_ask ask;
    char url[512];
    int64_t ms;
    struct guard guard;
    struct arena *arena;
    struct http_answer answer;
    bool answered;
    struct err e;
};

static void visit_once(void *arg)
{
    struct visit *v = arg;

    v->ask.deadline = in_ms(v->ms ? v->ms : 20000);
    v->ask.method = v->ask.method ? v->ask.method : "GET";
    v->ask.url = bytes_of(v->url);
    v->ask.answer_max = v->ask.answer_max ? v->ask.answer_max : 100000;
    v->ask.allow = may;
    v->ask.ctx = &v->guard;
    if (!v->arena)
        v->arena = arena_new(1 << 20);
    v->e = (struct err){ 0 };
    v->answered = http_client_ask(&v->ask, v->arena, &v->answer, &v->e);
}

/* "%u" in the URL is the server's port. */
static void url_of(struct visit *v, int server, const char *url)
{
    const char *at = strstr(url, "%u");

    if (at)
        snprintf(v->url, sizeof v->url, "%.*s%u%s", (int)(at - url), url, servers[server].port, at + 2);
    else
        snprintf(v->url, sizeof v->url, "%s", url);
}

static struct visit *visit(int server, const char *url)
{
    static struct visit v;

    arena_free(&v.arena);
    v = (struct visit){ .ms = 0 };
    url_of(&v, server, url);
    as_fiber(visit_once, &v);
    return &v;
}

static void want_body(const struct visit *v, const char *part)
{
    if (!v->answered)
        fail_msg("%s: %s", v->url, v->e.message);
    if (!strstr(arena_text(v->arena, v->answer.body), part))
        fail_msg("%s: %.*s", v->url, SHOW(v->answer.body));
}

static const struct row {
    int server;
    const char *url;
    enum http_failure failure;
    enum tls_failure tls;
    enum err_code code;
} rows[] = {
    { PLAIN, "http://127.0.0.2:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://good.test:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://two.test:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://half.test:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "HTTP://GOOD.test:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://[::ffff:127.0.0.2]:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://0x7f.0.0.2:%u/x", HTTP_FAILED_NONE, 0, 0 }, /* the same address, and shown as such */
    { PLAIN, "http://good.test:%u/status?code=404", HTTP_FAILED_NONE, 0, 0 },
    { PLAIN, "http://good.test:%u/big?n=100000", HTTP_FAILED_NONE, 0, 0 },
    { SAFE, "https://good.test:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { SAFE, "https://127.0.0.2:%u/x", HTTP_FAILED_NONE, 0, 0 },
    { SAFE, "https://two.test:%u/x", HTTP_FAILED_TLS, TLS_FAILED_NAME, ERR_BUSY },
    { OLD, "https://good.test:%u/x", HTTP_FAILED_TLS, TLS_FAILED_EXPIRED, ERR_BUSY },
    { CN_ONLY, "https://good.test:%u/x", HTTP_FAILED_TLS, TLS_FAILED_NAME, ERR_BUSY },
    { PLAIN, "https://good.test:%u/x", HTTP_FAILED_TLS, TLS_FAILED_HANDSHAKE, ERR_BUSY },
    { SAFE, "http://good.test:%u/x", HTTP_FAILED_PROTOCOL, 0, ERR_BUSY },
    { PLAIN, "http://private.test:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://127.0.0.3:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://127.3:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://2130706435:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://[::ffff:7f00:3]:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://[64:ff9b::127.0.0.3]:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://[fd00::1]:%u/x", HTTP_FAILED_DENIED, 0, ERR_BUSY },
    { PLAIN, "http://gone.test:%u/x", HTTP_FAILED_NAME, 0, ERR_BUSY },
    { PLAIN, "http://empty.test:%u/x", HTTP_FAILED_NAME, 0, ERR_BUSY },
    { PLAIN, "http://broken.test:%u/x", HTTP_FAILED_DNS, 0, ERR_BUSY },
    { PLAIN, "http://127.0.0.1:%u/x", HTTP_FAILED_CONNECT, 0, ERR_BUSY },
    { PLAIN, "http://good.test:%u/big?n=100001", HTTP_FAILED_TOO_LARGE, 0, ERR_TOO_LARGE },
    { PLAIN, "http://good.test:%u/chunked?n=100001", HTTP_FAILED_TOO_LARGE, 0, ERR_TOO_LARGE },
    { PLAIN, "http://good.test:%u/head?n=70", HTTP_FAILED_TOO_LARGE, 0, ERR_TOO_LARGE },
    { PLAIN, "http://good.test:%u/cut", HTTP_FAILED_PROTOCOL, 0, ERR_BUSY },
    { PLAIN, "http://good.test:%u/garbage", HTTP_FAILED_PROTOCOL, 0, ERR_BUSY },
    { PLAIN, "ftp://good.test:%u/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "file:///etc/passwd", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "gopher://good.test:%u/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http://ana:secret@good.test:%u/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http://good.test:%u/x y", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http://good.test:%u/x\r\nX-Injected: 1", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN,
      "http://g\xc3\xb6\xc3\xb6"
      "d.test:%u/x",
      HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http://good.test:99999/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http://good.test:0/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "http:///gone.test", HTTP_FAILED_NAME, 0, ERR_BUSY },
    { PLAIN, "http://[fe80::1%%25lo]:%u/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "/x", HTTP_FAILED_URL, 0, ERR_INVALID },
    { PLAIN, "", HTTP_FAILED_URL, 0, ERR_INVALID },
};

static void urls_and_failures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct visit *v = visit(r->server, r->url);

        if (v->answer.failure != r->failure || v->answer.tls != r->tls || v->e.code != r->code)
            fail_msg("%s: %s, %s (%s: %s)", r->url, http_failure_text(v->answer.failure),
                     tls_failure_text(v->answer.tls), err_row(v->e.code)->name, v->e.message);
        assert_int_equal(v->answered, r->failure == HTTP_FAILED_NONE);
    }
}

static void what_is_sent_and_answered(void **state)
{
    static const struct http_client_field fields[] = { { BYTES_ROW("X-Signature"), BYTES_ROW("v1,abc=") },
                                                       { BYTES_ROW("Content-Type"), BYTES_ROW("application/json") },
                                                       { BYTES_ROW("X-Nothing"), BYTES_ROW("") } };
    struct visit *v = visit(PLAIN, "http://good.test:%u/x?y=z");
    char shown[NETWORK_TEXT];

    (void)state;
    want_body(v, "\"method\": \"GET\", \"path\": \"/x?y=z\"");
    want_body(v, "\"user-agent\": \"Postrider/");
    assert_int_equal(v->answer.status, 200);
    assert_true(bytes_equal(http_answer_field(&v->answer, BYTES("x-answer")), BYTES("yes")));
    assert_true(http_answer_field(&v->answer, BYTES("x-empty")).p && !http_answer_field(&v->answer, BYTES("x-no")).p);
    assert_true(bytes_equal(network_show(&v->answer.address, shown), BYTES("127.0.0.2")));
    v->ask = (struct http_ask){ .method = "POST", .body = BYTES("{}"), .fields = fields, .n_fields = 3 };
    as_fiber(visit_once, v);
    want_body(v, "{\"body\": \"{}\", \"fields\": {");
    want_body(v, "\"content-type\": \"application/json\"");
    want_body(v, "\"x-nothing\": \"\", \"x-signature\": \"v1,abc=\"}, \"method\": \"POST\"");
    assert_true(v->answer.reused);
    v->ask = (struct http_ask){ .method = "PUT", .body = BYTES("") };
    visit_once(v); /* a plain thread */
    want_body(v, "\"method\": \"PUT\"");
    v->ask = (struct http_ask){ .method = "HEAD" };
    as_fiber(visit_once, v);
    assert_true(v->answered && v->answer.body.n == 0 && v->answer.status == 200);
    url_of(v, PLAIN, "http://good.test:%u/big?n=200000"); /* which a HEAD does not bring */
    as_fiber(visit_once, v);
    assert_true(v->answered);
    assert_true(visit(PLAIN, "http://good.test:%u/status?code=503")->answer.status == 503);
}

static void fields_are_looked_at(void **state)
{
    static const struct http_client_field bad[] = { { BYTES_ROW("X-A"), BYTES_ROW("b\r\nX-C: d") },
                                                    { BYTES_ROW("X-A"), BYTES_ROW("b\nc") },
                                                    { BYTES_ROW("X-A"), BYTES_ROW("b\0c") },
                                                    { BYTES_ROW("X-A: b\r\nX-C"), BYTES_ROW("d") },
                                                    { BYTES_ROW("X A"), BYTES_ROW("b") },
                                                    { BYTES_ROW("X:A"), BYTES_ROW("b") },
                                                    { BYTES_ROW(""), BYTES_ROW("b") } };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct visit *v = visit(PLAIN, "http://good.test:%u/x");

        v->ask.fields = &bad[i];
        v->ask.n_fields = 1;
        as_fiber(visit_once, v);
        assert_int_equal(v->e.code, ERR_INVALID);
    }
}

static bool denied_after(struct visit *v, int most)
{
    v->guard = (struct guard){ .most = most };
    as_fiber(visit_once, v);
    return v->answer.failure == HTTP_FAILED_DENIED;
}

/* The name resolved to something harmless; what is connected to is not. */
static void the_address_is_looked_at_again(void **state)
{
    struct visit *v;

    (void)state;
    serve(FRESH, NULL);
    v = visit(PLAIN, "http://good.test:%u/x");
    url_of(v, FRESH, "http://good.test:%u/x");
    assert_true(denied_after(v, 1)); /* when it is connected to */
    assert_true(denied_after(v, 2)); /* before anything is sent */
    assert_false(denied_after(v, 3));
    assert_true(denied_after(v, 1)); /* on a kept connection */
    url_of(v, FRESH, "http://good.test:%u/counts");
    assert_false(denied_after(v, 0));
    want_body(v, "requests=2");
    peer_end(&servers[FRESH]);
}

static void redirects(void **state)
{
    static const struct http_client_field token[] = { { BYTES_ROW("Authorization"), BYTES_ROW("Bearer secret") } };
    static const struct {
        int server;
        const char *to;
        enum http_failure failure;
        const char *body;
    } hops[] = {
        { PLAIN, "/x", HTTP_FAILED_NONE, "Bearer secret" },
        { PLAIN, "http://127.0.0.2:%u/other-host", HTTP_FAILED_NONE, "\"path\": \"/other-host\"" },
        { PLAIN, "https://good.test:%u/x", HTTP_FAILED_TLS, NULL },
        { PLAIN, "http://private.test:%u/x", HTTP_FAILED_DENIED, NULL },
        { PLAIN, "http://gone.test/x", HTTP_FAILED_NAME, NULL },
        { PLAIN, "file:///etc/passwd", HTTP_FAILED_URL, NULL },
        { PLAIN, "//ana:secret@good.test/x", HTTP_FAILED_URL, NULL },
        { SAFE, "http://good.test:%u/x", HTTP_FAILED_REDIRECT, NULL },
    };
    struct visit *v;

    (void)state;
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
        char to[512];

        v = visit(hops[i].server, hops[i].to);
        memcpy(to, v->url, sizeof to);
        url_of(v, hops[i].server,
               hops[i].server == SAFE ? "https://good.test:%u/to?url=" : "http://good.test:%u/to?url=");
        assert_true(strlen(v->url) + strlen(to) < sizeof v->url);
        memcpy(v->url + strlen(v->url), to, strlen(to) + 1);
        v->ask = (struct http_ask){ .redirects = 2, .fields = token, .n_fields = 1 };
        as_fiber(visit_once, v);
        if (v->answer.failure != hops[i].failure)
            fail_msg("%s: %s", to, v->e.message);
        if (hops[i].body)
            want_body(v, hops[i].body);
        if (i == 1)
            assert_null(strstr(arena_text(v->arena, v->answer.body), "secret"));
    }
}

static void redirects_are_counted(void **state)
{
    struct visit *v = visit(PLAIN, "http://good.test:%u/again?n=3");

    (void)state;
    assert_true(v->answered && v->answer.status == 302 && v->answer.redirects == 0); /* not unless asked */
    v->ask.redirects = 3;
    as_fiber(visit_once, v);
    want_body(v, "there");
    assert_int_equal(v->answer.redirects, 3);
    assert_true(bytes_ends(v->answer.url, BYTES("/again?n=0")));
    v->ask.redirects = 2;
    as_fiber(visit_once, v);
    assert_int_equal(v->answer.failure, HTTP_FAILED_REDIRECT);
    v->ask = (struct http_ask){ .method = "POST", .body = BYTES("x"), .redirects = 3 };
    as_fiber(visit_once, v);
    assert_true(v->answered && v->answer.status == 302);
}

static void want_timeout(const char *path)
{
    struct visit *v = visit(PLAIN, "http://good.test:%u/x");
    int64_t begin = clock_monotonic();

    assert_true(v->answered);
    url_of(v, PLAIN, path);
    v->ms = 300;
    as_fiber(visit_once, v);
    assert_int_equal(v->answer.failure, HTTP_FAILED_TIMEOUT);
    assert_int_equal(v->e.code, ERR_TIMEOUT);
    assert_true(clock_monotonic() - begin < 10000);
}

static void deadlines(void **state)
{
    (void)state;
    want_timeout("http://good.test:%u/silent");
    want_timeout("http://good.test:%u/drip");
}

#define MANY 60

static atomic_int over;

static void visit_and_count(void *arg)
{
    visit_once(arg);
    atomic_fetch_add(&over, 1);
}

static void start(struct visit *v, int server, const char *url)
{
    struct err e = { 0 };

    url_of(v, server, url);
    assert_true(fiber_start(FIBER_ANY, visit_and_count, v, &e));
}

static void many_at_once(void **state)
{
    static struct visit v[MANY];

    (void)state;
    serve(FRESH, NULL);
    set(PARAM_http_client_per_host, "3");
    over = 0;
    for (int i = 0; i < MANY; i++)
        start(&v[i], FRESH, "http://good.test:%u/pause?ms=20");
    assert_true(comes_to(&over, MANY));
    for (int i = 0; i < MANY; i++) {
        want_body(&v[i], "at last");
        arena_free(&v[i].arena);
    }
    want_body(visit(FRESH, "http://good.test:%u/counts"), "most=3 requests=61");
    set(PARAM_http_client_per_host, NULL);
    peer_end(&servers[FRESH]);
}

/* A request that waits for a connection has its deadline too, and past requests_max none waits. */
static void who_waits_does_not_wait_for_ever(void **state)
{
    static struct visit first, more;

    (void)state;
    serve(FRESH, NULL); /* no kept connections yet */
    set(PARAM_http_client_per_host, "1");
    over = 0;
    first.ms = 600000;
    first.guard.most = 100;
    start(&first, FRESH, "http://good.test:%u/silent");
    assert_true(comes_to(&first.guard.asked, 3)); /* it has the connection */
    set(PARAM_http_client_requests_max, "1");
    url_of(&more, FRESH, "http://good.test:%u/x");
    as_fiber(visit_once, &more);
    assert_int_equal(more.answer.failure, HTTP_FAILED_BUSY);
    set(PARAM_http_client_requests_max, NULL);
    more.ms = 200;
    as_fiber(visit_once, &more);
    assert_int_equal(more.answer.failure, HTTP_FAILED_TIMEOUT);
    peer_end(&servers[FRESH]);
    assert_true(comes_to(&over, 1));
    assert_int_equal(first.answer.failure, HTTP_FAILED_PROTOCOL);
    arena_free(&first.arena);
    arena_free(&more.arena);
    set(PARAM_http_client_per_host, NULL);
}

static void stop_ends_requests(void **state)
{
    static struct visit v;

    over = 0;
    v.ms = 600000;
    start(&v, PLAIN, "http://good.test:%u/pause?ms=100000");
    visit(PLAIN, "http://good.test:%u/x");
    net_stop();
    assert_int_equal(over, 1);
    assert_int_equal(v.answer.failure, HTTP_FAILED_STOPPED);
    assert_int_equal(v.e.code, ERR_CLOSED);
    client_down();
    net_up(state);
    visit_once(&v); /* nothing runs */
    assert_false(v.answered);
    client_up();
    arena_free(&v.arena);
    assert_true(visit(PLAIN, "http://127.0.0.2:%u/x")->answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_and_failures),
        cmocka_unit_test(what_is_sent_and_answered),
        cmocka_unit_test(fields_are_looked_at),
        cmocka_unit_test(the_address_is_looked_at_again),
        cmocka_unit_test(redirects),
        cmocka_unit_test(redirects_are_counted),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(who_waits_does_not_wait_for_ever),
        cmocka_unit_test(stop_ends_requests),
    };

    return cmocka_run_group_tests(tests, up, down);
}
