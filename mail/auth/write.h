/* mail/auth/write.h - inside mail/auth/: values of strangers in fields of ours, for programs to read back. */
#ifndef MAIL_AUTH_WRITE_H
#define MAIL_AUTH_WRITE_H
#include "base/bytes.h"

/* A dot-atom or token as it is, all else as a quoted-string (RFC 5322 3.2.4); control characters become '?'. Of either,
 * what is longer than any line may be is cut: a stranger chose it. */
void auth_write_value(struct buf *out, struct bytes value);
/* The inside of a comment: parentheses and backslashes quoted (RFC 5322 3.2.2). */
void auth_write_comment(struct buf *out, struct bytes text);
/* "Name: value", folded at its blanks, with CRLF. */
void auth_write_field(struct buf *out, const char *name, struct bytes value);
#endif
