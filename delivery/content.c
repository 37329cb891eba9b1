/* delivery/content.c - a small machine over pieces, by memchr: runs between line ends that need nothing go out as they
 * came. The trace goes through it too, so that a fault of ours is no worse than anybody's. */
#include "delivery/content.h"

#define DOT 3 /* ".\r\n" */

void wire_begin(struct wire *w, struct bytes trace, struct wire_source source)
{
    *w = (struct wire){ .source = source, .rest = trace, .at = WIRE_LINE_START };
}

void wire_begin_chunked(struct wire *w, struct bytes trace, struct wire_source source)
{
    wire_begin(w, trace, source);
    w->chunked = true;
}

static bool bare(const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "The content has a bare %s", what);
}

/* The next piece of the input into w->rest; empty at its end. */
static bool refill(struct wire *w, struct err *e)
{
    if (!w->rest.n && !w->input_ended) {
        if (!w->source.next(w->source.ctx, &w->rest, e))
            return false;
        w->input_ended = w->rest.n == 0;
    }
    return true;
}

/* What is added behind the last byte. */
static bool finish(struct wire *w, struct bytes *piece, struct err *e)
{
    if (w->at == WIRE_CR)
        return bare("CR", e);
    *piece = w->done ? NO_BYTES : w->at == WIRE_IN_LINE ? BYTES("\r\n.\r\n") : BYTES(".\r\n");
    if (w->chunked && piece->n)
        *piece = bytes_head(*piece, piece->n - DOT);
    w->done = true;
    return true;
}

/* How far the bytes go as they are: up to a line that begins with a dot, or the end. */
static bool plain_run(struct wire *w, size_t *n, struct err *e)
{
    const char *p = w->rest.p, *end = p + w->rest.n;

    while (p < end) {
        const char *cr = NULL, *stop = NULL;

        if (w->at == WIRE_CR && *p != '\n')
            return bare("CR", e);
        if (w->at == WIRE_CR) {
            w->at = WIRE_LINE_START;
            p++;
            continue;
        }
        if (w->at == WIRE_LINE_START && *p == '.' && !w->chunked)
            break;
        cr = memchr(p, '\r', (size_t)(end - p));
        stop = cr ? cr : end;
        if (memchr(p, '\n', (size_t)(stop - p)))
            return bare("LF", e);
        w->at = cr ? WIRE_CR : WIRE_IN_LINE;
        p = cr ? cr + 1 : end;
    }
    *n = (size_t)(p - w->rest.p);
    return true;
}

bool wire_next(struct wire *w, struct bytes *piece, struct err *e)
{
    size_t n = 0;

    if (!refill(w, e))
        return false;
    if (w->input_ended)
        return finish(w, piece, e);
    if (!plain_run(w, &n, e))
        return false;
    if (n == 0) { /* a dot begins the line: it goes twice, the second time with what follows */
        w->at = WIRE_IN_LINE;
        *piece = BYTES(".");
        return true;
    }
    *piece = bytes_head(w->rest, n);
    w->rest = bytes_from(w->rest, n);
    return true;
}

bool wire_measure(struct bytes trace, struct wire_source source, int64_t *size, struct err *e)
{
    struct bytes piece = trace;
    bool open = trace.n && trace.p[trace.n - 1] != '\n';
    int64_t n = (int64_t)trace.n;

    while (source.next(source.ctx, &piece, e)) {
        if (!piece.n) {
            *size = n + (open ? 2 : 0);
            return true;
        }
        n += (int64_t)piece.n;
        open = piece.p[piece.n - 1] != '\n';
    }
    return false;
}
