/* delivery/reply.h - what another server answers: bytes as they come to one reply (RFC 5321 4.2, RFC 2034).
 *
 *     reply_begin(&r);
 *     while ((state = reply_read(&r, chunk, &used)) == REPLY_MORE)
 *         ...                                     all of the chunk was used: the next one
 *     r.reply                                     REPLY_DONE; what follows in the chunk is another reply
 *
 * Nothing a peer sends costs more than the reader itself: of a line REPLY_LINE_KEPT bytes are kept, of all lines
 * together REPLY_TEXT_MAX; what is longer is read and dropped. A line over REPLY_LINE_MAX, more than REPLY_LINES_MAX
 * lines, a line that begins with no code, or with another one than the first: REPLY_BROKEN, after which the connection
 * is of no use. A bare "250" is a reply, a bare LF ends a line, as every client reads it. The texts lie in the reader
 * until the next reply_begin. */
#ifndef DELIVERY_REPLY_H
#define DELIVERY_REPLY_H
#include "base/bytes.h"

enum { REPLY_LINE_MAX = 4096, REPLY_LINE_KEPT = 512, REPLY_LINES_MAX = 100, REPLY_TEXT_MAX = 8192 };

struct reply {
    int code;              /* 100 to 599; 0: there is no reply */
    struct bytes enhanced; /* "4.7.1", when its class is the code's first digit (RFC 2034 4); else NO_BYTES */
    /* Clean UTF-8 without control characters, the lines joined by LF, without codes: also of each line that repeats
     * the first one's enhanced code. Never NO_BYTES. */
    struct bytes text;
};

enum reply_state { REPLY_MORE, REPLY_DONE, REPLY_BROKEN };

struct reply_reader {
    struct reply reply;
    /* inside */
    char line[REPLY_LINE_KEPT], text[REPLY_TEXT_MAX], enhanced[16];
    size_t line_n, line_seen, text_n, lines;
    bool ended, broken;
};

void reply_begin(struct reply_reader *r);
/* Reads on; *used: how much of the chunk, all of it with REPLY_MORE. After DONE or BROKEN nothing is read. */
enum reply_state reply_read(struct reply_reader *r, struct bytes chunk, size_t *used);
/* One line of a reply's text after the other; *rest starts as reply.text. False at the end. */
bool reply_next_line(struct bytes *rest, struct bytes *line);
/* Appends the text as one line, its lines joined by a blank: for logs, events and reports. */
void reply_add_flat(struct bytes text, struct buf *out);
/* An enhanced code "5.7.1" (RFC 3463 2) at the start of text: its length, or 0. */
size_t reply_enhanced_length(struct bytes text);
#endif
