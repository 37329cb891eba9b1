/* mail/auth/signature_private.h - inside mail/auth/: what DKIM-Signature, ARC-Message-Signature and ARC-Seal share: a
 * list of tags, a hash over header fields, a key in the DNS (RFC 6376 3.5 to 3.7, 6.1; RFC 8617 4). */
#ifndef MAIL_AUTH_SIGNATURE_PRIVATE_H
#define MAIL_AUTH_SIGNATURE_PRIVATE_H
#include "base/arena.h"
#include "mail/auth/tags.h"
#include "mail/auth/verify.h"
#include <openssl/types.h>

/* ---- the fields of a header, found by name from the bottom up (RFC 6376 5.4.2) ---- */

struct fields {
    struct header *list; /* as they stand */
    size_t n;
    struct field_name *names;
    unsigned turn;
};

void fields_read(struct fields *f, struct bytes header, struct arena *a);
/* A new walk: every field counts again. */
void fields_begin(struct fields *f);
/* The lowest of that name that this walk has not had yet; NULL: there is none (any more). */
const struct header *fields_next(struct fields *f, struct bytes name);
size_t fields_count(const struct fields *f, struct bytes name);

/* ---- one signature ---- */

/* Why it is no good, for who asks. */
static inline enum auth_result signature_wrong(struct bytes *why, enum auth_result r, struct bytes text)
{
    *why = text;
    return r;
}

enum signature_kind { SIGNATURE_DKIM, SIGNATURE_ARC_MESSAGE, SIGNATURE_ARC_SEAL };

struct signature {
    struct header field;
    struct tags tags;
    enum dkim_algorithm algorithm;
    bool relaxed_header, relaxed_body;
    struct bytes domain, selector, agent; /* A-labels; agent: the domain of i= */
    struct bytes names;                   /* h= */
    int64_t length;                       /* l=; -1: none */
    int64_t signed_at, expires_at;        /* seconds; -1: not said */
    int instance;                         /* ARC */
};

/* What a signature comes to before anything is hashed: AUTH_PASS to go on; *why says what is wrong. */
enum auth_result signature_read(const struct header *field, enum signature_kind kind, struct arena *a,
                                struct signature *out, struct bytes *why);
struct bytes signature_key_name(const struct signature *s, struct arena *a); /* SELECTOR._domainkey.DOMAIN */
/* SHA-256 of the fields that h= names, and of its own without the value of b=. */
void signature_hash(const struct signature *s, struct fields *f, uint8_t hash[DKIM_HASH]);
/* The field as it is hashed within itself: b= without its value, no line end at the end. */
void signature_own(const struct signature *s, struct buf *out);

struct signature_key {
    EVP_PKEY *pkey;
    unsigned bits;
    bool testing; /* t=y */
};
/* The key of a record; AUTH_PASS, or what the signature then is. Free with EVP_PKEY_free. */
enum auth_result signature_key(const struct signature *s, const struct lookup *txt, struct signature_key *out,
                               struct bytes *why);
bool signature_good(const struct signature *s, const struct signature_key *key, const uint8_t hash[DKIM_HASH]);
/* bh= is that hash. */
bool signature_body_good(const struct signature *s, const uint8_t hash[DKIM_HASH]);

/* ---- ARC, for mail/auth/verify.c ---- */

struct arc_set {
    const struct header *results, *message, *seal;
    struct signature *message_signature, *seal_signature;
};
struct arc {
    struct arc_set *sets;
    size_t n; /* instances 1 to n */
    bool decided;
};

/* Collects the sets and judges their form; out->result is AUTH_PASS while the signatures are to be looked at. */
void arc_read(struct arc *arc, const struct fields *f, struct arena *a, struct arc_seen *out);
/* Notes the questions. */
void arc_ask(const struct arc *arc, struct lookups *l);
/* All keys are known; `body_good`: of the latest message signature. */
void arc_judge(struct arc *arc, struct fields *f, struct lookups *l, bool body_good, struct arc_seen *out);
#endif
