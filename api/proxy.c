#include "api/private.h"
#include "base/network.h"

bool network_list_has(struct bytes list, struct bytes address)
{
    struct network who;

    return network_parse_address(address, &who) && network_list_holds(list, &who);
}

bool client_set(struct call *c, struct bytes address)
{
    struct network who;
    char text[NETWORK_TEXT];

    if (!network_parse_address(address, &who))
        return false;
    c->client_ip = arena_copy(c->arena, network_show(&who, text));
    c->client_loopback = network_is_loopback(&who);
    who = network_client(&who);
    c->client_net = arena_copy(c->arena, network_show(&who, text));
    return true;
}
