/* net/line.h - what the sessions of protocols have in common whose commands are lines (SMTP, POP3, IMAP): how a command
 * is read and an answer written, and the three ways in which a step of a command ends.
 *
 * A line ends in CRLF and holds no control characters but TAB. Whoever sends a bare LF, or hides a CR or NUL in a
 * command, is heard differently by somebody else on the way (RFC 5321 2.3.8). A bare LF is answered at once, but once:
 * what stands behind it up to the CRLF belongs to the same line, and is no command.
 *
 *     static bool command(struct session *s, struct bytes arg)      false when the session must end
 *     {
 *         enum step read = line_next(s->stream, max, &manners, s, &line);
 *
 *         if (read != STEP_DONE)
 *             return step_alive(read);
 */
#ifndef NET_LINE_H
#define NET_LINE_H
#include "net/stream.h"
#include <stdarg.h>

enum step {
    STEP_DONE,    /* the command goes on */
    STEP_REFUSED, /* with a reply: the command is over, the session is not */
    STEP_END      /* the session must end */
};
/* A refusal was sent, or could not be: what the function that sends it returned. */
static inline enum step step_refused(bool alive)
{
    return alive ? STEP_REFUSED : STEP_END;
}
/* What a command returns whose step was not done. */
static inline bool step_alive(enum step s)
{
    return s != STEP_END;
}

/* What a protocol answers when no command came. */
struct line_manners {
    /* Of a line that is none, in words; returns whether the session goes on. */
    bool (*refuse)(void *session, bool too_long, const char *text);
    /* No line came, as stream_line fails; ERR_TOO_LARGE: 1 MiB without an end, hang up. The session ends. */
    void (*lost)(void *session, const struct err *why);
};
/* The next line of at most `max` bytes, without its CRLF; the view lasts until the next read call. NO_BYTES unless
 * STEP_DONE; the client has its answer then. */
enum step line_next(struct stream *s, size_t max, const struct line_manners *m, void *session, struct bytes *line);
/* line_next would not wait. */
bool line_is_there(const struct stream *s, size_t max);

/* A reply of one line: `status`, the text and CRLF, cut at 512 octets (RFC 5321 4.5.3.1.5, 2449 4). Texts of others are
 * echoed, so a control character leaves as "?", and what is not ASCII too unless `utf8`. */
__attribute__((format(printf, 4, 0))) bool line_write(struct stream *s, bool utf8, const char *status,
                                                      const char *format, va_list args);

/* TLS within `timeout` ms: after the command for it, or first at the ports of their own. `tls` NULL: nothing to do. */
bool line_start_tls(struct stream *s, struct tls_server *tls, int64_t timeout, struct err *e);
#endif
