/* service/body/content.c - content in pieces, as a door asks for them: of a large mail one piece is in memory.
 *
 * A part is read from where it begins (body_seek). How long a decoded part is nobody knows before its end, so its size
 * is -1 and HTTP sends it in chunks. */
#include "service/body/content.h"
#include "service/body/body.h"

struct content {
    struct body_reader *body; /* NULL: there is only what is given first */
    struct buf trace;         /* given first */
    bool trace_given;
    bool decoded; /* only the bytes of one part, decoded */
    struct mime_decoder decoder;
    struct buf piece;
    size_t at, end; /* in the body */
    bool done;
};

static struct content *content_new(struct body_reader *r, struct bytes trace)
{
    struct content *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory");
    k->body = r;
    buf_init(&k->trace, trace.n + 1);
    buf_add(&k->trace, trace);
    k->trace_given = trace.n == 0;
    buf_init(&k->piece, BODY_PIECE + 1024);
    return k;
}

bool content_open(struct call *c, struct id body, const struct crypt_key *key, struct bytes trace,
                  struct content_out *out)
{
    struct body_reader *r;

    if (!body_open(c->store, body, key, &r, &c->err))
        return false;
    *out = (struct content_out){ .content = content_new(r, trace),
                                 .size = body_reader_size(r) + (int64_t)trace.n,
                                 .content_type = BYTES("message/rfc822") };
    return true;
}

bool content_open_part(struct call *c, struct id body, const struct crypt_key *key, const struct mime_part *part,
                       struct content_out *out)
{
    struct body_reader *r;

    if (!body_open(c->store, body, key, &r, &c->err))
        return false;
    *out = (struct content_out){ .content = content_new(r, NO_BYTES), .size = -1 };
    out->content_type = arena_copy(c->arena, part->type);
    out->filename = arena_copy(c->arena, part->filename);
    out->content->decoded = true;
    out->content->end = part->end_at;
    out->content->at = part->body_at;
    body_seek(r, (int64_t)part->body_at);
    mime_decode_begin(&out->content->decoder, part->encoding);
    return true;
}

void content_of(struct bytes bytes, struct content_out *out)
{
    *out = (struct content_out){ .content = content_new(NULL, bytes), .size = (int64_t)bytes.n };
}

/* What of the next piece belongs to the part, decoded into k->piece, which may stay empty. */
static bool decode_some(struct content *k, struct err *e)
{
    struct bytes raw;
    size_t start;

    if (!body_next(k->body, &raw, e))
        return false;
    start = k->at;
    k->at += raw.n;
    buf_reset(&k->piece);
    if (raw.n == 0 || start >= k->end) {
        mime_decode_end(&k->decoder, &k->piece);
        k->done = true;
        return true;
    }
    if (k->at > k->end)
        raw = bytes_head(raw, k->end - start);
    mime_decode(&k->decoder, raw, &k->piece);
    return true;
}

bool content_next(struct content *k, struct bytes *piece, struct err *e)
{
    if (!k->trace_given) {
        k->trace_given = true;
        *piece = buf_bytes(&k->trace);
        return true;
    }
    *piece = BYTES("");
    if (!k->body)
        return true;
    if (!k->decoded)
        return body_next(k->body, piece, e);
    buf_reset(&k->piece);
    while (k->piece.n == 0 && !k->done)
        if (!decode_some(k, e))
            return false;
    *piece = k->piece.n ? buf_bytes(&k->piece) : BYTES("");
    return true;
}

bool content_skip(struct content *k, int64_t n)
{
    int64_t trace = (int64_t)k->trace.n;

    if (k->decoded)
        return false;
    if (n >= trace && k->body)
        body_seek(k->body, n - trace);
    k->trace_given = n >= trace;
    if (!k->trace_given)
        buf_drop_front(&k->trace, (size_t)n);
    return true;
}

void content_close(struct content **k)
{
    if (!*k)
        return;
    body_close(&(*k)->body);
    buf_clear(&(*k)->trace);
    buf_clear(&(*k)->piece);
    free(*k);
    *k = NULL;
}
