#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the library's callbacks ---- */

static void *on_target(void *api, const char *target, struct MHD_Connection *mhd)
{
    struct exchange *x = exchange_new(api, target);

    x->mhd = mhd;
    x->line = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    atomic_store(&x->line->reading, true);
    atomic_store(&x->line->due, clock_monotonic() + PARAM_INT(api, request_deadline));
    return x;
}

static enum MHD_Result on_request(void *api, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **context)
{
    struct exchange *x = *context;

    (void)api, (void)mhd, (void)url, (void)version;
    if (!x->begun) {
        x->begun = true;
        return exchange_head(x, method);
    }
    return *n ? exchange_bytes(x, data, n) : exchange_complete(x);
}

static void on_ended(void *api, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *context;

    (void)api, (void)mhd, (void)why;
    if (!x)
        return;
    *context = NULL;
    atomic_store(&x->line->reading, false);
    atomic_store(&x->line->due, clock_monotonic() + PARAM_INT(api, idle));
    exchange_gone(x);
}

/* We decode ourselves: the library would turn %00 into an end of the text. */
static size_t on_escape(void *ctx, struct MHD_Connection *mhd, char *text)
{
    (void)ctx, (void)mhd;
    return strlen(text);
}

static void on_log(void *ctx, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *ctx, const char *format, va_list args)
{
    char text[512];

    (void)ctx;
    if (!log_wants(LOG_DEBUG) || vsnprintf(text, sizeof text, format, args) < 0)
        return;
    log_debug("http", LOG_BYTES("text", bytes_trim(bytes_of(text))));
}

static void on_socket(int fd, void *ctx)
{
    struct api *a = ctx;
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    struct peer peer;

    stream_peer_of(fd, &peer);
    if (getpeername(fd, (struct sockaddr *)&address, &n) < 0) {
        close(fd);
        listener_session_ended(peer.net);
        return;
    }
    /* It owns fd, whatever its result. */
    if (MHD_add_connection(a->daemon, fd, (const struct sockaddr *)&address, n) != MHD_YES)
        listener_session_ended(peer.net);
}

/* ---- start ---- */

static struct MHD_Daemon *daemon_start(struct api *a, bool is_unix)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned threads = is_unix ? 1 : (unsigned)PARAM_INT(api, http_threads);
    struct MHD_OptionItem extra[4];
    size_t n = 0;

    if (is_unix)
        extra[n++] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, a->unix_fd, NULL };
    else
        flags |= MHD_USE_NO_LISTEN_SOCKET;
    if (threads > 1)
        extra[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL };
    if (!is_unix && a->tls) {
        flags |= MHD_USE_TLS;
        extra[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, api_tls_callback() };
    }
    extra[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, a, MHD_OPTION_EXTERNAL_LOGGER, on_log, a,
                            MHD_OPTION_NOTIFY_COMPLETED, on_ended, a, MHD_OPTION_NOTIFY_CONNECTION, lines_notify, a,
                            MHD_OPTION_URI_LOG_CALLBACK, on_target, a, MHD_OPTION_UNESCAPE_CALLBACK, on_escape, a,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)API_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)PARAM_INT(api, connections_max), MHD_OPTION_ARRAY,
                            extra, MHD_OPTION_END);
}

/* An old socket that nobody listens on is removed: the data folder's lock says that its server is gone. */
static bool unix_open(struct api *a, const char *path, struct err *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_INVALID, "The path of the socket is longer than %zu bytes: %s",
                       sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    a->unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->unix_fd < 0 || bind(a->unix_fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    a->socket_path = strdup(path);
    if (chmod(path, 0600) < 0 || listen(a->unix_fd, 128) < 0)
        return err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    return true;
}

/* A name is none of these, even one that begins with 127. */
static bool is_loopback(struct bytes host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr v4;

    if (bytes_equal_nocase(host, BYTES("localhost")) || bytes_equal(host, BYTES("::1")))
        return true;
    snprintf(text, sizeof text, "%.*s", SHOW(bytes_head(host, sizeof text - 1)));
    return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool api_open(const struct api_options *o, struct api **out, struct err *e)
{
    struct api *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory: the API");
    a->svc = o->svc;
    a->unix_fd = -1;
    a->ended = signal_new();
    pthread_mutex_init(&a->lines_lock, NULL);
    if ((o->cert_file && !api_tls_new(o->cert_file, o->key_file, &a->tls, e)) ||
        (o->socket_path && !unix_open(a, o->socket_path, e))) {
        api_close(&a);
        return false;
    }
    *out = a;
    return true;
}

bool api_listen(struct api *a, struct bytes host, uint16_t port, struct err *e)
{
    struct door door = { .name = "api", .host = host, .port = port, .socket = on_socket, .ctx = a };

    if (!is_loopback(host) && !a->tls && (!PARAM_INT(api, behind_proxy) || !PARAM_TEXT(api, trusted_proxies).n))
        return err_set(e, ERR_INVALID,
                       "The API at %.*s would take keys in clear: set api.cert and api.key for HTTPS, or "
                       "api.behind_proxy and api.trusted_proxies",
                       SHOW(host));
    if (a->n_listeners == API_LISTENERS)
        return err_set(e, ERR_INVALID, "api.listen: more than %d addresses", API_LISTENERS);
    if (!listener_open(&door, &a->listeners[a->n_listeners], e))
        return false;
    a->n_listeners++;
    return true;
}

uint16_t api_port(const struct api *a)
{
    return a->n_listeners ? listener_port(a->listeners[0]) : 0;
}

bool api_serve(struct api *a, struct err *e)
{
    a->daemon = daemon_start(a, false);
    if (a->daemon && a->unix_fd >= 0)
        a->unix_daemon = daemon_start(a, true);
    if (!a->daemon || (a->unix_fd >= 0 && !a->unix_daemon))
        return err_set(e, ERR_INTERNAL, "The HTTP server did not start");
    atomic_store(&a->watching, true);
    if (!fiber_start(FIBER_ANY, lines_watch, a, e)) {
        atomic_store(&a->watching, false);
        return false;
    }
    for (size_t i = 0; i < a->n_listeners; i++)
        if (!listener_serve(a->listeners[i], e))
            return false;
    return true;
}

bool api_reload(struct api *a, struct err *e)
{
    return !a->tls || api_tls_reload(a->tls, e);
}

/* ---- stop ---- */

void api_request_ended(struct api *a)
{
    /* The stopper frees `a` once it sees 0: what it waits on is raised first. */
    struct signal *ended = atomic_load(&a->stopping) ? a->ended : NULL;

    if (ended)
        signal_raise(ended);
    atomic_fetch_sub(&a->running, 1);
}

/* Fibers always end: their calls have deadlines. A suspended connection when the library stops would end the process.
 */
void api_stop(struct api *a)
{
    atomic_store(&a->stop_due, clock_monotonic() + PARAM_INT(server, grace));
    atomic_store(&a->stopping, true);
    for (size_t i = 0; i < a->n_listeners; i++)
        listener_stop(a->listeners[i]);
    if (a->unix_daemon)
        MHD_quiesce_daemon(a->unix_daemon);
    while (atomic_load(&a->running) > 0 || atomic_load(&a->watching)) {
        uint64_t seen = signal_count(a->ended);

        if (atomic_load(&a->running) > 0 || atomic_load(&a->watching))
            signal_wait(a->ended, seen, clock_monotonic() + 20);
    }
}

void api_close(struct api **api)
{
    struct api *a = *api;

    if (!a)
        return;
    if (a->daemon)
        MHD_stop_daemon(a->daemon);
    if (a->unix_daemon)
        MHD_stop_daemon(a->unix_daemon);
    if (a->unix_fd >= 0)
        close(a->unix_fd);
    if (a->socket_path)
        unlink(a->socket_path);
    free(a->socket_path);
    for (size_t i = 0; i < a->n_listeners; i++)
        listener_close(&a->listeners[i]);
    api_tls_free(&a->tls);
    signal_free(&a->ended);
    pthread_mutex_destroy(&a->lines_lock);
    free(a);
    *api = NULL;
}
