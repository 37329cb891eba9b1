/* http/unpack.h - a body in the content coding gzip (RFC 1952, RFC 9110 8.4.1.3), unpacked piece by piece and bounded.
 * Pure; one thread. It holds some 44 KiB beside the piece. */
#ifndef HTTP_UNPACK_H
#define HTTP_UNPACK_H
#include "base/bytes.h"
#include "base/err.h"

struct unpack;

/* `ratio`: how many times its packed size the whole may have, once it is larger than `free_size`. */
struct unpack *unpack_new(size_t ratio, size_t free_size);
void unpack_free(struct unpack **u); /* *u may be NULL */
/* Unpacks from *in, which moves forward, the next piece, which lasts until the next call; empty: more input is needed.
 * ERR_BAD_JSON: this is no gzip; ERR_TOO_LARGE: past the ratio. */
bool unpack_next(struct unpack *u, struct bytes *in, struct bytes *piece, struct err *e);
/* The packed body has ended. ERR_BAD_JSON: too early. */
bool unpack_end(const struct unpack *u, struct err *e);
#endif
