/* mail/auth/unpack.h - reports as they are sent: gzip (RFC 1952) or zip, inflated within bounds. */
#ifndef MAIL_AUTH_UNPACK_H
#define MAIL_AUTH_UNPACK_H
#include "base/arena.h"
#include "base/err.h"

struct unpack_limits {
    size_t size;  /* bytes of what comes out */
    size_t ratio; /* how many times what went in, once it is over UNPACK_FREE */
};
#define UNPACK_FREE ((size_t)64 * 1024)

/* Plain data is itself; of a zip the first file counts. One layer is taken off, never two. ERR_TOO_LARGE: past a limit;
 * ERR_INVALID: damaged, encrypted, or packed in another way. */
bool report_unpack(struct bytes data, const struct unpack_limits *limits, struct arena *a, struct bytes *out,
                   struct err *e);
bool report_is_packed(struct bytes data);
#endif
