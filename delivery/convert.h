/* delivery/convert.h - a mail with 8-bit content, or lines over 998, for hosts that do not take it: leaves are encoded
 * as quoted-printable or base64, their headers and those of the multiparts around them say so (RFC 6152 3, RFC 2045 6).
 *
 *     switch (convert_plan(source, &limits, arena, &plan, e))
 *     case CONVERT_OK:          plan.size is what comes out; rewind the source, then
 *                               convert_begin(&c, plan, source), and pull from convert_source(&c)
 *     case CONVERT_IMPOSSIBLE:  5.6.3, or as it is when only lines are too long
 *     case CONVERT_FAILED:      the source failed
 *
 * What is never touched: header text but Content-Transfer-Encoding (and MIME-Version, added where there was none); what
 * lies in multipart/signed or multipart/encrypted, which makes a conversion impossible when it would be needed there;
 * leaves that are in quoted-printable or base64, or need nothing. Messages within the mail (message/rfc822) are
 * converted inside, LEVELS deep. Impossible too: 8-bit bytes in the header of a part, or in what is declared to be
 * encoded. 8-bit bytes before the first and behind the last part of a multipart, which no client shows, become "?".
 * The source is read some four times by convert_plan; memory: the arena's, some 200 bytes a part. */
#ifndef DELIVERY_CONVERT_H
#define DELIVERY_CONVERT_H
#include "base/arena.h"
#include "delivery/content.h"
#include "mail/mime.h"

enum { CONVERT_LEVELS = 4, CONVERT_LINE_MAX = 998 };

enum convert_result { CONVERT_OK, CONVERT_IMPOSSIBLE, CONVERT_FAILED };

/* inside: what is done with a run of the source; the runs follow one another without a gap. */
struct convert_edit {
    int64_t from, to;
    enum convert_what { CONVERT_KEEP, CONVERT_HEADER, CONVERT_QUOTED, CONVERT_BASE64, CONVERT_MASK } what;
    const char *encoding; /* HEADER: what it is to say */
    bool insert;          /* HEADER: also where it said nothing; else only in place of what it says */
    bool top;             /* HEADER: of the mail; it needs MIME-Version */
};

struct convert_plan {
    int64_t size; /* of what comes out */
    const struct convert_edit *edits;
    size_t n;
};

/* The source stands at its first byte, and anywhere afterwards. */
enum convert_result convert_plan(struct wire_source source, const struct mime_limits *limits, struct arena *a,
                                 struct convert_plan *out, struct err *e);

struct convert {
    /* inside */
    struct wire_source source;
    struct convert_plan plan;
    struct bytes rest; /* of the present piece */
    size_t edit;
    int64_t at;
    struct buf out;
    char held[64];
    size_t held_n, column; /* of the line that comes out */
    enum { CONVERT_START, CONVERT_NAME, CONVERT_REST, CONVERT_PAST } state;
    bool dropping, encoding_seen, version_seen, ended, line_open;
};

void convert_begin(struct convert *c, const struct convert_plan *plan, struct wire_source source);
struct wire_source convert_source(struct convert *c); /* its rewind starts anew */
void convert_end(struct convert *c);
#endif
