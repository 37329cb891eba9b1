/* http/body.h - how a request's body is framed: by its length, or in chunks (RFC 9112 6, 7). Pure and incremental.
 *
 *     http_body_init(&body, &head);
 *     do {
 *         result = http_body_next(&body, what has come, &used, &data, &limits);
 *         take data, drop `used` bytes of what has come;
 *     } while (result == HTTP_MORE);       with no data and nothing used: wait for more first
 *
 * The chunks' extensions and the trailer are read, checked, and forgotten. Every line ends in CRLF. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H
#include "http/head.h"

struct http_body {
    uint64_t left; /* of the whole or of the present chunk */
    size_t extensions, trailer, digits;
    unsigned char state;
    const char *why;
};

void http_body_init(struct http_body *b, const struct http_head *h);
/* *data points into `have`, and is part of *used. HTTP_MORE, HTTP_WHOLE (nothing is left), HTTP_BAD, HTTP_LARGE. */
enum http_result http_body_next(struct http_body *b, struct bytes have, size_t *used, struct bytes *data,
                                const struct http_limits *l);
bool http_body_ended(const struct http_body *b);
#endif
