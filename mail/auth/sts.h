/* mail/auth/sts.h - MTA-STS (RFC 8461): the record at _mta-sts, the policy behind https, and which hosts it lets
 * through. */
#ifndef MAIL_AUTH_STS_H
#define MAIL_AUTH_STS_H
#include "base/arena.h"
#include "base/err.h"

#define STS_POLICY_MAX ((size_t)64 * 1024) /* 3.3 */
#define STS_MX_MAX     100
#define STS_AGE_MAX    31557600 /* seconds; more is taken for that (3.2) */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
    enum sts_mode mode;
    int64_t max_age;  /* seconds */
    struct bytes *mx; /* patterns, lower case: a host name, or "*." and one */
    size_t n;
};

const char *sts_mode_name(enum sts_mode mode);
/* "v=STSv1; id=…" (3.1). ERR_SYNTAX says what is wrong. */
bool sts_record_read(struct bytes text, struct bytes *id, struct err *e);
/* The file (3.2), line ends LF or CRLF. ERR_SYNTAX says what is wrong. */
bool sts_policy_read(struct bytes text, struct arena *a, struct sts_policy *out, struct err *e);
/* One of its patterns is that host: "*." stands for exactly one label (4.1). */
bool sts_policy_lets(const struct sts_policy *p, struct bytes host);
#endif
