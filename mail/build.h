/* mail/build.h - composes a message (RFC 5322, 2045, 6532) from an API request: header and MIME body with CRLF line
 * ends, no line over 998, encodings chosen by content (7bit, quoted-printable, base64), multipart/alternative (text
 * first, then AMP, HTML, a calendar), multipart/related for inline parts with a Content-ID, multipart/mixed for
 * attachments. A calendar is there twice: as an alternative that programs act on, and as a file (invite.ics). A
 * boundary never occurs in a part. Bcc is never written. Pure: date and ids come in. */
#ifndef MAIL_BUILD_H
#define MAIL_BUILD_H
#include "mail/address.h"
#include "mail/header.h"

struct attachment {
    struct bytes filename, content_type, content_id, disposition; /* NO_BYTES where absent */
    struct bytes content;                                         /* decoded */
};

/* An invitation, its answer, or what else RFC 5546 has methods for (mail/calendar.h). */
struct calendar {
    struct bytes method, content; /* NO_BYTES: there is none */
};

struct named_value {
    struct bytes name, value;
};

struct compose {
    struct address from;
    const struct address *reply_to, *to, *cc;
    size_t n_reply_to, n_to, n_cc;
    struct bytes subject, text, html; /* UTF-8; text is made from html when NO_BYTES and html is there */
    struct bytes amp_html;            /* beside text or html, or NO_BYTES */
    struct calendar calendar;
    const struct attachment *attachments;
    size_t n_attachments;
    const struct named_value *headers; /* extra, in order, already checked against the deny list */
    size_t n_headers;
    struct bytes message_id;              /* "<…@…>" */
    struct bytes in_reply_to, references; /* NO_BYTES where absent */
    int64_t date;                         /* wall ms; 0: without a Date */
    struct mail_limits limits;            /* of the text that is made */
};

/* Appends the whole message to *out; ERR_TOO_LARGE when it passes out->max. ERR_INVALID names the field that cannot be
 * written (a caller that validated never sees it). */
bool compose_write(const struct compose *c, struct buf *out, struct err *e);

/* Readable text of an HTML document: links as "text <url>", lists, headings, tables by rows, images by alt text;
 * scripts and styles left out; lines wrapped at 78, LF ends. Works on the tags as they come, builds no tree: linear
 * time, little stack, so that it may run on a fiber. */
void html_to_text(struct bytes html, struct mail_limits limits, struct buf *out);
/* One line of at most `max` bytes of UTF-8 for lists: white space folded, cut at a character. */
void text_snippet(struct bytes text, size_t max, struct buf *out);

/* The Received line (RFC 5321 4.4, RFC 8314 for tls, RFC 3848 for with), folded, with CRLF. */
struct received {
    struct bytes helo, client_ip, host, id, for_address; /* for_address: only of a single recipient, else NO_BYTES */
    const char *with;                                    /* "ESMTPS", "UTF8SMTPSA", "HTTP" … */
    const char *tls_version, *tls_cipher;                /* NULL in clear */
    int tls_bits;
    int64_t date;
};
void received_write(const struct received *r, struct buf *out);
#endif
