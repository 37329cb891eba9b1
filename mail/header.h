/* mail/header.h - header fields over exact bytes: find, walk, decode (RFC 5322, 2047, 2231), encode.
 * Header text here ends before the empty line and has CRLF line ends (bare LF is tolerated when reading). Nothing is
 * changed in place; what is returned is borrowed or lies in the arena. A full arena never ends the program here: the
 * text that found no room is empty. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H
#include "base/arena.h"
#include "base/err.h"
#include "mail/limits.h"

struct header {
    struct bytes name;  /* "Subject" */
    struct bytes value; /* raw, still folded, without the final CRLF, leading white space trimmed */
    struct bytes whole; /* name, colon, value and CRLF as they stand */
};

/* Walks: *rest starts as the header text. False at the end. A line that is no field is skipped. */
bool header_next(struct bytes *rest, struct header *out);
/* The n-th (0 …) field of that name, case-blind. */
bool header_find(struct bytes headers, const char *name, size_t n, struct header *out);
size_t header_count(struct bytes headers, const char *name);
/* Offset of the end of the header (behind the last field's CRLF) in a message: before the empty line or, where that was
 * forgotten, the first line that is no field and continues none; whole length if neither comes. */
size_t header_end(struct bytes message);
/* Finds the same end in a message that comes in pieces. `text` is all that has come, the scan is zero at first. False
 * while the end may not have come; *end is then behind the empty line, or before the line that is no field. */
struct header_scan {
    size_t at; /* of the first line that is not known yet */
    bool begun;
};
bool header_whole(struct header_scan *s, struct bytes text, size_t *end);
/* What one line is to a header that has had a field before (`begun`) or not. A line that is longer may be cut to
 * HEADER_NAME_MAX bytes. HEADER_MAILBOX: "From " of a mailbox file, which is no field and ends no header, and ">From ",
 * which is the first line or ends it. */
enum header_line { HEADER_FIELD, HEADER_FOLDED, HEADER_MAILBOX, HEADER_EMPTY, HEADER_NONE };
enum header_line header_line_of(struct bytes line, bool begun);
/* Does the header go on behind it? `first`: it is the first line of the message. */
bool header_passes(enum header_line what, struct bytes line, bool first);
#define HEADER_NAME_MAX 998
/* Fields with bytes that are no UTF-8 are converted from the charset of that label (or windows-1252 when it is
 * unknown), so that raw 8-bit text can be read; `header` itself where there are none. */
struct bytes header_mend(struct bytes header, struct bytes charset, struct arena *a);

/* Unfolded and with encoded words decoded to UTF-8. What is in no charset that we know, and raw 8-bit text, is UTF-8
 * when it is that, else windows-1252. */
struct bytes header_decode(struct bytes value, struct mail_limits limits, struct arena *a);
/* A parameter of a structured value (Content-Type, Content-Disposition): RFC 2231 continuations and charsets, quoted
 * strings, encoded words that should not be there. One without quotes reaches to the semicolon. NO_BYTES when absent.
 */
struct bytes header_parameter(struct bytes value, const char *name, struct mail_limits limits, struct arena *a);
struct bytes header_token(struct bytes value,
                          struct arena *a); /* what stands before the first ';', lower case, no comments */
/* A whole media type as we write it: any number of parameters, tokens or quoted. */
bool media_type_ok(struct bytes type);
bool media_type_has(struct bytes type, const char *parameter); /* of a type that is ok */
const char *media_type_by_name(struct bytes filename);         /* by its ending; application/octet-stream */
/* What stands in < >, each without white space: message ids (RFC 5322 3.6.4), URLs and ids of lists (RFC 2369, 2919).
 * Comments and quoted words are passed over. `bare`: where no bracket is, words with an @ count as they are. At most
 * `max`; borrowed or in the arena. */
struct bytes *header_bracketed(struct bytes value, bool bare, size_t max, struct arena *a, size_t *n);
/* RFC 5322 3.3 date with obsolete forms; 0 when it cannot be read. */
int64_t header_date(struct bytes value);

/* Writes "Name: value\r\n": value is UTF-8 text, encoded (RFC 2047) where not ASCII, folded at 78 where it can, never a
 * line over 998. Refuses (returns false, nothing written) CR, LF, NUL in either and names that are not RFC 5322 ftext.
 */
bool header_write(struct buf *out, struct bytes name, struct bytes value);
/* What may stand in a field, by its name: encoded words are for text and for the names in a list of addresses only (RFC
 * 2047 5). What programs read (HEADER_CLEAR) is written as it is or not at all. */
enum header_form { HEADER_TEXT, HEADER_ADDRESSES, HEADER_CLEAR };
enum header_form header_form(struct bytes name);
/* Writes a field that somebody gave, by its form. False, and nothing is written, where that cannot be. */
bool header_write_given(struct buf *out, struct bytes name, struct bytes value);
/* Printable ASCII, with white space often enough for lines of at most 998 octets. */
bool header_fits_clear(struct bytes value);
/* A value that is already in its wire form (structured): folded at white space only. */
bool header_write_raw(struct buf *out, struct bytes name, struct bytes value);
/* "; name=value" for Content-Type and Content-Disposition, quoted or RFC 2231 encoded. */
void header_write_parameter(struct buf *out, const char *name, struct bytes value);
/* A display name or other phrase (RFC 5322 3.2.5): as atoms, quoted, or in encoded words (RFC 2047). */
void header_write_phrase(struct buf *out, struct bytes text);
bool header_name_ok(struct bytes name);
#endif
