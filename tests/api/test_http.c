/* The HTTP door itself, spoken to byte by byte: what it refuses, when, and how it ends. No service is behind it. */
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "net/fiber.h"
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct api *api;

static int dial(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(api_port(api)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 10 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void say(int fd, struct bytes text)
{
    assert_int_equal(send(fd, text.p, text.n, MSG_NOSIGNAL), (ssize_t)text.n);
}

/* All that comes until `end` was seen or the connection ended. */
static struct bytes hear(int fd, char *to, size_t most, const char *end)
{
    size_t n = 0;
    ssize_t got;

    to[0] = '\0';
    while (n < most - 1 && (got = recv(fd, to + n, most - 1 - n, 0)) > 0) {
        n += (size_t)got;
        to[n] = '\0';
        if (end && strstr(to, end))
            break;
    }
    return (struct bytes){ to, n };
}

#define HOST "Host: x\r\n"
static const struct {
    const char *what, *request, *status, *has;
    size_t n; /* 0: the text's length */
} cases[] = {
    { "alive", "GET /livez HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "\"ok\"", 0 },
    { "the contract", "GET /openapi.json HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "\"openapi\":\"3.1.0\"", 0 },
    { "a page", "GET /errors/in_use HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "text/html", 0 },
    { "no such page", "GET /errors/x HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", "\"not_found\"", 0 },
    { "absolute form", "GET http://x/livez HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "\"ok\"", 0 },
    { "no path", "GET /v2 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", "Request-Id: req_", 0 },
    { "method", "PUT /v1/domains HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 405",
      "Allow: GET, HEAD, POST\r\n", 0 },
    { "nobody", "GET /v1/me HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 401", "WWW-Authenticate: Bearer", 0 },
    { "closed metrics", "GET /metrics HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 401", "\"unauthenticated\"", 0 },
    { "other scheme", "GET /v1/me HTTP/1.1\r\n" HOST "Authorization: Digest x\r\n\r\n", "HTTP/1.1 401",
      "\"unauthenticated\"", 0 },
    { "media type",
      "POST /v1/domains HTTP/1.1\r\n" HOST
      "Authorization: Bearer x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 415", "unsupported_media_type", 0 },
    { "413 before the body",
      "POST /v1/domains HTTP/1.1\r\n" HOST "Authorization: Bearer x\r\nContent-Type: application/json\r\n"
      "Content-Length: 300000000\r\nExpect: 100-continue\r\n\r\n",
      "HTTP/1.1 413", "too_large", 0 },
    { "two lengths", "POST /livez HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400",
      "invalid_request", 0 },
    { "equal lengths", "POST /livez HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
      "HTTP/1.1 400", "invalid_request", 0 },
    { "length and coding",
      "POST /livez HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 400", "invalid_request", 0 },
    { "doubled credential", "GET /v1/me HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
      "HTTP/1.1 400", "invalid_request", 0 },
    { "%00", "GET /livez%00x HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "invalid_request", 0 },
    { "broken escape", "GET /%zz HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "invalid_request", 0 },
    { "%00 in the query", "GET /livez?a=%00 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 422", "invalid_encoding", 0 },
    { "unknown parameter", "GET /livez?a=1&b=2 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 422", "\"pointer\":\"/b\"", 0 },
};

static void test_cases(void **state)
{
    static char answer[512 * 1024];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial();
        struct bytes request = bytes_of(cases[i].request);

        say(fd, request);
        hear(fd, answer, sizeof answer, cases[i].has);
        if (strncmp(answer, cases[i].status, 12) != 0 || !strstr(answer, cases[i].has))
            print_error("%s: %s\n", cases[i].what, answer);
        assert_int_equal(strncmp(answer, cases[i].status, 12), 0);
        assert_non_null(strstr(answer, cases[i].has));
        close(fd);
    }
}

static void test_large_header(void **state)
{
    static char header[60000], answer[4096];
    int fd = dial();

    (void)state;
    memset(header, 'a', sizeof header);
    say(fd, BYTES("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "));
    say(fd, (struct bytes){ header, sizeof header });
    hear(fd, answer, sizeof answer, "\r\n\r\n");
    assert_int_equal(strncmp(answer, "HTTP/1.1 431", 12), 0);
    close(fd);
}

/* One connection serves many requests, also after a refusal with a small body. */
static void test_kept(void **state)
{
    char answer[8192];
    int fd = dial();

    (void)state;
    for (int i = 0; i < 50; i++) {
        say(fd, i % 2 ? BYTES("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                      : BYTES("POST /v1/domains HTTP/1.1\r\nHost: x\r\nContent-Type: "
                              "application/json\r\nContent-Length: 2\r\n\r\n{}"));
        hear(fd, answer, sizeof answer, "}");
        assert_int_equal(strncmp(answer, i % 2 ? "HTTP/1.1 200" : "HTTP/1.1 401", 12), 0);
    }
    close(fd);
}

static void test_head(void **state)
{
    char answer[8192];
    int fd = dial();
    struct bytes have;

    (void)state;
    say(fd, BYTES("HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    have = hear(fd, answer, sizeof answer, NULL);
    assert_non_null(strstr(answer, "Content-Length: 33"));
    assert_true(bytes_ends(have, BYTES("\r\n\r\n")));
    close(fd);
}

/* A byte now and then keeps no request alive past its deadline. */
static void test_drip(void **state)
{
    char answer[4096];
    int64_t began = clock_monotonic();
    int fd = dial();
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct err e = { 0 };

    (void)state;
    assert_true(param_set(PARAM_api_request_deadline, PARAM_FROM_FLAG, BYTES("1s"), &e));
    say(fd, BYTES("POST /v1/domains HTTP/1.1\r\nHost: x\r\nX-Drip: "));
    while (poll(&p, 1, 100) == 0 && clock_monotonic() - began < 5000)
        say(fd, BYTES(" "));
    hear(fd, answer, sizeof answer, NULL);
    assert_int_equal(strncmp(answer, "HTTP/1.1 408", 12), 0);
    assert_non_null(strstr(answer, "\"request_timeout\""));
    assert_true(clock_monotonic() - began < 4000);
    assert_true(param_set(PARAM_api_request_deadline, PARAM_FROM_FLAG, NO_BYTES, &e));
    close(fd);
}

/* A connection that sends nothing ends too. */
static void test_idle(void **state)
{
    char answer[64];
    struct err e = { 0 };
    int fd;

    (void)state;
    assert_true(param_set(PARAM_api_idle, PARAM_FROM_FLAG, BYTES("1s"), &e));
    fd = dial();
    assert_int_equal(hear(fd, answer, sizeof answer, NULL).n, 0);
    close(fd);
    assert_true(param_set(PARAM_api_idle, PARAM_FROM_FLAG, NO_BYTES, &e));
}

static bool opens(const char *host, const char *cert, struct err *e)
{
    struct api_options o = { .cert_file = cert, .key_file = cert };
    struct api *other = NULL;
    bool good = api_open(&o, &other, e) && api_listen(other, bytes_of(host), 0, e);

    api_close(&other);
    return good;
}

/* Keys in clear are taken from this machine only. */
static void test_safe(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_false(opens("0.0.0.0", NULL, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, "api.behind_proxy"));
    assert_true(opens("127.0.0.1", NULL, &e));
    assert_true(opens("::1", NULL, &e));
    assert_false(opens("127.example.org", NULL, &e));
    assert_non_null(strstr(e.message, "api.behind_proxy"));
    assert_false(opens("127.0.0.1", "/nonexistent", &e));
    assert_non_null(strstr(e.message, "/nonexistent"));
    assert_true(param_set(PARAM_api_behind_proxy, PARAM_FROM_FLAG, BYTES("true"), &e));
    assert_false(opens("0.0.0.0", NULL, &e));
    assert_true(param_set(PARAM_api_trusted_proxies, PARAM_FROM_FLAG, BYTES("192.0.2.1"), &e));
    assert_true(opens("0.0.0.0", NULL, &e));
}

static int start(void **state)
{
    const struct net_options net = { .loops = 2, .store_workers = 1, .cpu_workers = 1, .fibers_max = 1000 };
    const struct api_options o = { 0 };
    struct err e = { 0 };

    (void)state;
    params_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    return net_start(&net, &e) && api_open(&o, &api, &e) && api_listen(api, BYTES("127.0.0.1"), 0, &e) &&
                   api_serve(api, &e)
               ? 0
               : -1;
}

/* With connections open, one of them in the middle of a request. */
static int stop(void **state)
{
    int idle = dial(), half = dial();

    (void)state;
    say(half, BYTES("POST /v1/domains HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"));
    usleep(50000);
    api_stop(api);
    net_stop();
    api_close(&api);
    close(idle);
    close(half);
    params_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_large_header), cmocka_unit_test(test_kept),
        cmocka_unit_test(test_head),  cmocka_unit_test(test_drip),         cmocka_unit_test(test_idle),
        cmocka_unit_test(test_safe),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
