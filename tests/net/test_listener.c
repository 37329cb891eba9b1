/* Doors: addresses, taken ports, limits, and running out of descriptors. */
#include "base/metrics.h"
#include "net/listener.h"
#include "net/peer.h"
#include "net/sessions.h"
#include "net/stream.h"
#include "net_test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct stream_options options = { .in_max = 4096, .out_max = 4096 };
static atomic_int open_now, on_loop[8];

/* Greets, then echoes one byte at a time until the peer goes. */
static void session(int fd, void *ctx)
{
    struct stream *s = stream_socket(fd, &options);
    struct err e = { 0 };

    (void)ctx;
    atomic_fetch_add(&open_now, 1);
    atomic_fetch_add(&on_loop[fiber_loop()], 1);
    stream_deadline(s, in_ms(20000));
    stream_write(s, BYTES("hi\n"), &e);
    while (stream_fill(s, &e)) {
        stream_write(s, stream_peek(s), &e);
        stream_skip(s, stream_peek(s).n);
    }
    stream_free(&s);
    atomic_fetch_sub(&open_now, 1);
}

static struct listener *open_door(const char *host, uint16_t port)
{
    struct door d = {
        .name = "test", .host = bytes_of(host), .port = port, .busy_line = BYTES("busy\n"), .session = session
    };
    struct listener *l = NULL;
    struct err e = { 0 };

    if (!listener_open(&d, &l, &e))
        fail_msg("%s: %s", host, e.message);
    assert_true(listener_port(l) > 0);
    return l;
}

static struct listener *serve_door(const char *host, uint16_t port)
{
    struct listener *l = open_door(host, port);
    struct err e = { 0 };

    assert_true(listener_serve(l, &e));
    return l;
}

static int dial(const char *host, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    bool six = strchr(host, ':') != NULL;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    int failed;

    if (fd < 0)
        return -1;
    inet_pton(six ? AF_INET6 : AF_INET, host, six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr);
    failed = six ? connect(fd, (struct sockaddr *)&in6, sizeof in6) : connect(fd, (struct sockaddr *)&in, sizeof in);
    if (!failed)
        return fd;
    close(fd);
    return -1;
}

static void want(int fd, const char *text)
{
    char got[64] = "";
    size_t n = 0;

    while (n < strlen(text)) {
        ssize_t k = read(fd, got + n, strlen(text) - n);

        if (k <= 0)
            fail_msg("wanted \"%s\", got \"%s\" and the end", text, got);
        n += (size_t)k;
    }
    assert_string_equal(got, text);
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof in6) == 0;

    if (fd >= 0)
        close(fd);
    return have;
}

static void greets(const char *host, uint16_t port)
{
    int fd = dial(host, port);

    assert_true(fd >= 0);
    want(fd, "hi\n");
    close(fd);
}

static void every_host(void **state)
{
    static const struct {
        const char *host;
        bool v4, v6;
    } rows[] = {
        { "127.0.0.1", true, false }, { "::1", false, true }, { "localhost", true, true }, { "*", true, true }
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct listener *l;
        int fd;

        if (!rows[i].v4 && !have_ipv6())
            continue;
        l = serve_door(rows[i].host, 0);
        if (rows[i].v4)
            greets("127.0.0.1", listener_port(l));
        if (rows[i].v6 && have_ipv6())
            greets("::1", listener_port(l));
        if (!rows[i].v6) {
            fd = dial("::1", listener_port(l));
            assert_int_equal(fd, -1);
        }
        assert_true(comes_to(&open_now, 0));
        listener_close(&l);
        assert_null(l);
    }
}

static void bad_hosts(void **state)
{
    static const char *const hosts[] = { "", "192.0.2.1", "no-such-host.invalid" };

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct door d = { .name = "test", .host = bytes_of(hosts[i]), .session = session };
        struct listener *l = NULL;
        struct err e = { 0 };

        assert_false(listener_open(&d, &l, &e));
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(e.message[0]);
    }
}

/* Both loops serve: 64 connections that all landed on one would be chance of 2^-63. */
static void loops_share(void **state)
{
    struct listener *l = serve_door("127.0.0.1", 0);

    (void)state;
    on_loop[0] = on_loop[1] = 0;
    for (int i = 0; i < 64; i++)
        greets("127.0.0.1", listener_port(l));
    assert_true(on_loop[0] > 0 && on_loop[1] > 0);
    assert_int_equal(on_loop[0] + on_loop[1], 64);
    assert_true(comes_to(&open_now, 0));
    listener_close(&l);
}

static void not_before_serve(void **state)
{
    struct listener *l = open_door("127.0.0.1", 0);
    struct err e = { 0 };
    int fd = dial("127.0.0.1", listener_port(l));
    char c;

    (void)state;
    assert_true(fd >= 0);
    fiber_sleep_until(in_ms(30));
    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
    assert_true(listener_serve(l, &e));
    want(fd, "hi\n");
    listener_stop(l); /* the session goes on */
    assert_int_equal(write(fd, "x", 1), 1);
    want(fd, "x");
    close(fd);
    assert_true(comes_to(&open_now, 0));
    listener_close(&l);
}

/* In another process, which does just what this one does. Exit status 0: refused, and we were named. */
static int try_port(const char *host, uint16_t port)
{
    struct net_options o = { .loops = 2, .fibers_max = 10 };
    struct door d = { .name = "smtp", .host = bytes_of(host), .port = port, .session = session };
    struct listener *l = NULL;
    struct err e = { 0 };
    char pid[32];

    params_init();
    if (!net_start(&o, &e))
        return 3;
    if (listener_open(&d, &l, &e))
        return 1;
    snprintf(pid, sizeof pid, "pid %d (", (int)getppid());
    return e.code == ERR_IN_USE && strstr(e.message, pid) ? 0 : 2;
}

static const char *self_path;

static void refused_elsewhere(const char *host, uint16_t port)
{
    char number[16];
    int status;
    pid_t child;

    snprintf(number, sizeof number, "%u", port);
    child = fork();
    if (child == 0) {
        execl(self_path, self_path, "--try", host, number, (char *)NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void taken_port(void **state)
{
    struct listener *l = serve_door("127.0.0.1", 0);
    struct door again = { .name = "pop3", .host = BYTES("localhost"), .port = listener_port(l), .session = session };
    struct listener *second = NULL;
    struct err e = { 0 };

    (void)state;
    refused_elsewhere("127.0.0.1", listener_port(l));
    refused_elsewhere("*", listener_port(l));
    assert_false(listener_open(&again, &second, &e));
    assert_int_equal(e.code, ERR_IN_USE);
    assert_non_null(strstr(e.message, "pop3"));
    listener_close(&l);
    l = serve_door("*", 0);
    refused_elsewhere("127.0.0.1", listener_port(l));
    refused_elsewhere("*", listener_port(l));
    listener_close(&l);
    assert_true(listener_open(&again, &second, &e)); /* free again at once */
    listener_close(&second);
}

static void set(enum param p, const char *value)
{
    struct err e = { 0 };

    if (!param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static void sessions_max(void **state)
{
    struct listener *l = serve_door("127.0.0.1", 0);
    int64_t refused = metric_get(METRIC_connections_refused_total);
    int fd[4];

    (void)state;
    assert_true(comes_to(&open_now, 0));
    set(PARAM_net_sessions_max, "3");
    set(PARAM_net_sessions_per_address, "1"); /* does not count on loopback */
    for (int i = 0; i < 3; i++) {
        fd[i] = dial("127.0.0.1", listener_port(l));
        want(fd[i], "hi\n");
    }
    fd[3] = dial("127.0.0.1", listener_port(l));
    want(fd[3], "busy\n");
    assert_int_equal(metric_get(METRIC_connections_refused_total), refused + 1);
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    assert_true(comes_to(&open_now, 0));
    greets("127.0.0.1", listener_port(l));
    assert_true(comes_to(&open_now, 0));
    set(PARAM_net_sessions_max, NULL);
    set(PARAM_net_sessions_per_address, NULL);
    listener_close(&l);
}

static struct peer peer_of_text(const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    struct peer p;
    bool six = inet_pton(AF_INET, text, &in.sin_addr) != 1;

    if (six)
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    peer_from(&p, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in);
    return p;
}

static void addresses_as_text(void **state)
{
    static const struct {
        const char *in, *text, *net;
        bool loopback;
    } rows[] = { { "192.0.2.7", "192.0.2.7", "192.0.2.7", false },
                 { "127.9.0.1", "127.9.0.1", "127.9.0.1", true },
                 { "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7", false },
                 { "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1", true },
                 { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", false },
                 { "::1", "::1", "::/64", true } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer p = peer_of_text(rows[i].in);

        assert_string_equal(p.text, rows[i].text);
        assert_string_equal(p.net, rows[i].net);
        assert_int_equal(p.loopback, rows[i].loopback);
    }
}

static void sessions_per_address(void **state)
{
    struct peer a = peer_of_text("2001:db8::1"), b = peer_of_text("2001:db8::2"), other = peer_of_text("192.0.2.7");

    (void)state;
    set(PARAM_net_sessions_per_address, "2");
    assert_null(session_admit(&a));
    assert_null(session_admit(&b));
    assert_string_equal(session_admit(&a), "net.sessions_per_address");
    assert_null(session_admit(&other));
    session_ended(b.net);
    assert_null(session_admit(&b));
    set(PARAM_net_sessions_per_address, "0"); /* no limit */
    assert_null(session_admit(&a));
    for (int i = 0; i < 3; i++)
        session_ended(a.net);
    session_ended(other.net);
    set(PARAM_net_sessions_per_address, NULL);
}

/* No descriptor left: no spinning, the waiting connection is closed, and later ones are served again. */
static void no_descriptors(void **state)
{
    struct listener *l = serve_door("127.0.0.1", 0);
    struct rlimit old, tight;
    struct rusage before, after;
    int mine[4], lowest = dup(0), away = 0;
    char c;
    int64_t ms;

    (void)state;
    for (int i = 0; i < 4; i++)
        mine[i] = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)lowest + 1;
    close(lowest);
    lowest = open("/dev/null", O_RDONLY);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 4; i++) {
        struct sockaddr_in in = { .sin_family = AF_INET,
                                  .sin_port = htons(listener_port(l)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        assert_int_equal(connect(mine[i], (struct sockaddr *)&in, sizeof in), 0);
        away += read(mine[i], &c, 1) <= 0; /* one may be served: by a descriptor that an earlier session gives back */
    }
    assert_true(away > 0);
    fiber_sleep_until(in_ms(200));
    getrusage(RUSAGE_SELF, &after);
    ms = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 +
         (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000;
    assert_true(ms < 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(lowest);
    for (int i = 0; i < 4; i++)
        close(mine[i]);
    greets("127.0.0.1", listener_port(l));
    assert_true(comes_to(&open_now, 0));
    listener_close(&l);
}

static size_t make_busy(char *to, size_t most)
{
    return (size_t)snprintf(to, most, "busy, made\n");
}

static void made_busy_line(void **state)
{
    struct door d = { .name = "made", .host = BYTES("127.0.0.1"), .session = session, .busy = make_busy };
    struct listener *l = NULL;
    struct err e = { 0 };
    int fd, second;

    (void)state;
    assert_true(comes_to(&open_now, 0));
    assert_true(listener_open(&d, &l, &e) && listener_serve(l, &e));
    set(PARAM_net_sessions_max, "1");
    fd = dial("127.0.0.1", listener_port(l));
    assert_true(comes_to(&open_now, 1));
    second = dial("127.0.0.1", listener_port(l));
    want(second, "busy, made\n");
    close(second);
    close(fd);
    assert_true(comes_to(&open_now, 0));
    set(PARAM_net_sessions_max, NULL);
    listener_close(&l);
}

/* net_stop with the door open and a session in it; the listener is closed afterwards. */
static void stop_with_sessions(void **state)
{
    struct listener *l = serve_door("127.0.0.1", 0);
    int fd = dial("127.0.0.1", listener_port(l));
    char c;

    want(fd, "hi\n");
    net_stop();
    assert_int_equal(open_now, 0);
    assert_int_equal(read(fd, &c, 1), 0);
    close(fd);
    listener_close(&l);
    net_up(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_host),         cmocka_unit_test(bad_hosts),
        cmocka_unit_test(loops_share),        cmocka_unit_test(not_before_serve),
        cmocka_unit_test(taken_port),         cmocka_unit_test(sessions_max),
        cmocka_unit_test(addresses_as_text),  cmocka_unit_test(sessions_per_address),
        cmocka_unit_test(no_descriptors),     cmocka_unit_test(made_busy_line),
        cmocka_unit_test(stop_with_sessions),
    };
    int64_t port;

    self_path = argv[0];
    if (argc == 4 && bytes_to_int(bytes_of(argv[3]), &port))
        _exit(try_port(argv[2], (uint16_t)port));
    return cmocka_run_group_tests(tests, net_up, net_down);
}
