/* api/connection.c - a connection's life: requests one after the other, and how it ends.
 *
 * A connection that is closed with input unread is reset by the kernel, and the client loses the answer: what it still
 * sends is read into nothing for a while, by a bounded number of connections at once. Who is turned away hears a whole
 * answer, except in TLS, where the handshake would cost more than the request. */
#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS   2000 /* silence that ends it */
#define LINGER_MOST 64   /* connections at once */

/* ---- too many ---- */

/* A whole answer for who is not let in: there is no request yet. */
static size_t busy_answer(const char *detail, char *to, size_t most)
{
    struct arena *a = arena_new(API_SMALL);
    struct request *r = arena_alloc(a, sizeof *r);
    char id[ID_TEXT + 1];
    int n;

    call_init(&r->call, NULL, a, "api");
    buf_init(&r->out, API_SMALL);
    err_set(&r->call.err, ERR_BUSY, "%s", detail);
    problem_write(r);
    id_format("req", r->call.request, id);
    n = snprintf(to, most,
                 "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: %zu\r\nRequest-Id: %s\r\n"
                 "Content-Type: application/problem+json\r\nCache-Control: no-store\r\nRetry-After: 5\r\n\r\n%.*s",
                 r->out.n, id, SHOW(buf_bytes(&r->out)));
    buf_clear(&r->out);
    arena_free(&a);
    return n > 0 && (size_t)n < most ? (size_t)n : 0;
}

size_t line_busy(char *to, size_t most)
{
    return busy_answer("Too many connections", to, most);
}

/* ---- the end ---- */

static atomic_int lingering;

/* A socket that is closed with input unread resets the connection, and a client that is still sending would lose the
 * answer (RFC 9112 9.6). What it sends is read into nothing for a while. */
static void end(struct line *l, bool input_left)
{
    stream_shutdown(l->stream);
    if (input_left && atomic_fetch_add(&lingering, 1) < LINGER_MOST)
        stream_linger(l->stream, LINGER_MS, clock_monotonic() + PARAM_INT(api, request_deadline), API_DROP_MOST);
    if (input_left)
        atomic_fetch_sub(&lingering, 1);
}

/* ---- one request ---- */

/* The silence before a request may last, and a server that stops ends it. One that was pipelined waits until the
 * answers before it have been taken, or its own would have to be held for a client that does not read. */
static bool request_comes(struct line *l, bool first)
{
    int64_t silence = PARAM_INT(api, idle), whole = PARAM_INT(api, request_deadline);
    struct err ignored = { 0 };
    bool came = stream_has_input(l->stream);

    if (came && stream_queued(l->stream) > API_PIPELINED && !stream_flush(l->stream, &ignored))
        return false;
    if (!came) {
        stream_deadline(l->stream, clock_monotonic() + (first && whole < silence ? whole : silence));
        stream_drains(l->stream, true);
        came = stream_fill(l->stream, &ignored);
        stream_drains(l->stream, false);
    }
    stream_deadline(l->stream, clock_monotonic() + PARAM_INT(api, request_deadline));
    return came;
}

/* False with ERR_NONE: the client is gone. */
static bool head_scan(struct line *l, struct http_scan *scan, struct err *e)
{
    const struct http_limits limits = exchange_limits();
    struct err why = { 0 };

    for (;;) {
        switch (http_head_scan(scan, stream_peek(l->stream), &limits)) {
        case HTTP_WHOLE: return true;
        case HTTP_MORE: break;
        case HTTP_LARGE: return err_set(e, ERR_HEADERS_TOO_LARGE, "%s", scan->why);
        default: return err_set(e, ERR_BAD_JSON, "%s", scan->why);
        }
        if (stream_fill(l->stream, &why))
            continue;
        return why.code == ERR_TIMEOUT && err_set(e, ERR_TIMEOUT, "The request was not complete in time");
    }
}

static bool head_parse(struct exchange *x, size_t n, struct err *e)
{
    struct arena *a = x->request->call.arena;
    struct stream *s = x->line->stream;
    const char *why = "";
    enum http_result result = http_head_parse(arena_copy(a, bytes_head(stream_peek(s), n)), a, &x->head, &why);

    stream_skip(s, n);
    if (result == HTTP_WHOLE)
        return true;
    return err_set(e,
                   result == HTTP_UNSUPPORTED ? ERR_UNSUPPORTED
                   : result == HTTP_VERSION   ? ERR_HTTP_VERSION
                                              : ERR_BAD_JSON,
                   "%s", why);
}

/* False when the connection ends; *input_left: something of what the client sends was not read. */
static bool serve_one(struct line *l, bool *input_left)
{
    struct exchange x = { .api = l->api, .line = l };
    struct http_scan scan = { 0 };
    struct err e = { 0 };
    bool whole = head_scan(l, &scan, &e), keep = false;

    *input_left = false;
    if (!whole && !e.code)
        return false;
    x.request = request_new(&x);
    if (whole && head_parse(&x, scan.at, &e)) {
        exchange_begin(&x);
        request_run(x.request);
    } else {
        x.lost = true;
        x.request->malformed = e.code == ERR_BAD_JSON;
        request_refuse(x.request, &e);
    }
    keep = exchange_settle(&x);
    *input_left = !keep && !http_body_ended(&x.body);
    exchange_clear(&x);
    return keep;
}

/* ---- the whole ---- */

static void unix_peer(struct line *l)
{
    struct ucred peer = { 0 };
    socklen_t n = sizeof peer, domain_size = sizeof(int);
    int fd = stream_fd(l->stream), domain = 0;

    l->is_unix = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 && domain == AF_UNIX;
    l->uid = UINT32_MAX;
    if (l->is_unix && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
        l->uid = peer.uid;
}

static void turn_away(struct line *l)
{
    char answer[2048];
    struct err ignored = { 0 };
    bool clear = l->is_unix || !l->api->tls; /* a handshake would cost more than the request */

    metric_add(METRIC_connections_refused_total, 1);
    if (clear)
        stream_write(l->stream, (struct bytes){ answer, busy_answer("Too many connections", answer, sizeof answer) },
                     &ignored);
    end(l, clear);
}

static void serve(struct line *l)
{
    struct err ignored = { 0 };
    bool input_left = false, first = true;

    if (l->api->tls && !l->is_unix &&
        !stream_start_tls(l->stream, l->api->tls, clock_monotonic() + PARAM_INT(api, request_deadline), &ignored))
        return;
    while (request_comes(l, first) && serve_one(l, &input_left))
        first = false;
    end(l, input_left);
}

void line_session(int fd, void *api)
{
    struct api *a = api;
    const struct stream_options o = { .in_max = API_IN, .out_max = API_OUT };
    struct line l = { .api = a, .stream = stream_socket(fd, &o) };

    unix_peer(&l);
    stream_deadline(l.stream, clock_monotonic() + LINGER_MS);
    if (atomic_fetch_add(&a->connections, 1) < PARAM_INT(api, connections_max))
        serve(&l);
    else
        turn_away(&l);
    atomic_fetch_sub(&a->connections, 1);
    stream_free(&l.stream);
}
