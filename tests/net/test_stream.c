/* Streams over memory and sockets: lines, limits, when answers leave, deadlines, drain and stop. */
#include "net/stream.h"
#include "net_test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct stream_options small = { .in_max = 64, .out_max = 256 };
static const struct stream_options wide = { .in_max = 1 << 20, .out_max = 1 << 16 };
static const size_t steps[] = { 0, 1, 3, 64 };

static void want_line(struct stream *s, const char *want)
{
    struct err e = { 0 };
    struct bytes line;

    if (!stream_line(s, 40, &line, &e))
        fail_msg("no line: %s", e.message);
    assert_true(bytes_equal(line, bytes_of(want)));
}

static void lines_in_any_pieces(void **state)
{
    struct err e = { 0 };
    struct bytes line;

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf out;
        struct stream *s;

        buf_init(&out, 1000);
        s = stream_memory((struct bytes){ "EHLO a\r\n\nx\0y\r\nrest", 18 }, steps[i], &out, &small);
        assert_string_equal(stream_peer(s)->text, "memory");
        want_line(s, "EHLO a\r\n");
        want_line(s, "\n");
        assert_true(stream_line(s, 40, &line, &e));
        assert_int_equal(line.n, 5);
        assert_false(stream_line(s, 40, &line, &e));
        assert_int_equal(e.code, ERR_CLOSED);
        assert_true(bytes_equal(stream_peek(s), BYTES("rest")));
        stream_free(&s);
        assert_null(s);
        buf_clear(&out);
    }
}

static void long_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct err e = { 0 };
        struct buf out;
        struct bytes line;
        struct stream *s;

        buf_init(&out, 1000);
        s = stream_memory(BYTES("0123456789012345678901234567890123456789012345678901234567890123456789\r\nnext\r\n"),
                          steps[i], &out, &small);
        assert_false(stream_line(s, 20, &line, &e));
        assert_int_equal(e.code, ERR_TOO_LARGE);
        assert_true(bytes_starts(stream_peek(s), BYTES("01234567890123456789")));
        assert_true(stream_skip_line(s, 1000, &e));
        want_line(s, "next\r\n");
        stream_free(&s);
        s = stream_memory(BYTES("a\nb\rc\r\r\nnext\r\n"), steps[i], &out, &small);
        assert_true(stream_skip_line(s, 1000, &e)); /* a bare LF or CR is no end */
        want_line(s, "next\r\n");
        stream_free(&s);
        s = stream_memory(BYTES("0123456789012345678901234567890123456789012345678901234567890123456789\r\nnext\r\n"),
                          steps[i], &out, &small);
        assert_false(stream_skip_line(s, 30, &e));
        assert_int_equal(e.code, ERR_TOO_LARGE);
        stream_free(&s);
        buf_clear(&out);
    }
}

static void full_buffer(void **state)
{
    char bulk[100];
    struct err e = { 0 };
    struct buf out;
    struct stream *s;

    (void)state;
    memset(bulk, 'x', sizeof bulk);
    buf_init(&out, 10);
    s = stream_memory((struct bytes){ bulk, sizeof bulk }, 7, &out, &small);
    while (stream_fill(s, &e))
        assert_true(stream_peek(s).n <= 64);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_int_equal(stream_peek(s).n, 64);
    stream_skip(s, 60);
    assert_true(stream_fill(s, &e));
    assert_true(stream_peek(s).n > 4);
    stream_free(&s);
    buf_clear(&out);
}

/* A line that comes byte by byte is looked at once: 8 MiB would take minutes otherwise. */
static void slow_line_costs_little(void **state)
{
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    struct err e = { 0 };
    struct buf out;
    struct bytes line;
    struct stream *s;
    int64_t begin = clock_monotonic();

    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    text[n - 1] = '\n';
    buf_init(&out, 10);
    s = stream_memory((struct bytes){ text, n }, 1, &out, &wide);
    assert_true(stream_line(s, n, &line, &e));
    assert_int_equal(line.n, n);
    assert_true(clock_monotonic() - begin < 5000);
    stream_free(&s);
    buf_clear(&out);
    free(text);
}

static void answers_collect(void **state)
{
    struct err e = { 0 };
    struct buf out;
    struct stream *s;

    (void)state;
    buf_init(&out, 100000);
    s = stream_memory(BYTES("a\r\nb\r\n"), 0, &out, &small);
    want_line(s, "a\r\n");
    assert_true(stream_has_input(s));
    assert_true(stream_write(s, BYTES("1"), &e));
    want_line(s, "b\r\n");
    assert_false(stream_has_input(s));
    assert_true(stream_write(s, BYTES("2"), &e));
    assert_int_equal(out.n, 0);
    assert_true(stream_flush(s, &e));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("12")));
    for (int i = 0; i < 257; i++)
        assert_true(stream_write(s, BYTES("z"), &e));
    assert_int_equal(out.n, 2 + 256);
    assert_false(stream_fill(s, &e)); /* the end: what is left leaves before it is told */
    assert_int_equal(out.n, 2 + 257);
    stream_free(&s);
    buf_clear(&out);
}

/* --- sockets --- */

static int tcp_pair(int pair[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int door = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(door, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)&a, &n), 0);
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[1], (struct sockaddr *)&a, n), 0);
    pair[0] = accept(door, NULL, NULL);
    assert_true(pair[0] >= 0);
    close(door);
    return ntohs(a.sin_port);
}

struct echo {
    int fd, count;
    enum err_code end;
    int64_t patience;
    bool drains;
};

static void echo_lines(void *arg)
{
    struct echo *x = arg;
    struct stream *s = stream_socket(x->fd, &wide);
    struct err e = { 0 };
    struct bytes line;

    stream_drains(s, x->drains);
    for (;;) {
        stream_deadline(s, in_ms(x->patience));
        if (!stream_line(s, 1 << 20, &line, &e) || !stream_write(s, line, &e))
            break;
        x->count++;
    }
    x->end = e.code;
    if (e.code == ERR_TIMEOUT || e.code == ERR_CLOSED) {
        stream_deadline(s, in_ms(1000));
        if (!stream_write(s, BYTES("bye\r\n"), &e) || !stream_flush(s, &e))
            x->count = -1;
    }
    stream_shutdown(s);
    stream_free(&s);
}

static struct net_task echo_begin(struct echo *x)
{
    return (struct net_task){ .run = echo_lines, .arg = x };
}

static void launch(struct net_task *t)
{
    struct err e = { 0 };

    waiter_init(&t->done);
    assert_true(fiber_start(FIBER_ANY, net_task_run, t, &e));
}

static void want_bytes(int fd, const char *want)
{
    char got[256];
    size_t n = 0, most = strlen(want);

    while (n < most) {
        ssize_t k = read(fd, got + n, most - n);

        if (k <= 0)
            fail_msg("connection ended after %zu of %zu bytes", n, most);
        n += (size_t)k;
    }
    assert_memory_equal(got, want, most);
}

static void over_tcp(void **state)
{
    int pair[2];
    struct echo x = { .patience = 10000 };
    struct net_task t = echo_begin(&x);
    char one[] = "byte by byte\r\n";

    (void)state;
    tcp_pair(pair);
    x.fd = pair[0];
    launch(&t);
    assert_int_equal(write(pair[1], "a\r\nb\r\nhal", 9), 9);
    want_bytes(pair[1], "a\r\nb\r\n");
    assert_int_equal(write(pair[1], "f\r\n", 3), 3);
    want_bytes(pair[1], "half\r\n");
    for (size_t i = 0; i < sizeof one - 1; i++)
        assert_int_equal(write(pair[1], one + i, 1), 1);
    want_bytes(pair[1], one);
    /* the last command and the end in one go: both are noticed at once, the answer still arrives */
    assert_int_equal(write(pair[1], "c\r\n", 3), 3);
    shutdown(pair[1], SHUT_WR);
    want_bytes(pair[1], "c\r\nbye\r\n");
    waiter_wait(&t.done);
    assert_int_equal(x.end, ERR_CLOSED);
    assert_int_equal(x.count, 5);
    assert_int_equal(read(pair[1], one, 1), 0);
    close(pair[1]);
}

/* More than the sockets hold, read slowly: the writer waits and everything arrives in order. */
static void bulk_writer(void *arg)
{
    struct stream *s = stream_socket(*(int *)arg, &wide);
    struct err e = { 0 };
    char piece[1000];

    stream_deadline(s, in_ms(20000));
    for (int i = 0; i < 20000; i++) {
        memset(piece, 'a' + i % 26, sizeof piece);
        assert_true(stream_write(s, (struct bytes){ piece, sizeof piece }, &e));
    }
    assert_true(stream_flush(s, &e));
    stream_shutdown(s);
    stream_free(&s);
}

static void bulk(void **state)
{
    static char got[65536];
    int pair[2];
    struct net_task t = { .run = bulk_writer, .arg = pair };
    size_t total = 0;
    ssize_t n;

    (void)state;
    tcp_pair(pair);
    launch(&t);
    fiber_sleep_until(in_ms(30));
    while ((n = read(pair[1], got, sizeof got)) > 0)
        for (ssize_t i = 0; i < n; i++, total++)
            if (got[i] != (char)('a' + total / 1000 % 26))
                fail_msg("wrong byte at %zu", total);
    assert_int_equal(total, 20000 * 1000);
    waiter_wait(&t.done);
    close(pair[1]);
}

static void deadline(void **state)
{
    int pair[2];
    struct echo x = { .patience = 50 };
    struct net_task t = echo_begin(&x);

    (void)state;
    tcp_pair(pair);
    x.fd = pair[0];
    launch(&t);
    assert_int_equal(write(pair[1], "x", 1), 1);
    want_bytes(pair[1], "bye\r\n"); /* "421 4.4.2" can still be said */
    waiter_wait(&t.done);
    assert_int_equal(x.end, ERR_TIMEOUT);
    close(pair[1]);
}

static void write_deadline_fiber(void *arg)
{
    static char big[1 << 20];
    struct stream *s = stream_socket(*(int *)arg, &wide);
    struct err e = { 0 };

    stream_deadline(s, in_ms(50));
    while (stream_write(s, (struct bytes){ big, sizeof big }, &e))
        continue;
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_false(stream_fill(s, &e));
    assert_false(stream_flush(s, &e));
    stream_free(&s);
}

static void write_deadline(void **state)
{
    int pair[2];

    (void)state;
    tcp_pair(pair);
    as_fiber(write_deadline_fiber, pair);
    close(pair[1]);
}

/* Bytes and a reset in one edge are noticed after idle_trim at the latest. */
static void hidden_reset(void **state)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    int pair[2];
    struct echo x = { .patience = 60000 };
    struct net_task t = echo_begin(&x);

    (void)state;
    tcp_pair(pair);
    x.fd = pair[0];
    launch(&t);
    assert_int_equal(write(pair[1], "no line end", 11), 11);
    setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(pair[1]);
    waiter_wait(&t.done);
    assert_int_equal(x.end, ERR_CLOSED);
}

static void drain_and_stop(void **state)
{
    int idle[2], busy[2];
    struct echo a = { .patience = 60000, .drains = true }, b = { .patience = 60000 };
    struct net_task ta = echo_begin(&a), tb = echo_begin(&b);

    tcp_pair(idle);
    tcp_pair(busy);
    a.fd = idle[0];
    b.fd = busy[0];
    launch(&ta);
    launch(&tb);
    net_drain();
    want_bytes(idle[1], "bye\r\n");
    assert_int_equal(write(busy[1], "x\r\n", 3), 3);
    want_bytes(busy[1], "x\r\n");
    net_stop();
    want_bytes(busy[1], "bye\r\n");
    waiter_wait(&ta.done);
    waiter_wait(&tb.done);
    assert_int_equal(a.end, ERR_CLOSED);
    assert_int_equal(b.end, ERR_CLOSED);
    close(idle[1]);
    close(busy[1]);
    net_up(state);
}

static void peers(void **state)
{
    int pair[2], on = 0, port = tcp_pair(pair);
    socklen_t n = sizeof on;
    struct stream *s = stream_socket(pair[0], &wide);

    (void)state;
    assert_string_equal(stream_peer(s)->text, "127.0.0.1");
    assert_string_equal(stream_peer(s)->net, "127.0.0.1");
    assert_true(stream_peer(s)->loopback);
    assert_int_equal(stream_local_port(s), port);
    assert_int_equal(getsockopt(stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_int_equal(on, 1);
    assert_false(stream_is_tls(s));
    assert_null(stream_tls_version(s));
    stream_free(&s);
    close(pair[1]);
}

/* The same from a plain thread. */
static void plain_thread(void **state)
{
    int pair[2];
    struct stream *s;
    struct err e = { 0 };

    (void)state;
    tcp_pair(pair);
    s = stream_socket(pair[0], &wide);
    stream_deadline(s, in_ms(20));
    assert_false(stream_fill(s, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    stream_free(&s);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_in_any_pieces),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(full_buffer),
        cmocka_unit_test(slow_line_costs_little),
        cmocka_unit_test(answers_collect),
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(bulk),
        cmocka_unit_test(deadline),
        cmocka_unit_test(write_deadline),
        cmocka_unit_test(hidden_reset),
        cmocka_unit_test(drain_and_stop),
        cmocka_unit_test(peers),
        cmocka_unit_test(plain_thread),
    };

    return cmocka_run_group_tests(tests, net_up, net_down);
}
