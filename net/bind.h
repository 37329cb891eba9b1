/* net/bind.h - inside net/: the listening sockets of a door. */
#ifndef NET_BIND_H
#define NET_BIND_H
#include "net/listener.h"

#define BIND_ADDRESSES 8 /* a host name may have */

struct bound {
    int *fds; /* `addresses` times `loops`, those of one address side by side */
    size_t addresses, loops;
    uint16_t port;
};

/* Binds and listens, one socket a loop on each address. ERR_IN_USE names the holder; ERR_INVALID: no such host. */
bool bind_door(const struct door *d, size_t loops, struct bound *out, struct err *e);
void bind_clear(struct bound *b); /* closes all */
#endif
