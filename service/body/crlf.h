/* service/body/crlf.h - text of any line ends to CRLF: what applications post as message/rfc822 often has bare LF. A
 * bare CR ends a line too: neither may ever be part of a kept mail that SMTP could be made to carry (RFC 5321 2.3.8).
 */
#ifndef SERVICE_CRLF_H
#define SERVICE_CRLF_H
#include "base/bytes.h"

struct crlf {
    bool cr;   /* the last byte was a CR, not yet written */
    bool open; /* the last line has no end yet */
};
void crlf_add(struct crlf *s, struct bytes chunk, struct buf *out);
/* Ends the last line too: POP3 and SMTP would, and sizes must be those of what they send. */
void crlf_end(struct crlf *s, struct buf *out);
#endif
