/* net/interfaces.h - the addresses of this machine, of interfaces that are up. */
#ifndef NET_INTERFACES_H
#define NET_INTERFACES_H
#include "base/network.h"

/* Up to `most`, loopback among them; how many. */
size_t interfaces_list(struct network *out, size_t most);
/* One by which others may reach it: not loopback, not of one link alone. */
bool interfaces_is_global(const struct network *address);
bool interfaces_have_ipv6(void); /* a global one */
#endif
