/* mail/dkim_key.c - keys by OpenSSL. What OpenSSL says of a key that it cannot read is of no use to the person who
 * brought it, so the usual mistakes are told apart here. */
#include "mail/dkim_key.h"
#include "base/crypt.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ED25519_KEY = 32, READY_KEYS = 16 };

struct dkim_key {
    EVP_PKEY *pkey;
    enum dkim_algorithm algorithm;
};

static bool key_take(EVP_PKEY *pkey, enum dkim_algorithm algorithm, struct dkim_key **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        die("out of memory");
    (*out)->pkey = pkey;
    (*out)->algorithm = algorithm;
    return true;
}

/* Of a fault build: the next of those that tests/mail/tool_keys.c made, for tests that are not about making keys.
 * One takes a fifth of a second of a processor, and every domain has one. */
static EVP_PKEY *ready_made(void)
{
    EVP_PKEY *pkey = NULL;
#ifdef POSTRIDER_FAULTS
    static atomic_uint turn;
    const char *folder = getenv("POSTRIDER_TEST_RSA_KEYS");
    char path[512];
    FILE *f;

    if (!folder)
        return NULL;
    snprintf(path, sizeof path, "%s/%u.pem", folder, ((unsigned)getpid() + atomic_fetch_add(&turn, 1)) % READY_KEYS);
    f = fopen(path, "r");
    pkey = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
#endif
    return pkey;
}

static EVP_PKEY *rsa_new(void)
{
    EVP_PKEY *pkey = ready_made();

    return pkey ? pkey : EVP_RSA_gen(DKIM_RSA_BITS);
}

bool dkim_key_new(enum dkim_algorithm algorithm, struct dkim_key **out, struct err *e)
{
    EVP_PKEY *pkey = algorithm == DKIM_RSA ? rsa_new() : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    ERR_clear_error();
    return pkey ? key_take(pkey, algorithm, out) : err_set(e, ERR_INTERNAL, "OpenSSL made no key");
}

void dkim_key_free(struct dkim_key **key)
{
    if (!*key)
        return;
    EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

static bool has(struct bytes text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word));
}

static bool check(EVP_PKEY *pkey, struct dkim_key **out, struct err *e)
{
    int bits = EVP_PKEY_get_bits(pkey);
    bool ok = false;

    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return key_take(pkey, DKIM_ED25519, out);
    if (!EVP_PKEY_is_a(pkey, "RSA"))
        err_set(e, ERR_INVALID, "The key is of another kind than RSA or Ed25519");
    else if (bits < DKIM_RSA_BITS_MIN || bits > DKIM_RSA_BITS_MAX)
        err_set(e, ERR_INVALID, "The key has %d bits; %d to %d are taken, %d are usual", bits, DKIM_RSA_BITS_MIN,
                DKIM_RSA_BITS_MAX, DKIM_RSA_BITS);
    else
        ok = true;
    if (ok)
        return key_take(pkey, DKIM_RSA, out);
    EVP_PKEY_free(pkey);
    return false;
}

/* Called when there is a password: there is none to give. */
static int no_password(char *to, int n, int writing, void *ctx)
{
    (void)to;
    (void)n;
    (void)writing;
    (void)ctx;
    return -1;
}

static bool read_pem(struct bytes text, struct dkim_key **out, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

    BIO_free(bio);
    ERR_clear_error();
    if (pkey)
        return check(pkey, out, e);
    if (has(text, "ENCRYPTED"))
        return err_set(e, ERR_INVALID, "The key is locked by a password: take that off first");
    if (has(text, "PUBLIC KEY") || has(text, "CERTIFICATE"))
        return err_set(e, ERR_INVALID, "This is the public half; the private key is wanted");
    return err_set(e, ERR_INVALID, "The private key cannot be read");
}

static bool read_seed(struct bytes text, struct dkim_key **out, struct err *e)
{
    struct buf seed;
    EVP_PKEY *pkey = NULL;

    buf_init(&seed, ED25519_KEY);
    if (crypt_from_base64(text, CRYPT_BASE64_LINES, &seed) && seed.n == ED25519_KEY)
        pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)seed.p, seed.n);
    if (seed.n)
        crypt_wipe(seed.p, seed.n);
    buf_clear(&seed);
    if (!pkey)
        return err_set(e, ERR_INVALID, "A private key in PEM form, or 32 bytes in base64 (Ed25519), is wanted");
    return key_take(pkey, DKIM_ED25519, out);
}

bool dkim_key_read(struct bytes text, struct dkim_key **out, struct err *e)
{
    if (text.n > DKIM_KEY_TEXT_MAX)
        return err_set(e, ERR_INVALID, "No key has more than %d bytes", DKIM_KEY_TEXT_MAX);
    return has(text, "-----BEGIN ") ? read_pem(text, out, e) : read_seed(text, out, e);
}

void dkim_key_write(const struct dkim_key *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *p = NULL;
    long n = 0;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        die("a private key could not be written");
    n = BIO_get_mem_data(bio, &p);
    buf_add(out, (struct bytes){ p, (size_t)n });
    BIO_free(bio);
}

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key)
{
    return key->algorithm;
}

unsigned dkim_key_bits(const struct dkim_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
    return algorithm == DKIM_RSA ? "rsa" : "ed25519";
}

const char *dkim_algorithm_signature(enum dkim_algorithm algorithm)
{
    return algorithm == DKIM_RSA ? "rsa-sha256" : "ed25519-sha256";
}

static bool sign_rsa(EVP_PKEY *pkey, const uint8_t *hash, uint8_t *to, size_t *n)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
              EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_sign(ctx, to, n, hash, DKIM_HASH) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* RFC 8463 3: what is signed is the hash, not the text. */
static bool sign_ed25519(EVP_PKEY *pkey, const uint8_t *hash, uint8_t *to, size_t *n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 && EVP_DigestSign(ctx, to, n, hash, DKIM_HASH) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

bool dkim_key_sign(const struct dkim_key *key, const uint8_t hash[DKIM_HASH], struct buf *out, struct err *e)
{
    uint8_t made[DKIM_SIGNATURE_MAX];
    size_t n = sizeof made;

    if (!(key->algorithm == DKIM_RSA ? sign_rsa : sign_ed25519)(key->pkey, hash, made, &n)) {
        ERR_clear_error();
        return err_set(e, ERR_INTERNAL, "OpenSSL did not sign");
    }
    buf_add(out, (struct bytes){ (const char *)made, n });
    return true;
}

void dkim_key_record(const struct dkim_key *key, struct buf *out)
{
    uint8_t *der = NULL, raw[ED25519_KEY];
    size_t n = sizeof raw;
    int got = 0;

    buf_addf(out, "v=DKIM1; k=%s; p=", dkim_algorithm_name(key->algorithm));
    if (key->algorithm == DKIM_ED25519) {
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &n) != 1)
            die("a public key could not be written");
        crypt_to_base64((struct bytes){ (const char *)raw, n }, CRYPT_BASE64, out);
        return;
    }
    got = i2d_PUBKEY(key->pkey, &der);
    if (got <= 0)
        die("a public key could not be written");
    crypt_to_base64((struct bytes){ (const char *)der, (size_t)got }, CRYPT_BASE64, out);
    OPENSSL_free(der);
}
