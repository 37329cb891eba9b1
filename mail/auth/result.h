/* mail/auth/result.h - what a check of a mail's origin comes to, in the words of RFC 8601 2.7. */
#ifndef MAIL_AUTH_RESULT_H
#define MAIL_AUTH_RESULT_H
#include "base/bytes.h"

enum auth_result {
    AUTH_NONE,
    AUTH_NEUTRAL,
    AUTH_PASS,
    AUTH_FAIL,
    AUTH_SOFTFAIL, /* SPF */
    AUTH_POLICY,   /* DKIM: signed in a way that is not accepted here */
    AUTH_TEMPERROR,
    AUTH_PERMERROR,
    AUTH_RESULTS
};

struct bytes auth_result_text(enum auth_result r);
bool auth_result_of(struct bytes text, enum auth_result *out);
#endif
