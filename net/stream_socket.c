#include "net/peer.h"
#include "net/stream_inner.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static long socket_read(struct stream *s, char *to, size_t n)
{
    long got = watch_read(&s->watch, to, n);

    if (got >= 0)
        return got;
    return errno == EAGAIN ? IO_WAIT_READ : IO_FAILED;
}

static long socket_write(struct stream *s, const char *from, size_t n)
{
    long put = watch_write(&s->watch, from, n);

    if (put >= 0)
        return put;
    return errno == EAGAIN ? IO_WAIT_WRITE : IO_FAILED;
}

static bool socket_may_read(const struct stream *s)
{
    return s->watch.readable;
}

const struct transport transport_socket = { socket_read, socket_write, socket_may_read };

void stream_peer_of(int fd, struct peer *out)
{
    struct sockaddr_storage address = { 0 };
    struct sockaddr *sa = (void *)&address;
    socklen_t n = sizeof address;

    if (getpeername(fd, sa, &n) != 0)
        address.ss_family = AF_UNSPEC;
    peer_from(out, sa);
}

struct stream *stream_socket(int fd, const struct stream_options *o)
{
    struct stream *s = stream_make(&transport_socket, o);
    struct sockaddr_storage address = { 0 };
    struct sockaddr *sa = (void *)&address;
    struct peer local;
    socklen_t n = sizeof address;
    int on = 1;

    watch_init(&s->watch, fd);
    stream_peer_of(fd, &s->peer);
    if (getsockname(fd, sa, &n) == 0) {
        peer_from(&local, sa);
        s->local_port = local.port;
    }
    /* What belongs together leaves together (stream.c): the kernel need not wait for more. */
    if (address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return s;
}
