/* smtp/text.h - reads the text of a mail as it comes off the wire, in chunks of any size.
 *
 * Only CRLF ends a line and only CRLF.CRLF ends DATA (RFC 5321 2.3.8, 4.1.1.4): a bare CR or LF is never a line end,
 * and a mail that has one is refused once its true end is reached, so that what stands behind a false end is never run
 * as commands (SMTP smuggling, VU#302671). Dots are unstuffed (4.5.2). Memory: none; the pieces handed on are parts of
 * the chunk. The speed is memchr's.
 *
 * With `mend` a bare LF is made a CRLF instead (RFC 6409 8 lets a submission be mended; programs exist that send their
 * own line ends): a dot behind it was stuffed and is unstuffed, but a dot alone in a line ends nothing unless CRLF
 * stands at both of its sides: it is kept. A bare CR is refused in any case. */
#ifndef SMTP_TEXT_H
#define SMTP_TEXT_H
#include "base/bytes.h"

enum text_fault { TEXT_OK, TEXT_BARE, TEXT_NUL, TEXT_LONG };

struct text {
    bool dotted; /* DATA; BDAT has neither stuffing nor an end of its own */
    bool mend;   /* set by the caller after text_init */
    size_t line_max;
    bool (*each)(void *ctx, struct bytes piece); /* false: wants no more; reading goes on to the end */
    void *ctx;
    /* read by the caller */
    enum text_fault fault; /* the first one */
    bool ended;            /* the end of DATA was seen */
    /* inside */
    enum { TEXT_LINE_START, TEXT_DOT, TEXT_DOT_CR, TEXT_IN_LINE, TEXT_CR } at;
    size_t line; /* octets of the present line so far */
    bool soft;   /* it stands behind a bare LF that was mended */
    bool deaf;   /* nothing more is handed on */
};

/* DATA or BDAT begins. */
void text_init(struct text *t, bool dotted, size_t line_max, bool (*each)(void *ctx, struct bytes piece), void *ctx);
/* Reads on; returns how much of the chunk was used: all of it, or up to and with the end of DATA. */
size_t text_read(struct text *t, struct bytes chunk);
/* The last chunk of BDAT was read: what is still open is closed. A last line without CRLF gets one. */
void text_end(struct text *t);
#endif
