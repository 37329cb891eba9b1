/* delivery/offer.h - what a host offers, and so how a message is sent to it, or why not. Pure.
 *
 *     offer_read(&ehlo_reply, &offer);               after HELO: offer_none(&offer)
 *     switch (offer_negotiate(&offer, &needs, &terms, &how))
 *     case OFFER_OK:      offer_add_mail(&how, &needs, sender, out), offer_add_rcpt(&how, &rcpt, out)
 *     case OFFER_REFUSED: how.refusal is a reason to try the next host, or with terms.last the verdict
 *
 * A host that lacks what a message needs is passed over while there is another one (terms.last false). Only when none
 * has it is the mail changed, sent as it is, or refused: whoever calls keeps the first host that lacked something and
 * asks again with `last`. A message that is to be converted (how.convert) has another size then: convert it
 * (convert.h), and negotiate again with needs.converted and the new size.
 *
 * RFC 5321 4.1.1.1 (EHLO), 1870 (SIZE), 2920 (PIPELINING), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN), 8689
 * (REQUIRETLS), 9422 (LIMITS), 3030 (CHUNKING, known but used only where asked for), 4954 (AUTH). */
#ifndef DELIVERY_OFFER_H
#define DELIVERY_OFFER_H
#include "delivery/reply.h"

struct offer {
    bool esmtp; /* EHLO was answered 250 */
    bool pipelining, size, eight_bit, utf8, dsn, starttls, require_tls, chunking;
    bool auth_plain, auth_login;
    int64_t size_max; /* 0: none named */
    /* LIMITS: messages a connection, recipients a message, domains among the recipients of a message; 0: none named. */
    int64_t mail_max, rcpt_max, rcpt_domain_max;
};

/* Extensions that cannot be read are as if they were not there. */
void offer_read(const struct reply *ehlo, struct offer *out);
void offer_none(struct offer *out); /* HELO */
/* The name a server gives itself in its greeting or EHLO answer: the first word. Borrowed; empty: none. */
struct bytes offer_name(const struct reply *r);

/* Whether EHLO's refusal means that HELO is to be tried: 500, 502, 504, 550 (RFC 5321 3.2), never 421. */
bool offer_wants_helo(const struct reply *ehlo);

/* What a message asks of a host. Texts are as they came, decoded: they are written as xtext. */
struct needs {
    int64_t size;       /* octets of trace and body as sent, doubled dots not counted (RFC 1870 5) */
    bool body_8bit;     /* bytes past ASCII behind the header */
    bool long_lines;    /* lines over 998 octets */
    bool utf8;          /* a header or an address of this transaction cannot do without SMTPUTF8 */
    bool convertible;   /* no foreign DKIM-Signature; what else stands against it convert_plan finds */
    bool converted;     /* it has been: neither 8 bits nor long lines are left */
    bool require_tls;   /* REQUIRETLS was asked for (RFC 8689) */
    struct bytes ret;   /* "FULL", "HDRS" or NO_BYTES */
    struct bytes envid; /* NO_BYTES: none */
};

enum eight_bit { EIGHT_CONVERT, EIGHT_SEND, EIGHT_BOUNCE }; /* delivery.eight_bit */

struct terms {
    enum eight_bit eight_bit;
    bool last;     /* there is no other host */
    bool verified; /* the connection is TLS with a verified name: REQUIRETLS may be said */
};

enum offer_refusal {
    REFUSAL_NONE,
    REFUSAL_SIZE,        /* 5.3.4: larger than the host takes */
    REFUSAL_EIGHT_BIT,   /* 5.6.3: 8-bit content, and it must not be converted */
    REFUSAL_UTF8,        /* 5.6.7: SMTPUTF8 is not offered; there is no downgrade */
    REFUSAL_REQUIRE_TLS, /* 5.7.30: REQUIRETLS is not offered, or the connection is not verified */
};

enum offer_result { OFFER_OK, OFFER_REFUSED };

/* How a message is sent to a host. */
struct manner {
    enum offer_refusal refusal;
    bool convert;                                 /* first; nothing else here holds before */
    bool size, body_8bit, utf8, dsn, require_tls; /* which parameters are said */
};

enum offer_result offer_negotiate(const struct offer *o, const struct needs *n, const struct terms *t,
                                  struct manner *how);

/* "MAIL FROM:<bo@example.org> SIZE=1234 ...\r\n". The sender is an address or empty; an address that holds a line
 * break, or blanks and brackets outside quotes, is a broken promise of ours. */
void offer_add_mail(const struct manner *how, const struct needs *n, struct bytes sender, struct buf *out);

struct offer_rcpt {
    struct bytes email;
    struct bytes notify; /* "NEVER", or of "SUCCESS,FAILURE,DELAY"; NO_BYTES: not said */
    struct bytes orcpt;  /* "rfc822;ana@example.org", decoded; NO_BYTES: none */
};
/* "RCPT TO:<ana@example.net> NOTIFY=... ORCPT=...\r\n". */
void offer_add_rcpt(const struct manner *how, const struct offer_rcpt *r, struct buf *out);

/* How many recipients a transaction may have: `most`, RCPTMAX, and what a 452 taught (0: nothing). */
size_t offer_recipients(const struct offer *o, size_t most, size_t taught);
#endif
