/* delivery/mx.h - from DNS answers to the addresses that are tried, in order, or to the verdict that there are none
 * (RFC 5321 5.1, RFC 7505). Pure: the questions are asked by whoever calls.
 *
 *     mx_names(domain, &mx_answer, seed, arena, &names)        names.verdict MX_OK: ask A and AAAA of each
 *     mx_plan(&names, addresses, &rules, arena, &plan)         plan.verdict MX_OK: plan.hosts
 *
 * | DNS says                                        | verdict                                                        |
 * | MX NXDOMAIN                                     | MX_NO_DOMAIN 5.1.2 (see mx_guard)                              |
 * | MX NODATA                                       | the domain itself, preference 0; no address: MX_NO_HOST 5.4.4  |
 * | one MX, the root                                | MX_NULL 5.1.10; the root beside others is passed over          |
 * | SERVFAIL, REFUSED, time-out, bogus, CNAME loop  | MX_TEMPORARY 4.4.3: never the domain's own address             |
 * | target NXDOMAIN, NODATA, a number, malformed    | passed over; all: MX_UNUSABLE 4.4.4, the third time 5.4.4      |
 * | target fails for now                            | passed over (plan.partial); nothing else: MX_TEMPORARY         |
 *
 * Own address: a host that bears a name or an address of ours at preference P is where mail would come back: it and
 * all of P and worse are dropped (RFC 5321 5.1). Nothing left: MX_LOOP 5.4.6; MX_UNUSABLE 4.4.4 when a better one did
 * not resolve. Denied networks: addresses in rules.deny, also when an IPv6 address only carries one (NAT64, 6to4),
 * and not in rules.allow, are dropped; all: MX_DENIED 5.4.4.
 *
 * Order: by preference; within one shuffled by the seed, and the families by turns as rules.family says. */
#ifndef DELIVERY_MX_H
#define DELIVERY_MX_H
#include "base/arena.h"
#include "base/network.h"
#include "net/dns.h"

enum { MX_NAMES_MAX = 20, MX_ADDRESSES_MAX = 10, MX_UNUSABLE_MAX = 3 };
#define MX_TTL_MIN_S 60
#define MX_TTL_MAX_S 3600

enum mx_verdict {
    MX_OK,
    MX_NO_DOMAIN, /* 5.1.2 unknown_domain */
    MX_NULL,      /* 556 5.1.10 unknown_domain */
    MX_NO_HOST,   /* 5.4.4 unknown_domain */
    MX_TEMPORARY, /* 4.4.3 dns */
    MX_UNUSABLE,  /* 4.4.4 dns, or 5.4.4 where rules.unusable says that it was so often enough */
    MX_GIVEN_UP,  /* 5.4.4 dns: that third time */
    MX_LOOP,      /* 5.4.6 loop */
    MX_DENIED,    /* 5.4.4 bad_destination */
    MX_NO_FAMILY, /* 4.4.1 network: it has addresses, but of no family that we can use */
    MX_VERDICTS
};

struct mx_name {
    struct bytes name; /* lower case, without the last dot */
    uint16_t preference;
    bool unusable; /* a number or malformed: not to be asked for */
};

struct mx_names {
    enum mx_verdict verdict; /* MX_OK: go on */
    struct mx_name *list;    /* in order, at most MX_NAMES_MAX */
    size_t n;
    bool implicit; /* there is no MX: the domain itself */
    bool fixed;    /* literal, or host of a relay route: no loop rule by preference, denied networks hold */
    bool secure;   /* the MX answer, or its absence, was validated */
    bool bogus;
    unsigned ttl;
    struct bytes domain;
};

/* `domain`: the recipient's, as A-label. */
void mx_names(struct bytes domain, const struct dns_answer *mx, uint64_t seed, struct arena *a, struct mx_names *out);
/* The same without an MX question: hosts of a relay route, tried in this order. */
void mx_names_of(const struct bytes *hosts, size_t n, struct arena *a, struct mx_names *out);
/* "[192.0.2.7]", "[IPv6:2001:db8::1]", or the same without brackets and IPv6: (a relay host); false: it is none. No
 * question is needed: mx_plan takes it with `literal` set. */
bool mx_literal(struct bytes domain, struct network *out);
/* The best names, sorted and joined by commas: domains that share them share limits and connections. */
struct bytes mx_group(const struct mx_names *names, struct arena *a);

enum mx_family { MX_AUTO, MX_V4, MX_V6, MX_V4_FIRST }; /* delivery.family */

struct mx_rules {
    enum mx_family family;
    bool has_v4, has_v6;       /* what the source can speak */
    bool v4_worked;            /* AUTO: this group was last reached by IPv4, not by IPv6 */
    bool warming;              /* AUTO: the source is in warm-up, begins with v4 */
    uint64_t seed;             /* shuffles the addresses of a host */
    const struct network *own; /* our addresses */
    size_t n_own;
    const struct bytes *own_names; /* server.hostname, EHLO names */
    size_t n_own_names;
    bool any_port;            /* a relay route to another port: our own address is no loop */
    struct bytes deny, allow; /* lists, as parameters have them */
    bool private_route;       /* nothing is denied */
    unsigned unusable;        /* attempts before this one that came to MX_UNUSABLE */
};

/* What A and AAAA of a name said; NULL: not asked (a family we cannot use). */
struct mx_addresses {
    const struct dns_answer *a, *aaaa;
};

struct mx_host {
    struct bytes name; /* for TLS and people; of a literal "[192.0.2.7]" */
    struct bytes canonical;
    struct network address;
    uint16_t preference;
    bool secure; /* the address answer was validated */
};

struct mx_plan {
    enum mx_verdict verdict;
    struct bytes why; /* for people: "mx1.example.org: no address; ..." */
    struct mx_host *hosts;
    size_t n;     /* at most MX_ADDRESSES_MAX */
    bool partial; /* a name did not resolve for now: when all hosts fail ask anew */
    unsigned ttl; /* seconds the plan holds: of all answers the least, from MX_TTL_MIN_S to MX_TTL_MAX_S */
};

/* addresses[i] belongs to names->list[i]. */
void mx_plan(const struct mx_names *names, const struct mx_addresses *addresses, const struct mx_rules *rules,
             struct arena *a, struct mx_plan *out);
/* The plan of a literal. */
void mx_plan_literal(const struct network *address, const struct mx_rules *rules, struct arena *a, struct mx_plan *out);
/* Whether a name that a server gives itself, or is reached by, is ours. */
bool mx_own_name(const struct mx_rules *rules, struct bytes name);

/* A resolver that says NXDOMAIN to everything (a captive network, a broken zone cut) must not bounce a queue: past
 * MX_GUARD_MAX different domains in a row without one that is found, MX_NO_DOMAIN becomes MX_TEMPORARY. */
enum { MX_GUARD_MAX = 20 };
struct mx_guard {
    unsigned in_a_row;
    uint64_t last[MX_GUARD_MAX]; /* hashes of the domains */
};
/* Told of each plan that was asked for; returns the verdict to act on. *suspect: the resolver is, for an alert. */
enum mx_verdict mx_guard(struct mx_guard *g, struct bytes domain, enum mx_verdict v, bool *suspect);
#endif
