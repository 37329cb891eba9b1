/* http/multipart.h - a body of parts, as forms send files (multipart/form-data, RFC 7578; its grammar: RFC 2046 5.1.1).
 * Pure, strict and incremental.
 *
 *     multipart_init(&m, boundary, header_max);
 *     do {
 *         event = multipart_next(&m, what has come and was not used, &used, &out);
 *         take out, drop `used` bytes of what has come;
 *     } while (...)                        MULTIPART_MORE: wait for more first
 *
 * Lines end in CRLF. There is no preamble and nothing but line ends behind the last part, since neither says anything:
 * what would be skipped could be meant for another reader. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H
#include "base/bytes.h"

enum multipart_event {
    MULTIPART_MORE,   /* nothing more can be told of what has come */
    MULTIPART_HEADER, /* a part begins: its header fields, each with its CRLF */
    MULTIPART_DATA,   /* bytes of the part at hand */
    MULTIPART_END,    /* of that part */
    MULTIPART_CLOSED, /* the last part has ended; nothing is left that means something */
    MULTIPART_BAD,    /* m->why */
};

#define MULTIPART_BOUNDARY_MAX 70

struct multipart {
    char delimiter[MULTIPART_BOUNDARY_MAX + 4]; /* CRLF, two dashes, the boundary */
    size_t n, header_max;
    unsigned char state;
    const char *why;
};

/* False when that can be no boundary. */
bool multipart_init(struct multipart *m, struct bytes boundary, size_t header_max);
/* *out points into `have`, and is part of *used. */
enum multipart_event multipart_next(struct multipart *m, struct bytes have, size_t *used, struct bytes *out);
/* Has all of it come? */
bool multipart_closed(const struct multipart *m);
#endif
