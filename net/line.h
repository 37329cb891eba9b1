/* net/line.h - commands that are lines (SMTP, POP3, IMAP): what a line is, and what is done about one that is none.
 *
 * A line ends in CRLF and holds no control characters but TAB. Whoever sends a bare LF, or hides a CR or NUL in a
 * command, is heard differently by somebody else on the way (RFC 5321 2.3.8). A bare LF is answered at once, but once:
 * what stands behind it up to the CRLF belongs to the same line, and is no command.
 *
 *     switch (line_read(s, max, &line, &e)) {
 *     case LINE_GOOD:   it is a command
 *     case LINE_DIRTY:  answer
 *     case LINE_BROKEN: answer, then line_skip_rest
 *     case LINE_LONG:   line_skip_rest, then answer
 *     case LINE_NONE:   e says why
 *     } */
#ifndef NET_LINE_H
#define NET_LINE_H
#include "net/stream.h"

enum line { LINE_GOOD, LINE_DIRTY, LINE_BROKEN, LINE_LONG, LINE_NONE };

/* The next line of at most `max` bytes, without its CRLF; the view lasts until the next read call, and is NO_BYTES
 * unless LINE_GOOD. LINE_NONE as stream_line fails, its ERR_TOO_LARGE apart. */
enum line line_read(struct stream *s, size_t max, struct bytes *line, struct err *e);
/* False with ERR_TOO_LARGE after 1 MiB without an end: hang up. */
bool line_skip_rest(struct stream *s, struct err *e);
/* line_read would not wait. */
bool line_is_there(const struct stream *s, size_t max);
#endif
