/* service/identity/dkim_signer.h - the keys by which a domain signs now, opened and parsed once and kept (dkim.h has
 * their rows).
 *
 *     if (!dkim_signer_get(c, &domain, &signer))        c->err: the store is away, or a key does not open
 *     by = dkim_signer_by(signer, &n)                  for dkim_sign, on a cpu worker
 *     dkim_signer_put(&signer)
 * Those of dkim.cache domains are kept, and looked for again after a second: so long another node's change may take
 * (this process's own, none). A signer that was got stays good until it is put. Any fiber. */
#ifndef SERVICE_DKIM_SIGNER_H
#define SERVICE_DKIM_SIGNER_H
#include "mail/dkim_sign.h"
#include "service/core/call.h"

struct dkim_signer;

/* `domain`: id and account_id are looked at. One of an older build is given its first keys here. ERR_UNSIGNED: a key
 * that should sign does not open. */
bool dkim_signer_get(struct call *c, const struct domain_row *domain, struct dkim_signer **out);
const struct dkim_by *dkim_signer_by(const struct dkim_signer *s, size_t *n);
void dkim_signer_put(struct dkim_signer **s); /* *s may be NULL */

struct dkim_cache *dkim_cache_new(void);
void dkim_cache_free(struct dkim_cache **cache);
#endif
