/* delivery/content.h - what is sent behind DATA: the trace and the body, pulled piece by piece (RFC 5321 4.5.2).
 *
 *     wire_begin(&w, trace, source);
 *     while (wire_next(&w, &piece, e) && piece.n)
 *         write it
 * A dot at the start of a line is doubled, wherever pieces begin; a last line without an end gets one, and the lone dot
 * ends it all. A bare CR or LF anywhere is never sent: peers that take one for a line end would see commands in it
 * (SMTP smuggling); it is ERR_INVALID (554 5.6.0), and the attempt ends by closing the connection, not by a dot.
 * Nothing is copied: pieces are parts of what the source gave, good until the next call.
 *
 * (The functions are called wire_: content_ is service/body/content.h, which is what a source mostly is.) */
#ifndef DELIVERY_CONTENT_H
#define DELIVERY_CONTENT_H
#include "base/bytes.h"
#include "base/err.h"

/* Where bytes come from. next: an empty piece is the end; a piece is good until the next call. */
struct wire_source {
    bool (*next)(void *ctx, struct bytes *piece, struct err *e);
    bool (*rewind)(void *ctx, struct err *e); /* to the first byte again; only convert.h asks for it */
    void *ctx;
};

struct wire {
    /* inside */
    struct wire_source source;
    struct bytes rest; /* of the present piece */
    enum { WIRE_LINE_START, WIRE_IN_LINE, WIRE_CR } at;
    bool chunked, input_ended, done;
};

/* `trace`: lines that go before the source's; borrowed. */
void wire_begin(struct wire *w, struct bytes trace, struct wire_source source);
/* For BDAT (RFC 3030): dots are left alone, and none ends it. */
void wire_begin_chunked(struct wire *w, struct bytes trace, struct wire_source source);
/* False: ERR_INVALID for a bare CR or LF, or whatever the source said. After an empty piece or false: not again. */
bool wire_next(struct wire *w, struct bytes *piece, struct err *e);
/* What SIZE says (RFC 1870 5): octets of trace and source, doubled dots and the last one not counted, with the line end
 * that would be added. Reads the source to its end; for sources of which nobody knows. */
bool wire_measure(struct bytes trace, struct wire_source source, int64_t *size, struct err *e);
#endif
