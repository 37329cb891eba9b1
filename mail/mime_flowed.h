/* mail/mime_flowed.h - text of format=flowed (RFC 3676), for mime_text. */
#ifndef MAIL_MIME_FLOWED_H
#define MAIL_MIME_FLOWED_H
#include "base/bytes.h"

/* Text with LF line ends: appended with a line for each paragraph; quote marks stay. */
void mime_unflow(struct bytes text, bool delsp, struct buf *out);
#endif
