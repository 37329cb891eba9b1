/* mail/mime.h - the structure of a message, found while its bytes go by (RFC 2045-2049), never by changing them.
 *
 *     struct mime *m = mime_begin(&limits, arena);
 *     mime_feed(m, chunk);                    as bytes arrive, any size
 *     const struct mime_part *root = mime_end(m);
 *
 * Time is linear, memory bounded by the limits, no recursion. What passes a limit (depth, parts, header bytes a part)
 * is left opaque, never an error; so is what finds no room in the arena. A message/rfc822 stays whole: index it again
 * to look inside. A text in which uuencoded files stand (inner_files) has children as a multipart has: the text before,
 * the file, the text behind. Parts are numbered in the order they start; offsets count from the first byte of the
 * message. All memory is the arena's: nothing to end when a message is given up half way. Broken mail (no closing
 * boundary, bare LF, 8-bit headers) gets the structure a mail client would show. */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H
#include "mail/header.h"

struct mime;

struct mime_limits {
    unsigned depth, parts;
    size_t part_header; /* bytes of a part's own header that are looked at */
    size_t top_header;  /* bytes of the message header kept (mime_header) */
    struct mail_limits fields;
    bool inner_files; /* uuencoded files in a text are parts too: for readers, since such a part has no header */
};

enum mime_encoding { MIME_IDENTITY, MIME_BASE64, MIME_QUOTED, MIME_UU };

struct mime_part {
    struct bytes type;        /* "text/plain", lower case */
    struct bytes charset;     /* lower case, NO_BYTES when absent */
    struct bytes filename;    /* decoded UTF-8 without path and control characters */
    struct bytes content_id;  /* without <> */
    struct bytes disposition; /* "attachment", "inline", NO_BYTES */
    struct bytes boundary;
    enum mime_encoding encoding;
    bool flowed, delsp;                /* text/plain; format=flowed (RFC 3676) */
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

/* What people see (RFC 8621 4.1.4): `text` and `html` are the parts of text/plain and text/html that make up the body,
 * in order; every other part that is not a multipart is an attachment, so that none vanishes. Of a
 * multipart/alternative the last form that we understand counts for each of the two. */
struct mime_view {
    int *text, *html, *attachments; /* part numbers */
    size_t n_text, n_html, n_attachments;
};
/* A full arena leaves the view empty. */
void mime_view(const struct mime_index *x, struct arena *a, struct mime_view *out);

/* The same as RFC 8621 4.1.4 has it: `text` is what a reader without HTML is shown, `html` what one with it is, each of
 * text, HTML, images and sounds in their order; a part may stand in both, and what stands in none is an attachment. */
void mime_body(const struct mime_index *x, struct arena *a, struct mime_view *out);

/* A file name from a stranger, as a text alone: no path, no control characters, none that turn the direction of
 * writing. Appends at most `max` bytes; nothing when nothing is left. */
void mime_filename(struct bytes name, size_t max, struct buf *out);

/* Decodes a part's body (given as the raw bytes between body_at and end_at, in pieces) to bytes. Garbage in base64 and
 * quoted-printable is skipped as clients do. */
struct mime_decoder {
    enum mime_encoding encoding;
    unsigned char state[64];
};
void mime_decode_begin(struct mime_decoder *d, enum mime_encoding encoding);
void mime_decode(struct mime_decoder *d, struct bytes chunk, struct buf *out);
void mime_decode_end(struct mime_decoder *d, struct buf *out);
/* The text of a text part, decoded before, as valid UTF-8 with LF line ends and no byte order mark, its paragraphs
 * joined where they are flowed (RFC 3676). Its charset is the
 * one it names, else what HTML says of itself, else UTF-8 if it is that, else windows-1252. `cut`: more would follow,
 * so that half a character may be at the end. False when *out was full: it ends with a whole character then. */
bool mime_text(const struct mime_part *p, struct bytes text, bool cut, struct buf *out);
#endif
