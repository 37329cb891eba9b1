/* tests/mail/shape.h - a message's structure as one line of text, for comparing: "multipart/mixed(text/plain
 * image/png)". */
#ifndef TESTS_MAIL_SHAPE_H
#define TESTS_MAIL_SHAPE_H
#include "tests/mail/suite.h"

#include "mail/mime.h"

static const struct mime_limits roomy = {
    .depth = 100, .parts = 1000, .part_header = 65536, .top_header = 1 << 20, .fields = { 65536, 1 << 20 }
};

/* Fed `step` bytes at a time (0: at once). */
static inline const struct mime_index *index_by(struct bytes message, size_t step, const struct mime_limits *limits,
                                                struct arena *a)
{
    struct mime *m = mime_begin(limits, a);

    while (step && message.n > step) {
        mime_feed(m, bytes_head(message, step));
        message = bytes_from(message, step);
    }
    mime_feed(m, message);
    return mime_end(m);
}

static inline struct bytes body_of(const struct mime_index *x, size_t i, struct bytes message)
{
    return bytes_head(bytes_from(message, x->parts[i].body_at), x->parts[i].end_at - x->parts[i].body_at);
}

static inline void shape(const struct mime_index *x, struct buf *out)
{
    unsigned depth = 0;

    buf_reset(out);
    for (size_t i = 0; i < x->n; i++) {
        for (; depth > x->parts[i].depth; depth--)
            buf_addc(out, ')');
        if (i)
            buf_addc(out, x->parts[i].parent == (int)i - 1 ? '(' : ' ');
        depth = x->parts[i].depth;
        buf_add(out, x->parts[i].type);
    }
    for (; depth; depth--)
        buf_addc(out, ')');
}

static inline void decode_part(const struct mime_index *x, size_t i, struct bytes message, struct buf *out)
{
    struct mime_decoder d;

    mime_decode_begin(&d, x->parts[i].encoding);
    mime_decode(&d, body_of(x, i, message), out);
    mime_decode_end(&d, out);
}
#endif
