/* service/identity/domain_check.h - what a domain has in the DNS: asked of its own servers, judged by mail/publish.h,
 * and what follows from it.
 *
 * A domain becomes verified when ownership or a key of ours is seen, and SPF or the return path is right. What was
 * proved so can be lost: then there is an event and a warning at once, and mail still leaves for domain.grace, since a
 * zone may be broken for a day without anybody meaning it. Who does not answer proves and loses nothing; what an
 * operator has forced stays. Every answer is kept in the row (domain.seen), so that showing a domain asks nobody, and
 * what was changed since shows as pending.
 *
 * Keys follow from the same answers (service/identity/dkim.h): the next one signs once it was seen, the one before it
 * stays for dkim.retire_after, then its record is to say that it is revoked.
 *
 * domain_watch.h asks for each in its turn. */
#ifndef SERVICE_DOMAIN_CHECK_H
#define SERVICE_DOMAIN_CHECK_H
#include "service/identity/domain.h"

/* Asks the DNS now and writes down what follows, with the call's idempotency key. ERR_BUSY past domain.checks_max. */
bool domain_check(struct call *c, struct domain_view *v);
/* The event of a domain that became verified, or is no more. */
void domain_event(struct call *c, struct batch *b, const struct domain_view *v, const char *type);
#endif
