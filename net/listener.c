/* net/listener.c - accepting, with limits that hold before a byte is read.
 *
 * Each loop accepts on its own sockets, and a session stays on the loop that took it. A connection past a limit is told
 * so without waiting (one send, never blocking), since whoever floods us must not make us wait. Without descriptors the
 * queue is emptied by a reserve: see shed. Closing goes through the loops, since an event belongs to its thread. */
#include "net/listener.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/bind.h"
#include "net/loop.h"
#include "net/peer.h"
#include "net/sessions.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>

#define BATCH    64  /* connections taken before other fibers run again */
#define PAUSE_MS 100 /* without descriptors, before the next try */
#define LOG_MS   1000
#define BUSY_MAX 2048 /* what a door says to who is turned away */

/* One socket, on its loop thread. */
struct entrance {
    struct listener *listener;
    int fd, reserve; /* reserve: given up to turn a connection away when there are no descriptors left */
    struct event *event, *retry;
};

struct listener {
    struct door door;
    char *name, *host, *busy_line; /* the door's, copied */
    struct bound bound;
    struct entrance *entrances;
    bool serving;
    _Atomic int64_t next_log;
    struct listener *next; /* of those that serve */
};

struct session {
    void (*run)(int fd, void *ctx);
    void *ctx;
    int fd;
    char net[64];
};

static pthread_mutex_t serving_lock = PTHREAD_MUTEX_INITIALIZER;
static struct listener *serving;

/* One line a second at most: a flood of connections is no flood of lines. */
static bool may_log(struct listener *l)
{
    int64_t now = clock_monotonic(), next = atomic_load(&l->next_log);

    return now >= next && atomic_compare_exchange_strong(&l->next_log, &next, now + LOG_MS);
}

static void turn_away(struct listener *l, int fd, const struct peer *p, const char *why)
{
    char made[BUSY_MAX];
    struct bytes line = l->door.busy_line;

    metric_add(METRIC_connections_refused_total, 1);
    if (may_log(l))
        log_warn(l->name, LOG_TEXT("client", p->text), LOG_TEXT("result", "refused"), LOG_TEXT("limit", why));
    if (l->door.busy)
        line = (struct bytes){ made, l->door.busy(made, sizeof made) };
    if (line.n && send(fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

static void run_session(void *arg)
{
    struct session s = *(struct session *)arg;

    free(arg);
    s.run(s.fd, s.ctx);
    session_ended(s.net);
}

static void begin_session(struct listener *l, int fd, const struct peer *p)
{
    struct session *s = malloc(sizeof *s);
    struct err e = { 0 };

    if (!s)
        die("out of memory");
    *s = (struct session){ .run = l->door.session, .ctx = l->door.ctx, .fd = fd };
    memcpy(s->net, p->net, sizeof s->net);
    if (fiber_start(fiber_loop(), run_session, s, &e))
        return;
    free(s);
    session_ended(p->net);
    turn_away(l, fd, p, "net.fibers_max");
}

static void welcome(struct listener *l, int fd, const struct sockaddr *from)
{
    struct peer p;
    const char *why;

    peer_from(&p, from);
    why = session_admit(&p);
    if (why)
        turn_away(l, fd, &p, why);
    else
        begin_session(l, fd, &p);
}

static void take_reserve(struct entrance *n)
{
    n->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void stop_for_a_while(struct entrance *n)
{
    struct timeval tv = { .tv_usec = PAUSE_MS * 1000 };

    event_del(n->event);
    event_add(n->retry, &tv);
}

/* No descriptors (or memory) left. The connection would stay in the queue and wake us for ever: it is taken with the
 * reserve and closed. */
static void shed(struct entrance *n, int error)
{
    int fd;

    metric_add(METRIC_connections_refused_total, 1);
    if (may_log(n->listener))
        log_error(n->listener->name, LOG_TEXT("result", "connection refused"), LOG_TEXT("error", strerror(error)));
    if (n->reserve >= 0)
        close(n->reserve);
    fd = accept4(n->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    take_reserve(n);
    if (fd < 0 || n->reserve < 0)
        stop_for_a_while(n);
}

static bool is_scarcity(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_connection(evutil_socket_t door, short what, void *arg)
{
    struct entrance *n = arg;

    (void)what;
    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t size = sizeof from;
        int fd = accept4(door, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            welcome(n->listener, fd, (struct sockaddr *)&from);
        } else if (is_scarcity(errno)) {
            shed(n, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else: an error of that connection, accept(2) */
    }
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct entrance *n = arg;

    (void)fd;
    (void)what;
    if (n->reserve < 0)
        take_reserve(n);
    event_add(n->event, NULL);
}

/* --- on each loop thread --- */

static void for_mine(struct listener *l, void (*what)(struct entrance *n))
{
    for (size_t i = fiber_loop(); i < l->bound.addresses * l->bound.loops; i += l->bound.loops)
        what(&l->entrances[i]);
}

static void enter(struct entrance *n)
{
    take_reserve(n);
    n->event = event_new(loop_base_self(), n->fd, EV_READ | EV_PERSIST, on_connection, n);
    n->retry = event_new(loop_base_self(), -1, 0, on_retry, n);
    if (!n->event || !n->retry || event_add(n->event, NULL) != 0)
        die("cannot watch a listening socket");
}

static void leave(struct entrance *n)
{
    event_free(n->event);
    event_free(n->retry);
    n->event = n->retry = NULL;
    if (n->reserve >= 0)
        close(n->reserve);
}

static void enter_here(void *arg)
{
    for_mine(arg, enter);
}

static void leave_here(void *arg)
{
    for_mine(arg, leave);
}

/* --- for the owner --- */

static void copy_door(struct listener *l, const struct door *d)
{
    l->door = *d;
    l->name = strdup(d->name);
    l->host = strndup(d->host.p ? d->host.p : "", d->host.n);
    l->busy_line = strndup(d->busy_line.p ? d->busy_line.p : "", d->busy_line.n);
    if (!l->name || !l->host || !l->busy_line)
        die("out of memory");
    l->door.name = l->name;
    l->door.host = bytes_of(l->host);
    l->door.busy_line = bytes_of(l->busy_line);
}

bool listener_open(const struct door *d, struct listener **out, struct err *e)
{
    struct listener *l;
    struct bound b;

    assert(net_running() && d->session);
    if (!bind_door(d, net_loops(), &b, e))
        return false;
    l = calloc(1, sizeof *l);
    if (!l)
        die("out of memory");
    copy_door(l, d);
    l->bound = b;
    l->entrances = calloc(b.addresses * b.loops, sizeof *l->entrances);
    if (!l->entrances)
        die("out of memory");
    for (size_t i = 0; i < b.addresses * b.loops; i++)
        l->entrances[i] = (struct entrance){ .listener = l, .fd = b.fds[i], .reserve = -1 };
    *out = l;
    return true;
}

uint16_t listener_port(const struct listener *l)
{
    return l->bound.port;
}

static void stop_all(void)
{
    for (;;) {
        struct listener *l;

        pthread_mutex_lock(&serving_lock);
        l = serving;
        pthread_mutex_unlock(&serving_lock);
        if (!l)
            return;
        listener_stop(l);
    }
}

bool listener_serve(struct listener *l, struct err *e)
{
    if (!net_running() || net_stopping())
        return err_set(e, ERR_CLOSED, "the loops do not run");
    assert(!l->serving);
    net_at_stop(stop_all);
    for (unsigned i = 0; i < net_loops(); i++)
        loop_call(i, enter_here, l);
    pthread_mutex_lock(&serving_lock);
    l->serving = true;
    l->next = serving;
    serving = l;
    pthread_mutex_unlock(&serving_lock);
    return true;
}

void listener_stop(struct listener *l)
{
    bool served;

    pthread_mutex_lock(&serving_lock);
    served = l->serving;
    l->serving = false;
    for (struct listener **at = &serving; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    pthread_mutex_unlock(&serving_lock);
    for (unsigned i = 0; served && i < net_loops(); i++)
        loop_call(i, leave_here, l);
}

void listener_close(struct listener **l)
{
    if (!*l)
        return;
    listener_stop(*l);
    bind_clear(&(*l)->bound);
    free((*l)->entrances);
    free((*l)->name);
    free((*l)->host);
    free((*l)->busy_line);
    free(*l);
    *l = NULL;
}
