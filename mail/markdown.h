/* mail/markdown.h - HTML from Markdown (CommonMark with tables, strike-through and bare links), by md4c. */
#ifndef MAIL_MARKDOWN_H
#define MAIL_MARKDOWN_H
#include "base/bytes.h"

/* Appends a fragment. HTML in the text is shown as text. Links may lead anywhere, "javascript:" too: what a stranger
 * wrote goes through html_safe behind it. False: there was no room. */
bool markdown_to_html(struct bytes text, struct buf *out);
#endif
