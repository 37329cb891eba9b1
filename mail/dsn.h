/* mail/dsn.h - reports about mail that we were given to deliver (RFC 3461, 3464, 6522; RFC 6533 where addresses are not
 * ASCII): multipart/report of a text that people can read (also as HTML), message/delivery-status, and the original's
 * header or the whole of it. Pure: whether one is due, and its signature, are the caller's.
 *
 * From MAILER-DAEMON, Auto-Submitted: auto-replied; to be sent from <>. All in ASCII: what is not is encoded, also in
 * the global types, which RFC 6532 allows; only the To of a sender whose local part is not needs SMTPUTF8. What other
 * servers and senders wrote is escaped in HTML and has no control characters anywhere. */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H
#include "mail/address.h"
#include "mail/classify.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED, DSN_ACTIONS };
#define DSN_WHOLE_MAX ((size_t)1024 * 1024) /* a longer original comes back as its header, whatever RET asked */

struct dsn_recipient {
    struct bytes address;  /* Final-Recipient: who it was for */
    struct bytes original; /* ORCPT, xtext decoded: "rfc822;ana@example.org"; NO_BYTES: not given */
    enum dsn_action action;
    struct bytes status;     /* "5.1.1", RFC 3463 */
    struct bytes remote_mta; /* that answered; NO_BYTES: none did */
    struct bytes reply;      /* its own words, with code: "550 5.1.1 No such user"; NO_BYTES: none */
    struct bytes reason;     /* ours, where it did not answer: "No server of example.net could be reached" */
    enum why why;            /* what to tell people beside the reply; WHY_UNDETERMINED: nothing */
    int64_t last_attempt;    /* wall ms; 0: none */
    int64_t retry_until;     /* DELAYED; else 0 */
};

struct dsn {
    struct bytes host;        /* ours: Reporting-MTA, MAILER-DAEMON@ */
    struct bytes to;          /* the original's envelope sender */
    struct bytes message_id;  /* of the report, "<…@…>" */
    struct bytes envelope_id; /* ENVID, xtext decoded; NO_BYTES */
    struct bytes header;      /* of the original: its subject, date and id are named */
    struct bytes whole;       /* all of the original, where RET=FULL and something failed; else NO_BYTES */
    int64_t arrived, date;    /* wall ms */
    const struct dsn_recipient *recipients;
    size_t n;
};

/* Appends the report, CRLF ends. ERR_TOO_LARGE when out would overflow, ERR_INVALID when host, to or message_id cannot
 * be written. */
bool dsn_write(const struct dsn *d, struct arena *a, struct buf *out, struct err *e);
#endif
