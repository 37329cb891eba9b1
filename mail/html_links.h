/* mail/html_links.h - the links of a mail, some of them replaced, and every other byte as it was.
 *
 * A link is the href of an `a` or `area` of HTML that begins with http:// or https://, and in plain text what begins so
 * and goes on to a blank, a quote, or a bracket. Whatever a browser would not follow is left: comments, scripts, what
 * is within a textarea. So is a link that bears data-no-track, or one of the marks that other senders have for the same
 * (clicktracking=off, data-pm-no-track, ses:no-track, data-disable-tracking), and the whole of a document whose html or
 * body does. Linear in the size, without a tree; pure. */
#ifndef MAIL_HTML_LINKS_H
#define MAIL_HTML_LINKS_H
#include "base/bytes.h"

struct link_change {
    /* Adds what stands instead of it, of characters that need no escaping anywhere; false, with nothing added: it
     * stays. `url` is as a browser would ask for it: entities decoded, in visible ASCII. */
    bool (*link)(void *ctx, struct bytes url, struct buf *out);
    void *ctx;
    size_t links_max; /* further ones stay */
    size_t url_max;   /* longer ones stay */
};

/* Appends the document. `at_end` (NO_BYTES: nothing) comes before its </body>, or at its end; false, and it does not,
 * where the document is marked. */
bool html_links_change(struct bytes html, const struct link_change *how, struct bytes at_end, struct buf *out);
void text_links_change(struct bytes text, const struct link_change *how, struct buf *out);
#endif
