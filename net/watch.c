/* net/watch.c - one event for each socket, edge triggered, for both directions.
 *
 * `readable` and `writable` are what we believe. A read that got less than asked for says that the buffer is empty,
 * without asking for EAGAIN. Only the fiber that owns the socket waits, in one direction at a time; the other's edge is
 * remembered. */
#include "net/watch.h"
#include "net/loop.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS 50

void watch_init(struct watch *w, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    *w = (struct watch){ .fd = fd, .readable = true, .writable = true };
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void watch_close(struct watch *w)
{
    if (w->event)
        event_free(w->event);
    w->event = NULL;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

static void on_edge(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    if (what & EV_CLOSED)
        w->closed = true;
    if (what & (EV_READ | EV_CLOSED)) {
        w->readable = true;
        w->looked = false;
    }
    if (what & EV_WRITE)
        w->writable = true;
    if (w->sleeper && (w->for_read ? w->readable : w->writable))
        fiber_unpark(w->sleeper);
}

static void start(struct watch *w)
{
    w->event = event_new(loop_base_self(), w->fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_edge, w);
    if (!w->event || event_add(w->event, NULL) != 0)
        die("cannot watch a socket: %s", strerror(errno));
}

static bool wait_plainly(struct watch *w, bool for_read, int64_t deadline, struct err *e)
{
    bool came = for_read ? fiber_wait_readable(w->fd, deadline, e) : fiber_wait_writable(w->fd, deadline, e);

    if (came && for_read)
        w->readable = true;
    else if (came)
        w->writable = true;
    return came;
}

/* One wait. True also when it is time to look at a silent socket. */
static bool sleep_once(struct watch *w, int64_t deadline, unsigned how, struct err *e)
{
    int64_t look = w->for_read && !w->looked ? loop_self()->now + LOOK_MS : deadline;
    enum woken woken = fiber_park(look < deadline ? look : deadline, how);

    if (woken == WOKEN_STOP)
        return err_set(e, ERR_CLOSED, "the server is stopping");
    if (woken == WOKEN_EVENT)
        return true;
    if (look >= deadline)
        return err_set(e, ERR_TIMEOUT, "timed out");
    return w->looked = w->readable = true;
}

bool watch_wait(struct watch *w, bool for_read, int64_t deadline, unsigned how, struct err *e)
{
    bool going = true;

    if (!fiber_self())
        return wait_plainly(w, for_read, deadline, e);
    if (!w->event)
        start(w);
    w->sleeper = fiber_self();
    w->for_read = for_read;
    while (going && !(for_read ? w->readable : w->writable))
        going = sleep_once(w, deadline, how, e);
    w->sleeper = NULL;
    return going;
}

/* Less than asked for means that the kernel's buffer is empty (or full), and what comes later brings an edge. */
long watch_read(struct watch *w, void *to, size_t n)
{
    ssize_t got;

    errno = EAGAIN;
    if (!w->readable)
        return -1;
    do
        got = recv(w->fd, to, n, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 || (got < (ssize_t)n && !w->closed))
        w->readable = false;
    return got;
}

long watch_write(struct watch *w, const void *from, size_t n)
{
    ssize_t put;

    errno = EAGAIN;
    if (!w->writable)
        return -1;
    do
        put = send(w->fd, from, n, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < (ssize_t)n)
        w->writable = false;
    return put;
}
