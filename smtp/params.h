/* smtp/params.h - the ESMTP parameters of MAIL and RCPT: "KEY=value KEY …" behind the path.
 * RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 (RET, ENVID, NOTIFY, ORCPT, xtext), 4954 section 5 (AUTH).
 * Pure. Errors are whole replies without a number of their own: ERR_SYNTAX is 501 5.5.4, ERR_METHOD 555 5.5.4 (a
 * parameter we do not know, RFC 5321 4.1.1.11), ERR_TOO_LARGE 552 5.3.4. */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H
#include "base/arena.h"
#include "base/err.h"

struct mail_params {
    int64_t size;
    bool utf8;
    struct bytes ret, envid; /* "FULL" or "HDRS"; decoded */
};
struct rcpt_params {
    struct bytes notify; /* "NEVER", or of "SUCCESS,FAILURE,DELAY" in this order */
    struct bytes orcpt;  /* "rfc822;ana@example.org", decoded */
};

/* `auth`: AUTH= belongs to this door. */
bool mail_params_read(struct bytes text, bool auth, struct arena *a, struct mail_params *out, struct err *e);
bool rcpt_params_read(struct bytes text, bool utf8, struct arena *a, struct rcpt_params *out, struct err *e);
/* What the recipient's row keeps: {"notify":…,"orcpt":…}, or NO_BYTES when neither was given. */
struct bytes rcpt_params_json(const struct rcpt_params *p, struct arena *a);
#endif
