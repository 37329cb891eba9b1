/* mail/auth/signature_key.c - the key of a signature as the DNS has it (RFC 6376 3.6.1, 6.1.2), and the check by
 * OpenSSL.
 *
 * Several records under a name are no case that the RFC knows: the first that is a key counts. RSA keys stand there as
 * SubjectPublicKeyInfo (which everybody publishes) or as RSAPublicKey (which RFC 6376 writes), Ed25519 ones as their 32
 * bytes (RFC 8463). */
#include "base/crypt.h"
#include "mail/auth/signature_private.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { ED25519_KEY = 32, KEY_MAX = 4096 };

static EVP_PKEY *rsa_key(struct bytes der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)der.n);

    p = (const unsigned char *)der.p;
    if (!pkey)
        pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n);
    ERR_clear_error();
    if (pkey && !EVP_PKEY_is_a(pkey, "RSA")) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey;
}

static EVP_PKEY *read_key(enum dkim_algorithm algorithm, struct bytes coded)
{
    EVP_PKEY *pkey = NULL;
    struct buf der;

    buf_init(&der, KEY_MAX);
    if (crypt_from_base64(coded, CRYPT_BASE64_LINES, &der) && der.n) {
        if (algorithm == DKIM_RSA)
            pkey = rsa_key(buf_bytes(&der));
        else if (der.n == ED25519_KEY)
            pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)der.p, der.n);
        ERR_clear_error();
    }
    buf_clear(&der);
    return pkey;
}

static bool takes(const struct tags *t, const char *name, const char *word)
{
    struct bytes list = tags_value(t, name);

    return !list.p || tags_lists(list, word) || tags_lists(list, "*");
}

/* What the record says beside the key itself. */
static enum auth_result read_record(const struct signature *s, const struct tags *t, struct bytes *why)
{
    struct bytes k = tags_value(t, "k");

    if (!takes(t, "h", "sha256"))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key is not for sha256 (h=)"));
    if (!takes(t, "s", "email"))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key is not for mail (s=)"));
    if (!bytes_equal_nocase(k.p ? k : BYTES("rsa"), bytes_of(dkim_algorithm_name(s->algorithm))))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key is of another kind (k=)"));
    if (tags_value(t, "t").p && tags_lists(tags_value(t, "t"), "s") && !bytes_equal(s->agent, s->domain))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key is for its own domain alone (t=s)"));
    if (!tags_value(t, "p").n)
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key was revoked"));
    return AUTH_PASS;
}

/* "v=DKIM1" is the first tag, or there is none; p= is there. */
static bool is_record(struct bytes text, struct tags *t)
{
    const struct tag *v;

    if (!tags_read(text, t) || !tags_value(t, "p").p)
        return false;
    v = tags_find(t, "v");
    return !v || (v == &t->list[0] && bytes_equal(v->value, BYTES("DKIM1")));
}

static enum auth_result check_size(const struct signature *s, const struct signature_key *key, struct bytes *why)
{
    if (s->algorithm == DKIM_RSA && (key->bits < DKIM_RSA_BITS_MIN || key->bits > DKIM_RSA_BITS_MAX))
        return signature_wrong(why, AUTH_POLICY,
                               BYTES("the key has fewer than 1024 or more than 4096 bits (RFC 8301 3.2)"));
    return AUTH_PASS;
}

enum auth_result signature_key(const struct signature *s, const struct lookup *txt, struct signature_key *out,
                               struct bytes *why)
{
    struct tags t;
    enum auth_result r;
    size_t i = 0;

    *out = (struct signature_key){ .pkey = NULL };
    if (txt->result == LOOKUP_FAILED)
        return signature_wrong(why, AUTH_TEMPERROR, txt->why);
    while (i < txt->n && !is_record(txt->values[i], &t))
        i++;
    if (i == txt->n)
        return signature_wrong(why, AUTH_PERMERROR, txt->n ? BYTES("the record is no key") : BYTES("there is no key"));
    out->testing = tags_value(&t, "t").p && tags_lists(tags_value(&t, "t"), "y");
    r = read_record(s, &t, why);
    if (r != AUTH_PASS)
        return r;
    out->pkey = read_key(s->algorithm, tags_value(&t, "p"));
    if (!out->pkey)
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the key cannot be read"));
    out->bits = (unsigned)EVP_PKEY_get_bits(out->pkey);
    return check_size(s, out, why);
}

static bool check_rsa(EVP_PKEY *pkey, struct bytes signature, const uint8_t hash[DKIM_HASH])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_verify(ctx, (const uint8_t *)signature.p, signature.n, hash, DKIM_HASH) == 1;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

/* RFC 8463 3: what Ed25519 signs is the hash. */
static bool check_ed25519(EVP_PKEY *pkey, struct bytes signature, const uint8_t hash[DKIM_HASH])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.n, hash, DKIM_HASH) == 1;

    EVP_MD_CTX_free(ctx);
    return good;
}

bool signature_good(const struct signature *s, const struct signature_key *key, const uint8_t hash[DKIM_HASH])
{
    struct buf raw;
    bool good;

    buf_init(&raw, DKIM_SIGNATURE_MAX);
    good = crypt_from_base64(tags_value(&s->tags, "b"), CRYPT_BASE64_LINES, &raw) && raw.n &&
           (s->algorithm == DKIM_RSA ? check_rsa : check_ed25519)(key->pkey, buf_bytes(&raw), hash);
    ERR_clear_error();
    buf_clear(&raw);
    return good;
}
