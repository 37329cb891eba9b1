/* mail/public_suffix.h - under which names everybody registers names of their own (publicsuffix.org): which part of a
 * domain belongs to one owner. By libpsl and the list that the system keeps (package publicsuffix), or one that is
 * given.
 *
 * A list is never changed: any thread. */
#ifndef MAIL_PUBLIC_SUFFIX_H
#define MAIL_PUBLIC_SUFFIX_H
#include "base/arena.h"
#include "base/err.h"

struct suffixes;

/* `path`: a file in the form of public_suffix_list.dat; NULL: the newest there is. ERR_INVALID when it cannot be read.
 */
bool suffixes_open(const char *path, struct suffixes **out, struct err *e);
void suffixes_close(struct suffixes **s); /* *s may be NULL */

/* Of a domain as domain_normalize leaves it. Both borrowed from it; `registered` is NO_BYTES when it is a public suffix
 * itself, and both are for an address literal. A name of one label is a suffix of its own (the list's rule "*"). */
void suffixes_find(const struct suffixes *s, struct bytes domain, struct arena *a, struct bytes *suffix,
                   struct bytes *registered);
#endif
