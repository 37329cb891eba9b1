/* net/peer.h - inside net/: a socket address as text. */
#ifndef NET_PEER_H
#define NET_PEER_H
#include "net/stream.h"
#include <sys/socket.h>

/* Any other family than IPv4 and IPv6 is "unix" and counts as loopback. */
void peer_from(struct peer *p, const struct sockaddr *address);
#endif
