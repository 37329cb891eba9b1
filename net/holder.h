/* net/holder.h - inside net/: who listens on a TCP port of this machine, from /proc. */
#ifndef NET_HOLDER_H
#define NET_HOLDER_H
#include "base/bytes.h"

/* Adds "pid 123 (postfix)", or "another program" when the system does not tell. */
void holder_of_port(uint16_t port, struct buf *out);
#endif
