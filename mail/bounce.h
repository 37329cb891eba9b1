/* mail/bounce.h - mail that other servers send about mail of ours: reports (RFC 3464, RFC 6533), the free texts of
 * servers that write none, complaints (ARF, RFC 5965), notices of Amazon SES, and the answers of machines.
 *
 *     struct bounce b;
 *     bounce_read(&reading, message, arena, &b);
 *     switch (b.kind) …
 * Nothing in it is believed: who may send it, and which delivery it is about, is shown by the address it came to
 * (mail/token.h). A text counts as a report only if its sender is a mail system or nobody (<>), it says that something
 * was not delivered, and it names a recipient. Linear time, memory in the arena; texts are borrowed from both. Pure. */
#ifndef MAIL_BOUNCE_H
#define MAIL_BOUNCE_H
#include "mail/classify.h"
#include "mail/dsn.h"
#include "mail/mime.h"

struct bounce_reading {
    const struct mime_limits *limits;
    const struct classifier *classifier;
    size_t recipients_max; /* more are not read */
    size_t text_max;       /* bytes of a readable part that are looked at */
};

enum bounce_kind {
    BOUNCE_NONE,      /* an ordinary mail */
    BOUNCE_REPORT,    /* something was not, not yet, or was delivered */
    BOUNCE_COMPLAINT, /* somebody called it spam (feedback_type abuse and alike), or another ARF report */
    BOUNCE_AUTO_REPLY /* out of office and alike */
};

struct bounce_recipient {
    struct bytes final, original; /* addresses; NO_BYTES where it does not say */
    enum dsn_action action;
    struct bytes status;     /* "5.1.1"; NO_BYTES */
    int code;                /* 550; 0 */
    struct bytes reply;      /* the other server's words, or what the text says of this recipient */
    struct bytes remote_mta; /* NO_BYTES */
    struct meaning meaning;
};

struct bounce {
    enum bounce_kind kind;
    struct bounce_recipient *recipients;
    size_t n;
    struct bytes reporting_mta, envelope_id;
    struct bytes feedback_type;      /* "abuse", "fraud", "not-spam", "auth-failure" …, lower case; COMPLAINT only */
    bool complains;                  /* COMPLAINT: a person did not want the mail: abuse, fraud, virus, other */
    struct bytes original_mail_from; /* ARF, or the original's Return-Path: without <> */
    struct bytes original_id;        /* Message-ID of the original, "<…>" */
    struct bytes original_header;    /* as far as it came back */
    struct bytes source_ip;          /* ARF */
};

/* `message` may be cut: the original at its end matters little. */
void bounce_read(const struct bounce_reading *r, struct bytes message, struct arena *a, struct bounce *out);
#endif
