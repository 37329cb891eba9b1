/* service/body/content.h - content as a stream: trace lines and body, or one decoded part. Doors take the pieces.
 */
#ifndef SERVICE_CONTENT_H
#define SERVICE_CONTENT_H
#include "base/crypt.h"
#include "mail/mime.h"
#include "service/core/call.h"

/* Streams: the functions check and prepare, then content_next gives pieces until it is empty; content_close always. */
struct content;
struct content_out {
    struct content *content;
    int64_t size; /* -1: not known before */
    struct bytes content_type, filename;
};
bool content_next(struct content *k, struct bytes *piece, struct err *e);
/* Before the first piece: goes on where so many bytes have been given before. False, and nothing is left out, where
 * that cannot be told (a decoded part). */
bool content_skip(struct content *k, int64_t n);
void content_close(struct content **k);

/* The whole message: `trace` (copied) before the body. */
bool content_open(struct call *c, struct id body, const struct crypt_key *key, struct bytes trace,
                  struct content_out *out);
/* One part of a body whose index is known. */
bool content_open_part(struct call *c, struct id body, const struct crypt_key *key, const struct mime_part *part,
                       struct content_out *out);
/* Bytes that are there already (copied). */
void content_of(struct bytes bytes, struct content_out *out);
#endif
