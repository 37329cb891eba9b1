/* mail/surrogate.h - the header of an internationalized mail (RFC 6532) as a client may have it that knows ASCII
 * headers only: RFC 6858. Pure.
 *
 * Fields in ASCII stay as they are. Of the others, those with addresses keep names and addresses in encoded words
 * beside an address that reaches nobody, the words of Subject, Comments and Content-Description become encoded words,
 * the parameters of MIME fields are written by RFC 2231; everything else is left out (RFC 6858 section 2). */
#ifndef MAIL_SURROGATE_H
#define MAIL_SURROGATE_H
#include "mail/header.h"

/* Appends the surrogate of a header, with what stands behind it (the empty line) as it is. */
void surrogate_header(struct bytes header, struct mail_limits limits, struct arena *a, struct buf *out);
#endif
