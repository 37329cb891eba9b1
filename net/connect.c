/* net/connect.c - connecting to a peer while the loop goes on.
 *
 * Each kind of failure has its code, for whoever schedules has to know whose fault it is: a peer that refuses is tried
 * later, a source address that cannot be used is the operator's, and no sockets left is ours. */
#include "net/fiber.h"
#include "net/peer.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static bool refuse(const struct stream_target *t, int error, struct err *e)
{
    bool ours = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL;
    char text[NETWORK_TEXT];

    network_show(&t->address, text);
    return err_set(e, ours ? ERR_QUEUE_FULL : ERR_BUSY, "%s port %u: %s", text, t->port, strerror(error));
}

/* The kernel chooses the port when it knows where to: so one source address has 28,000 for each peer, not in all. */
static bool bind_source(int fd, const struct stream_target *t, struct err *e)
{
    struct sockaddr_storage from;
    char text[NETWORK_TEXT];
    socklen_t n;
    int on = 1;

    if (!t->source)
        return true;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    n = peer_sockaddr(t->source, 0, &from);
    if (bind(fd, (const struct sockaddr *)&from, n) == 0)
        return true;
    network_show(t->source, text);
    return err_set(e, ERR_INVALID, "source address %s: %s", text, strerror(errno));
}

static bool connect_socket(int fd, const struct stream_target *t, int64_t deadline, struct err *e)
{
    struct sockaddr_storage to;
    socklen_t n = peer_sockaddr(&t->address, t->port, &to), size = sizeof(int);
    char text[NETWORK_TEXT];
    int error = 0;

    if (connect(fd, (const struct sockaddr *)&to, n) == 0)
        return true;
    if (errno != EINPROGRESS)
        return refuse(t, errno, e);
    network_show(&t->address, text);
    if (!fiber_wait_writable(fd, deadline, e))
        return err_set(e, e->code, "%s port %u: %s", text, t->port,
                       e->code == ERR_TIMEOUT ? "no answer in time" : "the server is stopping");
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error)
        return refuse(t, error ? error : errno, e);
    return true;
}

bool stream_connect(const struct stream_target *t, int64_t deadline, struct stream **out, struct err *e)
{
    int family = network_is_ipv4(&t->address) ? AF_INET : AF_INET6;
    int fd;

    if (t->source && network_is_ipv4(t->source) != (family == AF_INET))
        return err_set(e, ERR_INVALID, "the source address is not of the peer's family");
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse(t, errno, e);
    if (!bind_source(fd, t, e) || !connect_socket(fd, t, deadline, e)) {
        close(fd);
        return false;
    }
    *out = stream_socket(fd, &t->options);
    return true;
}
