#include "net/stream_inner.h"

static long memory_read(struct stream *s, char *to, size_t n)
{
    size_t most = s->memory_step && s->memory_step < n ? s->memory_step : n;
    struct bytes piece = bytes_head(s->memory_in, most);

    if (piece.n)
        memcpy(to, piece.p, piece.n);
    s->memory_in = bytes_from(s->memory_in, piece.n);
    return (long)piece.n;
}

static long memory_write(struct stream *s, const char *from, size_t n)
{
    buf_add(s->memory_out, (struct bytes){ from, n });
    return (long)n;
}

static bool memory_may_read(const struct stream *s)
{
    (void)s;
    return true;
}

const struct transport transport_memory = { memory_read, memory_write, memory_may_read };

/* Answers leave before the next step of input is taken, as they would on a wire that was silent for a moment. */
struct stream *stream_memory(struct bytes in, size_t step, struct buf *out, const struct stream_options *o)
{
    struct stream *s = stream_make(&transport_memory, o);

    s->memory_in = in;
    s->memory_step = step;
    s->memory_out = out;
    memcpy(s->peer.text, "memory", 7);
    memcpy(s->peer.net, "memory", 7);
    s->peer.loopback = true;
    return s;
}
