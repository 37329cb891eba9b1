#include "load.h"
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REPLY_SECONDS 60

static SSL_CTX *tls_context;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void tls_start(void)
{
    tls_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF); /* every handshake is a full one */
}

bool connection_tls(struct worker *w)
{
    pthread_once(&tls_once, tls_start);
    w->ssl = SSL_new(tls_context);
    return w->ssl && SSL_set_fd(w->ssl, w->fd) == 1 && SSL_connect(w->ssl) == 1;
}

bool connection_open(struct worker *w)
{
    const struct timeval patience = { .tv_sec = REPLY_SECONDS };
    const int yes = 1;

    w->in_start = w->in_end = 0;
    w->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (w->fd < 0)
        return false;
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(w->fd, (const struct sockaddr *)&opt.server, sizeof opt.server) != 0)
        return false;
    w->connections++;
    return !opt.tls || connection_tls(w);
}

void connection_close(struct worker *w)
{
    if (w->ssl) {
        SSL_shutdown(w->ssl);
        SSL_free(w->ssl);
        w->ssl = NULL;
    }
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

bool connection_write(struct worker *w, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = w->ssl ? SSL_write(w->ssl, p, (int)n) : send(w->fd, p, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool connection_printf(struct worker *w, const char *format, ...)
{
    char text[COMMAND_MAX];
    va_list values;
    int n;

    va_start(values, format);
    n = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return n > 0 && (size_t)n < sizeof text && connection_write(w, text, (size_t)n);
}

/* Reads more behind what is there, moved to the front first. */
static bool fill(struct worker *w)
{
    ssize_t got;

    if (w->in_start) {
        memmove(w->in, w->in + w->in_start, w->in_end - w->in_start);
        w->in_end -= w->in_start;
        w->in_start = 0;
    }
    if (w->in_end == sizeof w->in)
        return false;
    got = w->ssl ? SSL_read(w->ssl, w->in + w->in_end, (int)(sizeof w->in - w->in_end))
                 : read(w->fd, w->in + w->in_end, sizeof w->in - w->in_end);
    if (got <= 0)
        return false;
    w->in_end += (size_t)got;
    return true;
}

bool connection_line(struct worker *w, const char **line, size_t *n)
{
    size_t seen = 0;
    const char *end;

    while (!(end = memchr(w->in + w->in_start + seen, '\n', w->in_end - w->in_start - seen))) {
        seen = w->in_end - w->in_start;
        if (!fill(w))
            return false;
    }
    *line = w->in + w->in_start;
    *n = (size_t)(end - *line);
    w->in_start += *n + 1;
    if (opt.verbose > 1)
        fprintf(stderr, "< %.*s\n", (int)*n, *line);
    return true;
}

bool connection_skip(struct worker *w, size_t n)
{
    for (;;) {
        size_t here = w->in_end - w->in_start;

        if (opt.verbose > 1)
            fprintf(stderr, "< %.*s\n", (int)(here < n ? here : n), w->in + w->in_start);
        if (here >= n) {
            w->in_start += n;
            return true;
        }
        n -= here;
        w->in_start = w->in_end;
        if (!fill(w))
            return false;
    }
}

void template_fill(char *out, size_t size, const char *template, int number)
{
    const char *hole = strstr(template, "%d");

    if (hole)
        snprintf(out, size, "%.*s%d%s", (int)(hole - template), template, number, hole + 2);
    else
        snprintf(out, size, "%s", template);
}
