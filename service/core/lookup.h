/* service/core/lookup.h - the book of questions (mail/lookups.h) and the DNS (net/dns.h): what one asks, the other
 * answers. */
#ifndef SERVICE_LOOKUP_H
#define SERVICE_LOOKUP_H
#include "mail/lookups.h"
#include "net/dns.h"

enum dns_type lookup_dns_type(enum lookup_type type);
/* Notes what was answered, as far as the book holds it; texts lie in `a`. */
void lookup_note(struct arena *a, const struct dns_answer *answer, struct lookup *q);
/* Asks the resolver, and notes. */
void lookup_ask(struct arena *a, int64_t deadline, struct lookup *q);
#endif
