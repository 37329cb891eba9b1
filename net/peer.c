#include "net/peer.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static void from_ipv4(struct peer *p, const void *address)
{
    inet_ntop(AF_INET, address, p->text, sizeof p->text);
    memcpy(p->net, p->text, sizeof p->net);
    p->loopback = *(const uint8_t *)address == 127;
}

static void from_ipv6(struct peer *p, const struct in6_addr *address)
{
    struct in6_addr net = *address;

    inet_ntop(AF_INET6, address, p->text, sizeof p->text);
    memset(net.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &net, p->net, sizeof p->net);
    p->loopback = IN6_IS_ADDR_LOOPBACK(address);
    memcpy(p->net + strlen(p->net), "/64", 4);
}

void peer_from(struct peer *p, const struct sockaddr *address)
{
    memset(p, 0, sizeof *p);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        from_ipv4(p, &in->sin_addr);
        p->port = ntohs(in->sin_port);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;

        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
            from_ipv4(p, in->sin6_addr.s6_addr + 12);
        else
            from_ipv6(p, &in->sin6_addr);
        p->port = ntohs(in->sin6_port);
    } else {
        memcpy(p->text, "unix", 5);
        memcpy(p->net, "unix", 5);
        p->loopback = true;
    }
}
