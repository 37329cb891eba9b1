/* cli/listen.h - what a listen parameter says: "host:port" and "[::1]:port", several with commas, or "off". */
#ifndef CLI_LISTEN_H
#define CLI_LISTEN_H
#include "base/params.h"

/* Calls open(ctx, host, port, e) for each address of the list, until one is false; for none when it is "off" or empty.
 * ERR_INVALID names `name` and what is no host:port. */
bool listen_each(const char *name, struct bytes list,
                 bool (*open)(void *ctx, struct bytes host, uint16_t port, struct err *e), void *ctx, struct err *e);
/* "host:port", an IPv6 address in brackets. */
void listen_text(struct bytes host, uint16_t port, char *out, size_t size);
#endif
