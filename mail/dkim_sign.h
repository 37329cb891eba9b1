/* mail/dkim_sign.h - DKIM-Signature fields for mail that leaves (RFC 6376, RFC 8301, RFC 8463). Pure: time and keys
 * come in; signing costs about a millisecond for each RSA key, so call it on a cpu worker.
 *
 *     dkim_body_begin(&b); dkim_body_feed(&b, chunk); … dkim_body_end(&b, hash);       mail/dkim_canon.h
 *     struct dkim_by by[] = { { rsa, BYTES("pr-1") }, { ed25519, BYTES("pr-2") } };
 *     struct dkim_signing s = { .domain = BYTES("example.org"), .by = by, .n_by = 2, .now = now };
 *     dkim_sign(&s, header, hash, &out, e);
 * The body is hashed once, whatever the number of keys, and so are the fields. relaxed/relaxed, because servers fold
 * and pad; no l= (what is appended would look signed); no i= (it would say no more than d=); t= always, x= if wanted.
 *
 * What is signed: every field that authors and programs write and readers look at, each as often as it is there. Of
 * those that a reader shows or acts upon, once more than that (RFC 6376 8.15): adding one breaks the signature. Trace
 * fields (Received, Return-Path, other signatures, Authentication-Results) are left out: others add to them. */
#ifndef MAIL_DKIM_SIGN_H
#define MAIL_DKIM_SIGN_H
#include "mail/dkim_key.h"

struct dkim_by {
    const struct dkim_key *key;
    struct bytes selector;
};

struct dkim_signing {
    struct bytes domain; /* A-labels: d= */
    const struct dkim_by *by;
    size_t n_by;
    int64_t now;   /* wall ms: t= */
    int64_t valid; /* ms: x= is that much later; 0: no x= */
};

/* Appends one field for each key, the first on top, folded, each with CRLF: to be written before the header. `header`
 * is all of it as it will leave (fields with CRLF ends; what stands behind an empty line is not looked at). ERR_INVALID
 * when there is not exactly one From; ERR_TOO_LARGE when out would overflow, ERR_INTERNAL when a key does not sign: out
 * is as it was. */
bool dkim_sign(const struct dkim_signing *s, struct bytes header, const uint8_t body_hash[DKIM_HASH], struct buf *out,
               struct err *e);

/* The same in two steps, for who has the header first and the body later:
 *
 *     dkim_fields_take(&f, above, header, e)     `above`: fields that will stand before those of `header`
 *     dkim_sign_fields(&s, f, body_hash, &out, e)
 *     dkim_fields_free(&f)
 * What is kept of the header are its hash and the names of what was signed: DKIM_NAMES_MAX bytes, beyond which it is
 * ERR_HEADERS_TOO_LARGE (some thousand fields that all are to be signed). */
#define DKIM_NAMES_MAX 16384
struct dkim_fields;
bool dkim_fields_take(struct dkim_fields **out, struct bytes above, struct bytes header, struct err *e);
bool dkim_sign_fields(const struct dkim_signing *s, const struct dkim_fields *f, const uint8_t body_hash[DKIM_HASH],
                      struct buf *out, struct err *e);
void dkim_fields_free(struct dkim_fields **f); /* *f may be NULL */

/* "Feedback-ID: STREAM:ACCOUNT:postrider", by which complaints are counted at Gmail for each stream and account (what
 * is counted is the signed domain's alone); characters that could part it become '-'. To be written before signing,
 * which covers it. */
void feedback_id_write(struct buf *out, struct bytes stream, struct bytes account);
#endif
