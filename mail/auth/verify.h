/* mail/auth/verify.h - the signatures of a mail: DKIM (RFC 6376, 8301, 8463, 8616) and the chain of ARC (RFC 8617), in
 * one pass over its body.
 *
 *     struct verifier *v = verify_begin(&how, header, arena);
 *     verify_ask(v, &lookups);               the keys may be asked for while the body comes
 *     verify_feed(v, chunk); …
 *     verify_body_end(v);
 *     while (!verify_judge(v, &lookups, &out))
 *         answer what is open
 *     verify_end(&v);
 * Pure: clock, answers of the DNS and limits come in. Verifying costs some 30 to 100 microseconds for each signature:
 * on a cpu worker. Linear in header and body; `header` must last as long as the verifier.
 *
 * What is right by its bytes and does not pass all the same: rsa-sha1 and keys under 1,024 or over 4,096 bits
 * (AUTH_POLICY, RFC 8301 3); a signature over a part of the body, l= (AUTH_NEUTRAL: what stands behind it is anybody's,
 * RFC 6376 8.2); one whose time is over or has not come (AUTH_FAIL). Of a mail without exactly one From none passes. */
#ifndef MAIL_AUTH_VERIFY_H
#define MAIL_AUTH_VERIFY_H
#include "mail/auth/result.h"
#include "mail/dkim_key.h"
#include "mail/lookups.h"

struct verify_how {
    int64_t now;         /* wall ms */
    int64_t skew;        /* ms that clocks may differ */
    unsigned signatures; /* DKIM: those further down are not looked at */
};

struct dkim_seen {
    struct bytes domain;          /* d=, in A-labels where it is one */
    struct bytes selector, agent; /* s=, i= as they stand; NO_BYTES when it cannot be read */
    struct bytes algorithm, header_form, body_form;
    struct bytes signature;        /* b=, blanks taken out */
    struct bytes names;            /* h= */
    int64_t signed_at, expires_at; /* wall ms; 0: not said */
    int64_t length;                /* l=; -1 */
    unsigned bits;                 /* of the key; 0: it was not got */
    bool testing;                  /* the key says t=y */
    bool verified;                 /* body and header are what was signed, whatever the result */
    enum auth_result result;
    struct bytes why; /* not AUTH_PASS */
};

#define ARC_INSTANCES_MAX 50 /* RFC 8617 4.2.1 */

struct arc_seen {
    enum auth_result result; /* none, pass, fail; temperror: a key was not to be had */
    unsigned instances;      /* the highest that is there */
    struct bytes why;
    struct bytes domain;  /* who sealed last: d= of ARC-Seal */
    struct bytes results; /* what the first said: the value of its ARC-Authentication-Results */
};

struct verified {
    struct dkim_seen *dkim;
    size_t n_dkim, passed_over; /* signatures beyond the limit */
    struct arc_seen arc;
};

struct verifier;
/* `header`: all of it, with or without the empty line. */
struct verifier *verify_begin(const struct verify_how *how, struct bytes header, struct arena *a);
void verify_ask(struct verifier *v, struct lookups *l);
void verify_feed(struct verifier *v, struct bytes chunk);
void verify_body_end(struct verifier *v);
/* False: a question is open. */
bool verify_judge(struct verifier *v, struct lookups *l, struct verified *out);
void verify_end(struct verifier **v); /* *v may be NULL */
#endif
