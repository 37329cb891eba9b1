/* tests/mail/plenty.h - limits of mail as they are by default. */
#ifndef TESTS_MAIL_PLENTY_H
#define TESTS_MAIL_PLENTY_H
#include "mail/limits.h"

static const struct mail_limits plenty = { .header_value = 65536, .html = 1 << 20 };
#endif
