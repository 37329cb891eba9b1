#include "service/body/crlf.h"

/* Bytes up to the next CR or LF are copied as one. */
static size_t plain_length(struct bytes b)
{
    size_t lf = bytes_find(b, '\n');

    return bytes_find(bytes_head(b, lf), '\r');
}

void crlf_add(struct crlf *s, struct bytes chunk, struct buf *out)
{
    if (chunk.n)
        s->open = chunk.p[chunk.n - 1] != '\n';
    while (chunk.n) {
        size_t n = plain_length(chunk);
        if (s->cr) {
            buf_adds(out, "\r\n");
            s->cr = false;
            if (chunk.p[0] == '\n') {
                chunk = bytes_from(chunk, 1);
                continue;
            }
        }
        buf_add(out, bytes_head(chunk, n));
        chunk = bytes_from(chunk, n);
        if (!chunk.n)
            break;
        if (chunk.p[0] == '\n')
            buf_adds(out, "\r\n");
        else
            s->cr = true;
        chunk = bytes_from(chunk, 1);
    }
}

void crlf_end(struct crlf *s, struct buf *out)
{
    if (s->open)
        buf_adds(out, "\r\n");
    *s = (struct crlf){ 0 };
}
