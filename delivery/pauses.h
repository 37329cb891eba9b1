/* delivery/pauses.h - a list of pauses, as parameters have them ("1m,5m,10m"; a number is seconds): the n-th time the
 * n-th is waited, and then the last one again and again. Pure. */
#ifndef DELIVERY_PAUSES_H
#define DELIVERY_PAUSES_H
#include "base/bytes.h"
#include "base/err.h"

enum { PAUSES_MAX = 32 };

struct pauses {
    int64_t ms[PAUSES_MAX];
    size_t n;
};

/* `name`: the parameter, `least`: the shortest one; the longest is a day. ERR_INVALID names the parameter: none, over
 * PAUSES_MAX, or what is out of bounds; *out is what it was. */
bool pauses_read(const char *name, const char *least, struct bytes list, struct pauses *out, struct err *e);
int64_t pauses_nth(const struct pauses *p, int64_t n); /* from 1 */
#endif
