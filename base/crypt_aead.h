/* base/crypt_aead.h - inside base/crypt: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) by whichever library is the
 * quicker. Both make the same bytes. Any thread. */
#ifndef BASE_CRYPT_AEAD_H
#define BASE_CRYPT_AEAD_H
#include "base/crypt.h"

enum { AEAD_NONCE = 24, AEAD_TAG = 16 };
/* From so many bytes on OpenSSL's vector code makes up for what it takes to begin. */
#define AEAD_LONG 1024

/* What one sealing is made with. */
struct aead {
    const struct crypt_key *key;
    const unsigned char *nonce; /* AEAD_NONCE bytes, never twice with one key */
    struct bytes context;
};

/* Writes text.n + AEAD_TAG bytes. */
void aead_seal(const struct aead *a, struct bytes text, unsigned char *out);
/* Writes sealed.n - AEAD_TAG bytes (room for one at least), or zeros when it is not genuine: false. */
bool aead_open(const struct aead *a, struct bytes sealed, unsigned char *out);
#endif
