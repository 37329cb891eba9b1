/* mail/charset.h - text of any charset to UTF-8, for the readers of mail/. */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H
#include "base/bytes.h"

/* Appends `text` as valid UTF-8; line ends stay as they are. An unknown charset is read as UTF-8; bytes that are wrong
 * in their charset become U+FFFD. NO_BYTES means US-ASCII, read as UTF-8. */
void charset_decode(struct bytes charset, struct bytes text, struct buf *out);
#endif
