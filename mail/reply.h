/* mail/reply.h - of a reply what its author wrote: without what they answer to, and without their signature. */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H
#include "base/bytes.h"

/* `text` is UTF-8 with LF line ends (mime_text, html_to_text). Appends what is left: lines without those that are
 * quoted, the line that introduces a quotation ("On …, Ana wrote:", in many languages), all behind "Original Message"
 * or a copied header, and all behind "-- " or what a telephone adds. Where nothing would be left (a forwarded mail
 * without a word) all of it. Linear. */
void reply_strip(struct bytes text, struct buf *out);
#endif
