/* mail/auth/result.c: see result.h */
#include "mail/auth/result.h"

static const char *const words[AUTH_RESULTS] = { "none",     "neutral", "pass",      "fail",
                                                 "softfail", "policy",  "temperror", "permerror" };

struct bytes auth_result_text(enum auth_result r)
{
    return bytes_of(words[r]);
}

bool auth_result_of(struct bytes text, enum auth_result *out)
{
    for (int i = 0; i < AUTH_RESULTS; i++)
        if (bytes_equal_nocase(text, bytes_of(words[i]))) {
            *out = (enum auth_result)i;
            return true;
        }
    return false;
}
