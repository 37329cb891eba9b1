/* mail/html_safe.h - the HTML of a stranger for viewing: what draws is kept, what acts or loads is not.
 *
 * It is written anew from an allow-list, tag by tag, and only in ways that every browser reads alike: no element whose
 * content is no HTML to it but a filtered style sheet, no comment, each attribute in quotes, each '<' of a text
 * escaped, each tag closed that was opened. So what a browser makes of it cannot be more than was written, wherever it
 * stands. No tree is made: time is linear and memory small, whatever the nesting. */
#ifndef MAIL_HTML_SAFE_H
#define MAIL_HTML_SAFE_H
#include "base/bytes.h"

#define HTML_DEPTH_MOST 256

struct html_safe {
    size_t html;    /* bytes that are read */
    unsigned depth; /* of elements, at most HTML_DEPTH_MOST: deeper tags are left out, their text stays */
    unsigned tags;  /* that are read */
    bool remote;    /* images of http and https URLs stay */
    /* Where the part with that Content-ID can be had; false: nowhere, and the image stays without a source. NULL: no
     * part can. */
    bool (*part)(void *ctx, struct bytes content_id, struct buf *url);
    void *ctx;
};

struct html_safe_found {
    size_t blocked; /* images and the like elsewhere that were not kept */
    bool cut;       /* there was more than may be read or written */
};

/* Room that *out should have beyond what is to be written: the end tags of all that may be open. */
#define HTML_SAFE_SPARE 8192

/* Appends a fragment, UTF-8 as the HTML is. Links leave (target, rel) and lead to http, https, mailto and tel only. */
void html_safe(struct bytes html, const struct html_safe *how, struct buf *out, struct html_safe_found *found);
/* Text as HTML. */
void html_escape(struct bytes text, struct buf *out);
#endif
