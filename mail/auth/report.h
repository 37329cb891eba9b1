/* mail/auth/report.h - what kind of report or policy a text is, in whatever it was packed: gzip, zip, a mail. */
#ifndef MAIL_AUTH_REPORT_H
#define MAIL_AUTH_REPORT_H
#include "mail/auth/unpack.h"
#include "mail/mime.h"

enum report_kind {
    REPORT_NONE,
    REPORT_DMARC,      /* aggregate, XML: mail/auth/dmarc_report.h */
    REPORT_TLS,        /* JSON: mail/auth/tls_report.h */
    REPORT_FAILURE,    /* one mail that failed (RFC 9991, RFC 6591): the fields of message/feedback-report */
    REPORT_STS_RECORD, /* mail/auth/sts.h */
    REPORT_STS_POLICY,
};

struct report_limits {
    struct mime_limits mime;
    struct unpack_limits unpack;
};

struct report_text {
    enum report_kind kind;
    struct bytes text; /* unpacked */
};

const char *report_kind_name(enum report_kind kind); /* "dmarc", "tls", "failure", "sts_record", "sts_policy", "none" */
bool report_kind_of(struct bytes name, enum report_kind *out);
/* Of a mail the first part that is a report counts. False: what is packed there cannot be unpacked. */
bool report_open(struct bytes data, const struct report_limits *limits, struct arena *a, struct report_text *out,
                 struct err *e);
#endif
