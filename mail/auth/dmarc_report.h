/* mail/auth/dmarc_report.h - aggregate reports about DMARC (RFC 9990, RFC 7489 Appendix C, and what came before them),
 * out of XML (libexpat) without a document type, so without entities of its own.
 *
 * Read forgivingly: reporters write what they like. Words of the vocabulary come out in lower case; what is not there
 * is NO_BYTES. XML that breaks off or is wrong ends the report there; what stood before it is kept, and `damaged` says
 * why. All of it is a stranger's text: to be escaped wherever it is shown. */
#ifndef MAIL_AUTH_DMARC_REPORT_H
#define MAIL_AUTH_DMARC_REPORT_H
#include "base/arena.h"
#include "base/err.h"

#define DMARC_REPORT_TEXT_MAX 2048 /* bytes of one text; the rest is cut */
#define DMARC_REPORT_DEPTH    32
#define DMARC_REPORT_LIST_MAX 100 /* signatures, reasons, errors of one place; more are left out */

struct dmarc_report_reason {
    struct bytes type, comment;
};
struct dmarc_report_dkim {
    struct bytes domain, selector, result, human_result;
};
struct dmarc_report_spf {
    struct bytes domain, scope, result, human_result;
};

struct dmarc_report_row {
    struct bytes source_ip;
    int64_t count;                                        /* 0 when it is no number */
    struct bytes disposition, dkim, spf;                  /* policy_evaluated */
    struct bytes header_from, envelope_from, envelope_to; /* identifiers */
    struct dmarc_report_reason *reasons;
    struct dmarc_report_dkim *auth_dkim;
    struct dmarc_report_spf *auth_spf;
    size_t n_reasons, n_dkim, n_spf;
};

struct dmarc_report {
    struct bytes version, org_name, email, extra_contact_info, report_id, generator;
    struct bytes *errors;
    size_t n_errors;
    int64_t begin, end;                                                              /* wall ms; 0: not said */
    struct bytes domain, p, sp, np, adkim, aspf, pct, fo, testing, discovery_method; /* policy_published */
    struct dmarc_report_row *rows;
    size_t n;
    size_t left_out;      /* rows beyond the limit */
    struct bytes damaged; /* NO_BYTES: whole */
};

/* ERR_INVALID: no report; it has a document type, is deeper than DMARC_REPORT_DEPTH, or nothing of a report was found.
 */
bool dmarc_report_read(struct bytes xml, size_t rows_max, struct arena *a, struct dmarc_report *out, struct err *e);
#endif
