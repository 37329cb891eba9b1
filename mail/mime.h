/* mail/mime.h - the structure of a message, found while its bytes go by (RFC 2045-2049), never by changing them.
 *
 *     struct mime *m = mime_begin(&limits, arena);
 *     mime_feed(m, chunk);                    as bytes arrive, any size
 *     const struct mime_part *root = mime_end(m);
 *
 * Time is linear, memory bounded by the limits, no recursion. What passes a limit (depth, parts, header bytes a part)
 * is left opaque, never an error. A message/rfc822 stays whole: index it again to look inside. Parts are numbered in
 * the order they start; offsets count from the first byte of the message. All memory is the arena's: nothing to end
 * when a message is given up half way. Broken mail (no closing boundary, bare LF, 8-bit headers) gets the structure a
 * mail client would show. */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H
#include "mail/header.h"

struct mime;

struct mime_limits {
    unsigned depth, parts;
    size_t part_header; /* bytes of a part's own header that are looked at */
    size_t top_header;  /* bytes of the message header kept (mime_header) */
};

enum mime_encoding { MIME_IDENTITY, MIME_BASE64, MIME_QUOTED };

struct mime_part {
    struct bytes type;        /* "text/plain", lower case */
    struct bytes charset;     /* lower case, NO_BYTES when absent */
    struct bytes filename;    /* decoded UTF-8 */
    struct bytes content_id;  /* without <> */
    struct bytes disposition; /* "attachment", "inline", NO_BYTES */
    struct bytes boundary;
    enum mime_encoding encoding;
    size_t header_at, body_at, end_at; /* end_at: behind the last byte (the CRLF before a boundary is not part of it) */
    unsigned depth;
    int parent; /* index, -1 for the root */
};

struct mime_index {
    struct mime_part *parts;
    size_t n;
    struct bytes header;            /* the message's header, at most limits.top_header */
    bool header_cut;                /* it was longer */
    size_t header_fields, received; /* fields in all; Received among them (loop guard) */
    size_t size;                    /* bytes fed */
};

struct mime *mime_begin(const struct mime_limits *limits, struct arena *a);
void mime_feed(struct mime *m, struct bytes chunk);
const struct mime_index *mime_end(struct mime *m);

/* What people see: the part numbers of the main text and html (-1: none) and which parts are attachments
 * (everything that is not a multipart, nor one of these two, nor an alternative of them). */
struct mime_view {
    int text, html;
    int *attachments;
    size_t n_attachments;
};
void mime_view(const struct mime_index *x, struct arena *a, struct mime_view *out);

/* Decodes a part's body (given as the raw bytes between body_at and end_at, in pieces) to bytes. Garbage in base64 and
 * quoted-printable is skipped as clients do. */
struct mime_decoder {
    enum mime_encoding encoding;
    unsigned char state[64];
};
void mime_decode_begin(struct mime_decoder *d, enum mime_encoding encoding);
void mime_decode(struct mime_decoder *d, struct bytes chunk, struct buf *out);
void mime_decode_end(struct mime_decoder *d, struct buf *out);
/* Text in `charset` to valid UTF-8 with LF line ends; bad bytes become U+FFFD. */
void charset_to_utf8(struct bytes charset, struct bytes text, struct buf *out);
#endif
