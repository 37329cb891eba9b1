/* mail/dkim_canon.h - the canonical forms of a body and of a header field (RFC 6376 3.4), for who signs and who
 * verifies: relaxed, and of a body also simple.
 *
 *     struct dkim_body b;
 *     dkim_body_begin(&b);
 *     dkim_body_feed(&b, chunk);                 as the body goes by, in pieces of any size
 *     dkim_body_end(&b, hash);
 * Lines end in CRLF and in nothing else: a lone CR or LF is a byte like others. Memory does not grow with the body. A
 * struct dkim_body that was begun is ended or dropped. */
#ifndef MAIL_DKIM_CANON_H
#define MAIL_DKIM_CANON_H
#include "mail/header.h"

#define DKIM_HASH 32 /* SHA-256 */

struct dkim_body {
    void *hash;                                      /* OpenSSL's */
    void (*out)(void *ctx, const char *p, size_t n); /* where canonical bytes go; dkim_body_begin: the hash */
    void *ctx;
    size_t lines; /* line ends that are written once something follows */
    bool blank, cr, any, simple;
    size_t held;
    char hold[1024];
};

void dkim_body_begin(struct dkim_body *b);
/* The canonical bytes themselves go to `out`: for tests, and for who hashes a part of them. dkim_body_end then takes
 * NULL. b->simple may be set after either. */
void dkim_body_begin_to(struct dkim_body *b, void (*out)(void *ctx, const char *p, size_t n), void *ctx);
void dkim_body_feed(struct dkim_body *b, struct bytes chunk);
void dkim_body_end(struct dkim_body *b, uint8_t hash[DKIM_HASH]);
void dkim_body_drop(struct dkim_body *b); /* accepts one that is all zero or ended */

/* Appends "name:value", without a line end. */
void dkim_header_relaxed(const struct header *field, struct buf *out);
#endif
