/* net/dns_wire.h - inside net/: a question to one server, and its message read (RFC 1035 4), without a socket. All of a
 * message comes from a stranger. */
#ifndef NET_DNS_WIRE_H
#define NET_DNS_WIRE_H
#include "net/dns.h"

#define DNS_WIRE_QUESTION_MAX 300
#define DNS_WIRE_SERVERS_MAX  12 /* name servers taken from one referral */

/* A message asking for name and type, not recursively. False: it is no name. */
bool dns_wire_ask(struct buf *out, uint16_t id, struct bytes name, enum dns_type type);

enum dns_wire_kind {
    DNS_WIRE_BAD,       /* not an answer to this question: `why` */
    DNS_WIRE_REFUSED,   /* the server does not answer for the name: an error code, or without authority: `why` */
    DNS_WIRE_ANSWER,    /* out->answer.result is FOUND, NO_DATA or NO_NAME */
    DNS_WIRE_ELSEWHERE, /* the name is a CNAME of `next`, which is to be asked for */
    DNS_WIRE_REFERRAL   /* others answer for `zone` */
};
struct dns_wire_server {
    struct bytes name;
    struct bytes address; /* 4 or 16 bytes; NO_BYTES: to be looked up */
};
struct dns_wire {
    enum dns_wire_kind kind;
    struct dns_answer answer; /* canonical: the end of the CNAMEs in it */
    struct bytes next, zone;
    struct dns_wire_server servers[DNS_WIRE_SERVERS_MAX];
    size_t n_servers;
    const char *why;
};
void dns_wire_read(struct arena *a, struct bytes message, uint16_t id, struct bytes name, enum dns_type type,
                   struct dns_wire *out);
#endif
