/* mail/base32.h - RFC 4648 section 6 in lower case without padding, read in either case: for what stands in a local
 * part, whose case is not kept by everybody. Inside mail/. */
#ifndef MAIL_BASE32_H
#define MAIL_BASE32_H
#include "base/bytes.h"

#define BASE32_TEXT(bytes) (((bytes)*8 + 4) / 5) /* characters of so many bytes */

void base32_write(const uint8_t *in, size_t n, struct buf *out);
/* Exactly n bytes; false on another length, another character or bits behind the end that are not zero. */
bool base32_read(struct bytes text, uint8_t *out, size_t n);
#endif
