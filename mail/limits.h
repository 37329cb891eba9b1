/* mail/limits.h - how much of a stranger's text is worked on; what is behind is cut. mail/ reads no parameters: whoever
 * asks says it. */
#ifndef MAIL_LIMITS_H
#define MAIL_LIMITS_H
#include <stddef.h>

struct mail_limits {
    size_t header_value; /* bytes of a field's value that are decoded */
    size_t html;         /* bytes of HTML that are read for its text; about as many are written */
};
#endif
