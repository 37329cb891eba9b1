/* mail/template/escape.h - values written so that they stay values, wherever they stand.
 *
 * HTML, by place (place.h): between tags and in quoted attributes the signs that Handlebars escapes (& < > " ' ` =);
 * in unquoted attributes blanks too; where an address begins only schemes that people follow safely (http, https,
 * mailto, tel, sms, ftp, cid, webcal, images as data), "#" stands for any other; the value of one query parameter is
 * percent-encoded (what is encoded stays); in styles values without signs that end one, in strings of scripts escapes
 * of JavaScript and outside of them JSON. Names of tags and attributes keep letters, digits and - _ . : alone.
 * Text: as it is. Subject and header values: one line. Control characters are left out everywhere. */
#ifndef MAIL_TEMPLATE_ESCAPE_H
#define MAIL_TEMPLATE_ESCAPE_H
#include "mail/template/datum.h"
#include "mail/template/place.h"

/* `text` is what datum_print says of d. False when another text had to stand for it (an address, a style). `p` goes on
 * behind it. */
bool escape_html(struct place *p, const struct datum *d, struct bytes text, struct buf *out);
void escape_text(struct bytes text, struct buf *out);
void escape_line(struct bytes text, struct buf *out);
/* encodeURIComponent: everything but letters, digits and - _ . ~ ! * ' ( ) as %XX. */
void escape_url(struct bytes text, struct buf *out);
#endif
