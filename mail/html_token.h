/* mail/html_token.h - HTML cut into tags and text, for html_text.c and html_safe.c. No tree is built: reading text
 * needs none, and a tree costs quadratic time and deep recursion on hostile nesting. Linear, without memory of its own.
 */
#ifndef MAIL_HTML_TOKEN_H
#define MAIL_HTML_TOKEN_H
#include "base/bytes.h"

struct html_tag {
    struct bytes name; /* as written; compare case-blind */
    bool closing;
    struct bytes href, alt, start; /* raw attribute values (with entities); NO_BYTES when absent */
    struct bytes attributes;       /* all of them, for html_attribute */
    struct bytes content;          /* of an element that holds no text for people (script, style, title …) */
};

enum html_token { HTML_END, HTML_TEXT, HTML_TAG };

/* The next token of *in: plain text (entities not decoded) or a tag. Comments and declarations are skipped; an element
 * that holds no text for people is one tag. */
enum html_token html_next(struct bytes *in, struct bytes *text, struct html_tag *tag);
/* The next attribute of *rest, which starts as tag->attributes: its name as written and its raw value, as a browser
 * finds them. False at the end. */
bool html_attribute(struct bytes *rest, struct bytes *name, struct bytes *value);
/* Decodes entities, appends UTF-8. */
void html_unescape(struct bytes text, struct buf *out);
#endif
