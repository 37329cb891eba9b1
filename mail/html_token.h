/* mail/html_token.h - HTML cut into tags and text, for html_text.c. No tree is built: reading text needs none, and a
 * tree costs quadratic time and deep recursion on hostile nesting. Linear, without memory of its own. */
#ifndef MAIL_HTML_TOKEN_H
#define MAIL_HTML_TOKEN_H
#include "base/bytes.h"

struct html_tag {
    struct bytes name; /* as written; compare case-blind */
    bool closing;
    struct bytes href, alt, start; /* raw attribute values (with entities); NO_BYTES when absent */
};

enum html_token { HTML_END, HTML_TEXT, HTML_TAG };

/* The next token of *in: plain text (entities not decoded) or a tag. Comments, declarations and elements that hold no
 * text for people (script, style, title …) are skipped. */
enum html_token html_next(struct bytes *in, struct bytes *text, struct html_tag *tag);
/* Decodes entities, appends UTF-8. */
void html_unescape(struct bytes text, struct buf *out);
#endif
