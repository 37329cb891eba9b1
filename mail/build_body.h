/* mail/build_body.h - bodies in a content transfer encoding (RFC 2045 6), for build.c. */
#ifndef MAIL_BUILD_BODY_H
#define MAIL_BUILD_BODY_H
#include "base/bytes.h"

enum body_encoding { BODY_7BIT, BODY_QUOTED, BODY_BASE64 };

/* Text goes out as it is when every server takes it so: ASCII, lines up to 998, none that a mail store would quote
 * ("From "). Else quoted-printable, or base64 where that is shorter. */
enum body_encoding body_encoding_for(struct bytes text);
const char *body_encoding_name(enum body_encoding encoding);
/* Appends with CRLF line ends and one at the end. LF, CRLF and CR all end a line of text. */
void body_write_text(struct bytes text, enum body_encoding encoding, struct buf *out);
/* Appends base64 in lines of 76, of exact bytes. */
void body_write_base64(struct bytes content, struct buf *out);
/* Exact bytes that may be sent as 7bit: ASCII without NUL, CRLF line ends only, lines up to 998. */
bool body_is_7bit(struct bytes content);
#endif
