#include "net/peer.h"
#include <netinet/in.h>

bool peer_address(const struct sockaddr *address, struct network *out, uint16_t *port)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;

    if (address->sa_family == AF_INET) {
        *port = ntohs(four->sin_port);
        return network_from_raw((struct bytes){ (const char *)&four->sin_addr, 4 }, out);
    }
    if (address->sa_family == AF_INET6) {
        *port = ntohs(six->sin6_port);
        return network_from_raw((struct bytes){ (const char *)&six->sin6_addr, 16 }, out);
    }
    return false;
}

socklen_t peer_sockaddr(const struct network *address, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (void *)out;
    struct sockaddr_in6 *six = (void *)out;

    memset(out, 0, sizeof *out);
    if (network_is_ipv4(address)) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        memcpy(&four->sin_addr, address->address + 12, 4);
        return sizeof *four;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    memcpy(&six->sin6_addr, address->address, 16);
    return sizeof *six;
}

void peer_from(struct peer *p, const struct sockaddr *address)
{
    struct network from, client;

    memset(p, 0, sizeof *p);
    if (peer_address(address, &from, &p->port)) {
        client = network_client(&from);
        network_show(&from, p->text);
        network_show(&client, p->net);
        p->loopback = network_is_loopback(&from);
    } else {
        memcpy(p->text, "unix", 5);
        memcpy(p->net, "unix", 5);
        p->loopback = true;
    }
}
