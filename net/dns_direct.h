/* net/dns_direct.h - the DNS as the servers of a domain say it now, not as a cache remembers it.
 *
 *     struct dns_direct *d = dns_direct_new(arena, &options);
 *     dns_direct_ask(d, name, DNS_TXT, deadline, &answer, &cached);         as often as wanted
 * net/dns.h is asked who serves the zone and where; then each question goes to one of these servers, follows their
 * referrals and CNAMEs, and takes nothing but an authoritative answer. Over TCP: nobody who is not on the way can
 * forge an answer, none is cut short, and every server must take it (RFC 7766 5). Where no server of the zone can be
 * reached from here at all (a firewall that lets the resolver alone ask), the resolver's answer is taken, and `cached`
 * says so. Answers are not validated. One belongs to one fiber, and ends with its arena. */
#ifndef NET_DNS_DIRECT_H
#define NET_DNS_DIRECT_H
#include "base/network.h"
#include "net/dns.h"

struct dns_direct_options {
    uint16_t port;            /* 53 */
    struct bytes deny, allow; /* networks no name may lead us to, but for those of `allow`; lists as parameters are */
    int64_t wait;             /* ms for one server */
};

struct dns_direct;
struct dns_direct *dns_direct_new(struct arena *a, const struct dns_direct_options *o);
/* As dns_ask: it never fails otherwise than by out->result. `why` names the server. */
void dns_direct_ask(struct dns_direct *d, struct bytes name, enum dns_type type, int64_t deadline,
                    struct dns_answer *out, bool *cached);
#endif
