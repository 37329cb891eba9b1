#include "api/private.h"
#include <arpa/inet.h>

struct network {
    unsigned char raw[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

static bool address_read(struct bytes text, struct network *out)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    char copy[INET6_ADDRSTRLEN];

    if (!text.n || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    memcpy(out->raw, mapped, sizeof mapped);
    out->bits = 128;
    return inet_pton(AF_INET, copy, out->raw + 12) == 1 || inet_pton(AF_INET6, copy, out->raw) == 1;
}

static bool network_read(struct bytes text, struct network *out)
{
    struct bytes head, tail;
    int64_t bits = 0, most;

    if (!bytes_cut(text, '/', &head, &tail))
        return address_read(text, out);
    most = bytes_find(head, ':') < head.n ? 128 : 32;
    if (!address_read(head, out) || !bytes_to_int(tail, &bits) || bits < 0 || bits > most)
        return false;
    out->bits = (unsigned)(128 - most + bits);
    return true;
}

static bool inside(const struct network *address, const struct network *net)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    return memcmp(address->raw, net->raw, whole) == 0 &&
           (!rest || (address->raw[whole] ^ net->raw[whole]) >> (8 - rest) == 0);
}

bool network_list_has(struct bytes list, struct bytes address)
{
    struct network who, net;
    struct bytes item;

    if (!address_read(address, &who))
        return false;
    while (list.n) {
        bytes_cut(list, ',', &item, &list);
        if (network_read(bytes_trim(item), &net) && inside(&who, &net))
            return true;
    }
    return false;
}

bool client_set(struct call *c, struct bytes address)
{
    struct network who;
    char text[INET6_ADDRSTRLEN], net[INET6_ADDRSTRLEN];
    bool four;

    if (!address_read(address, &who))
        return false;
    four = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)who.raw);
    inet_ntop(four ? AF_INET : AF_INET6, four ? who.raw + 12 : who.raw, text, sizeof text);
    c->client_loopback =
        four ? who.raw[12] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)who.raw);
    memset(who.raw + 8, 0, four ? 0 : 8);
    inet_ntop(AF_INET6, who.raw, net, sizeof net);
    c->client_ip = arena_copy(c->arena, bytes_of(text));
    c->client_net = four ? c->client_ip : arena_bytesf(c->arena, "%s/64", net);
    return true;
}
