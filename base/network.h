/* base/network.h - IP addresses and networks as values: "192.0.2.7", "192.0.2.0/24", "2001:db8::/32".
 *
 * IPv4 is kept as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so an address that came through a dual-stack socket, or was
 * written in the mapped form to get past a rule, is the IPv4 address that it reaches. A network that is wider than all
 * of the mapped addresses means IPv6 only: "::/0" holds no IPv4 address, "0.0.0.0/0" no IPv6 one. Bits behind the
 * prefix are not looked at (RFC 4632 3.1). An address is a network of one. Nothing here is allocated; any thread. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H
#include "base/bytes.h"

#define NETWORK_TEXT 64 /* an address, or a network with its prefix, and NUL */

struct network {
    unsigned char address[16];
    int length; /* bits of the prefix, of 128: 96 and more may be IPv4 */
};

/* An address, with a prefix behind a "/" or without; false on anything else (signs, blanks, zones, "10.1/16"). */
bool network_parse(struct bytes text, struct network *out);
/* An address alone. */
bool network_parse_address(struct bytes text, struct network *out);
/* From 4 or 16 bytes in network order, as DNS and sockets have them; false on another length. */
bool network_from_raw(struct bytes raw, struct network *out);
bool network_is_ipv4(const struct network *n);
bool network_is_address(const struct network *n);
bool network_is_loopback(const struct network *address); /* 127.0.0.0/8, ::1 */
/* What counts as one client: an IPv4 address, the /64 of an IPv6 one, in which a host has as many as it likes. */
struct network network_client(const struct network *address);
/* Where a person is no more than roughly: the /24 of an IPv4 address, the /48 of an IPv6 one. */
struct network network_wide(const struct network *address);
/* All of `inner` (an address or a network) lies in `net`. */
bool network_holds(const struct network *net, const struct network *inner);
/* The IPv4 address to which a translator or tunnel on the way takes an IPv6 one: NAT64 (64:ff9b::/96, RFC 6052), 6to4
 * (2002::/16, RFC 3056), ISATAP's and the IPv4-compatible form (::a.b.c.d, RFC 4291 2.5.5.1). False: it carries none.
 */
bool network_carried(const struct network *address, struct network *out);
/* `list` is comma separated as a LIST parameter is; items that are no network match nothing. */
bool network_list_holds(struct bytes list, const struct network *address);
/* For what is refused: the address itself, or the IPv4 address that it carries, is in the list. */
bool network_list_reaches(struct bytes list, const struct network *address);
/* "192.0.2.7", "2001:db8::/32"; the prefix is left out of an address. */
struct bytes network_show(const struct network *n, char out[NETWORK_TEXT]);
#endif
