/* mail/bounce_read.h - between the files of bounce*.c. */
#ifndef MAIL_BOUNCE_READ_H
#define MAIL_BOUNCE_READ_H
#include "mail/bounce.h"

struct bounce_reader {
    const struct bounce_reading *how;
    struct arena *a;
    struct bounce *out;
    struct bytes header;  /* of the report itself */
    struct bytes subject; /* decoded, lower case */
    struct bytes words;   /* its readable text, UTF-8 with LF ends; original cut off */
    struct bytes quoted;  /* what stood behind that */
};

/* Blocks of fields (RFC 3464 2): true when they name a recipient. */
bool bounce_status(struct bounce_reader *b, struct bytes text);
/* Fields of RFC 5965. */
void bounce_feedback(struct bounce_reader *b, struct bytes text);
/* Recipients by a report's own words. `reports`: its subject says that it is one. */
bool bounce_words(struct bounce_reader *b, bool reports);

/* A notice of Amazon SES. */
bool bounce_notice(struct bounce_reader *b);

/* A new recipient, zeroed; NULL when there are too many. */
struct bounce_recipient *bounce_recipient(struct bounce_reader *b);
/* Fills code, status (where there is none yet) and meaning from what is known and `words`. */
void bounce_judge(struct bounce_reader *b, struct bounce_recipient *t, struct bytes words);
/* "<ana@example.org>", "rfc822; ana@example.org (x)": the address; NO_BYTES when there is none. */
struct bytes bounce_address(struct bytes text);
/* One of the words (NULL behind the last) is in it. */
bool bounce_holds(struct bytes text, const char *const *words);
/* The next address in a text; *rest goes behind it. */
bool bounce_next_address(struct bytes *rest, struct bytes *address);
#endif
