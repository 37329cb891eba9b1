/* HTTP: a piece of work is one POST, its body made from the template, or one GET. */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct answer {
    long status, length;
    bool chunked;
};

/* `size` bytes of text with JSON's line ends. */
static size_t put_text(char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < opt.size; i++) {
        char c = opt.text[i];

        if (c == '\r' || c == '\n')
            out[n++] = '\\';
        out[n++] = c == '\r' ? 'r' : c == '\n' ? 'n' : c;
    }
    return n;
}

/* The template with @N@ (a running number), @R@ (a number below -R) and @PAD@ (text) put in. */
static size_t fill_form(char *out, long id)
{
    size_t n = 0;

    for (const char *p = opt.form; *p;) {
        if (strncmp(p, "@PAD@", 5) == 0) {
            n += put_text(out + n);
            p += 5;
        } else if (strncmp(p, "@N@", 3) == 0 || strncmp(p, "@R@", 3) == 0) {
            n += (size_t)snprintf(out + n, 24, "%ld", p[1] == 'N' ? id : id % opt.range);
            p += 3;
        } else
            out[n++] = *p++;
    }
    return n;
}

static size_t make_body(char *out, long id)
{
    static const char begin[] = "{\"messages\":[";
    size_t n = sizeof begin - 1;

    if (!opt.batch)
        return fill_form(out, id);
    memcpy(out, begin, n);
    for (int i = 0; i < opt.batch; i++) {
        if (i)
            out[n++] = ',';
        n += fill_form(out + n, id * opt.batch + i);
    }
    memcpy(out + n, "]}", 2);
    return n + 2;
}

static bool read_header(struct worker *w, struct answer *a)
{
    const char *line;
    size_t n;

    *a = (struct answer){ 0 };
    if (!connection_line(w, &line, &n) || n < 12)
        return false;
    a->status = strtol(line + 9, NULL, 10);
    while (connection_line(w, &line, &n)) {
        if (n <= 1)
            return true;
        if (strncasecmp(line, "content-length:", 15) == 0)
            a->length = strtol(line + 15, NULL, 10);
        if (strncasecmp(line, "transfer-encoding:", 18) == 0)
            a->chunked = true;
    }
    return false;
}

static bool skip_chunks(struct worker *w)
{
    const char *line;
    size_t n, size;

    do {
        if (!connection_line(w, &line, &n))
            return false;
        size = strtoul(line, NULL, 16);
        if (!connection_skip(w, size) || !connection_line(w, &line, &n))
            return false;
    } while (size);
    return true;
}

static bool post(struct worker *w, long id, struct answer *a)
{
    char head[COMMAND_MAX + HEADER_MAX];
    size_t body = make_body(w->work + sizeof head, id);
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n%s%s\r\n",
                     opt.path, body, opt.headers, opt.keep ? "" : "Connection: close\r\n");
    char *whole = w->work + sizeof head - n;

    if (n < 0 || (size_t)n >= sizeof head)
        return false;
    memcpy(whole, head, (size_t)n); /* right before the body: one write */
    w->bytes += (long)body;
    return connection_write(w, whole, (size_t)n + body) && read_header(w, a) &&
           (a->chunked ? skip_chunks(w) : connection_skip(w, (size_t)a->length));
}

static bool get(struct worker *w, long id, struct answer *a)
{
    return connection_printf(w, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", opt.paths[(size_t)id % opt.n_paths],
                             opt.headers, opt.keep ? "" : "Connection: close\r\n") &&
           read_header(w, a) && (a->chunked ? skip_chunks(w) : connection_skip(w, (size_t)a->length));
}

size_t http_work_size(void)
{
    size_t size = 8 * opt.form_size + 2; /* three letters may become a number of 20 */

    for (const char *p = opt.form; p && (p = strstr(p, "@PAD@")) != NULL; p++)
        size += 2 * opt.size;
    return COMMAND_MAX + HEADER_MAX + 32 + size * (size_t)(opt.batch ? opt.batch : 1);
}

bool http_work(struct worker *w, long id)
{
    double start = now();
    struct answer a;

    if ((w->fd < 0 && !connection_open(w)) || !(opt.n_paths ? get(w, id, &a) : post(w, id, &a)))
        return false;
    if (!opt.keep)
        connection_close(w);
    if (a.status / 100 == 2) {
        note(w, start);
        w->done += opt.batch ? opt.batch - 1 : 0;
    } else if (opt.verbose)
        fprintf(stderr, "status %ld\n", a.status);
    return a.status / 100 == 2;
}
