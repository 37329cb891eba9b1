/* mail/auth/tls_report.h - reports about TLS between mail servers (RFC 8460 4.4), out of JSON. All of it is a
 * stranger's text. */
#ifndef MAIL_AUTH_TLS_REPORT_H
#define MAIL_AUTH_TLS_REPORT_H
#include "base/arena.h"
#include "base/err.h"

#define TLS_REPORT_VALUES 200000 /* of JSON in one */

struct tls_report_failure {
    struct bytes result_type, sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip;
    struct bytes additional_information, failure_reason_code;
    int64_t sessions;
};

struct tls_report_policy {
    struct bytes type, domain; /* "tlsa", "sts", "no-policy-found" */
    struct bytes *text, *mx_hosts;
    size_t n_text, n_mx_hosts;
    int64_t ok, failed; /* sessions */
    struct tls_report_failure *failures;
    size_t n_failures;
};

struct tls_report {
    struct bytes organization, contact, id;
    int64_t begin, end; /* wall ms; 0: not said */
    struct tls_report_policy *policies;
    size_t n;
};

/* ERR_BAD_JSON, or ERR_INVALID: it is no report. */
bool tls_report_read(struct bytes json, struct arena *a, struct tls_report *out, struct err *e);
#endif
