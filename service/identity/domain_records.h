/* service/identity/domain_records.h - how the records of a domain stand by what its DNS said last (mail/publish.h). */
#ifndef SERVICE_DOMAIN_RECORDS_H
#define SERVICE_DOMAIN_RECORDS_H
#include "mail/publish.h"
#include "service/identity/domain.h"

/* Mail may leave for it, and come to it from other accounts: verified, or lost for less than domain.grace. */
bool domain_is_trusted(const struct domain_row *row);

/* By a book of answers, which notes what is missing in it. Row and keys of v are there. */
void domain_judge(struct arena *a, const struct domain_view *v, struct lookups *book, struct publish_out *out);
/* What a view shows of it: v->records, by v->row.seen, and the times. */
bool domain_records(struct call *c, struct domain_view *v);

/* ERR_UNVERIFIED, which says what to publish and how to go on: for mail of a domain of the account that is not trusted
 * and would leave the machine. Always false. */
bool domain_unverified(struct call *c, struct bytes name);
#endif
