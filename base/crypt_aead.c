/* base/crypt_aead.c - XChaCha20-Poly1305 by OpenSSL for what is long, by libsodium for what is short.
 *
 * OpenSSL has ChaCha20-Poly1305 (RFC 8439) in vector code, twice as quick as libsodium's, but without the X: the key of
 * it is HChaCha20 of ours and the nonce's first 16 bytes, its nonce four zeros and the other 8. To begin costs it a
 * microsecond, more than libsodium needs for all of a wrapped key. */
#include "base/crypt_aead.h"
#include "base/thread_own.h"
#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>

_Static_assert(AEAD_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce");
_Static_assert(AEAD_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag");

enum { IV = 12, HCHACHA_NONCE = crypto_core_hchacha20_INPUTBYTES };

static const unsigned char *raw(struct bytes b)
{
    return (const unsigned char *)(b.p ? b.p : "");
}

static bool is_long(size_t n)
{
    return n >= AEAD_LONG && n <= INT_MAX - AEAD_TAG;
}

/* ---- OpenSSL ---- */

static void *context_make(void)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    if (!c || EVP_CipherInit_ex2(c, EVP_chacha20_poly1305(), NULL, NULL, 1, NULL) != 1)
        die("OpenSSL has no ChaCha20-Poly1305");
    return c;
}

static void context_free(void *c)
{
    EVP_CIPHER_CTX_free(c);
}

/* It knows the cipher; the key is wiped after each use. */
static struct thread_own contexts = THREAD_OWN(context_make, context_free);

/* The context, ready for the text. */
static EVP_CIPHER_CTX *aead_begin(const struct aead *a, bool sealing)
{
    EVP_CIPHER_CTX *c = thread_own(&contexts);
    struct crypt_key inner;
    unsigned char iv[IV] = { 0 };
    int n;

    crypto_core_hchacha20(inner.b, a->nonce, a->key->b, NULL);
    memcpy(iv + IV - (AEAD_NONCE - HCHACHA_NONCE), a->nonce + HCHACHA_NONCE, AEAD_NONCE - HCHACHA_NONCE);
    if (EVP_CipherInit_ex2(c, NULL, inner.b, iv, sealing, NULL) != 1 ||
        (a->context.n && EVP_CipherUpdate(c, NULL, &n, raw(a->context), (int)a->context.n) != 1))
        die("OpenSSL refuses ChaCha20-Poly1305");
    sodium_memzero(&inner, sizeof inner);
    return c;
}

/* Nobody's key stays in the thread's context. */
static void end(EVP_CIPHER_CTX *c)
{
    static const unsigned char nothing[sizeof(struct crypt_key)], no_iv[IV];

    EVP_CipherInit_ex2(c, NULL, nothing, no_iv, 1, NULL);
}

static void seal_long(const struct aead *a, struct bytes text, unsigned char *out)
{
    EVP_CIPHER_CTX *c = aead_begin(a, true);
    int n = 0, last = 0;
    bool good = EVP_CipherUpdate(c, out, &n, raw(text), (int)text.n) == 1 &&
                EVP_CipherFinal_ex(c, out + n, &last) == 1 && (size_t)n + (size_t)last == text.n &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + text.n) == 1;

    assert(good);
    end(c);
}

static bool open_long(const struct aead *a, struct bytes sealed, unsigned char *out)
{
    EVP_CIPHER_CTX *c = aead_begin(a, false);
    size_t text = sealed.n - AEAD_TAG;
    unsigned char tag[AEAD_TAG];
    int n = 0, last = 0;
    bool good;

    memcpy(tag, sealed.p + text, AEAD_TAG);
    good = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) == 1 &&
           EVP_CipherUpdate(c, out, &n, raw(sealed), (int)text) == 1 && EVP_CipherFinal_ex(c, out + n, &last) == 1;
    end(c);
    return good;
}

/* ---- either ---- */

void aead_seal(const struct aead *a, struct bytes text, unsigned char *out)
{
    if (is_long(text.n))
        seal_long(a, text, out);
    else
        crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, raw(text), text.n, raw(a->context), a->context.n, NULL,
                                                   a->nonce, a->key->b);
}

bool aead_open(const struct aead *a, struct bytes sealed, unsigned char *out)
{
    bool good;

    assert(sealed.n >= AEAD_TAG);
    if (is_long(sealed.n - AEAD_TAG))
        good = open_long(a, sealed, out);
    else
        good = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, raw(sealed), sealed.n, raw(a->context),
                                                          a->context.n, a->nonce, a->key->b) == 0;
    if (!good)
        sodium_memzero(out, sealed.n - AEAD_TAG); /* OpenSSL has written before it knew */
    return good;
}
