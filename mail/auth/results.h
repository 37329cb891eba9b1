/* mail/auth/results.h - Authentication-Results (RFC 8601): what was found, as a field for who reads the mail; and
 * fields of that name that somebody else wrote in ours. */
#ifndef MAIL_AUTH_RESULTS_H
#define MAIL_AUTH_RESULTS_H
#include "mail/auth/dmarc.h"
#include "mail/auth/spf_check.h"
#include "mail/auth/verify.h"

struct auth_results {
    struct bytes host; /* ours: the authserv-id */
    const struct spf_verdict *spf;
    struct bytes spf_value; /* the sender, or the name of HELO */
    bool spf_helo;          /* it is HELO's */
    const struct verified *signatures;
    const struct dmarc_verdict *dmarc;
}; /* NULL: not looked at */

/* Appends the field, folded, with CRLF. */
void auth_results_write(const struct auth_results *r, struct buf *out);
/* An Authentication-Results field with our authserv-id, whatever else it says, in any spelling (5). */
bool auth_results_ours(const struct header *field, struct bytes host);
/* Appends a header without those; true when there was one. */
bool auth_results_strip(struct bytes header, struct bytes host, struct buf *out);
#endif
