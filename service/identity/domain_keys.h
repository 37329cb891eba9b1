/* service/identity/domain_keys.h - DKIM keys and the DNS: a key signs once its record was seen, and goes a while after
 * it stopped (dkim.retire_after). dkim.h has the rows. */
#ifndef SERVICE_DOMAIN_KEYS_H
#define SERVICE_DOMAIN_KEYS_H
#include "mail/publish.h"
#include "service/identity/domain.h"

/* For domain_check: adds to the batch what follows for the keys of v, as they were read, from their records; v->dkim is
 * then as they will be. */
void domain_keys_follow(struct call *c, struct batch *b, const struct publish_out *out, struct domain_view *v);
/* A rotation that began not long ago: its records may be published at any moment. */
bool domain_keys_wait(const struct domain_view *v, int64_t now);
/* dkim.rotate_every has passed for a key of ours that signs, and none follows yet: a pair is made. */
bool domain_keys_renew(struct call *c, struct domain_view *v);
#endif
