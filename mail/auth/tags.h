/* mail/auth/tags.h - lists of tag=value as DKIM, ARC and the records of DNS have them (RFC 6376 3.2). */
#ifndef MAIL_AUTH_TAGS_H
#define MAIL_AUTH_TAGS_H
#include "base/bytes.h"

enum { TAGS_MAX = 64 };

struct tags {
    struct tag {
        struct bytes name, value; /* without the blanks around them; inside a value they stay */
        struct bytes raw;         /* all that stands between "=" and ";" */
    } list[TAGS_MAX];
    size_t n;
};

/* False: it is no list: a part without "=", a name that is none, a name twice, a control character, too many. One ";"
 * may stand at the end. Names differ by case. */
bool tags_read(struct bytes text, struct tags *out);
/* NO_BYTES when absent; an empty value has p. */
struct bytes tags_value(const struct tags *t, const char *name);
const struct tag *tags_find(const struct tags *t, const char *name); /* NULL when absent */
/* One of a list with colons, "sha1 : sha256"; blanks and case do not count. */
bool tags_lists(struct bytes value, const char *word);
/* 1 to 18 digits; false on anything else. */
bool tags_number(struct bytes value, int64_t *out);
#endif
