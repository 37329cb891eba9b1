/* net/dns.h - DNS questions over libunbound: validating, caching, answered to fibers, with our own deadline.
 * Servers come from dns.servers ("127.0.0.1@5353,…"; empty: those of /etc/resolv.conf). With dns.trust_anchor empty or
 * not there nothing is validated (`secure` stays false). RFC 1035, 4035. */
#ifndef NET_DNS_H
#define NET_DNS_H
#include "base/arena.h"
#include "base/err.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52
};
enum dns_result { DNS_FOUND, DNS_NO_DATA, DNS_NO_NAME, DNS_BOGUS, DNS_FAILED, DNS_TIMEOUT };

struct dns_record {
    struct bytes data;   /* A, AAAA: 4 or 16 bytes; names: text without the last dot; TXT: strings joined; TLSA: raw */
    uint16_t preference; /* MX */
};

struct dns_answer {
    enum dns_result result;
    bool secure; /* validated by DNSSEC: every step of the chain of CNAMEs, and what stands at its end */
    /* Whose records these are (or would be): the end of the chain of CNAMEs, else the name that was asked for; without
     * the last dot. NO_BYTES with DNS_FAILED, DNS_TIMEOUT and DNS_BOGUS. */
    struct bytes canonical;
    unsigned ttl;
    struct dns_record *records; /* at most dns.records_max */
    size_t n;
    struct bytes why; /* for people, when not FOUND */
};

/* After net_start; again after a change of dns.*: questions that wait are still answered by the old resolver, for whose
 * end this waits. ERR_INVALID names the parameter that cannot be used. From a fiber or a plain thread. */
bool dns_start(struct err *e);
void dns_stop(void); /* before or after net_stop; waits for the questions that are open */
/* Asks; the answer lies in the arena (a few KiB a record at most; TXT as long as it is). It comes before `deadline` and
 * before dns.timeout has passed. Never fails otherwise than by `result`; net_stop gives DNS_FAILED. */
void dns_ask(struct arena *a, struct bytes name, enum dns_type type, int64_t deadline, struct dns_answer *out);
/* The name itself, or one below it; every name is below the root, "". */
bool dns_is_below(struct bytes name, struct bytes zone);
#endif
