/* mail/dkim_key.h - key pairs for DKIM, parsed once and kept (RFC 6376 3.6, RFC 8301, RFC 8463).
 *
 *     dkim_key_new(DKIM_RSA, &key, e);           2,048 bits; takes up to a second: on a cpu worker
 *     dkim_key_read(pem, &key, e);               somebody's own
 *     dkim_key_write(key, &pem);                 the private half, to be sealed; crypt_wipe the buf
 *     dkim_key_record(key, &txt);                what is published
 *     dkim_key_free(&key);
 * A key never changes: any number of threads may sign with one. Numbers of bits: fewer than 1,024 are refused, as every
 * verifier does (RFC 8301 3.2), fewer than 2,048 should be told to whoever brings them; more than 4,096 are refused
 * too, since verifiers need not take them. */
#ifndef MAIL_DKIM_KEY_H
#define MAIL_DKIM_KEY_H
#include "mail/dkim_canon.h"

enum dkim_algorithm { DKIM_RSA, DKIM_ED25519 };

#define DKIM_RSA_BITS      2048 /* of those we make; RFC 8301 3.2 */
#define DKIM_RSA_BITS_MIN  1024
#define DKIM_RSA_BITS_MAX  4096
#define DKIM_SIGNATURE_MAX (DKIM_RSA_BITS_MAX / 8)
#define DKIM_KEY_TEXT_MAX  16384

struct dkim_key;

bool dkim_key_new(enum dkim_algorithm algorithm, struct dkim_key **out, struct err *e);
/* PEM (PKCS#1 or PKCS#8, without a password, whatever stands around it), or an Ed25519 seed as the base64 of 32 bytes.
 * ERR_INVALID says what is wrong with it: a public key, a password, another kind of key, its size. */
bool dkim_key_read(struct bytes text, struct dkim_key **out, struct err *e);
void dkim_key_free(struct dkim_key **key);                        /* *key may be NULL */
void dkim_key_write(const struct dkim_key *key, struct buf *out); /* PKCS#8 PEM */

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key);
unsigned dkim_key_bits(const struct dkim_key *key);
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);      /* "rsa", "ed25519": k= */
const char *dkim_algorithm_signature(enum dkim_algorithm algorithm); /* "rsa-sha256", "ed25519-sha256": a= */

/* Appends the signature of what was hashed; the same hash and key give the same one (PKCS#1 v1.5, Ed25519). */
bool dkim_key_sign(const struct dkim_key *key, const uint8_t hash[DKIM_HASH], struct buf *out, struct err *e);

/* ---- what stands in the DNS at SELECTOR._domainkey.DOMAIN ---- */

/* "v=DKIM1; k=rsa; p=MII…", without line ends. */
void dkim_key_record(const struct dkim_key *key, struct buf *out);
/* A text as a zone file has it: in strings of at most 255 bytes ("v=DKIM1; …" "…"), RFC 1035 3.3, 5.1. */
void dkim_record_zone(struct bytes text, struct buf *out);

enum dkim_record { DKIM_RECORD_SAME, DKIM_RECORD_REVOKED, DKIM_RECORD_OTHER, DKIM_RECORD_BAD };
/* What was found, its strings put together, beside the one that should be there: the same key, though blanks, order or
 * tags of no concern differ; revoked (empty p=); another key; or nothing that a verifier could use (no p=, another
 * version, k= that does not fit, h= without sha256, s= without email). */
enum dkim_record dkim_record_compare(struct bytes wanted, struct bytes found);
#endif
