/* net/peer.h - inside net/: socket addresses as text and as values. */
#ifndef NET_PEER_H
#define NET_PEER_H
#include "net/stream.h"
#include <sys/socket.h>

/* Any other family than IPv4 and IPv6 is "unix" and counts as loopback. */
void peer_from(struct peer *p, const struct sockaddr *address);
/* False for other families. */
bool peer_address(const struct sockaddr *address, struct network *out, uint16_t *port);
/* The other way round. */
socklen_t peer_sockaddr(const struct network *address, uint16_t port, struct sockaddr_storage *out);
#endif
