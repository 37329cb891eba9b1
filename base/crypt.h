/* base/crypt.h - hashes, encodings, passwords and sealing, over libsodium and OpenSSL.
 *
 * crypt_init comes first, once; after it every function may be called from any thread. Only the two password functions
 * take long (Argon2id, milliseconds and megabytes): call them on a worker.
 *
 * Three layers of encryption, all XChaCha20-Poly1305:
 *     body    in chunks under a content key that is made for this body alone (crypt_body_seal)
 *     key     the content key, wrapped under another key for each row that may read it (crypt_wrap)
 *     text    short secrets and summaries (crypt_seal)
 * `context` is bound to the result but not kept in it: whoever opens must name the same one (a row's id, say), so that
 * a sealed text cannot be moved to another row. Opening tells only whether all was right, never what was wrong. */
#ifndef BASE_CRYPT_H
#define BASE_CRYPT_H
#include "base/arena.h"
#include "base/err.h"

#define CRYPT_HASH          32
#define CRYPT_HASH_HEX      (2 * CRYPT_HASH)
#define CRYPT_WRAPPED       72  /* nonce 24, key 32, tag 16 */
#define CRYPT_SEAL_EXTRA    40  /* what crypt_seal adds to a text: nonce and tag */
#define CRYPT_CHUNK_EXTRA   16  /* what crypt_body_seal adds to a chunk: the tag */
#define CRYPT_PASSWORD_HASH 128 /* with NUL */

struct crypt_key {
    uint8_t b[32];
};

void crypt_init(void);
void crypt_random(void *out, size_t n);
void crypt_key_new(struct crypt_key *out);
void crypt_wipe(void *p, size_t n); /* zeros that the compiler does not leave out */
/* In a time that depends on the lengths alone. */
bool crypt_equal(struct bytes a, struct bytes b);

void crypt_hash(struct bytes in, uint8_t out[CRYPT_HASH]); /* BLAKE2b-256 (RFC 7693) */
void crypt_keyed_hash(const struct crypt_key *key, struct bytes in, uint8_t out[CRYPT_HASH]);
void crypt_sha256(struct bytes in, uint8_t out[CRYPT_HASH]);
void crypt_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[CRYPT_HASH]); /* RFC 2104 */
/* A key for another purpose: the same parent and purpose give the same key; keys of two purposes tell nothing of each
 * other or of the parent. */
void crypt_derive(const struct crypt_key *parent, struct bytes purpose, struct crypt_key *out);

/* Lower-case hex; out holds 2 * in.n + 1. */
struct bytes crypt_hex(struct bytes in, char *out);
/* Exactly 2 * n hex digits of either case. */
bool crypt_unhex(struct bytes text, void *out, size_t n);

enum crypt_base64 {
    CRYPT_BASE64,      /* RFC 4648 section 4, padded */
    CRYPT_BASE64_URL,  /* section 5, unpadded */
    CRYPT_BASE64_LINES /* reading only: as the first, SP, TAB, CR and LF anywhere are skipped */
};
void crypt_to_base64(struct bytes in, enum crypt_base64 form, struct buf *out); /* one line, at the end of out */
/* Adds the decoded bytes to out. False, with out as it was, on a strange character, missing or needless padding, bits
 * behind the end that are not zero (RFC 4648, sections 3.3 and 3.5), or when out would overflow. */
bool crypt_from_base64(struct bytes text, enum crypt_base64 form, struct buf *out);

struct crypt_password_cost {
    uint64_t passes, memory; /* bytes */
};
/* Argon2id as "$argon2id$…"; ERR_BUSY when the memory is not to be had. */
bool crypt_password_hash(struct bytes password, const struct crypt_password_cost *cost, char out[CRYPT_PASSWORD_HASH],
                         struct err *e);
bool crypt_password_check(const char *hash, struct bytes password);
/* Made with another cost than this one, or no hash at all. */
bool crypt_password_outdated(const char *hash, const struct crypt_password_cost *cost);

void crypt_wrap(const struct crypt_key *outer, const struct crypt_key *inner, struct bytes context,
                uint8_t out[CRYPT_WRAPPED]);
bool crypt_unwrap(const struct crypt_key *outer, struct bytes wrapped, struct bytes context, struct crypt_key *out);

/* Both add to out; false, with out as it was, when it would overflow or (open) the text is not genuine. */
bool crypt_seal(const struct crypt_key *key, struct bytes text, struct bytes context, struct buf *out);
bool crypt_open(const struct crypt_key *key, struct bytes sealed, struct bytes context, struct buf *out);

/* Chunks of a body are numbered from 0, in order, and exactly the last is marked, so that a body that was cut,
 * lengthened or put into another order does not open. The key must never seal another body: the number is the nonce. */
struct crypt_chunk {
    uint64_t number;
    bool last;
};
bool crypt_body_seal(const struct crypt_key *key, struct crypt_chunk at, struct bytes chunk, struct buf *out);
bool crypt_body_open(const struct crypt_key *key, struct crypt_chunk at, struct bytes sealed, struct buf *out);
#endif
