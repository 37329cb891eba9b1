/* base/crypt.c - libsodium (and OpenSSL, crypt_aead.h) behind names of our own, so that one file says which algorithm
 * is meant.
 *
 * Nonces are 24 random bytes, so no counter has to be kept anywhere and two nodes need not agree. Only the chunks of a
 * body have their number as nonce: each body has a key of its own, so no pair of key and nonce comes twice. Whether a
 * chunk is the last one is bound to it; a body that was cut behind a chunk does not open. */
#include "base/crypt_aead.h"
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

enum { NONCE = AEAD_NONCE, TAG = AEAD_TAG };

_Static_assert(CRYPT_HASH == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(CRYPT_WRAPPED == NONCE + sizeof(struct crypt_key) + TAG, "a wrapped key");
_Static_assert(CRYPT_SEAL_EXTRA == NONCE + TAG && CRYPT_CHUNK_EXTRA == TAG, "what sealing adds");
_Static_assert(CRYPT_PASSWORD_HASH >= crypto_pwhash_STRBYTES, "a password hash");

static const unsigned char *raw(struct bytes b)
{
    return (const unsigned char *)(b.p ? b.p : "");
}

/* What the kernel gave, fetched for several nonces and keys at a time: a call for each costs a mail more than all of
 * its sealing. What is taken is wiped, and a forked child begins with nothing. */
static _Thread_local struct {
    unsigned char b[512];
    size_t left;
} pool;

static void forget_pool(void)
{
    sodium_memzero(&pool, sizeof pool);
}

void crypt_init(void)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;

    if (sodium_init() < 0)
        die("libsodium does not start");
    if (!atomic_flag_test_and_set(&once) && pthread_atfork(NULL, NULL, forget_pool) != 0)
        die("out of memory: pthread_atfork");
}

void crypt_random(void *out, size_t n)
{
    if (n > sizeof pool.b / 4) {
        randombytes_buf(out, n);
        return;
    }
    if (pool.left < n) {
        randombytes_buf(pool.b, sizeof pool.b);
        pool.left = sizeof pool.b;
    }
    pool.left -= n;
    memcpy(out, pool.b + pool.left, n);
    sodium_memzero(pool.b + pool.left, n);
}

void crypt_key_new(struct crypt_key *out)
{
    crypt_random(out->b, sizeof out->b);
}

void crypt_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool crypt_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && sodium_memcmp(raw(a), raw(b), a.n) == 0;
}

void crypt_hash(struct bytes in, uint8_t out[CRYPT_HASH])
{
    crypto_generichash(out, CRYPT_HASH, raw(in), in.n, NULL, 0);
}

void crypt_keyed_hash(const struct crypt_key *key, struct bytes in, uint8_t out[CRYPT_HASH])
{
    crypto_generichash(out, CRYPT_HASH, raw(in), in.n, key->b, sizeof key->b);
}

void crypt_sha256(struct bytes in, uint8_t out[CRYPT_HASH])
{
    crypto_hash_sha256(out, raw(in), in.n);
}

void crypt_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[CRYPT_HASH])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, raw(key), key.n);
    crypto_auth_hmacsha256_update(&state, raw(in), in.n);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void crypt_derive(const struct crypt_key *parent, struct bytes purpose, struct crypt_key *out)
{
    crypt_keyed_hash(parent, purpose, out->b);
}

bool crypt_password_hash(struct bytes password, const struct crypt_password_cost *cost, char out[CRYPT_PASSWORD_HASH],
                         struct err *e)
{
    memset(out, 0, CRYPT_PASSWORD_HASH);
    if (crypto_pwhash_str_alg(out, (const char *)raw(password), password.n, cost->passes, (size_t)cost->memory,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_set(e, ERR_BUSY, "Argon2id refused: %llu passes over %llu bytes", (unsigned long long)cost->passes,
                       (unsigned long long)cost->memory);
    return true;
}

bool crypt_password_check(const char *hash, struct bytes password)
{
    return crypto_pwhash_str_verify(hash, (const char *)raw(password), password.n) == 0;
}

bool crypt_password_outdated(const char *hash, const struct crypt_password_cost *cost)
{
    return crypto_pwhash_str_needs_rehash(hash, cost->passes, (size_t)cost->memory) != 0;
}

/* One sealing for all: behind what out holds, text.n + TAG bytes. */
static bool encrypt(const struct crypt_key *key, const unsigned char nonce[NONCE], struct bytes text,
                    struct bytes context, struct buf *out)
{
    const struct aead how = { key, nonce, context };
    unsigned char *to = NULL;

    if (out->max - out->n < text.n || !(to = (unsigned char *)buf_room(out, text.n + TAG))) {
        out->overflowed = true;
        return false;
    }
    aead_seal(&how, text, to);
    buf_filled(out, text.n + TAG);
    return true;
}

static bool decrypt(const struct crypt_key *key, const unsigned char nonce[NONCE], struct bytes sealed,
                    struct bytes context, struct buf *out)
{
    const struct aead how = { key, nonce, context };
    unsigned char *to = NULL;
    /* Room for at least one byte, as libsodium wants an address even for an empty text. */
    size_t room = sealed.n > TAG ? sealed.n - TAG : 1;

    if (sealed.n < TAG || !(to = (unsigned char *)buf_room(out, room)) || !aead_open(&how, sealed, to))
        return false;
    buf_filled(out, sealed.n - TAG);
    return true;
}

bool crypt_seal(const struct crypt_key *key, struct bytes text, struct bytes context, struct buf *out)
{
    unsigned char nonce[NONCE];
    size_t before = out->n;

    crypt_random(nonce, sizeof nonce);
    buf_add(out, (struct bytes){ (const char *)nonce, sizeof nonce });
    if (!out->overflowed && encrypt(key, nonce, text, context, out))
        return true;
    out->n = before;
    return false;
}

bool crypt_open(const struct crypt_key *key, struct bytes sealed, struct bytes context, struct buf *out)
{
    return sealed.n >= CRYPT_SEAL_EXTRA && decrypt(key, raw(sealed), bytes_from(sealed, NONCE), context, out);
}

void crypt_wrap(const struct crypt_key *outer, const struct crypt_key *inner, struct bytes context,
                uint8_t out[CRYPT_WRAPPED])
{
    struct buf to = { .p = (char *)out, .cap = CRYPT_WRAPPED, .max = CRYPT_WRAPPED };
    bool good = crypt_seal(outer, (struct bytes){ (const char *)inner->b, sizeof inner->b }, context, &to);

    assert(good && to.n == CRYPT_WRAPPED);
}

bool crypt_unwrap(const struct crypt_key *outer, struct bytes wrapped, struct bytes context, struct crypt_key *out)
{
    struct buf to = { .p = (char *)out->b, .cap = sizeof out->b, .max = sizeof out->b };

    return wrapped.n == CRYPT_WRAPPED && crypt_open(outer, wrapped, context, &to);
}

struct chunk_place {
    unsigned char nonce[NONCE], context[9];
};

static struct chunk_place place_of(struct crypt_chunk at)
{
    struct chunk_place place = { .context[8] = at.last };

    for (size_t i = 0; i < 8; i++)
        place.nonce[i] = place.context[i] = (unsigned char)(at.number >> (8 * i));
    return place;
}

bool crypt_body_seal(const struct crypt_key *key, struct crypt_chunk at, struct bytes chunk, struct buf *out)
{
    struct chunk_place place = place_of(at);

    return encrypt(key, place.nonce, chunk, (struct bytes){ (const char *)place.context, sizeof place.context }, out);
}

bool crypt_body_open(const struct crypt_key *key, struct crypt_chunk at, struct bytes sealed, struct buf *out)
{
    struct chunk_place place = place_of(at);

    return decrypt(key, place.nonce, sealed, (struct bytes){ (const char *)place.context, sizeof place.context }, out);
}
