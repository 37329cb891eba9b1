/* service/message/recipient.h - whom a mail may go to, and who may send it: asked at RCPT and MAIL, and of each send of
 * the API. */
#ifndef SERVICE_RECIPIENT_H
#define SERVICE_RECIPIENT_H
#include "mail/address.h"
#include "mail/token.h"
#include "service/core/call.h"

enum recipient_kind {
    RECIPIENT_LOCAL,
    RECIPIENT_REMOTE,
    RECIPIENT_SANDBOX,  /* @sandbox.test */
    RECIPIENT_CAPTURED, /* nobody's mailbox: kept for the account (service/message/postmaster.h) */
    RECIPIENT_RETURNED, /* mail of ours that came back, service/message/returned.h: read, and not delivered */
    RECIPIENT_FORWARD   /* nobody's mailbox: it is sent on, see `forward` */
};

struct recipient {
    struct bytes email; /* as we write it in the delivery */
    enum recipient_kind kind;
    struct id user_id; /* LOCAL: who gets it */
    /* LOCAL: of that user; CAPTURED, RETURNED: who can read it; FORWARD: of the address; REMOTE: of a report that goes
     * back through a forward, of that, else none. */
    struct id account_id;
    struct bytes dsn;   /* JSON {notify, orcpt} or NO_BYTES */
    int64_t room;       /* LOCAL: bytes up to the quota */
    bool missing, full; /* LOCAL, only for API sends: born bounced 5.1.1 / 5.2.2 */
    bool proven;        /* RETURNED: `token` says what it is about */
    struct token token;
    struct bytes forward; /* LOCAL, FORWARD: JSON list of addresses that it is sent on to, too (plan_forward.c) */
    struct id domain_id;  /* then, of the address */
};

struct recipient_check_in {
    struct address address; /* domain NO_BYTES: <Postmaster> */
    int64_t size;           /* declared, 0 unknown */
    bool utf8_ok;           /* SMTPUTF8 was asked for */
    bool lenient;           /* API: missing and full are no errors */
    bool from_nobody;       /* sent by <>: reports may go back through forwards */
    bool uncounted;         /* takes nothing of the sender's allowance: it did already, or nothing is sent */
};
/* ERR_MISSING no such user (550 5.1.1), ERR_RELAY not ours and nobody logged in (550 5.7.1), ERR_MAILBOX_FULL
 * (452 4.2.2), ERR_UNVERIFIED, ERR_RATE (limits.user_recipients_per_hour). `now` counts as one recipient for the rate.
 */
bool recipient_check(struct call *c, const struct recipient_check_in *in, struct recipient *out);
/* May who (or a stranger, on port 25) send with this envelope sender (null path: local NO_BYTES)? ERR_SENDER, ERR_AUTH.
 */
bool sender_check(struct call *c, const struct address *sender);
#endif
