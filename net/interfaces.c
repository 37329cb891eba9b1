#include "net/interfaces.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

static bool read_one(const struct ifaddrs *i, struct network *out)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
        return false;
    switch (i->ifa_addr->sa_family) {
    case AF_INET:
        return network_from_raw(
            (struct bytes){ (const char *)&((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4 }, out);
    case AF_INET6:
        return network_from_raw(
            (struct bytes){ (const char *)&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16 },
            out);
    default: return false;
    }
}

size_t interfaces_list(struct network *out, size_t most)
{
    struct ifaddrs *all = NULL;
    size_t n = 0;

    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *i = all; i && n < most; i = i->ifa_next)
        n += read_one(i, &out[n]);
    freeifaddrs(all);
    return n;
}

bool interfaces_is_global(const struct network *address)
{
    return !network_is_loopback(address) && !network_list_holds(BYTES("fe80::/10,169.254.0.0/16"), address);
}

bool interfaces_have_ipv6(void)
{
    struct ifaddrs *all = NULL;
    struct network n;
    bool any = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i && !any; i = i->ifa_next)
        any = read_one(i, &n) && !network_is_ipv4(&n) && interfaces_is_global(&n);
    freeifaddrs(all);
    return any;
}
