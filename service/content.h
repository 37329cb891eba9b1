/* service/content.h - how the content streams of service/entry.h are made: trace lines and body, or one decoded part.
 */
#ifndef SERVICE_CONTENT_H
#define SERVICE_CONTENT_H
#include "base/crypt.h"
#include "mail/mime.h"
#include "service/entry.h"

/* The whole message: `trace` (copied) before the body. */
bool content_open(struct call *c, struct id body, const struct crypt_key *key, struct bytes trace,
                  struct content_out *out);
/* One part of a body whose index is known. */
bool content_open_part(struct call *c, struct id body, const struct crypt_key *key, const struct mime_part *part,
                       struct content_out *out);
#endif
