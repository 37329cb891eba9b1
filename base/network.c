/* base/network.c - both families in one form of 128 bits, so that a rule is written and compared once.
 *
 * network_carried names the IPv4 address within an IPv6 one (NAT64, 6to4, IPv4-compatible, ISATAP): a gateway would
 * take a connection there, so a list that forbids the one has to be asked for the other too. */
#include "base/network.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96
#define FULL_BITS   128
#define CLIENT_BITS 64

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool network_is_ipv4(const struct network *n)
{
    return n->length >= MAPPED_BITS && memcmp(n->address, mapped, sizeof mapped) == 0;
}

bool network_is_address(const struct network *n)
{
    return n->length == FULL_BITS;
}

bool network_from_raw(struct bytes raw, struct network *out)
{
    *out = (struct network){ .length = FULL_BITS };
    if (raw.n == 4)
        memcpy(out->address, mapped, sizeof mapped);
    else if (raw.n != 16)
        return false;
    memcpy(out->address + 16 - raw.n, raw.p, raw.n);
    return true;
}

/* Length of the address in bytes, 0 when it is none. */
static size_t read_address(struct bytes text, struct network *out)
{
    char copy[INET6_ADDRSTRLEN];
    char raw[16];
    size_t n = 0;

    if (!text.n || text.n >= sizeof copy || bytes_find(text, '\0') < text.n)
        return 0;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    n = inet_pton(AF_INET, copy, raw) == 1 ? 4 : inet_pton(AF_INET6, copy, raw) == 1 ? 16 : 0;
    return network_from_raw((struct bytes){ raw, n }, out) ? n : 0;
}

bool network_parse_address(struct bytes text, struct network *out)
{
    return read_address(text, out) > 0;
}

/* Digits only: bytes_to_int takes a sign too. */
static bool read_prefix(struct bytes text, int most, int *out)
{
    int64_t n = 0;

    if (!text.n || text.n > 3 || text.p[0] < '0' || text.p[0] > '9' || !bytes_to_int(text, &n) || n > most)
        return false;
    *out = (int)n;
    return true;
}

bool network_parse(struct bytes text, struct network *out)
{
    struct bytes head, tail;
    bool cut = bytes_cut(text, '/', &head, &tail);
    int bits = (int)read_address(head, out) * 8, prefix = bits;

    if (!bits || (cut && !read_prefix(tail, bits, &prefix)))
        return false;
    out->length = FULL_BITS - bits + prefix;
    return true;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, int bits)
{
    int whole = bits / 8, rest = bits % 8;

    return memcmp(a, b, (size_t)whole) == 0 && (!rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool network_holds(const struct network *net, const struct network *inner)
{
    if (network_is_ipv4(inner) && net->length < MAPPED_BITS)
        return false;
    return net->length <= inner->length && same_bits(net->address, inner->address, net->length);
}

bool network_is_loopback(const struct network *address)
{
    static const struct network four = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 }, 104 };
    static const struct network six = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, FULL_BITS };

    return network_holds(&four, address) || network_holds(&six, address);
}

/* The first `bits` bits of it. */
static struct network network_of(const struct network *address, int bits)
{
    struct network out = *address;

    memset(out.address + bits / 8, 0, sizeof out.address - (size_t)bits / 8);
    out.length = bits;
    return out;
}

struct network network_client(const struct network *address)
{
    return network_is_ipv4(address) ? *address : network_of(address, CLIENT_BITS);
}

struct network network_wide(const struct network *address)
{
    return network_of(address, network_is_ipv4(address) ? FULL_BITS - 8 : 48);
}

bool network_carried(const struct network *address, struct network *out)
{
    static const struct {
        struct network net;
        size_t at; /* where the IPv4 address stands */
        bool any;  /* the low half of any network */
    } forms[] = {
        { { { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12, false },
        { { { 0x20, 0x02 }, 16 }, 2, false },
        { { { 0 }, 96 }, 12, false },
        { { { 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x00, 0x5e, 0xfe }, 32 }, 12, true },
        { { { 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xfe }, 32 }, 12, true },
    };

    if (!network_is_address(address) || network_is_ipv4(address))
        return false;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t from = forms[i].any ? 8 : 0;

        if (same_bits(forms[i].net.address + from, address->address + from, forms[i].net.length))
            return network_from_raw((struct bytes){ (const char *)address->address + forms[i].at, 4 }, out);
    }
    return false;
}

bool network_list_holds(struct bytes list, const struct network *address)
{
    struct network net;
    struct bytes item;

    while (list.n) {
        bytes_cut(list, ',', &item, &list);
        if (network_parse(bytes_trim(item), &net) && network_holds(&net, address))
            return true;
    }
    return false;
}

bool network_list_reaches(struct bytes list, const struct network *address)
{
    struct network carried;

    return network_list_holds(list, address) ||
           (network_carried(address, &carried) && network_list_holds(list, &carried));
}

/* inet_ntop without its printf: every connection shows two. */
static size_t show_ipv4(const uint8_t b[4], char *out)
{
    char *at = out;

    for (size_t i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        if (b[i] >= 100)
            *at++ = (char)('0' + b[i] / 100);
        if (b[i] >= 10)
            *at++ = (char)('0' + b[i] / 10 % 10);
        *at++ = (char)('0' + b[i] % 10);
    }
    *at = '\0';
    return (size_t)(at - out);
}

struct bytes network_show(const struct network *n, char out[NETWORK_TEXT])
{
    bool four = network_is_ipv4(n);
    int prefix = four ? n->length - MAPPED_BITS : n->length;
    size_t used;

    if (!four)
        inet_ntop(AF_INET6, n->address, out, NETWORK_TEXT);
    used = four ? show_ipv4(n->address + 12, out) : strlen(out);
    if (!network_is_address(n))
        used += (size_t)snprintf(out + used, NETWORK_TEXT - used, "/%d", prefix);
    return (struct bytes){ out, used };
}
