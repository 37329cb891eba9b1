/* api/api.c - opening, serving and stopping the door.
 *
 * Stopping breaks nothing off: no new connections first, then what runs gets server.grace to end; requests that come
 * meanwhile on kept connections are answered 503. Only then are those woken who watch the connections. */
#include "api/private.h"
#include "base/clock.h"
#include "base/network.h"
#include "base/params.h"
#include <sys/socket.h>
#include <unistd.h>

/* ---- start ---- */

/* A name is none of these, even one that begins with 127. */
static bool is_loopback(struct bytes host)
{
    struct network address;

    return bytes_equal_nocase(host, BYTES("localhost")) ||
           (network_parse_address(host, &address) && network_is_loopback(&address));
}

bool api_open(const struct api_options *o, struct api **out, struct err *e)
{
    struct api *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory: the API");
    a->svc = o->svc;
    a->unix_fd = -1;
    a->ended = signal_new();
    if ((o->cert_file && !tls_server_new(o->cert_file, o->key_file, &a->tls, e)) ||
        (o->socket_path && !unix_open(a, o->socket_path, e))) {
        api_close(&a);
        return false;
    }
    *out = a;
    return true;
}

bool api_listen(struct api *a, struct bytes host, uint16_t port, struct err *e)
{
    struct door door = {
        .name = "api", .host = host, .port = port, .busy = a->tls ? NULL : line_busy, .session = line_session, .ctx = a
    };

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
    for (unsigned i = 0; i < net_loops(); i++)
        if (!fiber_start(i, lines_watch, a, e))
            return false;
    if (a->unix_fd >= 0 && !fiber_start(FIBER_ANY, unix_accept, a, e))
        return false;
    for (size_t i = 0; i < a->n_listeners; i++)
        if (!listener_serve(a->listeners[i], e))
            return false;
    return true;
}

bool api_reload(struct api *a, struct err *e)
{
    return !a->tls || tls_server_reload(a->tls, e);
}

/* ---- stop ---- */

void api_stop(struct api *a)
{
    int64_t until = clock_monotonic() + PARAM_INT(server, grace);
    uint64_t seen = signal_count(a->ended);

    atomic_store(&a->stopping, true);
    for (size_t i = 0; i < a->n_listeners; i++)
        listener_stop(a->listeners[i]);
    unix_stop(a);
    while (atomic_load(&a->running) > 0 && signal_wait(a->ended, seen, until))
        seen = signal_count(a->ended);
    signal_raise(a->ended); /* for those who watch the connections */
}

void api_close(struct api **api)
{
    struct api *a = *api;

    if (!a)
        return;
    if (a->unix_fd >= 0)
        close(a->unix_fd);
    if (a->socket_path)
        unlink(a->socket_path);
    free(a->socket_path);
    for (size_t i = 0; i < a->n_listeners; i++)
        listener_close(&a->listeners[i]);
    tls_server_free(&a->tls);
    signal_free(&a->ended);
    free(a);
    *api = NULL;
}
