/* mail/mime_uu.h - uuencode (POSIX.1 uuencode), which was there before MIME: as a transfer encoding that no RFC has
 * ("x-uuencode"), and as a file in the middle of a text. For mime.c and mime_decode.c. */
#ifndef MAIL_MIME_UU_H
#define MAIL_MIME_UU_H
#include "base/bytes.h"

/* Finds files in a text, which is shown line by line: a line "begin 644 name" and data behind it. The first line of
 * data must be exact, or a text that tells of uuencode would be cut up. All zero at first. */
struct uu_finder {
    enum { UU_IN_TEXT, UU_AT_BEGIN, UU_IN_FILE, UU_AT_END } state;
    size_t begin; /* offset of the line that begins the file */
    size_t name_n;
    char name[512];
};
enum uu_found {
    UU_NOTHING,
    UU_OPENS,  /* a file began at `begin` */
    UU_CLOSES, /* it ends behind this line */
    UU_BREAKS  /* it ended before this line, which is text */
};
enum uu_found uu_find(struct uu_finder *f, struct bytes line, size_t at);

/* Decodes from the line that begins a file to the one that ends it; what stands around them is passed over. A line that
 * lost its blanks on the way is filled up. All zero at first. */
struct uu_state {
    unsigned char at, head_n, left, bits_n;
    char head[8];
    uint32_t bits;
};
void uu_decode(struct uu_state *s, struct bytes chunk, struct buf *out);
void uu_decode_end(struct uu_state *s, struct buf *out); /* the last line had no end */
#endif
