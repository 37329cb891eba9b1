/* mail/mime_part.h - what a part's own header says (RFC 2045, 2183, 2231), for mime.c. */
#ifndef MAIL_MIME_PART_H
#define MAIL_MIME_PART_H
#include "mail/mime.h"

enum { MIME_BOUNDARY_MAX = 998 }; /* RFC 2046 allows 70; a line of mail holds no more than this */

/* Fills type, charset, filename, content_id, disposition, boundary and encoding; what is kept of each is bounded (a
 * longer file name keeps its ending), whatever the header holds. `charset`: that of raw 8-bit text, where the part
 * names none. `digest`: the parent is a multipart/digest, so that message/rfc822 is what a part without a type is. A
 * multipart that cannot be taken apart (no boundary, or one too long) is text/plain without one. */
void mime_part_read(struct mime_part *p, struct bytes header, struct bytes charset, bool digest,
                    struct mail_limits limits, struct arena *a);
bool mime_is_multipart(const struct mime_part *p);
#endif
