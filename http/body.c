/* http/body.c - one octet after the other through states, so it does not matter how the network cut them; data goes by
 * in runs.
 *
 * Extensions and trailers are counted over the whole body, not for each chunk: else a client could send for ever what
 * we read and throw away. */
#include "http/body.h"

enum state {
    WHOLE,      /* of a known length */
    SIZE,       /* of a chunk */
    BEHIND,     /* blanks behind it, which only an extension may follow */
    EXTENSION,  /* RFC 9112 7.1.1: the first octet behind ";" */
    EXTENSIONS, /* the rest */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* the first octet of a line */
    NAME,
    VALUE,
    LINE_LF,
    END_LF,
    ENDED
};

#define DIGITS_MAX 15 /* of a chunk's size: leading zeros count */

void http_body_init(struct http_body *b, const struct http_head *h)
{
    *b = (struct http_body){ 0 };
    b->left = h->length > 0 ? (uint64_t)h->length : 0;
    b->state = h->chunked ? SIZE : b->left ? WHOLE : ENDED;
}

bool http_body_ended(const struct http_body *b)
{
    return b->state == ENDED;
}

static enum http_result bad(struct http_body *b, const char *why)
{
    b->why = why;
    return HTTP_BAD;
}

static enum http_result go(struct http_body *b, enum state to)
{
    b->state = (unsigned char)to;
    return HTTP_MORE;
}

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_result size(struct http_body *b, unsigned char c)
{
    int digit = hex(c);

    if (digit >= 0) {
        b->left = b->left << 4 | (uint64_t)digit;
        return ++b->digits <= DIGITS_MAX ? HTTP_MORE : bad(b, "A chunk's size is malformed");
    }
    if (b->digits && c == '\r')
        return go(b, SIZE_LF);
    if (b->digits && c == ';')
        return go(b, EXTENSION);
    if (b->digits && (c == ' ' || c == '\t'))
        return go(b, BEHIND);
    return bad(b, "A chunk's size is malformed");
}

static enum http_result extension(struct http_body *b, unsigned char c, const struct http_limits *l)
{
    if (++b->extensions > l->extension_max)
        return bad(b, "The chunks' extensions are too long");
    if (b->state == BEHIND)
        return c == ';' ? go(b, EXTENSION) : c == ' ' || c == '\t' ? HTTP_MORE : bad(b, "A chunk's size is malformed");
    if (b->state == EXTENSION)
        return c == ' ' || c == '\t' ? HTTP_MORE
               : http_is_tchar(c)    ? go(b, EXTENSIONS)
                                     : bad(b, "A chunk's extension is malformed");
    if (c == '\r')
        return go(b, SIZE_LF);
    return http_is_field_octet(c) ? HTTP_MORE : bad(b, "A chunk's extension is malformed");
}

static enum http_result trailer(struct http_body *b, unsigned char c, const struct http_limits *l)
{
    if (++b->trailer > l->trailer_max) {
        b->why = "The trailer is too large";
        return HTTP_LARGE;
    }
    switch ((enum state)b->state) {
    case TRAILER:
        if (c == '\r')
            return go(b, END_LF);
        return http_is_tchar(c) ? go(b, NAME) : bad(b, "The trailer is malformed");
    case NAME:
        if (c == ':')
            return go(b, VALUE);
        return http_is_tchar(c) ? HTTP_MORE : bad(b, "The trailer is malformed");
    case VALUE:
        if (c == '\r')
            return go(b, LINE_LF);
        return http_is_field_octet(c) ? HTTP_MORE : bad(b, "The trailer is malformed");
    case LINE_LF: return c == '\n' ? go(b, TRAILER) : bad(b, "A line does not end in CRLF");
    default: return c == '\n' ? go(b, ENDED) : bad(b, "A line does not end in CRLF");
    }
}

/* One octet that is no data. */
static enum http_result body_byte(struct http_body *b, unsigned char c, const struct http_limits *l)
{
    switch ((enum state)b->state) {
    case SIZE: return size(b, c);
    case BEHIND:
    case EXTENSION:
    case EXTENSIONS: return extension(b, c, l);
    case SIZE_LF:
        b->digits = 0;
        return c != '\n' ? bad(b, "A chunk's line does not end in CRLF") : go(b, b->left ? DATA : TRAILER);
    case DATA_CR: return c == '\r' ? go(b, DATA_LF) : bad(b, "A chunk is longer than it says");
    case DATA_LF: return c == '\n' ? go(b, SIZE) : bad(b, "A chunk does not end in CRLF");
    default: return trailer(b, c, l);
    }
}

static enum http_result data_take(struct http_body *b, struct bytes have, size_t *used, struct bytes *data)
{
    *data = bytes_head(bytes_from(have, *used), b->left < SIZE_MAX ? (size_t)b->left : SIZE_MAX);
    *used += data->n;
    b->left -= data->n;
    if (!b->left)
        b->state = b->state == WHOLE ? ENDED : DATA_CR;
    return b->state == ENDED ? HTTP_WHOLE : HTTP_MORE;
}

enum http_result http_body_next(struct http_body *b, struct bytes have, size_t *used, struct bytes *data,
                                const struct http_limits *l)
{
    enum http_result result = HTTP_MORE;

    *used = 0;
    *data = NO_BYTES;
    while (result == HTTP_MORE && b->state != ENDED && *used < have.n) {
        if (b->state == WHOLE || b->state == DATA)
            return data_take(b, have, used, data);
        result = body_byte(b, (unsigned char)have.p[(*used)++], l);
    }
    return b->state == ENDED ? HTTP_WHOLE : result;
}
