#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WATCH_EVERY_MS 250

static void line_fill(struct line *l, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = { 0 };
    socklen_t n = sizeof peer;
    int domain = 0;
    socklen_t domain_size = sizeof domain;

    l->fd = fd->connect_fd;
    stream_peer_of(l->fd, &l->peer);
    l->is_unix = getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 && domain == AF_UNIX;
    l->uid = UINT32_MAX;
    if (l->is_unix && getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
        l->uid = peer.uid;
    l->tls = !l->is_unix && l->api->tls;
    l->due = clock_monotonic() + (PARAM_INT(api, idle) < PARAM_INT(api, request_deadline)
                                      ? PARAM_INT(api, idle)
                                      : PARAM_INT(api, request_deadline));
}

static void line_open(struct api *api, struct MHD_Connection *mhd, void **socket_context)
{
    struct line *l = calloc(1, sizeof *l);

    if (!l)
        die("out of memory: a connection");
    l->api = api;
    line_fill(l, mhd);
    *socket_context = l;
    pthread_mutex_lock(&api->lines_lock);
    l->after = api->lines;
    if (l->after)
        l->after->before = l;
    api->lines = l;
    pthread_mutex_unlock(&api->lines_lock);
}

/* ---- what is still on its way ---- */

#define LINGER_MS   2000 /* silence that ends it */
#define LINGER_MOST 64   /* connections at once */
static atomic_int lingering;

struct leftover {
    int fd;
};

static void linger_run(void *arg)
{
    struct leftover *l = arg;
    char *sink = malloc(API_STEP);
    int64_t end = clock_monotonic() + PARAM_INT(api, request_deadline), now;
    size_t total = 0;
    ssize_t n;
    struct err e = { 0 };

    if (!sink)
        die("out of memory: a connection");
    while (total < API_DROP_MOST && (now = clock_monotonic()) < end &&
           fiber_wait_readable(l->fd, now + LINGER_MS, &e) && (n = recv(l->fd, sink, API_STEP, MSG_DONTWAIT)) != 0 &&
           (n > 0 || errno == EAGAIN))
        total += n > 0 ? (size_t)n : 0;
    close(l->fd);
    free(l);
    free(sink);
    atomic_fetch_sub(&lingering, 1);
}

/* The library closes a connection whose body it did not read, and the kernel then resets it: a client that is still
 * sending would lose the answer (RFC 9112 9.6). What it sends is read into nothing for a while. */
static void linger(const struct line *line)
{
    struct leftover *l;
    struct err ignored = { 0 };

    if (atomic_fetch_add(&lingering, 1) >= LINGER_MOST || !(l = calloc(1, sizeof *l))) {
        atomic_fetch_sub(&lingering, 1);
        return;
    }
    shutdown(line->fd, SHUT_WR);
    l->fd = fcntl(line->fd, F_DUPFD_CLOEXEC, 0);
    if (l->fd >= 0 && fiber_start(FIBER_ANY, linger_run, l, &ignored))
        return;
    if (l->fd >= 0)
        close(l->fd);
    free(l);
    atomic_fetch_sub(&lingering, 1);
}

static void line_close(struct api *api, struct line *l)
{
    if (atomic_load(&l->unread))
        linger(l);
    pthread_mutex_lock(&api->lines_lock);
    if (l->before)
        l->before->after = l->after;
    else
        api->lines = l->after;
    if (l->after)
        l->after->before = l->before;
    pthread_mutex_unlock(&api->lines_lock);
    if (!l->is_unix)
        listener_session_ended(l->peer.net);
    free(l);
}

void lines_notify(void *api, struct MHD_Connection *mhd, void **socket_context,
                  enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        line_open(api, mhd, socket_context);
    else if (*socket_context)
        line_close(api, *socket_context);
}

/* The library would wait for ever for a byte in time, so the answer is written past it, and the socket shut: the
 * library sees an end of input. Only while a request is being read, when it has nothing to write itself. */
static void cut(struct line *l)
{
    static const char body[] =
        "{\"type\":\"/errors/request_timeout\",\"title\":\"The request came too slowly\",\"status\":408,"
        "\"code\":\"request_timeout\",\"detail\":\"The request was not complete in time\","
        "\"request_id\":\"%s\",\"errors\":[]}";
    char id[ID_TEXT + 1], text[sizeof body + ID_TEXT], answer[1024];
    int n;

    if (atomic_load(&l->reading) && !l->tls) {
        id_format("req", id_new(), id);
        n = snprintf(text, sizeof text, body, id);
        n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
                     "Request-Id: %s\r\nConnection: close\r\n\r\n%s",
                     n, id, text);
        if (send(l->fd, answer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            log_debug("api", LOG_TEXT("error", "no 408 could be sent"), LOG_TEXT("client", l->peer.text));
    }
    log_info("api", LOG_TEXT("result", "too_slow"), LOG_TEXT("client", l->peer.text));
    shutdown(l->fd, SHUT_RDWR);
}

/* The library reads what a client sent before it hung up, and may then miss the hanging up (its events come at edges,
 * and it takes a short read for the last). A shutdown of our own is an edge. */
static bool hung_up(const struct line *l)
{
    char c;

    return atomic_load(&l->reading) && recv(l->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void look(struct api *api)
{
    int64_t now = clock_monotonic();
    bool over = atomic_load(&api->stopping) && now >= atomic_load(&api->stop_due);

    pthread_mutex_lock(&api->lines_lock);
    for (struct line *l = api->lines; l; l = l->after)
        if (over || atomic_load(&l->due) <= now) {
            atomic_store(&l->due, CLOCK_NEVER);
            cut(l);
        } else if (hung_up(l)) {
            shutdown(l->fd, SHUT_RDWR);
        }
    pthread_mutex_unlock(&api->lines_lock);
}

void lines_watch(void *arg)
{
    struct api *api = arg;

    while ((!atomic_load(&api->stopping) || atomic_load(&api->running) > 0) &&
           fiber_sleep_until(clock_monotonic() + WATCH_EVERY_MS))
        look(api);
    atomic_store(&api->watching, false); /* the stopper looks again in a moment, and then frees api */
}
