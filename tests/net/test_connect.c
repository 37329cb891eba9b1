/* stream_connect, to sockets of the kernel: who answers, who refuses, who is silent, from which address. */
#include "net/stream.h"
#include "net_test.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct stream_target target_of(const char *address, uint16_t port)
{
    struct stream_target t = { .port = port, .options = { .in_max = 4096, .out_max = 4096 } };

    if (!network_parse_address(bytes_of(address), &t.address))
        fail_msg("%s", address);
    return t;
}

/* A socket of the kernel's choice of port; it listens when backlog is not negative. */
static int bound(bool six, int backlog, uint16_t *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr *at = six ? (void *)&in6 : (void *)&in;
    socklen_t n = six ? sizeof in6 : sizeof in;
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, at, n) != 0 || getsockname(fd, at, &n) != 0 || (backlog >= 0 && listen(fd, backlog) != 0)) {
        close(fd);
        return -1;
    }
    *port = ntohs(six ? in6.sin6_port : in.sin_port);
    return fd;
}

struct visit {
    struct stream_target target;
    int64_t ms;
    enum err_code code;
    char message[256], source[64];
    int listener; /* is asked for what it got */
};

static void connect_once(void *arg)
{
    struct visit *v = arg;
    struct stream *s = NULL;
    struct err e = { 0 };
    struct peer who;
    int fd;

    if (!stream_connect(&v->target, in_ms(v->ms ? v->ms : 10000), &s, &e)) {
        v->code = e.code;
        snprintf(v->message, sizeof v->message, "%s", e.message);
        assert_null(s);
        return;
    }
    stream_deadline(s, in_ms(10000));
    fd = accept(v->listener, NULL, NULL);
    assert_true(fd >= 0);
    stream_peer_of(fd, &who);
    snprintf(v->source, sizeof v->source, "%s", who.text);
    assert_int_equal(stream_peer(s)->port, v->target.port);
    assert_int_equal(send(fd, "220 here\r\n", 10, 0), 10);
    close(fd);
    assert_true(stream_fill(s, &e));
    assert_true(bytes_equal(stream_peek(s), BYTES("220 here\r\n")));
    stream_free(&s);
}

static void somebody_answers(void **state)
{
    struct network source;
    struct visit v = { .ms = 0 };
    uint16_t port;

    (void)state;
    v.listener = bound(false, 16, &port);
    v.target = target_of("127.0.0.1", port);
    as_fiber(connect_once, &v);
    assert_int_equal(v.code, ERR_NONE);
    assert_string_equal(v.source, "127.0.0.1");
    connect_once(&v); /* a plain thread */
    assert_true(network_parse_address(BYTES("127.0.0.77"), &source));
    v.target.source = &source;
    as_fiber(connect_once, &v);
    assert_string_equal(v.source, "127.0.0.77");
    close(v.listener);
    v = (struct visit){ .listener = bound(true, 16, &port) };
    if (v.listener < 0)
        return; /* no IPv6 here */
    v.target = target_of("::1", port);
    as_fiber(connect_once, &v);
    assert_string_equal(v.source, "::1");
    close(v.listener);
}

static void want_failure(struct visit *v, enum err_code code, const char *text)
{
    as_fiber(connect_once, v);
    if (v->code != code || !strstr(v->message, text))
        fail_msg("%s: %s", err_row(v->code)->name, v->message);
}

static void failures_have_their_codes(void **state)
{
    struct network away, six;
    struct visit v = { .ms = 0 };
    uint16_t port;
    int fd = bound(false, -1, &port);

    (void)state;
    v.target = target_of("127.0.0.1", port);
    want_failure(&v, ERR_BUSY, "Connection refused");
    assert_true(network_parse_address(BYTES("192.0.2.1"), &away) && network_parse_address(BYTES("::1"), &six));
    v.target.source = &away;
    want_failure(&v, ERR_INVALID, "source address 192.0.2.1");
    v.target.source = &six;
    want_failure(&v, ERR_INVALID, "family");
    close(fd);
}

static atomic_int turns[2]; /* of each loop */

static void count_turns(void *arg)
{
    atomic_int *until = arg;

    while (!atomic_load(until)) {
        atomic_fetch_add(&turns[fiber_loop()], 1);
        fiber_sleep_until(in_ms(1));
    }
}

/* A full backlog: the kernel drops the SYN, as a host behind a filter does. */
static int silent_listener(uint16_t *port, int filled[4])
{
    int fd = bound(false, 0, port);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(*port) };

    for (int i = 0; i < 4; i++) {
        filled[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(filled[i], (struct sockaddr *)&to, sizeof to);
    }
    return fd;
}

static void silence_ends_and_blocks_nobody(void **state)
{
    static atomic_int over;
    struct net_task others[2];
    struct visit v = { .ms = 500 };
    struct err e = { 0 };
    uint16_t port;
    int filled[4], fd = silent_listener(&port, filled);

    (void)state;
    v.target = target_of("127.0.0.1", port);
    for (unsigned i = 0; i < 2; i++) {
        others[i] = (struct net_task){ .run = count_turns, .arg = &over };
        waiter_init(&others[i].done);
        assert_true(fiber_start(i, net_task_run, &others[i], &e));
    }
    want_failure(&v, ERR_TIMEOUT, "no answer in time");
    over = 1;
    for (int i = 0; i < 2; i++)
        waiter_wait(&others[i].done);
    assert_true(turns[0] > 3 && turns[1] > 3);
    for (int i = 0; i < 4; i++)
        close(filled[i]);
    close(fd);
}

static void connect_until_stop(void *arg)
{
    atomic_int *steps = arg;
    struct visit v = { .ms = 600000 };
    uint16_t port;
    int filled[4], fd = silent_listener(&port, filled);

    v.target = target_of("127.0.0.1", port);
    atomic_store(steps, 1);
    connect_once(&v);
    atomic_store(steps, v.code == ERR_CLOSED ? 2 : 3);
    for (int i = 0; i < 4; i++)
        close(filled[i]);
    close(fd);
}

static void stop_ends_it(void **state)
{
    static atomic_int steps;
    struct err e = { 0 };

    assert_true(fiber_start(FIBER_ANY, connect_until_stop, &steps, &e));
    assert_true(comes_to(&steps, 1));
    net_stop();
    assert_int_equal(steps, 2);
    net_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(somebody_answers),
        cmocka_unit_test(failures_have_their_codes),
        cmocka_unit_test(silence_ends_and_blocks_nobody),
        cmocka_unit_test(stop_ends_it),
    };

    return cmocka_run_group_tests(tests, net_up, net_down);
}
