/* service/identity/dkim.h - the keys that sign the mail of a domain, as rows (RFC 6376, RFC 8301, RFC 8463). Who signs
 * now, with keys that were parsed: dkim_signer.h.
 *
 * A key is one of four, and moves down this list only:
 *     next       made or brought to be published; it signs nothing yet
 *     active     signs; at most one of each algorithm
 *     retiring   signs no more; what it signed is still under way, so its record stays
 *     revoked    its record is to be published with an empty p= (RFC 6376 3.6.1); its private half is gone
 * Every domain has an active pair from its creation (RSA of 2,048 bits, and Ed25519, which few verify yet). Domains of
 * older builds get theirs when they are first looked at or signed for: to make thousands at a start would take minutes.
 *
 *     dkim_list(c, &domain, 1, &rows, &n)         what there is
 *     dkim_pair(c, domain, DKIM_NEXT, pair)       two more, ahead of a rotation; on a cpu worker
 *     b = batch_new(c->arena)
 *     dkim_add(b, c->arena, pair, 2)
 *     dkim_seen(b, c->arena, row, now)            its record was found, and is right
 *     dkim_succeed(b, c->arena, rows, n, row, now)      that one signs from now on; the one before it retires
 *     dkim_move(b, c->arena, row, DKIM_REVOKED, now)
 *     dkim_remove(b, c->arena, row)
 *     store_commit(...), then dkim_changed(c->svc)
 * Each change is on condition that the key is as it was read (ERR_CONFLICT: somebody was faster; read again). Private
 * halves lie in the rows, sealed under a key of the server's, and are left out of what is listed. Any fiber. */
#ifndef SERVICE_DKIM_H
#define SERVICE_DKIM_H
#include "mail/dkim_key.h"
#include "service/core/call.h"

enum dkim_status { DKIM_NEXT, DKIM_ACTIVE, DKIM_RETIRING, DKIM_REVOKED };

bool dkim_is(const struct dkim_row *row, enum dkim_status status);
/* Where the record stands: "SELECTOR._domainkey.DOMAIN". */
struct bytes dkim_record_name(struct arena *a, const struct dkim_row *row, struct bytes domain);
/* What is to stand there now: row->record ("v=DKIM1; k=rsa; p=..."), or that without a key when it is revoked. */
struct bytes dkim_record_text(struct arena *a, const struct dkim_row *row);

/* Every key of up to 100 domains, those of one together, the oldest first; without private halves. */
bool dkim_list(struct call *c, const struct id *domains, size_t n, const struct dkim_row **rows, size_t *n_rows);
/* The same of one domain, which is given its first pair when it has none. */
bool dkim_ensure(struct call *c, const struct domain_row *domain, const struct dkim_row **rows, size_t *n_rows);

/* Two new keys with selectors of their own, RSA and Ed25519: rows that are in no store yet. Up to a second of a cpu
 * worker. */
bool dkim_pair(struct call *c, const struct domain_row *domain, enum dkim_status status, struct dkim_row out[2]);

/* For who brings a key: what of the row comes from it, its private half sealed (for the row's id). On a cpu worker. */
void dkim_fill(const struct service *svc, struct arena *a, const struct dkim_key *key, struct dkim_row *row);
/* The status of a row that is in no store yet. */
void dkim_become(struct dkim_row *row, enum dkim_status status, int64_t now);

/* New rows of one domain, which must be there. FAULT_UNIQUE: the selector is taken. */
void dkim_add(struct batch *b, struct arena *a, const struct dkim_row *rows, size_t n);
/* After a batch with such rows was refused: ERR_CONFLICT past dkim.keys_max; *again: somebody was faster. False. */
bool dkim_refused(struct call *c, const struct batch *b, bool *again);
void dkim_seen(struct batch *b, struct arena *a, const struct dkim_row *row, int64_t now);
void dkim_move(struct batch *b, struct arena *a, const struct dkim_row *row, enum dkim_status to, int64_t now);
void dkim_succeed(struct batch *b, struct arena *a, const struct dkim_row *rows, size_t n, const struct dkim_row *next,
                  int64_t now);
void dkim_remove(struct batch *b, struct arena *a, const struct dkim_row *row);
/* After such a commit: this process signs by it at once, other nodes within seconds. */
void dkim_changed(struct service *svc);

/* For the parts of service/ that sign: opens what a row has sealed. On a cpu worker. ERR_SEALED: under a key that this
 * server has not; ERR_GONE: revoked. */
bool dkim_open(const struct service *svc, const struct dkim_row *row, struct dkim_key **out, struct err *e);
#endif
