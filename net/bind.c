/* net/bind.c - sockets of a door: one for each address and each loop.
 *
 * A port that is taken has to be an error, and SO_REUSEPORT would hide it: see bind_one. With port 0 the first address
 * is given a free port that another address of the host may have in use, so it is tried anew a few times. An address
 * that is optional (::1 of localhost) may be missing; a port that is taken there is an error too. */
#include "net/bind.h"
#include "net/holder.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG    1024
#define PORT_TRIES 16 /* for a free port that is free on every address */

struct address {
    struct sockaddr_storage at;
    socklen_t n;
    bool optional; /* left out where the machine has it not */
    bool dual;     /* IPv6 socket that takes IPv4 too */
};

struct addresses {
    struct address a[BIND_ADDRESSES];
    size_t n;
};

static void add_ipv4(struct addresses *as, struct in_addr ip)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = ip };
    struct address *a = &as->a[as->n++];

    *a = (struct address){ .n = sizeof in };
    memcpy(&a->at, &in, sizeof in);
}

static void add_ipv6(struct addresses *as, const struct in6_addr *ip, bool optional, bool dual)
{
    struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_addr = *ip };
    struct address *a = &as->a[as->n++];

    *a = (struct address){ .n = sizeof in, .optional = optional, .dual = dual };
    memcpy(&a->at, &in, sizeof in);
}

static bool look_up(const char *host, struct addresses *as, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int failed = getaddrinfo(host, NULL, &hints, &list);

    if (failed)
        return err_set(e, ERR_INVALID, "host \"%s\": %s", host, gai_strerror(failed));
    for (struct addrinfo *i = list; i && as->n < BIND_ADDRESSES; i = i->ai_next) {
        struct address *a = &as->a[as->n++];

        *a = (struct address){ .n = i->ai_addrlen };
        memcpy(&a->at, i->ai_addr, i->ai_addrlen);
    }
    freeaddrinfo(list);
    return true;
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool addresses_of(struct bytes host, struct addresses *as, struct err *e)
{
    char text[256];

    if (bytes_equal(host, BYTES("*"))) {
        if (have_ipv6())
            add_ipv6(as, &in6addr_any, false, true);
        else
            add_ipv4(as, (struct in_addr){ htonl(INADDR_ANY) });
        return true;
    }
    if (bytes_equal_nocase(host, BYTES("localhost"))) {
        add_ipv4(as, (struct in_addr){ htonl(INADDR_LOOPBACK) });
        add_ipv6(as, &in6addr_loopback, true, false);
        return true;
    }
    if (!host.n || host.n >= sizeof text)
        return err_set(e, ERR_INVALID, "\"%.*s\" is no host", SHOW(host));
    snprintf(text, sizeof text, "%.*s", SHOW(host));
    return look_up(text, as, e);
}

static void set_port(struct address *a, uint16_t port)
{
    if (a->at.ss_family == AF_INET)
        ((struct sockaddr_in *)&a->at)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&a->at)->sin6_port = htons(port);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 at = { 0 };
    socklen_t n = sizeof at;

    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        return 0;
    return ntohs(at.sin6_port); /* which lies where an IPv4 address has its port */
}

/* The first socket has no SO_REUSEPORT while it is bound, so that the kernel refuses a port that somebody else has,
 * be it another process of ours; with it from then on, the other loops' sockets may join. */
static int bind_one(const struct address *a, bool first)
{
    int on = 1, only = !a->dual;
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!first)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->at.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, (const struct sockaddr *)&a->at, a->n) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    on = errno;
    close(fd);
    errno = on;
    return -1;
}

/* All loops' sockets of one address; false with errno. */
static bool bind_address(struct address *a, struct bound *b)
{
    int *fds = b->fds + b->addresses * b->loops;

    for (size_t i = 0; i < b->loops; i++) {
        set_port(a, b->port);
        fds[i] = bind_one(a, i == 0);
        if (fds[i] < 0) {
            while (i-- > 0)
                close(fds[i]);
            return false;
        }
        b->port = port_of(fds[i]);
    }
    b->addresses++;
    return true;
}

static bool is_absent(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* False with errno; what was bound stays in b. */
static bool bind_all(struct addresses *as, struct bound *b)
{
    for (size_t i = 0; i < as->n; i++)
        if (!bind_address(&as->a[i], b) && !(as->a[i].optional && is_absent(errno)))
            return false;
    return true;
}

void bind_clear(struct bound *b)
{
    for (size_t i = 0; i < b->addresses * b->loops; i++)
        close(b->fds[i]);
    free(b->fds);
    b->fds = NULL;
    b->addresses = 0;
}

static bool refuse(const struct door *d, int error, struct err *e)
{
    struct buf who;

    if (error != EADDRINUSE)
        return err_set(e, ERR_INVALID, "%s: cannot listen on %.*s port %u: %s%s", d->name, SHOW(d->host), d->port,
                       strerror(error), error == EACCES ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)" : "");
    buf_init(&who, 128);
    holder_of_port(d->port, &who);
    err_set(e, ERR_IN_USE, "%s: port %u is taken by %.*s", d->name, d->port, SHOW(buf_bytes(&who)));
    buf_clear(&who);
    return false;
}

bool bind_door(const struct door *d, size_t loops, struct bound *out, struct err *e)
{
    struct addresses as = { .n = 0 };

    if (!addresses_of(d->host, &as, e))
        return false;
    for (int tries = d->port ? 1 : PORT_TRIES;; tries--) {
        int error;

        *out = (struct bound){ .loops = loops, .port = d->port };
        out->fds = calloc(as.n * loops, sizeof *out->fds);
        if (!out->fds)
            die("out of memory");
        if (bind_all(&as, out))
            return true;
        error = errno;
        bind_clear(out);
        if (error != EADDRINUSE || tries <= 1)
            return refuse(d, error, e);
    }
}
