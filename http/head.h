/* http/head.h - the head of an HTTP/1.x request, read strictly (RFC 9112, RFC 9110).
 *
 *     struct http_scan scan = { 0 };
 *     while ((result = http_head_scan(&scan, what has come, &limits)) == HTTP_MORE)
 *         wait for more;                       the same bytes, and others behind them
 *     result = http_head_parse(copy of the first scan.at bytes, arena, &head, &why);
 *
 * Pure. What two readers could understand differently is refused, because behind that difference a second request hides
 * in the first: a line that ends in anything but CRLF, a blank before the colon, a folded line, a name that is no
 * token, any control character, two lengths, a length beside a coding, a coding before HTTP/1.1, another number than
 * plain digits. After a refusal nobody knows where the next request begins: answer it and close. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H
#include "base/arena.h"

struct http_limits {
    size_t head_max;      /* octets of the head with all its line ends */
    size_t fields_max;    /* field lines */
    size_t extension_max; /* octets of a body's chunk extensions, all together */
    size_t trailer_max;   /* octets of the trailer */
};

enum http_result {
    HTTP_MORE,        /* good so far; more has to come */
    HTTP_WHOLE,       /* it is complete */
    HTTP_BAD,         /* 400 */
    HTTP_LARGE,       /* 431 */
    HTTP_UNSUPPORTED, /* 501: a transfer coding that we do not have */
    HTTP_VERSION      /* 505 */
};

/* How far a head was looked at; all zero at first. */
struct http_scan {
    size_t at; /* octets that are done; with HTTP_WHOLE the head's size */
    size_t line_at, fields;
    unsigned char state;
    const char *why; /* HTTP_BAD, HTTP_LARGE */
};

struct http_field {
    struct bytes name, value; /* the value without blanks at its ends; not NULL */
};

struct http_head {
    struct bytes method, target;
    struct http_field *fields; /* in their order */
    size_t n;
    int minor;      /* of the version: 0, or 1 for 1.1 and later */
    int64_t length; /* Content-Length, -1: not given */
    bool chunked, keeps;
    bool expects; /* 100-continue, and not from HTTP/1.0 */
};

/* Looks at what came since the last call. `have` begins where it began then. */
enum http_result http_head_scan(struct http_scan *s, struct bytes have, const struct http_limits *l);
/* Takes a scanned head apart: *out points into `head` and the arena. HTTP_WHOLE, HTTP_BAD, HTTP_UNSUPPORTED,
 * HTTP_VERSION; `why` is then told. */
enum http_result http_head_parse(struct bytes head, struct arena *a, struct http_head *out, const char **why);

/* RFC 9110 5.6.2: a token, and an octet of one. */
bool http_is_token(struct bytes b);
bool http_is_tchar(unsigned char c);
/* An octet that a field's value may have: no control character but the tab. */
bool http_is_field_octet(unsigned char c);
#endif
