/* mail/tnef.h - winmail.dat, in which Outlook wraps what a mail has attached (MS-OXTNEF). */
#ifndef MAIL_TNEF_H
#define MAIL_TNEF_H
#include "base/arena.h"

struct tnef_file {
    struct bytes filename;     /* decoded UTF-8, as mime_filename leaves it; NO_BYTES when there is none */
    struct bytes content_type; /* as it says, or by its name */
    struct bytes content_id;   /* NO_BYTES when there is none */
    struct bytes content;      /* borrowed from the data */
};

struct tnef {
    struct tnef_file *files;
    size_t n;
    struct bytes text, html; /* the body, where it was put in here too; UTF-8, and HTML in its own charset */
    bool cut;                /* it ended early or has more files than `most` */
};

/* False: it is no TNEF. What is broken in it ends the reading, and what was read stays. Linear; texts that need it are
 * made in the arena. */
bool tnef_read(struct bytes data, size_t most, struct arena *a, struct tnef *out);
/* Does a part say that it is one? `type` is its media type, lower case. */
bool tnef_is(struct bytes type, struct bytes filename);
#endif
