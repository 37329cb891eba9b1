/* mail/css_safe.h - style sheets and style attributes of a stranger, by an allow-list (CSS Syntax 3), for html_safe.c.
 *
 * What comes out has no '<', no backslash and no URL but those that were allowed, so that it can stand in a style
 * element or, escaped, in an attribute. Nothing in it places a box over what stands around the mail; but a sheet
 * styles all of the document that it stands in, so that a mail wants one of its own. Linear, no memory.
 */
#ifndef MAIL_CSS_SAFE_H
#define MAIL_CSS_SAFE_H
#include "base/bytes.h"

struct css_safe {
    bool remote;    /* http and https URLs are kept */
    size_t blocked; /* URLs that were not */
};
/* Declarations: "color: red; width: 10px". What is not allowed is left out. */
void css_declarations(struct bytes text, struct css_safe *how, struct buf *out);
/* A style sheet: rules, and those in @media. */
void css_sheet(struct bytes text, struct css_safe *how, struct buf *out);
#endif
