/* net/dns_answer.h - inside net/: libunbound's result as ours. Everything in it comes from strangers. */
#ifndef NET_DNS_ANSWER_H
#define NET_DNS_ANSWER_H
#include "net/dns.h"

struct ub_result;

/* Copies into the arena; records that do not parse are left out. RFC 1035 3.3, RFC 3596, RFC 6698 2.1. */
void dns_answer_read(struct arena *a, const struct ub_result *r, struct dns_answer *out);
/* One record's data, names in it not compressed. False: it is malformed. */
bool dns_record_read(struct arena *a, int type, struct bytes wire, struct dns_record *out);
/* A name on the wire, not compressed, as text without the last dot, in which nothing is a control character. */
bool dns_name_read(struct arena *a, struct bytes wire, struct bytes *out);
const char *dns_rcode_text(int rcode);
#endif
