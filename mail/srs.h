/* mail/srs.h - the sender of a mail that is forwarded, rewritten to an address of ours so that SPF holds at the next
 * server, and back when a report comes (the Sender Rewriting Scheme).
 *
 *     ana@example.net                    ->  SRS0=MAC=TT=example.net=ana@fwd.example.org
 *     SRS0=…@first.example               ->  SRS1=MAC=first.example==…@fwd.example.org
 *     SRS1=…=first.example=…@second…     ->  SRS1=MAC=first.example=…@fwd.example.org
 * SRS1 goes back to the first forwarder and not through each, so addresses do not grow. MAC is 8 characters of base32
 * of a keyed BLAKE2b, TT the day modulo 1,024; both and the prefix are case-blind. Only reports (sender <>) are taken
 * at such an address, which is the caller's to see to. Pure. */
#ifndef MAIL_SRS_H
#define MAIL_SRS_H
#include "base/crypt.h"
#include "mail/address.h"

#define SRS_DAYS 21 /* as long an SRS0 address is good */

enum srs {
    SRS_GOOD,
    SRS_NONE,   /* no such address */
    SRS_FORGED, /* the MAC is not ours */
    SRS_OLD     /* ours, but expired, or of the future */
};

/* Appends what a forward has as its return path; `domain` is ours, as domain_normalize has it. The null sender stays
 * null: nothing is added. ERR_TOO_LARGE: longer than an address may be. */
bool srs_forward(const struct address *sender, const struct crypt_key *key, struct bytes domain, int64_t now,
                 struct arena *a, struct buf *out, struct err *e);
/* Is the local part one of these, ours or not? */
bool srs_is(struct bytes local);
/* The address that a report to `local` (of a domain of ours) goes to, when SRS_GOOD. Any of the keys may be the one:
 * a former one is kept for SRS_DAYS. */
enum srs srs_reverse(struct bytes local, const struct crypt_key *keys, size_t n_keys, int64_t now, struct arena *a,
                     struct bytes *email);

/* A mail that went through `address` before (Delivered-To, written by us whenever we forward), or is to be forwarded to
 * the address that it came for: it would go round. Both normalized. */
bool srs_loops(struct bytes header, struct bytes address, struct bytes target, struct arena *a);
/* "Delivered-To: address\r\n", written on top of what is forwarded. */
void srs_mark(struct buf *out, struct bytes address);
#endif
